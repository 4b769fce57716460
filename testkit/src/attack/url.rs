//! Attacks a service at a URL. Requests are written byte for byte, because a client library normalises the
//! paths and headers that an attack tests.

#[cfg(feature = "tls")]
mod secure;

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::{error::Error, fmt, io, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Attack,
    likeness::Reply,
    target::{MAX_BODY, Message, ReadBody, Sending, Target, Unanswered},
};
use crate::{draft::Tolerance, fail::OrFail};

/// Starts an attack on a service at `http://HOST:PORT`, in any programming language. With the feature `tls` it
/// may be `https://HOST:PORT`: name the [certificates](Attack::certificates).
///
/// The caller's token must have the current time. The service's clock advances during the attack, so the
/// classes about time boundaries keep a distance from them.
///
/// ```no_run
/// # async fn attack() {
/// use http::Method;
/// use service_only::clock::{Clock, SystemClock};
/// use service_only_testkit::{TestAuthority, attack_url};
///
/// // The service was started with `authority.jwks()` as its keys.
/// let authority = TestAuthority::new();
/// authority.clock().set(SystemClock.now());
/// attack_url("http://127.0.0.1:8000")
///     .as_caller(authority.service("orchestrator"))
///     .endpoint(Method::GET, "/stock")
///     .run()
///     .await;
/// # }
/// ```
///
/// # Panics
/// When the URL is not `http://` or `https://`, a host, and at most a port.
#[track_caller]
pub fn attack_url(base: &str) -> Attack {
    Attack::at(base).or_fail("the URL to attack")
}

impl Attack {
    /// Does the same as [`attack_url`], and returns an error if the URL is invalid.
    ///
    /// # Errors
    /// When the URL is not `http://` or `https://`, a host, and at most a port and a path.
    pub fn at(base: &str) -> Result<Self, InvalidUrl> {
        let remote = Remote::parse(base)?;
        // The service's clock advances: a token that becomes valid in a second would become valid in transit.
        Ok(Self::on(remote, Tolerance { past: 0, future: 600 }))
    }
}

/// The timeout of a response. A slower refusal would allow any client to keep the service busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// The timeout of a response body: the beginning of an endless body is enough to recognise it.
const PATIENCE_FOR_BODY: Duration = Duration::from_secs(1);

/// The most bytes of status line and headers, interim responses included.
const MAX_HEAD: usize = 128 * 1024;

/// `http://HOST:PORT`, and a path that precedes every target.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    scheme: Scheme,
    /// The value of the `Host` header.
    host: String,
    /// The address of the connection.
    address: String,
    path: String,
}

#[derive(Debug, Clone)]
enum Scheme {
    Http,
    /// The client, if the attack has certificates.
    #[cfg(feature = "tls")]
    Https(Option<Arc<secure::Client>>),
}

impl Scheme {
    /// The scheme of a URL, and the rest of it.
    fn split(base: &str) -> Option<(Self, &str)> {
        #[cfg(feature = "tls")]
        if let Some(rest) = base.strip_prefix("https://") {
            return Some((Self::Https(None), rest));
        }
        Some((Self::Http, base.strip_prefix("http://")?))
    }

    const fn as_str(&self) -> &'static str {
        match self {
            Self::Http => "http",
            #[cfg(feature = "tls")]
            Self::Https(_) => "https",
        }
    }

    const fn port(&self) -> u16 {
        match self {
            Self::Http => 80,
            #[cfg(feature = "tls")]
            Self::Https(_) => 443,
        }
    }
}

/// A URL that cannot be attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidUrl(&'static str);

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for InvalidUrl {}

impl Remote {
    pub(crate) fn parse(base: &str) -> Result<Self, InvalidUrl> {
        let (scheme, rest) = Scheme::split(base).ok_or(InvalidUrl(MUST_BEGIN))?;
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(of_a_host) || !is_plain(path) || path.contains(['?', '#']) {
            return Err(InvalidUrl("it must be a scheme, a host, at most a port, and at most a path"));
        }
        let ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if ported { host.to_owned() } else { format!("{host}:{}", scheme.port()) };
        let path = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        Ok(Self { scheme, host: host.to_owned(), address, path })
    }

