//! What routes of a good file mean.

mod kit;

use std::num::NonZeroU32;

use isobar_config::Loaded;
use isobar_config::model::*;

fn loaded(route: &str) -> Loaded {
    let text = format!(
        "listeners: {{ web: {{ bind: '127.0.0.1:0', routes: [{route}] }} }}\n\
         pools:\n  app: {{ workers: ['127.0.0.1:1'], timeouts: {{ request: 9s }} }}\n  canary: {{ workers: ['127.0.0.1:2'] }}\n"
    );
    kit::good(&text)
}

fn route(text: &str) -> Route {
    let Loaded { mut config, .. } = loaded(text);
    let ListenerKind::Http { routes } = config.listeners.remove("web").unwrap().kind else {
        panic!("{text}")
    };
    routes.into_iter().next().unwrap()
}

#[test]
fn a_split_has_shares_and_each_pool_its_own_time_outs() {
    let Action::Split(members) =
        route("{ split: { app: 95, canary: 5 }, timeouts: { first_byte: 3s } }").action
    else {
        panic!()
    };
    let seen: Vec<_> = members
        .iter()
        .map(|(to, share)| (to.pool.as_str(), share.get(), to.timeouts.request.is_some()))
        .collect();
    assert_eq!(seen, [("app", 95, true), ("canary", 5, false)]);
    assert!(members.iter().all(|(to, _)| to.timeouts.first_byte.unwrap().as_secs() == 3));
}

#[test]
fn a_pool_without_a_share_is_used_but_gets_nothing() {
    let Loaded { config, warnings } = loaded("{ split: { app: 1, canary: 0 } }");
    assert!(warnings.is_empty(), "{warnings}");
    let ListenerKind::Http { routes } = &config.listeners["web"].kind else { panic!() };
    let Action::Split(members) = &routes[0].action else { panic!() };
    assert_eq!(members.len(), 1);
    assert_eq!(members[0].1, NonZeroU32::MIN);
}

