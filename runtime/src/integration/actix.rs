//! actix-web 4: a guard and a caller are extractors; a rejection is a response.
//!
//! actix polls all extractors of a handler in turns, so a later one runs while an earlier one
//! waits. Hence decisions about one request form a queue, and its body stays blocked until the first decision is
//! made.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    convert::Infallible,
    fmt,
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
        header::{AUTHORIZATION, HeaderMap, HeaderValue},
        uri::PathAndQuery,
    },
    web::{self, Data},
};
use futures_util::TryFutureExt;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, Visitor};
use tokio::sync::watch;

use super::{
    decided::{Credentials, Decided, Owner},
    unfinished::Unfinished,
};
use crate::{
    audit::RequestContext,
    bearer::OnlyHeader,
    caller::{Argument, Caller, Claims, Identity, User},
    guard::{Guard, Public, StaticPolicy, StaticReason, refuse_unverifiable},
    peer::PeerCertificate,
    policy::Endpoint,
    recorder::{Asked, Attempt, Attempted, KeptRequest, Recorder},
    rejection::{CREDENTIALS, Rejection, RequestHeaders},
    trace_context::trace_parent,
    verifier::{Companion, Incoming, Verifier},
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
            let path = if P::POLICY.reads_path() { path_parameters(&request) } else { Vec::new() };
            let (guard, identity) = Self::enforce(&verifier, bytes(&request), &request, &path, asked)?;
            leave_decided(&request, &identity, epoch, Owner::Guard);
            Ok(guard)
        })
    }
}

impl<R: StaticReason> FromRequest for Public<R> {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::unchecked()))
    }
}

/// Put this argument before one that reads the body. On a handler without `#[service_only]`, nothing of
/// the body is then read until the caller is verified.
impl FromRequest for Caller {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            argument(&request, &required_verifier(&request)?).await
        })
    }
}

/// The user that `#[users_only]` has admitted. Without a guard, this argument authenticates the request, and refuses a
/// service. Put it before an argument that reads the body.
impl FromRequest for User {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            argument(&request, &required_verifier(&request)?).await
        })
    }
}

/// The caller that `#[callers]` has admitted. Without a guard, this argument authenticates a service or a user, for a
/// gateway that forwards both. Together with a guard or a [`Caller`] it shares one decision.
impl FromRequest for Identity {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            argument(&request, &required_verifier(&request)?).await
        })
    }
}

/// Reads the claims of the identity that a guard or an earlier argument has admitted, or of a service.
impl<T: DeserializeOwned + Send + Sync + 'static> FromRequest for Claims<T> {
    type Error = Rejection;
    type Future = Deciding<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Deciding<Self> {
        before_the_body(request, payload, async |request| {
            let verifier = required_verifier(&request)?;
            match identified_before(&request, &verifier) {
                Some(identity) => Self::of(identity),
                None => Self::of(argument::<Caller>(&request, &verifier).await?.into()),
            }
        })
    }
}

