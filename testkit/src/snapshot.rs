//! Settings for insta that replace times, keys and ids, so that a snapshot contains only the decision.
//!
//! [`settings`] has every filter. A test with a fixed clock may want its times in the snapshot. It adds only
//! the filters that it needs to its own settings:
//!
//! ```
//! use service_only_testkit::{TestAuthority, snapshot};
//!
//! let authority = TestAuthority::new();
//! let denial = authority.verifier().verify(&authority.service("orders").expired().token());
//!
//! let mut settings = insta::Settings::clone_current();
//! settings.add_filter(snapshot::TOKEN.0, snapshot::TOKEN.1);
//! settings.bind(|| {
//!     insta::assert_snapshot!(
//!         denial.unwrap_err(),
//!         @"the token expired at 2025-12-31T23:00:00.000000Z, and it is 2026-01-01T00:00:00.000000Z"
//!     );
//! });
//! ```

use insta::Settings;

/// A regular expression, and its replacement.
pub type Filter = (&'static str, &'static str);

/// Matches a token in compact form: a secret in production, and noise in a snapshot. Its header begins with
/// `{"`, which is `eyJ` in base64url.
pub const TOKEN: Filter = (r"\beyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*", "[token]");

/// Matches a UUID: the id of a record, a `jti`, the `instance` of a problem.
pub const UUID: Filter =
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "[uuid]");

/// Matches an instant of RFC 3339.
pub const TIME: Filter = (r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})", "[time]");

/// Matches a measured duration, as `Duration` prints it. Whole seconds stay: a person wrote those.
pub const DURATION: Filter = (r"\b(\d+(\.\d+)?(ns|µs|us|ms)|\d+\.\d+s)\b", "[duration]");

/// Matches a key id that is a thumbprint (RFC 7638): a word of 43 characters.
pub const THUMBPRINT: Filter = (r#"([`"'\s])[A-Za-z0-9_-]{43}([`"'\s,])"#, "${1}[kid]${2}");

/// All filters of this module.
pub const FILTERS: [Filter; 5] = [TOKEN, UUID, TIME, DURATION, THUMBPRINT];

/// The fields of an audit record that differ between runs, and their replacements.
const REDACTIONS: [(&str, &str); 5] = [
    ("id", "[uuid]"),
    ("time", "[time]"),
    ("duration_us", "[duration]"),
    ("jti", "[uuid]"),
    ("kid", "[kid]"),
];

/// insta's current settings, with [`FILTERS`] and redactions for audit records. The redactions apply to one
/// record, to a list, and to a [`RecordingAudit`](crate::RecordingAudit).
///
/// ```
/// use service_only_testkit::{TestAuthority, snapshot};
///
/// let authority = TestAuthority::new();
/// let _ = authority.verifier().verify(&authority.service("orders").token());
///
/// snapshot::settings().bind(|| {
///     insta::assert_json_snapshot!(authority.audit().only(), @r#"
///     {
///       "id": "[uuid]",
///       "time": "[time]",
///       "decision": "allow",
///       "status": 200,
///       "service": "orders",
///       "jti": "[uuid]",
///       "kid": "[kid]",
///       "issuer": "test-authority",
///       "profile": "compatible",
///       "duration_us": "[duration]"
///     }
///     "#);
/// });
/// ```
pub fn settings() -> Settings {
    let mut settings = Settings::clone_current();
    for (pattern, replacement) in FILTERS {
        settings.add_filter(pattern, replacement);
    }
    for (field, replacement) in REDACTIONS {
        settings.add_redaction(&format!(".{field}"), replacement);
        settings.add_redaction(&format!("[].{field}"), replacement);
    }
    settings
}
