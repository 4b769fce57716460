//! A refusal in sentences: the stages that passed, the stage that refused, the two values that differ, the setting to
//! check, and the smallest change that would admit the caller, with its risk.
//!
//! `service-token explain` and the failures of the test kit have the same texts.

use std::fmt;

use serde::Serialize;

use super::{Code, Denial, Stage};

/// A refusal in sentences, from [`Denial::explanation`].
///
/// It is for the operator and for the developer. Like the reason of a denial, it is never sent to the caller.
///
/// ```
/// use service_only::{Algorithm, Policy, Verifier, issue::{Issuer, SigningKey}};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let key = SigningKey::generate(Algorithm::HS256)?;
/// let verifier = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key()).build()?;
/// let issuer = Issuer::builder().issuer("bakery-auth").key(key).build()?;
/// let token = issuer.token_for("orders").mint()?;
///
/// const BILLING: Policy<'static> = Policy::any_service().services(&["billing"]);
/// let denial = verifier.verify_with(token.as_str(), &BILLING).unwrap_err();
/// let explained = denial.explanation();
/// assert_eq!(explained.refused_by.as_str(), "policy");
/// let compared = explained.compared.expect("two values differ");
/// assert_eq!((compared.found.as_str(), compared.expected.as_str()), ("orders", "billing"));
/// assert_eq!(explained.advice.setting, "`services(…)` of the handler's attribute");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The stages that passed, in their order.
    pub passed: Vec<Stage>,
    /// The stage that refused.
    pub refused_by: Stage,
    /// The rule that refused.
    pub code: Code,
    /// The reason, as in the denial.
    pub reason: String,
    /// The two values that differ, if the reason has both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// What would change the decision.
    pub advice: Advice,
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

/// What decides a code, and what would change the decision.
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

impl Denial {
    /// This refusal in sentences: the stages that passed, the two values that differ, the setting to check, and the smallest
    /// change that would admit the caller.
    pub fn explanation(&self) -> Explanation {
        Explanation::of(self.code(), self.reason())
    }
}

impl Explanation {
    /// Explains a refusal of which only the code and the reason are known, such as that of an audit record.
    pub fn of(code: Code, reason: &str) -> Self {
        Self {
            passed: code.stage().earlier().to_vec(),
            refused_by: code.stage(),
            code,
            reason: reason.to_owned(),
            compared: Compared::in_reason(reason),
            advice: code.advice(),
        }
    }
}

/// Several lines of text, without an end of the last one.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, refused_by, code, reason, compared, advice } = self;
        writeln!(f, "refused by the stage `{refused_by}` with {} `{code}`", code.status())?;
        writeln!(f, "  reason    {reason}")?;
        if let Some(Compared { found, expected }) = compared {
            writeln!(f, "  found     {found}\n  expected  {expected}")?;
        }
        if !passed.is_empty() {
            let passed: Vec<_> = passed.iter().map(|stage| stage.as_str()).collect();
            writeln!(f, "  passed    {}", passed.join(", "))?;
        }
        write!(
            f,
            "  check     {}\n  change    {}\n  risk      {}",
            advice.setting, advice.change, advice.risk
        )
    }
}

impl Compared {
    /// What is between the two values in a reason. Of two that begin at one place, the longer one is last.
    const BETWEEN: [&str; 8] = [
        ", allowed: ",
        ", expected ",
        ", required: ",
        ", required proof: ",
        " and `service` is ",
        ", and its key is for ",
        ", and the request is ",
        ", and the request is for ",
    ];

    /// Finds the two values in a reason: `the service is X, allowed: Y`, `the issuer is X, expected Y`,
    /// `the token expired at X, and it is Y`.
    pub fn in_reason(reason: &str) -> Option<Self> {
        if let Some(times) = Self::times(reason) {
            return Some(times);
        }
        // The last one: the value of a hostile token can contain the words too, and the expected value follows it.
        let places = Self::BETWEEN.iter().filter_map(|between| Some((reason.rfind(between)?, between.len())));
        let (at, length) = places.max()?;
        let (found, expected) = (reason.get(..at)?, reason.get(at + length..)?);
        let found = found.split_once(" is ").map_or(found, |(_, found)| found);
        let plain = |text: &str| text.replace('`', "");
        Some(Self { found: plain(found), expected: plain(expected) })
    }

