//! An address at which nobody ever accepts.

use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A full back-log, for as long as its sockets are held: a connect there never completes.
pub fn black_hole() -> (Vec<Socket>, SocketAddr) {
    let new = || Socket::new(Domain::IPV4, Type::STREAM, None);
    let listener = new().expect("a socket");
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    listener.bind(&any.into()).expect("binds");
    listener.listen(0).expect("listens");
    let address = listener.local_addr().expect("bound");
    let mut held: Vec<_> = (0..4).map(|_| new().expect("a socket")).collect();
    for filling in &held {
        let _ = filling.connect_timeout(&address, Duration::from_millis(100));
    }
    held.push(listener);
    (held, address.as_socket().expect("an IP address"))
}
