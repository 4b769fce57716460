//! The settings that a verifier reads: their keys in a file and their environment variables.

/// The start of every variable.
pub(super) const PREFIX: &str = "SERVICE_TOKEN_";

/// A key of the file as errors write it, and its variable.
pub(super) const NAMES: [(&str, &str); 9] = [
    ("issuer", "SERVICE_TOKEN_ISSUER"),
    ("audience", "SERVICE_TOKEN_AUDIENCE"),
    ("profile", "SERVICE_TOKEN_PROFILE"),
    ("store", "SERVICE_TOKEN_STORE"),
    ("jwks` of `[rotation]", "SERVICE_TOKEN_JWKS"),
    ("file` of `[key]", "SERVICE_TOKEN_KEY_FILE"),
    ("algorithm` of `[key]", "SERVICE_TOKEN_KEY_ALGORITHM"),
    ("encoding` of `[key]", "SERVICE_TOKEN_KEY_ENCODING"),
    ("kid` of `[key]", "SERVICE_TOKEN_KEY_KID"),
];

/// The variable of a key.
pub(super) fn variable_of(key: &str) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == key).map_or(PREFIX, |(_, name)| name)
}
