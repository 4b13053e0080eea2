//! Bodies and queries, read so that what is wrong with them becomes a problem.

use std::{borrow::Cow, fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, header, request::Parts},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use utoipa::ToSchema;
use wayside_decide::{invalid::Invalid, limits::PAGE_ITEMS_MAX, name::Name, site::SiteId};

use super::{Api, problem::Problem, unreadable};

/// Largest JSON body, in bytes: a full batch of links of ordinary length.
const JSON_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A JSON body of at most so many bytes.
pub(crate) struct Body<T, const BYTES_MAX: usize = JSON_BYTES_MAX>(pub(crate) T);

impl<T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<Api> for Body<T, BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        if !kind
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        {
            let detail = format!("content-type: found {kind:?}, expected \"application/json\"");
            return Err(Problem::unreadable(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
        let bytes = read_bytes(request, api, BYTES_MAX).await?;
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut reader);
        let Object(value) = read.map_err(|error| unreadable::body(&error))?;
        reader.end().map_err(|error| unreadable::syntax(&error))?;
        Ok(Self(value))
    }
}

/// A JSON object. By itself serde reads a list as a struct too, by position, which nobody means.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// The bytes of a body, when they are at most so many.
pub(crate) async fn read_bytes(mut request: Request, api: &Api, bytes_max: usize) -> Result<Bytes, Problem> {
    DefaultBodyLimit::max(bytes_max).apply(&mut request);
    let read = Bytes::from_request(request, api).await;
    read.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::too_large(bytes_max),
        status => Problem::unreadable(status, error.body_text()),
    })
}

/// The one part of a route's path that varies.
pub(crate) struct Segment(pub(crate) String);

impl FromRequestParts<Api> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let read = Path::<String>::from_request_parts(parts, api).await;
        let Path(segment) = read.map_err(|error| Problem::unreadable(StatusCode::BAD_REQUEST, error.body_text()))?;
        Ok(Self(segment))
    }
}

/// The query of a URL.
pub(crate) struct Parameters<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Parameters<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default().as_bytes();
        let reader = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query));
        let read = serde_path_to_error::deserialize(reader);
        read.map(Self).map_err(|error| {
            let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = url::form_urlencoded::parse(query).collect();
            unreadable::query(&error, &pairs)
        })
    }
}

/// A part of a listing.
#[derive(Serialize, ToSchema)]
pub(crate) struct Page<T> {
    /// The items.
    pub(crate) items: Vec<T>,
    /// Where the next part begins; absent at the end.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A listing in one part.
    pub(crate) const fn whole(items: Vec<T>) -> Self {
        Self {
            items,
            next_cursor: None,
        }
    }
}

/// The site a request is about.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfSite {
    /// The site's name.
    pub(crate) site: String,
}

/// Reads a page's size.
pub(crate) fn page_items(limit: Option<u32>) -> Result<u32, Problem> {
    let most = u32::try_from(PAGE_ITEMS_MAX).unwrap_or(u32::MAX);
    match limit {
        None => Ok(100),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => {
            let invalid = Invalid::other("limit", limit.to_string(), format!("1 to {most}"));
            Err(Problem::invalid("limit", invalid))
        }
    }
}

impl Api {
    /// The number of a tenant's site.
    pub(crate) async fn site_id(&self, tenant: &Name, site: &str) -> Result<SiteId, Problem> {
        Ok(self.store.site(tenant, &read_site_name(site)?).await?.id)
    }
}

/// Reads a site's name.
pub(crate) fn read_site_name(text: &str) -> Result<Name, Problem> {
    Name::parse("site name", text).map_err(|invalid| Problem::invalid("site", invalid))
}
