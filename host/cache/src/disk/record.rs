//! A bucket's records: what one link is on disk.
//!
//! A bucket is records one behind the other, then zeros. Each record carries the checksum of itself, which covers the
//! number of its bucket, too: bytes that were changed, torn or written to the wrong place are no record. What stands
//! behind them in the bucket cannot be told apart any more and is lost with them.

use twox_hash::XxHash3_64;
use wayside_decide::site::SiteId;

use crate::{codec::Bytes, key::KeyRef};

/// What stands before a record's path.
const HEAD_BYTES: usize = 4 + 8 + 4 + 8 + 8 + 2 + 1 + 2;
/// The length and the checksum, which the checksum does not cover.
const UNSUMMED_BYTES: usize = 4 + 8;

/// What a record says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The link's bytes are its value.
    Link,
    /// The link is in the shelf for large ones.
    Elsewhere,
}

/// One record, borrowed from its bucket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'b> {
    pub(super) site: SiteId,
    pub(super) path: &'b [u8],
    pub(super) kind: Kind,
    /// The resync after which it was loaded or confirmed.
    pub(super) epoch: u32,
    /// When it was loaded, in the node's seconds.
    pub(super) loaded_s: u64,
    /// How often it was asked for, coarsely.
    pub(super) hits: u16,
    pub(super) value: &'b [u8],
}

impl Record<'_> {
    pub(super) fn is_of(&self, key: KeyRef<'_>) -> bool {
        self.site == key.site && self.path == key.path.as_bytes()
    }

    /// How many bytes of a bucket it takes.
    pub(super) const fn bytes(&self) -> usize {
        HEAD_BYTES + self.path.len() + self.value.len()
    }

    /// Appends the record. The caller has made sure that its bucket has room, so that every length fits its field.
    pub(super) fn write(&self, seed: u64, out: &mut Vec<u8>) {
        let start = out.len();
        let length = u32::try_from(self.bytes()).unwrap_or(u32::MAX);
        let path_length = u16::try_from(self.path.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.loaded_s.to_le_bytes());
        out.extend_from_slice(&self.site.0.to_le_bytes());
        out.extend_from_slice(&self.hits.to_le_bytes());
        out.push(match self.kind {
            Kind::Link => 1,
            Kind::Elsewhere => 2,
        });
        out.extend_from_slice(&path_length.to_le_bytes());
        out.extend_from_slice(self.path);
        out.extend_from_slice(self.value);
        let sum = XxHash3_64::oneshot_with_seed(seed, &out[start + UNSUMMED_BYTES..]);
        out[start + 4..start + UNSUMMED_BYTES].copy_from_slice(&sum.to_le_bytes());
    }
}

/// The records of a bucket, in order.
pub(super) struct Records<'b> {
    rest: &'b [u8],
    seed: u64,
    /// Whether something stood there that is no record.
    pub(super) is_damaged: bool,
}

impl<'b> Records<'b> {
    /// Reads `bucket`, whose records were written with `seed`.
    pub(super) const fn of(bucket: &'b [u8], seed: u64) -> Self {
        Self {
            rest: bucket,
            seed,
            is_damaged: false,
        }
    }

    fn read(&mut self, length: usize) -> Option<Record<'b>> {
        let mut bytes = Bytes(self.rest.get(4..length)?);
        let sum = bytes.u64()?;
        if sum != XxHash3_64::oneshot_with_seed(self.seed, bytes.0) {
            return None;
        }
        let (epoch, loaded_s, site, hits) = (bytes.u32()?, bytes.u64()?, bytes.u64()?, bytes.u16()?);
        let kind = match bytes.byte()? {
            1 => Kind::Link,
            2 => Kind::Elsewhere,
            _ => return None,
        };
        let path_length = bytes.u16()?;
        let path = bytes.take(path_length.into())?;
        Some(Record {
            site: SiteId(site),
            path,
            kind,
            epoch,
            loaded_s,
            hits,
            value: bytes.0,
        })
    }
}

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    fn next(&mut self) -> Option<Record<'b>> {
        let length = Bytes(self.rest).u32()?;
        if length == 0 {
            return None;
        }
        let length = usize::try_from(length).ok()?;
        let record = self.read(length);
        if record.is_some() {
            self.rest = &self.rest[length..];
        } else {
            self.is_damaged = true;
            self.rest = &[];
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use wayside_decide::site::SiteId;

    use super::{Kind, Record, Records};

    #[test]
    fn every_flipped_bit_costs_records_and_never_changes_one() {
        let record = |site, path: &'static [u8]| Record {
            site: SiteId(site),
            path,
            kind: Kind::Link,
            epoch: 3,
            loaded_s: 1_700_000_000,
            hits: 9,
            value: b"https://a.example/",
        };
        let written = [record(1, b"/a"), record(2, b"/b"), record(1, b"/c")];
        let mut bucket = Vec::new();
        for record in &written {
            record.write(77, &mut bucket);
        }
        assert_eq!(bucket.len(), written.iter().map(Record::bytes).sum::<usize>());
        bucket.resize(256, 0);
        let shown = |records: Records<'_>| -> Vec<String> { records.map(|record| format!("{record:?}")).collect() };
        let whole = shown(Records::of(&bucket, 77));
        assert_eq!(whole.len(), 3);
        assert!(shown(Records::of(&bucket, 78)).is_empty(), "of another bucket");
        for bit in 0..bucket.len() * 8 {
            let mut damaged = bucket.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let left = shown(Records::of(&damaged, 77));
            assert_eq!(left, whole[..left.len()], "bit {bit}");
        }
    }
}
