//! The settings as environment variables, one for each key that a verifier reads.

use std::{ffi::OsString, fmt, str::FromStr};

use super::{
    Verifying,
    error::ConfigError,
    format::{Parsed, Settings},
    names::{NAMES, PREFIX},
};

pub(super) fn read(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Settings<Verifying>, ConfigError> {
    let mut settings = Settings::default();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
        if is_service_link(name) {
            continue;
        }
        let Some(value) = value.to_str() else {
            return Err(ConfigError::of_variable(name, "its value is not UTF-8 text", "set it to text"));
        };
        if value.is_empty() && NAMES.iter().any(|(_, known)| *known == name) {
            return Err(ConfigError::of_variable(name, "its value is empty", "set it, or remove it"));
        }
        match name {
            "SERVICE_TOKEN_ISSUER" => settings.issuer = parsed(name, value)?,
            "SERVICE_TOKEN_AUDIENCE" => settings.audience = parsed(name, value)?,
            "SERVICE_TOKEN_PROFILE" => settings.profile = parsed(name, value)?,
            "SERVICE_TOKEN_STORE" => settings.store = parsed(name, value)?,
            "SERVICE_TOKEN_JWKS" => settings.rotation.jwks = parsed(name, value)?,
            "SERVICE_TOKEN_KEY_FILE" => settings.key.0.file = parsed(name, value)?,
            "SERVICE_TOKEN_KEY_ALGORITHM" => settings.key.0.algorithm = parsed(name, value)?,
            "SERVICE_TOKEN_KEY_ENCODING" => settings.key.0.encoding = parsed(name, value)?,
            "SERVICE_TOKEN_KEY_KID" => settings.key.0.kid = parsed(name, value)?,
            "SERVICE_TOKEN_ENVIRONMENT" => {
                let remedy = "remove it, or read a file with `VerifierConfig::file_in`";
                return Err(ConfigError::of_variable(name, "it chooses an environment of a file", remedy));
            }
            _ => {
                let known = NAMES.map(|(_, name)| format!("`{name}`")).join(", ");
                let remedy = format!("remove it, or use one of {known}");
                return Err(ConfigError::of_variable(name, "unknown variable", &remedy));
            }
        }
    }
    Ok(settings)
}

fn parsed<T>(name: &str, value: &str) -> Result<Option<Parsed<T>>, ConfigError>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    match value.parse() {
        Ok(value) => Ok(Some(Parsed(value))),
        Err(error) => {
            let why = error.to_string();
            let (what, remedy) = why.split_once("; ").unwrap_or((&*why, "correct its value"));
            Err(ConfigError::of_variable(name, what, remedy))
        }
    }
}

/// Whether Kubernetes sets the variable for a Service whose name begins like the prefix, such as `service-token`.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_PORT_")
}
