//! Sockets that several threads listen on.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::ListenError;

/// Connections that may wait to be accepted, for each socket.
const BACKLOG: i32 = 4096;

/// `count` sockets on the same address; with port 0, on the same free port.
pub(super) fn bind_shared(address: SocketAddr, count: usize) -> Result<Vec<TcpListener>, ListenError> {
    // A socket that may share its port would silently share it with another process of the same user: a second
    // Wayside would take half of the first one's visitors. One that may not share finds out.
    let probe = listen(address, false).map_err(|error| ListenError::explain(address, error))?;
    let address = probe
        .local_addr()
        .map_err(|error| ListenError::explain(address, error))?;
    drop(probe);
    (0..count.max(1))
        .map(|_| listen(address, true).map_err(|error| ListenError::explain(address, error)))
        .collect()
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of an earlier process that linger in TIME_WAIT do not hold the port.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::{ListenError, bind_shared};

    #[test]
    fn threads_share_a_port_and_others_are_told_that_it_is_taken() {
        let any = "127.0.0.1:0".parse().expect("address");
        let sockets = bind_shared(any, 3).expect("sockets");
        let address = sockets[0].local_addr().expect("address");
        assert!(
            sockets
                .iter()
                .all(|socket| socket.local_addr().expect("address") == address)
        );
        assert!(matches!(bind_shared(address, 1), Err(ListenError::Taken { .. })));
    }
}
