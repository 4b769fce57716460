//! Requests with a Workload Identity Token and a proof: on each framework, once per proof.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use actix_web::{
    App,
    test::{TestRequest, call_service, init_service},
    web,
};
use axum::{
    Router,
    routing::{get, post},
};
use service_only::{
    Algorithm, Caller, Dpop, Identity, KeySet, Policy, Proof, RequiredProof, ServiceOnlyLayer, TrustedIssuer,
    Verifier,
    audit::Decision,
    error::{BuildError, Code},
    experimental_wimse::Wpt,
    issue::SigningKey,
    keys::{KeySource, KeysUnavailable, Refresh},
    service_only,
};
use service_only_testkit::{
    Audited, FixtureToken, ProofDraft, TestAuthority, TestDpopKey, TestResponse, TokenDraft, assert_allowed,
    assert_audited, assert_denied, call,
};
use tower::Layer;

use crate::URL;

#[service_only(services("billing"), proof = "any")]
async fn stock(caller: Caller) -> String {
    format!("{:?} for {}", caller.proof(), caller.service())
}

#[service_only(services("billing"))]
async fn order(first: Caller, second: Identity) -> String {
    format!("{} {}", first.service(), matches!(second, Identity::Service(_)))
}

#[service_only(issuers("wimse://bakery.example"))]
async fn of_origin(caller: Caller) -> String {
    caller.issuer().to_owned()
}

async fn without_guard(caller: Caller, again: Caller) -> String {
    format!("{}{}", caller.service(), again.service())
}

fn app(verifier: Verifier) -> Router {
    Router::new()
        .route("/stock", get(stock).put(stock))
        .route("/orders", post(order))
        .route("/origin", get(of_origin))
        .route("/caller", get(without_guard))
        .nest("/nested", Router::new().route("/stock", get(stock)))
        .with_state(verifier)
}

struct Scene {
    authority: TestAuthority,
    key: TestDpopKey,
    token: FixtureToken,
}

impl Scene {
    fn new() -> Self {
        let authority = TestAuthority::new();
        let key = authority.dpop_key();
        let token = authority.experimental_wit("billing", &key).token();
        Self { authority, key, token }
    }

    fn verifier(&self) -> Verifier {
        self.authority.experimental_wimse(URL).build().unwrap()
    }

    fn proof(&self, path: &str) -> ProofDraft {
        self.key.experimental_wpt(&format!("{URL}{path}"), &self.token)
    }

    fn wit(&self) -> TokenDraft {
        self.authority.experimental_wit("billing", &self.key)
    }

    fn last_code(&self) -> Option<Code> {
        let records = self.authority.audit().records();
        self.authority.audit().clear();
        assert_eq!(records.len(), 1, "one record for one attempt");
        records[0].code
    }
}

#[tokio::test]
async fn a_proof_is_accepted_once_and_the_record_shows_it() {
    let scene = Scene::new();
    let app = call(app(scene.verifier())).audit(scene.authority.audit());
    let proof = scene.proof("/stock");
    let response = app.get("/stock?query").experimental_wpt(&scene.token, &proof).await;
    assert_allowed!(response);
    assert_eq!(response.text(), "Some(Wpt) for billing");
    let record = scene.authority.audit().only();
    assert_eq!((record.decision, record.proof), (Decision::Allow, Some("wpt")));
    assert_eq!((record.service.as_deref(), record.profile), (Some("billing"), Some("wimse")));
    for _ in 0..2 {
        let response = app.get("/stock").experimental_wpt(&scene.token, &proof).await;
        assert_denied!(response, 401);
        assert_audited!(response, deny, code = "proof_mismatch", service = "billing");
    }
    // The proof names no method, so its one use may have any.
    let proof = scene.proof("/stock");
    assert_allowed!(app.put("/stock").experimental_wpt(&scene.token, &proof).await);
    assert_denied!(app.get("/stock").experimental_wpt(&scene.token, &proof).await, 401);
}

#[tokio::test]
async fn a_cached_token_still_needs_a_new_proof_for_each_request() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let app = call(app(verifier.clone()));
    for _ in 0..4 {
        let proof = scene.proof("/stock");
        assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &proof).await);
        assert_denied!(app.get("/stock").experimental_wpt(&scene.token, &proof).await, 401);
        let other = scene.proof("/orders");
        assert_denied!(app.get("/stock").experimental_wpt(&scene.token, &other).await, 401);
        assert_denied!(app.get("/stock").bearer(&scene.token).await, 401);
        assert_denied!(app.get("/stock").header("workload-identity-token", &*scene.token).await, 401);
    }
    assert!(verifier.token_cache_hits() >= 2, "{}", verifier.token_cache_hits());
}

