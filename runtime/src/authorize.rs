//! Whether verified claims meet a policy. Pure: claims, a policy and an instant in, a verdict out.

use std::iter;

use crate::{
    claims::{Scopes, ServiceClaims},
    denial::{Code, Denial, quoted},
    policy::Policy,
    verifier::Moment,
};

/// What a policy looks at.
#[derive(Copy, Clone)]
pub(crate) struct Facts<'c> {
    pub(crate) service: &'c str,
    pub(crate) role: Option<&'c str>,
    pub(crate) scope: &'c Scopes,
    pub(crate) iat: Option<i64>,
}

impl<'c> From<&'c ServiceClaims> for Facts<'c> {
    fn from(claims: &'c ServiceClaims) -> Self {
        Self {
            service: claims.service.as_str(),
            role: claims.role.as_deref(),
            scope: &claims.scope,
            iat: claims.iat,
        }
    }
}

/// Checks services, roles, scopes and age, in this order.
pub(crate) fn authorize<'c>(
    claims: impl Into<Facts<'c>>,
    policy: &Policy<'_>,
    at: Moment,
) -> Result<(), Denial> {
    let facts = claims.into();
    service(facts, policy)?;
    role(facts, policy)?;
    scopes(facts, policy)?;
    age(facts, policy, at)
}

fn service(facts: Facts<'_>, policy: &Policy<'_>) -> Result<(), Denial> {
    let Some(allowed) = policy.allowed_services() else {
        return Ok(());
    };
    if allowed.contains(&facts.service) {
        return Ok(());
    }
    let reason = format!("the service is `{}`, allowed: {}", facts.service, allowed.join(", "));
    Err(Denial::new(Code::ServiceNotAllowed, reason))
}

fn role(facts: Facts<'_>, policy: &Policy<'_>) -> Result<(), Denial> {
    let Some(allowed) = policy.allowed_roles() else {
        return Ok(());
    };
    let role = facts.role;
    if role.is_some_and(|role| allowed.contains(&role)) {
        return Ok(());
    }
    let role = role.map_or_else(|| "absent".to_owned(), |role| format!("`{}`", quoted(role)));
    Err(Denial::new(Code::RoleNotAllowed, format!("the role is {role}, allowed: {}", allowed.join(", "))))
}

fn scopes(facts: Facts<'_>, policy: &Policy<'_>) -> Result<(), Denial> {
    let required = policy.required_scopes().iter();
    let mut missing = required.filter(|scope| !facts.scope.contains(scope)).map(|scope| (*scope).to_owned());
    match missing.next() {
        None => Ok(()),
        Some(first) => Err(Denial::missing_scopes_of(iter::once(first).chain(missing).collect())),
    }
}

fn age(facts: Facts<'_>, policy: &Policy<'_>, at: Moment) -> Result<(), Denial> {
    let Some(max_age) = policy.allowed_age() else {
        return Ok(());
    };
    let max_age = max_age.as_secs();
    let Some(iat) = facts.iat else {
        return Err(Denial::new(Code::TooOld, "the token has no `iat`, so its age is unknown"));
    };
    let leeway = at.leeway_seconds();
    // Within the leeway, the issuer's clock may be ahead of this one: such a token is new.
    match u64::try_from(at.now.unix().saturating_add(leeway).saturating_sub(iat)) {
        Ok(age) if age <= max_age.saturating_add(at.leeway.as_secs()) => Ok(()),
        Ok(age) => {
            let age = age.saturating_sub(at.leeway.as_secs());
            let reason = format!("the token was issued {age} s ago, allowed: {max_age} s");
            Err(Denial::new(Code::TooOld, reason))
        }
        // A token "from the future" would stay fresh for as long as its `iat` is ahead.
        Err(_) => Err(Denial::new(
            Code::TooOld,
            "the token says that it is issued in the future, so its age is unknown",
        )),
    }
}

#[cfg(test)]
mod tests;
