//! How far up the addresses in an MPD lead from where they stand.
//!
//! In: for each element its base URLs and the addresses that it names, in any order. Out: how many folders there must be
//! between the asset's folder and the MPD's base for none of them to lead out of it. An address is resolved against the
//! base URLs of the representation that uses it, wherever it stands: one of a set is looked at with those of each
//! representation in it. It must not know where the folder is.
//!
//! Pathways differ in their base alone: what leads out of the folder leaves the copy on a target, and a token in the path.

use wayside_decide::{invalid::quote, stream::base::leads_up};

use super::tags::described;

/// What no folder is deep enough for: it begins at the root.
const PAST_ALL: i64 = i64::MAX / 2;

/// An address as it stands in the MPD.
#[derive(Debug, Clone, Copy)]
pub(super) struct Address<'a> {
    pub(super) line: usize,
    pub(super) element: &'a str,
    /// The attribute in which it stands; none for an element's text.
    pub(super) attribute: Option<&'a str>,
    pub(super) value: &'a str,
}

impl Address<'_> {
    /// As messages name it.
    pub(super) fn described(&self) -> String {
        match self.attribute {
            Some(attribute) => described(attribute, self.value, self.element),
            None => quote(self.value.trim()),
        }
    }
}

/// The address that leads the furthest up, and how many folders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Up<'a> {
    pub(super) folders: i64,
    pub(super) address: Address<'a>,
}

/// What an element and all in it name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reach<'a> {
    /// Of addresses that are resolved where representations are.
    named: Option<Up<'a>>,
    /// Of elements in this one that have base URLs, and of addresses that are resolved here.
    within: Option<Up<'a>>,
    /// How much deeper than this one those elements resolve, at least.
    deeper: Option<i64>,
    /// Of the element's own base URLs.
    base: Option<Up<'a>>,
    /// How much deeper they lead, at least.
    base_deeper: Option<i64>,
    has_base_elsewhere: bool,
}

impl<'a> Reach<'a> {
    /// The element names an address that is resolved where representations are.
    pub(super) fn name(&mut self, address: Address<'a>, climb: Climb) {
        let folders = climb.up;
        self.named = higher(self.named, Some(Up { folders, address }));
    }

    /// The element names one that is resolved where it stands.
    pub(super) fn name_here(&mut self, address: Address<'a>, climb: Climb) {
        let folders = climb.up;
        self.within = higher(self.within, Some(Up { folders, address }));
    }

    /// The element has a base URL; none when that leads elsewhere.
    pub(super) fn base(&mut self, address: Address<'a>, climb: Option<Climb>) {
        let Some(climb) = climb else {
            self.has_base_elsewhere = true;
            return;
        };
        let folders = climb.up;
        self.base = higher(self.base, Some(Up { folders, address }));
        self.base_deeper = least(self.base_deeper, Some(climb.deeper));
    }

    /// An element in this one has ended. Only some have base URLs; of the others this one has what they name.
    pub(super) fn end(&mut self, inner: &Self, may_have_base: bool) {
        if !may_have_base {
            self.named = higher(self.named, inner.named);
            self.within = higher(self.within, inner.within);
            return;
        }
        if inner.base.is_none() && inner.has_base_elsewhere {
            return;
        }
        let by_base = inner.base_deeper.unwrap_or_default();
        let below = inner.needed().map(|up| up.less(by_base));
        self.within = higher(self.within, higher(inner.base, below));
        self.deeper = least(
            self.deeper,
            Some(by_base.saturating_add(inner.deeper.unwrap_or_default())),
        );
    }

    /// How many folders must be above this element's base.
    pub(super) fn needed(&self) -> Option<Up<'a>> {
        let named = self.named.map(|up| up.less(self.deeper.unwrap_or_default()));
        higher(self.within, named)
    }
}

impl Up<'_> {
    /// From so much deeper. What begins at the root does so from anywhere.
    const fn less(self, folders: i64) -> Self {
        let left = match self.folders >= PAST_ALL {
            true => self.folders,
            false => self.folders.saturating_sub(folders),
        };
        Self { folders: left, ..self }
    }
}

fn higher<'a>(one: Option<Up<'a>>, other: Option<Up<'a>>) -> Option<Up<'a>> {
    match (one, other) {
        (Some(one), Some(other)) if other.folders > one.folders => Some(other),
        (one, other) => one.or(other),
    }
}

fn least(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}

