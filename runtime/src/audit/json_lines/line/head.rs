//! The start of every line: an id and an instant. The text of a second is formatted once and then reused.

use uuid::Uuid;

use super::digits::{put, put_hyphenated, six};
use crate::clock::Timestamp;

const EMPTY: [u8; 81] =
    *br#"{"id":"00000000-0000-0000-0000-000000000000","time":"0000-00-00T00:00:00.000000Z""#;
const ID: usize = 7;
const SECOND: usize = 53;
const MICROS: usize = SECOND + 20;

pub(crate) struct Head {
    second: Option<i64>,
    text: [u8; EMPTY.len()],
}

impl Default for Head {
    fn default() -> Self {
        Self { second: None, text: EMPTY }
    }
}

impl Head {
    pub(crate) fn add(&mut self, line: &mut Vec<u8>, id: Uuid, time: Timestamp) {
        if self.is_of(time) || self.begin(time) {
            line.extend_from_slice(self.with(id, time));
            return;
        }
        let (before, _) = self.with(id, time).split_at(SECOND);
        line.extend_from_slice(before);
        line.extend_from_slice(time.to_string().as_bytes());
        line.push(b'"');
    }

    /// Whether the head was formatted for the second of this instant.
    pub(crate) fn is_of(&self, time: Timestamp) -> bool {
        self.second == Some(time.unix())
    }

    /// Writes the head for an instant of that second.
    #[inline]
    pub(crate) fn with(&mut self, id: Uuid, time: Timestamp) -> &[u8; EMPTY.len()] {
        put_hyphenated(&mut self.text, ID, id.as_u128());
        put(&mut self.text, MICROS, six(time.subsec_nanos() / 1_000));
        &self.text
    }

    /// Formats a new second; `false` if RFC 3339 cannot represent its year.
    #[cold]
    fn begin(&mut self, time: Timestamp) -> bool {
        let text = Timestamp::from_unix(time.unix()).to_string();
        let second = text.strip_suffix("000000Z").and_then(|text| text.as_bytes().first_chunk::<20>());
        // A year with a different number of digits moves the position of the second.
        let second = second.filter(|_| text.len() == MICROS - SECOND + "000000Z".len());
        self.second = second.map(|_| time.unix());
        if let Some(second) = second {
            put(&mut self.text, SECOND, *second);
        }
        self.second.is_some()
    }
}
