//! `isobar explain`: what would become of one request, without sending it.
//!
//! Listener, route, filters and pool come from the file, through the code that serves; what the
//! pool's workers do right now comes from the running process, if one answers. Nothing is changed
//! and nothing is reserved anywhere.

mod pool;
mod text;

use std::net::IpAddr;

use isobar_config::Config;
use isobar_config::model::{self, Bind, ListenerKind};
use isobar_proxy::explain::{Reading, Refused, Request, Terms, Verdict};
use isobar_proxy::route::{Match, Miss};
use serde_json::{Value, json};

use super::client::Process;
use super::failed::ErrorText;
use super::output::{Format, say};
use crate::plan::routes;

/// What is asked.
pub(crate) struct Question {
    pub(crate) method: String,
    /// `http://host[:port]/path?query`, or `/path` with a `Host` header.
    pub(crate) url: String,
    /// `name: value` each.
    pub(crate) headers: Vec<String>,
    pub(crate) client: IpAddr,
    pub(crate) listener: Option<String>,
}

pub(crate) fn run(
    question: &Question,
    config: &Config,
    running: Option<&Process>,
    format: Format,
) -> Result<(), ErrorText> {
    let url = Url::parse(&question.url)?;
    let (listener, list) = listener(config, &url, question.listener.as_deref())?;
    let mut headers = Vec::with_capacity(question.headers.len() + 1);
    for header in &question.headers {
        let parts = header.split_once(':').map(|(name, value)| (name.trim(), value.trim()));
        let (name, value) =
            parts.ok_or_else(|| format!("-H `{header}`: expected `name: value`"))?;
        headers.push((name.to_owned(), value.to_owned()));
    }
    if let Some(host) = url.authority
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        headers.insert(0, (String::from("Host"), host.to_owned()));
    }
    let forwarding = routes::forwarding(config, listener);
    let paths = routes::path_rules(listener);
    let terms = Terms {
        forwarding: &forwarding,
        slashes: paths.slashes,
        underscores: routes::underscores(listener),
        limits: routes::limits(&listener.limits),
    };
    let (method, client) = (&question.method, question.client);
    let request = Request::new(method, url.target, &headers, client, &terms);
    let mut said = json!({
        "method": question.method,
        "listener": listener.name,
        "bind": listener.binds.iter().map(ToString::to_string).collect::<Vec<_>>(),
    });
    match request {
        Err(refusal) => said["refused"] = refused(&refusal),
        Ok(mut request) => {
            said["host"] = json!(request.host());
            said["target"] = json!(request.target());
            said["client"] = json!(request.client());
            let matches: Vec<_> = list.iter().map(matches).collect();
            said["readings"] = readings(&request, &matches, list);
            let own: Vec<_> =
                list.iter().map(|route| route.ambiguous_paths.map(routes::ambiguous)).collect();
            match request.settle(&matches, &own, paths.ambiguous) {
                Err(refusal) => said["refused"] = refused(&refusal),
                Ok(()) => {
                    said["target"] = json!(request.target());
                    routed(&mut said, &request, listener, list, config, running);
                }
            }
        }
    }
    match format {
        Format::Json => say(&said),
        Format::Text => say(&text::render(&said).trim_end()),
    }
    Ok(())
}

fn refused(refusal: &Refused) -> Value {
    json!({ "status": refusal.status, "why": refusal.why })
}

fn matches(route: &model::Route) -> Vec<Match> {
    route.matches.iter().map(routes::match_of).collect()
}

/// The ways to read the path and where each leads; empty where there is one only.
fn readings(request: &Request, matches: &[Vec<Match>], list: &[model::Route]) -> Value {
    let one = |reading: Reading| match reading.path {
        Ok(path) => json!({ "path": path, "route": reading.route.map(|at| &list[at].name) }),
        Err(why) => json!({ "refused": why }),
    };
    request.readings(matches).into_iter().map(one).collect()
}

