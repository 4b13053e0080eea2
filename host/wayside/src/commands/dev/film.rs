//! The stream of the demonstration: a film of a few seconds on two targets, small servers of this very process.
//!
//! Their ports are other ones at each start, so the record is told of them each time; whoever deletes a target or the
//! film is not given it again.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;
use wayside_decide::{
    name::Name,
    site::SiteId,
    stream::{
        asset::{Asset, AssetState, Balancer, Existing, RelativePath},
        base::BaseUrl,
        target::{Probe, Service, StreamTarget},
    },
};
use wayside_origin::{
    origin::Origin,
    store::{StoreError, WriteMode},
};

/// What the film is called at its site, and the folder of its copies.
const FILM: &str = "film";
/// The targets.
const TARGETS: [&str; 2] = ["demo-one", "demo-two"];
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

    /// Writes the targets and the film.
    pub(super) async fn seed(&self, origin: &Origin, tenant: &Name, site: SiteId) -> anyhow::Result<()> {
        for target in self.targets()? {
            origin.store().create_target(tenant, target).await?;
        }
        let film = self.film()?;
        Ok(origin
            .store()
            .write_assets(tenant, site, vec![film], WriteMode::Replace)
            .await?)
    }

    /// Tells the record of the ports of this start, where it still has the targets and the film.
    pub(super) async fn follow(&self, origin: &Origin, tenant: &Name, site: SiteId) -> anyhow::Result<()> {
        let store = origin.store();
        for target in self.targets()? {
            let held = match store.target(tenant, &target.name).await {
                Ok(held) => held.target,
                Err(StoreError::Missing { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let target = StreamTarget {
                urls: target.urls,
                ..held
            };
            store.replace_target(tenant, target).await?;
        }
        let film = self.film()?;
        match store
            .asset(site, &film.id, wayside_origin::store::Freshness::Newest)
            .await
        {
            Ok(held) => {
                let film = Asset {
                    source: film.source,
                    ..held.asset
                };
                Ok(store.write_assets(tenant, site, vec![film], WriteMode::Replace).await?)
            }
            Err(StoreError::Missing { .. } | StoreError::Gone { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn targets(&self) -> anyhow::Result<Vec<StreamTarget>> {
        let targets = TARGETS.iter().zip(&self.addresses).map(|(name, address)| {
            Ok(StreamTarget {
                name: Name::parse("target name", name)?,
                urls: Box::new([BaseUrl::parse(&format!("http://{address}/"))?]),
                region: Name::parse("region", "local")?,
                coordinates: None,
                weight: 1,
                sessions_max: None,
                kbit_s_max: None,
                kbit_s_commit: None,
                cost: 0,
                countries: None,
                service: Service::In,
                probe: Some(Probe {
                    path: PROBE.into(),
                    interval_ms: Probe::INTERVAL_MS,
                    timeout_ms: Probe::TIMEOUT_MS,
                    status: 200,
                    degraded_ms: None,
                }),
                signing: None,
                ingest: Box::default(),
                since_ms: 0,
            })
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
