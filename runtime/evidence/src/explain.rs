//! Explains one decision: the stages that passed, the stage that refused, the setting to check, and the smallest change
//! that would admit this caller, with its risk.
//!
//! [`Explanation`] comes from a record. [`what_if`] answers for a request that was never sent, from the table of routes.

use serde::Serialize;
use service_only::{
    error::Code,
    routes::{Access, Requirements, RouteTable},
};

use crate::{read::Record, unused::guarded};

/// The stages of a decision in their order, with what each one proves once it has passed.
const STAGES: [(&str, &str); 12] = [
    ("configuration", "a verifier is installed"),
    ("bearer", "the request has one bearer token"),
    ("token", "the token has three segments and an acceptable length"),
    ("header", "the header has an accepted `typ` and `alg`"),
    ("key", "the verifier has the key of the token"),
    ("signature", "the signature is valid"),
    ("claims", "issuer, audience and times are accepted"),
    ("revocation", "token, service and key are not revoked"),
    ("service", "the token belongs to a service"),
    ("policy", "the caller meets the handler's policy"),
    ("handler", "the handler did not refuse"),
    ("audit", "the record was accepted"),
];

/// What a refusal means and what would change it.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Advice {
    /// The setting that decides.
    pub setting: &'static str,
    /// The smallest change that would admit this caller.
    pub change: &'static str,
    /// What that change risks.
    pub risk: &'static str,
}

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
    /// What would change the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<Advice>,
}

/// The two values that a stage compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Compared {
    /// The value of the token or of the request.
    pub found: String,
    /// The values that would be accepted.
    pub expected: String,
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
            None => STAGES.len(),
            Some("audit") => STAGES.len() - 1,
            Some(stage) => STAGES.iter().position(|(name, _)| *name == stage).unwrap_or_default(),
        };
        let passed = STAGES.iter().take(passed).map(|(stage, proves)| Stage { stage, proves }).collect();
        Self {
            id: record.id.clone().into_owned(),
            time: record.time.clone().into_owned(),
            summary: summary(record),
            passed,
            refused_by: refused_by.map(str::to_owned),
            code: record.code.as_deref().map(str::to_owned),
            reason: record.reason.as_deref().map(str::to_owned),
            compared: record.reason.as_deref().and_then(compared),
            advice: record.code.as_deref().map(advice),
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
    match record.code.as_deref() {
        None if record.is_allowed() => format!("{who}{from} was admitted to `{endpoint}`"),
        code => {
            let code = code.unwrap_or("no code");
            format!("{who}{from} was refused by `{endpoint}` with {} `{code}`", record.status)
        }
    }
}

/// The two values of a reason: `the service is X, allowed: Y`, `the issuer is X, expected Y`.
fn compared(reason: &str) -> Option<Compared> {
    let (found, expected) =
        [", allowed: ", ", expected "].iter().find_map(|between| reason.split_once(between))?;
    let found = found.split_once(" is ").map_or(found, |(_, found)| found);
    Some(Compared { found: plain(found), expected: plain(expected) })
}

fn plain(text: &str) -> String {
    text.replace('`', "")
}