    /// A time of the token, its proof or its certificate, and the times that the clock accepts. Such a reason quotes no
    /// text of a token.
    fn times(reason: &str) -> Option<Self> {
        let (what, now) = reason.split_once(", and it is ").filter(|_| !reason.contains('`'))?;
        let (found, expected) = if let Some((_, expired)) = what.split_once(" expired at ") {
            (expired, format!("later than {now}"))
        } else if let Some((_, start)) = what.split_once(" valid from ") {
            (start.trim_end_matches(" on"), format!("{now} or earlier"))
        } else {
            let (_, signed) = what.split_once(" signed at ")?;
            let expected = match now.split_once(", allowed: ") {
                Some((now, age)) => format!("at most {age} before {now}"),
                None => format!("{now} or earlier"),
            };
            (signed, expected)
        };
        Some(Self { found: found.to_owned(), expected })
    }
}

impl Stage {
    /// Every stage, in order.
    pub const ALL: [Self; 12] = [
        Self::Configuration,
        Self::Bearer,
        Self::Token,
        Self::Header,
        Self::Key,
        Self::Signature,
        Self::Claims,
        Self::Revocation,
        Self::Service,
        Self::Policy,
        Self::Handler,
        Self::Audit,
    ];

    /// What the stage has proven once it has passed, as a sentence without a full stop.
    pub const fn proves(self) -> &'static str {
        match self {
            Self::Configuration => "a verifier is installed",
            Self::Bearer => "the request has one bearer token",
            Self::Token => "the token has three segments and an acceptable length",
            Self::Header => "the header has an accepted `typ` and `alg`",
            Self::Key => "the verifier has the key of the token",
            Self::Signature => "the signature is valid",
            Self::Claims => "issuer, audience and times are accepted",
            Self::Revocation => "token, service and key are not revoked",
            Self::Service => "the token belongs to a service",
            Self::Policy => "the caller meets the handler's policy",
            Self::Handler => "the handler did not refuse",
            Self::Audit => "the record was accepted",
        }
    }

    /// The stages before this one.
    fn earlier(self) -> &'static [Self] {
        const ALL: &[Stage] = &Stage::ALL;
        let position = ALL.iter().position(|stage| *stage == self).unwrap_or_default();
        ALL.get(..position).unwrap_or_default()
    }
}

impl Advice {
    /// The advice for the name of a code, as records have it. For a name that this version does not know, it refers to the
    /// page on troubleshooting.
    pub fn for_code(name: &str) -> Self {
        Code::named(name).map_or(
            Self {
                setting: "the page on troubleshooting, section of this code",
                change: "see the page",
                risk: "unknown: this code is newer than this program",
            },
            Code::advice,
        )
    }
}

