//! Reads and verifies one proof (RFC 9449 section 4.3). It is pure: the replay memory comes later.

use std::{borrow::Cow, time::Duration};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::de::MapAccess;

use super::{
    Proofs, SpentProof,
    target::{Htu, Path},
};
use crate::{
    clock::Timestamp,
    denial::{Code, Denial, quoted},
    json::{self, JsonError, Number, Value},
    keys::{
        Algorithm,
        jwks::{EmbeddedJwk, EmbeddedKey},
        thumbprint::sha256,
    },
    times::Moment,
    token::{HeaderRoom, PayloadRoom, Segments, SignatureRoom},
};

/// See [`Dpop::MAX_PROOF_LENGTH`](super::Dpop::MAX_PROOF_LENGTH).
pub(crate) const MAX_PROOF_LENGTH: usize = 8 * 1024;

/// See [`Dpop::MAX_ID_LENGTH`](super::Dpop::MAX_ID_LENGTH).
pub(crate) const MAX_ID_LENGTH: usize = 256;

/// See [`Dpop::MAX_AHEAD`](super::Dpop::MAX_AHEAD).
pub(crate) const MAX_AHEAD: Duration = Duration::from_secs(5);

/// The `typ` of a proof (RFC 9449 section 4.2).
const TYP: &str = "dpop+jwt";

/// The request that a proof is about.
#[derive(Copy, Clone)]
pub(crate) struct AboutRequest<'r> {
    pub(crate) method: &'r str,
    /// The path as the client sent it.
    pub(crate) path: &'r str,
    /// The token of the `Authorization` header.
    pub(crate) token: &'r [u8],
}

/// A proof whose signature and claims were checked.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) struct VerifiedProof {
    /// The RFC 7638 thumbprint of the key that signed it.
    pub(crate) key: [u8; 32],
    /// What to record, so that it is not accepted again; `None` if an earlier decision about the request did so.
    pub(crate) spend: Option<SpentProof>,
}

impl Proofs {
    /// Verifies a proof of DPoP about this request. Steps 2 to 11 of RFC 9449 section 4.3, in an order in which no claim is
    /// read before the signature is checked.
    pub(crate) fn verify(
        &self,
        proof: &[u8],
        about: AboutRequest<'_>,
        at: Moment,
    ) -> Result<VerifiedProof, Denial> {
        self.verify_by(&OfDpop(about), proof, at)
    }

    /// Verifies a proof by the rules of its kind.
    pub(super) fn verify_by(
        &self,
        rules: &impl Rules,
        proof: &[u8],
        at: Moment,
    ) -> Result<VerifiedProof, Denial> {
        if proof.len() > MAX_PROOF_LENGTH {
            let length = proof.len();
            return Err(mismatch(format!("the proof has {length} bytes, more than {MAX_PROOF_LENGTH}")));
        }
        let text = std::str::from_utf8(proof).map_err(|_| mismatch("the proof is not a JWS"))?;
        let segments =
            Segments::split(text).map_err(|_| mismatch("the proof is not a JWS in compact form"))?;
        let (mut header, mut payload, mut signature) =
            (HeaderRoom::new(), PayloadRoom::new(), SignatureRoom::new());
        let header = ProofHeader::parse(segments.header_bytes(&mut header).map_err(in_proof)?)?;
        rules.check_typ(&header.typ)?;
        let algorithm = header.algorithm(self)?;
        let key = rules.key(header.jwk, algorithm)?;
        let signature = segments.signature(&mut signature).map_err(in_proof)?;
        if !key.prepared.verifies(segments.signed(), signature) {
            return Err(mismatch("the signature of the proof does not verify with its key"));
        }
        // Only from here on did the holder of the key write the claims.
        let payload = segments.payload(&mut payload).map_err(in_proof)?;
        let spend = rules.check(self, payload, &key.thumbprint, at)?;
        Ok(VerifiedProof { key: key.thumbprint, spend: Some(spend) })
    }

    /// Checks the identifier, by which a proof is accepted once.
    pub(super) fn check_id<'c>(&self, jti: &'c Option<Cow<'_, str>>) -> Result<&'c str, Denial> {
        let id = required(jti, "jti")?;
        if id.is_empty() || id.len() > MAX_ID_LENGTH {
            let length = id.len();
            return Err(mismatch(format!(
                "`jti` of the proof has {length} bytes, and needs 1 to {MAX_ID_LENGTH}"
            )));
        }
        Ok(id)
    }

    /// Compares a claim with the configured URLs and the path of the request.
    pub(super) fn check_target(&self, name: &str, url: &str, path: &str) -> Result<(), Denial> {
        let is_target = Htu::parse(url)
            .zip(Path::parse(path))
            .is_some_and(|(htu, path)| self.bases.iter().any(|base| base.is_target(&htu, &path)));
        if is_target {
            return Ok(());
        }
        let (found, path) = (quoted(url), quoted(path));
        Err(mismatch(format!(
            "`{name}` of the proof is `{found}`, and the request is for `{path}` of this service"
        )))
    }