/// Authenticates the request for an argument, unless a guard or an earlier argument did. An earlier identity of another
/// kind is refused by a new decision.
async fn argument<I: Argument>(request: &HttpRequest, verifier: &Verifier) -> Result<I, Rejection> {
    if let Some(argument) = identified_before(request, verifier).and_then(I::of) {
        return Ok(argument);
    }
    await_unknown_key(verifier, request, None).await;
    let epoch = verifier.recorder().epoch();
    let asked = || asked(request, verifier, None);
    let admitted: I = verifier.enforce_argument(bytes(request), request, asked)?;
    leave_decided(request, &admitted.clone().into(), epoch, Owner::Extractors);
    Ok(admitted)
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        // An invalid status would be a defect of this crate; it must not become a success.
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

/// A signal: set after the decision has admitted the caller, closed if the caller was refused.
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

/// Decides when polled, after earlier decisions about this request. Until then, and after a refusal, the body
/// cannot be read.
fn before_the_body<T: 'static>(
    request: &HttpRequest,
    payload: &mut Payload,
    decide: impl AsyncFnOnce(HttpRequest) -> Result<T, Rejection> + 'static,
) -> Deciding<T> {
    let shut = shut(payload);
    let request = request.clone();
    Box::pin(async move {
        // The extension exists only if an earlier decision had to wait.
        let earlier = request.extensions().get::<LetIn>().cloned();
        let mut deciding = pin!(decide(request.clone()));
        // Nearly always the decision completes on the first poll, and no other extractor has to wait for it.
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
                    // An earlier refusal does not decide here, because it may come from another verifier.
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

/// Blocks the body, if there is one, until the decision is made.
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

const REMEDY: &str = "add one to the `App` with `.app_data(web::Data::new(verifier))`";

fn verifier(request: &HttpRequest) -> Option<Verifier> {
    request.app_data::<Data<Verifier>>().map(|verifier| Verifier::clone(verifier))
}

fn required_verifier(request: &HttpRequest) -> Result<Verifier, Rejection> {
    verifier(request).ok_or_else(|| refuse_unverifiable(None, request, REMEDY))
}

/// Waits for an unknown key at most once per request; the key source bounds the wait. A cancelled wait leaves a
/// record.
async fn await_unknown_key(verifier: &Verifier, request: &HttpRequest, endpoint: Option<fn() -> Endpoint>) {
    let refresh = verifier.refresh_keys_for_request(bytes(request));
    #[cfg(feature = "experimental-wimse")]
    let refresh = refresh.or_else(|| {
        let token = || Incoming::companion(request, Companion::IdentityToken);
        verifier.refresh_keys_for_workload(bytes(request), token)
    });
    if let Some(refresh) = refresh {
        let asked = || asked(request, verifier, endpoint.map(|endpoint| endpoint()));
        let waiting = Unfinished::new(|| verifier.record_cancelled(bytes(request), asked()));
        refresh.await;
        waiting.finish();
    }
}

/// The path parameters of the route, decoded as for the handler.
fn path_parameters(request: &HttpRequest) -> Vec<(String, String)> {
    let decoded = web::Path::<BTreeMap<ParameterName, String>>::extract(request).into_inner();
    let named = decoded.map(|decoded| decoded.into_inner()).unwrap_or_default();
    named.into_iter().map(|(ParameterName(name), value)| (name, value)).collect()
}

/// actix passes the names of parameters only to a type that asks for an identifier.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ParameterName(String);

impl<'de> Deserialize<'de> for ParameterName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = ParameterName;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a parameter")
            }
            fn visit_str<E>(self, name: &str) -> Result<ParameterName, E> {
                Ok(ParameterName(name.to_owned()))
            }
        }
        deserializer.deserialize_identifier(NameVisitor)
    }
}

/// Describes the request that is decided about.
fn asked(request: &HttpRequest, verifier: &Verifier, endpoint: Option<Endpoint>) -> Attempted<HttpRequest> {
    Attempted { endpoint, request: request.clone(), earlier: earlier(request, verifier), who: None }
}

/// Stores the decision in the request, linked to the attempt only: actix keeps extensions until the response is sent.
fn leave_decided(request: &HttpRequest, identity: &Identity, epoch: Option<u64>, owner: Owner) {
    let decided = Decided::new(request, identity, epoch, owner);
    request.extensions_mut().insert(decided);
}

fn identified_before(request: &HttpRequest, verifier: &Verifier) -> Option<Identity> {
    let extensions = request.extensions();
    extensions.get::<Decided<HeaderValue>>()?.identity(verifier, request, peer(request))
}

/// The attempt of an earlier decision about the same request.
fn earlier(request: &HttpRequest, verifier: &Verifier) -> Option<Arc<Attempt>> {
    let extensions = request.extensions();
    let decided = extensions.get::<Decided<HeaderValue>>()?;
    decided.attempt(verifier, request, peer(request))
}

impl Credentials<HeaderValue> for HttpRequest {
    fn authorization(&self) -> impl Iterator<Item = &HeaderValue> {
        self.headers().get_all(AUTHORIZATION)
    }

