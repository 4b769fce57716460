//! One audit record, borrowed from its line.

use std::{borrow::Cow, fmt};

use jiff::Timestamp as Instant;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Visitor},
};

/// What was decided.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(clippy::exhaustive_enums, reason = "an attempt is admitted or refused")]
pub enum Outcome {
    /// The caller was admitted.
    Allow,
    /// The caller was refused.
    Deny,
}

/// One audit record. The fields are those of [`AuditRecord`](service_only::audit::AuditRecord); texts are borrowed from
/// the line. Members that this version does not know are ignored.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The time, in the form of the line.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    /// The decision.
    pub decision: Outcome,
    /// The HTTP status.
    pub status: u16,
    /// The rule that refused.
    #[serde(borrow, default, deserialize_with = "text")]
    pub code: Option<Cow<'a, str>>,
    /// The stage that refused.
    #[serde(borrow, default, deserialize_with = "text")]
    pub stage: Option<Cow<'a, str>>,
    /// The reason of the refusal.
    #[serde(borrow, default, deserialize_with = "text")]
    pub reason: Option<Cow<'a, str>>,
    /// The handler.
    #[serde(borrow, default, deserialize_with = "text")]
    pub endpoint: Option<Cow<'a, str>>,
    /// The digest of the handler's policy.
    #[serde(borrow, default, deserialize_with = "text")]
    pub policy_digest: Option<Cow<'a, str>>,
    /// The method of the request.
    #[serde(borrow, default, rename = "http.request.method", deserialize_with = "text")]
    pub method: Option<Cow<'a, str>>,
    /// The template of the route.
    #[serde(borrow, default, rename = "http.route", deserialize_with = "text")]
    pub route: Option<Cow<'a, str>>,
    /// The path of the request.
    #[serde(borrow, default, rename = "url.path", deserialize_with = "text")]
    pub path: Option<Cow<'a, str>>,
    /// The verified service.
    #[serde(borrow, default, deserialize_with = "text")]
    pub service: Option<Cow<'a, str>>,
    /// The verified user.
    #[serde(borrow, default, rename = "user.id", deserialize_with = "text")]
    pub user: Option<Cow<'a, str>>,
    /// The verified token's `jti`.
    #[serde(borrow, default, deserialize_with = "text")]
    pub jti: Option<Cow<'a, str>>,
    /// The key whose signature verified.
    #[serde(borrow, default, deserialize_with = "text")]
    pub kid: Option<Cow<'a, str>>,
    /// The verified token's issuer.
    #[serde(borrow, default, deserialize_with = "text")]
    pub issuer: Option<Cow<'a, str>>,
    /// The kind of the verified token.
    #[serde(borrow, default, deserialize_with = "text")]
    pub profile: Option<Cow<'a, str>>,
    /// The proof of the sender that was checked; absent for a bearer token.
    #[serde(borrow, default, deserialize_with = "text")]
    pub proof: Option<Cow<'a, str>>,
    /// The name in the certificate of the connection.
    #[serde(borrow, default, deserialize_with = "text")]
    pub peer: Option<Cow<'a, str>>,
    /// The address of the peer.
    #[serde(borrow, default, rename = "client.address", deserialize_with = "text")]
    pub client_address: Option<Cow<'a, str>>,
    /// The trace of the request.
    #[serde(borrow, default, deserialize_with = "text")]
    pub trace_id: Option<Cow<'a, str>>,
    /// How long the decision took, in microseconds.
    #[serde(default)]
    pub duration_us: u64,
    /// The name in a token that was not authenticated. Any client can write it.
    #[serde(borrow, default, rename = "unverified.service", deserialize_with = "text")]
    pub unverified_service: Option<Cow<'a, str>>,
    #[serde(skip)]
    micros: i64,
}

impl<'a> Record<'a> {
    /// Parses a line without its end.
    ///
    /// # Errors
    /// When the line is not an audit record.
    pub fn parse(line: &'a [u8]) -> Result<Self, NotARecord> {
        let mut record: Self = serde_json::from_slice(line).map_err(|error| NotARecord {
            is_torn: error.is_eof() && line.starts_with(b"{"),
            text: error.to_string(),
        })?;
        let at: Instant = record
            .time
            .parse()
            .map_err(|_| NotARecord { is_torn: false, text: format!("`{}` is not a time", record.time) })?;
        record.micros = at.as_microsecond();
        Ok(record)
    }

    /// The time in microseconds since 1970.
    pub fn micros(&self) -> i64 {
        self.micros
    }

    /// Whether the caller was admitted.
    pub fn is_allowed(&self) -> bool {
        self.decision == Outcome::Allow
    }
}

/// Why a line is not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotARecord {
    pub(crate) is_torn: bool,
    text: String,
}

impl fmt::Display for NotARecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for NotARecord {}

/// Borrows a text if it has no escapes. serde does so for a `Cow`, but not for one in an `Option`.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    struct Text;

    impl<'de> Visitor<'de> for Text {
        type Value = Option<Cow<'de, str>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }

        fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Borrowed(text)))
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(Cow::Owned(text.to_owned())))
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Self::Value, E> {
            Err(E::custom(format!("the number {number} is not a text")))
        }
    }

    deserializer.deserialize_any(Text).map_err(D::Error::custom)
}
