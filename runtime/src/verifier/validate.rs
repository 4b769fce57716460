//! Our policy on a token whose mechanism was checked elsewhere: issuer, audience, times, and whether
//! it is a service's. Pure: nothing here reads a clock or a key.

use std::{borrow::Cow, time::Duration};

use super::kind::Kind;
use crate::{
    claims::{
        Audience, CheckedClaims, HeldClaims, InvalidServiceName, RawClaims, Scopes, ServiceName, UserClaims,
    },
    clock::Timestamp,
    denial::{Code, Denial, quoted},
    json::Value,
    keys::{Algorithm, KeyId},
};

/// What the claims are compared with.
#[derive(Debug)]
pub(super) struct Expectations {
    pub(super) issuer: String,
    pub(super) audience: Vec<String>,
    pub(super) max_lifetime: Option<Duration>,
}

/// The instant that times are compared at, and how far the clocks may be apart.
#[derive(Debug, Copy, Clone)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) leeway: Duration,
}

/// How far `iat` may be ahead of the verifier's clock, beyond the leeway, and still prove an age: clocks that are set
/// by NTP differ by less. A token with a later `iat` is treated like one without, or it would outlive every
/// revocation of its service.
pub const MAX_ISSUED_AHEAD: Duration = Duration::from_secs(60);

impl Moment {
    pub(crate) fn leeway_seconds(self) -> i64 {
        i64::try_from(self.leeway.as_secs()).unwrap_or(i64::MAX)
    }

    /// When the token was issued, as far as its `iat` proves it. An `iat` from further ahead than
    /// [`MAX_ISSUED_AHEAD`] comes from a wrong clock, or does not count in seconds.
    pub(crate) fn proven_issue(self, iat: Option<i64>) -> Option<i64> {
        let allowed = self.leeway.saturating_add(MAX_ISSUED_AHEAD);
        let latest = self.now.plus(allowed).unix();
        iat.filter(|&iat| iat <= latest)
    }
}

/// `exp`, `nbf` and `iat` as whole seconds.
#[derive(Copy, Clone)]
pub(crate) struct Times {
    pub(crate) exp: i64,
    pub(crate) nbf: Option<i64>,
    pub(crate) iat: Option<i64>,
}

impl Times {
    /// Whether `iat`, where there is one, proves the age of the token at this instant.
    pub(crate) fn prove_the_age(&self, at: Moment) -> bool {
        at.proven_issue(self.iat) == self.iat
    }
}

pub(super) fn bad_signature(algorithm: Algorithm, kid: Option<&KeyId>) -> Denial {
    let key = kid.map_or_else(|| "the key".to_owned(), |kid| format!("the key `{}`", quoted(kid.as_str())));
    Denial::new(Code::BadSignature, format!("the {algorithm} signature does not verify under {key}"))
}

impl Expectations {
    /// RFC 7519 section 4.1: issuer, audience and times, at one instant.
    pub(super) fn check(&self, kind: Kind, claims: &RawClaims<'_>, at: Moment) -> Result<Times, Denial> {
        if kind.compares_issuer() {
            self.issuer(claims.iss.as_deref())?;
        }
        self.audience(claims.aud.as_ref().map(Audience::as_slice))?;
        let times = times(claims, at)?;
        kind.check_required(claims)?;
        self.lifetime(&times, at)?;
        check_proof(claims)?;
        Ok(times)
    }

    /// What of it the hour can change, for a token that was accepted before.
    pub(super) fn check_again(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        check_times(times.exp, times.nbf, at)?;
        self.lifetime(times, at)
    }

    /// Equal byte for byte: RFC 7519 section 4.1.1 knows no normalisation.
    fn issuer(&self, iss: Option<&str>) -> Result<(), Denial> {
        let iss = iss.ok_or_else(|| missing("iss"))?;
        if iss == self.issuer {
            return Ok(());
        }
        let reason = format!("the token says `iss` is `{}`, expected `{}`", quoted(iss), self.issuer);
        Err(Denial::new(Code::WrongIssuer, reason))
    }