impl Code {
    /// The code with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == name)
    }

    /// What decides this code, the smallest change that would admit the caller, and its risk.
    pub const fn advice(self) -> Advice {
        match self {
            Self::NoVerifier => advice(
                "the verifier in the state of the router, or the layer that provides it",
                "install a verifier: the service refuses every caller until then",
                "none, if the verifier has the keys and the issuer of production",
            ),
            Self::Panicked => advice(
                "the source of keys, the store of revocations, or the audit sink that panicked; the log has its message",
                "correct the panic",
                "none",
            ),
            Self::MissingToken => advice(
                "the `Authorization` header of the caller",
                "send the service's token as `Authorization: Bearer TOKEN`",
                "none for the endpoint; the caller now needs a token that it can lose",
            ),
            Self::InvalidRequest => advice(
                "the `Authorization` header, and proxies that add a second one",
                "send exactly one header, with the token and nothing else",
                "none",
            ),
            Self::TooLarge | Self::Malformed => advice(
                "the file or variable that the caller reads its token from",
                "mint the token again and deploy it: `service-token generate NAME`",
                "none",
            ),
            Self::Crit => advice(
                "the issuer of the token, which added `crit` to its header",
                "mint tokens without `crit`; this project implements no extension",
                "none, if one of your issuers minted the token; otherwise treat the request as an attack",
            ),
            Self::WrongTyp => advice(
                "the profile of the trusted issuer: `TrustedIssuer::compatible` or `TrustedIssuer::strict`",
                "mint a token of the profile that the service trusts",
                "trusting both profiles also accepts the longer lifetimes of the compatible one",
            ),
            Self::AlgNotAllowed | Self::KeyAlgMismatch => advice(
                "the keys of the verifier and its list of algorithms",
                "publish the key of the token with its own algorithm",
                "never add an algorithm for one caller: `none` and a mixed-up HMAC are the classical attacks",
            ),
            Self::KeysUnavailable => advice(
                "the source of keys, and the network to it",
                "restore the source; the verifier retries at least once a minute",
                "a longer `max_staleness` accepts keys that were withdrawn in the meantime",
            ),
            Self::Cancelled => advice(
                "the timeouts of the caller and of proxies",
                "publish a key before it signs, so that no request waits for it",
                "none",
            ),
            Self::UnknownKey => advice(
                "the key set that the service reads, and the `kid` of the token",
                "publish the key that signed the token, or mint the token again with a published key",
                "a key of another environment lets all tokens of that environment in",
            ),
            Self::BadSignature => advice(
                "the key with this `kid`, and whether the token was changed on its way",
                "mint the token again with the key that is published",
                "none; if the token was changed on purpose, the request was an attack",
            ),
            Self::MissingClaim | Self::BadClaimType | Self::BadClaimValue | Self::SubServiceMismatch => {
                advice(
                    "the program that minted the token",
                    "mint the token with `service-token generate`, which sets every claim",
                    "none",
                )
            }
            Self::WrongIssuer => advice(
                "`issuer` of the verifier, compared byte for byte with `iss`",
                "mint the token with the issuer that the service trusts",
                "trusting another issuer lets every token of it in, for each handler without a list",
            ),
            Self::WrongAudience => advice(
                "`audience` of the verifier, and `aud` of the token",
                "mint the token with the audience of this service",
                "a second audience on the verifier accepts tokens that were meant for another service",
            ),
            Self::Expired => advice(
                "`exp` of the token, and the clock of the service",
                "renew the token: `service-token renew`",
                "a leeway extends every token; it helps against clocks that differ, not against old tokens",
            ),
            Self::NotYetValid => advice(
                "`nbf` and `iat` of the token, and the clocks of issuer and service",
                "synchronize the clocks",
                "a leeway accepts every token earlier and longer",
            ),
            Self::LivesTooLong => advice(
                "the longest lifetime that the profile accepts",
                "mint the token with a shorter lifetime",
                "a longer limit keeps a stolen token useful for longer",
            ),
            Self::ProofMissing | Self::ProofMismatch => advice(
                "`cnf` of the token, which binds it to a key of the caller",
                "send the token over the connection, or with the proof, that it is bound to",
                "a token without a binding works for every client that has a copy",
            ),
            Self::UseDpopNonce => advice(
                "whether the client sends the request again with the header `DPoP-Nonce` of the response",
                "use a client that does; no fix is needed if the next attempt is allowed",
                "without nonces, a proof that was prepared in advance is accepted",
            ),
            Self::ProofUnavailable => advice(
                "the capacity of the memory of proofs, or the store of proofs",
                "set a higher `replay_capacity`, or restore the store",
                "a proof that is not recorded can be replayed",
            ),
            Self::Revoked => advice(
                "the revocations of the token, its service and its key: `service-token revocations`",
                "mint a new token, if the reason of the revocation no longer holds",
                "undoing the revocation accepts the old token again, also from a thief",
            ),
            Self::RevocationUnavailable => advice(
                "the store of revocations, and the outage that the verifier accepts",
                "restore the store",
                "a longer accepted outage admits tokens that were revoked during it",
            ),
            Self::NotService => advice(
                "`type` and `is_service` of the token",
                "call with a service token; a user's token belongs at the gateway",
                "the handler has no policy for users, so it must not admit them",
            ),
            Self::NotUser => advice(
                "`#[users_only]` of the handler",
                "call another endpoint, or write `#[callers(users(..), services(..))]`",
                "the named services can then do what was made for people",
            ),
            Self::ClaimNotAllowed => advice(
                "`claims(..)` of the handler, the type of its `Claims` argument, and the claims of the token",
                "mint a token with the claim, or call with the token for that tenant",
                "without the claim, a caller reaches the data of other tenants",
            ),
            Self::IssuerNotAllowed => advice(
                "`issuers(…)` of the handler's attribute",
                "add the issuer to the list of this handler",
                "every service of that issuer that meets the rest of the policy can then call this handler",
            ),
            Self::ServiceNotAllowed => advice(
                "`services(…)` of the handler's attribute",
                "add the service to the list of this handler",
                "each token of that service can then call this handler, also a stolen one",
            ),
            Self::ActorNotAllowed => advice(
                "`actors(…)` of the handler's attribute, and `act` of the token",
                "call through a gateway that the handler names",
                "a further actor can call the handler in the name of every service that it serves",
            ),
            Self::RoleNotAllowed => advice(
                "`roles(…)` of the handler's attribute, and the role of the service's token",
                "mint the service's token with a role of the list",
                "a role counts in every handler that names it",
            ),
            Self::MissingScope => advice(
                "`scopes(…)` of the handler's attribute, and the scopes of the service's token",
                "mint the service's token with the missing scope",
                "a scope counts in every handler that requires it",
            ),
            Self::TooOld => advice(
                "`max_age` of the handler's attribute, and the age of the token",
                "renew the token before the call",
                "a larger `max_age` keeps a stolen token useful for longer",
            ),
            Self::Refused => advice(
                "the code of the handler, which refused after its policy had admitted the caller",
                "read the reason: the handler wrote it",
                "depends on the handler",
            ),
            Self::AuditUnavailable => advice(
                "the audit sink: disk space, the mode of the file, the queue",
                "make the log writable; the verifier requires a record for each admitted call",
                "without `require_audit` admitted calls can be missing in the log",
            ),
        }
    }
}

