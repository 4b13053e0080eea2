//! `/v1/links`.

use std::collections::BTreeMap;

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wayside_decide::{
    invalid::Invalid, limits::BATCH_LINKS_MAX, link::Link as DomainLink, name::Name, path::LinkPath,
    status::RedirectStatus, target::Target,
};

use super::{
    Api,
    auth::{Reader, Writer},
    extract::{Body, Object, Page, Parameters, page_items, read_site_name},
    labels::{check_attributes, check_tags},
    problem::Problem,
};
use crate::store::{Freshness, LinkRecord, SiteRecord, WriteMode};

const fn found() -> u16 {
    RedirectStatus::Found.code()
}

/// What a link says, its site apart.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkContent {
    /// The exact path.
    path: String,
    /// An absolute `http` or `https` URL.
    target: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    status: u16,
    /// The owner's labels.
    #[serde(default)]
    tags: Vec<String>,
    /// What else the owner says of it: what policies read by `link.attribute`.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Whether the request's query is added to the target.
    #[serde(default)]
    forward_query: bool,
    /// Live from, in seconds since 1970 UTC.
    #[serde(default)]
    starts_at: Option<u64>,
    /// Live until, in seconds since 1970 UTC.
    #[serde(default)]
    expires_at: Option<u64>,
    /// Where it leads outside that time; nowhere when absent.
    #[serde(default)]
    fallback: Option<String>,
}

/// A link to write. (No `flatten`: it would let unknown fields pass.)
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewLink {
    /// The site's name.
    site: String,
    /// The exact path.
    path: String,
    /// An absolute `http` or `https` URL.
    target: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    status: u16,
    /// The owner's labels.
    #[serde(default)]
    tags: Vec<String>,
    /// What else the owner says of it: what policies read by `link.attribute`.
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    /// Whether the request's query is added to the target.
    #[serde(default)]
    forward_query: bool,
    /// Live from, in seconds since 1970 UTC.
    #[serde(default)]
    starts_at: Option<u64>,
    /// Live until, in seconds since 1970 UTC.
    #[serde(default)]
    expires_at: Option<u64>,
    /// Where it leads outside that time; nowhere when absent.
    #[serde(default)]
    fallback: Option<String>,
}

/// Links to write together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// The site's name.
    site: String,
    /// Up to 10,000 links.
    #[schema(value_type = Vec<LinkContent>)]
    links: Vec<Object<LinkContent>>,
}

/// A link.
#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    /// The site's name.
    site: String,
    #[serde(flatten)]
    content: LinkContent,
    /// When it was made, in seconds since 1970 UTC.
    created_at: u64,
    /// When it was last changed, in seconds since 1970 UTC.
    updated_at: u64,
}

/// How many links a batch wrote.
#[derive(Serialize, ToSchema)]
pub(crate) struct Written {
    written: usize,
}

/// Which links.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// The site's name.
    site: String,
    /// Exactly this one; the answer is then the link itself.
    path: Option<String>,
    /// Those whose path starts so.
    prefix: Option<String>,
    /// Where the part before ended.
    cursor: Option<String>,
    /// At most so many.
    limit: Option<u32>,
}

/// Which link.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ThisOne {
    /// The site's name.
    site: String,
    /// Its path.
    path: String,
}

/// A site's links by path, or the one at a path.
#[utoipa::path(get, path = "/v1/links", params(Which), responses((status = 200, body = Page<Link>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    Reader(tenant): Reader,
    Parameters(which): Parameters<Which>,
) -> Result<Response, Problem> {
    let site = api.site_id(&tenant, &which.site).await?;
    if let Some(path) = &which.path {
        let record = api.store.link(site, &read_path(path)?, Freshness::Newest).await?;
        return Ok(Json(show(&which.site, record)).into_response());
    }
    let limit = page_items(which.limit)?;
    let prefix = which.prefix.as_deref().unwrap_or("/");
    let after = which.cursor.as_deref().unwrap_or_default();
    let records = api.store.links(&tenant, site, prefix, after, limit).await?;
    let is_full = records.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next_cursor = records.last().filter(|_| is_full).map(|last| last.path.to_string());
    let items = records.into_iter().map(|record| show(&which.site, record)).collect();
    Ok(Json(Page { items, next_cursor }).into_response())
}

/// Makes a link where there is none.
#[utoipa::path(post, path = "/v1/links", request_body = NewLink,
    responses((status = 201, body = Link), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn create(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(new): Body<NewLink>,
) -> Result<(StatusCode, Json<Link>), Problem> {
    Ok((
        StatusCode::CREATED,
        Json(write_one(&api, &tenant, new, WriteMode::Create).await?),
    ))
}

/// Makes a link, replacing the one that was there.
#[utoipa::path(put, path = "/v1/links", request_body = NewLink,
    responses((status = 200, body = Link), (status = 422, body = Problem)))]
pub(crate) async fn replace(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(new): Body<NewLink>,
) -> Result<Json<Link>, Problem> {
    Ok(Json(write_one(&api, &tenant, new, WriteMode::Replace).await?))
}

/// Ends a link.
#[utoipa::path(delete, path = "/v1/links", params(ThisOne), responses((status = 204)))]
pub(crate) async fn delete(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Parameters(this): Parameters<ThisOne>,
) -> Result<StatusCode, Problem> {
    let site = api.site_id(&tenant, &this.site).await?;
    api.store.delete_link(&tenant, site, &read_path(&this.path)?).await?;
    tracing::info!(%tenant, site = this.site, path = this.path, "ended a link");
    Ok(StatusCode::NO_CONTENT)
}

