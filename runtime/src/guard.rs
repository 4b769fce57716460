//! The one choke point: authenticate, authorize, record. Every way in ends here.

use std::{borrow::Cow, fmt, marker::PhantomData};

use uuid::Uuid;

#[cfg(any(feature = "actix", feature = "tonic"))]
use crate::{
    audit::TracingAudit,
    clock::{Clock, SystemClock},
};
use crate::{
    audit::{AuditError, AuditEvent, AuditSink, Decision},
    authorize::authorize,
    bearer::BearerToken,
    caller::{Caller, Identity, User},
    clock::{Stopwatch, Timestamp},
    denial::{Backslash, Code, Denial, escaped, quoted},
    keys::MAX_KID_LENGTH,
    policy::{Endpoint, Policy},
    recorder::Recorder,
    rejection::Rejection,
    verifier::{Known, Moment, Verifier, user_refused},
};

/// A policy and an endpoint carried by a type; what the attribute puts into the signature.
pub trait StaticPolicy: 'static {
    /// What the handler asks of its caller.
    const POLICY: Policy<'static>;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// A reason and an endpoint carried by a type; what `#[public]` puts into the signature.
pub trait StaticReason: 'static {
    /// Why anybody may call.
    fn reason() -> &'static str;
    /// The handler.
    fn endpoint() -> Endpoint;
}

/// The hidden first argument of a handler that anybody may call.
pub struct Public<R>(PhantomData<fn() -> R>);

impl<R: StaticReason> Public<R> {
    /// Asks nothing of the caller.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) const fn anybody() -> Self {
        Self(PhantomData)
    }
}

impl<R> fmt::Debug for Public<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Public")
    }
}

/// The hidden first argument of a guarded handler: proof that the policy `P` was met.
///
/// It has one constructor, which follows a decision.
pub struct Guard<P> {
    caller: Caller,
    policy: PhantomData<fn() -> P>,
}

impl<P: StaticPolicy> Guard<P> {
    /// Decides about one request.
    #[cfg(any(feature = "actix", feature = "axum", feature = "tonic"))]
    pub(crate) fn enforce<'r>(
        verifier: &Verifier,
        authorization: impl Iterator<Item = &'r [u8]>,
        request: RequestContext,
    ) -> Result<Self, Rejection> {
        let request = RequestContext { endpoint: Some(P::endpoint()), ..request };
        verifier.enforce_request(authorization, &P::POLICY, request).map(Self::granted)
    }

    /// Decides about one token, for a test that calls the handler as a function.
    ///
    /// # Errors
    /// When the verifier refuses the token, or the policy the caller.
    pub fn of_token(verifier: &Verifier, token: &str) -> Result<Self, Denial> {
        verifier.enforce_token(token, &P::POLICY).map(Self::granted)
    }

    /// The one constructor: a caller for whom the policy was decided.
    fn granted(caller: Caller) -> Self {
        Self { caller, policy: PhantomData }
    }

    /// Refuses because there is no verifier to ask.
    #[cfg(any(feature = "actix", feature = "tonic"))]
    pub(crate) fn refuse_unverifiable(request: RequestContext, remedy: &str) -> Rejection {
        refuse_unverifiable(RequestContext { endpoint: Some(P::endpoint()), ..request }, remedy)
    }

    /// Who calls.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

impl<P> fmt::Debug for Guard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guard").field(&self.caller).finish()
    }
}

/// What a framework knows of the request, for the audit record. Nothing here decides.
#[derive(Debug, Default, Clone)]
pub(crate) struct RequestContext {
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) method: Option<String>,
    pub(crate) route: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) client_address: Option<String>,
    pub(crate) trace_id: Option<String>,
}

