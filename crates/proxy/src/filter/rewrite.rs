//! `rewrite`: another path or host for the worker than the client named.
//!
//! The path is made from what the route was found by and put into the same normal form as every path.
//! What can be read in several ways is rewritten to the same in all of them, or refused. The query stays. The route is not found again.

use super::{Answer, Entry, Filter, PathCx, RequestCx, Step};
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
            let target = cx.target();
            // `*` is no path, and where no route was found it may be anything.
            if target.first() == Some(&b'/') {
                let PathCx { matched, behind, slashes, .. } = cx.path;
                let mut out = Vec::with_capacity(target.len() + 32);
                let end = memchr::memchr(b'?', target).unwrap_or(target.len());
                let (path, query) = target.split_at(end);
                let fits = new.fits(path, matched, behind, slashes);
                new.write(path, matched, &mut out);
                out.extend_from_slice(query);
                match fits.and_then(|()| path::normalise(&out, slashes)) {
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
