use super::*;
use crate::route::Value;

impl Fields for [(&str, &str)] {
    fn any(&self, name: &[u8], mut fits: impl FnMut(&[u8]) -> bool) -> bool {
        self.iter().any(|(n, v)| n.as_bytes() == name && fits(v.as_bytes()))
    }
}

fn on(host: &str, path: Option<PathMatch>) -> Match {
    let host = (!host.is_empty()).then(|| host.to_owned());
    Match { host, path, ..Match::default() }
}

fn exact(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Exact(path.to_owned()))
}

fn prefix(path: &str) -> Option<PathMatch> {
    Some(PathMatch::Prefix(path.to_owned()))
}

fn table<const N: usize>(matches: [Match; N]) -> Table<usize> {
    Table::build(matches.into_iter().enumerate().map(|(at, one)| (vec![one], at)), Slashes::Merge)
}

fn find(table: &Table<usize>, host: &str, path: &str) -> Option<usize> {
    find_with(table, host, path, "GET", &[])
}

pub(super) fn find_with(
    table: &Table<usize>,
    host: &str,
    path: &str,
    method: &str,
    headers: &[(&str, &str)],
) -> Option<usize> {
    let (host, path, method) = (host.as_bytes(), path.as_bytes(), method.as_bytes());
    let asked = Asked { host, path, query: b"", method, client: None, fields: headers };
    table.find(&asked).map(|(&to, _)| to)
}

#[test]
fn the_exact_host_beats_the_longest_wildcard_beats_any() {
    let table = table([
        on("", None),
        on("*.example.com", None),
        on("*.a.example.com", None),
        on("b.a.example.com", None),
    ]);
    for (host, route) in [
        ("b.a.example.com", 3),
        ("B.a.Example.com.:80", 3),
        ("c.a.example.com", 2),
        ("x.c.a.example.com", 2),
        ("a.example.com", 1),
        ("x.y.example.com", 1),
        ("example.com", 0),
        ("badexample.com", 0),
        (".example.com", 1),
        ("", 0),
    ] {
        assert_eq!(find(&table, host, "/"), Some(route), "{host}");
    }
}

#[test]
fn hb_10_one_canonical_match_for_every_spelling() {
    let table = table([on("Example.COM", None), on("[2001:DB8::0]", None)]);
    for host in ["EXAMPLE.com.", "example.com:80", "eXample.com.:443", "example.com"] {
        assert_eq!(find(&table, host, "/"), Some(0), "{host}");
    }
    assert_eq!(find(&table, "[2001:db8:0::]:80", "/"), Some(1));
    assert_eq!(find(&table, "other.com", "/"), None);
}

#[test]
fn the_exact_path_beats_the_longest_prefix() {
    let table = table([
        on("", prefix("/")),
        on("", prefix("/v1/")),
        on("", prefix("/v1/users")),
        on("", exact("/v1")),
        on("", exact("/v1/users")),
    ]);
    for (path, route) in [
        ("/", 0),
        ("/v10", 0),
        ("/v1", 3),
        ("/v1/", 1),
        ("/v1/x", 1),
        ("/v1/users", 4),
        ("/v1/users/", 2),
        ("/v1/users/7", 2),
        ("/v1/usersx", 1),
        ("/V1/users", 0),
        ("*", 0),
    ] {
        assert_eq!(find(&table, "h", path), Some(route), "{path}");
    }
}

#[test]
fn what_does_not_fit_falls_through_to_the_less_specific() {
    let mut post = on("a.com", exact("/x"));
    post.methods = vec!["POST".to_owned()];
    let table = table([on("a.com", prefix("/v1")), post, on("*.com", prefix("/y")), on("", None)]);
    assert_eq!(find_with(&table, "a.com", "/x", "POST", &[]), Some(1));
    assert_eq!(find_with(&table, "a.com", "/x", "GET", &[]), Some(3));
    assert_eq!(find(&table, "a.com", "/y"), Some(2));
}

#[test]
fn then_the_method_then_most_headers_then_the_file() {
    let with = |methods: &[&str], headers: &[(&str, &str)]| Match {
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), Value::Exact((*v).to_owned())))
            .collect(),
        ..Match::default()
    };
    let table = table([
        with(&[], &[]),
        with(&[], &[("x-a", "1")]),
        with(&[], &[("x-a", "1"), ("x-b", "2")]),
        with(&["GET", "HEAD"], &[]),
        with(&["GET"], &[]),
    ]);
    let both = [("x-a", "1"), ("x-b", "2")];
    assert_eq!(find_with(&table, "", "/", "GET", &both), Some(3));
    assert_eq!(find_with(&table, "", "/", "HEAD", &both), Some(3));
    assert_eq!(find_with(&table, "", "/", "POST", &both), Some(2));
    assert_eq!(find_with(&table, "", "/", "POST", &both[..1]), Some(1));
    assert_eq!(find_with(&table, "", "/", "POST", &[("x-a", "2")]), Some(0));
}

