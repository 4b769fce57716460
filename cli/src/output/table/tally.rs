//! The line below a table.

use std::collections::BTreeMap;

use crate::output::{Stream, faint, room};

/// The numbers of rows, in all and by state, for the line below a table.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    states: BTreeMap<String, u64>,
    shortened: bool,
}

impl Tally {
    pub(crate) fn add(&mut self, state: &str) {
        *self.states.entry(state.to_owned()).or_default() += 1;
    }

    /// Notes that a table had short ids.
    pub(crate) fn shortened(&mut self, shortened: bool) {
        self.shortened |= shortened;
    }

    /// Such as `3 tokens: 2 active, 1 expired`.
    pub(crate) fn words(&self, one: &str, several: &str) -> String {
        let all: u64 = self.states.values().sum();
        let noun = if all == 1 { one } else { several };
        let mut words = match self.states.len() {
            0 => format!("no {one}"),
            1 => {
                let state = self.states.keys().next().map_or("", String::as_str);
                format!("{all} {state} {noun}").replace("  ", " ")
            }
            _ => {
                let parts: Vec<_> =
                    self.states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                format!("{all} {noun}: {}", parts.join(", "))
            }
        };
        if self.shortened {
            words.push_str("; commands accept the short ids");
        }
        words
    }

    /// Writes the line on standard error for a person; a script does not need it.
    pub(crate) fn tell(&self, one: &str, several: &str) {
        if room::columns(Stream::Result).is_some() {
            faint(&self.words(one, several));
        }
    }
}
