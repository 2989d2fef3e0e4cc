//! Where a command looks for the configuration and for the running process.
//!
//! Given names win and are never second-guessed; the others are tried one after the other. Decides
//! only where; opening and connecting is up to who asked.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use isobar_config::{Config, model::AdminBind};

use super::failed::ErrorText;
use crate::{registry, wellknown};

/// One way to reach the running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Unix(PathBuf),
    Tcp(SocketAddr),
    /// A name, for the resolver.
    Host(String),
}

/// The configuration's path, or where it was looked for in vain.
pub(crate) fn config(given: Option<PathBuf>) -> Result<PathBuf, ErrorText> {
    let from_env = std::env::var_os("ISOBAR_CONFIG");
    search(given, from_env, &["isobar.yaml", "/etc/isobar/isobar.yaml"]).ok_or_else(|| {
        let tried = "$ISOBAR_CONFIG, ./isobar.yaml, /etc/isobar/isobar.yaml";
        format!("no configuration: give one with -c FILE (looked for {tried})")
    })
}

fn search(given: Option<PathBuf>, env: Option<OsString>, usual: &[&str]) -> Option<PathBuf> {
    let env = env.filter(|value| !value.is_empty()).map(PathBuf::from);
    given.or(env).or_else(|| usual.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// The ways to the running process, best first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doors {
    pub(crate) doors: Vec<Door>,
    /// The configuration, which may know better, cannot be read: why. Said if no door opens.
    pub(crate) unread: Option<String>,
    pub(crate) meant: Meant,
}

/// Which process the user means, if several may answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// Whoever has this address.
    Anyone,
    /// Probably the one that runs with this file: it lies where one is looked for.
    Perhaps(PathBuf),
    /// The one that runs with this file: the user has named it.
    File(PathBuf),
}

pub(crate) fn admin(given: Option<String>, file: Option<PathBuf>) -> Result<Doors, ErrorText> {
    doors(given, file, |_| None)
}

pub(crate) fn admin_or_metrics(
    given: Option<String>,
    file: Option<PathBuf>,
) -> Result<Doors, ErrorText> {
    doors(given, file, |config| config.metrics)
}

fn doors(
    given: Option<String>,
    file: Option<PathBuf>,
    also: impl Fn(&Config) -> Option<SocketAddr>,
) -> Result<Doors, ErrorText> {
    let from_env = || std::env::var("ISOBAR_ADMIN").ok().filter(|value| !value.is_empty());
    if let Some(address) = given.or_else(from_env) {
        let meant = file.map_or(Meant::Anyone, Meant::File);
        return Ok(Doors { doors: vec![parse(&address)?], unread: None, meant });
    }
    let mut doors = Vec::new();
    let mut add = |door| {
        if !doors.contains(&door) {
            doors.push(door);
        }
    };
    let named = file.is_some();
    let found = config(file).ok();
    // A broken file must not keep anybody from talking to the process that runs.
    let read = |path: &PathBuf| isobar_config::load(path, &registry::registry());
    let (config, unread) = match found.as_ref().map(read) {
        Some(Ok(loaded)) => (Some(loaded.config), None),
        Some(Err(problems)) => (None, Some(problems.to_string())),
        None => (None, None),
    };
    for bind in config.iter().flat_map(|config| &config.admin) {
        add(match bind {
            AdminBind::Unix { path, .. } => Door::Unix(path.clone()),
            AdminBind::Tcp(addr) => Door::Tcp(*addr),
        });
    }
    wellknown::admin_sockets().into_iter().for_each(|path| add(Door::Unix(path)));
    if let Some(addr) = config.as_ref().and_then(also) {
        add(Door::Tcp(local(addr)));
    }
    let meant = match (found, named) {
        (Some(path), true) => Meant::File(path),
        (Some(path), false) => Meant::Perhaps(path),
        (None, _) => Meant::Anyone,
    };
    Ok(Doors { doors, unread, meant })
}

/// Something bound to every address is reached on this machine's own.
fn local(mut addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        addr.set_ip(match addr {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    addr
}

fn parse(address: &str) -> Result<Door, ErrorText> {
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Door::Unix(path.into()));
    }
    if address.contains('/') && !address.contains("://") {
        return Ok(Door::Unix(Path::new(address).into()));
    }
    let plain = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    if let Ok(addr) = plain.parse() {
        return Ok(Door::Tcp(addr));
    }
    let expected = format!("`{address}`: expected unix:/PATH, /PATH or HOST:PORT");
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    match plain.rsplit_once(':') {
        None if is_port(plain) => Err(format!("{expected}; did you mean 127.0.0.1:{plain}?")),
        Some(("", port)) if is_port(port) => {
            Err(format!("{expected}; did you mean 127.0.0.1:{port}?"))
        }
        Some((host, port)) if is_port(port) && !host.contains(['/', ':']) => {
            Ok(Door::Host(plain.to_owned()))
        }
        _ => Err(expected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_file_wins_over_the_environment_over_the_usual_places() {
        let usual = ["Cargo.toml"];
        assert_eq!(search(Some("a".into()), Some("b".into()), &usual), Some("a".into()));
        assert_eq!(search(None, Some("b".into()), &usual), Some("b".into()));
        assert_eq!(search(None, Some("".into()), &usual), Some("Cargo.toml".into()));
        assert_eq!(search(None, None, &["no-such-file"]), None);
    }

    #[test]
    fn admin_addresses() {
        let good = |text: &str| parse(text).unwrap();
        assert_eq!(good("unix:/run/a.sock"), Door::Unix("/run/a.sock".into()));
        assert_eq!(good("./a.sock"), Door::Unix("./a.sock".into()));
        let tcp = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(good(&tcp.to_string()), Door::Tcp(tcp));
        assert_eq!(good(&format!("http://{tcp}/")), Door::Tcp(tcp));
        assert_eq!(good("localhost:1"), Door::Host("localhost:1".into()));
    }

    #[test]
    fn what_is_no_admin_address_is_refused_with_what_may_be_meant() {
        for port in ["9000", ":9000"] {
            assert!(parse(port).unwrap_err().contains("mean 127.0.0.1:9000?"), "{port}");
        }
        for bad in ["localhost", "https://localhost:1", "a:b", "localhost:99999", "::1:a"] {
            let said = parse(bad).unwrap_err();
            assert!(said.contains(bad) && said.contains("HOST:PORT"), "{said}");
        }
    }

    #[test]
    fn a_given_address_is_the_only_one_tried() {
        let ways = admin(Some("/x".into()), None).unwrap();
        assert_eq!((ways.doors, ways.meant), (vec![Door::Unix("/x".into())], Meant::Anyone));
        let ways = admin(Some("/x".into()), Some("a.yaml".into())).unwrap();
        assert_eq!(ways.meant, Meant::File("a.yaml".into()));
    }

    #[test]
    fn a_broken_file_is_told_about_and_the_usual_places_are_tried() {
        let broken = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let ways = doors(None, Some(broken), |_| None).unwrap();
        assert!(ways.unread.is_some_and(|why| why.contains("Cargo.toml")));
        assert!(ways.doors.contains(&Door::Unix(wellknown::ADMIN_SOCKET.into())));
    }

    #[test]
    fn everywhere_is_reached_here() {
        assert_eq!(local(SocketAddr::from(([0, 0, 0, 0], 1))).ip().to_string(), "127.0.0.1");
    }
}
