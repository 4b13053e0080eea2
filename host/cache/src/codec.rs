//! A link as bytes, for the tiers outside memory.
//!
//! In: a [`Link`]. Out: bytes that begin with their format's version, and back. Reading refuses whatever it does not
//! know; checksums are the business of whoever keeps the bytes. Must not know where they are kept.

use wayside_decide::{link::Link, status::RedirectStatus, target::Target};

/// The version of this format; bytes of another are not read.
pub(crate) const VERSION: u8 = 1;

const FORWARDS_QUERY: u8 = 1;
const STARTS: u8 = 1 << 1;
const EXPIRES: u8 = 1 << 2;
const HAS_FALLBACK: u8 = 1 << 3;

/// Appends the bytes of `link`; none when some part of it is longer than the format has room for, which no published
/// link is.
#[must_use]
pub(crate) fn encode(link: &Link, out: &mut Vec<u8>) -> Option<()> {
    let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
    out.push(VERSION);
    out.push(
        flag(link.forward_query, FORWARDS_QUERY)
            | flag(link.starts_at.is_some(), STARTS)
            | flag(link.expires_at.is_some(), EXPIRES)
            | flag(link.fallback.is_some(), HAS_FALLBACK),
    );
    out.extend_from_slice(&link.status.code().to_le_bytes());
    for second in [link.starts_at, link.expires_at].into_iter().flatten() {
        out.extend_from_slice(&second.to_le_bytes());
    }
    put_text(link.target.as_str(), out)?;
    if let Some(fallback) = &link.fallback {
        put_text(fallback.as_str(), out)?;
    }
    out.push(u8::try_from(link.tags.len()).ok()?);
    for tag in &link.tags {
        put_text(tag, out)?;
    }
    out.push(u8::try_from(link.attributes.len()).ok()?);
    for (name, value) in &link.attributes {
        put_text(name, out)?;
        put_text(value, out)?;
    }
    Some(())
}

/// The link that `bytes` are, when they are one of this version and nothing else.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Link> {
    let mut rest = Bytes(bytes);
    if rest.byte()? != VERSION {
        return None;
    }
    let flags = rest.byte()?;
    let has = |flag: u8| flags & flag != 0;
    let status = RedirectStatus::from_code(rest.u16()?).ok()?;
    let starts_at = if has(STARTS) { Some(rest.u64()?) } else { None };
    let expires_at = if has(EXPIRES) { Some(rest.u64()?) } else { None };
    let target = Target::parse_at_edge(rest.text()?).ok()?;
    let fallback = if has(HAS_FALLBACK) {
        Some(Target::parse_at_edge(rest.text()?).ok()?)
    } else {
        None
    };
    let tags = (0..rest.byte()?)
        .map(|_| rest.text().map(Into::into))
        .collect::<Option<_>>()?;
    let attributes = (0..rest.byte()?)
        .map(|_| Some((rest.text()?.into(), rest.text()?.into())))
        .collect::<Option<_>>()?;
    rest.0.is_empty().then_some(Link {
        target,
        status,
        forward_query: has(FORWARDS_QUERY),
        starts_at,
        expires_at,
        fallback,
        tags,
        attributes,
    })
}

fn put_text(text: &str, out: &mut Vec<u8>) -> Option<()> {
    out.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
    Some(())
}

/// Bytes still to be read. Every reading says none at their end.
pub(crate) struct Bytes<'b>(pub(crate) &'b [u8]);

impl<'b> Bytes<'b> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'b str> {
        let length = self.u16()?;
        str::from_utf8(self.take(length.into())?).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop, proptest};
    use wayside_decide::{link::Link, status::RedirectStatus, target::Target};

    use super::{decode, encode};

    fn plain() -> Link {
        Link {
            target: Target::parse("https://a.example/x?y=1").expect("target"),
            status: RedirectStatus::PermanentRedirect,
            forward_query: true,
            starts_at: Some(1),
            expires_at: Some(u64::MAX),
            fallback: Some(Target::parse("https://b.example/").expect("target")),
            tags: Box::new(["one".into(), "zwei".into()]),
            attributes: Box::new([("name".into(), "größe".into())]),
        }
    }

    fn bytes_of(link: &Link) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(link, &mut bytes).expect("it fits");
        bytes
    }

    #[test]
    fn a_link_reads_as_written_and_every_cut_of_it_is_refused() {
        let full = plain();
        let bare = Link {
            starts_at: None,
            expires_at: None,
            fallback: None,
            tags: Box::default(),
            attributes: Box::default(),
            forward_query: false,
            ..plain()
        };
        for link in [full, bare] {
            let bytes = bytes_of(&link);
            assert_eq!(decode(&bytes), Some(link));
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), None, "cut at {end}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert_eq!(decode(&longer), None, "something behind it");
        }
    }

    #[test]
    fn another_version_and_what_no_link_may_be_are_refused() {
        let mut other = bytes_of(&plain());
        other[0] += 1;
        assert_eq!(decode(&other), None);
        let mut status = bytes_of(&plain());
        status[2] = 200;
        status[3] = 0;
        assert_eq!(decode(&status), None, "200 redirects nobody");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            let mut damaged = bytes_of(&plain());
            for (at, byte) in bytes.iter().enumerate() {
                let at = (at * 7) % damaged.len();
                damaged[at] ^= byte;
            }
            let _ = decode(&damaged);
        }
    }
}
