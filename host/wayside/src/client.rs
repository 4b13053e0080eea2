//! Speaks to the origin's API and to an edge's own endpoint: the only HTTP client of the command line.
//!
//! In: what to ask, as method, path, query and body. Out: the answer's JSON, or an error that a person can act on.
//! What the answers mean is the commands' business.

use std::{cell::RefCell, future::Future, path::Path, time::Duration};

use anyhow::{Context as _, anyhow, ensure};
use reqwest::{
    Method, RequestBuilder, Response, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use wayside_decide::limits::PAGE_ITEMS_MAX;
use wayside_edge_config::url::ServiceUrl;
use wayside_upstream::http::Roots;

use crate::{
    cli::Globals,
    output::{Heard, Listing},
};

pub(crate) mod access;
pub(crate) mod refusal;

use refusal::Refusal;

const TENANT_HEADER: &str = "wayside-tenant";
/// The tenant that is meant when nobody names one.
pub(crate) const DEFAULT_TENANT: &str = "default";
/// Where `wayside dev` leaves its token, from the directory it runs in.
pub(crate) const TOKEN_FILE: &str = ".wayside/token";
const NO_TOKEN: &str = "there is no token: set WAYSIDE_TOKEN or WAYSIDE_TOKEN_FILE, or run this where `wayside dev` \
                        runs, which keeps its token in .wayside/token";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longer than the compilation of a large policy may take, and its trial after that.
const ADMISSION_TIMEOUT: Duration = Duration::from_secs(180);
/// How long an answer that has no end is read: longer than anybody looks.
const FOLLOWED_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Largest answer that is read, in bytes: more than a page of the longest links.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Names and values of a query.
pub(crate) type Query<'q> = [(&'q str, &'q str)];

/// Runs one command's conversation to its end.
pub(crate) fn block_on<T>(conversation: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("start the runtime")?.block_on(conversation)
}

/// Somebody to ask.
pub(crate) struct Client {
    http: reqwest::Client,
    base: ServiceUrl,
    /// Told apart in errors: `origin` or `edge`.
    name: &'static str,
    token: Option<HeaderValue>,
    tenant: RefCell<Tenant>,
}

/// In which tenant to act. An operator's token has to say it, a tenant's token need not, and only the origin knows
/// which of them it sees.
#[derive(Clone, PartialEq, Eq)]
enum Tenant {
    /// The one that was named.
    Named(String),
    /// [`DEFAULT_TENANT`]; the token's own, once that is refused.
    Assumed,
    /// The token's own; none, for an operator's.
    Own,
}

impl Tenant {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Assumed => Some(DEFAULT_TENANT),
            Self::Own => None,
        }
    }
}

impl Client {
    /// The origin, with the token and in the tenant that the options name.
    pub(crate) fn origin(globals: &Globals) -> anyhow::Result<Self> {
        let tenant = globals.tenant.clone().map_or(Tenant::Assumed, Tenant::Named);
        Ok(Self {
            tenant: RefCell::new(tenant),
            ..Self::operator(globals)?
        })
    }

