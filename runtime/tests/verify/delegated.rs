//! Tokens that a gateway mints on behalf of a caller (RFC 8693 section 4.1): what they carry, how long they live, and which
//! policies they meet.

use std::time::Duration;

use serde_json::{Value, json};
use service_only::{
    Algorithm, Identity, KeySet, Policy, Verifier,
    claims::Actor,
    clock::{FixedClock, Timestamp},
    error::Code,
    issue::{Issuer, SigningKey},
};
use service_only_testkit::{TestAuthority, TokenDraft};

const GATEWAY_ISSUER: &str = "https://gateway.example";

/// The gateway's issuer, and a verifier of `orders` that trusts it. Both show the time of the authority.
fn gateway(at: Timestamp) -> (Issuer, Verifier) {
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let jwks = json!({ "keys": [key.public_jwk().unwrap()] }).to_string();
    let issuer = Issuer::builder().issuer(GATEWAY_ISSUER).key(key).clock(FixedClock(at)).build().unwrap();
    let verifier = Verifier::builder()
        .issuer(GATEWAY_ISSUER)
        .audience("orders")
        .keys(KeySet::from_jwks(jwks.as_bytes()).unwrap())
        .clock(FixedClock(at))
        .build()
        .unwrap();
    (issuer, verifier)
}

struct Scene {
    authority: TestAuthority,
    issuer: Issuer,
    orders: Verifier,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new().issuer("https://auth.example");
        let (issuer, orders) = gateway(authority.clock().now());
        Self { authority, issuer, orders }
    }

    fn caller(&self, draft: &TokenDraft) -> Identity {
        self.authority.verifier().authenticate(&draft.token()).unwrap()
    }

    fn passed_on(&self, draft: &TokenDraft) -> String {
        let request = self.issuer.on_behalf_of(&self.caller(draft), "gateway").audience("orders");
        request.mint().unwrap().as_str().to_owned()
    }

    fn verdict(&self, token: &str, policy: &Policy<'_>) -> Result<(), Code> {
        self.orders.authenticate_with(token, policy).map(drop).map_err(|denial| denial.code())
    }
}

const ORCHESTRATOR: Policy<'static> =
    Policy::any_service().services(&["orchestrator"]).actors(&["gateway"]).scopes(&["tenants:delete"]);

#[test]
fn caller_stays_the_subject_and_the_gateway_is_the_actor() {
    let scene = Scene::new();
    let draft = scene.authority.service("orchestrator").role("operator").scope("tenants:delete");
    let token = scene.passed_on(&draft);
    let Identity::Service(caller) = scene.orders.authenticate_with(&token, &ORCHESTRATOR).unwrap() else {
        panic!("a service became a user");
    };
    assert_eq!(
        (caller.service(), caller.role(), caller.issuer()),
        ("orchestrator", Some("operator"), GATEWAY_ISSUER)
    );
    assert_eq!(caller.actor(), Some(&Actor::new("gateway").unwrap()));
    assert_eq!(caller.claim("act"), Some(&json!({ "sub": "gateway" })));
    assert_eq!(caller.claims().aud, ["orders"]);
    let now = scene.authority.clock().now().unix();
    assert_eq!((caller.claims().exp, caller.claims().iat), (now + 60, Some(now)));
    // A policy that names both: neither alone is enough.
    let other = scene.passed_on(&scene.authority.service("sales").scope("tenants:delete"));
    assert_eq!(scene.verdict(&other, &ORCHESTRATOR), Err(Code::ServiceNotAllowed));
    assert_eq!(scene.verdict(&token, &ORCHESTRATOR.actors(&["edge"])), Err(Code::ActorNotAllowed));
    let direct =
        scene.issuer.token_for("orchestrator").audience("orders").scope("tenants:delete").mint().unwrap();
    assert_eq!(scene.verdict(direct.as_str(), &ORCHESTRATOR), Err(Code::ActorNotAllowed));
}

#[test]
fn token_is_for_one_service_and_not_for_the_gateway_itself() {
    let scene = Scene::new();
    let draft = scene.authority.service("orchestrator");
    let caller = scene.caller(&draft);
    let for_sales = scene.issuer.on_behalf_of(&caller, "gateway").audience("sales").mint().unwrap();
    assert_eq!(scene.verdict(for_sales.as_str(), &Policy::any_service()), Err(Code::WrongAudience));
    let back = scene.authority.verifier().verify(&scene.passed_on(&draft)).unwrap_err();
    assert_eq!(back.code(), Code::UnknownKey);
    let without = scene.issuer.on_behalf_of(&caller, "gateway").mint().unwrap_err();
    assert!(without.to_string().contains("needs an audience"), "{without}");
}

#[test]
fn user_stays_a_user() {
    let scene = Scene::new();
    let token = scene.passed_on(&scene.authority.user("ana").role("manager"));
    let users = Policy::any_user().roles(&["manager"]).actors(&["gateway"]);
    let Identity::User(user) = scene.orders.authenticate_with(&token, &users).unwrap() else {
        panic!("a user became a service");
    };
    assert_eq!((user.id(), user.actor().map(Actor::name)), (Some("ana"), Some("gateway")));
    assert_eq!(scene.verdict(&token, &users.actors(&["edge"])), Err(Code::ActorNotAllowed));
    assert_eq!(scene.verdict(&token, &Policy::any_service()), Err(Code::NotService));
}