/// Where a relative address leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Climb {
    /// How many folders up, at the highest.
    up: i64,
    /// How much deeper it ends, or less deep.
    deeper: i64,
}

/// Where a relative address or a template of such leads. The error is what was expected.
pub(super) fn climb(address: &str) -> Result<Climb, &'static str> {
    let address = address.trim_matches(' ');
    // Some of these a parser of URLs leaves out, and with them two dots are what they seemed not to be.
    if address.chars().any(|c| c.is_control() || c == '\\') {
        return Err("an address without control characters or backslashes");
    }
    let path = address.split(['?', '#']).next().unwrap_or_default();
    // Each by itself: plain dots are counted below.
    if path.split('/').any(leads_up) {
        return Err("no segment that is two dots once slashes are unescaped");
    }
    if path.starts_with('/') {
        return Ok(Climb {
            up: PAST_ALL,
            deeper: 0,
        });
    }
    let (mut up, mut deeper) = (0_i64, 0_i64);
    let mut segments = path.split('/').peekable();
    while let Some(segment) = segments.next() {
        match dots(segment) {
            Dots::Two => deeper -= 1,
            Dots::One => {}
            Dots::None => deeper += i64::from(segments.peek().is_some()),
        }
        up = up.max(-deeper);
    }
    Ok(Climb { up, deeper })
}

/// Whether an identifier leads nowhere by itself when it stands for a part of a path.
pub(super) fn is_plain(identifier: &str) -> bool {
    let is_plain = |segment| dots(segment) == Dots::None;
    !identifier.starts_with('/') && !identifier.contains('\\') && identifier.split('/').all(is_plain)
}

#[derive(Debug, PartialEq, Eq)]
enum Dots {
    None,
    One,
    Two,
}

/// Whether a segment is dots. One that something is put into may be, when it has nothing else.
fn dots(segment: &str) -> Dots {
    let is_unusual = |c| matches!(c, '.' | '%' | '$');
    // What is longer has more in it than dots, and is not taken apart for each `$`.
    if !segment.contains(is_unusual) || segment.len() > 64 {
        return Dots::None;
    }
    let mut rest = segment.to_ascii_lowercase().replace("%2e", ".");
    let mut is_filled = false;
    // `$Number%05d$` and its like; `$$` stands for itself.
    while let Some((before, from)) = rest.split_once('$')
        && let Some((inside, behind)) = from.split_once('$')
    {
        is_filled |= !inside.is_empty();
        let stands = if inside.is_empty() { "-" } else { "" };
        rest = format!("{before}{stands}{behind}");
    }
    match (&*rest, is_filled) {
        ("..", _) | (".", true) => Dots::Two,
        (".", false) => Dots::One,
        _ => Dots::None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Climb, PAST_ALL, climb, is_plain};

    #[test]
    fn an_address_leads_up_as_far_as_a_player_takes_it() {
        for (address, up, deeper) in [
            ("a.mp4", 0, 0),
            ("", 0, 0),
            ("a/b.mp4?x=/../..#/..", 0, 1),
            ("./a/./b/", 0, 2),
            ("../a/b.mp4", 1, 0),
            ("a/../../b/c/", 1, 1),
            ("a/..", 0, 0),
            ("..", 1, -1),
            ("../../$RepresentationID$/$Number%05d$.m4s", 2, -1),
            ("$RepresentationID$/../$Time$.m4s", 0, 0),
            ("%2e/a", 0, 0),
            ("$RepresentationID$../a", 1, -1),
            (".$RepresentationID$/a", 1, -1),
            ("$$../a", 0, 1),
            (" ../a ", 1, -1),
            ("a//../b", 0, 1),
            ("/a/b", PAST_ALL, 0),
        ] {
            assert_eq!(climb(address), Ok(Climb { up, deeper }), "{address}");
        }
        for address in ["..\\a", ".\t./a", "..%2fa", "a/%2e%2e%5Cb", "%2E./a"] {
            climb(address).expect_err(address);
        }
    }

    #[test]
    fn identifiers_that_lead_somewhere_are_told() {
        for (identifier, expected) in [
            ("v1", true),
            ("v/1.5", true),
            ("...", true),
            ("..", false),
            (".", false),
            ("a/../b", false),
            ("/a", false),
            ("%2e%2e", false),
        ] {
            assert_eq!(is_plain(identifier), expected, "{identifier}");
        }
    }
}
