//! The line that log analysers know from Apache and nginx: `$remote_addr - $remote_user [$time_local]
//! "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`. It has no place for most
//! of what we know.

use base64::Engine as _;

use super::{Entry, clock, text};
use crate::forwarded;

/// Longer credentials are not looked into.
const LONGEST: usize = 1024;

pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match entry.client_ip {
        Some(ip) => forwarded::write_ip(out, ip),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - ");
    user(entry.authorization.unwrap_or_default(), out);
    out.extend_from_slice(b" [");
    clock::combined(entry.at, out);
    out.extend_from_slice(b"] \"");
    match (entry.method, entry.target) {
        (Some(method), Some(target)) => {
            text::escaped(method, out);
            out.push(b' ');
            text::escaped(target, out);
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
    text::number(entry.body_out, out);
    out.extend_from_slice(b" \"");
    text::escaped(entry.referrer.unwrap_or(b"-"), out);
    out.extend_from_slice(b"\" \"");
    text::escaped(entry.user_agent.unwrap_or(b"-"), out);
    out.extend_from_slice(b"\"\n");
}

/// The name that Basic credentials give (RFC 7617), right or wrong, and never a password: what has
/// no colon may be one. A space would end the field.
fn user(authorization: &[u8], out: &mut Vec<u8>) {
    let mut decoded = [0; LONGEST];
    let name = name(authorization, &mut decoded).unwrap_or(b"-");
    for (at, word) in name.split(|&byte| byte == b' ').enumerate() {
        if at > 0 {
            out.extend_from_slice(b"\\x20");
        }
        text::escaped(word, out);
    }
}

fn name<'a>(authorization: &[u8], decoded: &'a mut [u8]) -> Option<&'a [u8]> {
    let (scheme, encoded) = authorization.split_at_checked(b"basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let engine = base64::engine::general_purpose::STANDARD;
    let length = engine.decode_slice(encoded.trim_ascii(), decoded).ok()?;
    let colon = decoded[..length].iter().position(|&byte| byte == b':')?;
    Some(&decoded[..colon]).filter(|name| !name.is_empty())
}
