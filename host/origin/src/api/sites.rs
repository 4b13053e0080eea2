//! `/v1/sites`.

use std::collections::HashMap;

use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wayside_decide::{
    binding::Prefix,
    host::HostPattern,
    invalid::Invalid,
    limits::{MAX_AGE_S_MAX, SITE_HOSTS_MAX},
    name::Name,
    site::Privacy,
    target::Target,
};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, Page, Segment, read_site_name},
    problem::Problem,
};
use crate::store::{SiteContent, SiteRecord};

/// A new site.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewSite {
    /// Its name within the tenant.
    name: String,
    /// The hosts it answers for: `go.example.com` or `*.example.com`.
    hosts: Vec<String>,
    /// Where unknown paths lead; 404 when absent.
    #[serde(default)]
    not_found: Option<String>,
    /// How long caches may keep a redirect at most, in seconds, up to a year; 0 for not at all. When absent, what
    /// policies decide is kept for a minute, and of links and rules nothing is said.
    #[serde(default)]
    max_age_s: Option<u32>,
    /// What nodes may keep of requests, to try another policy on them: `redacted` (when absent) or `full`.
    #[serde(default)]
    privacy: Option<String>,
    /// Below which path its assets are: `/video` for an asset `film` at `/video/film/`. They have no paths of their own
    /// when absent.
    #[serde(default)]
    streams: Option<String>,
}

/// Another content for a site.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Content {
    /// The hosts it answers for.
    hosts: Vec<String>,
    /// Where unknown paths lead; 404 when absent.
    #[serde(default)]
    not_found: Option<String>,
    /// How long caches may keep a redirect at most, in seconds, up to a year; 0 for not at all. When absent, what
    /// policies decide is kept for a minute, and of links and rules nothing is said.
    #[serde(default)]
    max_age_s: Option<u32>,
    /// What nodes may keep of requests, to try another policy on them: `redacted` (when absent) or `full`.
    #[serde(default)]
    privacy: Option<String>,
    /// Below which path its assets are: `/video` for an asset `film` at `/video/film/`. They have no paths of their own
    /// when absent.
    #[serde(default)]
    streams: Option<String>,
}

/// A site.
#[derive(Serialize, ToSchema)]
pub(crate) struct Site {
    id: u64,
    name: String,
    hosts: Vec<String>,
    not_found: Option<String>,
    max_age_s: Option<u32>,
    /// `redacted` or `full`.
    privacy: &'static str,
    /// Below which path its assets are.
    streams: Option<String>,
    created_at: u64,
    updated_at: u64,
}

/// The tenant's sites.
#[utoipa::path(get, path = "/v1/sites", responses((status = 200, body = Page<Site>)))]
pub(crate) async fn list(State(api): State<Api>, Reader(tenant): Reader) -> Result<Json<Page<Site>>, Problem> {
    let sites = api.store.sites(&tenant).await?;
    Ok(Json(Page::whole(sites.into_iter().map(Site::from).collect())))
}

/// Makes a site.
#[utoipa::path(post, path = "/v1/sites", request_body = NewSite,
    responses((status = 201, body = Site), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(new): Body<NewSite>,
) -> Result<(StatusCode, Json<Site>), Problem> {
    let name = Name::parse("site name", &new.name).map_err(|invalid| Problem::invalid("name", invalid))?;
    let content = read(
        &new.hosts,
        new.not_found.as_deref(),
        new.max_age_s,
        new.privacy.as_deref(),
        new.streams.as_deref(),
    )?;
    let site = api.store.create_site(&tenant, &name, content).await?;
    tracing::info!(%tenant, site = %name, "made a site");
    Ok((StatusCode::CREATED, Json(site.into())))
}

/// One site.
#[utoipa::path(get, path = "/v1/sites/{site}", params(("site" = String, Path)), responses((status = 200, body = Site)))]
pub(crate) async fn one(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Segment(site): Segment,
) -> Result<Json<Site>, Problem> {
    Ok(Json(api.store.site(&tenant, &read_site_name(&site)?).await?.into()))
}

/// Gives a site another content.
#[utoipa::path(put, path = "/v1/sites/{site}", params(("site" = String, Path)), request_body = Content,
    responses((status = 200, body = Site), (status = 404, body = Problem)))]
pub(crate) async fn replace(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(site): Segment,
    Body(content): Body<Content>,
) -> Result<Json<Site>, Problem> {
    let content = read(
        &content.hosts,
        content.not_found.as_deref(),
        content.max_age_s,
        content.privacy.as_deref(),
        content.streams.as_deref(),
    )?;
    let replaced = api
        .store
        .replace_site(&tenant, &read_site_name(&site)?, content)
        .await?;
    tracing::info!(%tenant, site, "changed a site");
    Ok(Json(replaced.into()))
}

/// Ends a site with its links, rules, bindings and assets.
#[utoipa::path(delete, path = "/v1/sites/{site}", params(("site" = String, Path)), responses((status = 204)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Segment(site): Segment,
) -> Result<StatusCode, Problem> {
    api.store.delete_site(&tenant, &read_site_name(&site)?).await?;
    tracing::info!(%tenant, site, "ended a site");
    Ok(StatusCode::NO_CONTENT)
}

fn read(
    hosts: &[String],
    not_found: Option<&str>,
    max_age_s: Option<u32>,
    privacy: Option<&str>,
    streams: Option<&str>,
) -> Result<SiteContent, Problem> {
    if hosts.is_empty() || hosts.len() > SITE_HOSTS_MAX {
        let expected = format!("1 to {SITE_HOSTS_MAX} hosts");
        return Err(Problem::invalid(
            "hosts",
            Invalid::other("hosts", hosts.len().to_string(), expected),
        ));
    }
    let mut known = HashMap::new();
    let mut patterns = Vec::with_capacity(hosts.len());
    for (index, text) in hosts.iter().enumerate() {
        let refuse = |invalid| Problem::invalid(format!("hosts[{index}]"), invalid);
        let pattern = HostPattern::parse(text).map_err(refuse)?;
        if let Some(first) = known.insert(pattern.clone(), index) {
            let expected = format!("each host once, and `hosts[{first}]` is the same");
            return Err(refuse(Invalid::text("host name", text, expected)));
        }
        patterns.push(pattern);
    }
    let not_found = not_found.map(Target::parse).transpose();
    if let Some(found) = max_age_s.filter(|&max_age_s| max_age_s > MAX_AGE_S_MAX) {
        let expected = format!("at most {MAX_AGE_S_MAX} seconds, a year");
        let invalid = Invalid::other("max_age_s", found.to_string(), expected);
        return Err(Problem::invalid("max_age_s", invalid));
    }
    let privacy = privacy.map(Privacy::parse).transpose();
    let streams = streams.map(Prefix::parse).transpose();
    Ok(SiteContent {
        hosts: patterns,
        not_found: not_found.map_err(|invalid| Problem::invalid("not_found", invalid))?,
        max_age_s,
        privacy: privacy
            .map_err(|invalid| Problem::invalid("privacy", invalid))?
            .unwrap_or_default(),
        streams: streams.map_err(|invalid| Problem::invalid("streams", invalid))?,
    })
}

impl From<SiteRecord> for Site {
    fn from(record: SiteRecord) -> Self {
        Self {
            id: record.id.0,
            name: record.name.to_string(),
            hosts: record.content.hosts.iter().map(ToString::to_string).collect(),
            not_found: record.content.not_found.map(|target| target.to_string()),
            max_age_s: record.content.max_age_s,
            privacy: record.content.privacy.as_str(),
            streams: record.content.streams.map(|prefix| prefix.to_string()),
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}