/// What decides a code, the smallest change that would admit the caller, and its risk.
pub fn advice(code: &str) -> Advice {
    let advice = |setting, change, risk| Advice { setting, change, risk };
    match code {
        "no_verifier" => advice(
            "the verifier in the state of the router, or the layer that provides it",
            "install a verifier: the service refuses every caller until then",
            "none, if the verifier has the keys and the issuer of production",
        ),
        "panicked" => advice(
            "the source of keys, the store of revocations, or the audit sink that panicked; the log has its message",
            "correct the panic",
            "none",
        ),
        "missing_token" => advice(
            "the `Authorization` header of the caller",
            "send the service's token as `Authorization: Bearer TOKEN`",
            "none for the endpoint; the caller now needs a token that it can lose",
        ),
        "invalid_request" => advice(
            "the `Authorization` header, and proxies that add a second one",
            "send exactly one header, with the token and nothing else",
            "none",
        ),
        "too_large" | "malformed" => advice(
            "the file or variable that the caller reads its token from",
            "mint the token again and deploy it: `service-token generate NAME`",
            "none",
        ),
        "crit" => advice(
            "the issuer of the token, which added `crit` to its header",
            "mint tokens without `crit`; this project implements no extension",
            "none, if one of your issuers minted the token; otherwise treat the request as an attack",
        ),
        "wrong_typ" => advice(
            "the profile of the trusted issuer: `TrustedIssuer::compatible` or `TrustedIssuer::strict`",
            "mint a token of the profile that the service trusts",
            "trusting both profiles also accepts the longer lifetimes of the compatible one",
        ),
        "alg_not_allowed" | "key_alg_mismatch" => advice(
            "the keys of the verifier and its list of algorithms",
            "publish the key of the token with its own algorithm",
            "never add an algorithm for one caller: `none` and a mixed-up HMAC are the classical attacks",
        ),
        "keys_unavailable" => advice(
            "the source of keys, and the network to it",
            "restore the source; the verifier retries at least once a minute",
            "a longer `max_staleness` accepts keys that were withdrawn in the meantime",
        ),
        "cancelled" => advice(
            "the timeouts of the caller and of proxies",
            "publish a key before it signs, so that no request waits for it",
            "none",
        ),
        "unknown_key" => advice(
            "the key set that the service reads, and the `kid` of the token",
            "publish the key that signed the token, or mint the token again with a published key",
            "a key of another environment lets all tokens of that environment in",
        ),
        "bad_signature" => advice(
            "the key with this `kid`, and whether the token was changed on its way",
            "mint the token again with the key that is published",
            "none; if the token was changed on purpose, the request was an attack",
        ),
        "missing_claim" | "bad_claim_type" | "bad_claim_value" | "sub_service_mismatch" => advice(
            "the program that minted the token",
            "mint the token with `service-token generate`, which sets every claim",
            "none",
        ),
        "wrong_issuer" => advice(
            "`issuer` of the verifier, compared byte for byte with `iss`",
            "mint the token with the issuer that the service trusts",
            "trusting another issuer lets every token of it in, for each handler without a list",
        ),
        "wrong_audience" => advice(
            "`audience` of the verifier, and `aud` of the token",
            "mint the token with the audience of this service",
            "a second audience on the verifier accepts tokens that were meant for another service",
        ),
        "expired" => advice(
            "`exp` of the token, and the clock of the service",
            "renew the token: `service-token renew`",
            "a leeway extends every token; it helps against clocks that differ, not against old tokens",
        ),
        "not_yet_valid" => advice(
            "`nbf` and `iat` of the token, and the clocks of issuer and service",
            "synchronize the clocks",
            "a leeway accepts every token earlier and longer",
        ),
        "lives_too_long" => advice(
            "the longest lifetime that the profile accepts",
            "mint the token with a shorter lifetime",
            "a longer limit keeps a stolen token useful for longer",
        ),
        "proof_missing" | "proof_mismatch" => advice(
            "`cnf` of the token, which binds it to a key of the caller",
            "send the token over the connection, or with the proof, that it is bound to",
            "a token without a binding works for every client that has a copy",
        ),
        "use_dpop_nonce" => advice(
            "whether the client sends the request again with the header `DPoP-Nonce` of the response",
            "use a client that does; no fix is needed if the next attempt is allowed",
            "without nonces, a proof that was prepared in advance is accepted",
        ),
        "proof_unavailable" => advice(
            "the capacity of the memory of proofs, or the store of proofs",
            "set a higher `replay_capacity`, or restore the store",
            "a proof that is not recorded can be replayed",
        ),
        "revoked" => advice(
            "the revocations of the token, its service and its key: `service-token revocations`",
            "mint a new token, if the reason of the revocation no longer holds",
            "undoing the revocation accepts the old token again, also from a thief",
        ),
        "revocation_unavailable" => advice(
            "the store of revocations, and the outage that the verifier accepts",
            "restore the store",
            "a longer accepted outage admits tokens that were revoked during it",
        ),
        "not_service" => advice(
            "`type` and `is_service` of the token",
            "call with a service token; a user's token belongs at the gateway",
            "the handler has no policy for users, so it must not admit them",
        ),
        "not_user" => advice(
            "`#[users_only]` of the handler",
            "call another endpoint, or write `#[callers(users(..), services(..))]`",
            "the named services can then do what was made for people",
        ),
        "claim_not_allowed" => advice(
            "`claims(..)` of the handler, the type of its `Claims` argument, and the claims of the token",
            "mint a token with the claim, or call with the token for that tenant",
            "without the claim, a caller reaches the data of other tenants",
        ),
        "issuer_not_allowed" => advice(
            "`issuers(…)` of the handler's attribute",
            "add the issuer to the list of this handler",
            "every service of that issuer that meets the rest of the policy can then call this handler",
        ),
        "service_not_allowed" => advice(
            "`services(…)` of the handler's attribute",
            "add the service to the list of this handler",
            "each token of that service can then call this handler, also a stolen one",
        ),
        "role_not_allowed" => advice(
            "`roles(…)` of the handler's attribute, and the role of the service's token",
            "mint the service's token with a role of the list",
            "a role counts in every handler that names it",
        ),
        "missing_scope" => advice(
            "`scopes(…)` of the handler's attribute, and the scopes of the service's token",
            "mint the service's token with the missing scope",
            "a scope counts in every handler that requires it",
        ),
        "too_old" => advice(
            "`max_age` of the handler's attribute, and the age of the token",
            "renew the token before the call",
            "a larger `max_age` keeps a stolen token useful for longer",
        ),
        "refused" => advice(
            "the code of the handler, which refused after its policy had admitted the caller",
            "read the reason: the handler wrote it",
            "depends on the handler",
        ),
        "audit_unavailable" => advice(
            "the audit sink: disk space, the mode of the file, the queue",
            "make the log writable; the verifier requires a record for each admitted call",
            "without `require_audit` admitted calls can be missing in the log",
        ),
        _ => advice(
            "the page on troubleshooting, section of this code",
            "see the page",
            "unknown: this code is newer than this program",
        ),
    }
}

