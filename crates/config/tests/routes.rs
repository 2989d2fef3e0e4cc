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
