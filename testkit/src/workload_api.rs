//! A SPIFFE Workload API on a Unix socket, for tests of programs that get their certificates from it.

use std::{
    convert::Infallible,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
    routing::post,
};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use tokio::{net::UnixListener, sync::watch, task::JoinHandle};

use crate::{
    grpc,
    tls::{TestCa, TestCertificate},
};

/// A SPIFFE Workload API on a Unix socket. The test decides what it delivers to each program that connects.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> std::io::Result<()> {
/// use service_only_testkit::{TestCa, WorkloadApi};
///
/// let folder = tempfile::tempdir()?;
/// let api = WorkloadApi::start(folder.path().join("agent.sock")).await?;
/// let ca = TestCa::new("bakery.example");
/// api.deliver(&ca.leaf().spiffe_id("spiffe://bakery.example/orders").issue(), &ca);
/// // The program under test connects to `api.socket()`.
/// # Ok(()) }
/// ```
pub struct WorkloadApi {
    socket: PathBuf,
    delivery: Arc<watch::Sender<Delivery>>,
    task: JoinHandle<()>,
}

/// What a stream of the API says next.
#[derive(Clone, Default)]
enum Delivery {
    /// The agent has no identity for the program.
    #[default]
    Nothing,
    /// A message in the encoding of protobuf.
    Message(Vec<u8>),
    /// All streams end.
    Ended,
}

impl WorkloadApi {
    /// Listens at a path. It has no identity for any program until [`deliver`](Self::deliver) is called.
    ///
    /// # Errors
    /// When the socket cannot be created.
    pub async fn start(socket: impl Into<PathBuf>) -> io::Result<Self> {
        let socket = socket.into();
        let listener = UnixListener::bind(&socket)?;
        let delivery = Arc::new(watch::Sender::new(Delivery::default()));
        let router = Router::new()
            .route("/SpiffeWorkloadAPI/FetchX509SVID", post(fetch))
            .with_state(Arc::clone(&delivery));
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { socket, delivery, task })
    }

    /// The path of the socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Delivers an SVID with the roots of its trust domain, now and to each program that asks later.
    pub fn deliver(&self, svid: &TestCertificate, roots: &TestCa) {
        self.deliver_with(svid, roots, &[]);
    }

    /// Delivers an SVID with the roots of its trust domain, and with those of federated trust domains, such as
    /// `partner.example`.
    pub fn deliver_with(&self, svid: &TestCertificate, roots: &TestCa, federated: &[(&str, &TestCa)]) {
        let mut entry = field(1, svid.spiffe_id().unwrap_or_default().as_bytes());
        entry.extend(field(2, &svid.chain().concat()));
        entry.extend(field(3, &svid.key_der()));
        entry.extend(field(4, &roots.der().unwrap_or_default()));
        let mut message = field(1, &entry);
        for (domain, ca) in federated {
            let name = format!("spiffe://{domain}");
            let bundle = [field(1, name.as_bytes()), field(2, &ca.der().unwrap_or_default())].concat();
            message.extend(field(3, &bundle));
        }
        self.delivery.send_replace(Delivery::Message(message));
    }

    /// Has no identity for any program from now on, as if its registration were deleted.
    pub fn withdraw(&self) {
        self.delivery.send_replace(Delivery::Nothing);
    }

    /// Ends every stream, as an agent does that stops. New streams end immediately, until something is delivered again.
    pub fn end(&self) {
        self.delivery.send_replace(Delivery::Ended);
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.delivery.receiver_count()
    }
}

impl Drop for WorkloadApi {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.socket);
    }
}

impl fmt::Debug for WorkloadApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkloadApi").field("socket", &self.socket).finish_non_exhaustive()
    }
}

/// `UNAVAILABLE`, `PERMISSION_DENIED` and `INVALID_ARGUMENT` of gRPC.
const UNAVAILABLE: &str = "14";
const PERMISSION_DENIED: &str = "7";
const INVALID_ARGUMENT: &str = "3";

async fn fetch(State(delivery): State<Arc<watch::Sender<Delivery>>>, request: Request) -> Response {
    // A program behind a careless proxy must not get the identity (SPIFFE Workload Endpoint section 4.3).
    if request.headers().get("workload.spiffe.io").is_none_or(|value| value != "true") {
        return refused(INVALID_ARGUMENT);
    }
    let mut receiver = delivery.subscribe();
    let first = receiver.borrow().clone();
    match first {
        Delivery::Nothing => return refused(PERMISSION_DENIED),
        Delivery::Ended => return refused(UNAVAILABLE),
        Delivery::Message(_) => receiver.mark_changed(),
    }
    let messages = stream::unfold(receiver, async |mut receiver| {
        receiver.changed().await.ok()?;
        let next = receiver.borrow_and_update().clone();
        match next {
            Delivery::Message(message) => {
                Some((Ok::<_, Infallible>(Bytes::from(grpc::frame(&message))), receiver))
            }
            Delivery::Nothing | Delivery::Ended => None,
        }
    });
    // A stream without trailers is one that broke off.
    let mut response = Response::new(Body::from_stream(messages));
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    response
}

fn refused(status: &'static str) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", http::HeaderValue::from_static(status));
    response
}

/// A field of protobuf that has a length: a text, bytes or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap_or_default());
    field.extend_from_slice(content);
    field
}
