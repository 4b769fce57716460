//! Explains one decision: the stages that passed, the stage that refused, the setting to check, and the smallest change
//! that would admit this caller, with its risk.
//!
//! [`Explanation`] comes from a record. [`what_if`] answers for a request that was never sent, from the table of routes.

use serde::Serialize;
pub use service_only::error::{Advice, Compared};
use service_only::{
    error::{self, Code},
    routes::{Access, Requirements, RouteTable},
};

use crate::{read::Record, unused::guarded};

/// One decision in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The id of the record.
    pub id: String,
    /// The time of the decision.
    pub time: String,
    /// The decision in one sentence.
    pub summary: String,
    /// What each stage that passed has proven.
    pub passed: Vec<Stage>,
    /// The stage that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_by: Option<String>,
    /// The rule that refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The reason, with the two values that differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The value of the request, and what was expected, if the reason has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// What you can change to get another decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
    /// The digest of the handler's policy at the time of the decision. Records of older versions have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
}

/// A stage that passed.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stage {
    /// The name of the stage, as records have it.
    pub stage: &'static str,
    /// What it has proven.
    pub proves: &'static str,
}

impl Explanation {
    /// Explains a record.
    pub fn of(record: &Record<'_>) -> Self {
        let refused_by = record.stage.as_deref();
        // A record of another version may have a stage that this one does not know: no stage is claimed to have passed.
        let passed = match refused_by {
            None => error::Stage::ALL.len(),
            Some(name) => {
                error::Stage::ALL.iter().position(|stage| stage.as_str() == name).unwrap_or_default()
            }
        };
        let passed = error::Stage::ALL.iter().take(passed);
        let passed = passed.map(|stage| Stage { stage: stage.as_str(), proves: stage.proves() }).collect();
        Self {
            id: record.id.clone().into_owned(),
            time: record.time.clone().into_owned(),
            summary: summary(record),
            passed,
            refused_by: refused_by.map(str::to_owned),
            code: record.code.as_deref().map(str::to_owned),
            reason: record.reason.as_deref().map(str::to_owned),
            compared: record.reason.as_deref().and_then(Compared::in_reason),
            advice: record.code.as_deref().map(advice),
            policy_digest: record.policy_digest.as_deref().map(str::to_owned),
        }
    }
}

fn summary(record: &Record<'_>) -> String {
    let endpoint =
        record.endpoint.as_deref().or(record.route.as_deref()).unwrap_or("an endpoint without a name");
    let who = match (&record.service, &record.unverified_service) {
        (Some(service), _) => format!("the service `{service}`"),
        (None, Some(claimed)) => format!("a caller that claims to be `{claimed}` and was not authenticated"),
        (None, None) => match &record.user {
            Some(user) => format!("the user `{user}`"),
            None => "a caller that was not authenticated".to_owned(),
        },
    };
    let from = record.client_address.as_deref().map(|address| format!(" from {address}")).unwrap_or_default();
    let peer =
        record.peer.as_deref().map(|peer| format!(" over a connection of `{peer}`")).unwrap_or_default();
    let proof = record.proof.as_deref().map(|proof| format!(" with the proof `{proof}`")).unwrap_or_default();
    let who = format!("{who}{from}{peer}{proof}");
    match record.code.as_deref() {
        None if record.is_allowed() => format!("{who} was admitted to `{endpoint}`"),
        code => {
            let code = code.unwrap_or("no code");
            format!("{who} was refused by `{endpoint}` with {} `{code}`", record.status)
        }
    }
}

/// What decides a code, the smallest change that would admit the caller, and its risk.
pub fn advice(code: &str) -> Advice {
    Advice::for_code(code)
}

/// Whether [`advice`] knows this code. It knows all codes of this version.
pub fn is_known(code: &str) -> bool {
    Code::ALL.iter().any(|known| known.as_str() == code)
}

/// A caller that does not have to exist, with its token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Hypothesis {
    /// The service.
    pub service: String,
    /// The issuer of its token, if known.
    pub issuer: Option<String>,
    /// The role of its token, if known.
    pub role: Option<String>,
    /// The scopes of its token, if known. Records do not have them.
    pub scopes: Option<Vec<String>>,
}

