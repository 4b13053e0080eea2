//! Which of a site's languages a visitor prefers.

/// The best of `offered` for an `Accept-Language` field: for each range by falling weight (RFC 9110 §12.5.4), the
/// first language that equals it or of which it is a prefix by whole subtags, then the range with its last subtag cut
/// off, and so on (RFC 4647 §3.4). `*` takes the first offered language that no range excludes. None when nothing
/// fits or the field is absent.
#[must_use]
pub fn preferred<'o>(accept: Option<&str>, offered: &'o [Box<str>]) -> Option<&'o str> {
    let mut ranges: Vec<(&str, u16)> = accept?.split(',').filter_map(range).collect();
    // Stable: among equal weights the field's order holds.
    ranges.sort_by_key(|(_, weight)| std::cmp::Reverse(*weight));
    let excluded = |language: &str| {
        ranges
            .iter()
            .any(|(range, weight)| *weight == 0 && covers(range, language))
    };
    let accepted = ranges.iter().filter(|(_, weight)| *weight > 0);
    accepted
        .clone()
        .find_map(|(range, _)| look_up(range, offered, &excluded))
}

fn look_up<'o>(range: &str, offered: &'o [Box<str>], excluded: &impl Fn(&str) -> bool) -> Option<&'o str> {
    if range == "*" {
        return offered
            .iter()
            .map(|language| &**language)
            .find(|language| !excluded(language));
    }
    let mut range = range;
    loop {
        if let Some(language) = offered
            .iter()
            .find(|language| covers(range, language) && !excluded(language))
        {
            return Some(language);
        }
        range = range.rsplit_once('-')?.0;
    }
}

/// Whether a range is the language or a prefix of it by whole subtags, letters of either case.
fn covers(range: &str, language: &str) -> bool {
    let Some((head, rest)) = language.split_at_checked(range.len()) else {
        return false;
    };
    head.eq_ignore_ascii_case(range) && (rest.is_empty() || rest.starts_with('-'))
}

/// A range and its weight in thousandths; none when the weight is malformed.
fn range(item: &str) -> Option<(&str, u16)> {
    let (range, parameters) = item.split_once(';').unwrap_or((item, ""));
    let range = range.trim();
    if range.is_empty() {
        return None;
    }
    let parameters = parameters.trim();
    if parameters.is_empty() {
        return Some((range, 1000));
    }
    let weight: f32 = parameters
        .strip_prefix("q=")
        .or_else(|| parameters.strip_prefix("Q="))?
        .trim()
        .parse()
        .ok()?;
    if !(0.0..=1.0).contains(&weight) {
        return None;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1,000 as checked above"
    )]
    Some((range, (weight * 1000.0).round() as u16))
}

#[cfg(test)]
mod tests {
    use super::preferred;

    #[test]
    fn the_best_offer_wins() {
        let offered: Vec<Box<str>> = ["en", "de", "pt-BR"].map(Into::into).to_vec();
        for (accept, expected) in [
            (Some("de-CH, en;q=0.8"), Some("de")),
            (Some("en;q=0.5, de;q=0.9"), Some("de")),
            (Some("fr, *;q=0.1"), Some("en")),
            (Some("*, en;q=0"), Some("de")),
            (Some("pt"), Some("pt-BR")),
            (Some("PT-br"), Some("pt-BR")),
            (Some("fr"), None),
            (Some("en;q=0"), None),
            (Some("en;q=x, de"), Some("de")),
            (Some("ende"), None),
            (Some(",,;"), None),
            (Some("\u{fc}n"), None),
            (None, None),
        ] {
            assert_eq!(preferred(accept, &offered), expected, "{accept:?}");
        }
    }
}
