//! The step of a stream: the asset, its policy, and then who serves it.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use super::{
    Answer, Edge, find_site, look_up,
    policy::streams::{Planned, plan, rehearse},
};
use crate::{
    clock::{Clock, Now},
    directory::LiveSite,
    facts::AssetFacts,
    head::{Fields, Head},
    metrics::Shard,
    refusal::Refusal,
    streams::{
        self,
        assets::LiveAsset,
        explain::{Told, Which, told},
        pools::tenant::TenantPool,
        posted::Posted,
        request::{About, Wanted},
        way::{self, Asked, Way, path_of},
    },
    visit::Visit,
};

/// Whose body it is, and of what kind; none when nobody reads it, and the request is answered, or refused, alike without:
/// no site of this node, no asset, nothing that is posted to, not the asset's key.
pub(crate) async fn sender(edge: &Edge, head: &Head<'_>, peer: IpAddr, now: Now) -> Option<(Posted, IpAddr)> {
    if head.method != "POST" {
        return None;
    }
    let visit = Visit::read(head, peer, &edge.trusted_proxies, now).ok()?;
    let directory = edge.directory.load();
    let site = find_site(&directory, &visit).ok()?;
    let asked = way::read(&site.site, &visit.key)?;
    if !asked.way.takes(head.method) {
        return None;
    }
    let asset = streams::find(edge, site, asked.asset, now.instant).await.ok()??;
    Some((Posted::of(asked.way, head.fields, &asset)?, visit.address))
}

/// What a request about an asset gets; none when there is no such asset, and the path may be that of a link.
pub(super) async fn answer(
    edge: &Arc<Edge>,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    asked: Asked<'_>,
) -> Result<Option<Answer>, Refusal> {
    let is_preflight = visit.head.method == "OPTIONS";
    let allow = asked.way.methods();
    if is_preflight && !matches!(asked.way, Way::File(_)) {
        return Ok(Some(Answer::StreamOptions { allow }));
    }
    let found = streams::find(edge, site, asked.asset, visit.now.instant).await;
    let found = match (found, asked.way) {
        // A browser that asks whether it may ask is told so, and hears the rest then.
        (Err(Refusal::Gone), _) if is_preflight => return Ok(Some(Answer::StreamOptions { allow })),
        // A player that is told so once reports nothing any more, also of what it plays next.
        (Err(Refusal::Gone), Way::Report) => Ok(None),
        // Nobody knows whether there is such an asset. A link of this path is followed as long as the node has it.
        (Err(Refusal::OriginAway(_) | Refusal::Shed(_)), Way::File(_)) if has_link(edge, shard, visit, site).await => {
            return Ok(None);
        }
        (found, _) => found.map_err(Refusal::of_stream),
    };
    let asset = match found? {
        Some(asset) => asset,
        // A page of another site is to hear that there is nothing.
        None if is_preflight => return Ok(Some(Answer::StreamOptions { allow })),
        None if matches!(asked.way, Way::File(_)) => return Ok(None),
        None => return Err(Refusal::NotFound.of_stream()),
    };
    if is_preflight {
        return Ok(Some(Answer::StreamOptions { allow }));
    }
    if !asked.way.takes(visit.head.method) {
        return Err(Refusal::MethodNotAllowed { allow }.of_stream());
    }
    let answer = planned(edge, shard, visit, site, asked, asset).await;
    answer.map(Some).map_err(Refusal::of_stream)
}

/// Whether there is a link at the path, which can be had.
async fn has_link(edge: &Edge, shard: &Shard, visit: &Visit<'_>, site: &LiveSite) -> bool {
    let held = look_up(edge, shard, visit, site).await;
    held.is_ok_and(|held| held.link.is_some())
}

/// What the policy says that is bound to the asset's path, and then what serves.
async fn planned(
    edge: &Arc<Edge>,
    shard: &Shard,
    visit: &Visit<'_>,
    site: &Arc<LiveSite>,
    asked: Asked<'_>,
    asset: Arc<LiveAsset>,
) -> Result<Answer, Refusal> {
    let about = About {
        edge,
        shard,
        visit,
        site,
        asset: &asset,
    };
    let pool = edge.streams.pools.of(&site.site.tenant);
    let pool = pool.as_ref();
    // What players report is not for a policy to decide on.
    if asked.way == Way::Report || site.bindings().is_empty() {
        return streams::answer(about, asked.way, pool, None).await;
    }
    let visit_of_asset = as_of_asset(visit, site, asked);
    let Some(live) = site.binding_for(&visit_of_asset.key) else {
        return streams::answer(about, asked.way, pool, None).await;
    };
    let facts = facts(pool, &asset);
    let wanted = match plan(edge, shard, &visit_of_asset, site, live, facts).await? {
        Planned::Proceed => None,
        Planned::Plan(plan) => Some(Wanted { plan, live }),
        Planned::Redirect {
            status,
            target,
            caching,
        } => {
            return Ok(Answer::StreamRedirect {
                status,
                target,
                caching,
            });
        }
    };
    let answer = streams::answer(about, asked.way, pool, wanted.as_ref()).await;
    match answer {
        Err(Refusal::PolicyFailed(failure)) => {
            live.go_on_without(failure)?;
            streams::answer(about, asked.way, pool, None).await
        }
        answer => answer,
    }
}

