//! Compares the claims of a token, whose signature was checked elsewhere, with the configuration: issuer, audience,
//! times, and whether it belongs to a service. It is pure: nothing here reads a clock or a key.

use std::{borrow::Cow, time::Duration};

use super::{
    kind::{Kind, Read},
    own_claims::missing,
};
use crate::{
    claims::{Audience, Confirmation, RawClaims},
    clock::Timestamp,
    denial::{Code, Denial, quoted},
    evidence::Evidence,
    keys::{Algorithm, KeyId},
    times::{Moment, Times, check_times},
};

/// The values that the claims are compared with.
#[derive(Debug)]
pub(crate) struct Expectations {
    pub(crate) issuer: String,
    pub(crate) audience: Vec<String>,
    pub(crate) max_lifetime: Option<Duration>,
    /// Whether a token without `iat` is limited by its remaining time only.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) iat_is_optional: bool,
}

pub(crate) fn bad_signature(algorithm: Algorithm, kid: Option<&KeyId>) -> Denial {
    let key = kid.map_or_else(|| "the key".to_owned(), |kid| format!("the key `{}`", quoted(kid.as_str())));
    Denial::new(Code::BadSignature, format!("the {algorithm} signature does not verify with {key}"))
}

impl Expectations {
    /// Checks issuer, audience and times at one instant (RFC 7519 section 4.1).
    pub(crate) fn check(
        &self,
        kind: Kind,
        token: Read<'_>,
        evidence: Evidence<'_>,
        at: Moment,
    ) -> Result<Times, Denial> {
        let Read { claims, access, members } = token;
        if kind.compares_issuer() {
            self.issuer(claims.iss.as_deref())?;
        }
        let aud = claims.aud.as_ref().map(Audience::as_slice);
        match access.audience(members) {
            None => self.audience(aud)?,
            Some(named) => {
                let named: Vec<_> = named?.into_iter().map(Cow::Owned).collect();
                self.audience(Some(&named))?;
                // A token that names an audience is for no other service, whichever claim names it.
                if aud.is_some() {
                    self.audience(aud)?;
                }
            }
        }
        let times = times(claims, at)?;
        kind.check_required(claims)?;
        if kind == Kind::OAuth {
            access.check_required(claims)?;
        }
        self.lifetime(&times, at)?;
        check_proof(claims.confirmation, evidence, at)?;
        Ok(times)
    }

    /// Checks again the time-dependent claims of a token that was accepted before.
    pub(crate) fn check_again(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        check_times(times.exp, times.nbf, at)?;
        self.lifetime(times, at)
    }

    /// Compares the issuer byte for byte: RFC 7519 section 4.1.1 defines no normalisation.
    fn issuer(&self, iss: Option<&str>) -> Result<(), Denial> {
        let iss = iss.ok_or_else(|| missing("iss"))?;
        if iss == self.issuer {
            return Ok(());
        }
        let reason = format!("the token's `iss` is `{}`, expected `{}`", quoted(iss), self.issuer);
        Err(Denial::new(Code::WrongIssuer, reason))
    }