    /// Checks the age, and returns the last second in which the proof is accepted.
    fn check_times(&self, claims: &ProofClaims<'_>, at: Moment) -> Result<i64, Denial> {
        let iat = whole_seconds("iat", claims.iat)?;
        let (now, leeway) = (at.now.unix(), at.leeway_seconds());
        let ahead = i64::try_from(MAX_AHEAD.as_secs()).unwrap_or(0);
        let until = iat.saturating_add(self.max_age).saturating_add(leeway);
        let signed = Timestamp::from_unix(iat);
        if now > until {
            let most = self.max_age;
            return Err(mismatch(format!(
                "the proof was signed at {signed}, and it is {}, allowed: {most} s",
                at.now
            )));
        }
        if iat > now.saturating_add(ahead).saturating_add(leeway) {
            return Err(mismatch(format!("the proof is signed at {signed}, and it is {}", at.now)));
        }
        Ok(until)
    }

    fn check_nonce(&self, nonce: Option<&str>, at: Moment) -> Result<(), Denial> {
        let Some(nonces) = &self.nonces else { return Ok(()) };
        match nonce {
            Some(nonce) if nonces.accepts(nonce, at) => Ok(()),
            Some(_) => Err(Denial::new(
                Code::UseDpopNonce,
                "the nonce of the proof is not a current one of this service",
            )),
            None => Err(Denial::new(Code::UseDpopNonce, "the proof has no nonce of this service")),
        }
    }
}

/// The rules of one kind of proof, besides those that all kinds share.
pub(super) trait Rules {
    fn check_typ(&self, typ: &str) -> Result<(), Denial>;

    /// The key that must have signed the proof. `embedded` is the one in its header.
    fn key(&self, embedded: Option<EmbeddedJwk>, algorithm: Algorithm) -> Result<EmbeddedKey, Denial>;

    /// Checks the claims, and returns what to record. `key` is the thumbprint of the key that signed them.
    fn check(
        &self,
        proofs: &Proofs,
        payload: &[u8],
        key: &[u8; 32],
        at: Moment,
    ) -> Result<SpentProof, Denial>;
}

/// RFC 9449: the key is in the header of the proof, and its thumbprint in the token.
struct OfDpop<'r>(AboutRequest<'r>);

impl Rules for OfDpop<'_> {
    fn check_typ(&self, typ: &str) -> Result<(), Denial> {
        if typ == TYP {
            return Ok(());
        }
        Err(mismatch(format!("`typ` of the proof is `{}`, expected `{TYP}`", quoted(typ))))
    }

    fn key(&self, embedded: Option<EmbeddedJwk>, algorithm: Algorithm) -> Result<EmbeddedKey, Denial> {
        let jwk = embedded.ok_or_else(|| absent("jwk"))?;
        jwk.key(algorithm).map_err(|error| mismatch(format!("the key of the proof: {error}")))
    }

    fn check(
        &self,
        proofs: &Proofs,
        payload: &[u8],
        key: &[u8; 32],
        at: Moment,
    ) -> Result<SpentProof, Denial> {
        let (claims, about) = (ProofClaims::parse(payload)?, self.0);
        let id = proofs.check_id(&claims.jti)?;
        let method = required(&claims.htm, "htm")?;
        if method != about.method {
            let (found, expected) = (quoted(method), quoted(about.method));
            return Err(mismatch(format!(
                "`htm` of the proof is `{found}`, and the request is `{expected}`"
            )));
        }
        proofs.check_target("htu", required(&claims.htu, "htu")?, about.path)?;
        if !is_hash(required(&claims.ath, "ath")?, about.token) {
            return Err(mismatch("`ath` of the proof is not the hash of the token"));
        }
        let until = proofs.check_times(&claims, at)?;
        proofs.check_nonce(claims.nonce.as_deref(), at)?;
        Ok(spent(key, id, until))
    }
}

/// What to record of a proof: a key uses each identifier once.
pub(super) fn spent(key: &[u8; 32], id: &str, until: i64) -> SpentProof {
    SpentProof::new(sha256(&[key, id.as_bytes()]), Timestamp::from_unix(until))
}

/// Whether a claim is the hash of a token: unpadded base64url of SHA-256.
pub(super) fn is_hash(claim: &str, token: &[u8]) -> bool {
    let hash = URL_SAFE_NO_PAD.encode(sha256(&[token]));
    verify_slices_are_equal(claim.as_bytes(), hash.as_bytes()).is_ok()
}

/// The whole seconds of a time claim that is required.
pub(super) fn whole_seconds(name: &str, claim: Option<f64>) -> Result<i64, Denial> {
    let seconds = claim.ok_or_else(|| missing(name))?.floor();
    // A double of this size is a whole number of seconds.
    if !(0.0..9e15).contains(&seconds) {
        return Err(mismatch(format!("`{name}` of the proof is not a time")));
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    Ok(seconds as i64)
}

pub(super) fn mismatch(reason: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Code::ProofMismatch, reason)
}

fn absent(name: &str) -> Denial {
    mismatch(format!("the header of the proof has no `{name}`"))
}