/// What [`answer`] would do for somebody at an address, and why; the error says what there is not. Nobody asked, and
/// nothing stays of it.
pub(crate) async fn explain(edge: &Arc<Edge>, shard: &Shard, which: &Which) -> Result<Told, String> {
    let directory = edge.directory.load_full();
    let is_it =
        |site: &&Arc<LiveSite>| site.site.tenant.as_str() == which.tenant && site.site.name.as_str() == which.site;
    let site = directory.sites().find(is_it);
    let site = site.ok_or_else(|| format!("there is no site {} on this node", which.site))?;
    let now = Clock::new().now();
    let found = streams::find(edge, site, &which.asset, now.instant).await;
    let found = found.map_err(|refusal| refusal.detail().unwrap_or_else(|| refusal.public_message()))?;
    let asset = found.ok_or_else(|| format!("site {} has no asset {}", which.site, which.asset))?;
    let pool = edge.streams.pools.of(&site.site.tenant);
    let pool = pool.ok_or_else(|| format!("tenant {} has no targets", which.tenant))?;
    let path = path_of(&site.site, &which.asset);
    let head = Head {
        method: "GET",
        path: &path,
        query: None,
        authority: None,
        is_authority_bound: false,
        fields: Fields(&[]),
        body: &[],
    };
    let visit = Visit {
        head: &head,
        host: Cow::Borrowed("explain.invalid"),
        port: None,
        key: Cow::Borrowed(&path),
        is_secure: true,
        address: which.ip,
        now,
    };
    let (mut policy, mut wanted, mut instead) = (None, None, None);
    if let Some(live) = site.binding_for(&path) {
        let facts = facts(Some(&pool), &asset);
        let said = match rehearse(edge, shard, &visit, site, live, facts).await {
            Ok(Planned::Proceed) => "proceed: all targets, by their own weights".to_owned(),
            Ok(Planned::Plan(plan)) => {
                let said = plan.to_string();
                wanted = Some(Wanted { plan, live });
                said
            }
            Ok(Planned::Redirect { target, .. }) => {
                instead = Some("the policy sends the visitor elsewhere".to_owned());
                format!("redirect to {target}")
            }
            Err(refusal) => {
                let message = refusal.public_message();
                instead = Some(format!("the visitor gets {}: {message}", refusal.status()));
                refusal.detail().unwrap_or(message)
            }
        };
        policy = Some(format!("{} at {}: {said}", live.binding.policy, live.binding.prefix));
    }
    let session = which.session.as_deref();
    let about = About {
        edge,
        shard,
        visit: &visit,
        site,
        asset: &asset,
    };
    let request = about.rehearsed(wanted.as_ref(), &pool, session);
    request.read_keys().await;
    let told = told(&request, which.ip, policy);
    Ok(match instead {
        Some(why) => told.without_target(why),
        None => told,
    })
}

/// The visit as a policy sees it: where a player asks at a reserved path, it asks for the asset.
fn as_of_asset<'v>(visit: &'v Visit<'_>, site: &LiveSite, asked: Asked<'_>) -> Visit<'v> {
    Visit {
        head: visit.head,
        host: Cow::Borrowed(&visit.host),
        port: visit.port,
        key: match asked.way {
            Way::File(_) => Cow::Borrowed(&visit.key),
            _ => Cow::Owned(path_of(&site.site, asked.asset)),
        },
        is_secure: visit.is_secure,
        address: visit.address,
        now: visit.now,
    }
}

/// What a policy can ask about the asset. Of a tenant without targets, nobody has a copy.
fn facts(pool: Option<&Arc<TenantPool>>, asset: &LiveAsset) -> Arc<AssetFacts> {
    match pool {
        Some(pool) => asset.facts(&pool.targets()),
        None => Arc::new(AssetFacts::of(&asset.asset, [])),
    }
}
