//! The known word that an unknown one resembles.

use crate::rules::Key;

/// The known key that starts with the written one, or differs from it in one or two characters.
pub(crate) fn similar_key(allowed: &[Key], written: &str) -> Option<Key> {
    allowed
        .iter()
        .copied()
        .map(|key| (edit_distance(written, key.as_str()), key))
        .filter(|(distance, key)| *distance <= 2 || (written.len() >= 3 && key.as_str().starts_with(written)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// The known text that differs from the written one in at most two characters, and has more in common with it.
pub(crate) fn similar_text(known: &[&'static str], written: &str) -> Option<&'static str> {
    known
        .iter()
        .copied()
        .map(|text| (edit_distance(written, text), text))
        .filter(|(distance, text)| *distance <= 2 && *distance < text.len() - 1)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, text)| text)
}

/// Levenshtein's distance, in one row.
pub(crate) fn edit_distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (above, l) in left.chars().enumerate() {
        let mut diagonal = above;
        let mut before = above + 1;
        for (cell, r) in row.iter_mut().skip(1).zip(right.chars()) {
            let substituted = diagonal + usize::from(l != r);
            diagonal = *cell;
            *cell = substituted.min(*cell + 1).min(before + 1);
            before = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = above + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_text_differs_in_at_most_two_characters_and_less_than_it_has() {
        let known = &["mtls", "any", "ab"][..];
        for (written, similar) in [
            ("mtls", Some("mtls")),
            ("mlts", Some("mtls")),
            ("tls", Some("mtls")),
            ("mt", Some("mtls")),
            ("amy", Some("any")),
            ("axx", None),
            ("xyls_", None),
            ("ax", None),
            ("cd", None),
        ] {
            assert_eq!(similar_text(known, written), similar, "{written}");
        }
    }

    #[test]
    fn the_distance_is_that_of_its_definition() {
        fn defined(left: &[char], right: &[char]) -> usize {
            match (left, right) {
                ([], rest) | (rest, []) => rest.len(),
                ([l, left @ ..], [r, right @ ..]) => {
                    let substituted = defined(left, right) + usize::from(l != r);
                    let removed = 1 + defined(left, &[&[*r], right].concat());
                    substituted.min(removed).min(1 + defined(&[&[*l], left].concat(), right))
                }
            }
        }
        let mut texts = vec![String::new()];
        for length in 0..4 {
            let longer: Vec<_> = texts.iter().filter(|text| text.len() == length).cloned().collect();
            texts.extend(
                longer.iter().flat_map(|text| ["a", "b", "c"].map(|letter| format!("{text}{letter}"))),
            );
        }
        for left in &texts {
            for right in texts.iter().filter(|right| right.len() <= 3) {
                let [l, r] = [left, right].map(|text| text.chars().collect::<Vec<_>>());
                assert_eq!(edit_distance(left, right), defined(&l, &r), "{left} {right}");
            }
        }
    }
}
