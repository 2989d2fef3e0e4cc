//! `GET /`: the pools and their workers as a plain table. Everything that has a name somewhere is
//! escaped, and the page may load and run nothing.

use std::fmt::Write;

use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use isobar_pool::{PoolStatus, WorkerStatus};

use super::problem::{self, Answer};
use super::view;

const STYLE: &str = "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}\
td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}";

pub(crate) fn answer(pools: &[PoolStatus]) -> Answer {
    let mut answer = problem::answer(StatusCode::OK, "text/html; charset=utf-8", page(pools));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let policy = HeaderValue::from_static(policy);
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    answer
}

fn page(pools: &[PoolStatus]) -> String {
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>Isobar</title>\
         <style>{STYLE}</style><h1>Isobar</h1>\n"
    );
    for pool in pools {
        let (name, waiting) = (escape(&pool.name), pool.queue_depth);
        let _ = write!(
            out,
            "<h2>{name}</h2><p>{}, {waiting} waiting</p>\n<table><tr><th>worker<th>address\
             <th>health<th>in flight<th>slots<th>weight<th>served<th>failed</tr>\n",
            escape(pool.strategy)
        );
        pool.workers.iter().for_each(|worker| row(&mut out, worker));
        out.push_str("</table>\n");
        for source in &pool.discovery {
            let (name, workers) = (escape(&source.name), source.workers);
            let problem = source.problem.as_deref().map_or(String::from("found"), escape);
            let _ = writeln!(out, "<p>{name}: {workers} workers, {problem}</p>");
        }
    }
    out
}

fn row(out: &mut String, worker: &WorkerStatus) {
    let number = |n: Option<std::num::NonZeroU32>| n.map_or("-".into(), |n| n.to_string());
    let (served, failed) = view::served_and_failed(worker);
    out.push_str("<tr>");
    for cell in [
        worker.name.clone(),
        worker.address.to_string(),
        worker.health.to_string(),
        worker.in_flight.to_string(),
        number(worker.slots),
        number(worker.weight),
        served.to_string(),
        failed.to_string(),
    ] {
        let _ = write!(out, "<td>{}", escape(&cell));
    }
    out.push_str("</tr>\n");
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

    #[test]
    fn names_cannot_become_markup() {
        let name = String::from("<script>alert('1')</script>&\"");
        let pool = PoolStatus {
            name,
            version: 1,
            strategy: "least_connections",
            queue_depth: 0,
            retries_denied: 0,
            panic: false,
            discovery: Vec::new(),
            discovery_failures: 0,
            workers: Vec::new(),
        };
        let page = page(&[pool]);
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;"));
    }
}
