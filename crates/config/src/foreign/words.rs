//! Words that stand for a value elsewhere, and ours.

/// The strategy that another tool calls `text`, as a file has it.
pub(crate) fn strategy(text: &str) -> Option<String> {
    let word = text.split([' ', '(']).next().unwrap_or_default();
    let folded = folded(word);
    let ours = match folded.as_str() {
        "roundrobin" | "rr" | "staticrr" | "turns" => "round_robin",
        "leastconn"
        | "leastconns"
        | "leastconnection"
        | "leastconnections"
        | "leastrequest"
        | "leastrequests"
        | "lc"
        | "leastoutstandingrequests"
        | "leastloaded" => "least_connections",
        "weightedroundrobin" | "wrr" | "weightedleastrequest" | "drr" | "swrr" => "weighted",
        "source" | "sourceip" | "iphash" | "clientiphash" | "srchash" | "sourcehash" | "sh" => {
            "ip_hash"
        }
        "leasttime" | "ewma" | "peakewma" | "leastresponsetime" | "leastlatency" | "fastest" => {
            "least_time"
        }
        "p2c" | "poweroftwo" | "randomchoose" | "randomtwo" => "p2c",
        "rand" | "randomlb" => "random",
        "uri" | "urihash" | "url" | "requesturi" | "requesthash" | "urlhash" => {
            "{ hash: { key: uri } }"
        }
        "urlparam" => "{ hash: { key: \"query:NAME\" } }",
        "hdr" | "header" | "headerhash" => "{ hash: { key: \"header:NAME\" } }",
        "maglev" | "maglevhash" => "{ hash: { key: client_ip, table: maglev } }",
        "ringhash" | "consistenthash" | "consistent" | "ketama" | "chash" => {
            "{ hash: { key: client_ip, table: ring } }"
        }
        "rendezvous" | "hrw" => "{ hash: { key: client_ip, table: rendezvous } }",
        _ => return None,
    };
    (ours != text).then(|| ours.to_owned())
}

/// What a strategy of another tool is that is none here.
pub(crate) fn no_strategy(text: &str) -> Option<&'static str> {
    Some(match folded(text).as_str() {
        "cookie" | "sticky" | "stickysession" | "session" | "rdpcookie" => {
            "a cookie is no strategy here: `affinity: { cookie: isobar_app }` beside `strategy`"
        }
        "first" => {
            "did you mean `least_connections`? Who serves only when the others cannot is a worker with `tier: 1`"
        }
        _ => return None,
    })
}

/// What to write where `text` is no word of the list that `key` takes.
pub(crate) fn word(key: &str, text: &str) -> Option<String> {
    let folded = folded(text);
    let hint = match (key, folded.as_str()) {
        ("protocol", "https" | "ssl" | "tls") => {
            "did you mean `http`? TLS is a key of its own: `tls: { certificates: [{ cert: site.pem, key: site.key }] }`"
        }
        ("protocol", "fastcgi" | "uwsgi" | "scgi" | "ajp" | "wsgi" | "asgi") => {
            "workers are asked in HTTP: start uwsgi with `--http-socket`, or use gunicorn or uvicorn"
        }
        (
            "protocol",
            "http11" | "http/11" | "http1" | "ws" | "wss" | "websocket" | "web" | "grpc",
        ) => "did you mean `http`? WebSockets pass through it",
        ("protocol", "http/1" | "http2" | "h2" | "http/2" | "http3" | "h3" | "quic") => {
            "did you mean `http`? HTTP/2 and HTTP/3 are not built yet"
        }
        (
            "protocol",
            "stream" | "layer4" | "l4" | "raw" | "tcp4" | "redis" | "mysql" | "postgres",
        ) => "did you mean `tcp`?",
        ("level", "warning") => "did you mean `warn`?",
        ("level", "notice" | "verbose" | "information") => "did you mean `info`?",
        ("level", "crit" | "critical" | "fatal" | "emerg" | "alert" | "panic") => {
            "did you mean `error`?"
        }
        ("format", "common" | "clf" | "apache" | "nginx" | "main" | "httplog") => {
            "did you mean `combined`? It is what nginx and Apache write"
        }
        ("format", "console" | "plain" | "human") => "did you mean `text`?",
        ("when", "error" | "connectfailure" | "connfailure" | "refused" | "connectionerror") => {
            "did you mean `connect`?"
        }
        (
            "when",
            "timeout" | "resettimeout" | "responsetimeout" | "emptyresponse" | "invalidheader"
            | "refusedstream",
        ) => "did you mean `reset`? A slow try ends by `per_try`",
        ("when", "5xx" | "gatewayerror" | "allretryableerrors" | "retriable4xx") => {
            "write the statuses: `when: [connect, reset, 502, 503, 504]`"
        }
        ("when", status)
            if status.strip_prefix("http").is_some_and(|n| n.parse::<u16>().is_ok()) =>
        {
            return Some(format!("did you mean `{}`?", &status[4..]));
        }
        ("on_lost", "redispatch" | "next" | "fallback" | "rechoose") => "did you mean `rebalance`?",
        ("client_fin", "close" | "abortonclose") => "did you mean `abort`?",
        _ => return None,
    };
    Some(hint.to_owned())
}

/// `max_conn`, `max-conn` and `maxConn` are one word.
pub(super) fn folded(name: &str) -> String {
    let letters = name.chars().filter(|c| !matches!(c, '_' | '-' | '.' | ' '));
    letters.take(64).collect::<String>().to_ascii_lowercase()
}