    fn bytes(&self, message: &Message) -> Vec<u8> {
        let Message { method, target, headers, body, .. } = message;
        // The absolute form of a target gets no path prefix (RFC 9112 section 3.2.2).
        let path = if target.starts_with('/') { self.path.as_str() } else { "" };
        let mut head = format!("{method} {path}{target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("Host: {}\r\n", self.host));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.as_ref().map_or(0, Vec::len);
        if body.is_some() || [Method::POST, Method::PUT, Method::PATCH].contains(method) {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        if !keeps_connection(message) {
            head.push_str("Connection: close\r\n");
        }
        head.push_str("\r\n");
        [head.as_bytes(), body.as_deref().unwrap_or_default()].concat()
    }

    async fn exchange(&self, message: &Message, read: ReadBody) -> io::Result<Result<Reply, Unanswered>> {
        let stream = match TcpStream::connect(&self.address).await {
            Ok(stream) => stream,
            Err(error) => return Ok(Err(Unanswered::Unreachable(error.to_string()))),
        };
        // Otherwise each request over TLS waits for the acknowledgement of the handshake, 40 ms on Linux.
        stream.set_nodelay(true)?;
        match &self.scheme {
            Scheme::Http => {
                let mut stream = stream;
                self.converse(&mut stream, message, read).await
            }
            #[cfg(feature = "tls")]
            Scheme::Https(Some(client)) => client.exchange(self, stream, message, read).await,
            #[cfg(feature = "tls")]
            Scheme::Https(None) => {
                Ok(Err(Unanswered::NotSent("an `https` URL needs the roots of the service".to_owned())))
            }
        }
    }

    /// Sends a request over a connection, and reads the response.
    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        message: &Message,
        read: ReadBody,
    ) -> io::Result<Result<Reply, Unanswered>> {
        // A service may refuse before it has read everything: its answer counts, and not how it closed the
        // connection.
        let written = stream.write_all(&self.bytes(message)).await;
        let mut received = Vec::new();
        let head = loop {
            match final_response(&received, is_upgrade(message)) {
                Parsed::Final(head) => break head,
                Parsed::Invalid(why) => return Ok(Err(Unanswered::Broken(why))),
                Parsed::Incomplete => {}
            }
            match receive(stream, &mut received).await {
                Ok(0) if received.is_empty() => {
                    return Ok(Err(Unanswered::Closed("the connection was closed".to_owned())));
                }
                // A status line without the rest of the head still contains the decision.
                Ok(0) => return Ok(cut_off(&received)),
                Ok(_) => {}
                Err(error) if received.is_empty() => return Err(written.err().unwrap_or(error)),
                Err(_) => return Ok(cut_off(&received)),
            }
        };
        let mut body = received.split_off(head.length);
        let has_body = message.method != Method::HEAD && head.status != StatusCode::SWITCHING_PROTOCOLS;
        if read == ReadBody::Yes && has_body {
            self::read_body(stream, &head.headers, &mut body).await;
        }
        Ok(Ok(Reply::new(head.status, &head.headers, body)))
    }
}

async fn receive<S: AsyncRead + Unpin>(stream: &mut S, received: &mut Vec<u8>) -> io::Result<usize> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).await?;
    received.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(count)
}

/// Reads until the body ends, in one of its three possible ways (RFC 9112 section 6.3). The body is only
/// compared, so the chunk framing stays in it.
async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, headers: &HeaderMap, body: &mut Vec<u8>) {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let length = text("content-length").and_then(|length| length.parse::<usize>().ok());
    let chunked = text("transfer-encoding").is_some();
    let end = Instant::now() + PATIENCE_FOR_BODY;
    while body.len() < MAX_BODY
        && length.is_none_or(|length| body.len() < length)
        && !(chunked && body.ends_with(b"0\r\n\r\n"))
    {
        match timeout_at(end, receive(stream, body)).await {
            Ok(Ok(count)) if count > 0 => {}
            _ => break,
        }
    }
    body.truncate(MAX_BODY);
}

