//! A clock that a test moves manually, so that no test has to sleep.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use service_only::clock::{Clock, Timestamp};

/// A clock that changes only when the test moves it. Clones share one time.
///
/// It starts at [`ManualClock::START`], the same instant in every test, so that snapshots of times
/// are stable.
///
/// ```
/// use service_only_testkit::TestAuthority;
/// use std::time::Duration;
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
/// let token = authority.service("orders").expires_in(Duration::from_secs(60)).token();
///
/// assert!(verifier.verify(&token).is_ok());
/// authority.clock().advance(Duration::from_secs(60));
/// assert_eq!(verifier.verify(&token).unwrap_err().code().as_str(), "expired");
/// ```
///
/// A service that uses the system clock needs tokens with the current time:
///
/// ```
/// use service_only::clock::{Clock, SystemClock};
/// use service_only_testkit::TestAuthority;
///
/// let authority = TestAuthority::new();
/// authority.clock().set(SystemClock.now());
/// let service = authority.verifier_builder().clock(SystemClock).build().unwrap();
/// assert!(service.verify(&authority.service("orders").token()).is_ok());
/// ```
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    /// 2026-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_unix(1_767_225_600);

    /// Creates a clock that shows [`ManualClock::START`].
    pub fn new() -> Self {
        Self::at(Self::START)
    }

    /// Creates a clock that shows `time`.
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(time)))
    }

    /// The time that the clock shows.
    pub fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *time = time.plus(duration);
    }

    /// Sets the clock, also backwards.
    pub fn set(&self, time: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.now()
    }
}
