//! Tests of the feature `experimental-wimse`: requests to guarded handlers, the hostile requests of the test kit, and a
//! comparison with the crates `wimsey-wit` and `wimsey-wpt`.
#![cfg(test)]

mod differential;
mod guard;
mod hostile;

/// The URL of the service under test.
const URL: &str = "https://orders.internal";
