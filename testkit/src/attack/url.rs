//! A service at a URL. Requests are written by hand, byte for byte: a client library tidies up just
//! the paths and headers that an attack is about.

use std::{error::Error, fmt, io, time::Duration};

use http::{Method, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    Attack,
    target::{Answer, Sending, Target, Unanswered},
};
use crate::{draft::Tolerance, fail::OrFail, fixture::Outgoing};

/// Starts an attack on a service that answers at `http://HOST:PORT`, in whatever language it is
/// written.
///
/// The caller's token must be one of today. The service's clock goes on while the attack runs, so the
/// classes about the boundaries of time keep their distance.
///
/// ```no_run
/// # async fn attack() {
/// use http::Method;
/// use service_only::{Clock, SystemClock};
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
/// When the URL is not `http://`, a host, and at most a port: for TLS, attack through a tunnel.
#[track_caller]
pub fn attack_url(base: &str) -> Attack {
    Attack::at(base).or_fail("the URL to attack")
}

impl Attack {
    /// The same as [`attack_url`], for a URL that may be wrong.
    ///
    /// # Errors
    /// When the URL is not `http://`, a host, and at most a port and a path.
    pub fn at(base: &str) -> Result<Self, InvalidUrl> {
        let remote = Remote::parse(base)?;
        // A service's clock goes on: a token that is valid in a second would become valid on the way.
        Ok(Self::on(remote, Tolerance { past: 0, future: 600 }))
    }
}

/// A service that thinks longer than this about a refusal can be kept busy by anybody.
const PATIENCE: Duration = Duration::from_secs(10);

/// A status line is short; what comes after it is not read.
const STATUS_LINE: usize = 64;

/// `http://HOST:PORT`, and a path that stands before every target.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// As the `Host` header has it.
    host: String,
    /// As it is connected to.
    address: String,
    path: String,
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
    pub(super) fn parse(base: &str) -> Result<Self, InvalidUrl> {
        let rest = base
            .strip_prefix("http://")
            .ok_or(InvalidUrl("it must begin with `http://`; for TLS, attack through a tunnel"))?;
        let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
        let of_a_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        if host.is_empty() || !host.bytes().all(of_a_host) || !is_plain(path) || path.contains(['?', '#']) {
            return Err(InvalidUrl("it must be `http://`, a host, at most a port, and at most a path"));
        }
        let ported = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if ported { host.to_owned() } else { format!("{host}:80") };
        let path = if path.is_empty() { String::new() } else { format!("/{}", path.trim_end_matches('/')) };
        Ok(Self { host: host.to_owned(), address, path })
    }

    fn message(&self, outgoing: &Outgoing) -> Vec<u8> {
        let Outgoing { method, target, headers, body, .. } = outgoing;
        let mut message = format!("{method} {}{target} HTTP/1.1\r\nHost: {}\r\n", self.path, self.host);
        for (name, value) in headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.as_ref().map_or(0, String::len);
        if body.is_some() || [Method::POST, Method::PUT, Method::PATCH].contains(method) {
            message.push_str(&format!("Content-Length: {length}\r\n"));
        }
        message.push_str("Connection: close\r\n\r\n");
        message.push_str(body.as_deref().unwrap_or_default());
        message.into_bytes()
    }

    async fn exchange(&self, outgoing: &Outgoing) -> io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(&self.address).await?;
        // A service may refuse before it has read all: what it said counts, and not how it hung up.
        let written = stream.write_all(&self.message(outgoing)).await;
        let mut answer = Vec::with_capacity(STATUS_LINE);
        let mut buffer = [0; STATUS_LINE];
        while answer.len() < STATUS_LINE && !answer.contains(&b'\n') {
            match stream.read(&mut buffer).await {
                Ok(0) => break,
                Ok(read) => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
                Err(error) if answer.is_empty() => return Err(written.err().unwrap_or(error)),
                Err(_) => break,
            }
        }
        Ok(answer)
    }
}

impl Target for Remote {
    fn send(&self, outgoing: Outgoing) -> Sending<'_> {
        Box::pin(async move {
            // A target with a line break would be a second request.
            if !is_plain(&outgoing.target) {
                return Err(Unanswered::NotSent(
                    "the target has characters that no request line has".to_owned(),
                ));
            }
            match timeout(PATIENCE, self.exchange(&outgoing)).await {
                Ok(Ok(answer)) => status(&answer),
                Ok(Err(error)) => Err(Unanswered::Closed(error.to_string())),
                Err(_) => Err(Unanswered::Broken(format!("no answer in {} s", PATIENCE.as_secs()))),
            }
        })
    }
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, 0x21..=0x7e))
}

/// `HTTP/1.1 401 …` (RFC 9112 section 4).
fn status(answer: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(answer);
    let digits = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    match digits.and_then(|digits| digits.parse::<StatusCode>().ok()) {
        Some(status) => Ok(status),
        None if answer.is_empty() => Err(Unanswered::Closed("the connection was closed".to_owned())),
        None => Err(Unanswered::Broken("the answer is not HTTP".to_owned())),
    }
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
        for base in [
            "https://orders",
            "orders:80",
            "http://",
            "http://a@b",
            "http://a#b/",
            "http://a/?q",
            "http://a b",
        ] {
            assert!(parsed(base).is_err(), "{base}");
        }
    }

    #[test]
    fn a_request_is_written_as_it_is_meant() {
        let remote = Remote::parse("http://orders:80/api").unwrap();
        let fixture = crate::TestAuthority::new().service("orders").fixture(crate::Defect::ParentSegment);
        let outgoing = fixture.unwrap().outgoing(Method::GET, "/stock");
        let message = String::from_utf8(remote.message(&outgoing)).unwrap();
        assert_eq!(
            message,
            "GET /api/public/../stock HTTP/1.1\r\nHost: orders:80\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_status_is_read_and_nothing_else_is_one() {
        assert_eq!(status(b"HTTP/1.1 401 Unauthorized\r\n"), Ok(StatusCode::UNAUTHORIZED));
        assert_eq!(status(b"HTTP/1.0 200\r\n"), Ok(StatusCode::OK));
        assert!(matches!(status(b""), Err(Unanswered::Closed(_))));
        assert!(matches!(status(b"SSH-2.0"), Err(Unanswered::Broken(_))));
    }
}
