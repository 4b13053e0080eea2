//! Serves a router on a socket: HTTP/1.1 and HTTP/2, plain or over TLS, with limits on how slow a client may be.
//!
//! In: a socket, a router, perhaps a certificate, and a future that says when to stop. Out: answers. For the origin's API
//! and a node's own endpoint; visitors have a loop of their own in the edge. It must not know what is served.

pub mod server;
pub mod tls;
