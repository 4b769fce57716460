//! What a minted token holds, and that every algorithm and every change gets through to a verifier.

use std::time::Duration;

use serde_json::json;
use service_only::{Algorithm, Identity, KeySet, Policy, Verifier, issue::SigningKey};
use service_only_testkit::{ManualClock, TestAuthority};

#[test]
fn a_token_of_every_algorithm_verifies_and_names_its_key() {
    for algorithm in Algorithm::ALL {
        let authority = TestAuthority::with(algorithm);
        let token = authority.service("orders").token();
        assert_eq!(token.header(), json!({"alg": algorithm, "kid": authority.kid(), "typ": "JWT"}));
        let caller = authority.verifier().verify(&token).unwrap();
        assert_eq!(caller.key_id().map(|kid| kid.as_str()), Some(authority.kid()), "{algorithm}");
    }
}

#[test]
fn the_published_key_of_every_asymmetric_algorithm_verifies() {
    for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric()) {
        let authority = TestAuthority::with(algorithm);
        let verifier = Verifier::builder()
            .issuer(TestAuthority::ISSUER)
            .keys(KeySet::from_jwks(authority.jwks().as_bytes()).unwrap())
            .clock(authority.clock().clone())
            .build()
            .unwrap();
        assert!(verifier.verify(&authority.service("orders").token()).is_ok(), "{algorithm}");
    }
}

#[test]
#[should_panic(expected = "an authority of HS256 has no public key")]
fn a_secret_is_not_published() {
    let _ = TestAuthority::with(Algorithm::HS256).jwks();
}

#[test]
fn a_service_token_has_the_claims_that_the_real_issuer_mints() {
    let authority = TestAuthority::seeded(1);
    let key = SigningKey::from_pem(Algorithm::EdDSA, &authority.key().to_secret_bytes().unwrap()).unwrap();
    let issuer = service_only::issue::Issuer::builder()
        .issuer(TestAuthority::ISSUER)
        .key(key)
        .lifetime(service_only_testkit::TokenDraft::DEFAULT_LIFETIME)
        .clock(authority.clock().clone())
        .build()
        .unwrap();
    let real = issuer.token_for("orders").scope("stock:read").mint().unwrap();

    let (mut minted, mut real) = (
        authority.service("orders").scope("stock:read").token().claims(),
        service_only_testkit::FixtureToken::from_text(real.as_str()).claims(),
    );
    for claims in [&mut minted, &mut real] {
        claims["jti"] = "random".into();
    }
    assert_eq!(minted, real);
}

