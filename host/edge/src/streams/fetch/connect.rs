//! Whether anybody listens where a tenant says: of servers that take streams and speak no HTTP.
//!
//! In: a host and a port that a tenant chose. Out: how long a connection took to be there. It goes where fetches go, and
//! nowhere else; nothing is sent, and what the other side says is not read.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use reqwest::dns::Resolve as _;
use tokio::{net::TcpStream, time::timeout};
use wayside_decide::stream::probe::Listener;

use super::{FetchError, Fetcher, reach::TENANT};

impl Fetcher {
    /// Connects, and hangs up.
    ///
    /// # Errors
    /// [`FetchError`] when there is no connection within `limit`.
    pub(crate) async fn connect(
        &self,
        tenant: &str,
        listener: &Listener,
        limit: Duration,
    ) -> Result<Duration, FetchError> {
        let started = Instant::now();
        let connecting = async {
            let addresses = self.addresses(tenant, listener).await?;
            TcpStream::connect(&*addresses)
                .await
                .map_err(|error| FetchError::Broken(format!("connect: {error}")))
        };
        timeout(limit, connecting)
            .await
            .map_err(|_| FetchError::Time(limit))??;
        Ok(started.elapsed())
    }

    /// Where the host is, of that what may be connected to.
    async fn addresses(&self, tenant: &str, listener: &Listener) -> Result<Vec<SocketAddr>, FetchError> {
        let (host, port) = (listener.host(), listener.port());
        let private = |error: super::reach::Private| FetchError::Private(error.to_string());
        self.reach.check_literal(host).map_err(private)?;
        let bare = host.trim_matches(['[', ']']);
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let broken = |error: &dyn std::fmt::Display| FetchError::Broken(error.to_string());
        let name = host.parse().map_err(|error| broken(&error))?;
        let resolving = TENANT.sync_scope(tenant.into(), || self.reach.resolve(name));
        let found = resolving.await.map_err(|error| broken(&error))?;
        Ok(found.map(|address| SocketAddr::new(address.ip(), port)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Duration};

    use wayside_decide::stream::probe::{Asks, Listener};
    use wayside_upstream::http::Roots;

    use super::super::Fetcher;

    const LIMIT: Duration = Duration::from_secs(5);

    fn listener(host: &str, port: u16) -> Listener {
        match Asks::parse(&format!("tcp://{host}:{port}")).expect("a URL") {
            Asks::Connection(listener) => listener,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn somebody_listens_or_nobody_does() {
        let fetcher = Fetcher::new(vec!["127.0.0.0/8".parse().expect("a network")], Roots::default(), 8);
        let fetcher = fetcher.expect("a client");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        for host in ["127.0.0.1", "localhost"] {
            fetcher.connect("t", &listener(host, port), LIMIT).await.expect(host);
        }
        drop(socket);
        let refused = fetcher.connect("t", &listener("127.0.0.1", port), LIMIT).await;
        let refused = refused.expect_err("nobody").to_string();
        assert!(refused.starts_with("connect: "), "{refused}");
    }

    #[tokio::test]
    async fn nobody_is_connected_to_who_is_not_the_publics() {
        let fetcher = Fetcher::new(Vec::new(), Roots::default(), 8).expect("a client");
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = socket.local_addr().expect("an address").port();
        for host in [
            "127.0.0.1",
            "localhost",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "169.254.169.254",
            "10.0.0.1",
        ] {
            let refused = fetcher.connect("t", &listener(host, port), LIMIT).await;
            let refused = refused.expect_err(host).to_string();
            assert!(
                refused.contains("expected an address that is public"),
                "{host}: {refused}"
            );
        }
        socket.set_nonblocking(true).expect("a socket");
        assert!(socket.accept().is_err(), "nobody came");
    }
}
