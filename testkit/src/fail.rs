//! The one place where the kit gives up: a fixture that cannot be made, or an assertion that does not
//! hold, fails the test that asked for it, at the line that asked.

use std::fmt;

/// Fails the test.
#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails a test by panicking")]
pub(crate) fn fail(message: impl fmt::Display) -> ! {
    panic!("{message}")
}

/// The value, or a failed test.
pub(crate) trait OrFail<T> {
    fn or_fail(self, doing: &str) -> T;
}

impl<T, E: fmt::Display> OrFail<T> for Result<T, E> {
    #[track_caller]
    fn or_fail(self, doing: &str) -> T {
        match self {
            Ok(value) => value,
            Err(error) => fail(format_args!("{doing}: {error}")),
        }
    }
}
