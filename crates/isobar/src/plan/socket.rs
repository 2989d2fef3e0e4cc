//! Listening sockets: one per address, bound and listening before anything else is decided.
//!
//! A socket file left by a process that died is no obstacle, one that somebody answers on is; a
//! path that is anything but a socket is never touched. The mode is set before the first client
//! can connect. Called by `plan` for listeners and by `admin` for its own doors.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use isobar_config::model::Bind;
use isobar_proxy::ListenSocket;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

const BACKLOG: i32 = 4096;

/// A socket that already listens; clients wait in its back-log until somebody accepts.
pub(crate) struct Bound {
    pub(crate) socket: ListenSocket,
    /// Where it really listens: the port the system chose, if it was to choose.
    pub(crate) address: String,
    pub(crate) file: Option<SocketFile>,
}

/// The name of a unix socket in the file system; removed when dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: somebody may have put another one there since.
    identity: (u64, u64),
}

pub(crate) fn bind(bind: &Bind) -> io::Result<Bound> {
    match bind {
        Bind::Tcp(addr) => {
            let socket = tcp(*addr)?;
            let address = socket.local_addr()?.to_string();
            Ok(Bound { socket: ListenSocket::Tcp(socket), address, file: None })
        }
        Bind::Unix { path, mode } => {
            let (socket, file) = unix(path, *mode)?;
            let address = format!("unix:{}", path.display());
            Ok(Bound { socket: ListenSocket::Unix(socket), address, file: Some(file) })
        }
        Bind::Fd(number) => inherited(*number),
    }
}

pub(crate) fn tcp(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of our predecessor in TIME_WAIT must not keep us from the port.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if addr.is_ipv6() {
        // `[::]` is both families, whatever this machine's `bindv6only` says.
        socket.set_only_v6(false)?;
    }
    socket.bind(&addr.into())?;
    bequeath(SockRef::from(&socket))?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Options that a connection inherits with its SYN: set before anybody can connect, they cost no
/// system call per connection and no connection lacks them.
fn bequeath(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Whose machine died says no good-bye: a tunnel or an event stream to it would stay.
    socket.set_tcp_keepalive(&isobar_pool::keepalive())
}

pub(crate) fn unix(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.to_owned(), identity: identity(path)? };
    // Between bind and listen nobody can connect: no moment with the wrong mode.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    socket.listen(BACKLOG)?;
    Ok((socket.into(), file))
}

