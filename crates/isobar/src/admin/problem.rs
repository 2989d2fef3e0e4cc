//! Refusals as RFC 9457 problem details, and answers in general: the only place that makes one.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request was refused.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    detail: String,
    /// What a refused reload has to say, as it would stand on a terminal.
    diagnostics: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), diagnostics: None }
    }

    pub(crate) fn with_diagnostics(self, diagnostics: &str) -> Problem {
        Problem { diagnostics: Some(diagnostics.to_owned()), ..self }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        if let Some(diagnostics) = &self.diagnostics {
            body["diagnostics"] = Value::from(diagnostics.as_str());
        }
        answer(self.status, "application/problem+json", body.to_string())
    }
}

pub(crate) fn json_answer(body: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", body.to_string())
}

pub(crate) fn answer(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Bytes>,
) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}
