//! How a client proves its identity to the token endpoint.

use std::path::{Path, PathBuf};
#[cfg(feature = "issue")]
use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Url;
use service_only::__satellite::{MAX_READ, decode_text, read_regular};
#[cfg(feature = "issue")]
use service_only::{clock::Timestamp, issue::SigningKey};
use zeroize::Zeroizing;

use crate::{
    error::{TokenError, TokenErrorKind},
    token::sendable,
};

/// See [`ClientCredentials::MAX_CREDENTIAL_BYTES`](crate::ClientCredentials::MAX_CREDENTIAL_BYTES).
pub(crate) const MAX_CREDENTIAL_BYTES: usize = 16 * 1024;

/// The lifetime of an assertion. It is used immediately, and clocks may differ by some seconds.
#[cfg(feature = "issue")]
const ASSERTION_LIFETIME: Duration = Duration::from_secs(60);

/// RFC 7523 section 2.2.
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) enum Credential {
    SecretFile {
        path: PathBuf,
        in_body: bool,
    },
    #[cfg(feature = "issue")]
    PrivateKey(Arc<SigningKey>),
    AssertionFile(PathBuf),
}

/// What a credential adds to a request.
#[derive(Default)]
pub(crate) struct Proof {
    /// The value of an `Authorization` header.
    pub(crate) basic: Option<Zeroizing<String>>,
    pub(crate) parameters: Vec<(&'static str, Zeroizing<String>)>,
}

impl Credential {
    /// Reads the credential. `recipient` is who may accept an assertion: the issuer.
    pub(crate) async fn prove(
        &self,
        client_id: &str,
        recipient: &str,
        #[cfg(feature = "issue")] now: Timestamp,
    ) -> Result<Proof, TokenError> {
        let _ = recipient;
        let id = || ("client_id", Zeroizing::new(client_id.to_owned()));
        match self {
            Self::SecretFile { path, in_body } => {
                let secret = read(path, "client secret").await?;
                if *in_body {
                    return Ok(Proof { parameters: vec![id(), ("client_secret", secret)], basic: None });
                }
                // RFC 6749 section 2.3.1: both are encoded as a form first.
                let pair = Zeroizing::new(format!("{}:{}", *form_encoded(client_id), *form_encoded(&secret)));
                let basic = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())));
                Ok(Proof { basic: Some(basic), parameters: Vec::new() })
            }
            #[cfg(feature = "issue")]
            Self::PrivateKey(key) => {
                let assertion = assertion(key, client_id, recipient, now)?;
                Ok(Proof { parameters: with_assertion(id(), assertion), basic: None })
            }
            Self::AssertionFile(path) => {
                let text = read(path, "assertion").await?;
                if let Err(why) = sendable(text.as_bytes()) {
                    let why = format!("{}: the file contains no token: {why}", path.display());
                    return Err(TokenErrorKind::Credential(why).into());
                }
                Ok(Proof { parameters: with_assertion(id(), text), basic: None })
            }
        }
    }
}

fn with_assertion(
    id: (&'static str, Zeroizing<String>),
    assertion: Zeroizing<String>,
) -> Vec<(&'static str, Zeroizing<String>)> {
    let kind = Zeroizing::new(ASSERTION_TYPE.to_owned());
    vec![id, ("client_assertion_type", kind), ("client_assertion", assertion)]
}

fn form_encoded(text: &str) -> Zeroizing<String> {
    let pairs = form([("x", text)]);
    Zeroizing::new(pairs.strip_prefix("x=").unwrap_or_default().to_owned())
}

/// Encodes pairs as `application/x-www-form-urlencoded`.
pub(crate) fn form<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> Zeroizing<String> {
    let Ok(mut url) = Url::parse("form:/") else { return Zeroizing::default() };
    url.query_pairs_mut().extend_pairs(pairs);
    Zeroizing::new(url.query().unwrap_or_default().to_owned())
}

/// Signs an assertion (RFC 7523 section 3).
#[cfg(feature = "issue")]
fn assertion(
    key: &SigningKey,
    client_id: &str,
    recipient: &str,
    now: Timestamp,
) -> Result<Zeroizing<String>, TokenError> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let header = serde_json::json!({"alg": key.algorithm(), "kid": key.kid(), "typ": "JWT"});
    let claims = serde_json::json!({
        "iss": client_id,
        "sub": client_id,
        "aud": recipient,
        "iat": now.unix(),
        "exp": now.plus(ASSERTION_LIFETIME).unix(),
        "jti": uuid::Uuid::new_v4(),
    });
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign(signed.as_bytes());
    let signature =
        signature.map_err(|error| TokenErrorKind::Credential(format!("no assertion: {error}")))?;
    Ok(Zeroizing::new(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))))
}

/// Reads a file with one text. A mount that hangs blocks one thread, and the request for a limited time.
async fn read(path: &Path, what: &str) -> Result<Zeroizing<String>, TokenError> {
    let shown = path.display().to_string();
    let failed = |why: String| TokenError::from(TokenErrorKind::Credential(format!("{shown}: {why}")));
    let own = path.to_owned();
    let reading = tokio::task::spawn_blocking(move || read_regular(&own, MAX_CREDENTIAL_BYTES));
    let bytes = match tokio::time::timeout(MAX_READ, reading).await {
        Ok(Ok(bytes)) => bytes.map_err(|error| failed(format!("the {what} cannot be read: {error}")))?,
        Ok(Err(_)) | Err(_) => {
            return Err(failed(format!(
                "the {what} is not read within {MAX_READ:?}: does its file system hang?"
            )));
        }
    };
    if bytes.len() > MAX_CREDENTIAL_BYTES {
        return Err(failed(format!("the file is larger than {MAX_CREDENTIAL_BYTES} bytes")));
    }
    let text = decode_text(&bytes).map_err(|_| failed(format!("the {what} is not text")))?;
    let text = Zeroizing::new(text.trim().to_owned());
    if text.is_empty() || text.contains(char::is_control) {
        return Err(failed(format!(
            "the {what} is empty or has line breaks; write only the {what} into the file"
        )));
    }
    Ok(text)
}
