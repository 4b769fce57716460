//! Reads the claims of tokens that name their service or user themselves: the compatible and the strict kind.

use crate::{
    claims::{RawClaims, Scopes, ServiceClaims, ServiceName, UserClaims, owned},
    denial::{Code, Denial, quoted},
    json::Value,
    times::Times,
};

pub(crate) fn missing(claim: &str) -> Denial {
    Denial::new(Code::MissingClaim, format!("the token has no `{claim}`"))
}

/// The claims of a token that meets the expectations.
#[derive(Debug)]
pub(crate) enum Claims {
    Service(ServiceClaims),
    User(UserClaims),
}

/// Reads the claims of a service or a user. `type` decides: `service` with `is_service: true`, or `access`.
pub(crate) fn claims(claims: &RawClaims<'_>, times: &Times) -> Result<Claims, Denial> {
    match &claims.kind {
        Some(Value::Text(kind)) if kind == "service" => {
            if claims.is_service != Some(Value::Bool(true)) {
                return Err(Denial::new(
                    Code::NotService,
                    "`type` is `service`, and `is_service` is not `true`",
                ));
            }
            service(claims, times).map(Claims::Service)
        }
        Some(Value::Text(kind)) if kind == "access" => user(claims, times).map(Claims::User),
        Some(Value::Text(kind)) => {
            let reason = format!("the token's `type` is `{}`, expected `service`", quoted(kind));
            Err(Denial::new(Code::NotService, reason))
        }
        _ => Err(Denial::new(Code::NotService, "the token has no `type`, or one that is not a string")),
    }
}

fn service(claims: &RawClaims<'_>, times: &Times) -> Result<ServiceClaims, Denial> {
    let service: ServiceName = match &claims.service {
        Some(Value::Text(name)) => name.parse().map_err(|invalid| {
            let reason = format!("the token's `service` is `{}`: {invalid}", quoted(name));
            Denial::new(Code::BadClaimValue, reason)
        })?,
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`service` must be a string")),
        None => return Err(missing("service")),
    };
    match &claims.sub {
        Some(Value::Text(sub)) if *sub == service.as_str() => {}
        Some(Value::Text(sub)) => {
            let reason = format!("the token's `sub` is `{}` and `service` is `{service}`", quoted(sub));
            return Err(Denial::new(Code::SubServiceMismatch, reason));
        }
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`sub` must be a string")),
        None => return Err(missing("sub")),
    }
    Ok(ServiceClaims {
        sub: service.as_str().to_owned(),
        service,
        user_id: owned(&claims.user_id),
        role: owned(&claims.role),
        roles: Vec::new(),
        email: owned(&claims.email),
        issuer: owned(&claims.iss).unwrap_or_default(),
        aud: claims.audiences(),
        exp: times.exp,
        iat: times.iat,
        nbf: times.nbf,
        jti: owned(&claims.jti),
        scope: scopes(claims),
        actor: claims.actor.clone(),
    })
}

/// A `scope` that is not a list of scopes grants nothing.
fn scopes(claims: &RawClaims<'_>) -> Scopes {
    claims.scope.as_deref().and_then(|scope| scope.parse().ok()).unwrap_or_default()
}

fn user(claims: &RawClaims<'_>, times: &Times) -> Result<UserClaims, Denial> {
    let sub = match &claims.sub {
        None => None,
        Some(Value::Text(sub)) => Some((**sub).to_owned()),
        // RFC 7519 section 4.1.2.
        Some(_) => return Err(Denial::new(Code::BadClaimType, "`sub` must be a string")),
    };
    Ok(UserClaims {
        sub,
        user_id: owned(&claims.user_id),
        role: owned(&claims.role),
        roles: Vec::new(),
        email: owned(&claims.email),
        issuer: owned(&claims.iss).unwrap_or_default(),
        exp: times.exp,
        iat: times.iat,
        nbf: times.nbf,
        jti: owned(&claims.jti),
        scope: scopes(claims),
        actor: claims.actor.clone(),
    })
}

/// Reads the user of an OAuth 2.0 server, with the scopes and the roles of the claims that its settings name. The claims
/// `user_id` and `role` are not among them.
pub(super) fn user_of(
    claims: &RawClaims<'_>,
    times: &Times,
    (scope, roles): (Scopes, Vec<String>),
) -> Result<UserClaims, Denial> {
    let user = user(claims, times)?;
    match user.sub.as_deref() {
        None | Some("") => Err(missing("sub")),
        Some(_) => Ok(UserClaims { user_id: None, role: None, scope, roles, ..user }),
    }
}