/// The decision about a [`Hypothesis`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhatIf {
    /// The endpoint.
    pub endpoint: String,
    /// The service that answers it.
    pub program: String,
    /// The digest of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_digest: Option<String>,
    /// Whether the policy admits the caller.
    pub is_admitted: bool,
    /// Each requirement of the policy in a sentence, with whether it is met.
    pub requirements: Vec<Requirement>,
}

/// One requirement of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Requirement {
    /// Whether the caller meets it. `None` if the answer depends on the token.
    pub is_met: Option<bool>,
    /// The requirement in words.
    pub text: String,
    /// The smallest change that would meet it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// How the policy of a handler today compares with that of a record.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PolicyChange {
    /// It is the same policy.
    Same,
    /// The policy has changed since the decision.
    Changed,
    /// The record or the table has no digest.
    Unknown,
}

impl PolicyChange {
    /// Compares the policies by their digests.
    pub fn between(then: Option<&str>, now: Option<&str>) -> Self {
        match (then, now) {
            (Some(then), Some(now)) if then == now => Self::Same,
            (Some(_), Some(_)) => Self::Changed,
            _ => Self::Unknown,
        }
    }
}

/// Applies the policies of an endpoint to a caller with an authentic token. A requirement that depends on the rest of
/// the token is left open. The result is empty if no table contains the endpoint.
pub fn what_if(tables: &[RouteTable], endpoint: &str, caller: &Hypothesis) -> Vec<WhatIf> {
    let mut answers = Vec::new();
    for table in tables {
        for (name, access) in
            guarded(table).filter(|(name, _)| name == endpoint || name.ends_with(&format!("::{endpoint}")))
        {
            let requirements = requirements(access, caller);
            let is_admitted = requirements.iter().all(|required| required.is_met != Some(false));
            answers.push(WhatIf {
                endpoint: name,
                program: table.service().to_owned(),
                policy_digest: access.policy_digest().map(|digest| digest.to_string()),
                is_admitted,
                requirements,
            });
        }
    }
    answers.dedup();
    answers
}

fn requirements(access: &Access, caller: &Hypothesis) -> Vec<Requirement> {
    let Some(asked) = access.for_services() else { return Vec::new() };
    let Requirements { issuers, services, actors, roles, scopes, any_scope, claims, max_age, proof, .. } =
        asked;
    let mut all = Vec::new();
    let mut add = |code: &str, is_met: Option<bool>, text: String| {
        let advice = (is_met != Some(true)).then(|| advice(code));
        all.push(Requirement { is_met, text, advice });
    };
    let one_of =
        |known: Option<&str>, allowed: &[String]| known.map(|known| allowed.iter().any(|name| name == known));
    if let Some(proof) = proof {
        add("proof_missing", None, format!("the sender must give the proof {proof}"));
    }
    if let Some(issuers) = issuers {
        let text = format!("the issuer must be one of: {}", issuers.join(", "));
        add("issuer_not_allowed", one_of(caller.issuer.as_deref(), issuers), text);
    }
    match services {
        Some(services) => {
            let text = format!("the service must be one of: {}", services.join(", "));
            let is_named = one_of(Some(&caller.service), services);
            // Only the program knows the services of a set.
            let has_set = services.iter().any(|service| service.starts_with('@'));
            add("service_not_allowed", is_named.filter(|is_named| *is_named || !has_set), text);
        }
        None => add("service_not_allowed", Some(true), "any service may call".to_owned()),
    }
    if let Some(actors) = actors {
        add(
            "actor_not_allowed",
            None,
            format!("one of these must act for the caller: {}", actors.join(", ")),
        );
    }
    if let Some(roles) = roles {
        let text = format!("the role must be one of: {}", roles.join(", "));
        add("role_not_allowed", one_of(caller.role.as_deref(), roles), text);
    }
    let has = |scope: &String| caller.scopes.as_ref().map(|held| held.contains(scope));
    for scope in scopes {
        add("missing_scope", has(scope), format!("the token must have the scope {scope}"));
    }
    if let Some(scopes) = any_scope {
        let text = format!("the token must have one of the scopes: {}", scopes.join(", "));
        let has_one = caller.scopes.as_ref().map(|held| scopes.iter().any(|scope| held.contains(scope)));
        add("missing_scope", has_one, text);
    }
    for (name, value) in claims {
        add("claim_not_allowed", None, format!("the claim {name} must be {value}"));
    }
    if let Some(age) = max_age {
        add("too_old", None, format!("the token must be at most {age} s old"));
    }
    all
}

#[cfg(test)]
mod tests;
