//! Decides whether verified claims meet a policy. It is pure: claims, a policy and an instant in, a verdict out.

use std::{iter, time::Duration};

use serde_json::Value;

use crate::{
    claims::{Actor, Scopes, ServiceClaims},
    denial::{Code, Denial, quoted},
    policy::{Policy, path_parameter},
    proof::Proof,
    sets::Sets,
    times::Moment,
};

/// The path parameters of a request that a policy compares with claims: names with decoded values. Empty if the policy
/// reads none.
pub(crate) type PathParameters<'p> = &'p [(String, String)];

/// What a policy refers to by a name.
#[derive(Copy, Clone)]
pub(crate) struct Known<'k> {
    pub(crate) path: PathParameters<'k>,
    pub(crate) sets: &'k Sets,
}

/// The parts of a caller that a policy is compared with.
pub(crate) struct Asking<'c> {
    pub(crate) issuer: &'c str,
    /// `None` for a user.
    pub(crate) service: Option<&'c str>,
    pub(crate) actor: Option<&'c Actor>,
    pub(crate) role: Option<&'c str>,
    /// The roles of a token that has several.
    pub(crate) roles: &'c [String],
    pub(crate) scope: &'c Scopes,
    pub(crate) iat: Option<i64>,
    /// The proof of the sender; `None` for a bearer token, and for claims that no verifier has checked.
    pub(crate) proof: Option<Proof>,
}

impl<'c> From<&'c ServiceClaims> for Asking<'c> {
    fn from(claims: &'c ServiceClaims) -> Self {
        Self {
            issuer: &claims.issuer,
            service: Some(claims.service.as_str()),
            actor: claims.actor.as_ref(),
            role: claims.role.as_deref(),
            roles: &claims.roles,
            scope: &claims.scope,
            iat: claims.iat,
            proof: None,
        }
    }
}

/// Checks a service: proof, issuers, services, actors, roles, scopes, claims and age, in this order. `claim` reads
/// another claim of the token.
pub(crate) fn authorize<'c>(
    asking: &Asking<'_>,
    claim: impl Fn(&str) -> Option<&'c Value>,
    policy: &Policy<'_>,
    known: Known<'_>,
    at: Moment,
) -> Result<(), Denial> {
    let Some(policy) = policy.for_services() else {
        return Err(service_refused());
    };
    meets(asking, claim, policy, known, at)
}

/// Checks a user, in the same order.
pub(crate) fn authorize_user<'c>(
    asking: &Asking<'_>,
    claim: impl Fn(&str) -> Option<&'c Value>,
    policy: &Policy<'_>,
    known: Known<'_>,
    at: Moment,
) -> Result<(), Denial> {
    match policy.for_users() {
        Some(policy) => meets(asking, claim, policy, known, at),
        None => Err(user_refused()),
    }
}

pub(crate) fn user_refused() -> Denial {
    Denial::new(Code::NotService, "the token is a user's (`type` is `access`), expected `service`")
}

pub(crate) fn service_refused() -> Denial {
    Denial::new(Code::NotUser, "the token is a service's, and the handler is for users only")
}

#[inline]
fn meets<'c>(
    asking: &Asking<'_>,
    claim: impl Fn(&str) -> Option<&'c Value>,
    policy: &Policy<'_>,
    known: Known<'_>,
    at: Moment,
) -> Result<(), Denial> {
    if let Some(required) = policy.required_proof() {
        required.check(asking.proof)?;
    }
    if let Some(allowed) = policy.allowed_issuers() {
        issuer(asking.issuer, allowed)?;
    }
    if let Some(allowed) = policy.allowed_services() {
        service(asking.service, allowed, known.sets)?;
    }
    if let Some(allowed) = policy.allowed_actors() {
        actor(asking, allowed)?;
    }
    if let Some(allowed) = policy.allowed_roles() {
        role(asking.role, asking.roles, allowed)?;
    }
    scopes(asking.scope, policy.required_scopes())?;
    if let Some(alternatives) = policy.alternative_scopes() {
        any_scope(asking.scope, alternatives)?;
    }
    claims(claim, policy.required_claims(), known.path)?;
    match policy.allowed_age() {
        Some(max_age) => age(asking.iat, max_age, at),
        None => Ok(()),
    }
}

fn issuer(issuer: &str, allowed: &[&str]) -> Result<(), Denial> {
    if allowed.contains(&issuer) {
        return Ok(());
    }
    let reason = format!("the issuer is `{}`, allowed: {}", quoted(issuer), allowed.join(", "));
    Err(Denial::new(Code::IssuerNotAllowed, reason))
}

