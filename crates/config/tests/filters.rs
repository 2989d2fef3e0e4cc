//! What a good file says of filters.

mod kit;

use std::time::Duration;

use isobar_config::model::*;
use kit::with_listener;

fn only_filter(filter: &str) -> Filter {
    let listener = format!("    bind: 127.0.0.1:0\n    pool: app\n    filters: [ {filter} ]");
    let mut filters = with_listener(&listener).filters;
    assert_eq!(filters.len(), 1, "{filters:?}");
    filters.remove(0)
}

#[test]
fn filters_are_in_the_order_of_the_file_on_listeners_and_routes() {
    let listener = with_listener(
        "    bind: 127.0.0.1:0
    filters: [ { max_body: 1KiB }, { deny: 10.0.0.0/8 }, { deny: [10.0.0.0/8, \"::1\"] } ]
    routes:
      - { pool: app, filters: [ { allow: 127.0.0.1 } ] }
      - { match: { path: /x }, pool: b, filters: off }",
    );
    let net = |addr: &str, len| Cidr { addr: addr.parse().unwrap(), len };
    let ten = net("10.0.0.0", 8);
    assert_eq!(
        listener.filters,
        [Filter::MaxBody(1024), Filter::Deny(vec![ten]), Filter::Deny(vec![ten, net("::1", 128)])]
    );
    let ListenerKind::Http { routes } = listener.kind else { panic!() };
    assert_eq!(routes[0].filters, [Filter::Allow(vec![net("127.0.0.1", 32)])]);
    assert_eq!(routes[1].filters, []);
}

#[test]
fn header_edits_keep_their_spelling() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let filter = "{ headers: { request: { remove: Cookie, set: { X-Env: prod } },
        response: { remove: [Server, X-Powered-By], add: { Set-Cookie: a=1; b, X-Frame-Options: DENY } } } }";
    let request = FieldEdits {
        remove: vec!["Cookie".to_owned()],
        set: vec![pair("X-Env", "prod")],
        add: vec![],
    };
    let response = FieldEdits {
        remove: vec!["Server".to_owned(), "X-Powered-By".to_owned()],
        set: vec![],
        add: vec![pair("Set-Cookie", "a=1; b"), pair("X-Frame-Options", "DENY")],
    };
    assert_eq!(only_filter(filter), Filter::Headers { request, response });
}

#[test]
fn filters_have_their_defaults() {
    let Filter::RateLimit(limit) = only_filter("{ rate_limit: { rate: 60/m } }") else { panic!() };
    assert_eq!(
        (limit.key, limit.count, limit.unit),
        (RateKey::ClientIp, 60, Duration::from_secs(60))
    );
    assert_eq!((limit.burst, limit.keys), (60, 65_536));
    let Filter::Compression(compression) = only_filter("{ compression: {} }") else { panic!() };
    assert_eq!(compression.encodings, [Coding::Zstd, Coding::Br, Coding::Gzip]);
    assert_eq!((compression.min_size, compression.max_active), (1024, 1000));
    assert!(compression.types.iter().any(|kind| kind == "text/*"));
    let Filter::BasicAuth(auth) = only_filter("{ basic_auth: { users: { file: tests/users } } }")
    else {
        panic!()
    };
    let names: Vec<_> = auth.users.iter().map(|user| &*user.name).collect();
    assert_eq!((&names[..], &*auth.realm), (&["ann", "bob"][..], "restricted"));
    assert_eq!(auth.authorization, Forwarding::Remove);
    assert!(!format!("{auth:?}").contains('$'), "{auth:?}");
}
