//! Each fixture gets the verdict that it states: from a verifier, and from a guarded axum handler.

use std::time::Duration;

use axum::{Router, routing::delete};
use service_only::{
    Algorithm, Caller, Policy, TrustedIssuer, audit::Decision, error::Code, issue::SigningKey, service_only,
};
use service_only_testkit::{
    Defect, Expectation, Fixture, TestAuthority, TestResponse, TokenDraft, assert_allowed, call, snapshot,
};

const POLICY: Policy<'static> = Policy::any_service().services(&["orchestrator"]).scopes(&["tenants:delete"]);

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant(caller: Caller) -> String {
    format!("deleted for {}", caller.service())
}

fn valid(authority: &TestAuthority) -> TokenDraft {
    authority.service("orchestrator").scope("tenants:delete")
}

/// The valid token, and every variant of every class.
fn all(draft: &TokenDraft) -> Vec<Fixture> {
    let control = draft.fixtures().swap_remove(0);
    let variants = Defect::ALL.iter().flat_map(|defect| draft.variants(*defect));
    std::iter::once(control).chain(variants).collect()
}

/// What a failing test calls a fixture.
fn named(fixture: &Fixture) -> String {
    format!("{} {}", fixture.name(), fixture.variant().unwrap_or_default())
}

fn assert_verdicts(authority: &TestAuthority, fixtures: &[Fixture]) {
    let verifier = authority.verifier();
    for fixture in fixtures {
        let Some(token) = fixture.token() else { continue };
        let verdict = verifier.verify_with(token, &POLICY);
        let code = verdict.as_ref().err().map(|denial| denial.code());
        assert_eq!(code, fixture.code(), "{}: {verdict:?}", named(fixture));
        // The end of the caller is the end of the attempt.
        drop(verdict);
        let event = authority.audit().only();
        assert_eq!((event.status, event.code), (fixture.status(), fixture.code()), "{}", named(fixture));
        authority.audit().clear();
    }
    for defect in Defect::ALL {
        let Some(control) = valid(authority).control(*defect) else { continue };
        let verdict = control.token().map(|token| verifier.verify_with(token, &POLICY));
        assert!(matches!(verdict, Some(Ok(_))), "the control of {defect}: {verdict:?}");
        drop(verdict);
        authority.audit().clear();
    }
}

#[test]
fn every_fixture_gets_its_verdict_under_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let authority = TestAuthority::with(algorithm);
        assert_verdicts(&authority, &valid(&authority).fixtures());
    }
}

#[test]
fn every_variant_gets_its_verdict_where_an_audience_is_expected() {
    let authority = TestAuthority::new().audience("orders");
    assert_verdicts(&authority, &all(&valid(&authority)));
}

#[test]
fn every_fixture_gets_its_verdict_from_a_seeded_authority() {
    let authority = TestAuthority::seeded(7);
    assert_verdicts(&authority, &valid(&authority).fixtures());
}

#[tokio::test]
async fn every_fixture_gets_its_answer_from_a_guarded_handler_and_one_record() {
    for algorithm in Algorithm::ALL {
        let authority = TestAuthority::with(algorithm).audience("orders");
        assert_answers(&authority, &valid(&authority).fixtures()).await;
    }
}

#[tokio::test]
async fn every_variant_gets_its_answer_from_a_guarded_handler_and_one_record() {
    for authority in [TestAuthority::new(), TestAuthority::with(Algorithm::HS256).audience("orders")] {
        assert_answers(&authority, &all(&valid(&authority))).await;
    }
}

async fn assert_answers(authority: &TestAuthority, fixtures: &[Fixture]) {
    let app =
        call(Router::new().route("/tenant/{id}", delete(delete_tenant)).with_state(authority.verifier()));
    for fixture in fixtures {
        // What no URI can express is sent over a connection only.
        let outgoing = fixture.outgoing(http::Method::DELETE, "/tenant/7");
        if outgoing.target.parse::<http::Uri>().is_err() {
            continue;
        }
        let response = app.delete("/tenant/7").fixture(fixture).await;
        fixture.assert_met(&response, authority.audit());
        if fixture.defect().map(Defect::expectation) != Some(Expectation::NotRun) {
            assert_contract(fixture, &response, authority);
        }
        authority.audit().clear();
    }
}

