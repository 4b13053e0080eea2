//! Sorting visitors into stable buckets without a cookie.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The bucket, 0 to `count` - 1, of a visitor for a salt: a keyed hash, so that nobody without the site's key can
/// tell or choose it. `visitor` is the visitor's address, or a cookie's or header's value where the binding says so.
/// A `count` of 0 is read as 1.
#[must_use]
pub fn bucket(site_key: &[u8; 32], salt: &str, visitor: &[u8], count: u32) -> u32 {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(site_key) else {
        // HMAC takes keys of every length (RFC 2104 §2).
        return 0;
    };
    // The length keeps ("ab", "c") and ("a", "bc") apart.
    mac.update(&(salt.len() as u64).to_be_bytes());
    mac.update(salt.as_bytes());
    mac.update(visitor);
    let tag = mac.finalize().into_bytes();
    let uniform = u64::from_be_bytes([tag[0], tag[1], tag[2], tag[3], tag[4], tag[5], tag[6], tag[7]]);
    // The high half of the product is uniform over the buckets to within count / 2^64.
    let scaled = (u128::from(uniform) * u128::from(count.max(1))) >> 64;
    u32::try_from(scaled).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    const KEY: [u8; 32] = [7; 32];

    #[test]
    fn buckets_are_stable_even_and_independent() {
        let mut counts = [0_u32; 10];
        let mut agreements = 0;
        for visitor in 0..10_000_u32 {
            let visitor = visitor.to_be_bytes();
            let first = bucket(&KEY, "exp-1", &visitor, 10);
            assert_eq!(first, bucket(&KEY, "exp-1", &visitor, 10));
            counts[first as usize] += 1;
            agreements += u32::from(first == bucket(&KEY, "exp-2", &visitor, 10));
        }
        // Five standard deviations around 1,000 of 10,000.
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert!((850..1150).contains(&agreements), "{agreements}");
    }

    /// Reckoned by another implementation: whoever is in a bucket stays there, whatever computes it.
    #[test]
    fn nobody_changes_buckets_with_a_release() {
        for (visitor, expected) in [(&b"192.0.2.1"[..], 472_561), (b"a cookie", 869_727), (b"", 276_047)] {
            assert_eq!(bucket(&KEY, "exp-1", visitor, 1_000_000), expected);
        }
    }

    #[test]
    fn key_salt_and_visitor_all_count() {
        let base = bucket(&KEY, "ab", b"c", u32::MAX);
        assert_ne!(base, bucket(&[8; 32], "ab", b"c", u32::MAX));
        assert_ne!(base, bucket(&KEY, "a", b"bc", u32::MAX));
        assert_eq!(bucket(&KEY, "ab", b"c", 1), 0);
        assert_eq!(bucket(&KEY, "ab", b"c", 0), 0);
    }
}
