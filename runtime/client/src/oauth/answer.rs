//! The response of a token endpoint.

use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use service_only::{__satellite::escaped, Denial, clock::Timestamp};
use zeroize::Zeroizing;

use super::{AudienceParameter, transport::Response};
use crate::{
    error::TokenErrorKind,
    token::{Sendable, sendable},
};

/// RFC 6749 sections 5.1 and 5.2.
#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    token_type: Option<String>,
    /// Seconds. Some providers write a text.
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
    error_description: Option<String>,
}

/// The type of the expected token (RFC 6749 section 7.1, RFC 9449 section 5).
#[derive(Debug, Copy, Clone)]
pub(super) enum TokenType {
    Bearer,
    /// Bound to the key of a proof.
    #[cfg(feature = "issue")]
    Dpop,
}

impl TokenType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            #[cfg(feature = "issue")]
            Self::Dpop => "DPoP",
        }
    }

    const fn remedy(self) -> &'static str {
        match self {
            Self::Bearer => {
                "disable sender-constrained tokens for this client, or set the key of this client with `.dpop(…)`"
            }
            #[cfg(feature = "issue")]
            Self::Dpop => "enable DPoP for this client at the provider",
        }
    }
}

/// Whether a provider refused the request because its proof lacked the nonce of the response (RFC 9449 section 8).
#[cfg(feature = "issue")]
pub(super) fn needs_nonce(response: &Response) -> bool {
    let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
    response.status != StatusCode::OK
        && answer.is_ok_and(|answer| answer.error.as_deref() == Some("use_dpop_nonce"))
}

/// Reads the token of a response.
pub(super) fn token(
    response: &Response,
    audience: Option<&str>,
    parameter: AudienceParameter,
    expected: TokenType,
    now: Timestamp,
) -> Result<Sendable, TokenErrorKind> {
    response.check_limit(now)?;
    if response.is_html {
        return Err(match response.status {
            StatusCode::OK => TokenErrorKind::Html,
            other => TokenErrorKind::Status(other.as_u16()),
        });
    }
    let answer: Result<Answer, _> = serde_json::from_slice(&response.body);
    if response.status != StatusCode::OK {
        return Err(match answer {
            Ok(Answer { error: Some(error), error_description, .. }) => {
                refused(response.status, &error, error_description)
            }
            _ => TokenErrorKind::Status(response.status.as_u16()),
        });
    }
    // The message of the parser may quote the token.
    let answer = answer.map_err(|_| {
        TokenErrorKind::Response(
            "the response is not a JSON object of RFC 6749 section 5.1; check the URL of the token endpoint"
                .to_owned(),
        )
    })?;
    let missing = |what: &str| {
        TokenErrorKind::Response(format!("the response has no `{what}`; check the URL of the token endpoint"))
    };
    let text = Zeroizing::new(answer.access_token.ok_or_else(|| missing("access_token"))?);
    let kind = answer.token_type.ok_or_else(|| missing("token_type"))?;
    if !kind.eq_ignore_ascii_case(expected.as_str()) {
        return Err(TokenErrorKind::Response(format!(
            "the `token_type` is `{}`, expected `{}`; {}",
            escaped(&kind, Denial::MAX_QUOTED),
            expected.as_str(),
            expected.remedy()
        )));
    }
    let mut token = sendable(text.as_bytes()).map_err(|why| {
        TokenErrorKind::Response(format!(
            "the access token is not a JWT: {why}; configure the provider to issue JWTs for this audience"
        ))
    })?;
    let stated = answer.expires_in.as_ref().and_then(seconds).map(|life| now.plus(life));
    token.expires_at = match (token.expires_at, stated) {
        (Some(own), Some(stated)) => Some(own.min(stated)),
        (own, stated) => own.or(stated),
    };
    let Some(expires_at) = token.expires_at else { return Err(TokenErrorKind::NoExpiry) };
    if expires_at <= now {
        return Err(TokenErrorKind::Response(format!(
            "the token expired at {expires_at}, and it is {now}; synchronize the clocks with NTP"
        )));
    }
    if let Some(audience) = audience {
        check_audience(&token, audience, parameter)?;
    }
    Ok(token)
}

fn check_audience(
    token: &Sendable,
    audience: &str,
    parameter: AudienceParameter,
) -> Result<(), TokenErrorKind> {
    let checked = match parameter {
        AudienceParameter::Scope if token.audiences.is_empty() => return Ok(()),
        // Version 2.0 tokens of Entra name the id in place of the URI.
        AudienceParameter::DefaultScope => token.check_audience(audience).or_else(|why| {
            token.check_audience(audience.strip_prefix("api://").unwrap_or(audience)).map_err(|_| why)
        }),
        _ => token.check_audience(audience),
    };
    checked.map_err(|why| {
        let remedy = match parameter {
            AudienceParameter::Configured => "map the audience to this client at the provider",
            _ => "allow this client to request the audience, or choose another `.audience_parameter(…)`",
        };
        TokenErrorKind::WrongAudience(format!("{why}; {remedy}"))
    })
}

fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let seconds = match value {
        serde_json::Value::Number(number) => number.as_f64(),
        serde_json::Value::String(text) => text.parse().ok(),
        _ => None,
    };
    seconds
        .filter(|seconds| *seconds >= 1.0)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds.floor()).ok())
}

fn refused(status: StatusCode, error: &str, description: Option<String>) -> TokenErrorKind {
    let error = escaped(error, Denial::MAX_QUOTED);
    let remedy = match &*error {
        "invalid_client" => {
            "check the client id, its credential, and how the client authenticates at the provider"
        }
        "invalid_scope" => "allow the scopes for this client at the provider",
        "invalid_target" => {
            "register the audience at the provider, or choose another `.audience_parameter(…)`"
        }
        "unauthorized_client" | "unsupported_grant_type" => {
            "enable client credentials for this client at the provider"
        }
        _ => "see the log of the provider",
    };
    let description =
        description.map(|text| format!(" ({})", escaped(&text, Denial::MAX_QUOTED))).unwrap_or_default();
    TokenErrorKind::Refused(format!("{}: `{error}`{description}; {remedy}", status.as_u16()))
}

#[cfg(test)]
mod tests;
