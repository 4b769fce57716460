//! Parses one line of a batch: its id, its configuration, its token.
//!
//! The outline of a line is read before its configuration, so that the answer to a wrong configuration has
//! the right id. The configuration stays the text of the line, and is zeroed, because it may contain a
//! secret. The token stays bytes: JSON strings can contain lone surrogates, which are not valid text. Such a
//! token is a bad token, not a bad case.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use service_only::{Algorithm, KeySet, Verifier, clock::Timestamp};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::expectations::Expectations;
use crate::key_file;
use crate::keys;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::profile::Profile;
use crate::redact;

/// A line that is a valid case.
#[derive(Deserialize)]
pub(crate) struct Case<'line> {
    #[serde(default)]
    pub(crate) id: Value,
    #[serde(borrow)]
    pub(crate) config: &'line RawValue,
    pub(crate) token: TokenBytes,
}

impl<'line> Case<'line> {
    pub(crate) fn parse(line: &'line [u8]) -> Outcome<Self> {
        let bad = |why: String| Problem::new(ProblemCode::BadCase, why);
        let text = std::str::from_utf8(line).map_err(|_| bad("the line is not UTF-8".to_owned()))?;
        // Report only the position: serde_json's message may quote a value, which may be a secret.
        serde_json::from_str(text).map_err(|error| {
            let kind = if error.is_data() { "not a case" } else { "not JSON" };
            bad(format!("the line is {kind} at column {}", error.column()))
                .help("a case is `{\"id\", \"config\": {…}, \"token\": \"…\"}`")
        })
    }
}

/// The id of a line that is not a case, if it can be read; otherwise null.
pub(crate) fn find_id(line: &[u8]) -> Value {
    let mut id = Value::Null;
    let text = Zeroizing::new(String::from_utf8_lossy(line).into_owned());
    // The line is broken, so ignore the error: what was found before the break counts.
    let _ = serde_json::Deserializer::from_str(&text).deserialize_map(IdVisitor(&mut id));
    id
}

struct IdVisitor<'a>(&'a mut Value);

impl<'de> Visitor<'de> for IdVisitor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            if name == "id" {
                *self.0 = map.next_value()?;
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// A JSON string as bytes, which need not be valid text.
pub(crate) struct TokenBytes(Zeroizing<Vec<u8>>);

impl std::ops::Deref for TokenBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<'de> Deserialize<'de> for TokenBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = TokenBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<TokenBytes, E> {
                Ok(TokenBytes(Zeroizing::new(bytes.to_vec())))
            }

            fn visit_str<E>(self, text: &str) -> Result<TokenBytes, E> {
                Ok(TokenBytes(Zeroizing::new(text.as_bytes().to_vec())))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A configuration as text, the cache key of its verifier. It may contain a secret.
#[derive(Eq, Hash, PartialEq, Zeroize, ZeroizeOnDrop)]
pub(crate) struct ConfigText(String);

impl ConfigText {
    pub(crate) fn of(config: &RawValue) -> Self {
        Self(config.get().to_owned())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The verifier of a configuration, and its allowed services, if the configuration names them.
pub(crate) struct CaseVerifier {
    pub(crate) verifier: Verifier,
    pub(crate) allowed_services: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseConfig<'line> {
    #[serde(borrow)]
    jwks: Option<&'line RawValue>,
    hmac_secret_b64url: Option<Zeroizing<String>>,
    algorithms: Vec<String>,
    issuer: String,
    audience: Option<String>,
    #[serde(default)]
    leeway_s: u64,
    now: i64,
    allowed_services: Option<Vec<String>>,
}

impl CaseVerifier {
    pub(crate) fn build(config: &RawValue) -> Outcome<Self> {
        let config: CaseConfig<'_> = serde_json::from_str(config.get()).map_err(|error| {
            Problem::new(ProblemCode::BadConfig, without_values(&error.to_string()))
                .help("a config has `jwks` or `hmac_secret_b64url`, `algorithms`, `issuer`, `audience`, `leeway_s`, `now` and optionally `allowed_services`")
        })?;
        let algorithms = config.algorithms()?;
        let verifier = Expectations {
            issuer: Some(&config.issuer),
            audience: config.audience.as_deref(),
            algorithms: &algorithms,
            profile: Profile::Compatible,
            leeway: Duration::from_secs(config.leeway_s),
            now: Some(Timestamp::from_unix(config.now)),
            revocations: None,
        }
        .verifier(config.keys(&algorithms)?)?;
        Ok(Self { verifier, allowed_services: config.allowed_services })
    }
}

impl CaseConfig<'_> {
    fn algorithms(&self) -> Outcome<Vec<Algorithm>> {
        if self.algorithms.is_empty() {
            return Err(
                Problem::new(ProblemCode::BadConfig, "`algorithms` is empty").help("name at least one")
            );
        }
        let parse = |name: &String| {
            name.parse::<Algorithm>().map_err(|error| {
                Problem::new(ProblemCode::UnknownAlgorithm, redact::foreign(&error.to_string()))
            })
        };
        self.algorithms.iter().map(parse).collect()
    }

    fn keys(&self, algorithms: &[Algorithm]) -> Outcome<KeySet> {
        match (&self.jwks, &self.hmac_secret_b64url) {
            (Some(jwks), None) => {
                KeySet::from_jwks(jwks.get().as_bytes()).map_err(|error| Problem::key(&error))
            }
            (None, Some(secret)) => keys::from_secret(&key_file::secret_from_base64url(secret)?, algorithms),
            _ => Err(Problem::new(
                ProblemCode::BadConfig,
                "a config has either `jwks` or `hmac_secret_b64url`",
            )
            .help("give exactly one of them")),
        }
    }
}

/// serde's message without the offending name or value, which may be a misplaced secret.
fn without_values(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    if message.starts_with("unknown field") {
        return "a member of the config is not known".to_owned();
    }
    if message.starts_with("invalid") {
        let expected = message.rsplit_once(", expected ").map_or("another", |(_, expected)| expected);
        return format!("a member has the wrong type, expected {expected}");
    }
    message.to_owned()
}
