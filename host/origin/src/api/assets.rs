//! `/v1/assets`: what players play.

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{
    digest::Digest,
    invalid::Invalid,
    limits::BATCH_ASSETS_MAX,
    name::Name,
    site::SiteId,
    stream::{asset::Asset as DomainAsset, target::StreamTarget},
};
use wayside_upstream::protocol::streams::EdgeAsset;

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, Object, Page, Parameters, page_items},
    problem::Problem,
};
use crate::{
    secret::Secret,
    store::{Freshness, StoreError, WriteMode, streams::AssetRecord},
};

mod content;

use content::AssetContent;

/// How an ingest key begins, so that one that leaked is recognised.
const KEY_PREFIX: &str = "wk_";

/// Assets to write together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetBatch {
    /// The site's name.
    site: String,
    /// Up to 1,000 assets, each once.
    #[schema(value_type = Vec<AssetContent>)]
    assets: Vec<Object<AssetContent>>,
}

/// An asset.
#[derive(Serialize, ToSchema)]
pub(crate) struct Asset {
    #[serde(flatten)]
    content: AssetContent,
    /// Whether recorders can ask where to send it: whether it has an ingest key.
    has_ingest_key: bool,
    /// When it was made, in seconds since 1970 UTC.
    created_at: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    updated_at: u64,
}

/// How many assets a batch wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct AssetsWritten {
    written: usize,
}

/// Which asset.
#[derive(Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisAsset {
    /// The site's name.
    site: String,
    /// What the asset is called.
    id: String,
}

/// A new ingest key.
#[derive(Serialize, ToSchema)]
pub(crate) struct IngestKey {
    /// The site's name.
    site: String,
    /// What the asset is called.
    id: String,
    /// What its recorder sends as `Authorization: Bearer KEY`. Shown this once.
    key: String,
}

/// Which assets.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct WhichAssets {
    /// The site's name.
    site: String,
    /// Exactly this one; the answer is then the asset itself.
    id: Option<String>,
    /// Those whose id starts so.
    prefix: Option<String>,
    /// Where the part before ended.
    cursor: Option<String>,
    /// At most so many.
    limit: Option<u32>,
}

/// A site's assets by id, or the one of an id: 410 when it was deleted.
#[utoipa::path(get, path = "/v1/assets", params(WhichAssets),
    responses((status = 200, body = Page<Asset>), (status = 404, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Parameters(which): Parameters<WhichAssets>,
) -> Result<Response, Problem> {
    let site = api.site_id(&tenant, &which.site).await?;
    if let Some(id) = &which.id {
        let record = api.store.asset(site, &read_id(id)?, Freshness::Newest).await?;
        return Ok(Json(Asset::of(&which.site, &record)).into_response());
    }
    let limit = page_items(which.limit)?;
    let prefix = which.prefix.as_deref().unwrap_or_default();
    let after = which.cursor.as_deref().unwrap_or_default();
    let records = api.store.assets(&tenant, site, prefix, after, limit).await?;
    let is_full = records.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = records.last().filter(|_| is_full).map(|last| last.asset.id.to_string());
    let items = records.iter().map(|record| Asset::of(&which.site, record)).collect();
    Ok(Json(Page { items, next_cursor }).into_response())
}

/// Makes an asset where there is none.
#[utoipa::path(post, path = "/v1/assets", request_body = AssetContent,
    responses((status = 201, body = Asset), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(content): Body<AssetContent>,
) -> Result<(StatusCode, Json<Asset>), Problem> {
    let made = write_one(&api, &tenant, content, WriteMode::Create).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Makes an asset, replacing the one that was there. Its ingest key stays.
#[utoipa::path(put, path = "/v1/assets", request_body = AssetContent,
    responses((status = 200, body = Asset), (status = 422, body = Problem)))]
pub(crate) async fn replace(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(content): Body<AssetContent>,
) -> Result<Json<Asset>, Problem> {
    Ok(Json(write_one(&api, &tenant, content, WriteMode::Replace).await?))
}

/// Ends an asset: players that ask for it are told that it is gone.
#[utoipa::path(delete, path = "/v1/assets", params(ThisAsset),
    responses((status = 204), (status = 404, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Parameters(this): Parameters<ThisAsset>,
) -> Result<StatusCode, Problem> {
    let site = api.site_id(&tenant, &this.site).await?;
    api.store.delete_asset(&tenant, site, &read_id(&this.id)?).await?;
    tracing::info!(%tenant, site = this.site, asset = this.id, "ended an asset");
    Ok(StatusCode::NO_CONTENT)
}

/// Makes or replaces many assets of one site: all of them or none.
#[utoipa::path(post, path = "/v1/assets/batch", request_body = AssetBatch,
    responses((status = 200, body = AssetsWritten), (status = 422, body = Problem)))]
