//! What the crates beside this one use, and no other program. Each of them has exactly this version of
//! `service-only`, so nothing here is stable.
//!
//! - [`WeakHandle`]: metrics read a verifier or a log only while the program uses it.
//! - [`escaped`]: names of keys are shown as the audit shows them.

use std::borrow::Cow;

use crate::denial::Backslash;
pub use crate::handle::WeakHandle;

/// `text` in printable ASCII, at most `longest` characters; a `~` at the end marks a cut.
pub fn escaped(text: &str, longest: usize) -> Cow<'_, str> {
    crate::denial::escaped(text, longest, Backslash::Doubled)
}