#[tokio::test]
async fn each_hostile_request_is_refused_by_its_code_and_one_record() {
    let scene = Scene::new();
    let uncached = scene.authority.experimental_wimse(URL).without_token_cache().build().unwrap();
    for verifier in [scene.verifier(), uncached] {
        let app = call(app(verifier));
        for _ in 0..3 {
            // The token is in the cache from the second time on.
            let proof = scene.proof("/stock");
            assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &proof).await);
            scene.authority.audit().clear();
            let url = format!("{URL}/stock");
            for hostile in scene.authority.experimental_hostile_workloads("billing", &scene.key, &url) {
                let request = || {
                    let headers = hostile.headers().iter();
                    headers.fold(app.get("/stock"), |request, (name, value)| request.header(*name, value))
                };
                if hostile.is_replay() {
                    assert_allowed!(request().await);
                    scene.authority.audit().clear();
                }
                let status = if hostile.code() == Code::InvalidRequest { 400 } else { 401 };
                assert_denied!(request().await, status);
                assert_eq!(scene.last_code(), Some(hostile.code()), "{}", hostile.name());
            }
        }
    }
}

#[tokio::test]
async fn layers_guards_and_arguments_of_one_request_share_its_proof_and_its_record() {
    let scene = Scene::new();
    let verifier = scene.verifier();
    let layer = || ServiceOnlyLayer::new(verifier.clone(), Policy::any_service().proof(RequiredProof::Wpt));
    let routes = app(verifier.clone());
    let behind = call(Router::new().fallback_service(layer().layer(layer().layer(routes.clone()))));
    let plain = call(routes);
    for (app, post, path) in [
        (&plain, false, "/stock"),
        (&plain, true, "/orders"),
        (&plain, false, "/caller"),
        (&plain, false, "/nested/stock"),
        (&behind, false, "/stock"),
        (&behind, true, "/orders"),
        (&behind, false, "/caller"),
    ] {
        scene.authority.audit().clear();
        let request = || if post { app.post(path) } else { app.get(path) };
        let proof = scene.proof(path);
        assert_allowed!(request().experimental_wpt(&scene.token, &proof).await);
        let records = scene.authority.audit().records();
        assert_eq!(records.iter().filter(|record| record.decision == Decision::Allow).count(), 1, "{path}");
        assert_denied!(request().experimental_wpt(&scene.token, &proof).await, 401);
    }
}

#[tokio::test]
async fn only_a_workload_identity_token_is_sent_with_the_scheme_wpt() {
    let scene = Scene::new();
    let compatible = TrustedIssuer::compatible(TestAuthority::ISSUER).keys(scene.authority.keys());
    let builder = scene.authority.experimental_wimse(URL).trust(compatible).dpop(Dpop::new(URL));
    // The names of workloads must be given if several issuers are trusted.
    let wimse = TrustedIssuer::experimental_wimse("wimse://other.example").keys(scene.authority.keys());
    let verifier = builder.trust(wimse).build().unwrap();
    let app = call(app(verifier));
    let bearer = scene.authority.service("billing").token();
    let bound = scene.authority.service("billing").bound_to_key(&scene.key).token();
    // A service token with the key of a workload is not a Workload Identity Token.
    let disguised =
        scene.authority.service("billing").claim("cnf", serde_json::json!({"jwk": scene.key.jwk()}));
    let disguised = disguised.token();
    for _ in 0..4 {
        scene.authority.audit().clear();
        for (token, code) in
            [(&bearer, Code::ProofMismatch), (&bound, Code::ProofMismatch), (&disguised, Code::ProofMismatch)]
        {
            let proof = scene.key.experimental_wpt(&format!("{URL}/orders"), token);
            assert_denied!(app.post("/orders").experimental_wpt(token, &proof).await, 401);
            assert_eq!(scene.last_code(), Some(code));
        }
        // The other way round: the scheme DPoP, and the token as a bearer token.
        let proof = scene.key.proof("POST", &format!("{URL}/orders"), &scene.token);
        assert_denied!(app.post("/orders").dpop(&scene.token, &proof).await, 401);
        assert_eq!(scene.last_code(), Some(Code::ProofMissing));
        assert_denied!(app.post("/orders").bearer(&disguised).await, 401);
        assert_eq!(scene.last_code(), Some(Code::ProofMissing));
        // The bearer token comes into the cache.
        assert_allowed!(app.post("/orders").bearer(&bearer).await);
    }
}