impl Target for Remote {
    fn send(&self, message: Message, read: ReadBody) -> Sending<'_> {
        Box::pin(async move {
            // A target with a line break would be a second request.
            if !is_plain(&message.target) {
                return Err(Unanswered::NotSent(
                    "the target has characters that no request line has".to_owned(),
                ));
            }
            match timeout(PATIENCE, self.exchange(&message, read)).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(error)) => Err(Unanswered::Closed(error.to_string())),
                Err(_) => Err(Unanswered::Broken(format!("no answer in {} s", PATIENCE.as_secs()))),
            }
        })
    }

    #[cfg(feature = "tls")]
    fn secured(&self, certificates: Arc<crate::tls::Certificates>) -> Option<Arc<dyn Target>> {
        let Scheme::Https(_) = self.scheme else { return None };
        let client = secure::Client::new(&self.host, certificates);
        Some(Arc::new(Self { scheme: Scheme::Https(Some(Arc::new(client))), ..self.clone() }))
    }

    fn name(&self) -> String {
        format!("{}://{}{}", self.scheme.as_str(), self.host, self.path)
    }
}

/// The schemes of a URL.
const MUST_BEGIN: &str = match cfg!(feature = "tls") {
    true => "it must begin with `http://` or `https://`",
    false => "it must begin with `http://`",
};

/// Whether a second request follows over the same connection.
fn keeps_connection(message: &Message) -> bool {
    #[cfg(feature = "tls")]
    if let Some(session) = message.connection.as_ref().and_then(|connection| connection.session.as_ref()) {
        return session.is_first && session.how == crate::tls::Kept::Connection;
    }
    let _ = message;
    false
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
}

/// Whether the request asks to upgrade the connection, which status 101 then confirms.
fn is_upgrade(message: &Message) -> bool {
    message.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("upgrade"))
}

/// Status line and headers of the final response.
struct Head {
    status: StatusCode,
    headers: HeaderMap,
    /// Bytes up to the body, interim responses included.
    length: usize,
}

enum Parsed {
    Final(Head),
    Incomplete,
    Invalid(String),
}

/// Finds the final response. Any number of interim responses, such as 100 or 103, may precede it (RFC 9110
/// section 15.2). Status 101 is final if the request asked for it.
fn final_response(received: &[u8], upgrade: bool) -> Parsed {
    let mut start = 0;
    loop {
        let rest = received.get(start..).unwrap_or_default();
        let Some(length) = head_length(rest) else {
            let starts = b"HTTP/".iter().zip(rest).all(|(expected, byte)| expected == byte);
            return match starts && received.len() < MAX_HEAD {
                true => Parsed::Incomplete,
                false => Parsed::Invalid("the answer is not HTTP".to_owned()),
            };
        };
        let (head, _) = rest.split_at(length);
        let Some(status) = status(head) else {
            return Parsed::Invalid("the answer is not HTTP".to_owned());
        };
        start += length;
        if !status.is_informational() || (upgrade && status == StatusCode::SWITCHING_PROTOCOLS) {
            return Parsed::Final(Head { status, headers: headers(head), length: start });
        }
    }
}

/// The number of bytes up to and including the empty line. Some servers end lines with LF alone.
fn head_length(text: &[u8]) -> Option<usize> {
    let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    let mut ends = ends.map(|end| (end, text.get(end..).unwrap_or_default()));
    ends.find_map(|(end, rest)| match rest {
        [b'\n', ..] => Some(end + 1),
        [b'\r', b'\n', ..] => Some(end + 2),
        _ => None,
    })
}

/// The decision, if the connection ended within the head of a response.
fn cut_off(received: &[u8]) -> Result<Reply, Unanswered> {
    match status(received).filter(|status| !status.is_informational()) {
        Some(status) => Ok(Reply::new(status, &headers(received), Vec::new())),
        None => Err(Unanswered::Closed("the connection was closed before the response".to_owned())),
    }
}

/// Parses `HTTP/1.1 401 …` (RFC 9112 section 4).
fn status(head: &[u8]) -> Option<StatusCode> {
    let line = head.split(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"HTTP/1.")?;
    StatusCode::from_bytes(rest.get(2..5)?).ok()
}