/// The wire of design section 5: status, challenge, problem, and the id of the one record.
fn assert_contract(fixture: &Fixture, response: &TestResponse, authority: &TestAuthority) {
    let event = authority.audit().only();
    assert_eq!(event.route.as_deref(), Some("/tenant/{id}"));
    assert_eq!(event.path.as_deref(), Some("/tenant/7"));
    let Some(defect) = fixture.defect() else {
        assert_allowed!(response);
        assert_eq!(event.decision, Decision::Allow);
        return assert_eq!(response.text(), "deleted for orchestrator");
    };
    let challenge = match (defect.status(), defect) {
        (400, _) => r#"Bearer realm="service", error="invalid_request""#,
        (401, _) if defect.code() == Code::MissingToken => r#"Bearer realm="service""#,
        (403, _) if defect.code() == Code::MissingScope => {
            r#"Bearer realm="service", error="insufficient_scope", scope="tenants:delete""#
        }
        (401, _) => r#"Bearer realm="service", error="invalid_token""#,
        _ => r#"Bearer realm="service""#,
    };
    assert_eq!(event.decision, Decision::Deny, "{defect}");
    assert_eq!(response.challenge(), Some(challenge), "{defect}");
    assert_eq!(response.problem().get("instance"), Some(&event.id.urn().to_string().into()), "{defect}");
    assert!(!response.text().contains(defect.code().as_str()), "{defect}: the wire tells the reason");
}

#[test]
fn a_defect_that_does_not_fit_the_token_is_left_out() {
    let has = |authority: &TestAuthority, defect| valid(authority).fixture(defect).is_some();
    let (asymmetric, secret) = (TestAuthority::new(), TestAuthority::with(Algorithm::HS256));
    assert!(has(&asymmetric, Defect::PublicKeyAsSecret) && !has(&secret, Defect::PublicKeyAsSecret));
    assert!(has(&asymmetric, Defect::EmbeddedKey) && !has(&secret, Defect::EmbeddedKey));
    assert!(!has(&asymmetric, Defect::WithoutAudience));
    assert!(has(&asymmetric.audience("orders"), Defect::WithoutAudience));
}

#[test]
fn every_defect_has_a_unique_name_and_a_description() {
    let mut names: Vec<_> = Defect::ALL.iter().map(|defect| defect.name()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Defect::ALL.len());
    for defect in Defect::ALL {
        assert!(defect.attack().ends_with('.') && !defect.source().is_empty(), "{defect}");
        assert!(!defect.family().is_empty(), "{defect}");
        assert!(
            defect.name().bytes().all(|byte| byte.is_ascii_lowercase() || b"_0123456789".contains(&byte)),
            "{defect}"
        );
    }
}

const VIA_GATEWAY: Policy<'static> = Policy::any_service().actors(&["gateway"]);
const OF_USERS: Policy<'static> = Policy::any_user().claims(&[("tenant_id", "t-1")]);

#[test]
fn each_class_fits_some_token_and_the_guide_counts_them() {
    let authorities = Algorithm::ALL.map(|algorithm| TestAuthority::with(algorithm).audience("orders"));
    // The classes with a connection of their own need certificates, which `broken_tls` has, and those with a proof a key and
    // a nonce, which `broken_dpop` has.
    let elsewhere = ["certificate", "session", "binding", "forwarded", "dpop"];
    for defect in Defect::ALL.iter().filter(|defect| !elsewhere.contains(&defect.family())) {
        let fits = authorities.iter().any(|authority| {
            let strict = authority.strict_service("orchestrator");
            let asked = authority.service("orchestrator").meeting(&DEMANDING);
            let marked = authority.service("tenant-orchestrator.v1_a");
            let user = authority.user("mia").meeting(&OF_USERS);
            let via = authority.service("orchestrator").meeting(&VIA_GATEWAY);
            let roles = serde_json::json!({ "roles": ["admin"] });
            let provider = authority.keycloak("orchestrator").scopes(["tenants:delete", "tenants:read"]);
            let provider = provider.claim("realm_access", roles).meeting(&DEMANDING);
            [valid(authority), strict, asked, marked, user, via, provider]
                .iter()
                .any(|draft| draft.fixture(*defect).is_some())
        });
        assert!(fits, "{defect} fits no token");
    }
    let families: std::collections::HashSet<_> = Defect::ALL.iter().map(|defect| defect.family()).collect();
    let size = format!("{} classes in {} families", Defect::ALL.len(), families.len());
    assert!(include_str!("../../README.md").contains(&size), "the guide does not say: {size}");
    for family in families {
        assert!(include_str!("../../README.md").contains(&format!("| `{family}` |")), "{family}");
    }
}

#[test]
fn a_seeded_authority_makes_the_same_catalogue_each_time() {
    let catalogue = || {
        let fixtures = valid(&TestAuthority::seeded(7)).fixtures();
        fixtures.iter().map(|fixture| format!("{fixture:?}")).collect::<Vec<_>>()
    };
    assert_eq!(catalogue(), catalogue());
}