#[tokio::test]
async fn without_its_setting_the_scheme_is_refused_as_any_other() {
    let scene = Scene::new();
    let app = call(app(scene.authority.verifier()));
    let challenge = |response: &TestResponse| response.headers().get("www-authenticate").unwrap().clone();
    let proof = scene.proof("/stock").text();
    for value in [
        format!("WPT {proof}"),
        "WPT ".to_owned(),
        "wpt a, b".to_owned(),
        format!("WPT {}", "a".repeat(20_000)),
    ] {
        scene.authority.audit().clear();
        let request = app.get("/stock").authorization(&value);
        let response = request.header("workload-identity-token", &*scene.token).await;
        assert_denied!(response, 401);
        assert_eq!(challenge(&response), r#"Bearer realm="service""#);
        assert_eq!(scene.last_code(), Some(Code::MissingToken));
    }
}

#[tokio::test]
async fn a_refusal_names_the_scheme_without_parameters() {
    let scene = Scene::new();
    let challenge = |response: &TestResponse| {
        response.headers().get("www-authenticate").unwrap().to_str().unwrap().to_owned()
    };
    let any = call(app(scene.verifier()));
    assert_eq!(challenge(&any.get("/stock").await), r#"Bearer realm="service", WPT"#);
    let response = any.get("/stock").experimental_wpt(&scene.token, &scene.proof("/orders")).await;
    assert_eq!(challenge(&response), r#"Bearer realm="service", error="invalid_token", WPT"#);

    let only = scene.authority.experimental_wimse(URL).require_proof(Proof::Wpt).build().unwrap();
    let only = call(app(only));
    assert_eq!(challenge(&only.get("/stock").await), "WPT");
    let response = only.get("/stock").bearer(scene.authority.service("billing").token()).await;
    assert_denied!(response, 401);
    assert_eq!(challenge(&response), "WPT");
    assert_allowed!(only.get("/stock").experimental_wpt(&scene.token, &scene.proof("/stock")).await);
}

#[tokio::test]
async fn a_handler_names_the_origin_to_accept_workloads_only() {
    let scene = Scene::new();
    let compatible = TrustedIssuer::compatible(TestAuthority::ISSUER).keys(scene.authority.keys());
    let origin = TestAuthority::EXPERIMENTAL_WIMSE_ORIGIN;
    let wimse = TrustedIssuer::experimental_wimse(origin).keys(scene.authority.keys());
    let wimse = wimse.name("wimse://bakery.example/billing", "accounts");
    let verifier = Verifier::builder()
        .trust(compatible)
        .trust(wimse)
        .experimental_wpt(Wpt::new("https://elsewhere.internal").also(URL))
        .clock(scene.authority.clock().clone())
        .audit(scene.authority.audit().clone())
        .build()
        .unwrap();
    let app = call(app(verifier));
    let response = app.get("/origin").experimental_wpt(&scene.token, &scene.proof("/origin")).await;
    assert_allowed!(response);
    assert_eq!(response.text(), origin);
    assert_denied!(app.get("/origin").bearer(scene.authority.service("billing").token()).await, 403);
    // A workload without a name could mean a service of another issuer.
    scene.authority.audit().clear();
    let unnamed = scene.authority.experimental_wit("stock", &scene.key).token();
    let proof = scene.key.experimental_wpt(&format!("{URL}/origin"), &unnamed);
    assert_denied!(app.get("/origin").experimental_wpt(&unnamed, &proof).await, 401);
    assert_eq!(scene.last_code(), Some(Code::BadClaimValue));
}

#[tokio::test]
async fn a_proof_binds_a_transaction_token_and_the_headers_that_it_names() {
    let scene = Scene::new();
    let app = call(app(scene.verifier()));
    let hash = |text: &str| {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()))
    };
    let send = |proof: ProofDraft, headers: &[(&'static str, &'static str)]| {
        let request = app.get("/stock").experimental_wpt(&scene.token, &proof);
        headers.iter().fold(request, |request, (name, value)| request.header(*name, value)).send()
    };
    let bound = || {
        let others = serde_json::json!({"x-user-token": hash("anna"), "x-tenant": hash("a")});
        scene.proof("/stock").claim("tth", hash("a.b.c")).claim("oth", others)
    };
    let headers = [("txn-token", "a.b.c"), ("x-user-token", "anna"), ("x-tenant", "  a ")];
    assert_allowed!(send(bound(), &headers).await);
    // A header that no claim names decides nothing.
    assert_allowed!(send(bound(), &[&headers[..], &[("x-other", "b")]].concat()).await);
    for index in 0..headers.len() {
        let (mut without, mut twice, mut changed) = (headers.to_vec(), headers.to_vec(), headers.to_vec());
        without.remove(index);
        twice.push(headers[index]);
        changed[index].1 = "another";
        for changed in [without, twice, changed] {
            scene.authority.audit().clear();
            assert_denied!(send(bound(), &changed).await, 401);
            assert_eq!(scene.last_code(), Some(Code::ProofMismatch), "{changed:?}");
        }
    }
    for others in [
        serde_json::json!({"X-Tenant": hash("a")}),
        serde_json::json!({"": hash("a")}),
        serde_json::json!({"x tenant": hash("a")}),
        serde_json::json!({"x-tenant": 7}),
        serde_json::json!({"x-tenant": {"sha256": hash("a")}}),
        serde_json::json!({"authorization": hash("a")}),
        serde_json::json!([hash("a")]),
        serde_json::json!(null),
    ] {
        let proof = scene.proof("/stock").claim("oth", others.clone());
        let response = app.get("/stock").experimental_wpt(&scene.token, &proof).header("x-tenant", "a").await;
        assert_denied!(response, 401);
        assert!(!others.is_null() || response.status() == 401);
    }
}

#[tokio::test]
async fn workloads_sign_with_each_algorithm_of_the_default_list() {
    let scene = Scene::new();
    let app = call(app(scene.verifier()));
    for algorithm in Wpt::DEFAULT_ALGORITHMS {
        let key = scene.authority.dpop_key_of(algorithm);
        let token = scene.authority.experimental_wit("billing", &key).token();
        let proof = key.experimental_wpt(&format!("{URL}/stock"), &token);
        assert_allowed!(app.get("/stock").experimental_wpt(&token, &proof).await);
    }
    let rsa = scene.authority.dpop_key_of(Algorithm::PS256);
    let token = scene.authority.experimental_wit("billing", &rsa).token();
    let proof = rsa.experimental_wpt(&format!("{URL}/stock"), &token);
    assert_denied!(app.get("/stock").experimental_wpt(&token, &proof).await, 401);
    let wpt = Wpt::new(URL).algorithms([Algorithm::PS256]);
    let with_rsa = call(crate::guard::app(
        scene.authority.experimental_wimse(URL).experimental_wpt(wpt).build().unwrap(),
    ));
    assert_allowed!(with_rsa.get("/stock").experimental_wpt(&token, &proof).await);
}

#[tokio::test]
async fn times_are_checked_on_both_sides_of_each_limit() {
    let scene = Scene::new();
    let most = i64::try_from(Wpt::DEFAULT_MAX_LIFETIME.as_secs()).unwrap();
    for leeway in [0, 5] {
        let builder = scene.authority.experimental_wimse(URL).leeway(Duration::from_secs(leeway));
        let app = call(app(builder.build().unwrap()));
        let leeway = i64::try_from(leeway).unwrap();
        let now = scene.authority.clock().now().unix();
        for (name, at, accepted) in [
            ("exp", 1 - leeway, true),
            ("exp", -leeway, false),
            ("exp", most + leeway, true),
            ("exp", most + leeway + 1, false),
            ("nbf", leeway, true),
            ("nbf", leeway + 1, false),
        ] {
            let proof = scene.proof("/stock").claim(name, now + at);
            let response = app.get("/stock").experimental_wpt(&scene.token, &proof).await;
            assert_eq!(response.status() == 200, accepted, "{name} {at} with {leeway}");
        }
        let day = 86_400;
        for (token, accepted) in [
            (scene.wit().claim("exp", now + day), true),
            (scene.wit().claim("exp", now + day + 1), false),
            (scene.wit().without_claim("iat").claim("exp", now + day), true),
            (scene.wit().without_claim("iat").claim("exp", now + day + leeway + 1), false),
            (scene.wit().without_claim("exp"), false),
            (scene.wit().claim("iat", now + leeway + 1), false),
            (scene.wit().without_claim("iss").without_claim("jti"), true),
            (scene.wit().claim("aud", "orders"), false),
        ] {
            let token = token.token();
            let proof = scene.key.experimental_wpt(&format!("{URL}/stock"), &token);
            let response = app.get("/stock").experimental_wpt(&token, &proof).await;
            assert_eq!(response.status() == 200, accepted, "{}", &*token);
        }
    }
}

#[tokio::test]
async fn a_proof_stays_recorded_while_it_is_accepted_and_a_full_memory_refuses() {
    let scene = Scene::new();
    let wpt = Wpt::new(URL).replay_capacity(2);
    let builder = scene.authority.experimental_wimse(URL).experimental_wpt(wpt);
    let app = call(app(builder.build().unwrap()));
    let (first, second) = (scene.proof("/stock"), scene.proof("/stock"));
    assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &first).await);
    assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &second).await);
    let refused = app.get("/stock").experimental_wpt(&scene.token, &scene.proof("/stock")).await;
    assert_denied!(refused, 503);
    // The last second of a proof of a minute.
    scene.authority.clock().advance(Duration::from_secs(59));
    scene.authority.audit().clear();
    assert_denied!(app.get("/stock").experimental_wpt(&scene.token, &first).await, 401);
    assert_eq!(scene.last_code(), Some(Code::ProofMismatch));
    scene.authority.clock().advance(Duration::from_secs(1));
    assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &scene.proof("/stock")).await);
}