/// The route, why the others lost, and the pool.
fn routed(
    said: &mut Value,
    request: &Request,
    listener: &model::Listener,
    list: &[model::Route],
    config: &Config,
    running: Option<&Process>,
) {
    let matches: Vec<_> = list.iter().map(matches).collect();
    let verdicts = request.verdicts(&matches);
    let mut others: Vec<(&Verdict, &model::Route)> = verdicts.iter().zip(list).collect();
    others.retain(|(verdict, _)| **verdict != Verdict::Takes);
    others.sort_by_key(|(verdict, _)| verdict.distance());
    let other = |(verdict, route): &(&Verdict, &model::Route)| json!({ "route": route.name, "lost": lost(verdict) });
    said["others"] = others.iter().map(other).collect();
    let taken = verdicts.iter().position(|verdict| *verdict == Verdict::Takes);
    let Some(route) = taken.map(|at| &list[at]) else {
        said["refused"] = json!({ "status": 404, "why": "no_route" });
        return;
    };
    said["route"] = json!(route.name);
    let filters = listener.filters.iter().chain(&route.filters);
    said["filters"] = filters.map(filter).collect();
    match &route.action {
        model::Action::Pool(to) => {
            said["pools"] = json!([pool::explain(&config.pools[&to.pool], None, request, running)]);
        }
        model::Action::Split(members) => {
            let sum: u32 = members.iter().map(|(_, share)| share.get()).sum();
            let member = |(to, share): &(model::Destination, std::num::NonZeroU32)| {
                let share = f64::from(share.get()) / f64::from(sum);
                pool::explain(&config.pools[&to.pool], Some(share), request, running)
            };
            said["pools"] = members.iter().map(member).collect();
        }
        model::Action::Redirect(to) => said["redirect"] = json!({ "status": to.status }),
        model::Action::Respond(own) => {
            said["respond"] = json!({ "status": own.status, "bytes": own.body.len() });
        }
    }
}

fn lost(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Takes => String::new(),
        Verdict::LessSpecific => String::from("matches, but less specifically"),
        Verdict::Later => String::from("matches as well, but comes later in the file"),
        Verdict::Lacks(miss) => match miss {
            Miss::Host => String::from("another host"),
            Miss::Path => String::from("another path"),
            Miss::Method => String::from("another method"),
            Miss::Header(name) => format!("header {name}"),
            Miss::Query(name) => format!("query {name}"),
            Miss::Cookie(name) => format!("cookie {name}"),
            Miss::Client => String::from("another client"),
        },
    }
}

/// Its name as the file spells it.
fn filter(filter: &model::Filter) -> Value {
    let debug = format!("{filter:?}");
    let name = debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(c.to_lowercase());
    }
    json!(snake)
}

/// The HTTP listener that is named, or whose port is the URL's, or the only one.
fn listener<'c>(
    config: &'c Config,
    url: &Url<'_>,
    named: Option<&str>,
) -> Result<(&'c model::Listener, &'c [model::Route]), ErrorText> {
    let http = config.listeners.values().filter_map(|listener| match &listener.kind {
        ListenerKind::Http { routes } => Some((listener, &routes[..])),
        ListenerKind::Tcp { .. } | ListenerKind::Passthrough(_) => None,
    });
    let all: Vec<_> = http.collect();
    let names: Vec<&str> = all.iter().map(|(listener, _)| listener.name.as_str()).collect();
    let port = |bind: &Bind| matches!(bind, Bind::Tcp(addr) if Some(addr.port()) == url.port);
    let found = match named {
        Some(name) => all.iter().find(|(listener, _)| listener.name == name),
        None if all.len() == 1 => all.first(),
        None => all.iter().find(|(listener, _)| listener.binds.iter().any(port)),
    };
    found.copied().ok_or_else(|| match named {
        Some(name) => format!("no http listener `{name}`; there are: {}", names.join(", ")),
        None => format!(
            "which listener? None has the URL's port: give one with --listener ({})",
            names.join(", ")
        ),
    })
}

struct Url<'u> {
    authority: Option<&'u str>,
    port: Option<u16>,
    /// Path and query.
    target: &'u str,
}

impl Url<'_> {
    fn parse(url: &str) -> Result<Url<'_>, ErrorText> {
        let (usual, rest) = match url.split_once("://") {
            Some(("http", rest)) => (80, rest),
            Some(("https", rest)) => (443, rest),
            None if url.starts_with('/') => {
                return Ok(Url { authority: None, port: None, target: url });
            }
            _ => {
                return Err(format!(
                    "`{url}`: expected http://host/path, or /path with -H 'Host: …'"
                ));
            }
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let target = target.split('#').next().unwrap_or_default();
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let target = if target.is_empty() { "/" } else { target };
        Ok(Url { authority: Some(authority), port: port.or(Some(usual)), target })
    }
}
