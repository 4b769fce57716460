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
