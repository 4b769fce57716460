//! Functions for the fuzz targets that are not in the public interface: the parsers of the first stages. The module
//! exists only in builds by cargo-fuzz.

use std::{sync::LazyLock, time::Duration};

use crate::{
    bearer::BearerToken,
    clock::Timestamp,
    dpop::{AboutRequest, Dpop, Proofs},
    times::Moment,
    token::{Header, HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};

/// Finds the token in the values of all `Authorization` headers, if there is one.
pub fn bearer(values: &[&[u8]]) -> Option<String> {
    let token = BearerToken::from_header_values(values.iter().copied()).ok().flatten()?;
    Some(token.read().ok()?.to_owned())
}

/// Decodes the payload and the signature of a token.
pub fn segments(token: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let segments = Segments::split(token).ok()?;
    segments.header(&mut HeaderRoom::new()).ok()?;
    let (mut payload, mut signature) = (PayloadRoom::new(), SignatureRoom::new());
    Some((segments.payload(&mut payload).ok()?.to_vec(), segments.signature(&mut signature).ok()?.to_vec()))
}

/// Reads `alg`, `kid` and `typ` of a header.
pub fn header(json: &[u8]) -> Option<(String, Option<String>, Option<String>)> {
    let header = Header::parse(json).ok()?;
    let owned = std::borrow::Cow::into_owned;
    Some((owned(header.alg), header.kid.map(owned), header.typ.map(owned)))
}

/// What the proofs of [`dpop`] are about: a request to this service, at this time.
pub const DPOP_URL: &str = "https://orders.internal";
/// Its method and path.
pub const DPOP_REQUEST: (&str, &str) = ("POST", "/loaves");
/// Its token.
pub const DPOP_TOKEN: &str = "a.b.c";
/// The time of the decision.
pub const DPOP_NOW: i64 = 1_767_225_600;

/// Verifies a Workload Proof Token about a token, whose signature is not checked, and returns the thumbprint of its key. The
/// request has the headers `txn-token: a` and `b: c`.
#[cfg(feature = "experimental-wimse")]
pub fn wpt(proof: &[u8], token: &str) -> Option<[u8; 32]> {
    use crate::{bearer::OnlyHeader, dpop::NamedHeaders, experimental_wimse::Wpt};

    struct Others;

    impl NamedHeaders for Others {
        fn named(&self, name: &str) -> OnlyHeader<'_> {
            match name {
                "txn-token" => OnlyHeader::One(b"a"),
                "b" => OnlyHeader::One(b"c"),
                _ => OnlyHeader::None,
            }
        }
    }

    static PROOFS: LazyLock<Option<Proofs>> = LazyLock::new(|| Wpt::new(DPOP_URL).build().ok());
    let (method, path) = DPOP_REQUEST;
    let about = AboutRequest { method, path, token: token.as_bytes() };
    let at = Moment { now: Timestamp::from_unix(DPOP_NOW), leeway: Duration::ZERO };
    Some(PROOFS.as_ref()?.verify_wpt(proof, about, &Others, at).ok()?.key)
}

/// The thumbprint of the key in the payload of a Workload Identity Token.
#[cfg(feature = "experimental-wimse")]
pub fn confirmed_key(payload: &[u8]) -> Option<[u8; 32]> {
    Some(crate::dpop::ConfirmedKey::of_payload(payload).ok()?.key.thumbprint)
}

/// Verifies a proof, and returns the thumbprint of its key.
pub fn dpop(proof: &[u8]) -> Option<[u8; 32]> {
    static PROOFS: LazyLock<Option<Proofs>> = LazyLock::new(|| Dpop::new(DPOP_URL).build().ok());
    let (method, path) = DPOP_REQUEST;
    let about = AboutRequest { method, path, token: DPOP_TOKEN.as_bytes() };
    let at = Moment { now: Timestamp::from_unix(DPOP_NOW), leeway: Duration::ZERO };
    Some(PROOFS.as_ref()?.verify(proof, about, at).ok()?.key)
}