    /// RFC 7519 section 4.1.3: a token that names an audience is for nobody else, also where no
    /// audience was configured.
    fn audience(&self, aud: Option<&[Cow<'_, str>]>) -> Result<(), Denial> {
        match (aud, self.audience.as_slice()) {
            (None, []) => Ok(()),
            (None, _) => Err(missing("aud")),
            (Some(_), []) => Err(Denial::new(
                Code::WrongAudience,
                "the token has an `aud`, and this verifier was given no audience",
            )),
            (Some(aud), own) if aud.iter().any(|named| own.iter().any(|own| own == named)) => Ok(()),
            (Some(aud), _) => {
                let expected = self.audience.join("`, `");
                let found = aud.iter().map(|named| quoted(named)).collect::<Vec<_>>().join("`, `");
                let reason = format!("the token says `aud` is `{}`, expected `{expected}`", quoted(&found));
                Err(Denial::new(Code::WrongAudience, reason))
            }
        }
    }

    /// Bounds `exp - iat`, and what remains. An `iat` in the future would stretch the first, and
    /// outlive a revocation of all that was issued up to now.
    fn lifetime(&self, times: &Times, at: Moment) -> Result<(), Denial> {
        let Some(most) = self.max_lifetime else { return Ok(()) };
        let most = i64::try_from(most.as_secs()).unwrap_or(i64::MAX);
        let iat = times.iat.ok_or_else(|| missing("iat"))?;
        if iat > at.now.unix().saturating_add(at.leeway_seconds()) {
            let reason =
                format!("the token says that it is issued at {}, in the future", Timestamp::from_unix(iat));
            return Err(Denial::new(Code::NotYetValid, reason));
        }
        let (life, remaining) = (times.exp.saturating_sub(iat), times.exp.saturating_sub(at.now.unix()));
        if life <= most && remaining <= most.saturating_add(at.leeway_seconds()) {
            return Ok(());
        }
        let reason = format!("the token lives {life} s and {remaining} s of it remain, allowed: {most} s");
        Err(Denial::new(Code::LivesTooLong, reason))
    }
}

/// A token with `cnf` is good only together with a proof that its sender holds the key (RFC 7800 section 3,
/// RFC 8705, RFC 9449). This verifier checks no such proof, so it refuses every `cnf`, whatever its value: a
/// stolen token would otherwise pass as a bearer token.
fn check_proof(claims: &RawClaims<'_>) -> Result<(), Denial> {
    if claims.is_bound {
        let reason = "the token has a `cnf`: it is bound to a key, and no proof of that key was checked";
        return Err(Denial::new(Code::ProofMissing, reason));
    }
    Ok(())
}

/// `iat` must be a number and decides nothing here; a bounded lifetime and a policy's `max_age` look at
/// it.
fn times(claims: &RawClaims<'_>, at: Moment) -> Result<Times, Denial> {
    // Rounded against the token: a fraction never makes it valid for longer.
    let exp = seconds(claims.exp.ok_or_else(|| missing("exp"))?.floor());
    let nbf = claims.nbf.map(|nbf| seconds(nbf.ceil()));
    let iat = claims.iat.map(|iat| seconds(iat.floor()));
    check_times(exp, nbf, at)?;
    Ok(Times { exp, nbf, iat })
}

/// `now < exp + leeway` and `now + leeway >= nbf`.
pub(crate) fn check_times(exp: i64, nbf: Option<i64>, at: Moment) -> Result<(), Denial> {
    let (now, leeway) = (at.now, at.leeway_seconds());
    if now.unix() >= exp.saturating_add(leeway) {
        let reason = format!("the token expired at {}, and it is {now}", Timestamp::from_unix(exp));
        return Err(Denial::new(Code::Expired, reason));
    }
    if let Some(nbf) = nbf.filter(|&nbf| now.unix().saturating_add(leeway) < nbf) {
        let reason = format!("the token is valid from {} on, and it is {now}", Timestamp::from_unix(nbf));
        return Err(Denial::new(Code::NotYetValid, reason));
    }
    Ok(())
}

/// Whole seconds of a NumericDate that is already rounded. What is beyond an `i64` becomes the
/// nearest one: the comparison comes out the same.
#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, which is what is wanted")]
fn seconds(rounded: f64) -> i64 {
    rounded as i64
}

pub(super) fn missing(claim: &str) -> Denial {
    Denial::new(Code::MissingClaim, format!("the token has no `{claim}`"))
}

/// The claims of an accepted token, by whom it stands for.
#[derive(Debug)]
pub(super) enum Claims {
    Service(HeldClaims),
    User(UserClaims),
}

/// Whom the token stands for. Its `type` decides: `service` with `is_service: true`, or `access`.
pub(super) fn claims(claims: &RawClaims<'_>, times: &Times) -> Result<Claims, Denial> {
    match &claims.kind {
        Some(Value::Text(kind)) if kind == "service" => {
            if claims.is_service != Some(Value::Bool(true)) {
                return Err(Denial::new(
                    Code::NotService,
                    "`type` is `service`, and `is_service` is not `true`",
                ));
            }
            service(claims, times).map(Claims::Service)
        }
        Some(Value::Text(kind)) if kind == "access" => user(claims, times).map(Claims::User),
        Some(Value::Text(kind)) => {
            let reason = format!("the token says `type` is `{}`, expected `service`", quoted(kind));
            Err(Denial::new(Code::NotService, reason))
        }
        _ => Err(Denial::new(Code::NotService, "the token has no `type`, or one that is not a string")),
    }
}

/// The refusal of an authentic user at a guarded handler.
pub(crate) fn user_refused() -> Denial {
    Denial::new(Code::NotService, "the token is a user's (`type` is `access`), expected `service`")
}

fn service(claims: &RawClaims<'_>, times: &Times) -> Result<HeldClaims, Denial> {
    let service = match &claims.service {
        Some(Value::Text(name)) if ServiceName::is_one(name) => name,
        Some(Value::Text(name)) => {
            let reason = format!("the token says `service` is `{}`: {InvalidServiceName}", quoted(name));
            return Err(Denial::new(Code::BadClaimValue, reason));
        }
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`service` must be a string")),
        None => return Err(missing("service")),
    };
    match &claims.sub {
        Some(Value::Text(sub)) if sub == service => {}
        Some(Value::Text(sub)) => {
            let reason = format!("the token says `sub` is `{}` and `service` is `{service}`", quoted(sub));
            return Err(Denial::new(Code::SubServiceMismatch, reason));
        }
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`sub` must be a string")),
        None => return Err(missing("sub")),
    }
    Ok(HeldClaims::hold(CheckedClaims {
        sub: service,
        service,
        user_id: claims.user_id.as_deref(),
        role: claims.role.as_deref(),
        email: claims.email.as_deref(),
        issuer: claims.iss.as_deref().unwrap_or_default(),
        aud: claims.aud.as_ref(),
        exp: times.exp,
        iat: times.iat,
        nbf: times.nbf,
        jti: claims.jti.as_deref(),
        scope: scopes(claims),
    }))
}

/// A `scope` that is not one grants nothing.
pub(super) fn scopes(claims: &RawClaims<'_>) -> Scopes {
    claims.scope.as_deref().and_then(|scope| scope.parse().ok()).unwrap_or_default()
}

fn user(claims: &RawClaims<'_>, times: &Times) -> Result<UserClaims, Denial> {
    let owned = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let sub = match &claims.sub {
        None => None,
        Some(Value::Text(sub)) => Some((**sub).to_owned()),
        // RFC 7519 section 4.1.2.
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`sub` must be a string")),
    };
    Ok(UserClaims {
        sub,
        user_id: owned(&claims.user_id),
        role: owned(&claims.role),
        email: owned(&claims.email),
        issuer: owned(&claims.iss).unwrap_or_default(),
        exp: times.exp,
        iat: times.iat,
        jti: owned(&claims.jti),
    })
}

#[cfg(test)]
mod tests;
