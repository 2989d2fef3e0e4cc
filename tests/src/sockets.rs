//! Listening sockets and addresses that a test needs before isobar runs.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU16, Ordering};

use socket2::{Domain, Socket, Type};

/// The system gives port 0 none of these (Linux: `net.ipv4.ip_local_port_range` begins at 32768).
const FIRST: u16 = 10_000;
const PORTS: u16 = 22_000;

/// Listens at a port that nobody else is given who binds port 0: once it is closed it stays closed.
pub fn listen() -> TcpListener {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run one after the other begin at different ports.
    let begin = std::process::id().wrapping_mul(977) % u32::from(PORTS);
    for _ in 0..PORTS {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed)) + begin;
        let port = FIRST + (next % u32::from(PORTS)) as u16;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
    panic!("no free port");
}

/// An address that nobody listens on: for a worker that refuses connections, and for servers that
/// cannot be given port 0.
pub fn free_address() -> SocketAddr {
    listen().local_addr().expect("its address")
}

/// A listening socket that the processes inherit which this one starts.
pub struct Inherited(Socket);

impl Inherited {
    pub fn listen() -> Inherited {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
        socket.bind(&any.into()).expect("binds");
        socket.listen(16).expect("listens");
        socket.set_cloexec(false).expect("a setting");
        Inherited(socket)
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("bound").as_socket().expect("an IP address")
    }

    /// As `bind` of a listener names it.
    pub fn bind(&self) -> String {
        format!("fd:{}", self.0.as_raw_fd())
    }

    /// Ends it for every process that has it.
    pub fn shut_down(&self) {
        self.0.shutdown(std::net::Shutdown::Both).expect("shuts it down");
    }
}
