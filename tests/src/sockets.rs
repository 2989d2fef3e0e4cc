//! Listening sockets and addresses that a test needs before isobar runs.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// An address that nobody listened on a moment ago: for a worker that refuses connections, and for
/// servers that cannot be given port 0.
pub fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.expect("a free port")
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
