//! The representations of an MPD as renditions: those with pictures, or where there are none all.

use quick_xml::{
    Reader,
    escape::unescape,
    events::{BytesStart, Event},
};

use crate::rendition::{RENDITIONS_MAX, Rendition, told};

/// Elements and text that are looked at, at most: an MPD may list a million segments.
const EVENTS_MAX: usize = 200_000;

/// The renditions of the first period of an MPD, as they stand there; none of what is no MPD.
#[must_use]
pub fn read(mpd: &[u8]) -> Vec<Rendition> {
    let Ok(text) = std::str::from_utf8(mpd) else {
        return Vec::new();
    };
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let (mut set, mut found) = (Described::default(), Vec::new());
    for _ in 0..EVENTS_MAX {
        match reader.read_event() {
            Ok(Event::Start(tag) | Event::Empty(tag)) => match tag.local_name().as_ref() {
                "AdaptationSet" => set = Described::default().with(&tag),
                "Representation" if found.len() < RENDITIONS_MAX => {
                    let described = set.clone().with(&tag);
                    found.extend(described.rendition.bandwidth.gt(&0).then_some(described));
                }
                _ => {}
            },
            Ok(Event::End(tag)) if tag.local_name().as_ref() == "Period" => break,
            Ok(Event::Eof) | Err(_) => break,
            Ok(_) => {}
        }
    }
    let has_pictures = found.iter().any(|described| described.is_video);
    let shown = found.into_iter().filter(|described| described.is_video == has_pictures);
    shown.map(|described| described.rendition).collect()
}

/// What a set and then a representation say: the inner one counts.
#[derive(Debug, Clone, Default)]
struct Described {
    rendition: Rendition,
    is_video: bool,
}

impl Described {
    fn with(mut self, tag: &BytesStart<'_>) -> Self {
        let is_set = tag.local_name().as_ref() == "AdaptationSet";
        let (mut width, mut height) = (None, None);
        for attribute in tag.attributes().with_checks(false).flatten() {
            let Ok(value) = unescape(&attribute.value) else {
                continue;
            };
            let rendition = &mut self.rendition;
            match attribute.key.0 {
                "id" if !is_set => rendition.name = told(&value),
                "bandwidth" if !is_set => rendition.bandwidth = value.parse().unwrap_or_default(),
                "codecs" => rendition.codecs = told(&value),
                "frameRate" => rendition.frame_rate = told(&value),
                "width" => width = value.parse().ok(),
                "height" => height = value.parse().ok(),
                "mimeType" | "contentType" => self.is_video = value.starts_with("video"),
                _ => {}
            }
        }
        if let Some(resolution) = width.zip(height) {
            self.rendition.resolution = Some(resolution);
            self.is_video = true;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::read;
    use crate::rendition::{RENDITIONS_MAX, Rendition, TEXT_BYTES_MAX};

    #[test]
    fn representations_inherit_from_their_set() {
        let mpd = r#"<MPD><Period><AdaptationSet mimeType="audio/mp4"><Representation id="a" bandwidth="9"/></AdaptationSet>
            <AdaptationSet mimeType="video/mp4" codecs="avc1" frameRate="25"><Representation id="v&amp;1" bandwidth="100" width="64" height="36">
            <BaseURL>x</BaseURL></Representation><Representation id="v2" bandwidth="200" codecs="hvc1"/><Representation id="none"/>
            </AdaptationSet></Period><Period><AdaptationSet><Representation id="later" bandwidth="1" width="1" height="1"/></AdaptationSet></Period></MPD>"#;
        let expected = [
            Rendition {
                name: Some("v&1".into()),
                bandwidth: 100,
                resolution: Some((64, 36)),
                frame_rate: Some("25".into()),
                codecs: Some("avc1".into()),
            },
            Rendition {
                name: Some("v2".into()),
                bandwidth: 200,
                frame_rate: Some("25".into()),
                codecs: Some("hvc1".into()),
                ..Rendition::default()
            },
        ];
        assert_eq!(read(mpd.as_bytes()), expected);
        let audio = r#"<MPD><Period><AdaptationSet contentType="audio"><Representation bandwidth="9"/></AdaptationSet></Period></MPD>"#;
        assert_eq!(read(audio.as_bytes()).len(), 1);
    }

    #[test]
    fn what_is_overlong_is_left_out() {
        for (bytes, is_told) in [(TEXT_BYTES_MAX, true), (TEXT_BYTES_MAX + 1, false)] {
            let text = "x".repeat(bytes);
            let mpd = format!(
                r#"<MPD><Period><AdaptationSet codecs="{text}"><Representation id="{text}" frameRate="{text}" bandwidth="9"/>"#
            );
            let read = read(mpd.as_bytes());
            let [rendition] = &read[..] else { panic!("{read:?}") };
            let texts = [&rendition.name, &rendition.codecs, &rendition.frame_rate];
            assert!(texts.iter().all(|text| text.is_some() == is_told), "{bytes} bytes");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in proptest::collection::vec(any::<u8>(), 0..200), count in 0_usize..100) {
            let many = r#"<Representation bandwidth="1" width="1" height="1"/>"#.repeat(count);
            for mpd in [bytes.clone(), [b"<MPD><AdaptationSet ", &*bytes, b">"].concat(), many.into_bytes()] {
                prop_assert!(read(&mpd).len() <= RENDITIONS_MAX);
            }
        }
    }
}
