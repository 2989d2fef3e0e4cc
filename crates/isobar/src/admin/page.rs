//! The page at `/`: what `isobar status` shows, drawn anew every two seconds by the browser itself. No
//! script and nothing from elsewhere; every name is escaped, and the page may load and run nothing.

use std::fmt::Write;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};

use super::problem::{self, Answer};
use crate::overview::{Cell, Overview, Table, Tone};

const STYLE: &str = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin:.5em 0}\
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}p{margin:.2em 0}\
.good{color:#060}.warning{color:#850}.bad{color:#a00;font-weight:bold}\
@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td,th{border-color:#444}\
.good{color:#6c6}.warning{color:#db6}.bad{color:#f77}}";

pub(crate) fn answer(overview: &Overview) -> Answer {
    let mut answer = problem::answer(StatusCode::OK, "text/html; charset=utf-8", page(overview));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
                  base-uri 'none'; form-action 'none'";
    let policy = HeaderValue::from_static(policy);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

fn page(overview: &Overview) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>\
         <title>Isobar</title><style>{STYLE}</style><h1>Isobar</h1>\n"
    );
    for (word, value) in &overview.head {
        let _ = writeln!(out, "<p>{} {}</p>", escape(word), escape(value));
    }
    table(&mut out, &overview.listeners);
    for pool in &overview.pools {
        let _ = writeln!(out, "<h2>{}</h2><p>{}</p>", escape(&pool.name), escape(&pool.about));
        paragraphs(&mut out, &pool.recent);
        table(&mut out, &pool.workers);
        paragraphs(&mut out, &pool.discovery);
    }
    paragraphs(&mut out, &overview.notes);
    out
}

fn paragraphs(out: &mut String, lines: &[impl AsRef<str>]) {
    for line in lines {
        let _ = writeln!(out, "<p>{}</p>", escape(line.as_ref()));
    }
}

fn table(out: &mut String, table: &Table) {
    if table.rows.is_empty() {
        return;
    }
    out.push_str("<table><tr>");
    for word in table.head {
        let _ = write!(out, "<th>{}", escape(&word.to_lowercase()));
    }
    out.push_str("</tr>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        row.iter().for_each(|cell| self::cell(out, cell));
        out.push_str("</tr>\n");
    }
    out.push_str("</table>\n");
}

fn cell(out: &mut String, cell: &Cell) {
    let class = match cell.tone {
        Tone::Plain | Tone::Faint => "",
        Tone::Good => " class=good",
        Tone::Warning => " class=warning",
        Tone::Bad => " class=bad",
    };
    let _ = write!(out, "<td{class}>{}", escape(&cell.text));
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_cannot_become_markup() {
        let name = "<script>alert('1')</script>&\"";
        let pool = json!({
            "name": name, "strategy": name, "workers": [{ "name": name, "health": "up" }],
        });
        let process = json!({ "file": name, "listeners": [{ "name": name }] });
        let page = page(&Overview::of(&process, &[pool]));
        assert!(!page.contains("<script"));
        let escaped = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;";
        assert_eq!(page.matches(escaped).count(), 5);
    }

    #[test]
    fn it_draws_itself_anew_and_asks_nobody_else() {
        let answer = answer(&Overview::default());
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'"), "{policy}");
        let page = page(&Overview::default());
        assert!(page.contains("http-equiv=refresh"));
        for outside in ["src=", "href=", "url(", "@import", "http:", "https:"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
