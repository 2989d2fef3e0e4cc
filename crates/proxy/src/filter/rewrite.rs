//! `rewrite`: another path or host for the worker than the client named.
//!
//! The path is made from what the client sent and put into the same normal form as every path, so
//! that what is forwarded never has two readings. The query stays. The route is not found again.

use super::{Answer, Entry, Filter, RequestCx, Step};
use crate::{
    reason::Reason,
    route::{NewPath, path},
};

pub(super) const ENTRY: Entry = Entry {
    name: "rewrite",
    about: "gives the worker another path or host than the client asked for",
    samples,
};

#[derive(Clone, Debug, Default)]
pub struct Rewrite {
    pub path: Option<NewPath>,
    /// What the worker gets as `Host`; `X-Forwarded-Host` still has the client's.
    pub host: Option<String>,
}

impl Filter for Rewrite {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        if let Some(new) = &self.path {
            let target = path::normalise(cx.head().path_and_query()).unwrap_or_default();
            // `*` is no path; a route that was found has one with a normal form.
            if target.first() == Some(&b'/') {
                let mut out = Vec::with_capacity(target.len() + 32);
                let end = memchr::memchr(b'?', &target).unwrap_or(target.len());
                new.write(&target[..end], cx.matched(), &mut out);
                out.extend_from_slice(&target[end..]);
                match path::normalise(&out) {
                    Ok(normal) => cx.edit().set_path(&normal),
                    Err(_) => return Step::Answer(Answer::new(Reason::BadRequest)),
                }
            }
        }
        if let Some(host) = &self.host {
            cx.edit().set("Host", host);
        }
        Step::Next
    }
}

fn samples() -> Vec<Box<dyn Filter>> {
    let of = |path| Rewrite { path, host: Some("app.internal".to_owned()) };
    vec![
        Box::new(of(None)),
        Box::new(of(Some(NewPath::Whole("/new".to_owned())))),
        Box::new(of(Some(NewPath::Prefix("/v2/".to_owned())))),
        Box::new(of(Some(NewPath::Prefix("/".to_owned())))),
    ]
}
