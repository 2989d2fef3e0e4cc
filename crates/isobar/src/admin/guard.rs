//! May this request be answered at all, whatever it asks?
//!
//! A TCP door is on loopback, where any web page may try to reach it through the user's browser:
//! by a name that resolves to us (DNS rebinding: `Host` gives it away) or across sites (`Origin`,
//! `Sec-Fetch-Site`, and no form can send `application/json`). A unix socket has no browsers.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap};
use hyper::{Method, StatusCode};

use super::Door;
use super::problem::Problem;

pub(crate) fn admit(door: Door, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    if door == Door::AdminTcp {
        same_site(headers)?;
    }
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        Method::POST if door == Door::Metrics => Err(read_only()),
        Method::POST => json_only(headers),
        _ if door == Door::Metrics => Err(read_only()),
        _ => Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD and POST")),
    }
}

fn read_only() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "the metrics listener is read-only; the rest is at the `admin` address",
    )
}

fn same_site(headers: &HeaderMap) -> Result<(), Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next().map(|host| host.to_str()), hosts.next()) {
        (Some(Ok(host)), None) => host,
        _ => return Err(Problem::new(StatusCode::BAD_REQUEST, "exactly one Host is needed")),
    };
    if !is_local(host) {
        let detail = "Host is not this machine: only localhost and loopback addresses are";
        return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    let value = |name: &str| headers.get(name).map(|value| value.as_bytes());
    let expected = format!("http://{host}");
    if value("origin").is_some_and(|origin| origin != expected.as_bytes()) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Origin is another site"));
    }
    match value("sec-fetch-site") {
        None | Some(b"same-origin" | b"none") => Ok(()),
        Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "the request comes from another site")),
    }
}

fn is_local(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, "0"),
    };
    if port.parse::<u16>().is_err() {
        return false;
    }
    let address = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn json_only(headers: &HeaderMap) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).map(str::trim);
    if kind.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let detail = "POST needs `content-type: application/json`";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(door: Door, method: Method, headers: &[(&'static str, &'static str)]) -> u16 {
        let headers = headers.iter().map(|(name, value)| {
            (header::HeaderName::from_static(name), header::HeaderValue::from_static(value))
        });
        admit(door, &method, &headers.collect()).map_or_else(|p| p.status.as_u16(), |()| 200)
    }

    #[test]
    fn ad_02_a_foreign_host_is_refused() {
        let with = |host| status(Door::AdminTcp, Method::GET, &[("host", host)]);
        for host in ["localhost", "LOCALHOST:1", "127.0.0.1:9", "127.9.9.9", "[::1]:1", "[::1]"] {
            assert_eq!(with(host), 200, "{host}");
        }
        for host in ["evil.example", "localhost.evil:1", "10.0.0.1", "[::2]:1", "", ":1", "a:b"] {
            assert_eq!(with(host), 421, "{host}");
        }
        assert_eq!(status(Door::AdminTcp, Method::GET, &[]), 400);
        let mut map = HeaderMap::new();
        for host in ["localhost", "evil"] {
            map.append(header::HOST, header::HeaderValue::from_static(host));
        }
        assert!(admit(Door::AdminTcp, &Method::GET, &map).is_err());
    }

    #[test]
    fn ad_03_another_site_is_refused() {
        let json = ("content-type", "application/json");
        let host = ("host", "localhost:1");
        let post = |extra| status(Door::AdminTcp, Method::POST, &[host, json, extra]);
        assert_eq!(post(("origin", "http://localhost:1")), 200);
        assert_eq!(post(("origin", "http://evil.example")), 403);
        assert_eq!(post(("origin", "null")), 403);
        assert_eq!(post(("sec-fetch-site", "same-origin")), 200);
        assert_eq!(post(("sec-fetch-site", "cross-site")), 403);
    }

    #[test]
    fn ad_03_only_json_may_have_effects() {
        let post = |kind| status(Door::AdminUnix, Method::POST, &[("content-type", kind)]);
        assert_eq!(post("application/json; charset=utf-8"), 200);
        assert_eq!(post("text/plain"), 415);
        assert_eq!(status(Door::AdminUnix, Method::POST, &[]), 415);
        assert_eq!(status(Door::AdminUnix, Method::DELETE, &[]), 405);
    }

    #[test]
    fn the_metrics_listener_is_read_only_and_takes_any_host() {
        assert_eq!(status(Door::Metrics, Method::GET, &[("host", "pod-7:9464")]), 200);
        let json = [("content-type", "application/json")];
        assert_eq!(status(Door::Metrics, Method::POST, &json), 405);
    }
}