impl Verifier {
    /// A request: its `Authorization` headers, a policy, and what to record beside the decision.
    pub(crate) fn enforce_request<'r>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
        policy: &Policy<'_>,
        request: RequestContext,
    ) -> Result<Caller, Rejection> {
        self.decide_request(authorization, request, |verifier, token, at, known| {
            verifier.permit(token, policy, at, known)
        })
    }

    /// A request of a service or of a user, without a policy: what a gateway forwards.
    #[cfg(any(feature = "actix", feature = "axum"))]
    pub(crate) fn enforce_identity_request<'r>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
        request: RequestContext,
    ) -> Result<Identity, Rejection> {
        self.decide_request(authorization, request, Self::identify)
    }

    /// Decides about the one bearer token of a request, and makes a refusal fit for the wire.
    fn decide_request<'r, T: Recorded>(
        &self,
        authorization: impl Iterator<Item = &'r [u8]>,
        request: RequestContext,
        decision: impl FnOnce(&Self, &str, Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, Rejection> {
        let decided = self.recorder().decide(request, |at, known| {
            let token = BearerToken::from_header_values(authorization)?;
            decision(self, token.as_str(), at, known)
        });
        decided.map_err(|(denial, instance)| Rejection::new(&denial, self.realm(), instance))
    }

    pub(crate) fn enforce_token(&self, token: &str, policy: &Policy<'_>) -> Result<Caller, Denial> {
        let decided = self
            .recorder()
            .decide(RequestContext::default(), |at, known| self.permit(token, policy, at, known));
        decided.map_err(|(denial, _)| denial)
    }

    pub(crate) fn enforce_identity(&self, token: &str) -> Result<Identity, Denial> {
        let decided =
            self.recorder().decide(RequestContext::default(), |at, known| self.identify(token, at, known));
        decided.map_err(|(denial, _)| denial)
    }

    /// Authenticates, and applies the policy to a service.
    fn permit(
        &self,
        token: &str,
        policy: &Policy<'_>,
        at: Moment,
        known: &mut Known,
    ) -> Result<Caller, Denial> {
        let caller = match self.identify(token, at, known)? {
            Identity::Service(caller) => caller,
            Identity::User(user) => {
                known.user = Some(user);
                return Err(user_refused());
            }
        };
        known.caller = Some(caller.clone());
        authorize(&caller, policy, at)?;
        Ok(caller)
    }
}

impl Recorder {
    /// Runs a decision at one instant, and writes exactly one record of it.
    pub(crate) fn decide<T: Recorded>(
        &self,
        request: RequestContext,
        decision: impl FnOnce(Moment, &mut Known) -> Result<T, Denial>,
    ) -> Result<T, (Denial, Uuid)> {
        let stopwatch = Stopwatch::start();
        let at = self.moment();
        let mut known = Known::default();
        let decided = decision(at, &mut known).and_then(|decided| self.auditable(decided));
        let event = event(at.now, &decided, known, request, stopwatch.elapsed_us());
        let recorded = record(&*self.audit, &event);
        match decided {
            Ok(_) if recorded.is_err() && self.require_audit => Err((audit_unavailable(), event.id)),
            decided => decided.map_err(|denial| (denial, event.id)),
        }
    }

    /// Where the audit is required, asks whether a record would be written, before it says "allow".
    fn auditable<T>(&self, decided: T) -> Result<T, Denial> {
        match self.require_audit.then(|| self.audit.ready()) {
            Some(Err(error)) => {
                tracing::error!(target: "service_only::audit", %error, "the audit is required and not ready");
                Err(audit_unavailable())
            }
            _ => Ok(decided),
        }
    }
}

/// Decides where no verifier was installed: nobody is let in. The record goes where those of a verifier
/// go that was not told otherwise.
#[cfg(any(feature = "actix", feature = "tonic"))]
pub(crate) fn refuse_unverifiable(request: RequestContext, remedy: &str) -> Rejection {
    let stopwatch = Stopwatch::start();
    tracing::error!(target: "service_only", remedy, "no verifier is installed, so every caller is refused");
    let denial = Denial::new(Code::NoVerifier, format!("no verifier is installed: {remedy}"));
    let decided = Err::<Caller, _>(denial.clone());
    let event = event(SystemClock.now(), &decided, Known::default(), request, stopwatch.elapsed_us());
    // A record that is lost cannot make this stricter.
    let _ = record(&TracingAudit, &event);
    Rejection::new(&denial, "", event.id)
}

