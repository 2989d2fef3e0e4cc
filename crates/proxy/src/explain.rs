//! A dry run of one request: what the parser, the normal forms and the routes make of it.
//!
//! Asked by `isobar explain`; nothing here runs while requests are served. The verdicts come from
//! the very table that serves: a match that lost is asked again alone, with less and less of it, to
//! learn which part was missing.

use std::net::IpAddr;

use isobar_balance::Key;
use isobar_http1::{Parsed, RequestHead, Underscores};
use isobar_pool::Asker;

use crate::{
    Forwarding, asker,
    exchange::headers,
    forwarded,
    reason::Reason,
    route::{
        self, AmbiguousPaths, Match, Miss, RouteQuery, find,
        path::{Normal, Slashes},
        table::Table,
    },
    table::ListenerLimits,
};

/// A request that was accepted.
pub struct Request {
    head: RequestHead,
    target: Vec<u8>,
    client: IpAddr,
    slashes: Slashes,
}

/// What a listener says about its requests.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub forwarding: &'a Forwarding,
    pub slashes: Slashes,
    pub underscores: Underscores,
    pub limits: ListenerLimits,
}

/// Why a request would be answered with an error at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    pub why: String,
}

impl Refused {
    fn because(why: impl ToString) -> Refused {
        Refused { status: Reason::BadRequest.status(), why: why.to_string() }
    }
}

/// One way to read the request's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// With the query; `Err`: why it is no path.
    pub path: Result<String, String>,
    /// The route that it leads to.
    pub route: Option<usize>,
}

/// Why a route takes a request or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Takes,
    /// It matches, and another one is more specific.
    LessSpecific,
    /// It matches just as well, and comes later in the file.
    Later,
    /// What its best match lacks.
    Lacks(Miss),
}

