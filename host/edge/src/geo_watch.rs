//! Replacing a geography database under a running node.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{causes::told, geo::Database, pipeline::Edge};

/// When each file was written, and how long it is.
pub(crate) type Stamp = Vec<Option<(SystemTime, u64)>>;

/// The files a node reads its geography from.
#[derive(Debug, Clone, Default)]
pub struct GeoFiles {
    /// City or country.
    pub places: Option<PathBuf>,
    /// Autonomous systems.
    pub systems: Option<PathBuf>,
    /// How often to look whether a file was replaced.
    pub check_interval: Duration,
}

impl GeoFiles {
    /// Whether there is any to read.
    #[must_use]
    pub const fn is_any(&self) -> bool {
        self.places.is_some() || self.systems.is_some()
    }

    /// Reads and verifies both.
    ///
    /// # Errors
    /// [`crate::geo::GeoError`], which names the file.
    pub fn open(&self) -> Result<Database, crate::geo::GeoError> {
        Database::open(self.places.as_deref(), self.systems.as_deref())
    }

    /// What tells one content of the files from the next without reading them. Taken before the files are read, so that
    /// a change in between is seen.
    pub(crate) fn stamp(&self) -> Stamp {
        let files = [&self.places, &self.systems];
        files
            .into_iter()
            .map(|file| {
                let metadata = std::fs::metadata(file.as_ref()?).ok()?;
                Some((metadata.modified().ok()?, metadata.len()))
            })
            .collect()
    }
}

/// Watches the files and swaps a replaced database in once it is verified; a broken one, or one of something else, is
/// logged and counted, and the good one stays. Ends never.
pub(crate) async fn watch(edge: Arc<Edge>, files: GeoFiles, opened: Stamp) {
    let mut last = opened;
    let mut ticks = tokio::time::interval(files.check_interval.max(Duration::from_millis(100)));
    loop {
        ticks.tick().await;
        let (now, files) = (files.stamp(), files.clone());
        if now == last {
            continue;
        }
        last = now;
        let read = tokio::task::spawn_blocking(move || files.open()).await;
        match read {
            Ok(Ok(database)) => {
                edge.geo.store(Arc::new(database));
                edge.metrics.count_geo_reload("ok");
                tracing::info!("replaced the geography database");
            }
            Ok(Err(error)) => {
                edge.metrics.count_geo_reload("refused");
                tracing::error!(error = told(&error), "kept the geography database that was in use");
            }
            Err(error) => tracing::error!(%error, "reading a geography database panicked"),
        }
    }
}
