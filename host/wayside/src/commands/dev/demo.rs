//! The demonstration: one site with a link, a rule and three policies, written once.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use anyhow::Context as _;
use wayside_decide::{
    binding::{Binding, FailureMode, Prefix, VisitorKey},
    host::HostPattern,
    link::Link,
    name::Name,
    path::LinkPath,
    rule::{Pattern, Rule},
    site::{Privacy, SiteId},
    status::RedirectStatus,
    target::Target,
    template::Template,
};
use wayside_origin::{
    origin::Origin,
    store::{PolicyRecord, SiteContent, WriteMode},
};

/// The tenant whose the demonstration is: the one commands act in unless told otherwise.
const TENANT: &str = "default";
const SITE: &str = "localhost";
const HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

struct DemoPolicy {
    name: &'static str,
    prefix: &'static str,
    component: &'static [u8],
    settings: &'static [(&'static str, &'static str)],
}

const POLICIES: [DemoPolicy; 3] = [
    DemoPolicy {
        name: "geo-redirect",
        prefix: "/geo",
        component: include_bytes!("../../../../../guest/components/geo-redirect.wasm"),
        settings: &[
            ("de", "https://example.com/de{?query}"),
            ("us", "https://example.com/us{?query}"),
            ("default", "https://example.com/world{?query}"),
        ],
    },
    DemoPolicy {
        name: "ab-split",
        prefix: "/ab",
        component: include_bytes!("../../../../../guest/components/ab-split.wasm"),
        settings: &[
            ("percent", "50"),
            ("a", "https://example.com/a"),
            ("b", "https://example.com/b"),
        ],
    },
    DemoPolicy {
        name: "device-link",
        prefix: "/app",
        component: include_bytes!("../../../../../guest/components/device-link.wasm"),
        settings: &[
            ("ios", "https://apps.apple.com/"),
            ("android", "https://play.google.com/store"),
            ("desktop", "https://example.com/download"),
        ],
    },
];

/// Writes the demonstration into an origin that never had it; whoever deletes it is not given it again. Returns
/// whether its site is there.
pub(super) async fn seed_once(origin: &Origin, data: &Path) -> anyhow::Result<bool> {
    let marker = data.join("seeded");
    let (tenant, site) = (Name::parse("tenant", TENANT)?, Name::parse("site name", SITE)?);
    if !marker.exists() {
        if origin.store().site(&tenant, &site).await.is_err() {
            seed(origin, &tenant, &site).await?;
        }
        std::fs::write(&marker, "").with_context(|| format!("write {}", marker.display()))?;
    }
    Ok(origin.store().site(&tenant, &site).await.is_ok())
}

async fn seed(origin: &Origin, tenant: &Name, name: &Name) -> anyhow::Result<()> {
    let store = origin.store();
    let hosts = HOSTS
        .iter()
        .map(|host| HostPattern::parse(host))
        .collect::<Result<_, _>>()?;
    let content = SiteContent {
        hosts,
        not_found: None,
        max_age_s: None,
        privacy: Privacy::default(),
        streams: None,
    };
    let site = store.create_site(tenant, name, content).await?.id;
    let link = Link {
        target: Target::parse("https://example.com/")?,
        status: RedirectStatus::Found,
        forward_query: true,
        starts_at: None,
        expires_at: None,
        fallback: None,
        tags: Box::new(["demo".into()]),
        attributes: Box::default(),
    };
    store
        .write_links(
            tenant,
            site,
            vec![(LinkPath::parse("/hello")?, link)],
            WriteMode::Replace,
        )
        .await?;
    let location = Template::parse("https://doc.rust-lang.org/{splat}{?query}")?;
    let rule = Rule::new(100, Pattern::parse("/docs/*")?, location, RedirectStatus::Found)?;
    store.create_rule(tenant, site, rule).await?;
    for policy in &POLICIES {
        push_and_bind(origin, tenant, site, policy).await?;
    }
    Ok(())
}

async fn push_and_bind(origin: &Origin, tenant: &Name, site: SiteId, policy: &DemoPolicy) -> anyhow::Result<()> {
    let (admission, component) = (origin.admission().clone(), policy.component);
    let admitted = tokio::task::spawn_blocking(move || admission.admit(component)).await?;
    let (admitted, _) = admitted.with_context(|| format!("admit the policy {}", policy.name))?;
    let name = Name::parse("policy name", policy.name)?;
    let digest = admitted.digest;
    let record = PolicyRecord {
        name: name.clone(),
        digest,
        size: admitted.bytes as u64,
        world: admitted.world.as_str().to_owned(),
        imports: admitted.imports,
        created_at: 0,
    };
    origin
        .store()
        .push_policy(tenant, record, policy.component.to_vec())
        .await?;
    let settings: BTreeMap<Box<str>, Box<str>> = policy
        .settings
        .iter()
        .map(|&(name, value)| (name.into(), value.into()))
        .collect();
    let prefix = Prefix::parse(policy.prefix)?;
    let binding = Binding {
        prefix,
        policy: name,
        digest,
        settings,
        on_failure: FailureMode::Open,
        visitor_key: VisitorKey::default(),
    };
    Ok(origin.store().bind(tenant, site, binding).await?)
}

/// Lines to paste; `command` begins those of `wayside`.
pub(super) fn what_to_try(edge: SocketAddr, admin: SocketAddr, command: &str) -> Vec<String> {
    let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148";
    vec![
        format!("curl -i http://{edge}/hello                     # a link"),
        format!("curl -i http://{edge}/docs/book/                # a rule: /docs/* keeps the rest"),
        format!("curl -i -H 'Wayside-Demo-Country: DE' http://{edge}/geo   # a policy: by country"),
        format!("curl -i http://{edge}/ab                        # a policy: half the visitors each"),
        format!("curl -i -A '{phone}' http://{edge}/app   # a policy: by device"),
        format!("{command} link add localhost /mine https://www.rust-lang.org/"),
        format!("curl -i http://{edge}/mine                      # there within a second"),
        format!("{command} --admin-url http://{admin} status"),
    ]
}
