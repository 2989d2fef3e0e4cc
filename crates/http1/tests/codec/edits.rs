use isobar_http1::*;

use crate::kit::*;

#[test]
fn hb_12_no_edit_can_end_a_line() {
    let mut head = parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    head.set("X-Request-Id", "1\r\nX-Evil: 1\r\n\r\nGET /");
    head.append("X-Sni", b"a\0b\nc\rd\x7fe\tf\xe9");
    head.set("X-Bad\r\nX-Evil", "1");
    head.append("X Bad", "1");
    head.append("", "1");
    head.set("Content-Length", "5");
    head.append("Transfer-Encoding", "chunked");
    head.set("Connection", "close");
    head.set_path(b"/a b\r\nX-Evil: 1#\0\xe9");
    let mut out = Vec::new();
    head.encode(&mut out, head.body());
    assert_eq!(
        out.escape_ascii().to_string(),
        b"GET /a%20b%0D%0AX-Evil:%201%23%00%E9 HTTP/1.1\r\nHost: a\r\n\
          X-Request-Id: 1X-Evil: 1GET /\r\nX-Sni: abcde\tf\xe9\r\n\r\n"
            .escape_ascii()
            .to_string()
    );
}

#[test]
fn set_replaces_append_adds_remove_removes() {
    let mut head =
        parse("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nVia: v\r\nx-one: 2\r\nDate: d\r\n\r\n")
            .unwrap();
    head.set("X-ONE", "3");
    head.append("X-One", "4");
    head.append("Via", "w");
    head.remove(FieldId::Date);
    head.remove(FieldId::Other);
    assert_eq!(
        encoded(&head),
        "GET / HTTP/1.1\r\nHost: a\r\nVia: v\r\nX-ONE: 3\r\nX-One: 4\r\nVia: w\r\n\r\n"
    );
    // What was received stays readable; a later edit replaces an earlier one.
    assert_eq!(head.value(FieldId::Date), Some(&b"d"[..]));
    head.set("x-one", "5");
    head.remove(FieldId::Via);
    head.set("Date", "e");
    head.set("Date", "f");
    assert_eq!(encoded(&head), "GET / HTTP/1.1\r\nHost: a\r\nx-one: 5\r\nDate: f\r\n\r\n");
}

#[test]
fn any_name_can_be_removed() {
    let mut head =
        parse("GET / HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nDate: d\r\nx-one: 2\r\nX-Two: 3\r\n\r\n")
            .unwrap();
    head.append("X-One", "4");
    for name in ["x-ONE", "date", "host", "absent"] {
        head.remove_named(name);
    }
    head.append("X-One", "5");
    assert_eq!(encoded(&head), "GET / HTTP/1.1\r\nHost: a\r\nX-Two: 3\r\nX-One: 5\r\n\r\n");
    let mut head = parse_response(ok("Server: s\r\nContent-Length: 0"), "GET").unwrap();
    head.remove_named("SERVER");
    assert_eq!(answered(&head, Connection::KeepAlive, Version::Http11), ok("Content-Length: 0"));
}

#[test]
fn host_can_be_replaced_but_not_removed() {
    for (line, spelling) in [("/", "host: a\r\n"), ("http://b/", "Host: b\r\n")] {
        let mut head = parse(format!("GET {line} HTTP/1.1\r\nhost: a\r\n\r\n")).unwrap();
        head.remove(FieldId::Host);
        assert_eq!(encoded(&head), format!("GET / HTTP/1.1\r\n{spelling}\r\n"));
        head.set("Host", "c");
        assert_eq!(encoded(&head), "GET / HTTP/1.1\r\nHost: c\r\n\r\n");
    }
}

#[test]
fn a_new_path_replaces_the_old_one() {
    let mut head = parse("GET /a/../b?c HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    head.set_path(b"/b?c");
    assert_eq!(encoded(&head), "GET /b?c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.path_and_query(), b"/a/../b?c");
    assert_eq!(head.forwarded_path(), b"/b?c");
}

#[test]
fn a_response_is_edited_the_same_way() {
    let mut head = parse_response(ok("Server: s\r\nContent-Length: 0"), "GET").unwrap();
    head.set("Server", "isobar\r\n");
    head.append("X-Isobar-Reason", "none");
    head.remove(FieldId::ContentLength);
    assert_eq!(
        answered(&head, Connection::KeepAlive, Version::Http11),
        ok("Server: isobar\r\nX-Isobar-Reason: none\r\nContent-Length: 0")
    );
}

#[test]
fn each_field_is_told_as_it_is_written() {
    let mut head = parse(
        "GET / HTTP/1.1\r\nHost: a\r\nX-One:1\r\nConnection: close, x-two\r\nX-Two: 2\r\n\
         Transfer-Encoding: chunked\r\nTrailer: t\r\nDate: d\r\n\r\n",
    )
    .unwrap();
    head.set("date", "e");
    head.append("X-Three", "3\r\n4");
    let mut told = String::new();
    head.each(|name, value| {
        told += &format!("{}: {}\r\n", name.escape_ascii(), value.escape_ascii());
    });
    assert_eq!(told, "Host: a\r\nX-One: 1\r\ndate: e\r\nX-Three: 34\r\n");
    let told = told.replace("date: e", "Trailer: t\r\ndate: e");
    let written = format!("GET / HTTP/1.1\r\n{told}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(encoded(&head), written);
}

/// What is built reads as if it had been received, and no value ends a line.
#[test]
fn a_response_can_be_built() {
    let mut head = ResponseHead::new();
    head.build(404, "Not Found", Some(3), b"GET");
    head.add("Content-Type", "text/plain");
    head.add("X-Odd", "a\r\nX-Evil: b");
    head.add("Content-Length", "5");
    head.add("Connection", "close");
    head.add("X Bad", "1");
    assert_eq!(head.body(), ResponseBody::Length(3));
    assert_eq!(head.value(FieldId::ContentType), Some(&b"text/plain"[..]));
    head.set("content-type", "text/html");
    let written = |head: &ResponseHead, framing| {
        let mut out = Vec::new();
        head.encode(&mut out, framing, Connection::KeepAlive, Version::Http11);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        written(&head, ResponseFraming::Length(3)),
        "HTTP/1.1 404 Not Found\r\nX-Odd: aX-Evil: b\r\ncontent-type: text/html\r\nContent-Length: 3\r\n\r\n"
    );
    // The memory is used again, and nothing else of it.
    head.build(200, "OK", Some(3), b"HEAD");
    assert_eq!(head.body(), ResponseBody::None);
    assert_eq!(
        written(&head, ResponseFraming::None),
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"
    );
}
