//! What the crates beside this one use, and no other program: `service-only-client`, `service-only-export`,
//! `service-only-otel`, `service-only-store`. Each has exactly this version of `service-only`, so nothing here is
//! stable.
//!
//! - [`WatchedFile`] and its companions: a token file is watched like a key file.
//! - [`WeakHandle`]: metrics read a verifier or a log only while the program uses it.
//! - [`decode_text`], [`unverified_payload`], [`escaped`]: what the guard does with text, done the same way.
//! - [`FleetMemory`]: what a reader of a database does to revocations in memory.
//! - [`Stopwatch`]: only `clock.rs` reads the time.

use std::borrow::Cow;

pub use crate::{
    clock::Stopwatch,
    handle::WeakHandle,
    text::decode as decode_text,
    watched_file::{
        Contents, Hurry, MAX_READ, MIN_POLL_INTERVAL, REREAD_INTERVAL, Round, WatchedFile, read_regular,
    },
};
use crate::{
    denial::Backslash,
    revocation::MemoryRevocations,
    token::{HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};

/// The payload of a text that has the form of a token. Its signature is not checked.
pub fn unverified_payload(token: &str) -> Option<Vec<u8>> {
    let segments = Segments::split(token).ok()?;
    segments.header(&mut HeaderRoom::new()).ok()?;
    segments.signature(&mut SignatureRoom::new()).ok()?;
    segments.payload(&mut PayloadRoom::new()).ok().map(<[u8]>::to_vec)
}

/// `text` in printable ASCII, at most `longest` characters; a `~` at the end marks a cut.
pub fn escaped(text: &str, longest: usize) -> Cow<'_, str> {
    crate::denial::escaped(text, longest, Backslash::Doubled)
}

/// What a reader of a database does to the revocations that it holds in memory. No other program may: a wrong
/// order of calls lets a revoked token in.
pub trait FleetMemory {
    /// Replaces the revocation of a service by one that reaches less far, in one step.
    fn shorten_service(&self, issuer: &str, service: &str, issued_by: i64);

    /// Whether a token expired so long ago that its revocation need not be held. The memory then knows that one is
    /// missing.
    fn pass_over(&self, expires_at: i64) -> bool;

    /// Whether the clock went back to a time at which a missing revocation may matter. Returns `true` once; the
    /// reader must then read all revocations again.
    fn remember(&self) -> bool;
}

impl FleetMemory for MemoryRevocations {
    fn shorten_service(&self, issuer: &str, service: &str, issued_by: i64) {
        self.shorten_service(issuer, service, issued_by);
    }

    fn pass_over(&self, expires_at: i64) -> bool {
        self.pass_over(expires_at)
    }

    fn remember(&self) -> bool {
        self.remember()
    }
}
