//! actix-web 4: a guard and a caller are extractors; a rejection is a response.
//!
//! actix polls all extractors of a handler in turns, so that a later one runs while an earlier one
//! waits. Hence decisions about one request queue up, and its body stays shut until the first is made.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    net::IpAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    error::PayloadError,
    http::{
        Method, StatusCode,
        header::{AUTHORIZATION, HeaderValue},
        uri::PathAndQuery,
    },
    web::Data,
};
use futures_util::TryFutureExt;
use tokio::sync::watch;

use super::{
    decided::{Decided, Owner},
    unfinished::Unfinished,
};
use crate::{
    audit::RequestContext,
    caller::{Caller, Identity},
    guard::{Guard, Public, StaticPolicy, StaticReason, refuse_unverifiable},
    policy::{Endpoint, Policy},
    recorder::{Asked, Attempt, Attempted, KeptRequest},
    rejection::Rejection,
    trace_context::trace_parent,
    verifier::Verifier,
};

type Deciding<T> = Pin<Box<dyn Future<Output = Result<T, Rejection>>>>;

impl<P: StaticPolicy> FromRequest for Guard<P> {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let Some(verifier) = verifier(&request) else {
                return Err(Self::refuse_unverifiable(&request, REMEDY));
            };
            await_unknown_key(&verifier, &request, Some(P::endpoint)).await;
            let epoch = verifier.recorder().epoch();
            let asked = || (request.clone(), earlier(&request, &verifier));
            let (guard, caller) = Self::enforce(&verifier, bytes(&request), asked)?;
            leave_decided(&request, &Identity::Service(caller), epoch, Owner::Guard);
            Ok(guard)
        })
    }
}

impl<R: StaticReason> FromRequest for Public<R> {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::anybody()))
    }
}

/// Put it before an argument that reads the body: on a handler without `#[service_only]`, nothing of
/// the body is read then until the caller is verified.
impl FromRequest for Caller {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let verifier = required_verifier(&request)?;
            if let Some(caller) = decided_before(&request, &verifier) {
                return Ok(caller);
            }
            await_unknown_key(&verifier, &request, None).await;
            let epoch = verifier.recorder().epoch();
            let asked = || asked(&request, &verifier, None);
            let caller = verifier.enforce_request(bytes(&request), &Policy::any_service(), asked)?;
            leave_decided(&request, &Identity::Service(caller.clone()), epoch, Owner::Extractors);
            Ok(caller)
        })
    }
}

/// For a gateway, which forwards services and users: authenticates either. Beside a guard or a [`Caller`] it is the
/// same decision. A handler wants `#[service_only]` or [`Caller`].
impl FromRequest for Identity {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let verifier = required_verifier(&request)?;
            if let Some(caller) = decided_before(&request, &verifier) {
                return Ok(Self::Service(caller));
            }
            await_unknown_key(&verifier, &request, None).await;
            let epoch = verifier.recorder().epoch();
            let asked = || asked(&request, &verifier, None);
            let identity = verifier.enforce_identity_request(bytes(&request), asked)?;
            leave_decided(&request, &identity, epoch, Owner::Extractors);
            Ok(identity)
        })
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        // A status that is none would be a defect here; it must not become a success.
        StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        for header in self.headers() {
            response.insert_header(header);
        }
        response.body(self.body())
    }
}

/// Set once the decision was made in the caller's favour, closed without where it was not.
#[derive(Clone)]
struct LetIn(watch::Receiver<bool>);

impl LetIn {
    fn pending() -> (watch::Sender<bool>, Self) {
        let (let_in, waiting) = watch::channel(false);
        (let_in, Self(waiting))
    }

    async fn or_refused(mut self) -> Result<(), watch::error::RecvError> {
        self.0.wait_for(|let_in| *let_in).await.map(drop)
    }
}

/// Decides when polled, after the decisions about this request that began before. Until then nothing
/// of the body can be read, and after a refusal neither.
fn before_the_body<T: 'static>(
    request: &HttpRequest,
    payload: &mut Payload,
    decide: impl AsyncFnOnce(HttpRequest) -> Result<T, Rejection> + 'static,
) -> Deciding<T> {
    let shut = shut(payload);
    let request = request.clone();
    Box::pin(async move {
        // Only one that had to wait is there.
        let earlier = request.extensions().get::<LetIn>().cloned();
        let mut deciding = pin!(decide(request.clone()));
        // Nearly always the decision is made at once, and nobody has to know that it was ever open.
        let at_once = match earlier {
            None => poll_fn(|context| Poll::Ready(deciding.as_mut().poll(context))).await,
            Some(_) => Poll::Pending,
        };
        let (let_in, decided) = match at_once {
            Poll::Ready(decided) => (shut.map(|(let_in, _)| let_in), decided),
            Poll::Pending => {
                let (let_in, waiting) = shut.unwrap_or_else(LetIn::pending);
                request.extensions_mut().insert(waiting);
                if let Some(earlier) = earlier {
                    // A refusal does not speak for this decision, which may be another verifier's.
                    let _ = earlier.or_refused().await;
                }
                (Some(let_in), deciding.await)
            }
        };
        let decided = decided?;
        if let Some(let_in) = let_in {
            let_in.send_replace(true);
        }
        Ok(decided)
    })
}

