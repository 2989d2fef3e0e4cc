//! What filters are told beside names and sizes: rates, keys, realms, media types.

use std::time::Duration;

use serde_json::Value;

use crate::env::Bad;
use crate::leaf::http::{TOKEN, is_token};
use crate::model::{Coding, Forwarding, RateKey};
use crate::read::{Cx, Read, words};
use crate::schema::{Shapes, text};
use crate::tree::Node;

/// So many in so much time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) count: u32,
    pub(crate) unit: Duration,
}

impl Read for Rate {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a rate from 1 to 1000000, like `100/s`, `60/m` or `1000/h`";
        let text = &cx.scalar(node, expected)?.text;
        let rate = text.split_once('/').and_then(|(count, unit)| {
            let seconds = match unit.trim() {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                _ => return None,
            };
            let count = count.trim();
            let digits = count.bytes().all(|b| b.is_ascii_digit());
            let count = count.parse().ok().filter(|n| digits && (1..=1_000_000).contains(n))?;
            Some(Rate { count, unit: Duration::from_secs(seconds) })
        });
        if rate.is_none() {
            let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            let hint = bare.then(|| format!("did you mean `{text}/s`?"));
            cx.wrong(node, Bad { hint, ..Bad::new("", expected) });
        }
        rate
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        text(r"\s*(?:0*[1-9][0-9]{0,5}|0*1000000)\s*/\s*[smh]\s*")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct RateKeyText(pub(crate) RateKey);

impl Read for RateKeyText {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`client_ip`, `header:NAME` or `global`";
        let text = &cx.scalar(node, expected)?.text;
        let key = match (&**text, text.strip_prefix("header:")) {
            ("client_ip", _) => RateKey::ClientIp,
            ("global", _) => RateKey::Global,
            (_, Some(name)) if is_token(name) => RateKey::Header(name.to_ascii_lowercase()),
            _ => {
                cx.mismatch(node, expected);
                return None;
            }
        };
        Some(RateKeyText(key))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        text(&format!("client_ip|global|header:{TOKEN}"))
    }
}

/// What fits between quotes in a header.
#[derive(Debug, Clone)]
pub(crate) struct Realm(pub(crate) String);

impl Read for Realm {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "at most 128 visible ASCII characters and spaces, without `\"` and `\\`";
        let text = &cx.scalar(node, expected)?.text;
        let fits = |b: u8| (b.is_ascii_graphic() || b == b' ') && !b"\"\\".contains(&b);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(Realm(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        crate::schema::scalar(r#"[ !#-\[\]-~]{1,128}"#)
    }
}

/// In lower case; maybe with `*` for its second half.
#[derive(Debug, Clone)]
pub(crate) struct MediaType(pub(crate) String);

impl Read for MediaType {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a content type, like `text/html` or `text/*`";
        let text = cx.scalar(node, expected)?.text.to_ascii_lowercase();
        let fits = |part: &str| is_token(part) && !part.contains('*');
        match text.split_once('/') {
            Some((kind, sub)) if fits(kind) && (sub == "*" || fits(sub)) => Some(MediaType(text)),
            _ => {
                let bad = Bad::new("", expected);
                let parameters = text.contains(';');
                cx.wrong(node, if parameters { bad.hint("without parameters") } else { bad });
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let part = "[!#$%&'+.^_`|~0-9A-Za-z-]{1,256}";
        text(&format!(r"{part}/(?:\*|{part})"))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct CodingWord(pub(crate) Coding);

words!(CodingWord {
    "zstd" => CodingWord(Coding::Zstd),
    "br" => CodingWord(Coding::Br),
    "gzip" => CodingWord(Coding::Gzip),
} later {});

#[derive(Debug, Clone, Copy)]
pub(crate) struct ForwardingWord(pub(crate) Forwarding);

words!(ForwardingWord {
    "remove" => ForwardingWord(Forwarding::Remove),
    "keep" => ForwardingWord(Forwarding::Keep),
} later {});