pub(crate) async fn batch(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(batch): Body<AssetBatch>,
) -> Result<Json<AssetsWritten>, Problem> {
    if batch.assets.len() > BATCH_ASSETS_MAX {
        let expected = format!("at most {BATCH_ASSETS_MAX} assets");
        let invalid = Invalid::other("assets", batch.assets.len().to_string(), expected);
        return Err(Problem::invalid("assets", invalid));
    }
    let site = api.site_id(&tenant, &batch.site).await?;
    let targets = api.stream_targets(&tenant).await?;
    let mut assets: Vec<DomainAsset> = Vec::with_capacity(batch.assets.len());
    for (index, Object(content)) in batch.assets.into_iter().enumerate() {
        let prefix = format!("assets[{index}].");
        let held = api.pathways_held(site, &content, &targets).await?;
        let asset = content.read(Some(&batch.site), &targets, &held, &prefix)?;
        if let Some(first) = assets.iter().position(|other| other.id == asset.id) {
            let expected = format!("each asset once, and `assets[{first}]` is the same");
            let invalid = Invalid::text("id", asset.id.as_str(), expected);
            return Err(Problem::invalid(format!("{prefix}id"), invalid));
        }
        assets.push(asset);
    }
    let written = assets.len();
    if written > 0 {
        api.store
            .write_assets(&tenant, site, assets, WriteMode::Replace)
            .await?;
    }
    tracing::info!(%tenant, site = batch.site, written, "wrote assets");
    Ok(Json(AssetsWritten { written }))
}

/// Gives an asset a new ingest key, in place of the one that it had.
#[utoipa::path(post, path = "/v1/assets/ingest-key", request_body = ThisAsset,
    responses((status = 201, body = IngestKey), (status = 404, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn make_key(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(this): Body<ThisAsset>,
) -> Result<(StatusCode, Json<IngestKey>), Problem> {
    let ThisAsset { site, id } = this;
    let key = format!("{KEY_PREFIX}{}", Secret::generate()?.expose());
    let hash = Digest::of(key.as_bytes());
    let site_id = api.site_id(&tenant, &site).await?;
    api.store
        .set_ingest_key(&tenant, site_id, &read_id(&id)?, Some(hash))
        .await?;
    tracing::info!(%tenant, site, asset = id, "made an ingest key");
    Ok((StatusCode::CREATED, Json(IngestKey { site, id, key })))
}

/// Ends an asset's ingest key: no recorder is sent anywhere any more.
#[utoipa::path(delete, path = "/v1/assets/ingest-key", params(ThisAsset),
    responses((status = 204), (status = 404, body = Problem), (status = 410, body = Problem)))]
pub(crate) async fn drop_key(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Parameters(this): Parameters<ThisAsset>,
) -> Result<StatusCode, Problem> {
    let site = api.site_id(&tenant, &this.site).await?;
    let id = read_id(&this.id)?;
    api.store.set_ingest_key(&tenant, site, &id, None).await?;
    tracing::info!(%tenant, site = this.site, asset = this.id, "ended an ingest key");
    Ok(StatusCode::NO_CONTENT)
}

async fn write_one(api: &Api, tenant: &Name, content: AssetContent, mode: WriteMode) -> Result<Asset, Problem> {
    let site_name = content.site()?.to_owned();
    let site = api.site_id(tenant, &site_name).await?;
    let targets = api.stream_targets(tenant).await?;
    let held = api.pathways_held(site, &content, &targets).await?;
    let asset = content.read(None, &targets, &held, "")?;
    let id = asset.id.clone();
    api.store.write_assets(tenant, site, vec![asset], mode).await?;
    tracing::info!(%tenant, site = site_name, asset = %id, "wrote an asset");
    let written = api.store.asset(site, &id, Freshness::Newest).await?;
    Ok(Asset::of(&site_name, &written))
}

fn read_id(text: &str) -> Result<Name, Problem> {
    Name::parse("asset id", text).map_err(|invalid| Problem::invalid("id", invalid))
}

impl Api {
    async fn stream_targets(&self, tenant: &Name) -> Result<Vec<StreamTarget>, Problem> {
        let records = self.store.targets(tenant).await?;
        Ok(records.into_iter().map(|record| record.target).collect())
    }

    /// The targets that an asset has already as pathways, where that matters: when it names others than there are.
    async fn pathways_held(
        &self,
        site: SiteId,
        content: &AssetContent,
        targets: &[StreamTarget],
    ) -> Result<Vec<Name>, Problem> {
        let Some(id) = content.names_others(targets) else {
            return Ok(Vec::new());
        };
        match self.store.asset(site, &id, Freshness::Newest).await {
            Ok(record) => {
                let pathways = record.asset.pathways.into_iter();
                Ok(pathways.map(|pathway| pathway.target).collect())
            }
            Err(StoreError::Missing { .. } | StoreError::Gone { .. }) => Ok(Vec::new()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Asset {
    fn of(site: &str, record: &AssetRecord) -> Self {
        Self {
            content: AssetContent::of(site, EdgeAsset::from(&record.asset)),
            has_ingest_key: record.asset.ingest_key.is_some(),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
