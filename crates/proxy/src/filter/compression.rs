//! `compression`: encodes a response's body as the client asked for (RFC 9110 §12.5.3).
//!
//! Decides from the heads alone; the body then streams through an encoder in `forward`, which
//! flushes whenever the worker pauses, so that no event waits for the next one. Left alone is what
//! is encoded already, has no body, is a part (206) or is small, what either side forbids to
//! transform, what carries a digest of itself, and everything for HTTP/1.0 clients, who could not
//! tell a cut body from a whole one.

mod coding;
mod negotiate;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use isobar_http1::{FieldId, ResponseHead};

use super::{Entry, Filter, ResponseCx};
pub use coding::Coding;

pub(super) const ENTRY: Entry = Entry {
    name: "compression",
    about: "encodes response bodies with gzip, brotli or zstd as the client accepts",
    samples,
};

pub struct Compression {
    /// The earlier one wins where the client does not care.
    codings: Vec<Coding>,
    /// Lower case; `text/*` covers its family.
    types: Vec<String>,
    /// A body whose length is known and below is left alone.
    min_size: u64,
    most_active: usize,
    active: Arc<AtomicUsize>,
}

impl Compression {
    /// `most_active`: bodies encoded at once, each of which takes up to about a mebibyte; the next
    /// ones go out as they are.
    pub fn new(
        codings: Vec<Coding>,
        types: Vec<String>,
        min_size: u64,
        most_active: usize,
    ) -> Self {
        Self { codings, types, min_size, most_active, active: Arc::default() }
    }

    /// Whether a response of this kind is encoded for whoever accepts it.
    fn covers(&self, head: &ResponseHead) -> bool {
        let absent = |name: &str| head.values_named(name.as_bytes()).next().is_none();
        // That of a HEAD's answer is the one GET would have.
        let large = head.content_length().is_none_or(|length| length >= self.min_size.max(1));
        large
            && !(head.status() < 200 || matches!(head.status(), 204 | 205 | 206 | 304))
            && head.value(FieldId::ContentType).is_some_and(|kind| self.is_listed(kind))
            && absent("content-encoding")
            && absent("content-range")
            && ["content-digest", "repr-digest", "digest", "content-md5"].into_iter().all(absent)
            && !forbids_transformation(head.values_named(b"cache-control"))
    }

    fn is_listed(&self, kind: &[u8]) -> bool {
        let end = kind.iter().position(|byte| matches!(byte, b';' | b' ' | b'\t'));
        let kind = &kind[..end.unwrap_or(kind.len())];
        self.types.iter().any(|listed| match listed.strip_suffix('*') {
            Some(family) => kind
                .get(..family.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(family.as_bytes())),
            None => kind.eq_ignore_ascii_case(listed.as_bytes()),
        })
    }

    fn admit(&self) -> Option<Active> {
        let active = Active(Arc::clone(&self.active));
        // Too many are given back by the drop.
        (active.0.fetch_add(1, Ordering::Relaxed) < self.most_active).then_some(active)
    }
}

impl Filter for Compression {
    fn response(&self, cx: &mut ResponseCx<'_>) {
        if !self.covers(cx.head())
            || forbids_transformation(cx.request().values_named(b"cache-control"))
        {
            return;
        }
        let varies = cx.head().values_named(b"vary").flat_map(|value| value.split(|&b| b == b','));
        let varies = varies.map(<[u8]>::trim_ascii);
        let known = |name: &[u8]| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding");
        if !varies.into_iter().any(known) {
            cx.edit().append("Vary", "Accept-Encoding");
        }
        let only_asked = cx.answers_head();
        if !(cx.may_encode() || only_asked) {
            return;
        }
        let accepted = cx.request().values_named(b"accept-encoding");
        let Some(coding) = negotiate::best(&self.codings, accepted) else { return };
        if only_asked {
            // The same fields as GET would have (RFC 9110 §9.3.2); nobody knows the length.
            cx.forget_length();
        } else {
            let Some(active) = self.admit() else { return };
            let Ok(encoder) = coding.encoder(active) else { return };
            cx.encode(encoder);
        }
        // RFC 9110 §8.8.1: the bytes are others, what they mean is the same.
        let tag = cx.head().values_named(b"etag").next().map(<[u8]>::to_vec);
        if let Some(tag) = tag.filter(|tag| is_strong(tag)) {
            cx.edit().set("ETag", [b"W/", &tag[..]].concat());
        }
        let head = cx.edit();
        head.set("Content-Encoding", coding.name());
        // Ranges would be of other bytes.
        head.remove_named("Accept-Ranges");
    }
}

/// A strong validator as RFC 9110 §8.8.3 has it; what is none is left as it is.
fn is_strong(tag: &[u8]) -> bool {
    let inner = tag.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.is_some_and(|inner| {
        inner.iter().all(|&byte| byte == 0x21 || (0x23..0x7f).contains(&byte) || byte >= 0x80)
    })
}

fn forbids_transformation<'a>(cache_control: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut directives = cache_control.flat_map(|value| value.split(|&byte| byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// One body under way.
struct Active(Arc<AtomicUsize>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn samples() -> Vec<Box<dyn Filter>> {
    let of = |codings: &[Coding], min_size| {
        let types = vec!["text/*".to_owned(), "application/json".to_owned()];
        Box::new(Compression::new(codings.to_vec(), types, min_size, 10)) as Box<dyn Filter>
    };
    vec![of(&[Coding::Gzip], 0), of(&[Coding::Zstd, Coding::Br, Coding::Gzip], 1024), of(&[], 0)]
}
