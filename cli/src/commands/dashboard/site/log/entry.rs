//! One decision, in the words of a list.

use serde::Serialize;
use service_only_evidence::read::Record;

/// The longest text of a recent decision, in characters.
const MAX_TEXT: usize = 512;

/// One decision, for a list.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) time: String,
    pub(crate) decision: &'static str,
    pub(crate) status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// The authenticated service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service: Option<String>,
    /// The caller in words, also one that was not authenticated.
    pub(crate) caller: String,
    pub(crate) endpoint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

impl Entry {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let cut = |text: &str| text.chars().take(MAX_TEXT).collect::<String>();
        let optional = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(cut);
        let caller = match (&record.service, &record.unverified_service, &record.user) {
            (Some(service), ..) => cut(service),
            (None, Some(claimed), _) => format!("unverified: {}", cut(claimed)),
            (None, None, Some(user)) => format!("user: {}", cut(user)),
            (None, None, None) => "no caller".to_owned(),
        };
        Self {
            id: cut(&record.id),
            time: cut(&record.time),
            decision: if record.is_allowed() { "allow" } else { "deny" },
            status: record.status,
            code: optional(&record.code),
            reason: optional(&record.reason),
            service: optional(&record.service),
            caller,
            endpoint: cut(record.endpoint.as_deref().or(record.route.as_deref()).unwrap_or("(no endpoint)")),
            issuer: optional(&record.issuer),
            jti: optional(&record.jti),
            address: optional(&record.client_address),
        }
    }

    pub(crate) fn is_allowed(&self) -> bool {
        self.decision == "allow"
    }
}
