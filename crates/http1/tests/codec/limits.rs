use std::fmt::Write as _;

use isobar_http1::*;

use crate::kit::*;

fn fields(count: usize) -> String {
    let mut request = String::from("GET / HTTP/1.1\r\nHost: a\r\n");
    for n in 1..count {
        write!(request, "a{n}: b\r\n").unwrap();
    }
    request + "\r\n"
}

#[test]
fn h1_29_head_limits() {
    let line =
        |target: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(target - 1));
    assert!(parse(line(LIMITS.uri)).is_ok());
    refused(414, [line(LIMITS.uri + 1), line(40_000), "GET /".to_string() + &"a".repeat(9_000)]);

    assert!(parse(fields(100)).is_ok());
    refused(431, [fields(101)]);

    let long = |length: usize| post(&format!("X: {}", "a".repeat(length)));
    let frame = long(0).len();
    assert!(parse(long(LIMITS.head_bytes - frame)).is_ok());
    refused(431, [long(LIMITS.head_bytes - frame + 1), long(1 << 20)]);
    refused(431, [format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(LIMITS.head_bytes))]);
}

#[test]
fn h1_29_more_fields_than_usual_where_allowed() {
    let limits = Limits { headers: 1_000, ..LIMITS };
    let mut head = RequestHead::new();
    let request = fields(900);
    let parsed = head.parse(request.as_bytes(), &limits);
    assert_eq!(parsed, Ok(Parsed::Complete(request.len())));
    assert_eq!(head.fields().count(), 900);
}

#[test]
fn h1_30_a_field_flood_is_refused_at_the_limit() {
    // Refused when line 101 arrives: the rest need not even be there.
    let flood = fields(20_000);
    let seen = flood.match_indices("\r\n").nth(101).unwrap().0 + 2;
    let mut head = RequestHead::new();
    assert_eq!(head.parse(&flood.as_bytes()[..seen], &LIMITS), Err(Error::TooManyFields(100)));

    let options = post(&format!("Connection: {}", "a,".repeat(10_000)));
    refused(400, [options]);
}

#[test]
fn h1_30_a_dripping_head_is_searched_once() {
    // 4 MiB, a byte at a time: anything quadratic would take hours.
    let limits = Limits { head_bytes: 8 << 20, ..LIMITS };
    let request = post(&format!("X: {}", "a".repeat(4 << 20)));
    let mut head = RequestHead::new();
    for end in 1..request.len() {
        assert_eq!(head.parse(&request.as_bytes()[..end], &limits), Ok(Parsed::Partial));
    }
    let parsed = head.parse(request.as_bytes(), &limits);
    assert_eq!(parsed, Ok(Parsed::Complete(request.len())));
}

#[test]
fn up_04_response_head_limits() {
    let long = ok(&format!("X: {}", "a".repeat(1 << 20)));
    let many = ok(&"a: b\r\n".repeat(20_000));
    refused_response([long, many]);
    // A status line is bounded by the head alone.
    assert!(parse_response(format!("HTTP/1.1 200 {}\r\n\r\n", "a".repeat(20_000)), "GET").is_ok());
}
