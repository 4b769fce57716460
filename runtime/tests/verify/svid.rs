//! Callers whose certificate alone names them: the same pipeline, record and later checks as for a token.

use std::time::Duration;

use service_only::{
    Algorithm, Caller, Denial, PeerCertificate, Policy, Proof, RequiredProof, TrustedIssuer, Verifier,
    clock::Timestamp,
    error::{BuildError, Code},
    issue::SigningKey,
    revocation::MemoryRevocations,
    service_only,
    verifier::VerifierBuilder,
};
use service_only_testkit::{TestAuthority, TestCa, TestCertificate, tls::LeafDraft};

const ORDERS: &str = "spiffe://bakery.example/orders";

struct Scene {
    authority: TestAuthority,
    ca: TestCa,
}

impl Scene {
    fn new() -> Self {
        Self { authority: TestAuthority::new(), ca: TestCa::new("bakery.example") }
    }

    fn now(&self) -> Timestamp {
        self.authority.clock().now()
    }

    fn leaf(&self) -> LeafDraft<'_> {
        self.ca.leaf().valid_around(self.now())
    }

    fn of(&self, id: &str) -> TestCertificate {
        self.leaf().spiffe_id(id).issue()
    }

    /// A verifier of no tokens.
    fn builder(&self) -> VerifierBuilder {
        Verifier::builder()
            .trust(TrustedIssuer::spiffe_x509("bakery.example"))
            .clock(self.authority.clock().clone())
            .audit(self.authority.audit().clone())
    }

    fn verifier(&self) -> Verifier {
        self.builder().build().unwrap()
    }
}

fn verdict(verifier: &Verifier, peer: &PeerCertificate) -> Result<String, Code> {
    let caller = verifier.verify_peer(peer, &Policy::any_service());
    caller.map(|caller| caller.service().to_owned()).map_err(|denial| denial.code())
}

#[test]
fn a_certificate_of_the_trust_domain_is_a_caller_without_a_token() {
    let scene = Scene::new();
    let peer = scene.of(ORDERS).peer();
    let caller = scene.verifier().verify_peer(&peer, &Policy::any_service()).unwrap();
    assert_eq!((caller.service(), caller.issuer()), ("orders", "bakery.example"));
    assert_eq!((caller.proof(), caller.jti(), caller.key_id()), (Some(Proof::Mtls), None, None));
    assert_eq!(caller.claims().sub, ORDERS);
    assert!(caller.scopes().is_empty());
    drop(caller);
    let record = scene.authority.audit().only();
    assert_eq!(
        (record.service.as_deref(), record.issuer.as_deref()),
        (Some("orders"), Some("bakery.example"))
    );
    assert_eq!((record.proof, record.profile), (Some("mtls"), Some("spiffe_x509")));
    assert_eq!(record.peer.as_deref(), Some(ORDERS));
}

#[test]
fn names_are_those_of_jwt_svids() {
    let scene = Scene::new();
    let named = TrustedIssuer::spiffe_x509("bakery.example").name("spiffe://bakery.example/a.b", "orders");
    let verifier = Verifier::builder().trust(named).clock(scene.authority.clock().clone()).build().unwrap();
    assert_eq!(verdict(&verifier, &scene.of("spiffe://bakery.example/a.b").peer()), Ok("orders".to_owned()));
    assert_eq!(verdict(&verifier, &scene.of("spiffe://bakery.example/a/b").peer()), Ok("a.b".to_owned()));
    assert_eq!(verdict(&verifier, &scene.of("spiffe://bakery.example/a.c").peer()), Err(Code::BadClaimValue));
    // The configured name of another workload cannot be derived.
    assert_eq!(verdict(&verifier, &scene.of(ORDERS).peer()), Err(Code::BadClaimValue));
}

#[test]
fn with_several_issuers_only_configured_names_are_accepted() {
    let scene = Scene::new();
    let domain = || TrustedIssuer::spiffe_x509("bakery.example");
    let with_tokens = |domain| scene.authority.verifier_builder().trust(domain).build().unwrap();
    let peer = scene.of(ORDERS).peer();
    assert_eq!(verdict(&with_tokens(domain()), &peer), Err(Code::BadClaimValue));
    assert_eq!(verdict(&with_tokens(domain().name(ORDERS, "orders")), &peer), Ok("orders".to_owned()));
}

