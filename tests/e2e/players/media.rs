//! Test media: a test picture and a tone in three sizes, made by ffmpeg once into the target folder, and the same as a
//! live stream that shows a segment more every two seconds.
//!
//! The HLS playlists and the MPD name the same fragmented MP4 segments, so that what a target serves tells nothing of
//! who asked but the asset's folder.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

/// How long the media plays.
const LENGTH_S: u64 = 240;

/// How long a segment plays.
pub(crate) const SEGMENT_S: u64 = 2;

/// How many segments of a live stream can be asked for.
const WINDOW: u64 = 10;

/// How long ago a live stream began when it is first asked for.
const BEGUN_BEFORE: Duration = Duration::from_secs(20);

const FRAMES_A_SECOND: u64 = 25;
const PICTURE: &str = "testsrc2=size=320x180:rate=25";
const TONE: &str = "sine=frequency=440:sample_rate=48000";

/// Each size with its bits a second.
const RENDITIONS: [(&str, &str); 3] = [("160:90", "80k"), ("256:144", "160k"), ("320:180", "320k")];

/// The folder with `main.m3u8`, `main.mpd`, their segments, and `whole.mp4` with all in one file.
///
/// It is named by what made it, and made aside: tests that come at once make the same, and one stays.
pub(crate) fn folder() -> PathBuf {
    let arguments = arguments();
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("media-{:016x}", checksum(&arguments)));
    if made.is_dir() {
        return made;
    }
    let aside = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("folder");
    let output = Command::new("ffmpeg")
        .current_dir(aside.path())
        .args(&arguments)
        .output()
        .expect("run ffmpeg, which tests/setup installs");
    assert!(
        output.status.success(),
        "ffmpeg {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    if fs::rename(aside.path(), &made).is_err() {
        assert!(made.is_dir(), "{} is neither made nor there", made.display());
    }
    made
}

/// FNV-1a: the same in every build.
fn checksum(arguments: &[String]) -> u64 {
    arguments.join("\0").bytes().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn arguments() -> Vec<String> {
    let mut line =
        format!("-hide_banner -loglevel warning -nostdin -f lavfi -i {PICTURE} -f lavfi -i {TONE} -t {LENGTH_S}");
    for (index, (size, rate)) in RENDITIONS.iter().enumerate() {
        write!(
            line,
            " -map 0:v -filter:v:{index} scale={size} -b:v:{index} {rate} -maxrate:v:{index} {rate} -bufsize:v:{index} {rate}"
        )
        .expect("write");
    }
    // A key frame where a segment begins, and nowhere else.
    write!(
        line,
        " -map 1:a -c:v libx264 -profile:v baseline -preset ultrafast -pix_fmt yuv420p -g {frames} -keyint_min {frames} \
         -sc_threshold 0 -c:a aac -b:a 48k -f dash -seg_duration {SEGMENT_S} -use_template 1 -use_timeline 0 \
         -hls_playlist 1 -hls_master_name main.m3u8 -init_seg_name $RepresentationID$-init.m4s \
         -media_seg_name $RepresentationID$-$Number%03d$.m4s -adaptation_sets",
        frames = SEGMENT_S * FRAMES_A_SECOND,
    )
    .expect("write");
    let mut arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    arguments.extend(["id=0,streams=v id=1,streams=a", "main.mpd"].map(str::to_owned));
    let whole = format!(
        "-map 0:v -map 1:a -t {LENGTH_S} -c:v libx264 -profile:v baseline -preset ultrafast -pix_fmt yuv420p -g 25 \
         -b:v 160k -c:a aac -b:a 48k -movflags +faststart whole.mp4"
    );
    arguments.extend(whole.split_whitespace().map(str::to_owned));
    arguments
}

/// A live stream over a folder of media: what of it there is, by when it began.
#[derive(Clone, Copy)]
pub(crate) struct Live {
    began: SystemTime,
}

impl Live {
    /// One that began [`BEGUN_BEFORE`] ago.
    pub(crate) fn begin() -> Self {
        Self {
            began: SystemTime::now() - BEGUN_BEFORE,
        }
    }

    /// `None` for a segment that is not there yet; a playlist as it is now; any other file as it is.
    pub(crate) fn show(self, file: &str, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let there = self.began.elapsed().unwrap_or_default().as_secs() / SEGMENT_S;
        match file.rsplit_once('.') {
            Some((_, "mpd")) => Some(self.dynamic(&String::from_utf8_lossy(&bytes)).into_bytes()),
            Some((name, "m3u8")) if name != "main" => {
                Some(sliding(&String::from_utf8_lossy(&bytes), there).into_bytes())
            }
            Some((name, "m4s")) => {
                let number = name.rsplit_once('-').and_then(|(_, number)| number.parse::<u64>().ok());
                number.is_none_or(|number| number <= there).then_some(bytes)
            }
            _ => Some(bytes),
        }
    }

    /// The MPD of media on demand as one of a live stream.
    fn dynamic(self, mpd: &str) -> String {
        let began = jiff::Timestamp::try_from(self.began).expect("an instant");
        let length = format!("mediaPresentationDuration=\"PT{}M{}.0S\"", LENGTH_S / 60, LENGTH_S % 60);
        assert!(mpd.contains(&length), "expected {length}, found {mpd}");
        mpd.replace("type=\"static\"", "type=\"dynamic\"").replace(
            &length,
            &format!(
                "availabilityStartTime=\"{began:.3}\" minimumUpdatePeriod=\"PT2S\" \
                 timeShiftBufferDepth=\"PT{}S\" suggestedPresentationDelay=\"PT8S\"",
                WINDOW * SEGMENT_S
            ),
        )
    }
}

/// The playlist of media on demand as one that ends with the segment `there`, and does not say that it ends.
fn sliding(playlist: &str, there: u64) -> String {
    let oldest = (there + 1).saturating_sub(WINDOW).max(1);
    let mut number = 0;
    let mut lines = Vec::new();
    let mut of_segment = Vec::new();
    for line in playlist.lines() {
        match line {
            // The instants at which ffmpeg made it.
            _ if line.starts_with("#EXT-X-PROGRAM-DATE-TIME") => {}
            "#EXT-X-ENDLIST" => {}
            _ if line.starts_with("#EXT-X-MEDIA-SEQUENCE") => lines.push(format!("#EXT-X-MEDIA-SEQUENCE:{oldest}")),
            _ if line.starts_with("#EXTINF") => of_segment.push(line.to_owned()),
            _ if line.starts_with('#') => lines.push(line.to_owned()),
            _ => {
                number += 1;
                of_segment.push(line.to_owned());
                if (oldest..=there).contains(&number) {
                    lines.append(&mut of_segment);
                }
                of_segment.clear();
            }
        }
    }
    lines.join("\n") + "\n"
}
