//! The digest of a policy: a short text that changes when the policy does. Records carry it, so that a reader of the log
//! knows whether the policy of today is the one that decided.
//!
//! It is computed once for each handler and decides nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use crate::{
    columns::{Row, rows},
    policy::{Policy, PolicyDigest},
    proof::RequiredProof,
};

/// The policy as the JSON of a route table has it, with sorted lists: their order decides nothing.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "one short-lived value for each handler")]
enum Canonical<'p> {
    ServiceOnly(Required<'p>),
    Users(Required<'p>),
    Callers { services: Required<'p>, users: Required<'p> },
}

/// The fields of [`Requirements`](crate::routes::Requirements), in their order.
#[derive(Serialize)]
struct Required<'p> {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuers: Option<BTreeSet<&'p str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<BTreeSet<&'p str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actors: Option<BTreeSet<&'p str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<BTreeSet<&'p str>>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    scopes: BTreeSet<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    any_scope: Option<BTreeSet<&'p str>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    claims: BTreeMap<&'p str, &'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<RequiredProof>,
}

/// The digest of a handler's policy.
pub(crate) fn digest_of(policy: &Policy<'_>) -> Option<PolicyDigest> {
    digest_of_rows(rows(policy))
}

/// The digest of a policy that is given as rows; `None` without a row, which is a public handler.
pub(crate) fn digest_of_rows<'p, T: AsRef<str> + 'p>(
    rows: impl Iterator<Item = Row<'p, T>>,
) -> Option<PolicyDigest> {
    let (mut services, mut users) = (None, None);
    for row in rows {
        let kind = if row.is_for_users { &mut users } else { &mut services };
        *kind = Some(Required::from(row));
    }
    let canonical = match (services, users) {
        (Some(services), None) => Canonical::ServiceOnly(services),
        (None, Some(users)) => Canonical::Users(users),
        (Some(services), Some(users)) => Canonical::Callers { services, users },
        (None, None) => return None,
    };
    let json = serde_json::to_vec(&canonical).ok()?;
    let hash = digest(&SHA256, &json);
    hash.as_ref().first_chunk().map(|first| PolicyDigest::new(*first))
}

impl<'p, T: AsRef<str>> From<Row<'p, T>> for Required<'p> {
    fn from(row: Row<'p, T>) -> Self {
        // Without `..`: a new requirement must be part of the digest.
        let Row {
            is_for_users: _,
            issuers,
            services,
            actors,
            roles,
            scopes,
            any_scope,
            claims,
            max_age,
            proof,
        } = row;
        let set = |names: &'p [T]| names.iter().map(AsRef::as_ref).collect::<BTreeSet<_>>();
        Self {
            issuers: issuers.map(set),
            services: services.map(set),
            actors: actors.map(set),
            roles: roles.map(set),
            scopes: set(scopes),
            any_scope: any_scope.map(set),
            claims: claims.into_iter().collect(),
            max_age,
            proof,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::routes::Access;

    const POLICY: Policy<'static> = Policy::any_service().services(&["billing", "orders"]);

    fn digest(policy: &Policy<'_>) -> String {
        digest_of(policy).unwrap().to_string()
    }

    #[test]
    fn digest_is_the_start_of_the_sha_256_of_the_policy_as_json() {
        // printf '%s' '{"service_only":{"services":["billing","orders"]}}' | sha256sum | cut -c 1-16
        assert_eq!(
            serde_json::to_string(&Access::from(&POLICY)).unwrap(),
            r#"{"service_only":{"services":["billing","orders"]}}"#
        );
        assert_eq!(digest(&POLICY), "520da0e9bea92f57");
    }

    #[test]
    fn each_requirement_changes_the_digest() {
        const USERS: Policy<'static> = Policy::any_user();
        let changed = [
            POLICY,
            Policy::any_service(),
            USERS,
            POLICY.or_users(&USERS),
            POLICY.services(&["billing"]),
            POLICY.services(&[]),
            POLICY.services(&["billing orders"]),
            POLICY.issuers(&["billing", "orders"]),
            POLICY.actors(&["a"]),
            POLICY.actors(&["b"]),
            POLICY.roles(&["a"]),
            POLICY.scopes(&["a"]),
            POLICY.any_scope(&["a"]),
            POLICY.claims(&[("a", "b")]),
            POLICY.claims(&[("a", "c")]),
            POLICY.max_age(Duration::from_secs(1)),
            POLICY.max_age(Duration::from_secs(2)),
            POLICY.proof(RequiredProof::Mtls),
            POLICY.proof(RequiredProof::Dpop),
        ];
        let digests: BTreeSet<_> = changed.iter().map(digest).collect();
        assert_eq!(digests.len(), changed.len());
    }

    #[test]
    fn order_and_repetition_of_a_list_do_not_change_the_digest() {
        assert_eq!(digest(&POLICY.services(&["orders", "billing", "orders"])), digest(&POLICY));
    }

    #[test]
    fn policy_of_a_route_table_has_the_digest_of_the_handler() {
        const USERS: Policy<'static> = Policy::any_user().roles(&["manager"]);
        for policy in [POLICY, USERS, POLICY.max_age(Duration::from_secs(60)).or_users(&USERS)] {
            assert_eq!(Access::from(&policy).policy_digest(), digest_of(&policy));
        }
        assert_eq!(Access::public("health").policy_digest(), None);
    }
}
