//! Opening the files, making them, and what is done about those that cannot be used.

use std::{
    fs, io,
    path::Path,
    sync::{Arc, Condvar, Mutex, atomic::AtomicBool},
};

use super::{
    Settings,
    record::Record,
    shelf::{Header, Shelf, ShelfError},
    store::{BUCKET_BYTES, LARGE_BUCKET_BYTES, Store},
};
use crate::{aside::set_aside, counts::Counters, epochs::Epochs, key::KeyRef};

/// The large links' share of the room: one part in so many.
const LARGE_SHARE: u64 = 8;

impl Store {
    pub(super) fn open(settings: &Settings) -> Result<Self, ShelfError> {
        let Settings { folder, bytes_max } = settings;
        let large_bytes = bytes_max / LARGE_SHARE;
        let (usual, was_there) = open_shelf(&folder.join("usual"), bytes_max - large_bytes, BUCKET_BYTES)?;
        let (large, _) = open_shelf(&folder.join("large"), large_bytes, LARGE_BUCKET_BYTES)?;
        let Header { epoch, floor, .. } = usual.header();
        Ok(Self {
            usual,
            large,
            pending: Mutex::default(),
            wake: Condvar::new(),
            epochs: Arc::new(Epochs::new(epoch, floor)),
            has_new_epochs: AtomicBool::new(false),
            was_there,
            counters: Counters::default(),
            reading: Mutex::default(),
            has_lost: AtomicBool::new(false),
        })
    }
}

/// Opens the file at `path` with room for `bytes`, makes it when it is not there, puts it out of the way when it cannot
/// be read, and copies it when it has another size than it should. Says whether what was there is used.
fn open_shelf(path: &Path, bytes: u64, bucket_bytes: usize) -> Result<(Shelf, bool), ShelfError> {
    let bucket_bytes = u32::try_from(bucket_bytes).unwrap_or(u32::MAX);
    let buckets = (bytes / u64::from(bucket_bytes)).max(1);
    match Shelf::open(path) {
        Ok(shelf) if (shelf.header().buckets, shelf.header().bucket_bytes) == (buckets, bucket_bytes) => {
            return Ok((shelf, true));
        }
        Ok(shelf) if shelf.header().bucket_bytes == bucket_bytes => {
            return Ok((resize(&shelf, path, buckets)?, true));
        }
        Err(ShelfError::File(error)) if error.kind() == io::ErrorKind::NotFound => {}
        Err(ShelfError::InUse) => return Err(ShelfError::InUse),
        other => {
            let error = other.err().unwrap_or(ShelfError::NoHeader);
            tracing::error!(path = %path.display(), %error, "put a file of links aside; starting without what it kept");
            set_aside(path)?;
        }
    }
    let header = Header {
        bucket_bytes,
        buckets,
        seed: getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?,
        epoch: 1,
        floor: 1,
    };
    Ok((Shelf::create(path, header)?, false))
}

/// Copies what `old`, the file at `path`, keeps into a file with another number of buckets, which takes its place.
fn resize(old: &Shelf, path: &Path, buckets: u64) -> Result<Shelf, ShelfError> {
    tracing::info!(path = %path.display(), from = old.header().buckets, to = buckets, "resizing the file of links");
    let beside = path.with_added_extension("new");
    // Of an attempt that was cut off.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let header = Header {
        buckets,
        ..old.header()
    };
    let new = Shelf::create(&beside, header)?;
    for bucket in 0..old.header().buckets {
        let bytes = old.read(bucket)?;
        for record in old.records(bucket, &bytes) {
            copy(&record, &new)?;
        }
    }
    new.sync()?;
    fs::rename(&beside, path)?;
    Ok(new)
}

fn copy(record: &Record<'_>, to: &Shelf) -> io::Result<()> {
    let Ok(path) = str::from_utf8(record.path) else {
        return Ok(());
    };
    let key = KeyRef {
        site: record.site,
        path,
    };
    let [first, second] = to.buckets_of(key);
    let used = |bucket| -> io::Result<usize> {
        let bytes = to.read(bucket)?;
        Ok(to.records(bucket, &bytes).map(|record| record.bytes()).sum())
    };
    let taken = to.take(if used(second)? < used(first)? { second } else { first })?;
    let mut records = vec![*record];
    // Where there is too little room, whoever came first has it no longer; it is a cache.
    records.extend(taken.records());
    taken.replace(&records).map(drop)
}