#[test]
fn every_other_certificate_is_refused_with_its_own_code_and_recorded_with_its_name() {
    let scene = Scene::new();
    let now = scene.now().unix();
    let verifier = scene.verifier();
    let cases = [
        (scene.of("spiffe://mill.example/orders"), Code::WrongIssuer),
        (scene.of("spiffe://bakery.example.evil/orders"), Code::WrongIssuer),
        (scene.leaf().spiffe_id(ORDERS).valid(now - 10, now - 1).issue(), Code::Expired),
        (scene.leaf().spiffe_id(ORDERS).valid(now + 1, now + 10).issue(), Code::NotYetValid),
    ];
    for (certificate, code) in cases {
        assert_eq!(verdict(&verifier, &certificate.peer()), Err(code));
        let record = scene.authority.audit().last().unwrap();
        assert_eq!((record.code, record.status, record.service, record.proof), (Some(code), 401, None, None));
        assert!(record.peer.unwrap().starts_with("spiffe://"));
    }
    assert_eq!(
        verdict(&verifier, &scene.leaf().dns("orders.example").issue().peer()),
        Err(Code::MissingToken)
    );
    assert_eq!(scene.authority.audit().last().unwrap().peer.as_deref(), Some("localhost"), "its first name");
}

#[test]
fn a_verifier_that_trusts_only_tokens_accepts_no_certificate() {
    let scene = Scene::new();
    let peer = scene.of(ORDERS).peer();
    assert_eq!(verdict(&scene.authority.verifier(), &peer), Err(Code::MissingToken));
    // JWT-SVIDs of the same trust domain are tokens.
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let tokens = TrustedIssuer::spiffe("bakery.example").keys(key.verifying_key()).audience("stock");
    let verifier = Verifier::builder().trust(tokens).build().unwrap();
    assert_eq!(verdict(&verifier, &peer), Err(Code::MissingToken));
}

#[test]
fn no_token_is_accepted_by_a_trust_domain_without_tokens() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let peer = scene.of(ORDERS).peer();
    let workload = TestAuthority::new().audience("stock").spiffe("orders").token();
    for token in [scene.authority.service("orders").token(), workload] {
        let denial = verifier.verify_from(Some(&peer), &token, &Policy::any_service()).unwrap_err();
        assert_eq!(denial.code(), Code::UnknownKey, "a refused token does not fall back to the certificate");
    }
    let denial = verifier.verify_from(Some(&peer), "", &Policy::any_service()).unwrap_err();
    assert_eq!(denial.code(), Code::Malformed);
}

#[test]
fn token_and_certificate_at_odds_are_decided_by_the_token() {
    let scene = Scene::new();
    let domain = TrustedIssuer::spiffe_x509("bakery.example").name(ORDERS, "orders");
    let verifier = scene.authority.verifier_builder().trust(domain).build().unwrap();
    let (peer, policy) = (scene.of(ORDERS).peer(), Policy::any_service().services(&["orders"]));
    let of = |token: &str| verifier.verify_from(Some(&peer), token, &policy).map_err(|denial| denial.code());
    // The certificate is that of an allowed service, and each token is refused.
    assert_eq!(of(&scene.authority.service("billing").token()).err(), Some(Code::ServiceNotAllowed));
    assert_eq!(of(&scene.authority.service("orders").expired().token()).err(), Some(Code::Expired));
    assert_eq!(of(&scene.authority.service("orders").wrong_key().token()).err(), Some(Code::BadSignature));
    let bound = scene.authority.service("orders").bound_to(&scene.of(ORDERS)).token();
    assert_eq!(of(&bound).err(), Some(Code::ProofMismatch));
    // A bearer token remains one: the certificate of its sender proves nothing about it.
    assert_eq!(of(&scene.authority.service("orders").token()).unwrap().proof(), None);
    let proven = policy.proof(RequiredProof::Mtls);
    let bearer = scene.authority.service("orders").token();
    let denial = verifier.verify_from(Some(&peer), &bearer, &proven).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::ProofMissing, 401));
    assert_eq!(verifier.verify_peer(&peer, &proven).unwrap().proof(), Some(Proof::Mtls));
}