/// The codes that [`advice`] knows are all codes of this version.
pub fn is_known(code: &str) -> bool {
    Code::ALL.iter().any(|known| known.as_str() == code)
}

/// A caller that was never seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "built by the caller")]
pub struct Hypothesis {
    /// The service.
    pub service: String,
    /// The issuer of its token, if known.
    pub issuer: Option<String>,
    /// The role of its token, if known.
    pub role: Option<String>,
    /// The scopes of its token.
    pub scopes: Vec<String>,
}

/// The answer for a caller that was never seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct WhatIf {
    /// The endpoint.
    pub endpoint: String,
    /// The service that answers it.
    pub program: String,
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

/// Applies the policies of an endpoint to a caller, as far as the table can tell. An authentic token is assumed. Empty if
/// no table has the endpoint.
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
                is_admitted,
                requirements,
            });
        }
    }
    answers.dedup();
    answers
}

fn requirements(access: &Access, caller: &Hypothesis) -> Vec<Requirement> {
    let Some(Requirements { issuers, services, roles, scopes, any_scope, claims, max_age, .. }) =
        access.for_services()
    else {
        return Vec::new();
    };
    let mut all = Vec::new();
    let mut add = |code: &str, is_met: Option<bool>, text: String| {
        let advice = (is_met != Some(true)).then(|| advice(code));
        all.push(Requirement { is_met, text, advice });
    };
    let one_of =
        |known: Option<&str>, allowed: &[String]| known.map(|known| allowed.iter().any(|name| name == known));
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
    if let Some(roles) = roles {
        let text = format!("the role must be one of: {}", roles.join(", "));
        add("role_not_allowed", one_of(caller.role.as_deref(), roles), text);
    }
    for scope in scopes {
        add(
            "missing_scope",
            Some(caller.scopes.contains(scope)),
            format!("the token must have the scope {scope}"),
        );
    }
    if let Some(scopes) = any_scope {
        let text = format!("the token must have one of the scopes: {}", scopes.join(", "));
        add("missing_scope", Some(scopes.iter().any(|scope| caller.scopes.contains(scope))), text);
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
