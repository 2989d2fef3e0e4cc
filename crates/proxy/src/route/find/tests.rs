use isobar_http1::{Limits, Parsed, RequestHead};

use super::*;
use crate::{
    metrics::RouteMetrics,
    route::{
        Action, Answer, Match, PathMatch, PathPattern, Reply, Respond, RetryPolicy, RouteSpec,
    },
};

fn prefix(path: &str) -> PathMatch {
    PathMatch::Prefix(path.to_owned())
}

fn exact(path: &str) -> PathMatch {
    PathMatch::Exact(path.to_owned())
}

fn regex(text: &str) -> PathMatch {
    let whole = regex::bytes::Regex::new(&format!("^(?:{text})$")).expect("an expression");
    PathMatch::Regex(PathPattern::new(text, whole))
}

fn spec(name: &str, paths: &[PathMatch], ambiguous: Option<AmbiguousPaths>) -> RouteSpec {
    let one = |path: &PathMatch| Match { path: Some(path.clone()), ..Match::default() };
    let reply = Reply::Respond(Respond { status: 204, headers: Box::default(), body: Vec::new() });
    let metrics = Arc::new(RouteMetrics::new(1));
    RouteSpec {
        name: name.to_owned(),
        matches: paths.iter().map(one).collect(),
        filters: None,
        action: Action::Answer(Box::new(Answer { reply, metrics })),
        retry: RetryPolicy::never(),
        ambiguous,
    }
}

/// The route's name, or none, and what is forwarded.
fn lead(routes: &Routes, path: &str) -> Result<(String, String), Unreadable> {
    let text = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut head = RequestHead::new();
    let limits = Limits { head_bytes: 1 << 20, headers: 100, uri: 1 << 20 };
    assert_eq!(head.parse(text.as_bytes(), &limits), Ok(Parsed::Complete(text.len())));
    let query = RouteQuery { target: head.path_and_query(), client: None, head: &head };
    let found = routes.lead(&query)?;
    let name = found.route.map_or("none".to_owned(), |route| route.name.clone());
    Ok((name, String::from_utf8_lossy(&found.target).into_owned()))
}

#[track_caller]
fn table(routes: &Routes, rows: &[(&str, Option<(&str, &str)>)]) {
    for (path, expected) in rows {
        let expected = expected.map(|(name, target)| (name.to_owned(), target.to_owned()));
        assert_eq!(lead(routes, path).ok(), expected, "{path}");
    }
}

fn rules(slashes: Slashes, ambiguous: AmbiguousPaths) -> PathRules {
    PathRules { slashes, ambiguous }
}

#[test]
fn no_reading_passes_a_rule() {
    let specs = vec![spec("admin", &[prefix("/admin")], None), spec("app", &[prefix("/")], None)];
    let routes = Routes::build(specs, PathRules::default());
    table(
        &routes,
        &[
            ("/admin%2Fusers", None),
            ("/%2Fadmin/users", None),
            ("/%2fadmin", None),
            ("/%5Cadmin", None),
            ("/admin;x", None),
            ("/admin;", None),
            ("/;/admin", None),
            ("/x/..;/admin", None),
            ("/x%2F..%2Fadmin", None),
            ("/x;%2Fadmin", Some(("app", "/x;%2Fadmin"))),
            ("/;%2Fadmin", None),
            // Who takes `%2F` for a slash and `%5C` for none reads /admin/a%5C..%5C..%5Cb.
            ("/admin%2Fa%5C..%5C..%5Cb", None),
            ("/admin/x;y/z%2F", Some(("admin", "/admin/x;y/z%2F"))),
            ("/admin/..%2Fx", None),
            ("/@scope%2fname", Some(("app", "/@scope%2Fname"))),
            ("/vhost/%2F", Some(("app", "/vhost/%2F"))),
            ("/a;b=c/d?e;f=%2Fadmin", Some(("app", "/a;b=c/d?e;f=%2Fadmin"))),
            ("/..;/x", None),
            ("/x/..%2F..%2Fy", None),
            ("/administrator%2Fx", Some(("app", "/administrator%2Fx"))),
            ("/%252Fadmin", Some(("app", "/%252Fadmin"))),
            ("/a//b", Some(("app", "/a/b"))),
        ],
    );
}

