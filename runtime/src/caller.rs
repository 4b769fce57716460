//! Proof that a service was verified. It has one constructor, which only the verifier calls.

#[cfg(any(feature = "actix", feature = "axum"))]
mod argument;
mod audit_fragment;
mod identity;
mod typed;
mod user;

use std::{borrow::Cow, fmt, sync::Arc};

use serde::de::DeserializeOwned;
use serde_json::Value;

#[cfg(any(feature = "actix", feature = "axum"))]
pub(crate) use self::argument::Argument;
pub(crate) use self::audit_fragment::{Fragment, MAX_FRAGMENT};
pub use self::{identity::Identity, typed::Claims, user::User};
use crate::{
    audit::Subject,
    authorize::{Asking, Known, PathParameters, authorize},
    claims::{Actor, InvalidClaims, Scopes, ServiceClaims, TokenMembers},
    denial::{Code, Denial},
    keys::KeyId,
    policy::Policy,
    proof::Proof,
    recorder::{Attempt, Attempts, Identified, Recorded, Recorder, Refused},
    rejection::Rejection,
    revocation::PresentedToken,
    times::{Moment, Times},
    trusted::Acceptance,
};

/// A verified service.
///
/// A value of this type proves that the verifier checked the signature, the issuer, the audience, the times and the
/// kind of a token. If the verifier [trusts certificates](crate::TrustedIssuer::spiffe_x509), it can also prove that the
/// certificate of the connection names the service.
///
/// You can keep a caller in a job or a stream. Each guarded function to which you pass it checks it again: its key, the
/// times of its token, revocation and the policy. Between these calls, nothing checks it. So in a long stream, call a
/// guarded function for each message.
///
/// It is cheap to clone. A guarded handler may take it as an optional argument. On a handler without
/// `#[service_only]`, this argument alone authenticates the request.
///
/// In axum, `Option<Caller>` does not compile, because it would admit unauthenticated requests as `None`:
///
#[cfg_attr(feature = "axum", doc = "```compile_fail,E0277")]
#[cfg_attr(not(feature = "axum"), doc = "```text")]
/// use axum::{Router, routing::get};
/// use service_only::{Caller, Verifier};
///
/// async fn list(_: Option<Caller>) {}
///
/// let router: Router<Verifier> = Router::new().route("/", get(list));
/// ```
///
/// A caller belongs to the attempt that it was verified for, and each attempt writes one audit record. The record is
/// written when the handler or the guarded function ends, or when it refuses with [`Caller::refuse`]. Without either,
/// the attempt ends when the caller that the verifier returned is dropped. To store a caller, store a clone: a clone
/// does not delay the record.
#[derive(Clone)]
pub struct Caller {
    verified: Arc<Verified>,
    attempts: Attempts,
}

struct Verified {
    claims: ServiceClaims,
    members: TokenMembers,
    acceptance: Acceptance,
    recorder: Arc<Recorder>,
    fragment: Fragment,
}

impl Caller {
    /// The only constructor. It takes the claims of a token that the verifier accepted, the facts that the acceptance
    /// is based on, and the recorder to which that verifier records decisions about them.
    pub(crate) fn verified(
        claims: ServiceClaims,
        members: TokenMembers,
        acceptance: Acceptance,
        recorder: Arc<Recorder>,
    ) -> Self {
        let verified = Verified { claims, members, acceptance, recorder, fragment: Fragment::default() };
        Self { verified: Arc::new(verified), attempts: Attempts::default() }
    }

