//! actix-web 4: a guard and a caller are extractors; a rejection is a response.
//!
//! actix polls all extractors of a handler in turns, so that a later one runs while an earlier one
//! waits. Hence decisions about one request queue up, and its body stays shut until the first is made.

use std::{
    borrow::Cow,
    convert::Infallible,
    future::{Future, Ready, poll_fn, ready},
    pin::{Pin, pin},
    task::Poll,
};

use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    dev::Payload,
    error::PayloadError,
    http::{
        StatusCode,
        header::{AUTHORIZATION, HeaderValue},
    },
    web::Data,
};
use futures_util::TryFutureExt;
use tokio::sync::watch;

use super::decided::Decided;
use crate::{
    caller::{Caller, Identity},
    guard::{Guard, Public, StaticPolicy, StaticReason, refuse_unverifiable},
    policy::Policy,
    recorder::RequestContext,
    rejection::Rejection,
    trace_context::trace_parent,
    verifier::Verifier,
};

type Deciding<T> = Pin<Box<dyn Future<Output = Result<T, Rejection>>>>;

impl<P: StaticPolicy, const ALONE: bool> FromRequest for Guard<P, ALONE> {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let Some(verifier) = verifier(&request) else {
                return Err(Self::refuse_unverifiable(|| context(&request), REMEDY));
            };
            await_unknown_key(&verifier, &request).await;
            let epoch = verifier.recorder().epoch();
            let (guard, caller) = Self::enforce(&verifier, bytes(&request), || context(&request))?;
            leave_decided(&request, caller, epoch);
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
            await_unknown_key(&verifier, &request).await;
            let epoch = verifier.recorder().epoch();
            let caller =
                verifier.enforce_request(bytes(&request), &Policy::any_service(), || context(&request))?;
            leave_decided(&request, caller.clone(), epoch);
            Ok(caller)
        })
    }
}

/// For a gateway, which forwards services and users: authenticates either, with one record. A handler
/// wants `#[service_only]` or [`Caller`].
impl FromRequest for Identity {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let verifier = required_verifier(&request)?;
            await_unknown_key(&verifier, &request).await;
            verifier.enforce_identity_request(bytes(&request), || context(&request))
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
    verifier(request).ok_or_else(|| refuse_unverifiable(|| context(request), REMEDY))
}

/// At most once a request, and bounded by the key source.
async fn await_unknown_key(verifier: &Verifier, request: &HttpRequest) {
    if let Some(refresh) = verifier.refresh_keys_for_request(bytes(request)) {
        refresh.await;
    }
}

fn leave_decided(request: &HttpRequest, caller: Caller, epoch: Option<u64>) {
    let decided = Decided::new(authorization(request), caller, epoch);
    request.extensions_mut().insert(decided);
}

fn decided_before(request: &HttpRequest, verifier: &Verifier) -> Option<Caller> {
    let extensions = request.extensions();
    let decided = extensions.get::<Decided<HeaderValue>>()?;
    decided.caller(verifier, authorization(request))
}

fn authorization(request: &HttpRequest) -> impl Iterator<Item = &HeaderValue> {
    request.headers().get_all(AUTHORIZATION)
}

fn bytes(request: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    authorization(request).map(HeaderValue::as_bytes)
}

fn context(request: &HttpRequest) -> RequestContext<'_> {
    RequestContext {
        endpoint: None,
        method: Some(request.method().as_str()),
        route: request.match_pattern().map(Cow::Owned),
        path: Some(request.path()),
        // Of the connection: `realip_remote_addr` would believe a header.
        client_address: request.peer_addr().map(|address| address.ip()),
        trace: request.headers().get("traceparent").and_then(|value| trace_parent(value.as_bytes())),
    }
}
