//! The JSON line. Its keys and their order are promised to scripts.

use std::time::Duration;

use super::{Entry, clock, text};
use crate::forwarded;

pub(super) fn write(entry: &Entry<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"ts\":\"");
    clock::rfc3339(entry.at, out);
    out.push(b'"');
    string(out, ",\"request_id\":", Some(entry.request_id));
    out.extend_from_slice(b",\"client_ip\":");
    match entry.client_ip {
        Some(ip) => {
            out.push(b'"');
            forwarded::write_ip(out, ip);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    string(out, ",\"listener\":", Some(entry.listener.as_bytes()));
    string(out, ",\"proto\":", entry.proto.map(str::as_bytes));
    string(out, ",\"method\":", entry.method);
    string(out, ",\"host\":", entry.host);
    string(out, ",\"path\":", entry.path);
    number(out, ",\"status\":", entry.status);
    number(out, ",\"bytes_in\":", Some(entry.bytes_in));
    number(out, ",\"bytes_out\":", Some(entry.bytes_out));
    millis(out, ",\"duration_ms\":", Some(entry.duration));
    millis(out, ",\"queue_ms\":", Some(entry.queue));
    millis(out, ",\"connect_ms\":", Some(entry.connect));
    millis(out, ",\"first_byte_ms\":", entry.first_byte);
    string(out, ",\"route\":", entry.route.map(str::as_bytes));
    string(out, ",\"pool\":", entry.pool.map(str::as_bytes));
    string(out, ",\"worker\":", entry.worker.map(str::as_bytes));
    number(out, ",\"attempts\":", Some(entry.attempts));
    string(out, ",\"reason\":", entry.reason.map(str::as_bytes));
    string(out, ",\"user_agent\":", entry.user_agent);
    out.extend_from_slice(b"}\n");
}

fn string(out: &mut Vec<u8>, key: &str, value: Option<&[u8]>) {
    out.extend_from_slice(key.as_bytes());
    match value {
        Some(value) => text::json(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn number(out: &mut Vec<u8>, key: &str, value: Option<impl itoa::Integer>) {
    out.extend_from_slice(key.as_bytes());
    match value {
        Some(value) => text::number(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

/// Milliseconds with the microseconds as decimals.
fn millis(out: &mut Vec<u8>, key: &str, value: Option<Duration>) {
    out.extend_from_slice(key.as_bytes());
    let Some(value) = value else { return out.extend_from_slice(b"null") };
    text::number(value.as_millis(), out);
    let micros = value.subsec_micros() % 1000;
    let digit = |unit: u32| b'0' + (micros / unit % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}
