//! Functions for the fuzz targets that are not in the public interface: the parsers of the first stages. The module
//! exists only in builds by cargo-fuzz.

use crate::{
    bearer::BearerToken,
    token::{Header, HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};

/// Finds the token in the values of all `Authorization` headers, if there is one.
pub fn bearer(values: &[&[u8]]) -> Option<String> {
    let token = BearerToken::from_header_values(values.iter().copied()).ok()?;
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