    /// Refuses the caller from within a handler or a guarded function. Use it for rules that a policy cannot express,
    /// such as a tenant that does not belong to the caller.
    ///
    /// The response is the same as for any other 403. Only the audit record contains the reason, with the code
    /// [`refused`](crate::error::Code::Refused). The record of the attempt has the decision "deny", and no second
    /// record follows. Return the result of this method: it is a response in axum and actix, and converts to a
    /// `tonic::Status`, an `http::Response` and a [`Denial`]. A caller whose attempt has ended, such as a stored one,
    /// gets a separate record.
    ///
    /// If a handler is not an `async fn` but returns a future, its attempt ends when the function returns.
    /// Write an `async fn` if you refuse later. If two guarded functions run at the same time with one `&Caller`,
    /// give each a clone.
    ///
    #[cfg_attr(feature = "axum", doc = "```")]
    #[cfg_attr(not(feature = "axum"), doc = "```text")]
    /// use axum::extract::Path;
    /// use service_only::{Caller, Rejection, service_only};
    ///
    /// #[service_only]
    /// async fn delete_tenant(Path(tenant): Path<String>, caller: Caller) -> Result<String, Rejection> {
    ///     if tenant != caller.service() {
    ///         return Err(caller.refuse(format!("`{tenant}` is not the tenant of the caller")));
    ///     }
    ///     Ok(tenant)
    /// }
    /// ```
    #[must_use = "the record says that the caller was refused, so return this"]
    pub fn refuse(&self, reason: impl Into<Cow<'static, str>>) -> Rejection {
        self.refuse_by(Denial::new(Code::Refused, reason))
    }

    fn refuse_by(&self, denial: Denial) -> Rejection {
        self.recorder().refuse_accepted(self.attempts.current(), denial, self.verified.clone())
    }

    /// The name of the calling service.
    pub fn service(&self) -> &str {
        self.claims().service.as_str()
    }

    /// The party that acts for the service, such as a gateway (`act`, RFC 8693 section 4.1). `None` if the service calls
    /// itself.
    pub fn actor(&self) -> Option<&Actor> {
        self.claims().actor.as_ref()
    }

    /// The `role` claim.
    pub fn role(&self) -> Option<&str> {
        self.claims().role.as_deref()
    }

    /// The scopes of the token.
    pub fn scopes(&self) -> &Scopes {
        &self.claims().scope
    }

    /// Whether the token has `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(scope)
    }

    /// The `jti` claim: the identifier of the token, for logs.
    pub fn jti(&self) -> Option<&str> {
        self.claims().jti.as_deref()
    }

    /// The issuer whose key signed the token.
    pub fn issuer(&self) -> &str {
        &self.claims().issuer
    }

    /// The key that signed the token, if it has a name.
    pub fn key_id(&self) -> Option<&KeyId> {
        self.verified.acceptance.key_id()
    }

    /// The proof that the sender of the token gave; `None` for a bearer token.
    pub fn proof(&self) -> Option<Proof> {
        self.verified.acceptance.proof()
    }

    /// The claims that every service token can have, typed. For other claims, see [`Caller::claim`].
    pub fn claims(&self) -> &ServiceClaims {
        &self.verified.claims
    }

    /// A claim of the token by its name, such as `tenant_id`, as the issuer wrote it.
    ///
    /// The payload is parsed at the first call, and the token cache keeps the result for later requests that find the token
    /// in the cache of their thread. A claim that contains an object with a repeated member is absent, because two readers
    /// could see two values.
    ///
    /// ```
    /// use service_only::{Caller, Denial, service_only};
    ///
    /// #[service_only(services("billing"))]
    /// fn bill(caller: &Caller) -> Result<String, Denial> {
    ///     match caller.claim("tenant_id").and_then(|tenant| tenant.as_str()) {
    ///         Some(tenant) => Ok(format!("billed {tenant}")),
    ///         None => Err(caller.refuse("the token names no tenant").into()),
    ///     }
    /// }
    /// ```
    pub fn claim(&self, name: &str) -> Option<&Value> {
        self.verified.members.get(name, self.claims())
    }

    /// The claims of the token as a type of your program. The token cache keeps the value of the first type that you
    /// ask for. In a handler, [`Claims`](crate::Claims) does the same as an argument, and refuses a token
    /// whose claims do not have the type.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use service_only::{Caller, Denial, service_only};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Tenant {
    ///     tenant_id: String,
    /// }
    ///
    /// #[service_only(services("billing"))]
    /// fn bill(caller: &Caller) -> Result<String, Denial> {
    ///     let tenant: Arc<Tenant> =
    ///         caller.claims_as().map_err(|error| caller.refuse(error.to_string()))?;
    ///     Ok(tenant.tenant_id.clone())
    /// }
    /// ```
    ///
    /// # Errors
    /// When the claims lack a field of the type, or a claim has another type.
    pub fn claims_as<T>(&self) -> Result<Arc<T>, InvalidClaims>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        self.verified.members.typed(self.claims())
    }

    /// The facts about the token that a revocation store needs, at this instant.
    pub(crate) fn presented(&self, at: Moment) -> PresentedToken<'_> {
        let claims = self.claims();
        PresentedToken {
            issuer: &claims.issuer,
            jti: claims.jti.as_deref(),
            service: Some(claims.service.as_str()),
            issued_at: at.proven_issue(claims.iat),
            key_id: self.key_id().map(KeyId::as_str),
        }
    }

    /// Whether the caller meets a policy.
    ///
    /// # Errors
    /// When it does not, or the policy is for users only.
    pub(crate) fn meets(
        &self,
        policy: &Policy<'_>,
        path: PathParameters<'_>,
        at: Moment,
    ) -> Result<(), Denial> {
        let known = Known { path, sets: &self.recorder().sets };
        let asking = Asking { proof: self.proof(), ..self.claims().into() };
        authorize(&asking, |name| self.claim(name), policy, known, at)
    }

    /// Checks again what may have changed since the token was accepted, in the order of the stages: its key, its
    /// times, its revocation. `good_since` is the epoch of the revocations in which the token was valid, if known;
    /// without it, this method queries the store.
    ///
    /// # Errors
    /// When the verifier would refuse the token if it arrived now.
    pub(crate) fn check_again(&self, at: Moment, good_since: Option<u64>) -> Result<(), Denial> {
        let Verified { claims, acceptance, recorder, .. } = &*self.verified;
        let times = Times { exp: claims.exp, nbf: claims.nbf, iat: claims.iat };
        check_again(acceptance, recorder, (times, at), good_since, || self.presented(at))
    }

    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.verified.recorder
    }

    /// The attempts that the caller belongs to.
    pub(crate) fn attempts(&self) -> &Attempts {
        &self.attempts
    }

    /// The same caller without an attempt. A caller inside an attempt must not own that attempt.
    pub(crate) fn without_attempt(&self) -> Self {
        Self { verified: Arc::clone(&self.verified), attempts: Attempts::default() }
    }

    /// Builds the refusal of this caller, whose credential was accepted.
    pub(crate) fn refused(&self, denial: Denial) -> Refused {
        refused(&self.verified.acceptance, self.identified(), denial)
    }
}

