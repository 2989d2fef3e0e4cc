//! The affinity cookie on its way through: the client gets it when its worker is a new one, and the
//! worker never sees it.
//!
//! Called for leases of pools with an affinity only. Which worker a cookie names, and whether a new
//! one is due, is the pool's to say.

use isobar_http1::{RequestHead, ResponseHead};
use isobar_pool::{Cookie, Lease, Secure};

use crate::{
    asker::{self, pair},
    route::redirect::Scheme,
};

/// Keeps the cookie out of what is forwarded.
pub(crate) fn hide(request: &mut RequestHead, lease: &Lease) {
    let Some(name) = lease.cookie_name() else { return };
    // A filter that edits the field has the last word on it.
    if asker::cookie(request, name.as_bytes()).is_none() || request.is_edited(b"Cookie") {
        return;
    }
    let mut others = Vec::new();
    for line in request.values_named(b"cookie") {
        for cookie in line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
            let ours = pair(cookie).is_some_and(|(other, _)| other == name.as_bytes());
            if ours || cookie.is_empty() {
                continue;
            }
            if !others.is_empty() {
                others.extend_from_slice(b"; ");
            }
            others.extend_from_slice(cookie);
        }
    }
    if others.is_empty() {
        request.remove_named("Cookie");
    } else {
        request.set("Cookie", &others);
    }
}

/// Adds the cookie to the response, if the client does not have it yet.
pub(crate) fn tell(
    asker: &asker::Request<'_>,
    scheme: impl FnOnce() -> Scheme,
    response: &mut ResponseHead,
    lease: &Lease,
) {
    let Some(cookie) = lease.new_cookie(asker) else { return };
    response.append("Set-Cookie", value(&cookie, scheme()));
    // What one client was told is for no cache that others use.
    let kept = response.values_named(b"cache-control").any(|value| {
        let says = |word: &[u8]| memchr::memmem::find(&value.to_ascii_lowercase(), word).is_some();
        says(b"no-store") || says(b"private")
    });
    if !kept {
        response.append("Cache-Control", "private");
    }
}

fn value(cookie: &Cookie, scheme: Scheme) -> Vec<u8> {
    let mut line = Vec::with_capacity(96);
    line.extend_from_slice(cookie.name.as_bytes());
    line.push(b'=');
    line.extend_from_slice(&cookie.value);
    line.extend_from_slice(cookie.attributes.as_bytes());
    if cookie.secure == Secure::On || cookie.secure == Secure::Auto && scheme == Scheme::Https {
        line.extend_from_slice(b"; Secure");
    }
    line
}
