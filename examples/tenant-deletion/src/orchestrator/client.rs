//! Calls one service through the gateway, with retries while a retry can help.
//!
//! Both calls are safe to repeat: a preview changes nothing, and a repeated deletion deletes nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use backon::{ExponentialBuilder, Retryable};
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::Url;
use reqwest::redirect::Policy;
use serde::Deserialize;
use service_only_tls::Tls;
use uuid::Uuid;

use crate::catalogue::Service;
use crate::store::Records;
use crate::tenant::TenantId;

/// The retry limit of a call, and the timeout of each attempt.
#[derive(Copy, Clone, Debug)]
pub struct Patience {
    /// The number of attempts. With the default pause, five attempts bridge the few seconds in which a
    /// service is replaced.
    pub attempts: u32,
    /// The pause before the second attempt. It doubles after each attempt, up to five seconds, with jitter,
    /// so that twelve calls do not retry at the same instant.
    pub pause: Duration,
    /// The timeout of one attempt: longer than the gateway's ten seconds, so that the gateway's 504 arrives
    /// first.
    pub timeout: Duration,
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A problem document of this platform has 200 bytes.
const MAX_PROBLEM_BYTES: usize = 16 * 1024;

impl Default for Patience {
    fn default() -> Self {
        Self { attempts: 5, pause: Duration::from_millis(250), timeout: Duration::from_secs(15) }
    }
}

/// The kind of request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Preview,
    Delete,
}

/// The answer of a service, and the number of attempts.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Result<Records, CallError>,
    pub(crate) attempts: u32,
}

/// Why a call returned no records.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("timed out")]
    Timeout,
    #[error("gateway unreachable")]
    Unreachable(#[source] reqwest::Error),
    #[error("{} {}", .status.as_u16(), .status.canonical_reason().unwrap_or("unknown status"))]
    Status {
        status: StatusCode,
        /// The `instance` of the answer: the id of the audit record that has the reason.
        instance: Option<Uuid>,
    },
    #[error("answered with something other than its records")]
    Nonsense,
}

impl CallError {
    /// Whether a retry may succeed. After a 401 or 403 it will not.
    fn is_transient(&self) -> bool {
        match self {
            Self::Timeout | Self::Unreachable(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Nonsense => false,
        }
    }

    /// The id of the audit record of this refusal.
    pub(crate) fn instance(&self) -> Option<Uuid> {
        match self {
            Self::Status { instance, .. } => *instance,
            Self::Timeout | Self::Unreachable(_) | Self::Nonsense => None,
        }
    }
}

/// The gateway, the token and the retry settings.
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    gateway: Url,
    authorization: HeaderValue,
    trace: Uuid,
    patience: Patience,
}

impl Client {
    /// Creates a client of the gateway at `gateway` (`https://HOST:PORT`) that sends `token`. The token is bound to the
    /// certificate of `tls`.
    pub fn new(gateway: &str, token: &str, tls: &Tls, patience: Patience) -> anyhow::Result<Self> {
        let gateway: Url = gateway.parse().with_context(|| format!("`{gateway}` is not a URL"))?;
        ensure!(
            gateway.scheme() == "https" && gateway.path() == "/" && gateway.query().is_none(),
            "`{gateway}` is not of the form https://HOST:PORT"
        );
        // The error of `from_str` does not contain the token.
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .context("the token has characters that no token has; is it the right file?")?;
        authorization.set_sensitive(true);
        let http = reqwest::Client::builder()
            .timeout(patience.timeout)
            .tls_backend_preconfigured((*tls.client_config()).clone())
            .https_only(true)
            // The token is only for the gateway. It must not follow a redirect or a proxy of the environment.
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, gateway, authorization, trace: Uuid::new_v4(), patience })
    }

    /// Creates a client with the token from a file, which may have a final line break.
    pub fn with_token_file(
        gateway: &str,
        file: &Path,
        tls: &Tls,
        patience: Patience,
    ) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the token file `{}`", file.display()))?;
        let token = text.trim_end();
        ensure!(!token.is_empty(), "the token file `{}` is empty", file.display());
        Self::new(gateway, token, tls, patience).with_context(|| format!("token file `{}`", file.display()))
    }

    /// The trace id of all requests of this client (W3C Trace Context). The audit trails of gateway and
    /// services contain it, so that you can find one run in all of them.
    pub fn trace_id(&self) -> String {
        self.trace.simple().to_string()
    }

    pub(crate) async fn call(&self, ask: Ask, service: &'static Service, tenant: TenantId) -> Answer {
        let retries = self.patience.attempts.saturating_sub(1);
        let schedule = ExponentialBuilder::default()
            .with_min_delay(self.patience.pause)
            .with_max_delay(LONGEST_PAUSE)
            .with_max_times(retries as usize)
            .with_jitter();
        let mut attempts = 0;
        let outcome = (|| {
            attempts += 1;
            self.call_once(ask, service, tenant)
        })
        .retry(schedule)
        .when(CallError::is_transient)
        .notify(|error, pause| tracing::info!(%service, %error, ?pause, "trying again"))
        .await;
        Answer { outcome, attempts }
    }

    async fn call_once(&self, ask: Ask, service: &Service, tenant: TenantId) -> Result<Records, CallError> {
        let mut url = self.gateway.clone();
        let (method, path) = match ask {
            Ask::Preview => (Method::GET, format!("/api/v1/{service}/tenant/{tenant}/deletion-preview")),
            Ask::Delete => (Method::DELETE, format!("/api/v1/{service}/tenant/{tenant}")),
        };
        url.set_path(&path);
        let span = Uuid::new_v4().as_u64_pair().0;
        let request = self
            .http
            .request(method, url)
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header("traceparent", format!("00-{}-{span:016x}-01", self.trace.simple()));
        let response = request.send().await.map_err(CallError::of)?;
        if response.status() != StatusCode::OK {
            return Err(CallError::Status { status: response.status(), instance: instance(response).await });
        }
        let records: Records = response.json().await.map_err(CallError::of)?;
        // An answer for another service or tenant must not count as this deletion.
        if records.service != service.name || records.tenant_id != tenant {
            return Err(CallError::Nonsense);
        }
        Ok(records)
    }
}

/// The `instance` of a problem document (RFC 9457), if it is a UUID. It is printed, so no other text is accepted.
async fn instance(mut response: reqwest::Response) -> Option<Uuid> {
    #[derive(Deserialize)]
    struct Problem {
        instance: String,
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.ok()? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_PROBLEM_BYTES {
            return None;
        }
    }
    let problem: Problem = serde_json::from_slice(&body).ok()?;
    problem.instance.strip_prefix("urn:uuid:")?.parse().ok()
}

impl CallError {
    fn of(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_decode() {
            Self::Nonsense
        } else {
            Self::Unreachable(error)
        }
    }
}
