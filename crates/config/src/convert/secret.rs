//! Where a secret is, and what stands there, which is never part of a message.

use std::path::Path;

use crate::problem::Draft;
use crate::raw;
use crate::read::{Concealed, Cx, Field, Spanned};
use crate::source::{self, Span};

/// The text, and the place that names it. `form`: what it is expected to be. None = reported.
pub(super) fn text(
    secret: Spanned<Concealed<raw::Secret>>,
    form: &str,
    cx: &mut Cx<'_>,
) -> Option<(String, Span)> {
    let Spanned { value: Concealed(raw::Secret { file, env, refused, .. }), span } = secret;
    let broken = matches!(file, Field::Broken) || matches!(env, Field::Broken) || refused.any();
    match (file.given(), env.given()) {
        (Some(file), None) => Some((read(&file.value.text, file.span, form, cx)?, file.span)),
        (None, Some(env)) => {
            let text = (cx.env)(&env.value.text);
            if text.is_none() {
                let message = format!("the environment variable {} is not set", env.value.shown);
                cx.report(Draft::error(env.span, message).expected(form));
            }
            Some((text?, env.span))
        }
        (Some(_), Some(env)) => {
            let draft = Draft::error(env.span, "found both `file` and `env`");
            cx.report(draft.expected("one of them"));
            None
        }
        (None, None) => {
            if !broken {
                let expected = "`{ file: … }` or `{ env: … }`";
                cx.report(Draft::error(span, "found no secret").expected(expected));
            }
            None
        }
    }
}

fn read(path: &str, span: Span, form: &str, cx: &mut Cx<'_>) -> Option<String> {
    let here = Path::new(cx.sources.name(span.source)).parent().unwrap_or(Path::new(""));
    let opened = source::open(&here.join(path));
    match opened.and_then(|opened| source::read(opened, &mut cx.bytes_left)) {
        Ok(text) => Some(text),
        Err(error) => {
            let message = crate::include::why(&format!("the secret in `{path}`"), &error);
            cx.report(Draft::error(span, message).expected(form));
            None
        }
    }
}