#[test]
fn a_verifier_with_an_incomplete_setting_is_not_built() {
    let keys = || KeySet::from(SigningKey::generate(Algorithm::ES256).unwrap().verifying_key());
    let issuer = |origin: &str| TrustedIssuer::experimental_wimse(origin).keys(keys());
    let built = |issuer: TrustedIssuer, wpt: Option<Wpt>| {
        let builder = Verifier::builder().trust(issuer);
        wpt.into_iter().fold(builder, |builder, wpt| builder.experimental_wpt(wpt)).build().map(drop)
    };
    let valid = || Some(Wpt::new(URL));
    assert!(built(issuer("wimse://bakery.example"), valid()).is_ok());
    assert!(built(issuer("spiffe://bakery.example"), valid()).is_ok());
    for origin in [
        "bakery.example",
        "https://bakery.example",
        "wimse://",
        "wimse://Bakery.example",
        "wimse://a/b",
        "wimse://a:1",
    ] {
        let error = built(issuer(origin), valid()).unwrap_err();
        assert!(matches!(&error, BuildError::WorkloadOrigin(name) if name == origin), "{error}");
    }
    let error = built(issuer("wimse://bakery.example"), None).unwrap_err();
    assert!(error.to_string().contains("`.experimental_wpt(…)`"), "{error}");
    let error = built(issuer("wimse://bakery.example"), Some(Wpt::new("orders.internal"))).unwrap_err();
    assert!(matches!(&error, BuildError::Wpt(why) if why.contains("`orders.internal`")), "{error}");
    let hmac = Wpt::new(URL).algorithms([Algorithm::HS256]);
    assert!(matches!(built(issuer("wimse://bakery.example"), Some(hmac)), Err(BuildError::Wpt(_))));
    let long = Wpt::new(URL).max_lifetime(Wpt::LONGEST_MAX_LIFETIME + Duration::from_secs(1));
    assert!(matches!(built(issuer("wimse://bakery.example"), Some(long)), Err(BuildError::Wpt(_))));
    let secret = issuer("wimse://bakery.example").algorithms([Algorithm::HS256]);
    assert!(matches!(built(secret, valid()), Err(BuildError::AlgorithmNotForKind(_))));
    let required = Verifier::builder().issuer("a").keys(keys()).require_proof(Proof::Wpt).build();
    assert!(matches!(required.map(drop), Err(BuildError::Wpt(_))));
}