/// Builds the refusal of a service or a user whose credential was accepted.
fn refused(acceptance: &Acceptance, who: Option<Arc<dyn Identified>>, denial: Denial) -> Refused {
    let denial = if acceptance.is_by_certificate() { denial.without_token() } else { denial };
    Refused { who, ..denial.into() }
}

/// See [`Caller::check_again`].
fn check_again<'c>(
    acceptance: &Acceptance,
    recorder: &Recorder,
    (times, at): (Times, Moment),
    good_since: Option<u64>,
    presented: impl FnOnce() -> PresentedToken<'c>,
) -> Result<(), Denial> {
    acceptance.check_key()?;
    acceptance.check_times(&times, at)?;
    let Some(revocation) = &recorder.revocation else { return Ok(()) };
    revocation.check_since(good_since, times.prove_the_age(at), presented)?;
    Ok(())
}

impl Identified for Verified {
    fn subject(&self) -> Subject<'_> {
        let (kid, profile) = (self.acceptance.key_id().map(KeyId::as_str), self.acceptance.profile());
        let proof = self.acceptance.proof().map(Proof::as_str);
        Subject {
            service: Some(&self.claims),
            kid,
            profile: Some(profile),
            proof,
            fragment: self.fragment.get(&self.claims, kid, (profile, proof)),
            ..Subject::default()
        }
    }
}

impl Recorded for Caller {
    fn identified(&self) -> Option<Arc<dyn Identified>> {
        Some(self.verified.clone())
    }

    fn owning(self, attempt: Arc<Attempt>) -> Self {
        Self { attempts: Attempts::own(attempt), ..self }
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller")
            .field("service", &self.service())
            .field("issuer", &self.issuer())
            .field("jti", &self.jti())
            .finish_non_exhaustive()
    }
}
