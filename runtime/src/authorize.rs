//! Decides whether verified claims meet a policy. It is pure: claims, a policy and an instant in, a verdict out.

use std::iter;

use crate::{
    claims::ServiceClaims,
    denial::{Code, Denial, quoted},
    policy::Policy,
    times::Moment,
};

/// Checks issuers, services, roles, scopes and age, in this order.
pub(crate) fn authorize(claims: &ServiceClaims, policy: &Policy<'_>, at: Moment) -> Result<(), Denial> {
    issuer(claims, policy)?;
    service(claims, policy)?;
    role(claims, policy)?;
    scopes(claims, policy)?;
    age(claims, policy, at)
}

fn issuer(claims: &ServiceClaims, policy: &Policy<'_>) -> Result<(), Denial> {
    let Some(allowed) = policy.allowed_issuers() else {
        return Ok(());
    };
    let issuer = claims.issuer.as_str();
    if allowed.contains(&issuer) {
        return Ok(());
    }
    let reason = format!("the issuer is `{}`, allowed: {}", quoted(issuer), allowed.join(", "));
    Err(Denial::new(Code::IssuerNotAllowed, reason))
}

fn service(claims: &ServiceClaims, policy: &Policy<'_>) -> Result<(), Denial> {
    let Some(allowed) = policy.allowed_services() else {
        return Ok(());
    };
    let service = claims.service.as_str();
    if allowed.contains(&service) {
        return Ok(());
    }
    let reason = format!("the service is `{service}`, allowed: {}", allowed.join(", "));
    Err(Denial::new(Code::ServiceNotAllowed, reason))
}

fn role(claims: &ServiceClaims, policy: &Policy<'_>) -> Result<(), Denial> {
    let Some(allowed) = policy.allowed_roles() else {
        return Ok(());
    };
    let mut held = claims.role.iter().chain(&claims.roles).map(String::as_str);
    if held.any(|role| allowed.contains(&role)) {
        return Ok(());
    }
    let held: Vec<_> =
        claims.role.iter().chain(&claims.roles).map(|role| format!("`{}`", quoted(role))).collect();
    let held = if held.is_empty() { "absent".to_owned() } else { held.join(", ") };
    Err(Denial::new(Code::RoleNotAllowed, format!("the role is {held}, allowed: {}", allowed.join(", "))))
}

fn scopes(claims: &ServiceClaims, policy: &Policy<'_>) -> Result<(), Denial> {
    let required = policy.required_scopes().iter();
    let mut missing = required.filter(|scope| !claims.scope.contains(scope)).map(|scope| (*scope).to_owned());
    match missing.next() {
        None => Ok(()),
        Some(first) => Err(Denial::missing_scopes_of(iter::once(first).chain(missing).collect())),
    }
}

fn age(claims: &ServiceClaims, policy: &Policy<'_>, at: Moment) -> Result<(), Denial> {
    let Some(max_age) = policy.allowed_age() else {
        return Ok(());
    };
    let max_age = max_age.as_secs();
    let Some(iat) = claims.iat else {
        return Err(Denial::new(Code::TooOld, "the token has no `iat`, so its age is unknown"));
    };
    let leeway = at.leeway_seconds();
    // The issuer's clock may be ahead of this one by up to the leeway: such a token counts as new.
    match u64::try_from(at.now.unix().saturating_add(leeway).saturating_sub(iat)) {
        Ok(age) if age <= max_age.saturating_add(at.leeway.as_secs()) => Ok(()),
        Ok(age) => {
            let age = age.saturating_sub(at.leeway.as_secs());
            let reason = format!("the token was issued {age} s ago, allowed: {max_age} s");
            Err(Denial::new(Code::TooOld, reason))
        }
        // A token "from the future" would stay fresh for as long as its `iat` is ahead. The limit here is below
        // `MAX_ISSUED_AHEAD`: a token that proves no age to a revocation is not fresh either.
        Err(_) => Err(Denial::new(Code::TooOld, "the token's `iat` is in the future, so its age is unknown")),
    }
}

#[cfg(test)]
mod tests;