#[test]
fn exact_paths_and_expressions_are_rules_like_any_other() {
    let specs = vec![
        spec("exact", &[exact("/exact/y")], None),
        spec("regex", &[regex("/r/[0-9]+")], None),
        spec("two", &[prefix("/a"), prefix("/b"), exact("/c%2Fd"), exact("/c/d")], None),
        spec("sub", &[prefix("/s")], None),
    ];
    let routes = Routes::build(specs, PathRules::default());
    table(
        &routes,
        &[
            // One reading has a route, the other has none.
            ("/exact%2Fy", None),
            ("/exact/y;z", None),
            ("/x;%2Fy", Some(("none", "/x;%2Fy"))),
            ("/r%2F7", None),
            ("/r/7;a", None),
            ("/r/7;a=b/c", Some(("none", "/r/7;a=b/c"))),
            // The same route, whichever of its matches.
            ("/a/..;/b", Some(("two", "/a/..;/b"))),
            ("/c%2fd", Some(("two", "/c%2Fd"))),
            ("/s/x%2F..%2Fy", Some(("sub", "/s/x%2F..%2Fy"))),
            ("/s/x%2F..%2F..%2Fy", None),
            // Nobody takes it, however it is read.
            ("/nobody;x%2Fy", Some(("none", "/nobody;x%2Fy"))),
        ],
    );
}

#[test]
fn keep_and_decode_are_the_routes_that_the_path_as_sent_leads_to() {
    use AmbiguousPaths::{Decode, Keep, Refuse};
    let specs = || {
        vec![
            spec("admin", &[prefix("/admin")], None),
            spec("files", &[prefix("/files")], Some(Keep)),
            spec("read", &[prefix("/read")], Some(Decode)),
            spec("strict", &[prefix("/strict")], Some(Refuse)),
            spec("app", &[prefix("/")], None),
        ]
    };
    let keep = Routes::build(specs(), rules(Slashes::Merge, Keep));
    table(
        &keep,
        &[
            ("/admin%2fx;y", Some(("app", "/admin%2Fx;y"))),
            ("/..;/x", Some(("app", "/..;/x"))),
            ("/strict/..;/admin", None),
            ("/read/..;/admin/x?a;b", Some(("admin", "/admin/x?a;b"))),
        ],
    );
    let decode = Routes::build(specs(), rules(Slashes::Merge, Decode));
    table(
        &decode,
        &[
            ("/admin%2fx;y/z?q=%2F", Some(("admin", "/admin/x/z?q=%2F"))),
            ("/x;a%5Cy", Some(("app", "/x/y"))),
            ("/..;/x", None),
            ("/files/..;/admin", Some(("files", "/files/..;/admin"))),
            ("/strict/..;/admin", None),
        ],
    );
    let refuse = Routes::build(specs(), PathRules::default());
    table(&refuse, &[("/files/a%2Fb;c", Some(("files", "/files/a%2Fb;c"))), ("/files;a", None)]);
}

#[test]
fn kept_slashes_are_matched_and_forwarded() {
    let specs = || {
        vec![
            spec("ab", &[prefix("/a/b")], None),
            spec("double", &[prefix("/d//e"), exact("/d/e")], None),
            spec("regex", &[regex("/r//[a-z]+"), regex("/r/[a-z]+")], None),
            spec("app", &[prefix("/")], None),
        ]
    };
    let refuse = Routes::build(specs(), rules(Slashes::Keep, AmbiguousPaths::Refuse));
    table(
        &refuse,
        &[
            ("/a//b", None),
            ("//a/b", None),
            ("/x//y", Some(("app", "/x//y"))),
            ("/d//e", Some(("double", "/d//e"))),
            ("/r//abc", Some(("regex", "/r//abc"))),
            ("/a/b//c", Some(("ab", "/a/b//c"))),
            ("/;x/a/b", None),
            ("/x%2F/y", Some(("app", "/x%2F/y"))),
        ],
    );
    let keep = Routes::build(specs(), rules(Slashes::Keep, AmbiguousPaths::Keep));
    table(&keep, &[("/a//b", Some(("app", "/a//b"))), ("/d//e/f", Some(("double", "/d//e/f")))]);
    let decode = Routes::build(specs(), rules(Slashes::Keep, AmbiguousPaths::Decode));
    table(&decode, &[("/a//b", Some(("ab", "/a/b")))]);
}

/// `/new` behind a rewrite is not left by a reading of what stands behind it.
#[test]
fn a_replaced_prefix_is_never_climbed_over() {
    let to = NewPath::Prefix("/new".to_owned());
    for (path, matched, fits) in [
        ("/v1/a%2Fb;c?x=/..;/..", 3, true),
        ("/v1", 3, true),
        ("/v1?x", 3, true),
        ("/a/..;/a/x", 2, false),
        ("/a/b%2F..%2F..%2Fc", 2, false),
    ] {
        let checked = to.fits(path.as_bytes(), matched, Behind::Ambiguous, Slashes::Merge);
        assert_eq!(checked.is_ok(), fits, "{path}");
    }
    let kept = to.fits(b"/a/..;/b", 2, Behind::Plain, Slashes::Merge);
    assert_eq!(kept, Ok(()));
}
