//! As much of CBOR (RFC 8949) as a token needs: definite lengths, shortest heads.
//!
//! In: values, in the order in which they are to stand. Out: bytes. It must not know what they mean.

/// Major types, RFC 8949 §3.1.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// A writer.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn unsigned(mut self, value: u64) -> Self {
        self.head(UNSIGNED, value);
        self
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// The head of an array; its items follow.
    pub(super) fn array(mut self, items: u64) -> Self {
        self.head(ARRAY, items);
        self
    }

    /// The head of a map; its keys and values follow in turn.
    pub(super) fn map(mut self, pairs: u64) -> Self {
        self.head(MAP, pairs);
        self
    }

    pub(super) fn tag(mut self, tag: u64) -> Self {
        self.head(TAG, tag);
        self
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// The shortest head that holds the argument, RFC 8949 §4.2.1.
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        match argument {
            0..=23 => self.0.push(major | argument as u8),
            24..=0xff => self.0.extend([major | 24, argument as u8]),
            0x100..=0xffff => {
                self.0.push(major | 25);
                self.0.extend((argument as u16).to_be_bytes());
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 26);
                self.0.extend((argument as u32).to_be_bytes());
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend(argument.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;
    use crate::sign::mac::hex;

    #[test]
    fn values_are_written_as_the_standard_s_examples() {
        // RFC 8949, appendix A.
        for (value, expected) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (100, "1864"),
            (1_000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (u64::MAX, "1bffffffffffffffff"),
        ] {
            assert_eq!(hex(&Writer::default().unsigned(value).finish()), expected);
        }
        assert_eq!(
            hex(&Writer::default().tag(1).unsigned(1_363_896_240).finish()),
            "c11a514b67b0"
        );
        assert_eq!(hex(&Writer::default().bytes(&[1, 2, 3, 4]).finish()), "4401020304");
        assert_eq!(hex(&Writer::default().text("\u{6c34}").finish()), "63e6b0b4");
        let nested = Writer::default()
            .map(2)
            .text("a")
            .unsigned(1)
            .text("b")
            .array(2)
            .unsigned(2)
            .unsigned(3);
        assert_eq!(hex(&nested.finish()), "a26161016162820203");
    }
}
