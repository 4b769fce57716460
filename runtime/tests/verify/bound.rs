//! Tokens that are bound to a certificate: accepted on its connection only, also from the token cache.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;
use service_only::{
    Algorithm, Identity, KeySet, PeerCertificate, Policy, Proof, Verifier,
    error::{Code, Stage},
    issue::{Issuer, SigningKey},
    keys::KeyId,
};
use service_only_testkit::{Audited, TestAuthority, TestCa, TestCertificate, TokenDraft};

struct Scene {
    authority: TestAuthority,
    orders: TestCertificate,
    billing: TestCertificate,
}

impl Scene {
    fn new() -> Self {
        let ca = TestCa::new("bakery.example");
        let authority = TestAuthority::new();
        let of = |id: &str| ca.leaf().spiffe_id(id).valid_around(authority.clock().now()).issue();
        Self {
            orders: of("spiffe://bakery.example/orders"),
            billing: of("spiffe://bakery.example/billing"),
            authority,
        }
    }

    fn bound(&self) -> TokenDraft {
        self.authority.service("orders").bound_to(&self.orders)
    }
}

fn verdict(verifier: &Verifier, peer: Option<&PeerCertificate>, token: &str) -> Result<Option<Proof>, Code> {
    let caller = verifier.verify_from(peer, token, &Policy::any_service());
    caller.map(|caller| caller.proof()).map_err(|denial| denial.code())
}

#[test]
fn a_bound_token_is_accepted_on_the_connection_of_its_certificate_and_on_no_other() {
    let scene = Scene::new();
    let (own, other) = (scene.orders.peer(), scene.billing.peer());
    for verifier in [
        scene.authority.verifier(),
        scene.authority.verifier_builder().without_token_cache().build().unwrap(),
    ] {
        let token = scene.bound().token();
        // More often than a token needs to be cached, and in turns, so that one verdict is not kept for the next.
        for _ in 0..5 {
            assert_eq!(verdict(&verifier, Some(&own), &token), Ok(Some(Proof::Mtls)));
            assert_eq!(verdict(&verifier, Some(&other), &token), Err(Code::ProofMismatch));
            assert_eq!(verdict(&verifier, None, &token), Err(Code::ProofMissing));
            assert_eq!(
                verifier.verify(&token).map_err(|denial| denial.code()).err(),
                Some(Code::ProofMissing)
            );
            assert!(verifier.authenticate(&token).is_err());
        }
    }
    assert_eq!((Code::ProofMismatch.status(), Code::ProofMismatch.stage()), (401, Stage::Claims));
}

#[test]
fn the_record_of_a_user_names_the_key_the_kind_and_the_proof() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier();
    let token = scene.authority.user("mia").bound_to(&scene.orders).token();
    let Ok(Identity::User(user)) =
        verifier.authenticate_from(Some(&scene.orders.peer()), &token, &Policy::any_user())
    else {
        panic!("refused");
    };
    let debug = format!("{user:?}");
    assert!(debug.starts_with("User(") && debug.contains("mia"), "{debug}");
    drop(user);
    let record = scene.authority.audit().only();
    assert_eq!((record.proof, record.profile), (Some("mtls"), Some("compatible")));
    let caller = verifier.verify(&scene.authority.service("orders").token()).unwrap();
    assert_eq!(record.kid.as_deref(), caller.key_id().map(KeyId::as_str));
    let debug = format!("{caller:?}");
    assert!(debug.starts_with(r#"Caller { service: "orders", issuer: "test-authority""#), "{debug}");
}

#[test]
fn a_cached_bound_token_is_found_again_and_not_evicted_by_another_sender() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier();
    let (own, other, token) = (scene.orders.peer(), scene.billing.peer(), scene.bound().token());
    for _ in 0..2 {
        verdict(&verifier, Some(&own), &token).unwrap();
    }
    for hits in 1..4 {
        verdict(&verifier, Some(&other), &token).unwrap_err();
        verdict(&verifier, None, &token).unwrap_err();
        verdict(&verifier, Some(&own), &token).unwrap();
        assert_eq!(verifier.token_cache_hits(), hits);
    }
}

#[test]
fn an_expired_certificate_proves_nothing_even_for_a_cached_token() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier();
    let clock = scene.authority.clock();
    let token = scene.bound().claim("exp", scene.orders.peer().not_after().unix() + 1_000).token();
    let peer = scene.orders.peer();
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, Some(&peer), &token), Ok(Some(Proof::Mtls)));
    }
    clock.set(peer.not_after());
    assert_eq!(verdict(&verifier, Some(&peer), &token), Ok(Some(Proof::Mtls)), "its last second");
    clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&verifier, Some(&peer), &token), Err(Code::ProofMismatch));
}

