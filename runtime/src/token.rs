//! The text of a token: three segments of strict base64url, and the header. Nothing here is trusted yet.

mod decoded;
mod known;

use std::{borrow::Cow, ops::Deref, rc::Rc};

pub(crate) use decoded::{HeaderRoom, PayloadRoom, SignatureRoom};
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
    /// The signed text: header, dot, payload, exactly as received.
    signed: &'t str,
}

impl<'t> Segments<'t> {
    pub(crate) fn split(token: &'t str) -> Result<Self, Denial> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(too_large(token.len()));
        }
        let not_three = || malformed("the token does not have three segments");
        let (header, rest) = until_dot(token).ok_or_else(not_three)?;
        let (payload, signature) = until_dot(rest).ok_or_else(not_three)?;
        if until_dot(signature).is_some() {
            return Err(not_three());
        }
        if header.is_empty() || payload.is_empty() {
            return Err(malformed("a segment of the token is empty"));
        }
        let signed = token.get(..header.len() + 1 + payload.len()).unwrap_or_default();
        Ok(Self { header, payload, signature, signed })
    }

    pub(crate) fn signed(&self) -> &'t [u8] {
        self.signed.as_bytes()
    }

    pub(crate) fn header<'r>(&self, room: &'r mut HeaderRoom) -> Result<ReadHeader<'r>, Denial> {
        match known::known(self.header) {
            Some(header) => Ok(ReadHeader::Known(header)),
            None => Header::parse(self.header_bytes(room)?).map(ReadHeader::Parsed),
        }
    }

    /// The header, decoded and not parsed.
    pub(crate) fn header_bytes<'r>(&self, room: &'r mut HeaderRoom) -> Result<&'r [u8], Denial> {
        room.decode(self.header, "header")
    }

    /// Keeps the header of an accepted token, so that this thread does not parse it again.
    pub(crate) fn keep_header(&self, header: &ReadHeader<'_>) {
        if let ReadHeader::Parsed(header) = header {
            known::keep(self.header, header);
        }
    }

    pub(crate) fn payload<'r>(&self, room: &'r mut PayloadRoom) -> Result<&'r [u8], Denial> {
        room.decode(self.payload, "payload")
    }

    pub(crate) fn signature<'r>(&self, room: &'r mut SignatureRoom) -> Result<&'r [u8], Denial> {
        if self.signature.is_empty() {
            return Err(Denial::new(Code::BadSignature, "the signature is empty"));
        }
        room.decode(self.signature, "signature")
    }
}

fn until_dot(text: &str) -> Option<(&str, &str)> {
    let dot = memchr::memchr(b'.', text.as_bytes())?;
    Some((text.get(..dot)?, text.get(dot + 1..)?))
}

fn malformed(reason: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Code::Malformed, reason)
}

/// The members of the JOSE header that affect a decision. `jwk`, `jku`, `x5u` and `x5c` are not even stored:
/// a key from the token proves nothing (RFC 8725 section 3.1, 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header<'h> {
    pub(crate) alg: Cow<'h, str>,
    pub(crate) kid: Option<Cow<'h, str>>,
    pub(crate) typ: Option<Cow<'h, str>>,
}

/// A header that was parsed now, or one that this thread knows from an accepted token.
pub(crate) enum ReadHeader<'h> {
    Parsed(Header<'h>),
    Known(Rc<Header<'static>>),
}

impl<'h> Deref for ReadHeader<'h> {
    type Target = Header<'h>;

    fn deref(&self) -> &Header<'h> {
        match self {
            Self::Parsed(header) => header,
            Self::Known(header) => header,
        }
    }
}

impl<'h> Header<'h> {
    pub(crate) fn parse(bytes: &'h [u8]) -> Result<Self, Denial> {
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

    /// The same header with owned texts.
    fn to_static(&self) -> Header<'static> {
        let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| Cow::Owned(text.to_owned()));
        Header { alg: Cow::Owned((*self.alg).to_owned()), kid: owned(&self.kid), typ: owned(&self.typ) }
    }

    /// The algorithm, if its name is exactly one of those allowed (RFC 7515 section 4.1.1:
    /// case-sensitive). `none` is not the name of an [`Algorithm`].
    pub(crate) fn algorithm(&self, allowed: AlgorithmSet) -> Result<Algorithm, Denial> {
        let found = allowed.iter().find(|algorithm| algorithm.as_str() == self.alg);
        found.ok_or_else(|| {
            let allowed = allowed.iter().map(Algorithm::as_str).collect::<Vec<_>>().join(", ");
            let reason = format!("the token's `alg` is `{}`, allowed: {allowed}", quoted(&self.alg));
            Denial::new(Code::AlgNotAllowed, reason)
        })
    }
}

#[derive(Default)]
struct HeaderMembers<'h> {
    alg: Option<Cow<'h, str>>,
    kid: Option<Cow<'h, str>>,
    typ: Option<Cow<'h, str>>,
    crit: bool,
}

json::names! {
    /// The members of a header that affect a decision.
    HeaderName {
        Alg = "alg",
        Kid = "kid",
        Typ = "typ",
        Crit = "crit",
    }
}

impl<'de> json::Members<'de> for HeaderMembers<'de> {
    type Name = HeaderName;

    fn member<A: MapAccess<'de>>(&mut self, name: HeaderName, map: &mut A) -> Result<(), A::Error> {
        let value: Value<'de> = map.next_value()?;
        match name {
            HeaderName::Alg => self.alg = Some(text(name, value)?),
            HeaderName::Kid => self.kid = Some(text(name, value)?),
            HeaderName::Typ => self.typ = Some(text(name, value)?),
            HeaderName::Crit => self.crit = true,
        }
        Ok(())
    }
}

fn text<'de, E: serde::de::Error>(name: HeaderName, value: Value<'de>) -> Result<Cow<'de, str>, E> {
    value.into_text().ok_or_else(|| json::wrong_type(name.as_str(), "a string"))
}

#[cfg(test)]
mod tests;