    /// The origin, in no tenant: an operator's own things.
    pub(crate) fn operator(globals: &Globals) -> anyhow::Result<Self> {
        // The token of `wayside dev` is for the origin of `wayside dev`: nobody else is shown it unasked.
        let dev_file = access::is_loopback(&globals.origin_url).then(|| Path::new(TOKEN_FILE));
        let token = access::token(globals, None, dev_file)?.context(NO_TOKEN)?;
        let mut token = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| anyhow!("the token holds what no token can; expected the line that begins with ws_"))?;
        token.set_sensitive(true);
        Ok(Self {
            token: Some(token),
            ..Self::anonymous_origin(globals)?
        })
    }

    /// The origin, without a token.
    pub(crate) fn anonymous_origin(globals: &Globals) -> anyhow::Result<Self> {
        // A variable that is set to nothing counts as not set.
        let file = globals.ca_file.as_deref().filter(|file| !file.as_os_str().is_empty());
        let roots = file.map(Roots::read).transpose()?.unwrap_or_default();
        Self::believing("origin", globals.origin_url.clone(), &roots)
    }

    /// Whoever answers at `base`, without a token.
    pub(crate) fn anonymous(name: &'static str, base: ServiceUrl) -> anyhow::Result<Self> {
        Self::believing(name, base, &Roots::System)
    }

    fn believing(name: &'static str, base: ServiceUrl, roots: &Roots) -> anyhow::Result<Self> {
        let http = wayside_upstream::http::client(base.as_str(), roots)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .user_agent(concat!("wayside/", env!("CARGO_PKG_VERSION")))
            .build();
        let http = http.context("start the client")?;
        Ok(Self {
            http,
            base,
            name,
            token: None,
            tenant: RefCell::new(Tenant::Own),
        })
    }

    /// Asks for something.
    pub(crate) async fn get(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<Value> {
        self.json(|| self.request(Method::GET, path, query)).await
    }

    /// Hands on an answer line by line, for as long as it lasts or `take` wants more.
    pub(crate) async fn lines(
        &self,
        path: &[&str],
        query: &Query<'_>,
        mut take: impl FnMut(&str) -> anyhow::Result<Heard>,
    ) -> anyhow::Result<()> {
        let request = self.request(Method::GET, path, query)?.timeout(FOLLOWED_MAX);
        let mut response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(Refusal::read(status, &self.read(response).await?).into());
        }
        let mut rest = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            rest.extend_from_slice(&chunk);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                if take(String::from_utf8_lossy(&line).trim_end())? == Heard::Nobody {
                    return Ok(());
                }
            }
            ensure!(
                rest.len() <= ANSWER_BYTES_MAX,
                "{}: found a line without end",
                self.misread()
            );
        }
        Ok(())
    }

    /// Sends JSON.
    pub(crate) async fn send(&self, method: Method, path: &[&str], body: &impl Serialize) -> anyhow::Result<Value> {
        self.json(|| Ok(self.request(method.clone(), path, &[])?.json(body)))
            .await
    }

    /// Sends JSON as it stands in a file.
    pub(crate) async fn send_text(&self, method: Method, path: &[&str], text: Vec<u8>) -> anyhow::Result<Value> {
        let kind = HeaderValue::from_static("application/json");
        self.json(|| {
            let request = self.request(method.clone(), path, &[])?;
            Ok(request.header(CONTENT_TYPE, kind.clone()).body(text.clone()))
        })
        .await
    }

    /// Sends a component.
    pub(crate) async fn upload(&self, path: &[&str], query: &Query<'_>, component: Vec<u8>) -> anyhow::Result<Value> {
        let kind = HeaderValue::from_static("application/wasm");
        self.json(|| {
            let request = self.request(Method::POST, path, query)?.timeout(ADMISSION_TIMEOUT);
            Ok(request.header(CONTENT_TYPE, kind.clone()).body(component.clone()))
        })
        .await
    }

    /// Ends something.
    pub(crate) async fn delete(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<()> {
        self.answer(|| self.request(Method::DELETE, path, query))
            .await
            .map(drop)
    }

    /// Fails unless this answers well, whatever it says.
    pub(crate) async fn check(&self, path: &[&str]) -> anyhow::Result<()> {
        self.answer(|| self.request(Method::GET, path, &[])).await.map(drop)
    }

    /// Shows a list that comes in one part.
    pub(crate) async fn list(&self, path: &[&str], query: &Query<'_>, mut listing: Listing<'_>) -> anyhow::Result<()> {
        let page = self.page(path, query).await?;
        match listing.show(&page.items)? {
            Heard::Somebody => listing.end(),
            Heard::Nobody => Ok(()),
        }
    }

    /// Shows a long list part by part, as it comes, so that it need not fit in memory: at most `limit` items of it.
    pub(crate) async fn list_in_parts(
        &self,
        path: &[&str],
        query: &Query<'_>,
        limit: Option<usize>,
        mut listing: Listing<'_>,
    ) -> anyhow::Result<()> {
        let mut left = limit.unwrap_or(usize::MAX);
        let mut cursor: Option<String> = None;
        while left > 0 {
            let size = left.min(PAGE_ITEMS_MAX).to_string();
            let mut query = query.to_vec();
            query.push(("limit", &size));
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = self.page(path, &query).await?;
            left = left.saturating_sub(page.items.len());
            if listing.show(&page.items)? == Heard::Nobody {
                return Ok(());
            }
            // A cursor that stands still would lead round and round.
            let is_same = page.next_cursor == cursor;
            cursor = page.next_cursor.filter(|_| !is_same);
            if cursor.is_none() {
                break;
            }
        }
        listing.end()
    }

    async fn page(&self, path: &[&str], query: &Query<'_>) -> anyhow::Result<Page> {
        Page::deserialize(self.get(path, query).await?).with_context(|| self.misread())
    }

    async fn json(&self, make: impl Fn() -> anyhow::Result<RequestBuilder>) -> anyhow::Result<Value> {
        serde_json::from_slice(&self.answer(make).await?).with_context(|| self.misread())
    }

    /// The answer to a request. In the assumed tenant's place the token's own is tried when that one is refused: a
    /// refusal has changed nothing, so nothing is done twice.
    async fn answer(&self, make: impl Fn() -> anyhow::Result<RequestBuilder>) -> anyhow::Result<Vec<u8>> {
        let first = self.answer_once(make()?).await;
        let is_forbidden = |error: &anyhow::Error| error.downcast_ref().is_some_and(Refusal::is_forbidden);
        if *self.tenant.borrow() == Tenant::Assumed && first.as_ref().is_err_and(is_forbidden) {
            self.tenant.replace(Tenant::Own);
            return self.answer_once(make()?).await;
        }
        first
    }

    async fn answer_once(&self, request: RequestBuilder) -> anyhow::Result<Vec<u8>> {
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let status = response.status();
        let body = self.read(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        Err(Refusal::read(status, &body).into())
    }

    async fn read(&self, mut response: Response) -> anyhow::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            let is_short = body.len() + chunk.len() <= ANSWER_BYTES_MAX;
            ensure!(is_short, "{}: found more than {ANSWER_BYTES_MAX} bytes", self.misread());
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// A request. Each part of the path is one segment, whatever characters it holds.
    fn request(&self, method: Method, path: &[&str], query: &Query<'_>) -> anyhow::Result<RequestBuilder> {
        let mut url = Url::parse(self.base.as_str()).context("read the URL")?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        let mut request = self.http.request(method, url).query(query);
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(tenant) = self.tenant.borrow().name() {
            request = request.header(TENANT_HEADER, tenant);
        }
        Ok(request)
    }

    fn misread(&self) -> String {
        format!("read the answer of the {} at {}", self.name, self.base.as_str())
    }

    fn unreachable(&self, error: reqwest::Error) -> anyhow::Error {
        let (name, url) = (self.name, self.base.as_str());
        if error.is_timeout() {
            return anyhow!("the {name} at {url} did not answer in time");
        }
        let error = error.without_url();
        // Nobody there, and nobody to be believed there, are different troubles.
        if error.is_connect() && self.base.as_str().starts_with("https:") {
            return anyhow::Error::new(error).context(format!("connect to the {name} at {url}"));
        }
        if error.is_connect() {
            return anyhow!("no {name} answers at {url}; start one with `wayside dev`");
        }
        anyhow::Error::new(error).context(format!("ask the {name} at {url}"))
    }
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Value>,
    #[serde(default)]
    next_cursor: Option<String>,
}