#[test]
fn a_revocation_of_the_service_covers_certificates_that_began_up_to_then() {
    let scene = Scene::new();
    let revocations = MemoryRevocations::new();
    let verifier = scene.builder().revocation(revocations.clone()).build().unwrap();
    let now = scene.now().unix();
    let from = |begin: i64| scene.leaf().spiffe_id(ORDERS).valid(begin, now + 3_600).issue().peer();
    let (old, new) = (from(now - 60), from(now - 10));
    assert_eq!(verdict(&verifier, &old), Ok("orders".to_owned()));
    revocations.revoke_service("bakery.example", "orders", Timestamp::from_unix(now - 30)).unwrap();
    assert_eq!(verdict(&verifier, &old), Err(Code::Revoked));
    assert_eq!(verdict(&verifier, &new), Ok("orders".to_owned()), "a renewed certificate");
    // Another issuer has services of the same name.
    revocations.revoke_service("mill.example", "orders", Timestamp::from_unix(now)).unwrap();
    assert_eq!(verdict(&verifier, &new), Ok("orders".to_owned()));
}

#[test]
fn policies_apply_and_a_certificate_grants_no_role_scope_or_claim() {
    let scene = Scene::new();
    let (verifier, peer) = (scene.verifier(), scene.of(ORDERS).peer());
    let any = Policy::any_service();
    let code = |policy: Policy<'_>| verifier.verify_peer(&peer, &policy).err().map(|denial| denial.code());
    assert_eq!(code(any.services(&["orders"]).issuers(&["bakery.example"])), None);
    assert_eq!(code(any.services(&["billing"])), Some(Code::ServiceNotAllowed));
    assert_eq!(code(any.issuers(&["mill.example"])), Some(Code::IssuerNotAllowed));
    assert_eq!(code(any.roles(&["admin"])), Some(Code::RoleNotAllowed));
    assert_eq!(code(any.scopes(&["a:b"])), Some(Code::MissingScope));
    assert_eq!(code(any.claims(&[("tenant", "7")])), Some(Code::ClaimNotAllowed));
    assert_eq!(code(Policy::any_user()), Some(Code::NotUser));
    // The certificate began an hour ago.
    assert_eq!(code(any.max_age(Duration::from_secs(3_600))), None);
    assert_eq!(code(any.max_age(Duration::from_secs(3_599))), Some(Code::TooOld));
    assert_eq!(code(any.proof(RequiredProof::Mtls)), None);
    assert_eq!(code(any.proof(RequiredProof::Any)), None);
    assert_eq!(code(any.proof(RequiredProof::Dpop)), Some(Code::ProofMissing));
    for required in [RequiredProof::Mtls, RequiredProof::Any] {
        let verifier = scene.builder().require_proof(required).build().unwrap();
        assert_eq!(verdict(&verifier, &peer), Ok("orders".to_owned()), "{required}");
    }
}

#[service_only(services("orders"), proof = "mtls")]
fn job(caller: &Caller) -> Result<String, Denial> {
    Ok(caller.service().to_owned())
}

#[test]
fn a_stored_caller_ends_with_its_certificate() {
    let scene = Scene::new();
    let now = scene.now().unix();
    let certificate = scene.leaf().spiffe_id(ORDERS).valid(now - 60, now + 60).issue();
    let caller = scene.verifier().verify_peer(&certificate.peer(), &Policy::any_service()).unwrap();
    assert_eq!(job(&caller).map_err(|denial| denial.code()), Ok("orders".to_owned()));
    scene.authority.clock().advance(Duration::from_secs(60));
    assert_eq!(job(&caller).map_err(|denial| denial.code()), Ok("orders".to_owned()), "its last second");
    scene.authority.clock().advance(Duration::from_secs(1));
    assert_eq!(job(&caller).map_err(|denial| denial.code()), Err(Code::Expired));
}

#[test]
fn a_job_that_requires_a_proof_refuses_the_caller_of_a_bearer_token() {
    let scene = Scene::new();
    let caller = scene.authority.verifier().verify(&scene.authority.service("orders").token()).unwrap();
    assert_eq!(job(&caller).map_err(|denial| denial.code()), Err(Code::ProofMissing));
}

#[test]
fn a_trust_domain_is_one_authority() {
    let key = || SigningKey::generate(Algorithm::ES256).unwrap().verifying_key();
    let domain = || TrustedIssuer::spiffe_x509("bakery.example");
    let error = |other| Verifier::builder().trust(domain()).trust(other).build().err();
    let tokens = TrustedIssuer::spiffe("bakery.example").keys(key()).audience("stock");
    assert_eq!(error(tokens), None, "its tokens and its certificates");
    assert_eq!(error(domain()), Some(BuildError::TrustDomainTwice("bakery.example".to_owned())));
    let other = TrustedIssuer::strict("bakery.example").keys(key()).audience("stock");
    assert_eq!(error(other), Some(BuildError::IssuerOfTwoKinds("bakery.example".to_owned())));
}