impl Request {
    /// `socket` is where it comes from.
    pub fn new(
        method: &str,
        target: &str,
        headers: &[(String, String)],
        socket: IpAddr,
        terms: &Terms<'_>,
    ) -> Result<Request, Refused> {
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        for (name, value) in headers {
            // One line each, whatever a shell has put into it.
            if [name, value].iter().any(|part| part.contains(['\r', '\n'])) {
                return Err(Refused::because(format_args!("the header `{name}` has a line break")));
            }
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let mut head = RequestHead::new();
        head.set_underscores(terms.underscores);
        match head.parse(text.as_bytes(), &terms.limits.of_heads()) {
            Ok(Parsed::Complete(_)) => {}
            Ok(Parsed::Partial) => return Err(Refused::because("the head does not end")),
            Err(error) => {
                return Err(Refused { status: error.status(), why: error.to_string() });
            }
        }
        if headers::ends_here(&head) {
            let why = format!("{method} is not forwarded");
            return Err(Refused { status: Reason::MethodNotAllowed.status(), why });
        }
        let Terms { slashes, forwarding, .. } = *terms;
        let target = route::path::normalise(head.path_and_query(), slashes);
        let target = target.map_err(Refused::because)?.into_owned();
        head.set_path(&target);
        let client = forwarded::client_of(&head, Some(socket), forwarding).unwrap_or(socket);
        Ok(Request { head, target, client, slashes })
    }

    /// Every reading of the path and where it leads, what was sent first; none where there is only
    /// one.
    pub fn readings(&self, routes: &[Vec<Match>]) -> Vec<Reading> {
        let table = self.table(routes.iter().cloned().zip(0..));
        let Ok(normal) = Normal::of(&self.target, self.slashes) else { return Vec::new() };
        if normal.is_plain() {
            return Vec::new();
        }
        let mut all = Vec::new();
        for read in std::iter::once(Ok(self.target.clone())).chain(normal.readings()) {
            let route = read.as_ref().ok().and_then(|read| self.find(&table, read));
            let path = read.map(|read| String::from_utf8_lossy(&read).into_owned());
            let reading = Reading { path: path.map_err(|error| error.to_string()), route };
            if !all.contains(&reading) {
                all.push(reading);
            }
        }
        all
    }

    /// Settles what the path means, as it would be served: `own` is what each route says of it.
    pub fn settle(
        &mut self,
        routes: &[Vec<Match>],
        own: &[Option<AmbiguousPaths>],
        listeners: AmbiguousPaths,
    ) -> Result<(), Refused> {
        let table = self.table(routes.iter().cloned().zip(0..));
        let normal = Normal::of(&self.target, self.slashes).map_err(Refused::because)?;
        let look = |read: &[u8]| self.find(&table, read);
        let settled = find::settle(normal, listeners, |at: usize| own[at], look);
        let target = settled.map_err(Refused::because)?.target.into_owned();
        self.head.set_path(&target);
        self.target = target;
        Ok(())
    }

    /// Path and query as a worker gets them.
    pub fn target(&self) -> String {
        String::from_utf8_lossy(&self.target).into_owned()
    }

    pub fn host(&self) -> String {
        String::from_utf8_lossy(self.head.authority()).into_owned()
    }

    /// Past the proxies that are trusted.
    pub fn client(&self) -> IpAddr {
        self.client
    }

    /// What keeps it together with others, for a strategy that asks.
    pub fn key(&self, part: &Key) -> Option<u64> {
        asker::Request { client_ip: Some(self.client), head: &self.head }.key(part)
    }

    /// One verdict per route, in their order.
    pub fn verdicts(&self, routes: &[Vec<Match>]) -> Vec<Verdict> {
        let table = self.table(routes.iter().cloned().zip(0..));
        let winner = self.find(&table, &self.target);
        let verdict = |(at, matches): (usize, &Vec<Match>)| {
            if winner == Some(at) {
                return Verdict::Takes;
            }
            let everything = [Match::default()];
            let matches = if matches.is_empty() { &everything[..] } else { matches };
            let misses: Option<Vec<Miss>> = matches.iter().map(|one| self.miss(one)).collect();
            match (misses, winner) {
                (Some(misses), _) => {
                    let nearest = misses.into_iter().max_by_key(depth);
                    Verdict::Lacks(nearest.unwrap_or(Miss::Host))
                }
                // Whoever loses even if it comes first is less specific.
                (None, Some(winner)) => {
                    let both = [(matches.to_vec(), 0), (routes[winner].clone(), 1)];
                    match self.find(&self.table(both.into_iter()), &self.target) {
                        Some(0) => Verdict::Later,
                        _ => Verdict::LessSpecific,
                    }
                }
                (None, None) => Verdict::LessSpecific,
            }
        };
        routes.iter().enumerate().map(verdict).collect()
    }

    fn table(&self, entries: impl Iterator<Item = (Vec<Match>, usize)>) -> Table<usize> {
        Table::build(entries, self.slashes)
    }

    fn find(&self, table: &Table<usize>, target: &[u8]) -> Option<usize> {
        let query = RouteQuery { target, client: Some(self.client), head: &self.head };
        table.find(&query.asked()).map(|(&at, _)| at)
    }

    fn miss(&self, one: &Match) -> Option<Miss> {
        let alone = |part: Match| self.table([(vec![part], 0)].into_iter());
        let fits = |part: Match| self.find(&alone(part), &self.target).is_some();
        let host = Match { host: one.host.clone(), ..Match::default() };
        let path = Match { path: one.path.clone(), ..host.clone() };
        if !fits(host) {
            return Some(Miss::Host);
        }
        if !fits(path) {
            return Some(Miss::Path);
        }
        if !one.has_method(self.head.method()) {
            return Some(Miss::Method);
        }
        let query =
            RouteQuery { target: &self.target, client: Some(self.client), head: &self.head };
        one.lacks(&query.asked())
    }
}

/// How far a match came before something was missing.
fn depth(miss: &Miss) -> u8 {
    match miss {
        Miss::Host => 0,
        Miss::Path => 1,
        Miss::Method => 2,
        Miss::Header(_) => 3,
        Miss::Query(_) => 4,
        Miss::Cookie(_) => 5,
        Miss::Client => 6,
    }
}

impl Verdict {
    /// The nearest first.
    pub fn distance(&self) -> u8 {
        match self {
            Verdict::Takes => 0,
            Verdict::Later => 1,
            Verdict::LessSpecific => 2,
            Verdict::Lacks(miss) => 10 - depth(miss),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::{PathMatch, Value};

    fn terms(forwarding: &Forwarding) -> Terms<'_> {
        let limits = ListenerLimits {
            connections: 0,
            per_client: 0,
            headers: 10,
            header_bytes: 1000,
            uri: 100,
            body: 0,
        };
        Terms { forwarding, slashes: Slashes::Merge, underscores: Underscores::Drop, limits }
    }

    #[test]
    fn every_loser_is_told_why() {
        let request = Request::new(
            "GET",
            "/v1/../v1/x?a=b",
            &[("Host".into(), "api.example".into()), ("X-A".into(), "1".into())],
            IpAddr::from([127, 0, 0, 1]),
            &terms(&Forwarding::default()),
        )
        .unwrap();
        assert_eq!(request.target(), "/v1/x?a=b");
        let prefix = |path: &str| Some(PathMatch::Prefix(path.to_owned()));
        let routes = [
            vec![],
            vec![Match { path: prefix("/v1"), ..Match::default() }],
            vec![Match { path: prefix("/v1"), ..Match::default() }],
            vec![Match { host: Some("other".into()), ..Match::default() }],
            vec![Match { path: prefix("/v2"), ..Match::default() }],
            vec![Match { methods: vec!["POST".into()], ..Match::default() }],
            vec![
                Match { host: Some("other".into()), ..Match::default() },
                Match { cookies: vec![("c".into(), Value::Present)], ..Match::default() },
            ],
        ];
        assert_eq!(
            request.verdicts(&routes),
            [
                Verdict::LessSpecific,
                Verdict::Takes,
                Verdict::Later,
                Verdict::Lacks(Miss::Host),
                Verdict::Lacks(Miss::Path),
                Verdict::Lacks(Miss::Method),
                Verdict::Lacks(Miss::Cookie("c".into())),
            ]
        );
        assert!(request.verdicts(&routes[3..4]).iter().all(|v| *v != Verdict::Takes));
    }

    #[test]
    fn what_is_refused_is_refused_here_too_with_the_same_status() {
        let ask = |method: &str, target: &str, headers: &[(String, String)]| {
            let here = IpAddr::from([127, 0, 0, 1]);
            let asked = Request::new(method, target, headers, here, &terms(&Forwarding::default()));
            asked.map_or_else(|refused| refused.status, |_| 200)
        };
        let host = [(String::from("Host"), String::from("h"))];
        assert_eq!(ask("GET", "/", &host), 200);
        assert_eq!(ask("GET", "/..", &host), 400);
        assert_eq!(ask("GET", "/", &[]), 400);
        assert_eq!(ask("GET", "/", &[(String::from("Host"), String::from("h\r\nX: y"))]), 400);
        assert_eq!(ask("CONNECT", "h:443", &host), 405);
        assert_eq!(ask("TRACE", "/", &host), 405);
        // The listener's limits, not ours.
        assert_eq!(ask("GET", &format!("/{}", "x".repeat(100)), &host), 414);
        let many: Vec<_> = host
            .iter()
            .cloned()
            .cycle()
            .take(1)
            .chain((0..10).map(|n| (format!("X-{n}"), String::new())))
            .collect();
        assert_eq!(ask("GET", "/", &many), 431);
    }
}