fn redirect(text: &str) -> Redirect {
    match route(&format!("{{ {text} }}")).action {
        Action::Redirect(redirect) => redirect,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_redirect_leads_to_a_path_a_host_or_both() {
    let nothing = Redirect { status: 302, scheme: None, host: None, port: None, path: None };
    let whole = |path: &str| Some(NewPath::Whole(path.into()));
    for (text, expected) in [
        ("redirect: /new", Redirect { path: whole("/new"), ..nothing.clone() }),
        (
            "redirect: { to: /new, status: 308 }",
            Redirect { status: 308, path: whole("/new"), ..nothing.clone() },
        ),
        (
            "redirect: 'HTTPS://WWW.Example.com'",
            Redirect {
                scheme: Some(Scheme::Https),
                host: Some("www.example.com".into()),
                ..nothing.clone()
            },
        ),
        (
            "redirect: 'https://[2001:db8::1]:8443/'",
            Redirect {
                scheme: Some(Scheme::Https),
                host: Some("[2001:db8::1]".into()),
                port: Some(8443),
                path: whole("/"),
                ..nothing.clone()
            },
        ),
        (
            "redirect: { scheme: https, status: 301 }",
            Redirect { status: 301, scheme: Some(Scheme::Https), ..nothing.clone() },
        ),
        (
            "match: { path_prefix: /v1 }, redirect: { path_prefix: /v2, host: a.example. }",
            Redirect {
                host: Some("a.example".into()),
                path: Some(NewPath::Prefix("/v2".into())),
                ..nothing.clone()
            },
        ),
    ] {
        assert_eq!(redirect(text), expected, "{text}");
    }
}

#[test]
fn an_answer_has_a_type_where_it_has_a_body() {
    for (text, status, headers, body) in [
        ("respond: 404", 404, &[][..], ""),
        ("respond: { status: 304 }", 304, &[], ""),
        ("respond: { body: hi }", 200, &[("content-type", "text/plain; charset=utf-8")], "hi"),
        (
            "respond: { body: '{}', content_type: application/json, headers: { X-A: b } }",
            200,
            &[("x-a", "b"), ("content-type", "application/json")],
            "{}",
        ),
        (
            "respond: { body: '<p>', headers: { Content-Type: text/html } }",
            200,
            &[("content-type", "text/html")],
            "<p>",
        ),
    ] {
        let Action::Respond(own) = route(&format!("{{ {text} }}")).action else { panic!("{text}") };
        let has: Vec<_> = own.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!((own.status, &has[..], own.body.as_str()), (status, headers, body), "{text}");
    }
}

#[test]
fn a_match_asks_for_expressions_values_and_networks() {
    let route = route(
        "{ pool: app, match: { path_regex: '/users/[0-9]+', header: { X-A: { present: true } }, \
         query: { q: { regex: 'a|b' }, r: 1 }, cookie: { s: x }, client: [10.0.0.0/8] } }",
    );
    assert_eq!(route.name, "~/users/[0-9]+ [x-a] [?q] [?r] [cookie s] [client]");
    let m = &route.matches[0];
    let regex = &m.path_regex.as_ref().unwrap().regex;
    for (path, fits) in [("/users/7", true), ("/users/7/x", false), ("/x/users/7", false)] {
        assert_eq!(regex.is_match(path.as_bytes()), fits, "{path}");
    }
    assert_eq!(m.headers, [("x-a".into(), ValueMatch::Present)]);
    let ValueMatch::Regex(either) = &m.query[0].1 else { panic!() };
    assert!(either.regex.is_match(b"a") && !either.regex.is_match(b"ab"));
    assert_eq!(m.query[1], ("r".into(), ValueMatch::Exact("1".into())));
    assert_eq!(m.cookies, [("s".into(), ValueMatch::Exact("x".into()))]);
    assert_eq!((m.clients.len(), m.clients[0].len), (1, 8));
}

/// PT-06: an expression that makes other engines try for years is matched in one pass, and one that
/// is large when compiled is refused when it is read.
#[test]
fn pt_06_expressions_are_linear_and_bounded() {
    let route = route("{ pool: app, match: { path_regex: '/(a+)+(a|aa)*b' } }");
    let regex = &route.matches[0].path_regex.as_ref().unwrap().regex;
    let path = format!("/{}", "a".repeat(64 * 1024));
    let began = std::time::Instant::now();
    assert!(!regex.is_match(path.as_bytes()));
    assert!(began.elapsed() < std::time::Duration::from_secs(1), "{:?}", began.elapsed());
    for large in ["/(a{1000}){1000}", "/[a-z]{60000}", &"(".repeat(33), &"/a?".repeat(400)] {
        let text = format!(
            "listeners: {{ web: {{ bind: '127.0.0.1:0', routes: [\n\
             {{ pool: app, match: {{ path_regex: '{large}' }} }} ] }} }}\n\
             pools: {{ app: {{ workers: ['127.0.0.1:1'] }} }}\n"
        );
        let problems = isobar_config::load_str(&text, &kit::registry());
        let problems = problems.expect_err(large);
        assert_eq!(problems.iter().next().and_then(|problem| problem.line), Some(2), "{large}");
    }
}

/// Which of two routes is told that it is never taken.
#[test]
fn what_can_never_match_is_told() {
    for (first, second, hidden) in [
        ("{ path: /a }", "{ path: /a }", true),
        ("{ path_prefix: /a/ }", "{ path_prefix: /a }", true),
        ("{ path_prefix: / }", "{ host: a.example }", false),
        ("{ path: /a }", "{ path: /a, method: GET }", false),
        ("{ path: /a, method: [GET, POST] }", "{ path: /a, method: GET }", true),
        ("{ path: /a, method: GET }", "{ path: /a, method: [GET, POST] }", false),
        ("{ header: { a: { present: true } } }", "{ header: { a: '1' } }", true),
        ("{ header: { a: '1' } }", "{ header: { a: '2' } }", false),
        ("{ header: { a: '1', b: '1' } }", "{ header: { a: '1' } }", false),
        ("{ query: { a: '1' } }", "{ query: { a: '1' } }", true),
        ("{ cookie: { a: '1' } }", "{ cookie: { b: '1' } }", false),
        ("{ client: 10.0.0.0/8 }", "{ client: [10.1.0.0/16, 10.2.3.4] }", true),
        ("{ client: 10.1.0.0/16 }", "{ client: 10.0.0.0/8 }", false),
        ("{ client: '::/0' }", "{ client: 10.0.0.0/8 }", false),
        ("{ path_regex: '/a.*' }", "{ path_regex: '/a.*' }", true),
        ("[{ path: /a }, { path: /b }]", "[{ path: /b }, { path: /a }]", true),
        ("[{ path: /a }, { path: /b }]", "[{ path: /b }, { path: /c }]", false),
    ] {
        let told = loaded(&format!(
            "{{ match: {first}, split: {{ app: 1, canary: 1 }} }}, {{ match: {second}, pool: app }}"
        ));
        let warnings = told.warnings.to_string();
        assert_eq!(warnings.contains("this one is never taken"), hidden, "{first} {second}");
    }
}