fn service(service: Option<&str>, allowed: &[&str], sets: &Sets) -> Result<(), Denial> {
    if service.is_some_and(|service| allowed.contains(&service) || sets.contain(allowed, service)) {
        return Ok(());
    }
    let service = service.unwrap_or("absent");
    let reason = format!("the service is `{service}`, allowed: {}", allowed.join(", "));
    Err(Denial::new(Code::ServiceNotAllowed, reason))
}

/// Only the current actor decides: prior ones are information (RFC 8693 section 4.1).
fn actor(asking: &Asking<'_>, allowed: &[&str]) -> Result<(), Denial> {
    let is_of_issuer = |actor: &&Actor| actor.issuer().is_none_or(|issuer| issuer == asking.issuer);
    if asking.actor.filter(is_of_issuer).is_some_and(|actor| allowed.contains(&actor.name())) {
        return Ok(());
    }
    let found = match asking.actor {
        None => "absent".to_owned(),
        Some(actor) => match actor.issuer() {
            None => format!("`{}`", quoted(actor.name())),
            Some(issuer) => format!("`{}` of the issuer `{}`", quoted(actor.name()), quoted(issuer)),
        },
    };
    let reason = format!("the actor is {found}, allowed: {}", allowed.join(", "));
    Err(Denial::new(Code::ActorNotAllowed, reason))
}

fn role(role: Option<&str>, roles: &[String], allowed: &[&str]) -> Result<(), Denial> {
    let mut held = role.into_iter().chain(roles.iter().map(String::as_str));
    if held.any(|role| allowed.contains(&role)) {
        return Ok(());
    }
    let held = role.into_iter().chain(roles.iter().map(String::as_str));
    let held: Vec<_> = held.map(|role| format!("`{}`", quoted(role))).collect();
    let held = if held.is_empty() { "absent".to_owned() } else { held.join(", ") };
    Err(Denial::new(Code::RoleNotAllowed, format!("the role is {held}, allowed: {}", allowed.join(", "))))
}

fn scopes(held: &Scopes, required: &[&str]) -> Result<(), Denial> {
    let mut missing = required.iter().filter(|scope| !held.contains(scope)).map(|scope| (*scope).to_owned());
    match missing.next() {
        None => Ok(()),
        Some(first) => Err(Denial::missing_scopes_of(iter::once(first).chain(missing).collect())),
    }
}

fn any_scope(held: &Scopes, alternatives: &[&str]) -> Result<(), Denial> {
    if alternatives.iter().any(|scope| held.contains(scope)) {
        return Ok(());
    }
    Err(Denial::missing_one_scope_of(alternatives))
}

fn claims<'c>(
    claim: impl Fn(&str) -> Option<&'c Value>,
    required: &[(&str, &str)],
    path: PathParameters<'_>,
) -> Result<(), Denial> {
    for (name, required) in required {
        let expected = match path_parameter(required) {
            None => *required,
            Some(parameter) => match path.iter().find(|(own, _)| own == parameter) {
                Some((_, value)) => value,
                None => return Err(no_parameter(name, parameter)),
            },
        };
        match claim(name) {
            Some(Value::String(text)) if text == expected => {}
            found => return Err(wrong_claim(name, found, expected)),
        }
    }
    Ok(())
}

#[cold]
fn wrong_claim(name: &str, found: Option<&Value>, expected: &str) -> Denial {
    let found = match found {
        None => "absent".to_owned(),
        Some(Value::String(text)) => format!("`{}`", quoted(text)),
        Some(_) => "not a string".to_owned(),
    };
    let reason = format!("the claim `{name}` is {found}, expected `{}`", quoted(expected));
    Denial::new(Code::ClaimNotAllowed, reason)
}

/// A defect of the program: no caller can meet the policy on this route.
#[cold]
fn no_parameter(name: &str, parameter: &str) -> Denial {
    let reason = format!(
        "the claim `{name}` is compared with the path parameter `{parameter}`, and the route has no such parameter"
    );
    tracing::error!(target: "service_only", claim = name, parameter, "a route lacks the path parameter that a policy reads, so every caller is refused");
    Denial::new(Code::ClaimNotAllowed, reason)
}

fn age(iat: Option<i64>, max_age: Duration, at: Moment) -> Result<(), Denial> {
    let max_age = max_age.as_secs();
    let Some(iat) = iat else {
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