/// Removes the socket file of a process that is no more.
fn clear(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !metadata.file_type().is_socket() {
        let what = if metadata.is_symlink() { "a symbolic link" } else { "not a socket" };
        let message = format!("the path exists and is {what}; it is left alone");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let answers = || {
        let message = "another process answers on this socket";
        Err(io::Error::new(io::ErrorKind::AddrInUse, message))
    };
    match knock(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        // Alive, and so busy that its back-log is full.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => answers(),
        Ok(()) => answers(),
        // Not ours to look at.
        Err(error) => Err(error),
    }
}

/// Connects without waiting: who listens may never accept, and we are the control plane.
fn knock(path: &Path) -> io::Result<()> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

/// A listening socket that whoever started us left open under this number.
fn inherited(number: i32) -> io::Result<Bound> {
    let not_one = |what: &str| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {number} {what}"))
    };
    // Asking the kernel for a duplicate of our own descriptor is the one way to turn a number
    // into something owned that needs no promise about who else owns it. The original stays
    // open, so a later reload may name it again.
    let myself = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket: OwnedFd =
        pidfd_getfd(myself, number, PidfdGetfdFlags::empty()).map_err(|error| match error {
            rustix::io::Errno::BADF => not_one("is not open"),
            error => error.into(),
        })?;
    let look = SockRef::from(&socket);
    if !look.is_listener().map_err(|_| not_one("is not a socket"))? {
        return Err(not_one("is not a listening socket"));
    }
    look.set_nonblocking(true)?;
    let local = look.local_addr()?;
    if let Some(addr) = local.as_socket() {
        bequeath(look)?;
        let socket = ListenSocket::Tcp(socket.into());
        return Ok(Bound { socket, address: addr.to_string(), file: None });
    }
    let address = match local.as_pathname() {
        Some(path) => format!("unix:{}", path.display()),
        None => format!("fd:{number}"),
    };
    // The file belongs to whoever made it.
    Ok(Bound { socket: ListenSocket::Unix(socket.into()), address, file: None })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|metadata| (metadata.dev(), metadata.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    /// A directory of its own per test, gone with it.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Dir {
            let dir = format!("isobar-socket-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            fs::create_dir_all(&dir).unwrap();
            Dir(dir)
        }

        fn path(&self) -> PathBuf {
            self.0.join("s")
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_mode_is_set_and_the_file_goes_with_its_owner() {
        let dir = Dir::new("mode");
        let (socket, file) = unix(&dir.path(), 0o600).unwrap();
        let mode = fs::metadata(dir.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop((socket, file));
        assert!(!dir.path().exists());
    }

    #[test]
    fn lc_06_a_stale_socket_is_no_obstacle() {
        let dir = Dir::new("stale");
        drop(UnixListener::bind(dir.path()).unwrap());
        assert!(dir.path().exists());
        unix(&dir.path(), 0o600).unwrap();
    }

    #[test]
    fn a_socket_somebody_answers_on_is_left_alone() {
        let dir = Dir::new("live");
        let _other = UnixListener::bind(dir.path()).unwrap();
        assert_eq!(unix(&dir.path(), 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(dir.path()).unwrap();
    }

    /// Nobody accepts, and the back-log is full: it is left alone, and nobody waits for it.
    #[test]
    fn a_socket_with_a_full_back_log_makes_nobody_wait() {
        let dir = Dir::new("full");
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(dir.path()).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _waiting: Vec<_> = std::iter::from_fn(|| {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.connect(&SockAddr::unix(dir.path()).unwrap()).ok().map(|()| socket)
        })
        .collect();
        let (tell, told) = std::sync::mpsc::channel();
        let path = dir.path();
        std::thread::spawn(move || tell.send(unix(&path, 0o600).unwrap_err().kind()));
        let said = told.recv_timeout(std::time::Duration::from_secs(5));
        assert_eq!(said, Ok(io::ErrorKind::AddrInUse));
        assert!(dir.path().exists());
    }

    #[test]
    fn lc_13_files_and_symbolic_links_are_left_alone() {
        let dir = Dir::new("link");
        let target = dir.0.join("precious");
        fs::write(&target, "data").unwrap();
        assert!(unix(&target, 0o600).is_err());
        std::os::unix::fs::symlink(&target, dir.path()).unwrap();
        assert!(unix(&dir.path(), 0o600).is_err());
        assert_eq!(fs::read(&target).unwrap(), b"data");
    }

    #[test]
    fn a_successor_s_socket_is_not_removed() {
        let dir = Dir::new("successor");
        let (_socket, file) = unix(&dir.path(), 0o600).unwrap();
        // Kept under another name, so that its inode is not used again.
        fs::rename(dir.path(), dir.0.join("old")).unwrap();
        let _successor = UnixListener::bind(dir.path()).unwrap();
        drop(file);
        assert!(dir.path().exists());
    }

    #[test]
    fn an_inherited_descriptor_must_listen() {
        use std::os::fd::AsRawFd;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let bound = bind(&Bind::Fd(listener.as_raw_fd())).unwrap();
        assert_eq!(bound.address, listener.local_addr().unwrap().to_string());
        let file = fs::File::open("/dev/null").unwrap();
        assert!(bind(&Bind::Fd(file.as_raw_fd())).is_err());
        assert!(bind(&Bind::Fd(987_654)).is_err());
    }
}