#[test]
fn token_never_outlives_that_of_the_caller_and_counts_as_old() {
    let scene = Scene::new();
    let draft = scene.authority.service("orchestrator").issued_ago(Duration::from_secs(3_600));
    let day = |hours: u64| Policy::any_service().max_age(Duration::from_secs(hours * 3_600));
    let token = scene.passed_on(&draft);
    assert_eq!(scene.verdict(&token, &day(1)), Ok(()));
    let older =
        scene.passed_on(&scene.authority.service("orchestrator").issued_ago(Duration::from_secs(3_601)));
    assert_eq!(scene.verdict(&older, &day(1)), Err(Code::TooOld));

    let now = scene.authority.clock().now();
    let short = scene.caller(&scene.authority.service("orchestrator").expires_in(Duration::from_secs(5)));
    let request = || scene.issuer.on_behalf_of(&short, "gateway").audience("orders");
    assert_eq!(request().mint().unwrap().expires_at(), now.plus(Duration::from_secs(5)));
    let longer = request().lifetime(Duration::from_secs(600)).mint().unwrap();
    assert_eq!(longer.expires_at(), now.plus(Duration::from_secs(5)));
    let (later, _) = gateway(now.plus(Duration::from_secs(5)));
    let expired = later.on_behalf_of(&short, "gateway").audience("orders").mint().unwrap_err();
    assert!(expired.to_string().contains("has expired"), "{expired}");
}

#[test]
fn further_actors_are_nested_with_their_issuer_up_to_the_limit() {
    let scene = Scene::new();
    let token = scene.passed_on(&scene.authority.service("orchestrator").via("edge"));
    let Identity::Service(caller) = scene.orders.authenticate(&token).unwrap() else { panic!("a user") };
    let expected = json!({ "sub": "gateway", "act": { "sub": "edge", "iss": "https://auth.example" } });
    assert_eq!(caller.claim("act"), Some(&expected));
    // RFC 8693 section 4.1: a prior actor decides nothing.
    assert_eq!(scene.verdict(&token, &Policy::any_service().actors(&["edge"])), Err(Code::ActorNotAllowed));

    let nested =
        |depth: usize| (1..depth).fold(json!({ "sub": "a" }), |act, _| json!({ "sub": "a", "act": act }));
    let deepest = scene.authority.service("orchestrator").claim("act", nested(Actor::MAX_DEPTH));
    let request = scene.issuer.on_behalf_of(&scene.caller(&deepest), "gateway").audience("orders");
    assert!(request.mint().unwrap_err().to_string().contains("four actors"));
    let unnamed = scene.issuer.on_behalf_of(&scene.caller(&deepest), "").audience("orders");
    assert!(unnamed.mint().is_err());
}

#[test]
fn malformed_actor_is_401_even_where_no_actor_is_required() {
    let scene = Scene::new();
    let verifier = scene.authority.verifier();
    let deep =
        |depth: usize| (1..depth).fold(json!({ "sub": "a" }), |act, _| json!({ "sub": "a", "act": act }));
    let cases: [Value; 9] = [
        Value::Null,
        json!("gateway"),
        json!(["gateway"]),
        json!({}),
        json!({ "sub": 7 }),
        json!({ "sub": "" }),
        json!({ "sub": "gateway", "iss": [] }),
        json!({ "sub": "gateway", "act": "edge" }),
        deep(Actor::MAX_DEPTH + 1),
    ];
    for act in cases {
        let token = scene.authority.service("orders").claim("act", act.clone()).token();
        let denial = verifier.verify(&token).unwrap_err();
        assert_eq!((denial.code(), denial.status()), (Code::BadClaimType, 401), "{act}");
    }
    let token = scene.authority.service("orders").claim("act", deep(Actor::MAX_DEPTH)).token();
    assert!(verifier.verify(&token).is_ok());
}

#[test]
fn strict_tokens_pass_on_strict_tokens() {
    let authority = TestAuthority::new().audience("gateway");
    let now = authority.clock().now();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let jwks = json!({ "keys": [key.public_jwk().unwrap()] }).to_string();
    let issuer = Issuer::builder().issuer(GATEWAY_ISSUER).key(key).strict().audience("orders");
    let issuer = issuer.clock(FixedClock(now)).build().unwrap();
    let caller = authority.verifier().authenticate(&authority.service("orchestrator").token()).unwrap();
    let token = issuer.on_behalf_of(&caller, "gateway").mint().unwrap();
    let trusted = service_only::TrustedIssuer::strict(GATEWAY_ISSUER)
        .audience("orders")
        .keys(KeySet::from_jwks(jwks.as_bytes()).unwrap());
    let verifier = Verifier::builder().trust(trusted).clock(FixedClock(now)).build().unwrap();
    let seen = verifier.authenticate(token.as_str()).unwrap();
    let Identity::Service(seen) = seen else { panic!("a user") };
    assert_eq!((seen.service(), seen.jti()), ("orchestrator", Some(token.jti())));
    assert!(!format!("{token:?}").contains(token.as_str()));
}