/// Makes or replaces many links of one site: all of them or none.
#[utoipa::path(post, path = "/v1/links/batch", request_body = Batch,
    responses((status = 200, body = Written), (status = 422, body = Problem)))]
pub(crate) async fn batch(
    State(api): State<Api>,
    Writer(tenant): Writer,
    Body(batch): Body<Batch>,
) -> Result<Json<Written>, Problem> {
    if batch.links.len() > BATCH_LINKS_MAX {
        let expected = format!("at most {BATCH_LINKS_MAX} links");
        return Err(Problem::invalid(
            "links",
            Invalid::other("links", batch.links.len().to_string(), expected),
        ));
    }
    let site = api.store.site(&tenant, &read_site_name(&batch.site)?).await?;
    let read_at =
        |(index, Object(content)): (usize, &Object<LinkContent>)| read(&site, content, &format!("links[{index}]."));
    let links: Vec<_> = batch.links.iter().enumerate().map(read_at).collect::<Result<_, _>>()?;
    let written = links.len();
    if written > 0 {
        api.store
            .write_links(&tenant, site.id, links, WriteMode::Replace)
            .await?;
    }
    tracing::info!(%tenant, site = batch.site, written, "wrote links");
    Ok(Json(Written { written }))
}

async fn write_one(api: &Api, tenant: &Name, new: NewLink, mode: WriteMode) -> Result<Link, Problem> {
    let NewLink {
        site: name,
        path,
        target,
        status,
        tags,
        attributes,
        forward_query,
        starts_at,
        expires_at,
        fallback,
    } = new;
    let content = LinkContent {
        path,
        target,
        status,
        tags,
        attributes,
        forward_query,
        starts_at,
        expires_at,
        fallback,
    };
    let site = api.store.site(tenant, &read_site_name(&name)?).await?;
    let (path, link) = read(&site, &content, "")?;
    api.store
        .write_links(tenant, site.id, vec![(path.clone(), link)], mode)
        .await?;
    tracing::info!(%tenant, site = name, %path, "wrote a link");
    let written = api.store.link(site.id, &path, Freshness::Newest).await?;
    Ok(show(&name, written))
}

fn read_path(text: &str) -> Result<LinkPath, Problem> {
    LinkPath::parse(text).map_err(|invalid| Problem::invalid("path", invalid))
}

/// Makes a link of what a request says, or names the field that is wrong: `prefix` comes before its name.
fn read(site: &SiteRecord, content: &LinkContent, prefix: &str) -> Result<(LinkPath, DomainLink), Problem> {
    let refuse = |field: &str| {
        let field = format!("{prefix}{field}");
        move |invalid| Problem::invalid(field, invalid)
    };
    let path = LinkPath::parse(&content.path).map_err(refuse("path"))?;
    let target = Target::parse(&content.target).map_err(refuse("target"))?;
    let fallback = content
        .fallback
        .as_deref()
        .map(Target::parse)
        .transpose()
        .map_err(refuse("fallback"))?;
    check_loop(site, &path, &target).map_err(refuse("target"))?;
    if let Some(fallback) = &fallback {
        check_loop(site, &path, fallback).map_err(refuse("fallback"))?;
    }
    if let (Some(start), Some(expiry)) = (content.starts_at, content.expires_at)
        && start >= expiry
    {
        let expected = format!("an instant after `starts_at` ({start})");
        return Err(refuse("expires_at")(Invalid::other(
            "expires_at",
            expiry.to_string(),
            expected,
        )));
    }
    check_tags(&content.tags, prefix)?;
    check_attributes(&content.attributes, prefix)?;
    let link = DomainLink {
        target,
        status: RedirectStatus::from_code(content.status).map_err(refuse("status"))?,
        forward_query: content.forward_query,
        starts_at: content.starts_at,
        expires_at: content.expires_at,
        fallback,
        tags: content.tags.iter().map(|tag| tag.as_str().into()).collect(),
        attributes: content
            .attributes
            .iter()
            .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
            .collect(),
    };
    Ok((path, link))
}

/// A link that leads to its own path on a host of its own site would never end.
fn check_loop(site: &SiteRecord, path: &LinkPath, target: &Target) -> Result<(), Invalid> {
    let leads_to_site = site.content.hosts.iter().any(|host| host.matches(target.host()));
    let target_path = target.path_and_query().split('?').next().unwrap_or_default();
    let is_own_path = LinkPath::parse(target_path).is_ok_and(|target_path| target_path == *path);
    if leads_to_site && is_own_path {
        return Err(Invalid::text(
            "target",
            target.as_str(),
            "another address than the link's own",
        ));
    }
    Ok(())
}

fn show(site: &str, record: LinkRecord) -> Link {
    let LinkRecord {
        path,
        link,
        created_at,
        updated_at,
    } = record;
    let content = LinkContent {
        path: path.to_string(),
        target: link.target.to_string(),
        status: link.status.code(),
        tags: link.tags.iter().map(ToString::to_string).collect(),
        attributes: link
            .attributes
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        forward_query: link.forward_query,
        starts_at: link.starts_at,
        expires_at: link.expires_at,
        fallback: link.fallback.map(|target| target.to_string()),
    };
    Link {
        site: site.to_owned(),
        content,
        created_at,
        updated_at,
    }
}