#[test]
fn without_a_request_there_is_no_proof() {
    let scene = Scene::new();
    assert_eq!(scene.verifier().verify(&scene.token).unwrap_err().code(), Code::ProofMissing);
}

/// Keys that are loaded once a token needs them.
struct Late {
    keys: KeySet,
    asked: Mutex<Vec<String>>,
}

impl Late {
    fn arc(scene: &Scene) -> Arc<Self> {
        Arc::new(Self { keys: scene.authority.keys(), asked: Mutex::default() })
    }

    fn issuer(self: &Arc<Self>) -> TrustedIssuer {
        TrustedIssuer::experimental_wimse(TestAuthority::EXPERIMENTAL_WIMSE_ORIGIN).keys(Arc::clone(self))
    }
}

impl KeySource for Late {
    fn snapshot(&self) -> Result<KeySet, KeysUnavailable> {
        let is_loaded = !self.asked.lock().unwrap().is_empty();
        if is_loaded { Ok(self.keys.clone()) } else { Err(KeysUnavailable::pending("not loaded yet")) }
    }

    fn refresh_for(&self, kid: &str) -> Option<Refresh<'_>> {
        let kid = kid.to_owned();
        Some(Box::pin(async move { self.asked.lock().unwrap().push(kid) }))
    }
}

