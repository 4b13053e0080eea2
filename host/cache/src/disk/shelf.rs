//! A file of buckets of one size, found by the hash of a key.
//!
//! Each key has two buckets that it may be in, and is put into the emptier one: with one alone, some would run over
//! while the file is a third full.
//!
//! The file begins with two copies of a header, of which either is enough; each bucket stands for itself. So damage
//! stays where it is: a changed byte costs the records of its bucket, a cut file costs the buckets behind the cut.
//! Nothing has to be read to open it, and nothing of it is kept in memory. A bucket that was never written is a hole
//! in the file and takes no room on the disk.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::Path,
    sync::{PoisonError, RwLock, RwLockWriteGuard},
};

use twox_hash::XxHash3_64;

use super::record::{Record, Records};
use crate::{codec::Bytes, key::KeyRef};

/// The version of the file; one of another version is not read.
const FORMAT: u32 = 2;
const MAGIC: [u8; 8] = *b"wayside\x01";
/// Room for each copy of the header.
const HEADER_BYTES: u64 = 4096;
/// Locks for this many groups of buckets.
const STRIPES: usize = 256;

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) bucket_bytes: u32,
    pub(super) buckets: u64,
    /// Random, of this file: nobody can choose paths that meet in one bucket.
    pub(super) seed: u64,
    /// What is written now belongs to this epoch.
    pub(super) epoch: u32,
    /// What belongs to an earlier epoch than this does not count any more.
    pub(super) floor: u32,
}

/// Why a file cannot be used as it is.
#[derive(Debug, thiserror::Error)]
pub(super) enum ShelfError {
    /// It cannot be opened or read.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Neither copy of the header can be read.
    #[error("expected a file of links of format {FORMAT}, found another or a damaged one")]
    NoHeader,
    /// Another process has it.
    #[error("another process uses it")]
    InUse,
}

impl Header {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.bucket_bytes.to_le_bytes());
        bytes.extend_from_slice(&self.buckets.to_le_bytes());
        bytes.extend_from_slice(&self.seed.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        bytes.extend_from_slice(&self.floor.to_le_bytes());
        let sum = XxHash3_64::oneshot(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = Bytes(bytes);
        let (magic, format) = (rest.array::<8>()?, rest.u32()?);
        let header = Self {
            bucket_bytes: rest.u32()?,
            buckets: rest.u64()?,
            seed: rest.u64()?,
            epoch: rest.u32()?,
            floor: rest.u32()?,
        };
        let summed = bytes.get(..bytes.len() - rest.0.len())?;
        let is_sound = rest.u64()? == XxHash3_64::oneshot(summed);
        let is_usable = header.buckets > 0 && header.bucket_bytes >= 4096;
        (magic == MAGIC && format == FORMAT && is_sound && is_usable).then_some(header)
    }
}

/// An open file of buckets. Everybody may read, one thread writes.
pub(super) struct Shelf {
    file: File,
    header: Header,
    stripes: Box<[RwLock<()>]>,
}

impl Shelf {
    /// Makes a file with this header at `path`, which must not be there.
    pub(super) fn create(path: &Path, header: Header) -> Result<Self, ShelfError> {
        // It holds links, and nobody but the node's own user reads them.
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        lock(&file)?;
        let shelf = Self::of(file, header);
        shelf.file.set_len(shelf.offset(header.buckets))?;
        shelf.write_header(header)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(shelf)
    }

