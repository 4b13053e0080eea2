//! What players report of playback: Common Media Client Data, CTA-5004 (version 1) and CTA-5004-B (version 2).
//!
//! In: a query, headers, or the body of a batch of events, which anybody may have written. Out: what steering uses of it,
//! in bounds. It must not know whether a report is true: that is for whoever knows the session.
//!
//! Structure that is broken refuses the report. A value that is out of range, or of another type than its key has, is
//! left out, and so are keys that steering does not use.

use url::form_urlencoded;

use self::fields::{Value, fields};

mod fields;

/// Longest text of one report, in bytes.
pub const REPORT_BYTES_MAX: usize = 8 * 1024;
/// Longest body of a batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Most events of a batch.
pub const EVENTS_MAX: usize = 256;
/// Longest session identifier, in bytes: 64 characters by the standard, of which some are longer.
const ID_BYTES_MAX: usize = 256;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 4 * 1024;
/// Highest bitrate that is believed, in kbit/s.
const KBIT_S_MAX: u64 = 100_000_000;

/// The four headers of version 1 and 2, in lower case.
pub const HEADERS: [&str; 4] = ["cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"];
/// The parameter of a query.
const PARAMETER: &str = "CMCD";

/// Why a report is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its structure is broken.
    #[error("CMCD at byte {at}: found {found}, expected {expected}")]
    Malformed {
        /// Where, from 0.
        at: usize,
        /// What stands there, shortened.
        found: String,
        /// What should.
        expected: &'static str,
    },
    /// It is too long.
    #[error("CMCD: found {found} {unit}, expected {most} at most")]
    TooLong {
        /// How long it is.
        found: usize,
        /// Of what.
        unit: &'static str,
        /// How long it may be.
        most: usize,
    },
}

/// What an object is, key `ot`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectType {
    /// A playlist or manifest.
    Manifest,
    /// Media: audio, video, or both.
    Media,
    /// An initialisation segment.
    Init,
    /// Captions, a key, or something else.
    Other,
}

/// The player's state, key `sta` of version 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Before the first frame.
    Starting,
    /// Playing.
    Playing,
    /// Waiting for media.
    Rebuffering,
    /// It cannot go on.
    Fatal,
    /// Something that steering does not use.
    Other,
}

/// What a player reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The session, key `sid`.
    pub session: Option<String>,
    /// What the object is, `ot`.
    pub object: Option<ObjectType>,
    /// Encoded bitrate in kbit/s, `br`; the highest of several.
    pub bitrate_kbit_s: Option<u64>,
    /// Measured throughput in kbit/s, `mtp`; the highest of several.
    pub throughput_kbit_s: Option<u64>,
    /// Whether the buffer ran dry since the last report, `bs`.
    pub is_starved: bool,
    /// The player's state, `sta`.
    pub state: Option<State>,
    /// How many codes of errors there are, `ec`.
    pub errors: usize,
    /// What was asked for, `url`.
    pub url: Option<String>,
    /// The status of the answer, `rc`; 0 when there was none.
    pub status: Option<u16>,
}

/// What a batch holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// The reports that could be read.
    pub reports: Vec<Report>,
    /// How many could not.
    pub refused: usize,
    /// Why not the first of them.
    pub first: Option<Refused>,
}

/// Reads the report in a query; none when there is none.
///
/// # Errors
/// [`Refused`] when it is malformed or too long.
pub fn from_query(query: &str) -> Result<Option<Report>, Refused> {
    // In a query three bytes stand for one.
    bounded(query.len(), 3 * REPORT_BYTES_MAX, "bytes")?;
    let query = query.strip_prefix('?').unwrap_or(query);
    let found = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == PARAMETER);
    found.map(|(_, value)| from_text(&value)).transpose()
}

/// Reads the report in headers, of which those that are not in [`HEADERS`] are left out; none when there is none.
///
/// # Errors
/// [`Refused`] when one is malformed, or all together are too long.
pub fn from_headers<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Option<Report>, Refused> {
    let mut joined = String::new();
    for (name, value) in headers {
        if HEADERS.iter().any(|known| name.eq_ignore_ascii_case(known)) && !value.trim().is_empty() {
            bounded(joined.len() + value.len(), REPORT_BYTES_MAX, "bytes")?;
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(value);
        }
    }
    if joined.is_empty() {
        Ok(None)
    } else {
        from_text(&joined).map(Some)
    }
}

/// Reads a batch: an event a line, CTA-5004-B's event mode.
///
/// # Errors
/// [`Refused::TooLong`] when there is too much of it; events that are malformed are counted.
pub fn from_body(body: &[u8]) -> Result<Batch, Refused> {
    bounded(body.len(), BATCH_BYTES_MAX, "bytes")?;
    let mut batch = Batch::default();
    let lines = body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty());
    for (place, line) in lines.enumerate() {
        bounded(place + 1, EVENTS_MAX, "events")?;
        let text = std::str::from_utf8(line).map_err(|broken| Refused::Malformed {
            at: broken.valid_up_to(),
            found: "bytes that are no UTF-8".to_owned(),
            expected: "UTF-8",
        });
        match text.and_then(from_text) {
            Ok(report) => batch.reports.push(report),
            Err(refused) => {
                batch.refused += 1;
                batch.first.get_or_insert(refused);
            }
        }
    }
    Ok(batch)
}

fn bounded(found: usize, most: usize, unit: &'static str) -> Result<(), Refused> {
    if found > most {
        Err(Refused::TooLong { found, unit, most })
    } else {
        Ok(())
    }
}

fn from_text(text: &str) -> Result<Report, Refused> {
    bounded(text.len(), REPORT_BYTES_MAX, "bytes")?;
    let mut report = Report::default();
    for field in fields(text)? {
        report.take(field.key, &field.value);
    }
    Ok(report)
}

impl Report {
    fn take(&mut self, key: &str, value: &Value<'_>) {
        let kbit_s = || value.numbers().filter(|number| *number <= KBIT_S_MAX);
        match key {
            "sid" => self.session = value.string(ID_BYTES_MAX),
            "url" => self.url = value.string(URL_BYTES_MAX),
            "br" => self.bitrate_kbit_s = kbit_s().max(),
            "mtp" => self.throughput_kbit_s = kbit_s().max(),
            "bs" => self.is_starved = value.is_true(),
            "rc" => self.status = value.numbers().next().and_then(|status| status.try_into().ok()),
            "ec" => self.errors = value.count(),
            "ot" => self.object = value.token().map(object_type),
            "sta" => self.state = value.token().map(state),
            _ => {}
        }
    }
}

fn object_type(token: &str) -> ObjectType {
    match token {
        "m" => ObjectType::Manifest,
        "a" | "v" | "av" => ObjectType::Media,
        "i" => ObjectType::Init,
        _ => ObjectType::Other,
    }
}

fn state(token: &str) -> State {
    match token {
        "s" | "d" => State::Starting,
        "p" => State::Playing,
        "r" => State::Rebuffering,
        "f" => State::Fatal,
        _ => State::Other,
    }
}

#[cfg(test)]
mod tests;
