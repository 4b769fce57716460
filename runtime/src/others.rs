//! A bound on the number of names with a count or a label of their own.

/// The shared name of all names beyond a bound. No service and no key has this name.
pub const OTHERS: &str = "(others)";

/// The name to count `name` under: its own if it is one of the `known` names or they are fewer than `limit`, otherwise
/// [`OTHERS`]. The caller adds a new name to those that are known.
pub fn bounded(name: &str, is_known: bool, known: usize, limit: usize) -> &str {
    if is_known || known < limit { name } else { OTHERS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_and_the_first_ones_keep_their_name() {
        assert_eq!(bounded("a", false, 0, 1), "a");
        assert_eq!(bounded("a", true, 1, 1), "a");
        assert_eq!(bounded("b", false, 1, 1), OTHERS);
    }
}
