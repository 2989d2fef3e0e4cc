//! The table against the slowest way to say the same: look at every match, keep the most specific.

use super::tests::find_with;
use super::*;
use crate::route::{PathPattern, Value};

fn pick<'a, T: ?Sized>(rng: &mut fastrand::Rng, of: &[&'a T]) -> &'a T {
    of[rng.usize(..of.len())]
}

fn random_match(rng: &mut fastrand::Rng) -> Match {
    let regex = |text: &str| {
        let whole = regex::bytes::Regex::new(&format!("^(?:{text})$")).expect("an expression");
        PathMatch::Regex(PathPattern::new(text, whole))
    };
    let path = match rng.u8(..5) {
        0 => None,
        1 => Some(regex(pick(rng, &["/a/[bc]", "/.*", "/a/b/.*", "/(a|b)/?.*", "/a/b", "/b|/c"]))),
        2 => Some(PathMatch::Exact(pick(rng, &["/", "/a", "/a/b", "/b/", "/a/c"]).to_owned())),
        _ => Some(PathMatch::Prefix(pick(rng, &["/", "/a", "/a/", "/a/b", "/b", "/c"]).to_owned())),
    };
    let value = |rng: &mut fastrand::Rng| match rng.bool() {
        true => Value::Present,
        false => Value::Exact("1".to_owned()),
    };
    let mut headers = Vec::new();
    for name in ["x-a", "x-b"] {
        if rng.u8(..4) == 0 {
            headers.push((name.to_owned(), value(rng)));
        }
    }
    Match {
        host: match rng.u8(..2) {
            0 => None,
            _ => Some(pick(rng, &["a.x", "*.x", "*.a.x", "b.a.x"]).to_owned()),
        },
        path,
        methods: match rng.u8(..3) {
            0 => vec![pick(rng, &["GET", "POST"]).to_owned()],
            _ => Vec::new(),
        },
        headers,
        ..Match::default()
    }
}

/// More labels of a wildcard are more specific; an exact host beats them all.
fn host_rank(one: &Match, host: &str) -> Option<usize> {
    match one.host.as_deref() {
        None => Some(0),
        Some(wanted) => match wanted.strip_prefix("*.") {
            None => (wanted == host).then_some(usize::MAX),
            Some(parent) => {
                let covers = host
                    .strip_suffix(parent)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
                covers.then(|| parent.split('.').count())
            }
        },
    }
}

fn path_fits(one: &Match, path: &str) -> bool {
    match &one.path {
        None => true,
        Some(PathMatch::Exact(wanted)) => wanted == path,
        Some(PathMatch::Regex(pattern)) => pattern.is_match(path.as_bytes()),
        Some(PathMatch::Prefix(wanted)) => {
            let wanted = wanted.trim_end_matches('/');
            let rest = path.strip_prefix(wanted);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

#[test]
fn the_table_finds_what_a_look_at_every_match_finds() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut found = 0;
    for _ in 0..2_000 {
        let matches: Vec<Match> = (0..rng.usize(1..12)).map(|_| random_match(&mut rng)).collect();
        let entries = matches.iter().cloned().enumerate().map(|(at, one)| (vec![one], at));
        let table = Table::build(entries, Slashes::Merge);
        for _ in 0..20 {
            let host = pick(&mut rng, &["a.x", "b.a.x", "c.b.a.x", "x", "y", "d.x"]);
            let path = pick(
                &mut rng,
                &["/", "/a", "/a/", "/a/b", "/a/b/c", "/a/c", "/ab", "/b", "/b/", "/c", "/d"],
            );
            let method = pick(&mut rng, &["GET", "POST", "PUT"]);
            let mut headers = Vec::new();
            for name in ["x-a", "x-b"] {
                match rng.u8(..3) {
                    0 => headers.push((name, "1")),
                    1 => headers.push((name, "2")),
                    _ => {}
                }
            }
            let asked = Asked {
                host: host.as_bytes(),
                path: path.as_bytes(),
                query: b"",
                method: method.as_bytes(),
                client: None,
                fields: &headers[..],
            };
            let fits = matches.iter().enumerate().filter_map(|(at, one)| {
                let host = host_rank(one, host)?;
                let fits = path_fits(one, path)
                    && one.has_method(asked.method)
                    && one.lacks(&asked).is_none();
                fits.then(|| ((host, one.rank(), Reverse(at)), at))
            });
            let expected = fits.max_by_key(|(rank, _)| *rank).map(|(_, at)| at);
            let got = find_with(&table, host, path, method, &headers);
            assert_eq!(got, expected, "{method} {host}{path} {headers:?} in {matches:#?}");
            found += usize::from(got.is_some());
        }
    }
    assert!(found > 10_000, "{found}");
}