    /// Checks the audience. RFC 7519 section 4.1.3: a token that names an audience is for no other service, even if
    /// no audience was configured.
    fn audience(&self, aud: Option<&[Cow<'_, str>]>) -> Result<(), Denial> {
        match (aud, self.audience.as_slice()) {
            (None, []) => Ok(()),
            (None, _) => Err(missing("aud")),
            (Some(_), []) => Err(Denial::new(
                Code::WrongAudience,
                "the token has an `aud`, and no audience is configured on this verifier",
            )),
            (Some(aud), own) if aud.iter().any(|named| own.iter().any(|own| own == named)) => Ok(()),
            (Some(aud), _) => {
                let expected = self.audience.join("`, `");
                let found = aud.iter().map(|named| quoted(named)).collect::<Vec<_>>().join("`, `");
                let reason = format!("the token's `aud` is `{}`, expected `{expected}`", quoted(&found));
                Err(Denial::new(Code::WrongAudience, reason))
            }
        }
    }

    /// Limits `exp - iat` and the remaining time. An `iat` in the future would extend the limit of `exp - iat`, and
    /// survive a revocation of all tokens that were issued up to now.
    fn lifetime(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        let Some(most) = self.max_lifetime else { return Ok(()) };
        let most = i64::try_from(most.as_secs()).unwrap_or(i64::MAX);
        let iat = match times.iat {
            Some(iat) => iat,
            #[cfg(feature = "experimental-wimse")]
            None if self.iat_is_optional => at.now.unix(),
            None => return Err(missing("iat")),
        };
        if iat > at.now.unix().saturating_add(at.leeway_seconds()) {
            let reason = format!("the token's `iat` is {}, in the future", Timestamp::from_unix(iat));
            return Err(Denial::new(Code::NotYetValid, reason));
        }
        let (life, remaining) = (times.exp.saturating_sub(iat), times.exp.saturating_sub(at.now.unix()));
        if life <= most && remaining <= most.saturating_add(at.leeway_seconds()) {
            return Ok(());
        }
        let reason =
            format!("the token is valid for {life} s, of which {remaining} s remain, allowed: {most} s");
        Err(Denial::new(Code::LivesTooLong, reason))
    }
}

/// Checks the proof that a token with `cnf` needs: its sender has the key (RFC 7800 section 3). It is the certificate of
/// the connection (RFC 8705 section 3) or a proof of DPoP (RFC 9449). A token with any other `cnf` is refused. A stolen
/// token would otherwise pass as a bearer token.
pub(crate) fn check_proof(
    confirmation: Confirmation,
    evidence: Evidence<'_>,
    at: Moment,
) -> Result<(), Denial> {
    let missing = |reason| Err(Denial::new(Code::ProofMissing, reason));
    let mismatch = |reason| Err(Denial::new(Code::ProofMismatch, reason));
    #[cfg(feature = "experimental-wimse")]
    match (confirmation, evidence.dpop.filter(|proof| proof.is_wpt())) {
        (Confirmation::Workload(bound), Some(proof)) if bound == proof.key(at)? => return Ok(()),
        (Confirmation::Workload(_), Some(_)) => {
            return mismatch("the key in the token did not sign the proof");
        }
        (Confirmation::Workload(_), None) => {
            return missing(
                "the token is a Workload Identity Token, but it was sent without the scheme WPT and a proof",
            );
        }
        (_, Some(_)) => {
            return mismatch(
                "the request has the scheme WPT, but its token is not a Workload Identity Token",
            );
        }
        (_, None) => {}
    }
    match (confirmation, evidence.peer, evidence.dpop) {
        (Confirmation::None, _, None) => Ok(()),
        #[cfg(feature = "experimental-wimse")]
        (Confirmation::Workload(_), _, _) => missing("the token has no proof of its key"),
        (Confirmation::Unsupported, _, _) => {
            missing("the token has a `cnf`: it is bound to a key, and no proof of that key was checked")
        }
        (Confirmation::Key(_), _, None) => missing(
            "the token is bound to a key (`jkt`), but it was sent without the scheme DPoP and a proof",
        ),
        (Confirmation::Key(bound), _, Some(proof)) if bound == proof.key(at)? => Ok(()),
        (Confirmation::Key(_), _, Some(_)) => {
            mismatch("the token is bound to another key than the one of the proof")
        }
        (Confirmation::None | Confirmation::Certificate(_), _, Some(_)) => {
            mismatch("the token was sent with the scheme DPoP, but it is not bound to a key (`jkt`)")
        }
        (Confirmation::Certificate(_), None, None) => {
            missing("the token is bound to a certificate, and the connection has none")
        }
        (Confirmation::Certificate(bound), Some(peer), None) if bound != *peer.thumbprint() => {
            mismatch("the token is bound to another certificate than the one of the connection")
        }
        (Confirmation::Certificate(_), Some(peer), None) if !peer.is_valid_at(at.now) => mismatch(
            "the token is bound to the certificate of the connection, but this certificate is not valid any more",
        ),
        (Confirmation::Certificate(_), Some(_), None) => Ok(()),
    }
}

/// Reads the times. `iat` must be a number but decides nothing here; only a bounded lifetime and a policy's `max_age`
/// use it.
fn times(claims: &RawClaims<'_>, at: Moment) -> Result<Times, Denial> {
    // Round against the token: a fraction never makes it valid for longer.
    let exp = seconds(claims.exp.ok_or_else(|| missing("exp"))?.floor());
    let nbf = claims.nbf.map(|nbf| seconds(nbf.ceil()));
    let iat = claims.iat.map(|iat| seconds(iat.floor()));
    check_times(exp, nbf, at)?;
    Ok(Times { exp, nbf, iat })
}

/// Converts a rounded NumericDate to whole seconds. A value beyond an `i64` becomes the
/// nearest one, which does not change the result of the comparison.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
fn seconds(rounded: f64) -> i64 {
    rounded as i64
}

#[cfg(test)]
mod tests;
