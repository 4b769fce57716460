//! Mints a token with which a gateway passes on the request of a verified caller (RFC 8693 section 4.1).

use std::{fmt, time::Duration};

use uuid::Uuid;

use super::{
    IssueError, Issuer, check_lifetime, refuse_secret,
    request::{Binding, Signing, refuse_unreadable, sign_claims},
};
use crate::{
    caller::Identity,
    claims::{Actor, ServiceClaims, UserClaims},
    clock::Timestamp,
    denial::quoted,
};

/// A token on behalf of a caller that is not minted yet, with its settings. [`Issuer::on_behalf_of`] starts it.
#[must_use = "nothing is minted until `mint` is called"]
#[derive(Debug, Clone)]
pub struct DelegatedRequest<'i> {
    issuer: &'i Issuer,
    caller: Identity,
    actor: String,
    audience: Vec<String>,
    lifetime: Duration,
    certificate: Option<[u8; 32]>,
}

impl<'i> DelegatedRequest<'i> {
    pub(crate) fn new(issuer: &'i Issuer, caller: &Identity, actor: String) -> Self {
        Self {
            issuer,
            // The request outlives no attempt of the caller.
            caller: caller.without_attempt(),
            actor,
            audience: issuer.audience.clone(),
            lifetime: Issuer::DELEGATED_LIFETIME,
            certificate: None,
        }
    }

    /// Sets the `aud` of this token, instead of the issuer's. Name the one service that receives the request: no other
    /// service then accepts the token.
    pub fn audience(self, audience: impl Into<String>) -> Self {
        Self { audience: vec![audience.into()], ..self }
    }

    /// Sets the lifetime of this token, in whole seconds, instead of [`Issuer::DELEGATED_LIFETIME`]. The token never
    /// outlives that of the caller.
    pub fn lifetime(self, lifetime: Duration) -> Self {
        Self { lifetime, ..self }
    }

    /// Binds the token to the certificate of the actor, as
    /// [`TokenRequest::bind_certificate`](super::TokenRequest::bind_certificate) does.
    pub fn bind_certificate(self, thumbprint: [u8; 32]) -> Self {
        Self { certificate: Some(thumbprint), ..self }
    }

    /// Signs the token.
    ///
    /// # Errors
    /// When the token of the caller has expired, the token has no audience, the name of the actor or the lifetime is not
    /// valid, or there are more than [`Actor::MAX_DEPTH`] actors.
    pub fn mint(self) -> Result<DelegatedToken, IssueError> {
        check_lifetime(self.lifetime)?;
        if self.audience.is_empty() {
            return Err(IssueError::new(
                "a token on behalf of a caller needs an audience; name the service with `.audience(…)`",
            ));
        }
        let now = self.issuer.clock.now();
        let (until, issued) = match &self.caller {
            Identity::Service(caller) => (caller.claims().exp, caller.claims().iat),
            Identity::User(user) => (user.claims().exp, user.claims().iat),
        };
        // The authority of the token is the caller's. So it ends with that, and counts as old as that: a policy with
        // `max_age` and a revocation of all tokens up to a time mean the original token.
        let exp = now.plus(self.lifetime).unix().min(until);
        let iat = issued.map(|issued| issued.min(now.unix()));
        if exp <= now.unix() {
            return Err(IssueError::new("the token of the caller has expired"));
        }
        if self.issuer.strict && iat.is_none() {
            return Err(IssueError::new("a strict token needs an `iat`, and that of the caller has none"));
        }
        let key = self.issuer.key();
        if self.issuer.strict {
            refuse_secret(&key)?;
        }
        let cnf = self.certificate.map(Binding::Certificate);
        let signing = Signing { key: &key, cnf, strict: self.issuer.strict };
        let (issuer, jti) = (self.issuer.issuer.clone(), Uuid::new_v4().to_string());
        let token = match &self.caller {
            Identity::Service(caller) => {
                let claims = ServiceClaims {
                    sub: caller.service().to_owned(),
                    actor: Some(acting(&self.actor, caller.actor(), caller.issuer())?),
                    issuer,
                    aud: self.audience.clone(),
                    exp,
                    iat,
                    nbf: None,
                    jti: Some(jti.clone()),
                    ..caller.claims().clone()
                };
                sign_claims(&signing, &claims, "service", true)?
            }
            Identity::User(user) => {
                let claims = UserClaims {
                    actor: Some(acting(&self.actor, user.actor(), &user.claims().issuer)?),
                    issuer,
                    exp,
                    iat,
                    nbf: None,
                    jti: Some(jti.clone()),
                    ..user.claims().clone()
                };
                sign_claims(&signing, &ForAudience { claims: &claims, aud: &self.audience }, "access", false)?
            }
        };
        refuse_unreadable(&token, &self.audience, key.kid())?;
        Ok(DelegatedToken { token, jti, expires: Timestamp::from_unix(exp) })
    }
}

/// The actor, after those of the token of the caller. Their names belong to the issuer of that token.
fn acting(name: &str, prior: Option<&Actor>, issuer: &str) -> Result<Actor, IssueError> {
    let invalid = |error| IssueError::new(format!("`{}`: {error}", quoted(name)));
    let actor = Actor::new(name).map_err(invalid)?;
    match prior {
        None => Ok(actor),
        Some(prior) => actor.after(prior.clone().known_to(issuer)).map_err(invalid),
    }
}

/// The claims of a user, with the audience that [`UserClaims`] do not have.
#[derive(serde::Serialize)]
struct ForAudience<'c> {
    #[serde(flatten)]
    claims: &'c UserClaims,
    aud: &'c [String],
}

/// A signed token on behalf of a caller.
///
/// `Debug` does not print it.
#[derive(Clone)]
pub struct DelegatedToken {
    token: String,
    jti: String,
    expires: Timestamp,
}

impl DelegatedToken {
    /// The token. It is a secret, so store it as one.
    pub fn as_str(&self) -> &str {
        &self.token
    }

    /// The token's `jti`, for logs.
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// The first instant at which the token is not valid any more.
    pub fn expires_at(&self) -> Timestamp {
        self.expires
    }
}

impl fmt::Debug for DelegatedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DelegatedToken").field("jti", &self.jti).field("expires", &self.expires).finish()
    }
}
