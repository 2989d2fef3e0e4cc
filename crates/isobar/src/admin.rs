//! The sockets of the control plane, called doors here: the admin API on unix sockets (and on a loopback
//! address, if configured), and the separate read-only listener for health checks and metrics.
//!
//! Runs on the control thread. It decides where the sockets are and what happens when one cannot be
//! bound; `server` speaks HTTP, `guard` says who may ask, `api` answers.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use isobar_config::Config;
use isobar_config::model::AdminBind;
use isobar_proxy::ListenSocket;

use crate::control::{Control, Source};
use crate::plan::socket::{self, Bound, SocketFile};
use crate::wellknown;

mod api;
pub(crate) mod bounds;
mod door;
mod guard;
mod page;
pub(crate) mod path;
mod problem;
mod process;
mod server;
mod view;
mod visitors;

pub(crate) use door::Door;

/// Bound, and not served yet.
pub(crate) struct Doors(Vec<(Door, Bound)>);

/// Served; dropped, the doors' names in the file system go.
pub(crate) struct Open {
    _files: Vec<SocketFile>,
}

/// Binds every door. `Err` names the one that could not be; a default nobody asked for is only
/// worth a warning.
pub(crate) fn open(config: &Config, source: &Source) -> Result<Doors, String> {
    let mut doors = Vec::new();
    for bind in &config.admin {
        let (door, bound) = match bind {
            AdminBind::Tcp(addr) => (Door::AdminTcp, tcp(*addr)),
            AdminBind::Unix { path, mode } => (Door::AdminUnix, unix(path, *mode)),
        };
        let optional = match bind {
            _ if matches!(source, Source::Flags) => true,
            AdminBind::Unix { path, .. } => path == Path::new(wellknown::ADMIN_SOCKET),
            AdminBind::Tcp(_) => false,
        };
        match (bound, bind) {
            (Ok(bound), _) => doors.push((door, bound)),
            (Err(error), AdminBind::Unix { path, mode }) if optional => {
                doors.extend(elsewhere(path, *mode, &error).map(|bound| (door, bound)));
            }
            (Err(error), AdminBind::Tcp(addr)) if optional => {
                tracing::warn!("no admin API on {addr}: {error}");
            }
            (Err(error), AdminBind::Tcp(addr)) => {
                return Err(format!("admin: cannot listen on {addr}: {error}"));
            }
            (Err(error), AdminBind::Unix { path, .. }) => {
                return Err(format!("admin: cannot listen on unix:{}: {error}", path.display()));
            }
        }
    }
    if let Some(addr) = config.metrics {
        let bound = tcp(addr);
        let bound = bound.map_err(|error| format!("metrics: cannot listen on {addr}: {error}"))?;
        doors.push((Door::Metrics, bound));
    }
    Ok(Doors(doors))
}

fn tcp(addr: SocketAddr) -> io::Result<Bound> {
    let socket = socket::tcp(addr)?;
    let address = socket.local_addr()?.to_string();
    Ok(Bound { socket: ListenSocket::Tcp(socket), address, file: None })
}

fn unix(path: &Path, mode: u32) -> io::Result<Bound> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(dir)?;
    }
    let (socket, file) = socket::unix(path, mode)?;
    let address = format!("unix:{}", path.display());
    Ok(Bound { socket: ListenSocket::Unix(socket), address, file: Some(file) })
}

/// The default place is not ours to use (not root, another isobar): the user's own, or none.
fn elsewhere(wanted: &Path, mode: u32, why: &io::Error) -> Option<Bound> {
    let others = wellknown::admin_sockets().into_iter().filter(|path| path != wanted);
    let bound = others.into_iter().find_map(|path| unix(&path, mode).ok());
    if bound.is_none() {
        tracing::warn!("no admin API: cannot listen on unix:{}: {why}", wanted.display());
    }
    bound
}

impl Doors {
    pub(crate) fn addresses(&self) -> Vec<(Door, String)> {
        self.0.iter().map(|(door, bound)| (*door, bound.address.clone())).collect()
    }

    pub(crate) fn serve(self, control: &Arc<Control>) -> Open {
        let mut files = Vec::new();
        for (door, bound) in self.0 {
            let name = if door == Door::Metrics { "metrics" } else { "admin" };
            match server::listener(bound.socket) {
                Ok(listener) => {
                    tokio::spawn(server::serve(listener, door, control.clone()));
                    tracing::info!("listening on {} ({name})", bound.address);
                }
                Err(error) => tracing::error!(%error, "{name}: the socket cannot be watched"),
            }
            files.extend(bound.file);
        }
        Open { _files: files }
    }
}