#[test]
fn a_binding_with_another_form_is_refused_on_every_connection() {
    let scene = Scene::new();
    let (verifier, peer) = (scene.authority.verifier(), scene.orders.peer());
    let thumbprint = URL_SAFE_NO_PAD.encode(scene.orders.thumbprint());
    let last = if thumbprint.ends_with('A') { 'B' } else { 'A' };
    for cnf in [
        json!({"x5t#S256": thumbprint, "jkt": "0ZcOCORZNYy-DWpqq30jZw"}),
        json!({"x5t#S256": thumbprint, "x5t": thumbprint}),
        json!({"x5t#s256": thumbprint}),
        json!({"x5t": thumbprint}),
        json!({"x5t#S256": [thumbprint]}),
        json!({"x5t#S256": null}),
        json!({"x5t#S256": ""}),
        json!({"x5t#S256": format!("{thumbprint}=")}),
        json!({"x5t#S256": format!("{thumbprint}A")}),
        json!({"x5t#S256": thumbprint[..42]}),
        json!({"x5t#S256": format!("{} ", &thumbprint[..42])}),
        json!([{"x5t#S256": thumbprint}]),
        json!({}),
        json!(null),
    ] {
        let token = scene.authority.service("orders").claim("cnf", cnf.clone()).token();
        assert_eq!(verdict(&verifier, Some(&peer), &token), Err(Code::ProofMissing), "{cnf}");
    }
    // Another text with the same bytes is refused too: its last bits are not zero.
    let odd = format!("{}{last}", &thumbprint[..42]);
    let token = scene.authority.service("orders").claim("cnf", json!({"x5t#S256": odd})).token();
    verdict(&verifier, Some(&peer), &token).unwrap_err();
}

#[test]
fn a_token_without_a_binding_is_a_bearer_token_on_every_connection() {
    let scene = Scene::new();
    let (verifier, peer) = (scene.authority.verifier(), scene.orders.peer());
    let token = scene.authority.service("orders").token();
    assert_eq!(verdict(&verifier, Some(&peer), &token), Ok(None));
    assert_eq!(verdict(&verifier, None, &token), Ok(None));
}

#[test]
fn a_verifier_that_requires_a_proof_refuses_every_bearer_token() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier_builder().require_proof(Proof::Mtls).build().unwrap();
    let (peer, bearer) = (scene.orders.peer(), scene.authority.service("orders").token());
    for _ in 0..3 {
        assert_eq!(verdict(&verifier, Some(&peer), &bearer), Err(Code::ProofMissing));
        assert_eq!(verdict(&verifier, Some(&peer), &scene.bound().token()), Ok(Some(Proof::Mtls)));
    }
    let user = scene.authority.user("ada").token();
    assert_eq!(
        verifier.authenticate(&user).map(drop).map_err(|denial| denial.code()),
        Err(Code::ProofMissing)
    );
    assert!(matches!(scene.authority.verifier().authenticate(&user), Ok(Identity::User(_))));
}

#[test]
fn the_record_shows_the_proof_and_the_refusal() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier();
    let (own, other, token) = (scene.orders.peer(), scene.billing.peer(), scene.bound().token());
    for _ in 0..3 {
        verdict(&verifier, Some(&own), &token).unwrap();
    }
    verdict(&verifier, Some(&other), &token).unwrap_err();
    verdict(&verifier, None, &scene.authority.service("orders").token()).unwrap();
    let records = scene.authority.audit().records();
    let seen: Vec<_> = records.iter().map(|record| (record.proof, record.code)).collect();
    let proven = (Some("mtls"), None);
    assert_eq!(seen, [proven, proven, proven, (None, Some(Code::ProofMismatch)), (None, None)]);
    let line = serde_json::to_value(&records[0]).unwrap();
    assert_eq!(line["proof"], "mtls");
}

#[test]
fn an_issuer_mints_tokens_that_are_bound_to_a_certificate() {
    let scene = Scene::new();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let verifier = Verifier::builder().issuer("bakery-auth").keys(KeySet::from(key.verifying_key()));
    let verifier = verifier.clock(scene.authority.clock().clone()).build().unwrap();
    let issuer =
        Issuer::builder().issuer("bakery-auth").key(key).lifetime(Duration::from_secs(60)).build().unwrap();
    let token = issuer.token_for("orders").bind_certificate(scene.orders.thumbprint()).mint().unwrap();
    assert_eq!(verdict(&verifier, Some(&scene.orders.peer()), token.as_str()), Ok(Some(Proof::Mtls)));
    assert_eq!(verdict(&verifier, Some(&scene.billing.peer()), token.as_str()), Err(Code::ProofMismatch));
    assert_eq!(verdict(&verifier, None, token.as_str()), Err(Code::ProofMissing));
}
