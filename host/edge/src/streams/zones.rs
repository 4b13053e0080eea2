//! Coverage zones on a node: fetched by their digest, read once, asked for each visitor of whom a target is chosen.
//!
//! In: which zones each tenant has, by the directory. Out: the group of targets that an address belongs to. While new
//! zones are on their way, or cannot be read, those before hold. It must not know how they are searched.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use foldhash::fast::RandomState;
use futures_util::future::join_all;
use tokio::sync::Notify;
use wayside_decide::{digest::Digest, invalid::Invalid, name::Name};
use wayside_stream::zones::Zones;
use wayside_upstream::{
    origins::Origins,
    protocol::{EdgeDirectory, zones::parse},
};

use crate::{causes, files, pipeline::Edge};

/// Files that are fetched and read at the same time.
const FETCHES_MAX: usize = 16;
/// How their names end on disk.
const FILE_ENDING: &str = ".json";
/// How long to wait before zones that could not be had are asked for again.
const REST: Duration = Duration::from_secs(5);

/// The zones of all tenants.
#[derive(Default)]
pub(crate) struct TenantZones {
    held: ArcSwap<HashMap<Name, Held, RandomState>>,
    /// None until there is a directory.
    wanted: Mutex<Option<HashMap<Name, Digest>>>,
    changed: Notify,
}

#[derive(Clone)]
struct Held {
    digest: Digest,
    /// Those of the file of this digest. When that cannot be read, those before it, if any: it is not asked for again.
    zones: Option<Arc<Zones>>,
}

impl TenantZones {
    /// The group that an address belongs to by the tenant's zones.
    pub(crate) fn group_of(&self, tenant: &Name, address: IpAddr) -> Option<Arc<Name>> {
        let held = self.held.load();
        held.get(tenant)?.zones.as_ref()?.group_of(address).cloned()
    }

