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

fn written(head: &str, hop: &Hop<'_>) -> String {
    let limits = Limits { head_bytes: 1 << 16, headers: 100, uri: 1 << 13 };
    let mut request = RequestHead::default();
    let input = format!("GET / HTTP/1.1\r\n{head}\r\n");
    let parsed = request.parse(input.as_bytes(), &limits);
    assert!(matches!(parsed, Ok(Parsed::Complete(_))), "{head}");
    let mut lines = Vec::new();
    write(&request, hop, &mut lines);
    String::from_utf8(lines).unwrap()
}

const LIES: &str = "Host: a.example:8080\r\n\
    X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: shop.example\r\nForwarded: for=1.1.1.1;proto=https\r\n";

#[test]
fn hb_06_what_an_outsider_says_is_overwritten() {
    let hop = Hop { ip: Some(ip("203.0.113.9")), trusted: false, proto: b"http" };
    assert_eq!(
        written(LIES, &hop),
        "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: http\r\n\
         X-Forwarded-Host: a.example:8080\r\n\
         Forwarded: for=203.0.113.9;host=\"a.example:8080\";proto=http\r\n"
    );
}

#[test]
fn hb_04_a_trusted_proxy_is_appended_to() {
    let hop = Hop { ip: Some(ip("10.0.0.1")), trusted: true, proto: b"http" };
    assert_eq!(
        written(LIES, &hop),
        "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
         X-Forwarded-Host: shop.example\r\n\
         Forwarded: for=1.1.1.1;proto=https, for=10.0.0.1;host=\"a.example:8080\";proto=http\r\n"
    );
}

#[test]
fn hb_06_first_hop_of_every_kind() {
    let v6 = Hop { ip: Some(ip("2001:db8::1")), trusted: false, proto: b"http" };
    assert_eq!(
        written("Host: a.example\r\n", &v6),
        "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\
         Forwarded: for=\"[2001:db8::1]\";host=a.example;proto=http\r\n"
    );
    let unix = Hop { ip: None, trusted: true, proto: b"http" };
    assert_eq!(
        written("Host: a.example\r\n", &unix),
        "X-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\n\
         Forwarded: for=unknown;host=a.example;proto=http\r\n"
    );
    let mapped = Hop { ip: Some(ip("::ffff:1.2.3.4")), trusted: false, proto: b"http" };
    assert!(written("Host: a\r\n", &mapped).starts_with("X-Forwarded-For: 1.2.3.4\r\n"));
}