const fn advice(setting: &'static str, change: &'static str, risk: &'static str) -> Advice {
    Advice { setting, change, risk }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        clock::Timestamp,
        proof::{Proof, RequiredProof},
        times::{Moment, check_times},
    };

    #[test]
    fn a_refusal_is_explained_with_its_stages_and_both_values() {
        let reason = "the service is `orders`, allowed: `billing` `users`";
        let explained = Denial::new(Code::ServiceNotAllowed, reason).explanation();
        assert_eq!(explained.passed.last(), Some(&Stage::Service));
        let compared = explained.compared.clone().unwrap();
        assert_eq!((compared.found.as_str(), compared.expected.as_str()), ("orders", "billing users"));
        insta::assert_snapshot!(explained, @r"
        refused by the stage `policy` with 403 `service_not_allowed`
          reason    the service is `orders`, allowed: `billing` `users`
          found     orders
          expected  billing users
          passed    configuration, bearer, token, header, key, signature, claims, revocation, service
          check     `services(…)` of the handler's attribute
          change    add the service to the list of this handler
          risk      each token of that service can then call this handler, also a stolen one
        ");
    }

    #[test]
    fn both_values_are_found_in_each_reason_that_compares_two() {
        let at = Moment { now: Timestamp::from_unix(1_767_225_600), leeway: Duration::ZERO };
        let times = |exp, nbf| check_times(exp, nbf, at).unwrap_err().explanation();
        let proof = |given| RequiredProof::Dpop.check(given).unwrap_err().explanation();
        for (explained, code, found, expected) in [
            (
                times(1_767_225_000, None),
                Code::Expired,
                "2025-12-31T23:50:00.000000Z",
                "later than 2026-01-01T00:00:00.000000Z",
            ),
            (
                times(1_767_226_200, Some(1_767_225_601)),
                Code::NotYetValid,
                "2026-01-01T00:00:01.000000Z",
                "2026-01-01T00:00:00.000000Z or earlier",
            ),
            (proof(Some(Proof::Mtls)), Code::ProofMissing, "mtls", "dpop"),
            (proof(None), Code::ProofMissing, "not bound to a key of its sender", "dpop"),
        ] {
            let compared = explained.compared.unwrap();
            assert_eq!((explained.code, &*compared.found, &*compared.expected), (code, found, expected));
        }
        for (reason, found, expected) in [
            ("the token's `alg` is `none`, allowed: ES256, EdDSA", "none", "ES256, EdDSA"),
            ("the token's `alg` is `RS256`, and its key is for `ES256`", "RS256", "ES256"),
            ("the token's `typ` is `JWT`, expected `at+jwt`", "JWT", "at+jwt"),
            ("the token's `iss` is `a`, expected `b`", "a", "b"),
            ("the token's `aud` is `a`, `b`, expected `c`, `d`", "a, b", "c, d"),
            ("the token's `sub` is `a` and `service` is `b`", "a", "b"),
            ("the certificate expired at T1, and it is T2", "T1", "later than T2"),
            ("the certificate is valid from T1 on, and it is T2", "T1", "T2 or earlier"),
            ("the proof expired at T1, and it is T2", "T1", "later than T2"),
            ("the proof was signed at T1, and it is T2, allowed: 60 s", "T1", "at most 60 s before T2"),
            ("the proof is signed at T1, and it is T2", "T1", "T2 or earlier"),
            ("`htm` of the proof is `GET`, and the request is `POST`", "GET", "POST"),
            (
                "`htu` of the proof is `/a`, and the request is for `/b` of this service",
                "/a",
                "/b of this service",
            ),
            (
                "the token is valid for 9 s, of which 8 s remain, allowed: 7 s",
                "valid for 9 s, of which 8 s remain",
                "7 s",
            ),
            ("the token was issued 60 s ago, allowed: 5 s", "the token was issued 60 s ago", "5 s"),
            ("the service is `orders`, allowed: billing, users", "orders", "billing, users"),
            ("the role is absent, allowed: admin", "absent", "admin"),
            ("the claim `tenant` is `7`, expected `8`", "7", "8"),
            // A hostile token cannot choose the expected value.
            (
                "the token's `iss` is `a, expected b, allowed: c`, expected `d`",
                "a, expected b, allowed: c",
                "d",
            ),
            (
                "the token's `iss` is `it expired at 1, and it is 2`, expected `d`",
                "it expired at 1, and it is 2",
                "d",
            ),
        ] {
            let compared = Compared::in_reason(reason).unwrap();
            assert_eq!((&*compared.found, &*compared.expected), (found, expected), "{reason}");
        }
        for reason in ["the token lacks the scope `a`", "the proof was used before", "no issuer is trusted"] {
            assert_eq!(Compared::in_reason(reason), None, "{reason}");
        }
    }

    #[test]
    fn the_first_stage_has_no_earlier_one_and_claims_none() {
        let explained = Denial::new(Code::NoVerifier, "no verifier is installed").explanation();
        assert_eq!((explained.passed.len(), explained.compared.as_ref()), (0, None));
        assert!(!explained.to_string().contains("passed"), "{explained}");
    }

    #[test]
    fn stages_are_listed_in_their_order_and_each_proves_something_else() {
        assert!(Stage::ALL.is_sorted());
        assert!(Code::ALL.iter().all(|code| Stage::ALL.contains(&code.stage())));
        let proofs: std::collections::BTreeSet<_> = Stage::ALL.iter().map(|stage| stage.proves()).collect();
        assert_eq!(proofs.len(), Stage::ALL.len());
    }

    #[test]
    fn names_of_records_find_the_advice_of_their_code() {
        for code in Code::ALL {
            assert_eq!(Advice::for_code(code.as_str()), code.advice());
            assert_ne!(code.advice(), Advice::for_code("a code of the future"));
        }
    }
}