    fn companions(&self, companion: Companion) -> impl Iterator<Item = &HeaderValue> {
        let name = match companion {
            Companion::Proof => "dpop",
            #[cfg(feature = "experimental-wimse")]
            Companion::IdentityToken => "workload-identity-token",
        };
        self.headers().get_all(name)
    }
}

impl Incoming for HttpRequest {
    fn peer(&self) -> Option<&PeerCertificate> {
        peer(self)
    }

    fn method(&self) -> &str {
        self.method().as_str()
    }

    fn path(&self) -> &str {
        self.uri().path()
    }

    fn companion(&self, companion: Companion) -> OnlyHeader<'_> {
        OnlyHeader::of(self.companions(companion).map(HeaderValue::as_bytes))
    }

    #[cfg(feature = "experimental-wimse")]
    fn named_headers(&self) -> &dyn crate::dpop::NamedHeaders {
        self
    }

    fn accepted_before(&self, by: &Arc<Recorder>) -> Option<[u8; 32]> {
        self.extensions().get::<Decided<HeaderValue>>()?.accepted_key(by, self)
    }
}

#[cfg(feature = "experimental-wimse")]
impl crate::dpop::NamedHeaders for HttpRequest {
    fn named(&self, name: &str) -> OnlyHeader<'_> {
        OnlyHeader::of(self.headers().get_all(name).map(HeaderValue::as_bytes))
    }
}

/// The certificate of the client, which `service-only-tls` stores in the data of the connection.
fn peer(request: &HttpRequest) -> Option<&PeerCertificate> {
    request.conn_data()
}

fn bytes(request: &HttpRequest) -> impl Iterator<Item = &[u8]> {
    request.authorization().map(HeaderValue::as_bytes)
}

impl Asked for HttpRequest {
    type Kept = KeptHttpRequest;

    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            endpoint: None,
            method: Some(self.method().as_str()),
            route: self.match_pattern().map(Cow::Owned),
            path: Some(self.path()),
            // The address of the connection: `realip_remote_addr` would trust a header.
            client_address: self.peer_addr().map(|address| address.ip()),
            peer: peer(self).and_then(PeerCertificate::id),
            trace: self.headers().get(TRACEPARENT).and_then(|value| trace_parent(value.as_bytes())),
        }
    }

    fn keep(&self, with_headers: bool) -> KeptHttpRequest {
        KeptHttpRequest {
            headers: with_headers.then(|| {
                let mut headers = Box::new(self.headers().clone());
                CREDENTIALS.iter().for_each(|secret| drop(headers.remove(*secret)));
                headers
            }),
            method: self.method().clone(),
            target: self.uri().path_and_query().cloned(),
            route: self.match_pattern(),
            client_address: self.peer_addr().map(|address| address.ip()),
            peer: peer(self).cloned(),
            traceparent: self.headers().get(TRACEPARENT).cloned(),
        }
    }
}

const TRACEPARENT: &str = "traceparent";

/// The recorded parts of a request, shared with it. A request of actix cannot move to another thread.
pub(crate) struct KeptHttpRequest {
    /// Only if the application builds the bodies of refusals.
    headers: Option<Box<HeaderMap>>,
    method: Method,
    target: Option<PathAndQuery>,
    route: Option<String>,
    client_address: Option<IpAddr>,
    peer: Option<PeerCertificate>,
    traceparent: Option<HeaderValue>,
}

impl RequestHeaders for HttpRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }
}

impl RequestHeaders for KeptHttpRequest {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.as_ref()?.get(name)?.to_str().ok()
    }
}

impl KeptRequest for KeptHttpRequest {
    fn context(&self) -> RequestContext<'_> {
        RequestContext {
            endpoint: None,
            method: Some(self.method.as_str()),
            route: self.route.as_deref().map(Cow::Borrowed),
            path: Some(self.target.as_ref().map_or("", PathAndQuery::path)),
            client_address: self.client_address,
            peer: self.peer.as_ref().and_then(PeerCertificate::id),
            trace: self.traceparent.as_ref().and_then(|value| trace_parent(value.as_bytes())),
        }
    }
}
