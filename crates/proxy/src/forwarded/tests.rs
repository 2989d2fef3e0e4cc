use isobar_http1::{Limits, Parsed};

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn trusted() -> TrustedProxies {
    TrustedProxies::new(vec![(ip("10.0.0.0"), 8), (ip("fd00::"), 8), (ip("192.0.2.7"), 32)])
}

fn client(socket: &str, lines: &[&[u8]]) -> String {
    let client = client_ip(Some(ip(socket)), lines.iter().copied(), &trusted());
    client.expect("a socket with an address").to_string()
}

#[test]
fn networks_contain_their_addresses() {
    let all = TrustedProxies::new(vec![(ip("0.0.0.0"), 0)]);
    let mapped = TrustedProxies::new(vec![(ip("::ffff:10.0.0.0"), 104)]);
    let wide = TrustedProxies::new(vec![(ip("::"), 0), (ip("1.2.3.4"), 200)]);
    for (networks, address, expected) in [
        (&trusted(), "10.255.0.1", true),
        (&trusted(), "11.0.0.1", false),
        (&trusted(), "::ffff:10.1.1.1", true),
        (&trusted(), "fdff::1", true),
        (&trusted(), "fe00::1", false),
        (&trusted(), "192.0.2.7", true),
        (&trusted(), "192.0.2.6", false),
        (&all, "1.2.3.4", true),
        (&all, "::1", false),
        (&mapped, "10.9.9.9", true),
        (&mapped, "11.9.9.9", false),
        (&wide, "2001:db8::1", true),
        (&wide, "1.2.3.4", true),
        (&wide, "1.2.3.5", false),
        (&TrustedProxies::default(), "127.0.0.1", false),
    ] {
        assert_eq!(networks.contains(ip(address)), expected, "{address}");
    }
}

#[test]
fn hb_04_an_untrusted_socket_is_the_client_whatever_it_says() {
    assert_eq!(client("203.0.113.9", &[b"1.2.3.4"]), "203.0.113.9");
    assert_eq!(client("::ffff:203.0.113.9", &[]), "203.0.113.9");
}

#[test]
fn hb_04_the_first_untrusted_from_the_right_is_the_client() {
    let rows: [(&[&[u8]], &str); 9] = [
        (&[], "10.0.0.1"),
        (&[b"1.2.3.4"], "1.2.3.4"),
        (&[b"6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        (&[b"6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4"),
        (&[b"6.6.6.6", b"1.2.3.4,10.0.0.2", b"10.0.0.3"], "1.2.3.4"),
        (&[b"10.0.0.9, 10.0.0.2"], "10.0.0.9"),
        (&[b"1.2.3.4, junk, 10.0.0.2"], "10.0.0.2"),
        (&[b"1.2.3.4, junk"], "10.0.0.1"),
        (&[b"1.2.3.4,,, ,"], "1.2.3.4"),
    ];
    for (lines, expected) in rows {
        assert_eq!(client("10.0.0.1", lines), expected, "{lines:?}");
    }
}

#[test]
fn hb_05_ports_brackets_and_junk_never_confuse() {
    for (entry, expected) in [
        ("1.2.3.4:5678", "1.2.3.4"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("\"[2001:db8::1]:443\"", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("unknown", "10.0.0.1"),
        ("_hidden", "10.0.0.1"),
        ("1.2.3.4:", "10.0.0.1"),
        ("1.2.3.4:port", "10.0.0.1"),
        ("1.2.3.4:123456", "10.0.0.1"),
        ("[2001:db8::1", "10.0.0.1"),
        ("[2001:db8::1]x", "10.0.0.1"),
        ("[]", "10.0.0.1"),
        ("1.2.3", "10.0.0.1"),
        ("01.2.3.4", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1"),
        ("\u{661}.2.3.4", "10.0.0.1"),
    ] {
        assert_eq!(client("10.0.0.1", &[entry.as_bytes()]), expected, "{entry}");
    }
    assert_eq!(client("10.0.0.1", &[b"\xff\xfe\0"]), "10.0.0.1");
}

#[test]
fn hb_05_ten_thousand_entries_cost_one_walk() {
    let many = format!("1.2.3.4{}", ", 10.0.0.2".repeat(10_000));
    let lines = vec![many.as_bytes(); 10];
    assert_eq!(client("10.0.0.1", &lines), "1.2.3.4");
    assert_eq!(client("10.0.0.1", &[b",".repeat(100_000).as_slice()]), "10.0.0.1");
}

fn parsed(head: &str) -> RequestHead {
    let limits = Limits { head_bytes: 1 << 16, headers: 100, uri: 1 << 13 };
    let mut request = RequestHead::default();
    let input = format!("GET / HTTP/1.1\r\n{head}\r\n");
    let parsed = request.parse(input.as_bytes(), &limits);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))), "{head}");
    request
}

fn forwarding(field: ForwardedField) -> Forwarding {
    Forwarding { trusted: Arc::new(trusted()), client_ip_header: None, field }
}

fn written(head: &str, hop: &Hop<'_>, field: ForwardedField) -> String {
    let mut lines = Vec::new();
    write(&parsed(head), hop, &forwarding(field), &mut lines);
    String::from_utf8(lines).unwrap()
}

fn outsider(address: &str) -> Hop<'static> {
    Hop { ip: Some(ip(address)), trusted: false, proto: b"http", named: None }
}

