//! A hash that is the same on every machine and in every version, unlike the standard library's: nodes agree by it.

/// FNV-1a over 64 bits. Its low bits differ little for keys that differ little.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let add = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3);
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, add)
}

#[cfg(test)]
mod tests {
    use super::fnv1a;

    #[test]
    fn it_gives_the_published_hashes() {
        // From the appendix of draft-eastlake-fnv.
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