#[test]
fn a_user_token_is_verified_as_a_user() {
    let authority = TestAuthority::new();
    match authority.verifier().authenticate(&authority.user("anna").token()) {
        Ok(Identity::User(user)) => assert_eq!(user.id(), Some("anna")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_builder_method_of_a_draft_sets_its_claim() {
    let authority = TestAuthority::new();
    let token = authority
        .service("orchestrator")
        .scopes(["tenants:read", "tenants:delete"])
        .scope("audit:read")
        .role("viewer")
        .audience("orders")
        .issued_ago(Duration::from_secs(90))
        .valid_in(Duration::from_secs(5))
        .expires_in(Duration::from_secs(60))
        .claim("tenant", json!({"id": 7}))
        .without_claim("email")
        .header("x-note", 1)
        .without_header("typ")
        .token();
    let now = ManualClock::START.unix();
    let mut claims = token.claims();
    claims.as_object_mut().unwrap().remove("jti");
    assert_eq!(
        claims,
        json!({
            "aud": "orders", "exp": now + 60, "iat": now - 90, "is_service": true, "iss": "test-authority",
            "nbf": now + 5, "role": "viewer", "scope": "tenants:read tenants:delete audit:read",
            "service": "orchestrator", "sub": "orchestrator", "tenant": {"id": 7}, "type": "service",
            "user_id": "orchestrator",
        })
    );
    assert_eq!(token.header(), json!({"alg": "ES256", "kid": authority.kid(), "x-note": 1}));
}

#[test]
fn two_tokens_of_one_authority_have_two_names() {
    let authority = TestAuthority::seeded(3);
    let jti = || authority.service("orders").token().claims()["jti"].as_str().unwrap().to_owned();
    let (first, second) = (jti(), jti());
    assert_ne!(first, second);
    assert_eq!(uuid::Uuid::parse_str(&first).unwrap().get_version_num(), 4);
}

#[test]
fn the_same_seed_makes_the_same_tokens_on_every_machine() {
    let tokens = |seed| {
        let authority = TestAuthority::seeded(seed);
        [authority.service("orders").token(), authority.service("orders").wrong_key().token()]
    };
    assert_eq!(tokens(7), tokens(7));
    assert_ne!(tokens(7), tokens(8));
    insta::assert_snapshot!("seeded", tokens(7)[0]);
}

#[test]
fn two_authorities_refuse_each_others_tokens() {
    let (one, other) = (TestAuthority::new(), TestAuthority::new());
    assert!(one.verifier().verify(&other.service("orders").token()).is_err());
    assert!(other.audit().is_empty() && one.audit().len() == 1);
}

#[test]
fn a_clone_of_an_authority_is_the_same_authority() {
    let authority = TestAuthority::new();
    let clone = authority.clone();
    clone.clock().advance(Duration::from_secs(1));
    assert!(authority.verifier().verify(&clone.service("orders").token()).is_ok());
    assert_eq!(clone.audit().len(), 1);
    assert_eq!(authority.clock().now(), clone.clock().now());
}

#[test]
fn a_token_without_scopes_lacks_what_the_handler_asks_for() {
    let authority = TestAuthority::new();
    let policy = Policy::any_service().scopes(&["tenants:delete"]);
    let draft = authority.service("orders").scope("tenants:delete");
    assert!(authority.verifier().verify_with(&draft.token(), &policy).is_ok());
    let denial = authority.verifier().verify_with(&draft.without_scopes().token(), &policy).unwrap_err();
    assert_eq!(denial.missing_scopes(), ["tenants:delete"]);
}

#[test]
fn a_defect_is_kept_by_later_changes() {
    let authority = TestAuthority::new();
    let token = authority.service("orders").tampered().claim("tenant", 7).scope("stock:read").token();
    assert_eq!(token.claims()["role"], "tampered");
    assert_eq!(token.claims()["tenant"], 7);
    assert_eq!(authority.verifier().verify(&token).unwrap_err().code().as_str(), "bad_signature");
}

#[test]
fn claims_can_be_edited_into_invalid_json() {
    let authority = TestAuthority::new();
    let draft = authority.service("orders");
    let header = draft.clone().edit_header_json(|json| json.replace('}', r#","alg":"none"}"#)).token();
    assert_eq!(authority.verifier().verify(&header).unwrap_err().code().as_str(), "malformed");
    let token = draft.edit_token(|token| token.replace('.', "..")).token();
    assert_eq!(token.matches("..").count(), 2);
}

#[test]
fn debug_shows_the_claims_of_a_token_and_not_its_text() {
    let token = TestAuthority::seeded(7).service("orders").without_claim("jti").token();
    assert_eq!(
        format!("{token:?}"),
        format!(
            "FixtureToken {{ header: {}, claims: {}, length: {} }}",
            json!({"alg": "EdDSA", "kid": token.header()["kid"], "typ": "JWT"}),
            json!({
                "email": "orders@internal.service", "exp": 1_767_229_200, "iat": 1_767_225_600,
                "is_service": true, "iss": "test-authority", "role": "admin", "service": "orders",
                "sub": "orders", "type": "service", "user_id": "orders",
            }),
            token.len(),
        )
    );
    assert_eq!(
        format!("{:?}", service_only_testkit::FixtureToken::from_text("garbage")),
        r#"FixtureToken { header: null, claims: null, length: 7 }"#
    );
}