fn insider() -> Hop<'static> {
    Hop { ip: Some(ip("10.0.0.1")), trusted: true, proto: b"http", named: None }
}

const LIES: &str = "Host: a.example:8080\r\n\
    X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: shop.example\r\nForwarded: for=1.1.1.1;proto=https\r\n";

#[test]
fn hb_06_what_an_outsider_says_is_overwritten() {
    let told = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: a.example:8080\r\n";
    assert_eq!(written(LIES, &outsider("203.0.113.9"), ForwardedField::Off), told);
    assert_eq!(
        written(LIES, &outsider("203.0.113.9"), ForwardedField::On),
        format!("{told}Forwarded: for=203.0.113.9;host=\"a.example:8080\";proto=http\r\n")
    );
}

#[test]
fn hb_04_a_trusted_proxy_is_appended_to() {
    let told = "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: shop.example\r\n";
    assert_eq!(written(LIES, &insider(), ForwardedField::Off), told);
    assert_eq!(
        written(LIES, &insider(), ForwardedField::On),
        format!(
            "{told}Forwarded: for=1.1.1.1;host=shop.example;proto=https, for=2.2.2.2, \
             for=10.0.0.1;host=shop.example;proto=https\r\n"
        )
    );
}

#[test]
fn hb_06_first_hop_of_every_kind() {
    assert_eq!(
        written("Host: a.example\r\n", &outsider("2001:db8::1"), ForwardedField::On),
        "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\
         Forwarded: for=\"[2001:db8::1]\";host=a.example;proto=http\r\n"
    );
    let unix = Hop { ip: None, ..insider() };
    assert_eq!(
        written("Host: a.example\r\n", &unix, ForwardedField::On),
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\
         Forwarded: for=unknown;host=a.example;proto=http\r\n"
    );
    let mapped = written("Host: a\r\n", &outsider("::ffff:1.2.3.4"), ForwardedField::Off);
    assert!(mapped.starts_with("X-Forwarded-For: 1.2.3.4\r\n"), "{mapped}");
}

/// What a trusted proxy says in one family reaches the worker in the other.
#[test]
fn a_trusted_proxy_may_speak_the_other_family() {
    for (sent, clients, proto, host) in [
        ("for=1.1.1.1;proto=https;host=shop.example", "1.1.1.1, 10.0.0.1", "https", "shop.example"),
        (
            "FOR=\"[2001:db8::7]:4711\";Proto=https; Host=\"shop.example:8443\"",
            "2001:db8::7, 10.0.0.1",
            "https",
            "shop.example:8443",
        ),
        ("for=\"1.2.3.4:_port\"", "1.2.3.4, 10.0.0.1", "http", "h"),
        ("for=unknown;proto=https", "unknown, 10.0.0.1", "https", "h"),
        ("for=_hidden", "_hidden, 10.0.0.1", "http", "h"),
        ("proto=https", "10.0.0.1", "https", "h"),
        ("for=6.6.6.6;proto=https, proto=http", "6.6.6.6, unknown, 10.0.0.1", "http", "h"),
        // The client is where trust ends; whatever stands left of it is its own word.
        (
            "for=6.6.6.6;proto=https;host=evil, for=1.1.1.1;proto=http, for=10.0.0.2",
            "6.6.6.6, 1.1.1.1, 10.0.0.2, 10.0.0.1",
            "http",
            "h",
        ),
        ("for=1.1.1.1, for=10.0.0.2;proto=https", "1.1.1.1, 10.0.0.2, 10.0.0.1", "https", "h"),
        ("for=1.1.1.1;proto=\"ht tp\";host=\"a b\"", "1.1.1.1, 10.0.0.1", "http", "h"),
        ("for=1.1.1.1\r\nForwarded: for=10.0.0.3", "1.1.1.1, 10.0.0.3, 10.0.0.1", "http", "h"),
    ] {
        let head = format!("Host: h\r\nForwarded: {sent}\r\n");
        let told = written(&head, &insider(), ForwardedField::Off);
        let expected = format!(
            "X-Forwarded-For: {clients}\r\nX-Forwarded-Proto: {proto}\r\nX-Forwarded-Host: {host}\r\n"
        );
        assert_eq!(told, expected, "{sent}");
        assert!(!written(&head, &outsider("8.8.8.8"), ForwardedField::On).contains("1.1.1.1"));
    }
    // Whoever speaks of the client itself may pass on what it never looked at.
    let both = "Host: h\r\nX-Forwarded-For: 1.1.1.1\r\nForwarded: for=6.6.6.6;proto=https\r\n";
    let told = written(both, &insider(), ForwardedField::On);
    assert!(told.contains("X-Forwarded-Proto: http\r\n") && !told.contains("6.6.6.6"), "{told}");
}

