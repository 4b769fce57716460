//! What the fuzz targets reach beside the public interface: the parsers of the first stages. Exists
//! only in builds by cargo-fuzz.

use crate::{
    bearer::BearerToken,
    token::{Header, Segments},
};

/// The token in the values of all `Authorization` headers, if there is one.
pub fn bearer(values: &[&[u8]]) -> Option<String> {
    let token = BearerToken::from_header_values(values.iter().copied()).ok()?;
    Some(token.as_str().to_owned())
}

/// The payload and the signature of a token, decoded.
pub fn segments(token: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let segments = Segments::split(token).ok()?;
    segments.header().ok()?;
    Some((segments.payload().ok()?, segments.signature().ok()?))
}

/// `alg`, `kid` and `typ` of a header.
pub fn header(json: &[u8]) -> Option<(String, Option<String>, Option<String>)> {
    let header = Header::parse(json).ok()?;
    Some((header.alg, header.kid, header.typ))
}