/// Shuts the body, if there is one, until the decision is made.
fn shut(payload: &mut Payload) -> Option<(watch::Sender<bool>, LetIn)> {
    if let Payload::None = payload {
        return None;
    }
    let (let_in, waiting) = LetIn::pending();
    let body = payload.take();
    let opening = waiting.clone();
    let opened = async move {
        match opening.or_refused().await {
            Ok(()) => Ok(body),
            Err(_) => Err(PayloadError::Incomplete(None)),
        }
    };
    *payload = Payload::Stream { payload: Box::pin(opened.try_flatten_stream()) };
    Some((let_in, waiting))
}

const REMEDY: &str = "give the `App` one by `.app_data(web::Data::new(verifier))`";

fn verifier(request: &HttpRequest) -> Option<Verifier> {
    request.app_data::<Data<Verifier>>().map(|verifier| Verifier::clone(verifier))
}

fn required_verifier(request: &HttpRequest) -> Result<Verifier, Rejection> {
    verifier(request).ok_or_else(|| refuse_unverifiable(None, request, REMEDY))
}

/// At most once a request, and bounded by the key source. One that is cancelled leaves its record.
async fn await_unknown_key(verifier: &Verifier, request: &HttpRequest, endpoint: Option<fn() -> Endpoint>) {
    if let Some(refresh) = verifier.refresh_keys_for_request(bytes(request)) {
        let asked = || asked(request, verifier, endpoint.map(|endpoint| endpoint()));
        let waiting = Unfinished::new(|| verifier.record_cancelled(bytes(request), asked()));
        refresh.await;
        waiting.finish();
    }
}

/// What a decision at this place is about.
fn asked(request: &HttpRequest, verifier: &Verifier, endpoint: Option<Endpoint>) -> Attempted<HttpRequest> {
    Attempted { endpoint, request: request.clone(), earlier: earlier(request, verifier) }
}

/// It is linked to the attempt only: actix keeps extensions until the response is sent.
fn leave_decided(request: &HttpRequest, identity: &Identity, epoch: Option<u64>, owner: Owner) {
    let decided = Decided::new(authorization(request), identity, epoch, owner);
    request.extensions_mut().insert(decided);
}

fn decided_before(request: &HttpRequest, verifier: &Verifier) -> Option<Caller> {
    let extensions = request.extensions();
    let decided = extensions.get::<Decided<HeaderValue>>()?;
    decided.caller(verifier, authorization(request))
}

/// The attempt of an earlier decision about the same request.
fn earlier(request: &HttpRequest, verifier: &Verifier) -> Option<Arc<Attempt>> {
    let extensions = request.extensions();
    let decided = extensions.get::<Decided<HeaderValue>>()?;
    decided.attempt(verifier, authorization(request))
}

fn authorization(request: &HttpRequest) -> impl Iterator<Item = &HeaderValue> {
    request.headers().get_all(AUTHORIZATION)
}

fn bytes(request: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    authorization(request).map(HeaderValue::as_bytes)
}

impl Asked for HttpRequest {
    type Kept = KeptHttpRequest;

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            endpoint: None,
            method: Some(self.method().as_str()),
            route: self.match_pattern().map(Cow::Owned),
            path: Some(self.path()),
            // Of the connection: `realip_remote_addr` would believe a header.
            client_address: self.peer_addr().map(|address| address.ip()),
            trace: self.headers().get(TRACEPARENT).and_then(|value| trace_parent(value.as_bytes())),
        }
    }

    fn keep(&self) -> KeptHttpRequest {
        KeptHttpRequest {
            method: self.method().clone(),
            target: self.uri().path_and_query().cloned(),
            route: self.match_pattern(),
            client_address: self.peer_addr().map(|address| address.ip()),
            traceparent: self.headers().get(TRACEPARENT).cloned(),
        }
    }
}

const TRACEPARENT: &str = "traceparent";

/// The recorded parts of a request, shared with it. A request of actix cannot leave its thread.
pub(crate) struct KeptHttpRequest {
    method: Method,
    target: Option<PathAndQuery>,
    route: Option<String>,
    client_address: Option<IpAddr>,
    traceparent: Option<HeaderValue>,
}

impl KeptRequest for KeptHttpRequest {
    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            endpoint: None,
            method: Some(self.method.as_str()),
            route: self.route.as_deref().map(Cow::Borrowed),
            path: Some(self.target.as_ref().map_or("", PathAndQuery::path)),
            client_address: self.client_address,
            trace: self.traceparent.as_ref().and_then(|value| trace_parent(value.as_bytes())),
        }
    }
}
