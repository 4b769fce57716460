//! Attacks an app of actix-web in the test's own process.
//!
//! A service of actix-web stays on its thread, and an attack may move between threads. So the app has a thread of
//! its own, which ends with the attack.

use std::{fmt, pin::pin, thread};

use actix_web::{
    App, Error, HttpResponse,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::{
        Method, Uri,
        header::{HeaderName, HeaderValue},
    },
    rt::System,
    test::{TestRequest, init_service, try_call_service},
};
use http::{HeaderMap, StatusCode};
use tokio::sync::{mpsc, oneshot};

use super::{
    Attack,
    likeness::Reply,
    target::{Answer, Message, ReadBody, Sending, Target, Unanswered},
    untrusted::{beginning, caught},
};
use crate::draft::Tolerance;

/// Starts an attack on an app of actix-web, without a port. Pass a closure that creates the app, as for
/// `HttpServer::new`.
///
/// ```
/// # #[actix_web::main] async fn main() {
/// use actix_web::{App, delete, web};
/// use http::Method;
/// use service_only::{Verifier, service_only};
/// use service_only_testkit::{TestAuthority, attack_actix};
///
/// #[service_only(services("orchestrator"), scopes("tenants:delete"))]
/// #[delete("/tenants/{tenant}")]
/// async fn delete_tenant(tenant: web::Path<String>) -> String {
///     format!("{tenant} deleted")
/// }
///
/// let authority = TestAuthority::new();
/// let verifier = authority.verifier();
/// attack_actix(move || App::new().app_data(web::Data::new(verifier)).service(delete_tenant))
///     .as_caller(authority.service("orchestrator").scope("tenants:delete"))
///     .audit(authority.audit())
///     .endpoint(Method::DELETE, "/tenants/7")
///     .run()
///     .await;
/// # }
/// ```
pub fn attack_actix<F, T, B>(app: F) -> Attack
where
    F: FnOnce() -> App<T> + Send + 'static,
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let (requests, received) = mpsc::unbounded_channel();
    thread::spawn(move || System::new().block_on(serve(app(), received)));
    Attack::on(ActixApp { requests }, Tolerance::default())
}

/// The app, on its own thread. The thread ends when the last clone of the sender is dropped.
struct ActixApp {
    requests: mpsc::UnboundedSender<Request>,
}

struct Request {
    message: Message,
    read: ReadBody,
    answer: oneshot::Sender<Answer>,
}

impl fmt::Debug for ActixApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActixApp")
    }
}

impl Target for ActixApp {
    fn send(&self, message: Message, read: ReadBody) -> Sending<'_> {
        let (answer, answered) = oneshot::channel();
        // If the app has ended, it drops the request, and the receiver returns an error.
        let _ = self.requests.send(Request { message, read, answer });
        Box::pin(async move {
            answered.await.unwrap_or_else(|_| Err(Unanswered::Broken("the app did not start".to_owned())))
        })
    }
}

async fn serve<T, B>(app: App<T>, mut received: mpsc::UnboundedReceiver<Request>)
where
    T: ServiceFactory<
            ServiceRequest,
            Config = (),
            Response = ServiceResponse<B>,
            Error = Error,
            InitError = (),
        > + 'static,
    B: MessageBody + 'static,
{
    let service = init_service(app).await;
    while let Some(Request { message, read, answer }) = received.recv().await {
        let answered = match test_request(message) {
            Ok(request) => exchanged(try_call_service(&service, request.to_request()), read).await,
            Err(why) => Err(Unanswered::NotSent(why)),
        };
        // An attack that was cancelled receives no answer.
        let _ = answer.send(answered);
    }
}

fn test_request(message: Message) -> Result<TestRequest, String> {
    let Message { method, target, headers, body, .. } = message;
    let method = Method::from_bytes(method.as_str().as_bytes()).map_err(|error| error.to_string())?;
    // `TestRequest::uri` panics if the target is invalid.
    let _: Uri = target.parse().map_err(|error| format!("the target: {error}"))?;
    let mut request = TestRequest::with_uri(&target).method(method).set_payload(body.unwrap_or_default());
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| format!("a header: {error}"))?;
        let value =
            HeaderValue::from_bytes(value.as_bytes()).map_err(|error| format!("a header: {error}"))?;
        request = request.append_header((name, value));
    }
    Ok(request)
}

async fn exchanged<B: MessageBody>(
    calling: impl Future<Output = Result<ServiceResponse<B>, Error>>,
    read: ReadBody,
) -> Answer {
    match caught(calling).await? {
        Ok(response) => reply(response.into(), read).await,
        Err(error) => reply(error.error_response(), read).await,
    }
}

async fn reply<B: MessageBody>(response: HttpResponse<B>, read: ReadBody) -> Answer {
    let status = StatusCode::from_u16(response.status().as_u16())
        .map_err(|error| Unanswered::Broken(error.to_string()))?;
    let mut headers = HeaderMap::new();
    for (name, value) in response.headers() {
        let name = http::HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, http::HeaderValue::from_bytes(value.as_bytes())) {
            headers.append(name, value);
        }
    }
    let body = match read {
        ReadBody::Yes => {
            let mut body = pin!(response.into_body());
            caught(beginning(|context| body.as_mut().poll_next(context).map(|chunk| chunk?.ok()))).await?
        }
        ReadBody::No => Vec::new(),
    };
    Ok(Reply::new(status, &headers, body))
}
