//! The line that log analysers know from Apache and nginx. It has no place for most of what we know;
//! the referrer is not part of an entry and always `-`.

use super::{Entry, clock, text};
use crate::forwarded;

pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match entry.client_ip {
        Some(ip) => forwarded::write_ip(out, ip),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - - [");
    clock::combined(entry.at, out);
    out.extend_from_slice(b"] \"");
    match (entry.method, entry.path) {
        (Some(method), Some(path)) => {
            text::escaped(method, out);
            out.push(b' ');
            text::escaped(path, out);
            out.push(b' ');
            text::escaped(entry.proto.unwrap_or("-").as_bytes(), out);
        }
        _ => out.push(b'-'),
    }
    out.extend_from_slice(b"\" ");
    match entry.status {
        Some(status) => text::number(status, out),
        None => out.push(b'-'),
    }
    out.push(b' ');
    text::number(entry.bytes_out, out);
    out.extend_from_slice(b" \"-\" \"");
    match entry.user_agent {
        Some(user_agent) => text::escaped(user_agent, out),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b"\"\n");
}