    /// Follows a directory. What is new is fetched by [`keep`].
    pub(crate) fn follow(&self, wire: &EdgeDirectory) {
        let wanted = wire.zones.iter().filter_map(|told| {
            let tenant = Name::parse("tenant", &told.tenant).ok()?;
            Some((tenant, Digest::parse(&told.digest).ok()?))
        });
        *self.lock() = Some(wanted.collect());
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Option<HashMap<Name, Digest>>> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of zones that nobody has any more; which are to be fetched.
    fn missing(&self) -> Vec<(Name, Digest)> {
        let wanted = self.lock().clone().unwrap_or_default();
        let held = self.held.load_full();
        if held.keys().any(|tenant| !wanted.contains_key(tenant)) {
            let mut kept = (*held).clone();
            kept.retain(|tenant, _| wanted.contains_key(tenant));
            self.held.store(Arc::new(kept));
        }
        let is_held = |(tenant, digest): &(Name, Digest)| held.get(tenant).is_some_and(|held| held.digest == *digest);
        wanted.into_iter().filter(|wanted| !is_held(wanted)).collect()
    }

    /// Takes what tenants' files say. One that cannot be read leaves what was held before.
    fn take(&self, files: Vec<(Name, Digest, Result<Zones, Invalid>)>) {
        let mut held = (*self.held.load_full()).clone();
        for (tenant, digest, read) in files {
            let zones = match read {
                Ok(zones) => Some(Arc::new(zones)),
                Err(error) => {
                    tracing::error!(%tenant, %error, "these coverage zones cannot be read");
                    held.get(&tenant).and_then(|before| before.zones.clone())
                }
            };
            held.insert(tenant, Held { digest, zones });
        }
        self.held.store(Arc::new(held));
    }

    /// Removes the files of tenants that have no zones any more.
    fn tidy(&self, folder: &Path) -> io::Result<()> {
        let Some(wanted) = self.lock().clone() else {
            return Ok(());
        };
        let names: HashSet<String> = wanted.keys().map(file_name).collect();
        let files = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            files => files?,
        };
        for file in files {
            let file = file?;
            let name = file.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(FILE_ENDING) && !names.contains(&*name) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }
}

/// What a tenant's zones are called on disk.
fn file_name(tenant: &Name) -> String {
    format!("{tenant}{FILE_ENDING}")
}

/// Fetches zones that are new: from the tenant's file in `folder`, else from an origin. Ends never.
pub(crate) async fn keep(edge: Arc<Edge>, origins: Origins, folder: Option<PathBuf>) {
    let zones = &edge.streams.zones;
    loop {
        let mut has_failed = false;
        for some in zones.missing().chunks(FETCHES_MAX) {
            let fetching = some.iter().map(|(tenant, digest)| {
                let kept = folder.as_ref().map(|folder| folder.join(file_name(tenant)));
                let fetched = fetch(&edge, &origins, kept, *digest);
                async move { (tenant, *digest, fetched.await) }
            });
            let mut read = Vec::new();
            for (tenant, digest, fetched) in join_all(fetching).await {
                match fetched {
                    Ok(zones) => read.push((tenant.clone(), digest, zones)),
                    Err(error) => {
                        tracing::warn!(%tenant, error, "fetch coverage zones");
                        has_failed = true;
                    }
                }
            }
            zones.take(read);
        }
        if let Some(folder) = folder.clone() {
            let edge = Arc::clone(&edge);
            let tidied = tokio::task::spawn_blocking(move || edge.streams.zones.tidy(&folder)).await;
            if let Ok(Err(error)) = tidied {
                tracing::warn!(%error, "remove coverage zones that nobody has any more");
            }
        }
        if has_failed {
            tokio::time::sleep(REST).await;
        } else {
            zones.changed.notified().await;
        }
    }
}

async fn fetch(
    edge: &Edge,
    origins: &Origins,
    kept: Option<PathBuf>,
    digest: Digest,
) -> Result<Result<Zones, Invalid>, String> {
    let on_disk = match &kept {
        Some(kept) => tokio::fs::read(kept).await.ok(),
        None => None,
    };
    let (body, kept) = match on_disk.filter(|body| Digest::of(body) == digest) {
        Some(body) => (Bytes::from(body), None),
        None => {
            let answered = origins.zones(digest).await;
            edge.metrics.count_origin_request("zones", answered.is_ok());
            (answered.map_err(|error| causes::told(&error))?, kept)
        }
    };
    let read = move || {
        if let Some(kept) = kept {
            // A node without a disk serves all the same; it asks again when it starts.
            let written = files::replace(&kept, |file| file.write_all(&body));
            written.unwrap_or_else(|error| tracing::warn!(path = %kept.display(), %error, "keep coverage zones"));
        }
        parse(&body).map(Zones::new)
    };
    // A hundred thousand networks take a while to read.
    tokio::task::spawn_blocking(read)
        .await
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use wayside_decide::{digest::Digest, name::Name};
    use wayside_stream::zones::Zones;
    use wayside_upstream::protocol::{EdgeDirectory, streams::EdgeZones, zones::parse};

    use super::TenantZones;

    const EU: &[u8] = br#"{"coverageZones": {"eu": {"network": ["192.0.2.0/24"]}}}"#;
    const US: &[u8] = br#"{"coverageZones": {"us": {"network": ["192.0.2.0/24"]}}}"#;

    fn tenant() -> Name {
        Name::parse("tenant", "t").expect("a name")
    }

    fn directory(bodies: &[&[u8]]) -> EdgeDirectory {
        let zones = bodies.iter().map(|body| EdgeZones {
            tenant: "t".to_owned(),
            digest: Digest::of(body).to_string(),
        });
        let mut directory: EdgeDirectory =
            serde_json::from_str(r#"{"cursor": 1, "sites": [], "targets": []}"#).expect("a directory");
        directory.zones = zones.collect();
        directory
    }

    fn group(zones: &TenantZones) -> Option<String> {
        let address = "192.0.2.7".parse().expect("an address");
        zones.group_of(&tenant(), address).map(|group| group.to_string())
    }

    #[test]
    fn zones_hold_until_others_can_be_read_and_go_with_the_directory() {
        let zones = TenantZones::default();
        let take = |body: &[u8]| zones.take(vec![(tenant(), Digest::of(body), parse(body).map(Zones::new))]);
        zones.follow(&directory(&[EU]));
        assert_eq!(zones.missing(), [(tenant(), Digest::of(EU))]);
        assert_eq!(group(&zones), None);
        take(EU);
        assert_eq!((zones.missing(), group(&zones)), (Vec::new(), Some("eu".to_owned())));
        zones.follow(&directory(&[b"rubbish"]));
        assert_eq!(zones.missing(), [(tenant(), Digest::of(b"rubbish"))]);
        take(b"rubbish");
        assert_eq!(zones.missing(), [], "nobody asks again for what cannot be read");
        assert_eq!(group(&zones), Some("eu".to_owned()));
        zones.follow(&directory(&[US]));
        take(US);
        assert_eq!(group(&zones), Some("us".to_owned()));
        zones.follow(&directory(&[]));
        assert_eq!((zones.missing(), group(&zones)), (Vec::new(), None));
    }

    #[test]
    fn files_of_who_has_no_zones_any_more_are_removed() {
        let folder = tempfile::tempdir().expect("folder");
        for file in ["t.json", "gone.json", "t.new"] {
            std::fs::write(folder.path().join(file), EU).expect("a file");
        }
        let files = || {
            let files = std::fs::read_dir(folder.path()).expect("files").flatten();
            let mut names: Vec<_> = files
                .map(|file| file.file_name().into_string().expect("text"))
                .collect();
            names.sort();
            names
        };
        let zones = TenantZones::default();
        zones.tidy(folder.path()).expect("nobody knows yet");
        assert_eq!(files().len(), 3);
        zones.follow(&directory(&[EU]));
        zones.tidy(folder.path()).expect("tidy");
        assert_eq!(files(), ["t.json", "t.new"]);
        zones.tidy(&folder.path().join("none")).expect("nothing there");
    }
}