/// Hands over a record, and says so where it is lost.
fn record(audit: &dyn AuditSink, event: &AuditEvent) -> Result<(), AuditError> {
    audit.record(event).inspect_err(|error| {
        tracing::error!(target: "service_only::audit", %error, id = %event.id, "an audit record was lost");
    })
}

fn audit_unavailable() -> Denial {
    Denial::new(Code::AuditUnavailable, "the audit record could not be written")
}

/// What an accepted token says of itself in the audit.
pub(crate) trait Recorded {
    fn caller(&self) -> Option<&Caller> {
        None
    }

    fn user(&self) -> Option<&User> {
        None
    }
}

/// Nobody was authenticated: the claims were given.
impl Recorded for () {}

impl Recorded for Caller {
    fn caller(&self) -> Option<&Caller> {
        Some(self)
    }
}

impl Recorded for Identity {
    fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Service(caller) => Some(caller),
            Self::User(_) => None,
        }
    }

    fn user(&self) -> Option<&User> {
        match self {
            Self::Service(_) => None,
            Self::User(user) => Some(user),
        }
    }
}

fn event<T: Recorded>(
    now: Timestamp,
    decided: &Result<T, Denial>,
    known: Known,
    request: RequestContext,
    duration_us: u64,
) -> AuditEvent {
    let denial = decided.as_ref().err();
    let caller = decided.as_ref().ok().and_then(Recorded::caller).or(known.caller.as_ref());
    let user = decided.as_ref().ok().and_then(Recorded::user).or(known.user.as_ref());
    let issuer = caller.map(Caller::issuer).or(user.map(|user| user.claims().issuer.as_str()));
    let jti = caller.map(Caller::jti).or(user.map(|user| user.claims().jti.as_deref())).flatten();
    let kid = match caller {
        Some(caller) => caller.key_id().map(|kid| kid.as_str().to_owned()),
        None => known.kid,
    };
    AuditEvent {
        id: event_id(now),
        time: now,
        decision: if denial.is_none() { Decision::Allow } else { Decision::Deny },
        status: denial.map_or(200, Denial::status),
        code: denial.map(Denial::code),
        stage: denial.map(Denial::stage),
        reason: denial.map(|denial| denial.reason().to_owned()),
        endpoint: request.endpoint,
        method: request.method.map(|method| logged(method, MAX_METHOD)),
        route: request.route.map(|route| logged(route, MAX_PATH)),
        path: request.path.map(|path| logged(path, MAX_PATH)),
        service: caller.map(|caller| caller.service().to_owned()),
        user: user.and_then(User::id).map(quoted),
        jti: jti.map(quoted),
        kid: kid.map(|kid| logged(kid, MAX_KID_LENGTH)),
        profile: known.profile,
        issuer: issuer.map(|issuer| logged(issuer.to_owned(), MAX_PATH)),
        client_address: request.client_address,
        trace_id: request.trace_id,
        duration_us,
        unverified_service: known.unverified_service,
    }
}

/// The longest path, route or issuer that is recorded, in characters.
const MAX_PATH: usize = 1024;

/// The longest method that is recorded, in characters. The longest registered one has 17.
const MAX_METHOD: usize = 32;

/// A path may hold any text above ASCII, a key's name any at all.
fn logged(text: String, longest: usize) -> String {
    match escaped(&text, longest, Backslash::Doubled) {
        Cow::Borrowed(_) => text,
        Cow::Owned(escaped) => escaped,
    }
}

/// RFC 9562 section 5.7, from the verifier's clock, so that records sort by time.
fn event_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.unix()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.subsec_nanos()))
}