fn headers(head: &[u8]) -> HeaderMap {
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    let fields = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_a_host_and_at_most_a_port_and_a_path() {
        let parsed = |base| Remote::parse(base).map(|remote| (remote.address, remote.path));
        assert_eq!(parsed("http://127.0.0.1:8000").unwrap(), ("127.0.0.1:8000".into(), String::new()));
        assert_eq!(parsed("http://[::1]/").unwrap(), ("[::1]:80".into(), String::new()));
        assert_eq!(parsed("http://orders/api/").unwrap(), ("orders:80".into(), "/api".into()));
        #[cfg(feature = "tls")]
        assert_eq!(parsed("https://orders/").unwrap(), ("orders:443".into(), String::new()));
        for base in
            ["ftp://orders", "orders:80", "http://", "http://a@b", "http://a#b/", "http://a/?q", "http://a b"]
        {
            assert!(parsed(base).is_err(), "{base}");
        }
    }

    #[test]
    fn a_request_is_written_unchanged() {
        let remote = Remote::parse("http://orders:80/api").unwrap();
        let fixture = crate::TestAuthority::new().service("orders").fixture(crate::Defect::ParentSegment);
        let outgoing = fixture.unwrap().outgoing(Method::GET, "/stock");
        let message = String::from_utf8(remote.bytes(&outgoing.into())).unwrap();
        assert_eq!(
            message,
            "GET /api/public/../stock HTTP/1.1\r\nHost: orders:80\r\nConnection: close\r\n\r\n"
        );
    }

    fn parsed(received: &str, upgrade: bool) -> Option<u16> {
        match final_response(received.as_bytes(), upgrade) {
            Parsed::Final(head) => Some(head.status.as_u16()),
            Parsed::Incomplete | Parsed::Invalid(_) => None,
        }
    }

    #[test]
    fn the_final_response_counts_and_no_interim_one() {
        assert_eq!(parsed("HTTP/1.1 401 Unauthorized\r\n\r\n", false), Some(401));
        assert_eq!(parsed("HTTP/1.0 200\r\n\r\n", false), Some(200));
        assert_eq!(parsed("HTTP/1.1 403 Forbidden\nServer: x\n\n", false), Some(403));
        for interim in ["100 Continue", "102 Processing", "103 Early Hints", "199 ", "104 Upload Resumption"]
        {
            let interim = format!("HTTP/1.1 {interim}\r\nLink: </style.css>\r\n\r\n");
            assert_eq!(parsed(&interim, false), None, "{interim}");
            let both = format!("{interim}{interim}HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
            assert_eq!(parsed(&both, false), Some(401), "{interim}");
        }
    }

    #[test]
    fn a_connection_that_is_handed_over_is_final_where_that_was_asked_for() {
        let switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
        assert_eq!((parsed(switching, true), parsed(switching, false)), (Some(101), None));
    }

    #[test]
    fn text_that_is_not_http_is_not_a_response() {
        assert!(matches!(final_response(b"SSH-2.0-OpenSSH", false), Parsed::Invalid(_)));
        assert!(matches!(final_response(b"HTTP/1.1 x01\r\n\r\n", false), Parsed::Invalid(_)));
        assert!(matches!(final_response(b"HT", false), Parsed::Incomplete));
        assert!(matches!(cut_off(b"HTTP/1.1 401 Unauthorized\r\n"), Ok(reply) if reply.status == 401));
        assert!(matches!(cut_off(b"HTTP/1.1 103 Early Hints\r\n"), Err(Unanswered::Closed(_))));
    }

    #[test]
    fn another_host_and_the_absolute_form_are_sent_unchanged() {
        let remote = Remote::parse("http://orders:80/api").unwrap();
        let fixture = crate::TestAuthority::new().service("orders").fixture(crate::Defect::NoToken);
        let mut outgoing = fixture.unwrap().outgoing(Method::GET, "http://localhost/stock");
        outgoing.headers.push(("host".to_owned(), "localhost".to_owned()));
        let message = String::from_utf8(remote.bytes(&outgoing.into())).unwrap();
        assert!(
            message.starts_with("GET http://localhost/stock HTTP/1.1\r\nhost: localhost\r\nConn"),
            "{message}"
        );
    }
}
