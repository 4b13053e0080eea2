//! The directory out of the tables it stands in.

use std::collections::HashMap;

use sqlx::FromRow;
use wayside_upstream::protocol::{EdgeBinding, EdgeDirectory, EdgeRule, EdgeSite, Position, streams::EdgeZones};

use super::{
    StoreError,
    rows::{BindingRow, EdgeRuleRow, max_age_s, streams::TargetRow, unsigned},
};

/// A site as nodes are told of it, without what stands in other tables.
#[derive(FromRow)]
pub(super) struct EdgeSiteRow {
    id: i64,
    tenant: String,
    name: String,
    not_found: Option<String>,
    max_age_s: Option<i64>,
    privacy: String,
    streams: Option<String>,
    bucket_key: Vec<u8>,
}

/// All rows, read at one position.
pub(super) struct Tables {
    /// Site and pattern, in the order their owners gave.
    pub(super) hosts: Vec<(i64, String)>,
    /// In the order they are tried.
    pub(super) rules: Vec<EdgeRuleRow>,
    /// By prefix.
    pub(super) bindings: Vec<BindingRow>,
    /// By number.
    pub(super) sites: Vec<EdgeSiteRow>,
    /// By tenant and name.
    pub(super) targets: Vec<TargetRow>,
    /// Tenant and digest, by tenant.
    pub(super) zones: Vec<(String, String)>,
}

impl Tables {
    pub(super) fn assemble(self, position: Position) -> Result<EdgeDirectory, StoreError> {
        let mut hosts: HashMap<u64, Vec<String>> = HashMap::new();
        for (site, pattern) in self.hosts {
            hosts.entry(unsigned("site_id", site)?).or_default().push(pattern);
        }
        let mut rules: HashMap<u64, Vec<EdgeRule>> = HashMap::new();
        for row in self.rules {
            let (site, rule) = row.read()?;
            rules.entry(site).or_default().push(rule);
        }
        let mut bindings: HashMap<u64, Vec<EdgeBinding>> = HashMap::new();
        for row in self.bindings {
            let (site, binding) = row.for_edge()?;
            bindings.entry(site).or_default().push(binding);
        }
        let mut sites = Vec::with_capacity(self.sites.len());
        for row in self.sites {
            let id = unsigned("id", row.id)?;
            sites.push(EdgeSite {
                id,
                tenant: row.tenant,
                name: row.name,
                hosts: hosts.remove(&id).unwrap_or_default(),
                not_found: row.not_found,
                max_age_s: max_age_s(row.max_age_s)?,
                privacy: row.privacy,
                streams: row.streams,
                bucket_key: row.bucket_key.iter().map(|byte| format!("{byte:02x}")).collect(),
                rules: rules.remove(&id).unwrap_or_default(),
                bindings: bindings.remove(&id).unwrap_or_default(),
            });
        }
        let targets = self.targets.into_iter().map(TargetRow::for_edge);
        let zones = self.zones.into_iter();
        let zones = zones.map(|(tenant, digest)| EdgeZones { tenant, digest });
        Ok(EdgeDirectory {
            epoch: Some(position.epoch),
            cursor: position.cursor,
            sites,
            targets: targets.collect::<Result<_, _>>()?,
            zones: zones.collect(),
            tag: None,
        })
    }
}