    /// Opens the file at `path`. One that was cut is as long again, and empty behind the cut.
    pub(super) fn open(path: &Path) -> Result<Self, ShelfError> {
        let file = File::options().read(true).write(true).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(ShelfError::NoHeader);
        }
        lock(&file)?;
        let copies = [0, HEADER_BYTES].map(|offset| {
            let mut page = [0; 64];
            let read = read_up_to(&file, &mut page, offset).unwrap_or(0);
            Header::read(&page[..read])
        });
        let header = copies.into_iter().flatten().max_by_key(|header| header.epoch);
        let shelf = Self::of(file, header.ok_or(ShelfError::NoHeader)?);
        let whole = shelf.offset(shelf.header.buckets);
        let found = shelf.file.metadata()?.len();
        if found < whole {
            tracing::warn!(path = %path.display(), found, expected = whole, "the file of links was cut; what is left of it is used");
            shelf.file.set_len(whole)?;
        }
        if copies[0] != copies[1] {
            shelf.write_header(shelf.header)?;
        }
        Ok(shelf)
    }

    fn of(file: File, header: Header) -> Self {
        let stripes = (0..STRIPES).map(|_| RwLock::default()).collect();
        Self { file, header, stripes }
    }

    pub(super) const fn header(&self) -> Header {
        self.header
    }

    /// The two buckets of which one may have a key; the same one twice where there is no other.
    pub(super) fn buckets_of(&self, key: KeyRef<'_>) -> [u64; 2] {
        let seed = self.header.seed ^ key.site.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let buckets = self.header.buckets;
        let [first, second] =
            [seed, !seed].map(|seed| XxHash3_64::oneshot_with_seed(seed, key.path.as_bytes()) % buckets);
        let second = if first == second {
            (second + 1) % buckets
        } else {
            second
        };
        [first, second]
    }

    /// What a bucket has room for, in bytes.
    pub(super) fn bucket_bytes(&self) -> usize {
        usize::try_from(self.header.bucket_bytes).unwrap_or(0)
    }

    /// The records in the bytes of a bucket.
    pub(super) const fn records<'b>(&self, bucket: u64, bytes: &'b [u8]) -> Records<'b> {
        Records::of(bytes, self.record_seed(bucket))
    }

    const fn record_seed(&self, bucket: u64) -> u64 {
        self.header
            .seed
            .wrapping_add(bucket.wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    /// Reads a bucket without ever waiting for the disk or for a writer; none when it would have to wait.
    pub(super) fn read_now(&self, bucket: u64, buffer: &mut [u8]) -> Option<()> {
        let _stripe = self.stripe(bucket).try_read().ok()?;
        let read = read_cached(&self.file, buffer, self.offset(bucket))?;
        (read == buffer.len()).then_some(())
    }

    /// Reads a bucket.
    pub(super) fn read(&self, bucket: u64) -> io::Result<Vec<u8>> {
        let _stripe = self.stripe(bucket).read().unwrap_or_else(PoisonError::into_inner);
        self.read_unlocked(bucket)
    }

    fn read_unlocked(&self, bucket: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.bucket_bytes()];
        read_up_to(&self.file, &mut bytes, self.offset(bucket))?;
        Ok(bytes)
    }

    /// Takes a bucket to change it; nobody else reads or writes it meanwhile.
    pub(super) fn take(&self, bucket: u64) -> io::Result<Taken<'_>> {
        let stripe = self.stripe(bucket).write().unwrap_or_else(PoisonError::into_inner);
        Ok(Taken {
            shelf: self,
            bucket,
            bytes: self.read_unlocked(bucket)?,
            _stripe: stripe,
        })
    }

    /// Writes what was written to the disk itself.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Changes the epochs, for good once this returns.
    pub(super) fn write_epochs(&self, epoch: u32, floor: u32) -> io::Result<()> {
        self.write_header(Header {
            epoch,
            floor,
            ..self.header
        })
    }

    /// What it takes on the disk, in bytes.
    pub(super) fn disk_bytes(&self) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        self.file.metadata().map_or(0, |metadata| metadata.blocks() * 512)
    }

    /// One copy after the other, so that one of them is whole at any moment.
    fn write_header(&self, header: Header) -> io::Result<()> {
        for offset in [0, HEADER_BYTES] {
            self.file.write_all_at(&header.to_bytes(), offset)?;
            self.file.sync_all()?;
        }
        Ok(())
    }

    fn offset(&self, bucket: u64) -> u64 {
        2 * HEADER_BYTES + bucket * u64::from(self.header.bucket_bytes)
    }

    fn stripe(&self, bucket: u64) -> &RwLock<()> {
        let index = usize::try_from(bucket % STRIPES as u64).unwrap_or(0);
        &self.stripes[index]
    }
}

/// A bucket that is being changed.
pub(super) struct Taken<'s> {
    shelf: &'s Shelf,
    bucket: u64,
    bytes: Vec<u8>,
    _stripe: RwLockWriteGuard<'s, ()>,
}

impl Taken<'_> {
    pub(super) fn records(&self) -> Records<'_> {
        self.shelf.records(self.bucket, &self.bytes)
    }

    /// Writes these records in place of those that were there, as far as there is room, and says how many bytes it wrote.
    pub(super) fn replace(&self, records: &[Record<'_>]) -> io::Result<usize> {
        let mut out = Vec::with_capacity(self.bytes.len());
        for record in records {
            if out.len() + record.bytes() <= self.bytes.len() {
                record.write(self.shelf.record_seed(self.bucket), &mut out);
            }
        }
        out.resize(self.bytes.len(), 0);
        let offset = self.shelf.offset(self.bucket);
        self.shelf.file.write_all_at(&out, offset)?;
        Ok(out.len())
    }
}

fn lock(file: &File) -> Result<(), ShelfError> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => ShelfError::InUse,
        TryLockError::Error(error) => ShelfError::File(error),
    })
}

/// Reads until the buffer is full or the file ends.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

/// Reads what the kernel holds in memory; none when it would have to ask the disk.
#[cfg(target_os = "linux")]
fn read_cached(file: &File, buffer: &mut [u8], offset: u64) -> Option<usize> {
    let mut buffers = [io::IoSliceMut::new(buffer)];
    rustix::io::preadv2(file, &mut buffers, offset, rustix::io::ReadWriteFlags::NOWAIT).ok()
}

/// Only Linux reads without waiting.
#[cfg(not(target_os = "linux"))]
fn read_cached(_: &File, _: &mut [u8], _: u64) -> Option<usize> {
    None
}
