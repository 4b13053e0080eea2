//! The variants of a multivariant playlist, §4.4.6.2, as renditions.

use super::{
    attributes::{Attribute, attributes},
    lines::{self, Kind},
};
use crate::{
    rendition::{RENDITIONS_MAX, Rendition, told},
    splice::Error,
};

/// The renditions of a multivariant playlist, as they stand there.
///
/// # Errors
/// [`Error`] when it is no playlist.
pub fn read(playlist: &[u8]) -> Result<Vec<Rendition>, Error> {
    let (_, lines) = lines::playlist(playlist)?;
    let variants = lines.filter_map(|line| match line.kind() {
        Kind::Tag("#EXT-X-STREAM-INF", Some(value)) => rendition(&attributes(value).ok()?),
        _ => None,
    });
    Ok(variants.take(RENDITIONS_MAX).collect())
}

fn rendition(attributes: &[Attribute<'_>]) -> Option<Rendition> {
    let find = |name: &str| attributes.iter().find(|attribute| attribute.name == name);
    let text = |name: &str| find(name)?.text().and_then(told);
    let resolution = |attribute: &Attribute<'_>| {
        let (width, height) = attribute.value.split_once('x')?;
        Some((width.parse().ok()?, height.parse().ok()?))
    };
    Some(Rendition {
        name: text("NAME").or_else(|| text("STABLE-VARIANT-ID")),
        bandwidth: find("BANDWIDTH")?.value.parse().ok()?,
        resolution: find("RESOLUTION").and_then(resolution),
        frame_rate: find("FRAME-RATE").and_then(|attribute| told(attribute.value)),
        codecs: text("CODECS"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::read;
    use crate::rendition::{RENDITIONS_MAX, Rendition, TEXT_BYTES_MAX};

    #[test]
    fn variants_are_read_and_odd_ones_left_out() {
        let playlist = "#EXTM3U\r\n#EXT-X-STREAM-INF:BANDWIDTH=1280000,RESOLUTION=1280x720,FRAME-RATE=29.970,\
            CODECS=\"avc1.4d401f,mp4a.40.2\",NAME=\"720p\"\r\nhi.m3u8\r\n#EXT-X-STREAM-INF:RESOLUTION=1x1\r\nno.m3u8\r\n\
            #EXT-X-STREAM-INF:BANDWIDTH=64000,RESOLUTION=odd,STABLE-VARIANT-ID=\"a\"\r\nlo.m3u8\r\n";
        let read = read(playlist.as_bytes()).expect("a playlist");
        let expected = [
            Rendition {
                name: Some("720p".into()),
                bandwidth: 1_280_000,
                resolution: Some((1280, 720)),
                frame_rate: Some("29.970".into()),
                codecs: Some("avc1.4d401f,mp4a.40.2".into()),
            },
            Rendition {
                name: Some("a".into()),
                bandwidth: 64_000,
                ..Rendition::default()
            },
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn what_is_overlong_is_left_out() {
        for (bytes, is_told) in [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX + 1, false)] {
            let (text, number) = ("x".repeat(bytes), "9".repeat(bytes));
            let playlist = format!(
                "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,NAME=\"{text}\",CODECS=\"{text}\",FRAME-RATE={number}\na\n"
            );
            let read = read(playlist.as_bytes()).expect("a playlist");
            let [rendition] = &read[..] else { panic!("{read:?}") };
            let texts = [&rendition.name, &rendition.codecs, &rendition.frame_rate];
            assert!(texts.iter().all(|text| text.is_some() == is_told), "{bytes} bytes");
            let texts = if is_told { 3 * bytes } else { 0 };
            assert_eq!(rendition.weight(), size_of::<Rendition>() + texts);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0_usize..100) {
            let list = "#EXT-X-STREAM-INF:BANDWIDTH=1\na\n".repeat(count);
            for playlist in [bytes.clone(), [b"#EXTM3U\n#EXT-X-STREAM-INF:", &*bytes].concat(), [b"#EXTM3U\n", list.as_bytes()].concat()] {
                if let Ok(read) = read(&playlist) {
                    prop_assert!(read.len() <= RENDITIONS_MAX);
                }
            }
        }
    }
}
