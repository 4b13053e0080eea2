//! The word that was probably meant.

/// How many letters a typo may get wrong: a third of the word, rounded up, so that two letters of four may be swapped.
fn tolerance(word: &str) -> usize {
    word.chars().count().div_ceil(3)
}

/// Reads an error of serde's about an unknown name (`` unknown field `lisen`, expected one of `listen`, … ``) and
/// returns the expected name closest to it, when one is close.
pub(crate) fn meant(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    // Names stand between backticks: every second piece, the first of them the one that was found.
    let mut names = message.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let closest = names.map(|name| (distance(found, name), name)).min()?;
    (closest.0 <= tolerance(found)).then_some(closest.1)
}

/// How many letters have to be changed, added or left out to make one word the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, left) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (column, right) in other.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::{distance, meant};

    #[test]
    fn the_closest_name_when_it_is_close() {
        assert_eq!(distance("lisen", "listen"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(
            meant("unknown field `lisen`, expected one of `threads`, `listen`"),
            Some("listen")
        );
        assert_eq!(meant("unknown variant `jsn`, expected `json` or `auto`"), Some("json"));
        assert_eq!(
            meant("unknown field `colour`, expected one of `threads`, `listen`"),
            None
        );
        assert_eq!(meant("invalid type: string `lisen`, expected `listen`"), None);
    }
}