#[test]
fn several_matches_lead_to_one_route_and_no_route_is_an_answer() {
    let matches = vec![on("a.com", None), on("b.com", exact("/x"))];
    let table = Table::build([(matches, 7)].into_iter(), Slashes::Merge);
    assert_eq!(find(&table, "a.com", "/any"), Some(7));
    assert_eq!(find(&table, "b.com", "/x"), Some(7));
    assert_eq!(find(&table, "b.com", "/y"), None);
    assert_eq!(find(&Table::build(std::iter::empty(), Slashes::Merge), "a", "/"), None);
}

#[test]
fn patterns_are_matched_in_their_normal_form() {
    let table = table([on("", exact("/a/%7Eb/../c")), on("", prefix("//d/./%65"))]);
    assert_eq!(find(&table, "h", "/a/c"), Some(0));
    assert_eq!(find(&table, "h", "/d/e/f"), Some(1));
}

#[test]
fn deep_paths_and_long_hosts_end_the_walk_early() {
    let table = table([on("*.example.com", prefix("/a"))]);
    let deep = format!("/a{}", "/a".repeat(100_000));
    assert_eq!(find(&table, "x.example.com", &deep), Some(0));
    assert_eq!(find(&table, &format!("{}example.com", "a.".repeat(100_000)), "/a"), None);
}

#[test]
fn ten_thousand_routes_are_all_found() {
    let host = |at: usize| format!("h{}.example.com", at % 100);
    let path = |at: usize| format!("/v{at}/users");
    let matches = (0..10_000).map(|at| (vec![on(&host(at), prefix(&path(at)))], at));
    let table = Table::build(matches, Slashes::Merge);
    for at in 0..10_000 {
        assert_eq!(find(&table, &host(at), &format!("{}/1", path(at))), Some(at));
    }
}

/// A table of this size costs a look-up next to nothing; the bound is generous, for slow machines
/// and builds without optimisation. The bench `route` prints the figures.
#[test]
fn a_look_up_among_ten_thousand_routes_takes_no_time() {
    let many = (0..10_000).map(|at| {
        (vec![on(&format!("h{}.example.com", at % 100), prefix(&format!("/v{at}/users")))], at)
    });
    let many = Table::build(many, Slashes::Merge);
    let look = |at: usize| {
        let (host, path) = (format!("h{}.example.com", at % 100), format!("/v{at}/users/7"));
        let started = std::time::Instant::now();
        assert_eq!(find(&many, &host, &path), Some(at));
        started.elapsed()
    };
    let mut took: Vec<_> = (0..10_000).map(look).collect();
    took.sort_unstable();
    let median = took[took.len() / 2];
    assert!(median < std::time::Duration::from_micros(20), "{median:?}");
}

/// Whatever is sent: the path that the table is asked about is the one a worker gets, and a second
/// reader who normalises it again finds nothing to change.
#[test]
fn a_hundred_thousand_random_paths_are_matched_as_they_are_forwarded() {
    const PIECES: [&str; 26] = [
        "/", "/", "//", "/.", "/..", "/../", ".", "..", "a", "secret", "S", "%2e", "%2E", "%2f",
        "%2F", "%5c", "%73", "%53", "%25", ";", "%252e", "~", "%7e", "%00", "%", "\\",
    ];
    let table = table([on("", None), on("", prefix("/secret")), on("", exact("/a"))]);
    let mut rng = fastrand::Rng::with_seed(3);
    let mut counts = [0; 4];
    for _ in 0..100_000 {
        let mut sent = String::from("GET /");
        (0..rng.usize(..9)).for_each(|_| sent += PIECES[rng.usize(..PIECES.len())]);
        if rng.u8(..4) == 0 {
            sent += "?q=/../secret";
        }
        sent += " HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut head = isobar_http1::RequestHead::new();
        let limits = isobar_http1::Limits { head_bytes: 8192, headers: 10, uri: 8192 };
        // What the parser refuses is not matched at all; nor is what has no normal form.
        if head.parse(sent.as_bytes(), &limits).is_err() {
            counts[3] += 1;
            continue;
        }
        let Ok(target) = path::normalise(head.path_and_query(), Slashes::Merge)
            .map(|target| target.into_owned())
        else {
            counts[3] += 1;
            continue;
        };
        let (matched, _) = target.split_at(memchr::memchr(b'?', &target).unwrap_or(target.len()));
        let found = find(&table, "h", std::str::from_utf8(matched).expect("ascii"));
        // As the exchange does it.
        if target != head.path_and_query() {
            head.set_path(&target);
        }
        let mut wire = Vec::new();
        head.encode(&mut wire, isobar_http1::Body::None);
        let forwarded = wire.split(|&byte| byte == b' ').nth(1).expect("a target");
        let path = forwarded.split(|&byte| byte == b'?').next().expect("a path");
        let hidden = path == b"/secret" || path.starts_with(b"/secret/");
        let expected = if hidden { 1 } else { usize::from(path == b"/a") * 2 };
        assert_eq!(found, Some(expected), "{sent:?} became {:?}", String::from_utf8_lossy(path));
        assert_eq!(
            path::normalise(forwarded, Slashes::Merge).as_deref(),
            Ok(forwarded),
            "{sent:?}"
        );
        counts[expected] += 1;
    }
    assert!(counts.iter().all(|&count| count > 100), "{counts:?}");
}
