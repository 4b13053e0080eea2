//! `wayside dev`: an edge and an origin in one process, with something to try.
//!
//! The edge speaks to the origin by the same protocol over a socket as everywhere else; nothing here is a short cut.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use tokio::sync::oneshot;
use wayside_edge::node::Node;
use wayside_edge_config::{address::Cidr, config::Config, number::Within, path::FilePath, url::ServiceUrl};
use wayside_origin::token::Scope;
use wayside_upstream::{access::Access, http::Roots};

use super::origin;
use crate::{
    cli::Globals,
    first_token, logging, output,
    running::{self, End},
};

mod demo;
mod film;
mod paste;

/// How long the first line of what to try waits for the demonstration's policies.
const READY_MAX: Duration = Duration::from_secs(30);

/// Run an edge and an origin in one process, to try things out
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  wayside dev\n  wayside dev --listen 127.0.0.1:0 --data /tmp/try\n  \
    wayside dev --geo GeoLite2-City.mmdb --trust-proxy 127.0.0.0/8"
)]
pub(crate) struct Args {
    /// Where visitors come; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where health, metrics and status answer
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Where the API answers
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    origin: SocketAddr,
    /// Where everything is kept
    #[arg(long, value_name = "DIR", default_value = ".wayside")]
    data: PathBuf,
    /// Database of places: GeoLite2 or GeoIP2 City or Country (.mmdb)
    #[arg(long, value_name = "FILE")]
    geo: Option<PathBuf>,
    /// Database of autonomous systems: GeoLite2 ASN (.mmdb)
    #[arg(long, value_name = "FILE")]
    geo_asn: Option<PathBuf>,
    /// A network whose `X-Forwarded-For` is believed; may be given again
    #[arg(long, value_name = "NETWORK")]
    trust_proxy: Vec<IpNet>,
    /// Folder of keys for signed URLs: `TENANT/NAME` each
    #[arg(long, value_name = "DIR")]
    secrets: Option<PathBuf>,
    /// Threads that answer visitors; 0 stands for one a core
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    threads: usize,
    /// Write a line for every request
    #[arg(long)]
    log_requests: bool,
}

/// Runs both until the process is asked to end.
pub(crate) fn run(args: Args, _: &Globals) -> anyhow::Result<()> {
    let mut config = configure(&args)?;
    logging::start(&config.log);
    running::block_on(async {
        let end = End::listen()?;
        let origin = origin::open(&config).await?;
        let token = args.data.join(origin::TOKEN);
        first_token::keep(&origin, &token, Scope::Admin, "dev").await?;
        let node_token = first_token::keep(&origin, &args.data.join("node-token"), Scope::Read, "node").await?;
        let is_seeded = demo::seed_once(&origin, &args.data)
            .await
            .context("write the demonstration's data")?;
        let film = film::Film::serve().await?;
        let has_film = film
            .show(&origin, &args.data)
            .await
            .context("write the demonstration's film")?;
        let socket = origin::listen(args.origin).await?;
        let origin_address = socket.local_addr().context("read the port")?;
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(origin.serve(socket, None, async { stopped.await.unwrap_or_default() }));
        let access = Access::by_token(&node_token, Roots::System)?;
        config.upstream.url = ServiceUrl::new(&format!("http://{origin_address}"));
        let mut settings = running::node_settings(&config, access)?;
        settings.threads = if args.threads > 0 {
            args.threads
        } else {
            settings.threads
        };
        let node = Node::start(settings).await?;
        let command = paste::command(origin_address, &token);
        let mut to_try = Vec::new();
        if has_film {
            to_try.extend(film::Film::what_to_try(node.address(), node.admin_address(), &command));
        }
        if is_seeded {
            to_try.extend(demo::what_to_try(node.address(), node.admin_address(), &command));
        }
        announce(&node, origin_address, &to_try).await?;
        end.asked().await;
        node.drain().await;
        let _ = stop.send(());
        serving.await.context("stop the origin")
    })
}

/// The configuration that the arguments stand for.
fn configure(args: &Args) -> anyhow::Result<Config> {
    let mut config = Config::default();
    config.edge.listen.0 = args.listen;
    config.edge.trusted_proxies.0 = args.trust_proxy.iter().copied().map(Cidr).collect();
    config.edge.demo_country = true;
    config.edge.data = Some(file_path(&args.data.join("node"))?);
    // Who tries it out has his targets on his own machine.
    let loopback = [
        Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8).trunc().into(),
        Ipv6Net::from(Ipv6Addr::LOCALHOST).into(),
    ];
    config.streams.private_networks.0 = loopback.map(Cidr).into();
    config.streams.secrets = args.secrets.as_deref().map(file_path).transpose()?;
    config.admin.listen.0 = args.admin;
    config.origin.listen.0 = args.origin;
    config.origin.data = file_path(&args.data.join("origin"))?;
    config.geo.city = args.geo.as_deref().map(file_path).transpose()?;
    config.geo.asn = args.geo_asn.as_deref().map(file_path).transpose()?;
    // Who has just replaced a database wants to see what it says.
    config.geo.check_interval_s = Within::of::<1>();
    // Who starts it by hand wants to see what to try, not every step.
    config.log.requests = args.log_requests;
    config.log.level = wayside_edge_config::config::LogLevel::Warn;
    Ok(config)
}

fn file_path(path: &Path) -> anyhow::Result<FilePath> {
    let text = path
        .to_str()
        .with_context(|| format!("{}: expected a path in UTF-8", path.display()))?;
    FilePath::new(text).with_context(|| format!("{}: expected a path", path.display()))
}

/// Says where everything answers, and, once it does, what to try.
async fn announce(node: &Node, origin: SocketAddr, to_try: &[String]) -> anyhow::Result<()> {
    let edge = node.address();
    output::line(&format!("edge    http://{edge}"))?;
    output::line(&format!("admin   http://{}", node.admin_address()))?;
    output::line(&format!("origin  http://{origin}"))?;
    let give_up = tokio::time::Instant::now() + READY_MAX;
    while !node.is_ready() && tokio::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    output::line("ready")?;
    if !to_try.is_empty() {
        output::line("")?;
        output::line("Try:")?;
        for line in to_try {
            output::line(&format!("  {line}"))?;
        }
        output::line("")?;
        output::line("End with Ctrl-C.")?;
    }
    Ok(())
}
