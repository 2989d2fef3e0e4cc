//! The places users expect us at: agreed between the running process and the commands that look
//! for it.

use std::path::PathBuf;

/// The default of the configuration's `admin.bind`.
pub(crate) const ADMIN_SOCKET: &str = "/run/isobar/admin.sock";

/// Where to put the admin socket, or to look for it, unless told otherwise: best first.
pub(crate) fn admin_sockets() -> Vec<PathBuf> {
    let own =
        std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let own = own.map(|dir| dir.join("isobar/admin.sock"));
    [Some(ADMIN_SOCKET.into()), own].into_iter().flatten().collect()
}
