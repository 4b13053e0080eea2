//! How the cache asks the origin for a link.

use std::{future::Future, pin::Pin, sync::Arc};

use wayside_cache::load::{LoadError, LoadLink, Loaded, Seen};
use wayside_decide::{link::Link, site::SiteId};
use wayside_upstream::{
    origins::Origins,
    protocol::{Epoch, Position},
};

use crate::{causes::told, metrics::Metrics};

/// Loads links from the origin, and counts the requests.
pub(crate) struct OriginLoader {
    pub(crate) origins: Origins,
    pub(crate) metrics: Arc<Metrics>,
}

impl LoadLink for OriginLoader {
    fn load<'a>(
        &'a self,
        site: SiteId,
        path: &'a str,
        seen: Option<Seen>,
    ) -> Pin<Box<dyn Future<Output = Loaded> + Send + 'a>> {
        Box::pin(async move {
            let known = seen.map(|Seen { epoch, cursor }| Position {
                epoch: Epoch(epoch),
                cursor,
            });
            let answered = self.origins.link(site, path, known).await;
            self.metrics.count_origin_request("link", answered.is_ok());
            let wire = answered.map_err(|error| LoadError::Failed(told(&error)))?;
            // A link that this node cannot read is no link it could serve; the origin is told apart from the visitor.
            wire.map(Link::try_from)
                .transpose()
                .map_err(|error| LoadError::Failed(error.to_string()))
        })
    }
}
