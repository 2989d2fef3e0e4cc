//! What is told about `slots` and `overflow`.

mod kit;

use isobar_config::Colour;
use kit::{file, good, one, warned};

#[test]
fn slots_with_two_numbers_have_both() {
    let slots = |text: &str| file("", &format!(", slots: {text}"));
    one(&slots("{ requests: 8 }"), &["found one half of `slots`", "{ requests: 8, tunnels: 500 }"]);
    one(&slots("{ tunnels: 8 }"), &["found one half of `slots`"]);
    one(&slots("{ requests: 8, tunnels: 0 }"), &["found `0`", "1 to 1000000"]);
    one(&slots("{ requests: 8, tunnel: 5 }"), &["unknown key `tunnel`", "did you mean `tunnels`?"]);
}

#[test]
fn tunnels_and_overflow_that_do_nothing_are_told() {
    warned(&file("", ", slots: 2, overflow: on"), &["`overflow` does nothing", "`tier: 1`"]);
    warned(
        &file(", protocol: tcp", ", slots: { requests: 2, tunnels: 5 }"),
        &["`slots.tunnels` means nothing in a pool that serves TCP"],
    );
    let chat = |wanted: &str, slots: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, routes: [{{ match: {wanted}, pool: app }}] }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1], slots: {slots} }} }}\n"
        )
    };
    for wanted in [
        "{ path_prefix: /ws }",
        "{ path: /chat/socket.io/ }",
        "{ header: { upgrade: websocket } }",
        "{ header: { accept: text/event-stream } }",
    ] {
        let parts = ["each open tunnel holds a slot for its life", "{ requests: N, tunnels: M }"];
        warned(&chat(wanted, "8"), &parts);
        let both = chat(wanted, "{ requests: 8, tunnels: 9 }");
        assert!(good(&both).warnings.render(Colour::Never).is_empty(), "{wanted}");
    }
    let split = chat("{ path_prefix: /ws }", "8").replace("pool: app }]", "split: { app: 1 } }]");
    warned(&split, &["each open tunnel holds a slot for its life"]);
    assert!(good(&chat("{ path_prefix: /news }", "8")).warnings.render(Colour::Never).is_empty());
}