#[test]
fn both_families_say_the_same() {
    for sent in [
        "X-Forwarded-For: [2001:db8::7]:443, junk, unknown, _x\r\nX-Forwarded-Proto: https\r\n",
        "Forwarded: for=\"[2001:db8::7]:443\";proto=https, for=junk!, for=unknown, for=_x;proto=https\r\n",
    ] {
        let told = written(&format!("Host: h\r\n{sent}"), &insider(), ForwardedField::On);
        let expected = "Forwarded: for=\"[2001:db8::7]\";host=h;proto=https, for=unknown, \
             for=unknown, for=_x, for=10.0.0.1;host=h;proto=https\r\n";
        assert!(told.ends_with(expected), "{told}");
    }
}

#[test]
fn quotes_do_not_hide_what_a_proxy_appended() {
    for (sent, expected) in [
        ("for=\"6.6.6.6, for=1.1.1.1", "1.1.1.1"),
        ("for=\", for=\"1.1.1.1\"", "1.1.1.1"),
        ("x=\"a, for=9.9.9.9\", for=1.1.1.1", "1.1.1.1"),
        ("for=\"6.6.6.6\\\", for=1.1.1.1", "1.1.1.1"),
        ("for=1.1.1.1;for=2.2.2.2", "10.0.0.1"),
        ("for=1.1.1.1;junk", "10.0.0.1"),
        ("for=1.1.1.1, for=10.0.0.2", "1.1.1.1"),
        ("for=1.1.1.1, for=junk", "10.0.0.1"),
        ("proto=https", "10.0.0.1"),
        (",,;,", "10.0.0.1"),
    ] {
        let request = parsed(&format!("Host: h\r\nForwarded: {sent}\r\n"));
        let client = client_of(&request, Some(ip("10.0.0.1")), &forwarding(ForwardedField::Off));
        assert_eq!(client, Some(ip(expected)), "{sent}");
        let outside = client_of(&request, Some(ip("8.8.8.8")), &forwarding(ForwardedField::On));
        assert_eq!(outside, Some(ip("8.8.8.8")), "{sent}");
    }
}

#[test]
fn one_field_may_name_the_client() {
    let rules = Forwarding {
        client_ip_header: Some("cf-connecting-ip".to_owned()),
        ..forwarding(ForwardedField::Off)
    };
    for (fields, expected) in [
        ("CF-Connecting-IP: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\n", "1.1.1.1"),
        ("CF-Connecting-IP: 2001:db8::1\r\n", "2001:db8::1"),
        ("CF-Connecting-IP: junk\r\nX-Forwarded-For: 2.2.2.2\r\n", "10.0.0.1"),
        ("CF-Connecting-IP: 1.1.1.1\r\nCF-Connecting-IP: 3.3.3.3\r\n", "10.0.0.1"),
        ("CF-Connecting-IP: 1.1.1.1, 3.3.3.3\r\n", "10.0.0.1"),
        ("X-Forwarded-For: 2.2.2.2\r\n", "10.0.0.1"),
    ] {
        let request = parsed(&format!("Host: h\r\n{fields}"));
        let client = client_of(&request, Some(ip("10.0.0.1")), &rules);
        assert_eq!(client, Some(ip(expected)), "{fields}");
        assert_eq!(client_of(&request, Some(ip("8.8.8.8")), &rules), Some(ip("8.8.8.8")));
    }
    let mut lines = Vec::new();
    let hop = Hop { named: Some(ip("1.1.1.1")), ..insider() };
    write(&parsed("Host: h\r\n"), &hop, &rules, &mut lines);
    assert!(lines.starts_with(b"X-Forwarded-For: 1.1.1.1, 10.0.0.1\r\n"));
}

#[test]
fn thousands_of_elements_are_bounded() {
    let many = format!("Host: {}\r\nX-Forwarded-For: {}\r\n", "h".repeat(200), "1,".repeat(15_000));
    let told = written(&many, &insider(), ForwardedField::On);
    assert!(told.len() < 20 * many.len(), "{}", told.len());
}
