//! A token's text: three segments of strict base64url, and its header. Nothing here is believed yet.

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::MapAccess;

use crate::{
    bearer::{MAX_TOKEN_LENGTH, too_large},
    denial::{Code, Denial, quoted},
    json::{self, JsonError, Value},
    keys::{Algorithm, AlgorithmSet},
};

/// The three segments of a JWS in compact form (RFC 7515 section 3.1), undecoded.
#[derive(Copy, Clone)]
pub(crate) struct Segments<'t> {
    header: &'t str,
    payload: &'t str,
    signature: &'t str,
    /// What is signed: header, dot, payload, exactly as received.
    signed: &'t str,
}

impl<'t> Segments<'t> {
    pub(crate) fn split(token: &'t str) -> Result<Self, Denial> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(too_large(token.len()));
        }
        let two_or_more = || malformed("the token does not have three segments");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(two_or_more)?;
        let (header, payload) = signed.split_once('.').ok_or_else(two_or_more)?;
        if payload.contains('.') {
            return Err(two_or_more());
        }
        if header.is_empty() || payload.is_empty() {
            return Err(malformed("a segment of the token is empty"));
        }
        Ok(Self { header, payload, signature, signed })
    }

    pub(crate) fn signed(&self) -> &'t [u8] {
        self.signed.as_bytes()
    }

    pub(crate) fn header(&self) -> Result<Header, Denial> {
        Header::parse(&decode(self.header, "header")?)
    }

    pub(crate) fn payload(&self) -> Result<Vec<u8>, Denial> {
        decode(self.payload, "payload")
    }

    pub(crate) fn signature(&self) -> Result<Vec<u8>, Denial> {
        if self.signature.is_empty() {
            return Err(Denial::new(Code::BadSignature, "the signature is empty"));
        }
        decode(self.signature, "signature")
    }
}

/// RFC 7515 section 2: base64url without padding. Trailing bits must be zero, or one token would
/// have several spellings.
fn decode(segment: &str, name: &str) -> Result<Vec<u8>, Denial> {
    URL_SAFE_NO_PAD
        .decode(segment)
        .map_err(|error| malformed(format!("the {name} is not unpadded base64url: {error}")))
}

fn malformed(reason: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Code::Malformed, reason)
}

/// The JOSE header, as far as it decides anything. `jwk`, `jku`, `x5u` and `x5c` are not even kept:
/// a key from the token proves nothing (RFC 8725 section 3.1, 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
}

impl Header {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Denial> {
        let mut members = HeaderMembers::default();
        json::read_object(bytes, &mut members).map_err(|error| match error {
            JsonError::Malformed(why) | JsonError::WrongType(why) => malformed(format!("the header: {why}")),
        })?;
        if members.crit {
            // RFC 7515 section 4.1.11: an extension that is not implemented makes the token invalid.
            return Err(Denial::new(Code::Crit, "the header has `crit`, and no extension is implemented"));
        }
        let alg = members.alg.ok_or_else(|| malformed("the header has no `alg`"))?;
        Ok(Self { alg, kid: members.kid, typ: members.typ })
    }

    /// The algorithm, if its name is exactly one of those allowed (RFC 7515 section 4.1.1:
    /// case-sensitive). `none` is not the name of an [`Algorithm`].
    pub(crate) fn algorithm(&self, allowed: AlgorithmSet) -> Result<Algorithm, Denial> {
        let found = allowed.iter().find(|algorithm| algorithm.as_str() == self.alg);
        found.ok_or_else(|| {
            let allowed = allowed.iter().map(Algorithm::as_str).collect::<Vec<_>>().join(", ");
            let reason = format!("the token says `alg` is `{}`, allowed: {allowed}", quoted(&self.alg));
            Denial::new(Code::AlgNotAllowed, reason)
        })
    }
}

#[derive(Default)]
struct HeaderMembers {
    alg: Option<String>,
    kid: Option<String>,
    typ: Option<String>,
    crit: bool,
}

impl<'de> json::Members<'de> for HeaderMembers {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let value: Value<'de> = map.next_value()?;
        match name {
            "alg" => self.alg = Some(text(name, value)?),
            "kid" => self.kid = Some(text(name, value)?),
            "typ" => self.typ = Some(text(name, value)?),
            "crit" => self.crit = true,
            _ => {}
        }
        Ok(())
    }
}

fn text<E: serde::de::Error>(name: &str, value: Value<'_>) -> Result<String, E> {
    value.into_text().map(Cow::into_owned).ok_or_else(|| json::wrong_type(name, "a string"))
}

#[cfg(test)]
mod tests;
