//! tower: a layer that guards any service of HTTP requests, for a route that has no handler function.

use std::{
    future::Future,
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, request::Parts};
use http_body_util::{Either, Full};
use tower_layer::Layer;
use tower_service::Service;

use super::{
    decided::Owner,
    parts::{
        Sent, authorization, await_unknown_key, bytes, earlier, leave_decided, leave_identity, response,
    },
};
use crate::{
    denial::quoted,
    error::BuildError,
    policy::{Endpoint, Policy},
    policy_digest::digest_of,
    recorder::{Attempt, Attempted},
    rejection::Rejection,
    routes::Access,
    sets::ServiceSetError,
    verifier::Verifier,
};

/// Guards a service that has no handler function: static files, a proxy, a whole router.
///
/// The layer decides about the request before the service receives it, and reads nothing of its body. A refused caller
/// gets the same response as from a guarded handler. With the feature `tonic`, the response to a gRPC request also
/// contains the gRPC status. For an admitted caller, the extensions of the request contain the
/// [`Caller`](crate::Caller), or the [`User`](crate::User) if the policy admits users. If a handler behind the layer
/// takes an argument `caller: Caller`, it gets this caller, without a second decision. A guarded handler behind the
/// layer also applies its own policy. The request still has one audit record, which names that handler.
///
/// ```
/// use axum::{Router, http::{Request, Response}, body::Body};
/// use service_only::{Policy, ServiceOnlyLayer, Verifier};
/// use tower::{Layer, service_fn};
///
/// const STOCK_KEEPERS: Policy<'static> = Policy::any_service().services(&["orders", "warehouse"]);
///
/// fn app(verifier: Verifier) -> Router {
///     let files = service_fn(async |_: Request<Body>| Ok(Response::new(Body::from("12 loaves"))));
///     let guarded = ServiceOnlyLayer::new(verifier, STOCK_KEEPERS)
///         .endpoint(module_path!(), "stock_file")
///         .layer(files);
///     Router::new().route_service("/stock.txt", guarded)
/// }
/// ```
#[derive(Debug, Clone)]
pub struct ServiceOnlyLayer {
    verifier: Verifier,
    policy: Policy<'static>,
    endpoint: Option<Endpoint>,
}

impl ServiceOnlyLayer {
    /// Creates a layer that admits callers that `verifier` accepts and `policy` allows. For a policy that is known only at
    /// run time, see [`of_access`](Self::of_access).
    ///
    /// If the policy refers to a set of services that the verifier lacks, the set allows no service. If it requires a proof
    /// of DPoP and the verifier checks none, it refuses every caller. The log has the error. Use
    /// [`try_new`](Self::try_new) so that such a program does not start.
    pub fn new(verifier: Verifier, policy: Policy<'static>) -> Self {
        if let Err(error) = check(&verifier, &policy) {
            tracing::error!(target: "service_only", %error, "the verifier of a layer cannot check its policy");
        }
        Self::of(verifier, policy)
    }

    /// Creates a layer, as [`new`](Self::new), and checks that the verifier has the sets of services of the policy, and
    /// checks proofs of DPoP if the policy requires one.
    ///
    /// # Errors
    /// When it lacks a set, or does not check proofs of DPoP.
    ///
    /// ```standalone_crate
    /// use service_only::{Policy, ServiceOnlyLayer, Verifier, error::BuildError};
    ///
    /// const DELETERS: Policy<'static> = Policy::any_service().services(&["@deleters"]);
    ///
    /// fn layer(verifier: Verifier) -> Result<ServiceOnlyLayer, BuildError> {
    ///     ServiceOnlyLayer::try_new(verifier, DELETERS)
    /// }
    /// ```
    pub fn try_new(verifier: Verifier, policy: Policy<'static>) -> Result<Self, BuildError> {
        check(&verifier, &policy)?;
        Ok(Self::of(verifier, policy))
    }

    /// Creates a layer for a policy that is known only at run time, such as one that your configuration contains. It checks
    /// the policy as [`try_new`](Self::try_new) does. The texts of the policy stay in memory until the program ends, once for
    /// all equal policies: see [`Access::to_policy`].
    ///
    /// # Errors
    /// When the access is public, or as [`try_new`](Self::try_new).
    ///
    /// ```
    /// use service_only::{ServiceOnlyLayer, Verifier, routes::Access};
    ///
    /// fn layer(verifier: Verifier, configured: &str) -> Result<ServiceOnlyLayer, Box<dyn std::error::Error>> {
    ///     // Such as {"service_only":{"services":["orders"]}}
    ///     let access: Access = serde_json::from_str(configured)?;
    ///     Ok(ServiceOnlyLayer::of_access(verifier, &access)?)
    /// }
    /// ```
    pub fn of_access(verifier: Verifier, access: &Access) -> Result<Self, BuildError> {
        Self::try_new(verifier, access.to_policy().ok_or(BuildError::PublicLayer)?)
    }