#[test]
fn every_rule_that_one_key_and_one_service_can_meet_has_a_defect() {
    let uncovered = |code: &&Code| !Defect::ALL.iter().any(|defect| defect.code() == **code);
    let left_out: Vec<_> = Code::ALL.iter().filter(uncovered).map(|code| code.as_str()).collect();
    // They depend on several keys, issuers or their source, on the connection, on the revocation store, on the handler, on the
    // sink, and on the installed verifier.
    assert_eq!(
        left_out,
        [
            "no_verifier",
            "panicked",
            "keys_unavailable",
            "cancelled",
            "key_alg_mismatch",
            "proof_unavailable",
            "revoked",
            "revocation_unavailable",
            "issuer_not_allowed",
            "refused",
            "audit_unavailable"
        ]
    );
}

#[test]
fn the_catalogue_reads_as_a_table() {
    let rows = Defect::ALL.iter().map(|defect| {
        format!(
            "{:<12} {:<36} {} {:<20} {}",
            defect.family(),
            defect.name(),
            defect.status(),
            defect.code().as_str(),
            defect.source()
        )
    });
    snapshot::settings().bind(|| insta::assert_snapshot!("catalogue", rows.collect::<Vec<_>>().join("\n")));
}

#[tokio::test]
async fn a_fixture_that_is_let_through_fails_the_test_and_shows_the_audit() {
    // The hole: a handler for any service, where the fixture expects one for the orchestrator.
    #[service_only]
    async fn open_to_any_service() {}

    let authority = TestAuthority::new();
    let app = call(Router::new().route("/", delete(open_to_any_service)).with_state(authority.verifier()));
    let fixture = valid(&authority).fixture(Defect::OtherService).unwrap();
    let response = app.delete("/").fixture(&fixture).await;

    let message = panic_message(|| fixture.assert_met(&response, authority.audit()));
    insta::assert_snapshot!(message, @r"
    fixture `other_service`: expected 403 and service_not_allowed

    DELETE / answered 200 OK
        content-length: 0

    decision  status  code  service             request   endpoint             reason
    allow     200     -     some-other-service  DELETE /  open_to_any_service  -
    ");
}

fn panic_message(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).err();
    panic.and_then(|panic| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

/// Asks for everything that there is to ask for.
const DEMANDING: Policy<'static> = Policy::any_service()
    .services(&["orchestrator", "gateway"])
    .roles(&["auditor", "admin"])
    .scopes(&["tenants:delete", "tenants:read"])
    .max_age(Duration::from_secs(60));

/// Each fixture gets its code and each control is let in, by a handler with this policy.
fn assert_meets(authority: &TestAuthority, policy: &Policy<'_>) {
    let (verifier, draft) = (authority.verifier(), authority.service("any").meeting(policy));
    for fixture in all(&draft) {
        let Some(token) = fixture.token() else { continue };
        let code = verifier.verify_with(token, policy).err().map(|denial| denial.code());
        assert_eq!(code, fixture.code(), "{}", named(&fixture));
    }
    for defect in Defect::ALL {
        let Some(control) = draft.control(*defect) else { continue };
        let verdict = control.token().map(|token| verifier.verify_with(token, policy));
        assert!(matches!(verdict, Some(Ok(_))), "the control of {defect}: {verdict:?}");
    }
}

#[test]
fn every_fixture_gets_its_verdict_from_a_policy_with_all_requirements() {
    assert_meets(&TestAuthority::new(), &DEMANDING);
    assert!(TestAuthority::new().service("a").meeting(&DEMANDING).fixture(Defect::TooOld).is_some());
}

#[test]
fn every_fixture_gets_its_verdict_from_a_policy_without_requirements() {
    assert_meets(&TestAuthority::new(), &Policy::any_service());
}

#[test]
fn a_name_without_letters_gets_no_class_about_case() {
    let key = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap().with_kid("2026-01");
    let authority = TestAuthority::from_key(key).issuer("1").audience("2");
    let policy = Policy::any_service().services(&["3"]).roles(&["4"]).scopes(&["5"]);
    assert_meets(&authority, &policy);
    assert!(authority.service("3").fixture(Defect::KeyIdInOtherCase).is_none());
}

#[test]
fn every_fixture_gets_its_verdict_in_the_strict_profile() {
    let authority = TestAuthority::new().audience("orders");
    let verifier = authority.verifier_trusting(TrustedIssuer::strict);
    let draft = authority.strict_service("orchestrator").scope("tenants:delete");
    let mut wrong = Vec::new();
    for defect in Defect::ALL {
        let token = |fixture: Option<Fixture>| fixture.and_then(|fixture| fixture.token().cloned());
        for fixture in draft.variants(*defect) {
            let Some(token) = fixture.token() else { continue };
            let code = verifier.verify_with(token, &POLICY).err().map(|denial| denial.code());
            if code != Some(defect.code()) {
                wrong.push(format!("{}: {code:?}", named(&fixture)));
            }
        }
        let control = token(draft.control(*defect)).map(|token| verifier.verify_with(&token, &POLICY));
        if let Some(Err(denial)) = control {
            wrong.push(format!("control of {defect}: {denial}"));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
