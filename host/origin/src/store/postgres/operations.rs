//! The store's operations, each for as long as one may take: which of the servers is asked, and when again.

use async_trait::async_trait;
use sqlx::PgPool;
use tokio::sync::watch;
use wayside_decide::{
    binding::Binding, digest::Digest, link::Link, name::Name, path::LinkPath, rule::Rule, site::SiteId,
};
use wayside_upstream::{
    identity::{NodeId, PublicKey},
    protocol::{Cursor, EdgeDirectory, Epoch, Position, SnapshotPage},
};

use super::{PostgresStore, bindings, changes, links, nodes, policies, rules, sites, tokens};
use crate::{
    node::NodeRecord,
    store::{
        FeedPage, Freshness, LinkRecord, PolicyRecord, RuleRecord, SiteContent, SiteRecord, SnapshotKey, Store,
        StoreError, TokenRecord, WriteMode, missing,
    },
    token::TokenId,
};

#[async_trait]
impl Store for PostgresStore {
    async fn create_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        let change = || sites::create(self, tenant, name, content.clone());
        self.within(self.untied(change)).await
    }

    async fn sites(&self, tenant: &Name) -> Result<Vec<SiteRecord>, StoreError> {
        self.within(async { sites::list(self.primary()?, tenant).await }).await
    }

    async fn site(&self, tenant: &Name, name: &Name) -> Result<SiteRecord, StoreError> {
        self.within(async { sites::one(self.primary()?, tenant, name).await })
            .await
    }

    async fn replace_site(&self, tenant: &Name, name: &Name, content: SiteContent) -> Result<SiteRecord, StoreError> {
        let change = || sites::replace(self, tenant, name, content.clone());
        self.within(self.untied(change)).await
    }

    async fn delete_site(&self, tenant: &Name, name: &Name) -> Result<(), StoreError> {
        self.within(self.untied(|| sites::delete(self, tenant, name))).await
    }

    async fn links(
        &self,
        tenant: &Name,
        site: SiteId,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<LinkRecord>, StoreError> {
        self.within(async { links::list(self.primary()?, tenant.as_str(), site, prefix, after, limit).await })
            .await
    }

    async fn link(&self, site: SiteId, path: &LinkPath, freshness: Freshness) -> Result<LinkRecord, StoreError> {
        let ended = self.within(self.link_of(site, path, freshness)).await;
        match ended {
            Err(StoreError::Missing { .. }) => Err(missing("link", path)),
            ended => ended,
        }
    }

    async fn write_links(
        &self,
        tenant: &Name,
        site: SiteId,
        links: Vec<(LinkPath, Link)>,
        mode: WriteMode,
    ) -> Result<(), StoreError> {
        let change = || links::write(self, tenant, site, &links, mode);
        self.within(self.untied(change)).await
    }

    async fn delete_link(&self, tenant: &Name, site: SiteId, path: &LinkPath) -> Result<(), StoreError> {
        let change = || links::delete(self, tenant.as_str(), site, path);
        self.within(self.untied(change)).await
    }

    async fn rules(&self, tenant: &Name, site: SiteId) -> Result<Vec<RuleRecord>, StoreError> {
        self.within(async { rules::list(self.primary()?, tenant.as_str(), site).await })
            .await
    }

    async fn create_rule(&self, tenant: &Name, site: SiteId, rule: Rule) -> Result<RuleRecord, StoreError> {
        let change = || rules::create(self, tenant, site, rule.clone());
        self.within(self.untied(change)).await
    }

    async fn delete_rule(&self, tenant: &Name, site: SiteId, id: u64) -> Result<(), StoreError> {
        let change = || rules::delete(self, tenant.as_str(), site, id);
        self.within(self.untied(change)).await
    }

    async fn push_policy(&self, tenant: &Name, policy: PolicyRecord, component: Vec<u8>) -> Result<(), StoreError> {
        let change = || policies::push(self, tenant, &policy, &component);
        self.within(self.untied(change)).await
    }

    async fn policies(&self, tenant: &Name, name: Option<&Name>) -> Result<Vec<PolicyRecord>, StoreError> {
        self.within(async { policies::list(self.primary()?, tenant, name).await })
            .await
    }

    /// A digest names its bytes wherever they are read; only the primary's word counts that there are none.
    async fn component(&self, digest: Digest) -> Result<Vec<u8>, StoreError> {
        self.within(async {
            let find = |pool: PgPool| async move { policies::component(&pool, digest).await };
            let bytes = self.find(find).await?;
            bytes.ok_or_else(|| missing("policy version", digest))
        })
        .await
    }

    async fn bindings(&self, tenant: &Name, site: SiteId) -> Result<Vec<Binding>, StoreError> {
        self.within(async { bindings::list(self.primary()?, tenant.as_str(), site).await })
            .await
    }

    async fn bind(&self, tenant: &Name, site: SiteId, binding: Binding) -> Result<(), StoreError> {
        let change = || bindings::bind(self, tenant, site, &binding);
        self.within(self.untied(change)).await
    }

    async fn unbind(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<(), StoreError> {
        let change = || bindings::unbind(self, tenant.as_str(), site, prefix);
        self.within(self.untied(change)).await
    }

    async fn roll_back(&self, tenant: &Name, site: SiteId, prefix: &str) -> Result<Binding, StoreError> {
        let change = || bindings::roll_back(self, tenant, site, prefix);
        self.within(self.untied(change)).await
    }

    async fn create_token(&self, token: TokenRecord) -> Result<(), StoreError> {
        self.within(async { tokens::create(self.primary()?, &token).await })
            .await
    }

    async fn token(&self, id: &TokenId, freshness: Freshness) -> Result<Option<TokenRecord>, StoreError> {
        self.within(async {
            match freshness {
                Freshness::Any => self.find(|pool| async move { tokens::one(&pool, id).await }).await,
                Freshness::Newest | Freshness::Since(_) => tokens::one(self.primary()?, id).await,
            }
        })
        .await
    }

    async fn tokens(&self, tenant: Option<&Name>) -> Result<Vec<TokenRecord>, StoreError> {
        self.within(async { tokens::list(self.primary()?, tenant).await }).await
    }

    async fn revoke_token(&self, tenant: Option<&Name>, id: &TokenId) -> Result<(), StoreError> {
        self.within(async { tokens::revoke(self.primary()?, tenant, id).await })
            .await
    }

    async fn invite_node(&self, node: NodeRecord) -> Result<(), StoreError> {
        self.within(async { nodes::invite(self.primary()?, &node).await }).await
    }

    async fn enrol_node(&self, id: &NodeId, key: &PublicKey) -> Result<(), StoreError> {
        self.within(async { nodes::enrol(self.primary()?, id, key).await })
            .await
    }

    async fn node(&self, id: &NodeId, freshness: Freshness) -> Result<Option<NodeRecord>, StoreError> {
        self.within(async {
            let find = |pool: PgPool| async move { nodes::one(&pool, id).await };
            // One that the replica knows without its key may have brought it since.
            if freshness == Freshness::Any
                && let Some(Some(node)) = self.replicated(find).await
                && node.enrolled.is_some()
            {
                return Ok(Some(node));
            }
            nodes::one(self.primary()?, id).await
        })
        .await
    }

    async fn nodes(&self) -> Result<Vec<NodeRecord>, StoreError> {
        self.within(async { nodes::list(self.primary()?).await }).await
    }

    async fn revoke_node(&self, id: &NodeId) -> Result<(), StoreError> {
        self.within(async { nodes::revoke(self.primary()?, id).await }).await
    }

    async fn directory(&self, freshness: Freshness) -> Result<EdgeDirectory, StoreError> {
        self.within(async {
            let read = |pool: PgPool| async move { changes::directory(&pool).await };
            match self.near(freshness, read).await {
                // It names its position: whoever was told of more sees that it is older.
                Err(StoreError::Unavailable(error)) if freshness == Freshness::Newest => {
                    let old = self.replicated(read).await;
                    old.map(|old| old.value).ok_or(StoreError::Unavailable(error))
                }
                read => read,
            }
        })
        .await
    }

    async fn snapshot(
        &self,
        after: Option<&SnapshotKey>,
        limit: u32,
        first: Option<Position>,
    ) -> Result<SnapshotPage, StoreError> {
        self.within(async {
            // The first part may be of any instant: it names which.
            let freshness = first.map_or(Freshness::Any, Freshness::Since);
            let read = |pool: PgPool| async move { links::part(&pool, after, limit).await };
            self.near(freshness, read).await
        })
        .await
    }

    async fn changes(&self, epoch: Option<Epoch>, cursor: Cursor, limit: u32) -> Result<FeedPage, StoreError> {
        self.within(self.page(epoch, cursor, limit)).await
    }

    fn readers(&self) -> u32 {
        self.connections
    }

    fn head(&self) -> watch::Receiver<Position> {
        self.heads.subscribe()
    }

    async fn close(&self) {
        for task in &self.tasks {
            task.abort();
        }
        self.background.close().await;
        self.primary.close().await;
        if let Some(replica) = &self.replica {
            replica.close().await;
        }
    }

    /// Postgres has its own tool, which knows more.
    async fn back_up(&self, _: &std::path::Path) -> Result<(), StoreError> {
        Err(StoreError::Conflict {
            what: "backup",
            name: "of a record in Postgres".to_owned(),
            reason: "is taken by `pg_dump`, or by your Postgres's own backups".to_owned(),
        })
    }
}