#[tokio::test]
async fn the_key_of_a_workload_identity_token_is_waited_for() {
    let scene = Scene::new();
    let with = |late: &Arc<Late>| {
        let builder = Verifier::builder().trust(late.issuer()).clock(scene.authority.clock().clone());
        builder.experimental_wpt(Wpt::new(URL)).audit(scene.authority.audit().clone()).build().unwrap()
    };
    let late = Late::arc(&scene);
    let app = call(app(with(&late)));
    // Neither a token without a proof nor a proof without a token causes a fetch.
    assert_denied!(app.get("/stock").header("workload-identity-token", &*scene.token).await, 401);
    let proof = scene.proof("/stock");
    assert_denied!(app.get("/stock").authorization(format!("WPT {}", proof.text())).await, 401);
    assert!(late.asked.lock().unwrap().is_empty());
    assert_allowed!(app.get("/stock").experimental_wpt(&scene.token, &proof).await);
    assert_eq!(*late.asked.lock().unwrap(), [scene.authority.kid()]);

    let late = Late::arc(&scene);
    let routes = web::scope("/scope").route("/stock", web::get().to(actix_stock));
    let service = init_service(App::new().app_data(web::Data::new(with(&late))).service(routes)).await;
    let request = TestRequest::get()
        .uri("/scope/stock")
        .append_header(("authorization", format!("WPT {}", scene.proof("/scope/stock").text())))
        .append_header(("workload-identity-token", &*scene.token));
    assert_eq!(call_service(&service, request.to_request()).await.status().as_u16(), 200);
    assert_eq!(*late.asked.lock().unwrap(), [scene.authority.kid()]);
}

#[service_only(services("billing"))]
async fn actix_stock(first: Caller, second: Identity) -> String {
    format!("{:?} {}", first.proof(), matches!(second, Identity::Service(_)))
}

#[actix_web::test]
async fn actix_accepts_a_proof_once() {
    let scene = Scene::new();
    let routes = web::scope("/scope").route("/stock", web::get().to(actix_stock));
    let app = App::new().app_data(web::Data::new(scene.verifier())).service(routes);
    let service = init_service(app).await;
    let send = async |proof: &ProofDraft, txn: Option<&str>| {
        let request = TestRequest::get()
            .uri("/scope/stock?q")
            .append_header(("authorization", format!("WPT {}", proof.text())))
            .append_header(("workload-identity-token", &*scene.token));
        let request = txn.into_iter().fold(request, |request, txn| request.append_header(("txn-token", txn)));
        call_service(&service, request.to_request()).await.status().as_u16()
    };
    let proof = scene.proof("/scope/stock");
    assert_eq!(send(&proof, None).await, 200);
    assert_eq!(send(&proof, None).await, 401);
    assert_eq!(send(&scene.proof("/stock"), None).await, 401);
    assert_eq!(send(&scene.proof("/scope/stock"), Some("a.b.c")).await, 401);
    let records: Vec<_> = scene.authority.audit().records().iter().map(|record| record.code).collect();
    let mismatch = Some(Code::ProofMismatch);
    assert_eq!(records, [None, mismatch, mismatch, mismatch]);
}