    fn of(verifier: Verifier, policy: Policy<'static>) -> Self {
        if let Some(issuers) = policy.allowed_issuers()
            && !issuers.iter().any(|issuer| verifier.trusts(issuer))
        {
            let issuers = issuers.join(" ");
            tracing::warn!(target: "service_only", issuers, "a layer requires issuers that its verifier does not trust");
        }
        Self { verifier, policy, endpoint: None }
    }

    /// Names the service in audit records as if it were a handler: with a module path (`module_path!()`) and a name.
    #[must_use]
    #[track_caller]
    pub fn endpoint(self, module_path: &'static str, name: &'static str) -> Self {
        let place = Location::caller();
        let endpoint = Endpoint::new(module_path, name, place.file(), place.line());
        Self { endpoint: Some(endpoint.with_policy(digest_of(&self.policy))), ..self }
    }

    /// What the layer requires of a caller.
    pub fn policy(&self) -> &Policy<'static> {
        &self.policy
    }

    /// Decides, and returns the attempt, which stays open until the service has answered.
    async fn decide(&self, parts: &mut Parts) -> Result<Option<Arc<Attempt>>, Rejection> {
        let verifier = &self.verifier;
        #[cfg(feature = "axum")]
        let path = match self.policy.reads_path() {
            true => super::parts::path_parameters(parts).await,
            false => Vec::new(),
        };
        // Without a router of axum the request has no parameters, and the policy refuses every caller.
        #[cfg(not(feature = "axum"))]
        let path = Vec::new();
        let authorization = authorization(&parts.headers);
        let asked = || Attempted {
            endpoint: self.endpoint,
            request: &*parts,
            earlier: earlier(&parts.extensions, &authorization, verifier),
            who: None,
        };
        await_unknown_key(verifier, &authorization, asked).await;
        let epoch = verifier.recorder().epoch();
        let mut identity = verifier.enforce_request(
            bytes(&authorization),
            &Sent::of(parts, &authorization),
            &self.policy,
            &path,
            asked,
        )?;
        let attempt = identity.release();
        leave_decided(&mut parts.extensions, &authorization, &identity, epoch, Owner::Guard);
        leave_identity(&mut parts.extensions, identity);
        Ok(attempt)
    }
}

impl<S> Layer<S> for ServiceOnlyLayer {
    type Service = ServiceOnly<S>;

    fn layer(&self, inner: S) -> ServiceOnly<S> {
        ServiceOnly { layer: self.clone(), inner }
    }
}

/// Checks that the verifier has everything that the policy refers to.
fn check(verifier: &Verifier, policy: &Policy<'static>) -> Result<(), BuildError> {
    if let Some(missing) = policy.service_sets().find(|set| !verifier.has_service_set(set)) {
        return Err(BuildError::ServiceSet(ServiceSetError::Unknown(quoted(missing))));
    }
    if policy.requires_dpop() && !verifier.checks_dpop() {
        return Err(BuildError::MissingDpop("the policy of a layer".to_owned()));
    }
    Ok(())
}

/// A service that [`ServiceOnlyLayer`] guards.
#[derive(Debug, Clone)]
pub struct ServiceOnly<S> {
    layer: ServiceOnlyLayer,
    inner: S,
}

impl<S> ServiceOnly<S> {
    /// What the service requires of its caller.
    pub fn policy(&self) -> &Policy<'static> {
        self.layer.policy()
    }

    /// The name of the service in the audit, if it has one.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.layer.endpoint.as_ref()
    }
}

/// The body of a response: a refusal, or the response of the guarded service.
pub type ServiceOnlyBody<B> = Either<Full<Bytes>, B>;

impl<S, B, A> Service<Request<B>> for ServiceOnly<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = Response<ServiceOnlyBody<A>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let layer = self.layer.clone();
        // Call the service that reported that it is ready; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match layer.decide(&mut parts).await {
                Ok(attempt) => {
                    let answered = inner.call(Request::from_parts(parts, body)).await;
                    drop(attempt);
                    Ok(answered?.map(Either::Right))
                }
                Err(rejection) => Ok(refusal(&parts, rejection).map(Either::Left)),
            }
        })
    }
}

fn refusal(parts: &Parts, rejection: Rejection) -> Response<Full<Bytes>> {
    let response = response(&rejection);
    #[cfg(feature = "tonic")]
    let response = super::grpc_status::with_status(response, rejection, &parts.headers);
    let _ = parts;
    response
}