/// A refusal of the parser of tokens, which is about the proof here.
fn in_proof(denial: Denial) -> Denial {
    mismatch(format!("the proof: {denial}"))
}

pub(super) fn missing(name: &str) -> Denial {
    mismatch(format!("the proof has no `{name}`"))
}

pub(super) fn required<'c>(claim: &'c Option<Cow<'_, str>>, name: &str) -> Result<&'c str, Denial> {
    claim.as_deref().ok_or_else(|| missing(name))
}

pub(super) fn unreadable(part: &'static str) -> impl Fn(JsonError) -> Denial {
    move |error| match error {
        JsonError::Malformed(why) | JsonError::WrongType(why) => {
            mismatch(format!("the {part} of the proof: {why}"))
        }
    }
}

/// The header of a proof.
struct ProofHeader<'h> {
    typ: Cow<'h, str>,
    alg: Cow<'h, str>,
    jwk: Option<EmbeddedJwk>,
}

impl<'h> ProofHeader<'h> {
    fn parse(json: &'h [u8]) -> Result<Self, Denial> {
        let mut members = HeaderMembers::default();
        json::read_object(json, &mut members).map_err(unreadable("header"))?;
        if members.crit {
            return Err(mismatch("the header of the proof has `crit`, and no extension is implemented"));
        }
        Ok(Self {
            typ: members.typ.ok_or_else(|| absent("typ"))?,
            alg: members.alg.ok_or_else(|| absent("alg"))?,
            jwk: members.jwk,
        })
    }

    /// Checks `alg`. The sender chooses the algorithm, so the list is closed and has no symmetric one.
    fn algorithm(&self, proofs: &Proofs) -> Result<Algorithm, Denial> {
        proofs.algorithms.iter().find(|algorithm| algorithm.as_str() == self.alg).ok_or_else(|| {
            let (found, allowed) = (quoted(&self.alg), &proofs.names);
            mismatch(format!("`alg` of the proof is `{found}`, allowed: {allowed}"))
        })
    }
}

#[derive(Default)]
struct HeaderMembers<'h> {
    typ: Option<Cow<'h, str>>,
    alg: Option<Cow<'h, str>>,
    jwk: Option<EmbeddedJwk>,
    crit: bool,
}

json::names! {
    /// The members of the header that affect a decision.
    HeaderName {
        Typ = "typ",
        Alg = "alg",
        Jwk = "jwk",
        Crit = "crit",
    }
}

impl<'de> json::Members<'de> for HeaderMembers<'de> {
    type Name = HeaderName;

    fn member<A: MapAccess<'de>>(&mut self, name: HeaderName, map: &mut A) -> Result<(), A::Error> {
        match name {
            HeaderName::Typ => self.typ = Some(text(name.as_str(), map)?),
            HeaderName::Alg => self.alg = Some(text(name.as_str(), map)?),
            HeaderName::Jwk => self.jwk = Some(map.next_value()?),
            HeaderName::Crit => {
                map.next_value::<Value<'de>>()?;
                self.crit = true;
            }
        }
        Ok(())
    }
}

/// The claims of a proof. Others are ignored (RFC 9449 section 4.2).
#[derive(Default)]
struct ProofClaims<'p> {
    jti: Option<Cow<'p, str>>,
    htm: Option<Cow<'p, str>>,
    htu: Option<Cow<'p, str>>,
    ath: Option<Cow<'p, str>>,
    nonce: Option<Cow<'p, str>>,
    iat: Option<f64>,
}

impl<'p> ProofClaims<'p> {
    fn parse(json: &'p [u8]) -> Result<Self, Denial> {
        let mut claims = Self::default();
        json::read_object(json, &mut claims).map_err(unreadable("payload"))?;
        Ok(claims)
    }
}

json::names! {
    /// The claims that are read.
    ClaimName {
        Jti = "jti",
        Htm = "htm",
        Htu = "htu",
        Ath = "ath",
        Nonce = "nonce",
        Iat = "iat",
    }
}

impl<'de> json::Members<'de> for ProofClaims<'de> {
    type Name = ClaimName;

    fn member<A: MapAccess<'de>>(&mut self, name: ClaimName, map: &mut A) -> Result<(), A::Error> {
        match name {
            ClaimName::Jti => self.jti = Some(text(name.as_str(), map)?),
            ClaimName::Htm => self.htm = Some(text(name.as_str(), map)?),
            ClaimName::Htu => self.htu = Some(text(name.as_str(), map)?),
            ClaimName::Ath => self.ath = Some(text(name.as_str(), map)?),
            ClaimName::Nonce => self.nonce = Some(text(name.as_str(), map)?),
            ClaimName::Iat => self.iat = Some(map.next_value::<Number>()?.0),
        }
        Ok(())
    }
}

pub(super) fn text<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Cow<'de, str>, A::Error> {
    map.next_value::<Value<'de>>()?.into_text().ok_or_else(|| json::wrong_type(name, "a string"))
}

#[cfg(test)]
mod tests;
