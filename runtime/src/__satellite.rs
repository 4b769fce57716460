//! Items for the companion crates only: `service-only-client`, `service-only-export`,
//! `service-only-otel`, `service-only-store`,
//! `service-only-tls`. Each depends on exactly this version of `service-only`, so nothing here
//! is stable.
//!
//! - [`WatchedFile`] and its companions: watch a token file like a key file.
//! - [`WeakHandle`]: lets metrics read a verifier or a log only while the program uses it.
//! - [`decode_text`], [`unverified_payload`], [`is_cut`], [`escaped`]: handle text in the same way as the guard.
//! - [`bounded`], [`OTHERS`]: bound the number of names that have a count of their own.
//! - [`PRIVATE_MEMBERS`]: recognize a private key in a JWK set. The command line uses it too.
//! - `format`: the types of `service-token.toml`, which the command line reads too.
//! - [`Hashed`], [`mix`]: look up what a hash locates.
//! - [`peer_certificate`]: creates the proof of a peer after its handshake.
//! - `HttpClient` and its companions: fetch tokens with the same client as keys.
//! - [`FileIdentity`]: notices that a path leads to another file.
//! - [`FleetMemory`]: lets a reader of a database change revocations in memory.
//! - [`LogObserver`], [`observed`]: show another crate what is in a log file.
//! - [`Stopwatch`]: measures time, because only `clock.rs` reads it.

use std::{borrow::Cow, io, path::Path};

#[cfg(feature = "config")]
pub use crate::config::format;
#[cfg(feature = "remote")]
pub use crate::http_client::{HttpClient, HttpSettings, cause, server_url, shown};
use crate::{
    Algorithm,
    audit::{JsonLinesAudit, JsonLinesBuilder},
    clock::Timestamp,
    denial::Backslash,
    revocation::MemoryRevocations,
    token::{HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};
pub use crate::{
    audit::LogObserver,
    clock::Stopwatch,
    file_identity::FileIdentity,
    handle::WeakHandle,
    hashed::{Hashed, mix},
    keys::jwks::PRIVATE_MEMBERS,
    others::{OTHERS, bounded},
    peer::{PeerFacts, PeerTrust, peer_certificate},
    text::decode as decode_text,
    watched_file::{
        Contents, Hurry, MAX_READ, MIN_POLL_INTERVAL, REREAD_INTERVAL, Round, WatchedFile, read_regular,
    },
};

/// Opens a log file as [`JsonLinesBuilder::to_file`] does, and shows an observer what is written to it.
///
/// # Errors
/// As [`JsonLinesBuilder::to_file`], and when the path leads to a FIFO or a device.
pub fn observed(
    builder: JsonLinesBuilder,
    path: &Path,
    observer: Box<dyn LogObserver>,
) -> io::Result<JsonLinesAudit> {
    builder.open_observed(path, observer)
}

/// Decodes the payload of a text that has the form of a token. Its signature is not checked.
pub fn unverified_payload(token: &str) -> Option<Vec<u8>> {
    let segments = Segments::split(token).ok()?;
    segments.header(&mut HeaderRoom::new()).ok()?;
    segments.signature(&mut SignatureRoom::new()).ok()?;
    segments.payload(&mut PayloadRoom::new()).ok().map(<[u8]>::to_vec)
}

/// Whether the signature is shorter than each of the algorithm that the header names, as at the end of a file that is
/// being written.
pub fn is_cut(token: &str) -> bool {
    let Ok(segments) = Segments::split(token) else { return false };
    let (mut header, mut signature) = (HeaderRoom::new(), SignatureRoom::new());
    let shortest = segments.header(&mut header).ok().and_then(|header| header.alg.parse::<Algorithm>().ok());
    let length = segments.signature(&mut signature).map(<[u8]>::len);
    shortest.zip(length.ok()).is_some_and(|(algorithm, length)| length < algorithm.shortest_signature())
}

/// Escapes `text` to printable ASCII of at most `longest` characters; a `~` at the end marks a cut.
pub fn escaped(text: &str, longest: usize) -> Cow<'_, str> {
    crate::denial::escaped(text, longest, Backslash::Doubled)
}

/// Changes of the revocations that a reader of a database keeps in memory. No other program may use it: a wrong
/// order of calls accepts a revoked token.
pub trait FleetMemory {
    /// Replaces the revocation of a service by one that covers fewer tokens, in one step.
    fn shorten_service(&self, issuer: &str, service: &str, issued_by: Timestamp);

    /// Whether a token expired so long ago that its revocation need not be stored. The memory then records that one
    /// is missing.
    fn pass_over(&self, expires_at: Timestamp) -> bool;

    /// Whether the clock went back to a time at which a missing revocation may matter. Returns `true` once; the
    /// reader must then read all revocations again.
    fn remember(&self) -> bool;
}

impl FleetMemory for MemoryRevocations {
    fn shorten_service(&self, issuer: &str, service: &str, issued_by: Timestamp) {
        self.shorten_service(issuer, service, issued_by);
    }

    fn pass_over(&self, expires_at: Timestamp) -> bool {
        self.pass_over(expires_at)
    }

    fn remember(&self) -> bool {
        self.remember()
    }
}
