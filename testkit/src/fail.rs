//! Fails a test if a fixture cannot be created or an assertion does not hold. The panic names the line in the
//! test that called the kit.

use std::fmt;

/// Fails the test.
#[track_caller]
#[expect(clippy::panic, reason = "a test kit fails a test by panicking")]
pub(crate) fn fail(message: impl fmt::Display) -> ! {
    panic!("{message}")
}

/// Returns the value, or fails the test.
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

impl<T> OrFail<T> for Option<T> {
    #[track_caller]
    fn or_fail(self, doing: &str) -> T {
        self.unwrap_or_else(|| fail(doing))
    }
}
