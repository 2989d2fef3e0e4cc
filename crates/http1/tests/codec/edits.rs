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
