//! The stream of the demonstration: a film of a few seconds on two targets, small servers of this very process.
//!
//! It has a tenant of its own, for a tenant's targets have copies of each of its assets that names none. The ports are
//! other ones at each start, so the record is told of them each time; whoever deletes a target or the film is not given
//! it again.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;
use wayside_decide::{
    binding::Prefix,
    host::HostPattern,
    name::Name,
    site::{Privacy, SiteId},
    stream::{
        asset::{Asset, AssetState, Balancer, Existing, RelativePath},
        base::BaseUrl,
        probe::{Asks, Probe},
        target::StreamTarget,
    },
};
use wayside_origin::{
    origin::Origin,
    store::{Freshness, SiteContent, StoreError, WriteMode},
};

/// The tenant whose the film is.
const TENANT: &str = "demo";
/// Its site; browsers and curl take each name below `localhost` for this machine.
const SITE: &str = "cinema";
const HOST: &str = "cinema.localhost";
/// What the film is called at its site, and the folder of its copies.
const FILM: &str = "film";
/// The targets.
const TARGETS: [&str; 2] = ["one", "two"];
/// What the targets' probes ask for.
const PROBE: &str = "up";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MEDIA: &str = "video/mp4";
/// By their paths below the film.
const FILES: [(&str, &str, &[u8]); 7] = [
    ("master.m3u8", PLAYLIST, include_bytes!("../../../demo/master.m3u8")),
    ("low.m3u8", PLAYLIST, include_bytes!("../../../demo/low.m3u8")),
    ("init.mp4", MEDIA, include_bytes!("../../../demo/init.mp4")),
    ("0.m4s", MEDIA, include_bytes!("../../../demo/0.m4s")),
    ("1.m4s", MEDIA, include_bytes!("../../../demo/1.m4s")),
    ("2.m4s", MEDIA, include_bytes!("../../../demo/2.m4s")),
    ("3.m4s", MEDIA, include_bytes!("../../../demo/3.m4s")),
];

/// The targets, listening.
pub(super) struct Film {
    addresses: Vec<SocketAddr>,
}

impl Film {
    /// Starts the targets on free ports; they end with the process.
    pub(super) async fn serve() -> anyhow::Result<Self> {
        let mut addresses = Vec::with_capacity(TARGETS.len());
        for name in TARGETS {
            let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let socket = socket.with_context(|| format!("listen for the target {name}"))?;
            addresses.push(socket.local_addr().context("read the port")?);
            let router = Router::new().fallback(answer);
            tokio::spawn(async move { axum::serve(socket, router).await });
        }
        Ok(Self { addresses })
    }

    /// Writes the film into an origin that never had it, else tells the record where its targets are now. Returns whether
    /// the film is there.
    pub(super) async fn show(&self, origin: &Origin, data: &Path) -> anyhow::Result<bool> {
        let marker = data.join("film-seeded");
        let (tenant, site) = (Name::parse("tenant", TENANT)?, Name::parse("site name", SITE)?);
        if !marker.exists() {
            if origin.store().site(&tenant, &site).await.is_err() {
                self.seed(origin, &tenant, &site).await?;
            }
            std::fs::write(&marker, "").with_context(|| format!("write {}", marker.display()))?;
        }
        match origin.store().site(&tenant, &site).await {
            Ok(site) => self.follow(origin, &tenant, site.id).await,
            Err(StoreError::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn seed(&self, origin: &Origin, tenant: &Name, site: &Name) -> anyhow::Result<()> {
        let store = origin.store();
        for target in self.targets()? {
            store.create_target(tenant, target).await?;
        }
        let content = SiteContent {
            hosts: vec![HostPattern::parse(HOST)?],
            not_found: None,
            max_age_s: None,
            privacy: Privacy::default(),
            streams: Some(Prefix::parse("/")?),
        };
        let site = store.create_site(tenant, site, content).await?.id;
        let film = self.film()?;
        Ok(store.write_assets(tenant, site, vec![film], WriteMode::Replace).await?)
    }

    /// Tells the record of the ports of this start, where it still has the targets and the film; whether it has the film.
    async fn follow(&self, origin: &Origin, tenant: &Name, site: SiteId) -> anyhow::Result<bool> {
        let store = origin.store();
        for target in self.targets()? {
            let held = match store.target(tenant, &target.name).await {
                Ok(held) => held.target,
                Err(StoreError::Missing { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let urls = target.urls;
            store
                .replace_target(tenant, StreamTarget { urls, ..held }, true)
                .await?;
        }
        let film = self.film()?;
        let held = match store.asset(site, &film.id, Freshness::Newest).await {
            Ok(held) => held.asset,
            Err(StoreError::Missing { .. } | StoreError::Gone { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let source = film.source;
        let film = Asset { source, ..held };
        store.write_assets(tenant, site, vec![film], WriteMode::Replace).await?;
        Ok(true)
    }

    /// Lines to paste; `command` begins those of `wayside`.
    pub(super) fn what_to_try(edge: SocketAddr, admin: SocketAddr, command: &str) -> Vec<String> {
        let site = format!("http://{HOST}:{}", edge.port());
        vec![
            format!("curl {site}/{FILM}/master.m3u8          # a stream: a playlist with its targets and steering"),
            format!("curl -i {site}/{FILM}/low.m3u8          # a file of it: sent to a target"),
            format!(
                "{command} --tenant {TENANT} --admin-url http://{admin} stream explain {SITE} --asset {FILM} --ip 192.0.2.1"
            ),
        ]
    }

    fn targets(&self) -> anyhow::Result<Vec<StreamTarget>> {
        let targets = TARGETS.iter().zip(&self.addresses).map(|(name, address)| {
            let name = Name::parse("target name", name)?;
            let urls = Box::new([BaseUrl::parse(&format!("http://{address}/"))?]);
            let probe = Some(Probe {
                asks: Asks::Below(PROBE.into()),
                interval_ms: Probe::INTERVAL_MS,
                timeout_ms: Probe::TIMEOUT_MS,
                status: 200,
                degraded_ms: None,
            });
            let target = StreamTarget::new(name, Name::parse("region", "local")?, urls);
            Ok(StreamTarget { probe, ..target })
        });
        targets.collect()
    }

    fn film(&self) -> anyhow::Result<Asset> {
        let source = self.addresses.first().context("a target")?;
        Ok(Asset {
            id: Name::parse("asset id", FILM)?,
            source: Some(BaseUrl::parse(&format!("http://{source}/{FILM}/"))?),
            hls: Some(RelativePath::parse("hls", "master.m3u8")?),
            dash: None,
            pathways: Box::default(),
            all_since_ms: 0,
            named_before: Box::default(),
            state: AssetState::Ready,
            balancer: Balancer::default(),
            ttl_s: 10,
            existing: Existing::default(),
            ingest_key: None,
            tags: Box::new(["demo".into()]),
            attributes: Box::default(),
        })
    }
}

/// What a target answers: a probe, or a file of the film, to pages of any site.
async fn answer(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    if path == PROBE {
        return StatusCode::OK.into_response();
    }
    let file = path.strip_prefix(FILM).and_then(|path| path.strip_prefix('/'));
    let found = FILES.iter().find(|(name, ..)| file == Some(*name));
    match found {
        Some((_, kind, bytes)) => {
            let fields = [
                (header::CONTENT_TYPE, *kind),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            ];
            (fields, *bytes).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
