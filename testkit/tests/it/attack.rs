//! The attack as a test uses it: clean on guarded apps, and plain about what it cannot prove.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Body,
    routing::{any, delete, get},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Method, Request, Response, StatusCode};
use service_only::{
    Algorithm, ClosedRouter, KeySet, Policy, VerifyingKey, closed,
    issue::SigningKey,
    routes::{Access, Route, RouteTable},
    service_only,
};
use service_only_testkit::{Attack, AttackReport, Control, Defect, Outcome, TestAuthority, attack};
use tower::Service;

const DELETION: Policy<'static> =
    Policy::any_service().services(&["orchestrator"]).scopes(&["tenants:delete"]);

#[service_only(services("orchestrator"), scopes("tenants:delete"))]
async fn delete_tenant() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[service_only]
async fn stock() -> &'static str {
    "12 loaves"
}

fn app(authority: &TestAuthority) -> Router {
    Router::new()
        .route("/tenant/{id}", delete(delete_tenant))
        .route("/stock/{*shelf}", get(stock))
        .with_state(authority.verifier())
}

fn table() -> RouteTable {
    RouteTable::new("orders")
        .route(Route::new(["DELETE"], "/tenant/{id}", Access::from(&DELETION)))
        .route(Route::new([""; 0], "/stock/{*shelf}", Access::from(&Policy::any_service())))
        .route(Route::new(["GET"], "/healthz", Access::public("load balancers have no token")))
        .route(Route::new(["GET"], "/closed", Access::from(&Policy::any_service().services(&[]))))
}

fn outcome(report: &AttackReport, defect: Defect) -> &Outcome {
    report.findings().find(|finding| finding.defect() == defect).unwrap().outcome()
}

#[tokio::test]
async fn a_guarded_table_of_routes_is_clean_to_the_exact_code_and_record() {
    let authority = TestAuthority::new().audience("orders");
    let attack = attack(app(&authority)).as_caller(authority.service("orders")).routes(&table());
    let report = attack.parameter("shelf", "top/left").audit(authority.audit()).run().await;

    let targets: Vec<_> = report.endpoints().iter().map(|endpoint| endpoint.target()).collect();
    assert_eq!(targets, [format!("/tenant/{}", Attack::PARAMETER), "/stock/top/left".to_owned()]);
    let left_out =
        [("/healthz", "it is public: load balancers have no token"), ("/closed", "it allows no caller")];
    assert_eq!(report.not_attacked(), left_out.map(|(path, why)| (path.to_owned(), why.to_owned())));
    insta::assert_snapshot!("matrix", report.matrix());
}

#[tokio::test]
async fn a_closed_router_is_attacked_at_each_of_its_own_routes() {
    let authority = TestAuthority::new();
    let router = ClosedRouter::new()
        .route("/tenant/{id}", closed::delete(delete_tenant))
        .route("/stock/{*shelf}", closed::get(stock))
        .with_state(authority.verifier());
    let table = router.routes("orders");
    let attack = attack(router.into_open_router()).as_caller(authority.service("orders")).routes(&table);
    let report = attack.audit(authority.audit()).run().await;
    let attacked: Vec<_> = report.endpoints().iter().map(|endpoint| endpoint.method().as_str()).collect();
    assert_eq!(attacked, ["DELETE", "GET", "HEAD"]);
}

#[tokio::test]
async fn the_same_holds_by_status_alone() {
    let authority = TestAuthority::new();
    let caller = authority.service("orchestrator").scope("tenants:delete");
    let report = attack(app(&authority)).as_caller(caller).endpoint(Method::DELETE, "/tenant/7").run().await;
    assert!(report.requests() > 250 && report.got_in().next().is_none());
}

#[tokio::test]
async fn a_handler_for_any_service_is_not_a_finding_if_declared() {
    let authority = TestAuthority::new();
    let against = |target: &str| {
        attack(app(&authority)).as_caller(authority.service("orders")).endpoint(Method::GET, target)
    };
    let report = against("/stock/7").report().await;
    assert!(report.got_in().all(|finding| finding.defect().meets_policy()));
    assert!(!report.is_clean());
    against("/stock/7").any_service().run().await;
}

#[tokio::test]
async fn an_attack_whose_control_is_refused_proves_nothing() {
    let authority = TestAuthority::new();
    let stranger = authority.service("stranger");
    let report =
        attack(app(&authority)).as_caller(stranger).endpoint(Method::DELETE, "/tenant/7").report().await;
    assert!(!report.is_clean() && report.findings().next().is_none());
    insta::assert_snapshot!(report, @r"
    0 of 0 attacks got in
    1 request was sent to DELETE /tenant/7

    Inconclusive
      DELETE /tenant/7 proves nothing: the valid token is refused with 403 Forbidden

    Not sent
      638  the valid token is refused with 403 Forbidden
    ");
}

#[tokio::test]
async fn an_attack_whose_control_is_refused_explains_the_refusal_from_the_audit() {
    let authority = TestAuthority::new();
    let attack = attack(app(&authority)).as_caller(authority.service("stranger")).audit(authority.audit());
    let report = attack.endpoint(Method::DELETE, "/tenant/7").report().await;
    let Control::ProvesNothing(why) = report.endpoints()[0].control() else { panic!("{report}") };
    assert!(
        why.starts_with("the valid token is refused with 403 Forbidden: the service is `stranger`, "),
        "{why}"
    );
    assert!(
        why.ends_with("of the handler's attribute; add the service to the list of this handler"),
        "{why}"
    );
}

#[tokio::test]
async fn a_handler_that_answers_like_a_refusal_needs_the_audit() {
    #[service_only(services("orders"))]
    async fn missing() -> StatusCode {
        StatusCode::NOT_FOUND
    }

    let authority = TestAuthority::new();
    let app = Router::new().route("/gone", get(missing)).with_state(authority.verifier());
    let attack = attack(app).as_caller(authority.service("orders")).endpoint(Method::GET, "/gone");

    let report = attack.clone().report().await;
    assert!(matches!(report.endpoints()[0].control(), Control::ProvesNothing(why) if why.contains("404")));
    attack.audit(authority.audit()).run().await;
}

#[tokio::test]
async fn the_audit_of_another_app_is_detected() {
    let (authority, other) = (TestAuthority::new(), TestAuthority::new());
    let attack = attack(app(&authority)).as_caller(authority.service("orders")).audit(other.audit());
    let report = attack.endpoint(Method::GET, "/stock/7").report().await;
    assert!(matches!(report.endpoints()[0].control(), Control::ProvesNothing(why) if why.contains("audit")));
}

#[tokio::test]
async fn the_limit_of_requests_is_respected_and_reported() {
    let authority = TestAuthority::new();
    let attack = attack(app(&authority)).as_caller(authority.service("orders")).any_service();
    let report = attack.endpoint(Method::GET, "/stock/7").max_requests(10).report().await;
    assert_eq!(report.requests(), 10);
    assert!(!report.is_clean() && report.to_string().contains("the bound on requests is reached"));
}

#[tokio::test]
async fn a_guard_that_checks_only_the_length_of_the_header_is_found() {
    let careless = tower::service_fn(|request: Request<axum::body::Body>| async move {
        let authorization = request.headers().get("authorization").map_or(0, |value| value.len());
        let status = if authorization > 10 { 200 } else { 401 };
        Ok::<_, String>(Response::builder().status(status).body(String::new()).unwrap())
    });
    let authority = TestAuthority::new();
    let attack = attack(careless).as_caller(authority.service("orders")).endpoint(Method::GET, "/");
    let report = attack.report().await;
    assert!(report.got_in().count() > 200);
    let empty = outcome(&report, Defect::EmptyHeader);
    assert!(matches!(empty, Outcome::Refused(status) if status == "401 Unauthorized"), "{empty:?}");
}

#[tokio::test]
async fn a_panic_is_a_finding_and_does_not_end_the_attack() {
    #[service_only(services("orders"))]
    async fn careless() {}

    let authority = TestAuthority::new();
    let app = Router::new().route("/", get(careless)).with_state(authority.verifier());
    let layered = tower::service_fn(move |request: Request<axum::body::Body>| {
        let app = app.clone();
        async move {
            assert!(!request.headers().contains_key("cookie"), "a cookie");
            tower::ServiceExt::oneshot(app, request).await
        }
    });
    let report =
        attack(layered).as_caller(authority.service("orders")).endpoint(Method::GET, "/").report().await;
    let cookie = outcome(&report, Defect::TokenInCookie);
    assert!(matches!(cookie, Outcome::Broke(why) if why == "it panicked: a cookie"), "{cookie:?}");
    assert!(!report.is_clean() && report.to_string().contains("broke the service: token_in_cookie"));
}

#[tokio::test]
async fn open_endpoint_has_one_cause() {
    let authority = TestAuthority::new();
    let app = Router::new().route("/open", get(|| async { "the secret" }));
    let attack = attack(app).as_caller(authority.service("orders")).endpoint(Method::GET, "/open");
    let report = attack.report().await;
    let cause = format!("{:>5}  nothing is checked: the endpoint has no guard", report.got_in().count());
    let text = report.to_string();
    assert!(text.contains(&format!("\nCauses\n{cause}\n\nFamilies")), "{text}");
    assert!(text.contains("of `signature`"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[tokio::test]
async fn cause_counts_the_endpoints_that_have_it() {
    let authority = TestAuthority::new();
    let open = || get(|| async { "the secret" });
    let app = Router::new().route("/a", open()).route("/b", open()).route("/stock/{*shelf}", get(stock));
    let attack = attack(app.with_state(authority.verifier())).as_caller(authority.service("orders"));
    let attack = ["/a", "/stock/7", "/b"]
        .into_iter()
        .fold(attack.any_service(), |attack, target| attack.endpoint(Method::GET, target));
    let report = attack.report().await.to_string();
    assert!(report.contains("the endpoint has no guard, at 2 endpoints\n"), "{report}");
}

#[tokio::test]
async fn json_has_causes_and_the_reasons_why_attacks_were_not_sent() {
    let authority = TestAuthority::new();
    let attack = attack(app(&authority)).as_caller(authority.service("orders").role("clerk"));
    let report = attack.endpoint(Method::GET, "/stock/7").without(Defect::Expired).report().await;
    let mut json = serde_json::to_value(&report).unwrap();
    // The findings are long, and have been in the report before.
    assert_eq!(json["endpoints"][0]["findings"].as_array().unwrap().len(), Defect::ALL.len());
    json["endpoints"][0]["findings"].take();
    insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap(), @r#"
    {
      "causes": [
        {
          "attacks": 13,
          "cause": "`service` is not compared with the allowed services",
          "classes": [
            "letter_less",
            "name_below_other",
            "name_in_actor",
            "name_in_groups",
            "name_inside",
            "name_with_number",
            "other_service",
            "service_beside_other_token",
            "service_cut_short",
            "service_in_other_case",
            "service_in_other_claims",
            "service_with_prefix",
            "service_with_suffix"
          ]
        },
        {
          "attacks": 9,
          "cause": "`role` is not compared with the allowed roles",
          "classes": [
            "other_role",
            "role_as_list",
            "role_beside_token",
            "role_in_other_case",
            "role_in_other_claim",
            "role_missing",
            "role_with_space",
            "role_with_suffix",
            "roles_in_one_text"
          ]
        }
      ],
      "clean": false,
      "endpoints": [
        {
          "control": 200,
          "findings": null,
          "method": "GET",
          "proves_nothing": null,
          "target": "/stock/7"
        }
      ],
      "got_in": 22,
      "not_sent": [
        {
          "attacks": 75,
          "reason": "the attack has no certificates"
        },
        {
          "attacks": 70,
          "reason": "the token is not bound to a key of its sender"
        },
        {
          "attacks": 22,
          "reason": "the endpoint requires no actor"
        },
        {
          "attacks": 14,
          "reason": "the token has no scope"
        },
        {
          "attacks": 10,
          "reason": "no identity provider issued the token"
        },
        {
          "attacks": 7,
          "reason": "the token is not of the strict profile"
        },
        {
          "attacks": 6,
          "reason": "the key is of another type or algorithm"
        },
        {
          "attacks": 5,
          "reason": "the token has no `aud`"
        },
        {
          "attacks": 4,
          "reason": "the endpoint requires no claim whose value is known"
        },
        {
          "attacks": 3,
          "reason": "the endpoint has no maximum age"
        },
        {
          "attacks": 2,
          "reason": "the service's name has no such character"
        },
        {
          "attacks": 1,
          "reason": "the test excludes this class"
        },
        {
          "attacks": 1,
          "reason": "the token is a service's"
        }
      ],
      "requests": 2195
    }
    "#);
}

#[tokio::test]
async fn a_website_that_answers_every_path_has_no_finding_about_paths() {
    let authority = TestAuthority::new();
    let app = app(&authority).fallback(|| async { "<!doctype html>" });
    let attack = attack(app).as_caller(authority.service("orders")).any_service();
    let report = attack.endpoint(Method::GET, "/stock/7").run().await;
    assert!(matches!(outcome(&report, Defect::DoubleSlash), Outcome::NotSent(_)));
}

#[tokio::test]
async fn a_class_can_be_left_out() {
    let authority = TestAuthority::new();
    let attack = attack(app(&authority)).as_caller(authority.service("orders")).any_service();
    let report = attack.endpoint(Method::GET, "/stock/7").without(Defect::Expired).run().await;
    assert!(
        matches!(outcome(&report, Defect::Expired), Outcome::NotSent(why) if why == "the test excludes this class")
    );
}

#[tokio::test]
async fn the_html_report_is_complete_and_escaped() {
    let authority = TestAuthority::new();
    let attack = attack(app(&authority)).as_caller(authority.service("orders")).any_service();
    let report = attack.endpoint(Method::GET, "/stock/7?q='%3Cb%3E'&r").run().await;
    let page = report.html();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("/stock/7?q=&#39;%3Cb%3E&#39;&amp;r"));
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("eyJ"));
    // One row for each class, and the head.
    assert_eq!(page.matches("<tr>").count(), Defect::ALL.len() + 1);
}

#[tokio::test]
#[should_panic(expected = "an attack needs a token to spoil")]
async fn an_attack_without_a_caller_fails_the_test() {
    attack(app(&TestAuthority::new())).endpoint(Method::GET, "/").run().await;
}

#[tokio::test]
#[should_panic(expected = "an attack needs an endpoint")]
async fn an_attack_without_an_endpoint_fails_the_test() {
    let authority = TestAuthority::new();
    attack(app(&authority)).as_caller(authority.service("orders")).run().await;
}

/// Open to everybody, until a limit on rates answers between two numbers of requests.
fn open_and_limited(
    limited: std::ops::Range<usize>,
) -> impl Service<Request<Body>, Response = Response<String>, Error = String, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let seen = Arc::new(AtomicUsize::new(0));
    tower::service_fn(move |_| {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        let mut response = Response::new("the secret".to_owned());
        if limited.contains(&number) {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        }
        async move { Ok(response) }
    })
}

#[tokio::test]
async fn a_rate_limit_is_not_a_refusal() {
    let authority = TestAuthority::new();
    // To the end, and only until the last control.
    for limited in [2..usize::MAX, 2..300] {
        let app = open_and_limited(limited);
        let attack = attack(app).as_caller(authority.service("orders")).endpoint(Method::GET, "/x");
        let report = attack.report().await;
        assert!(!report.is_clean(), "{report}");
        assert!(report.to_string().contains("429"), "{report}");
    }
}

/// The outcome of a class at the one endpoint of an attack.
async fn outcome_of(attack: service_only_testkit::Attack, defect: Defect) -> (AttackReport, Outcome) {
    let report = attack.report().await;
    let outcome = outcome(&report, defect).clone();
    (report, outcome)
}

#[tokio::test]
async fn a_key_without_a_kid_gives_no_finding_about_unknown_kids() {
    #[service_only(services("orders"))]
    async fn orders() -> &'static str {
        "12 loaves"
    }

    let secret = TestAuthority::from_key(SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap());
    let lone_secret = VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    let pem = TestAuthority::with(Algorithm::EdDSA);
    let lone_pem = VerifyingKey::from_pem(Algorithm::EdDSA, public_pem(&pem).as_bytes()).unwrap();
    for (authority, key) in [(secret, lone_secret), (pem, lone_pem)] {
        let verifier = authority.verifier_builder().keys(key).build().unwrap();
        let app = Router::new().route("/", get(orders)).with_state(verifier);
        let attack = attack(app).as_caller(authority.service("orders")).endpoint(Method::GET, "/");
        let (report, renamed) = outcome_of(attack.clone(), Defect::RightKeyOtherName).await;
        assert!(matches!(renamed, Outcome::NoConclusion(_)), "{renamed:?}");
        assert!(report.is_clean(), "{report}");
        // To the exact code: a forgery is refused for its signature, whatever it names.
        attack.audit(authority.audit()).run().await;
    }
}

/// As it would be published: the coordinate of an Ed25519 key in RFC 8410's frame.
fn public_pem(authority: &TestAuthority) -> String {
    let jwk = serde_json::to_value(authority.key().public_jwk()).unwrap();
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().unwrap()).unwrap();
    let frame = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    pem::encode(&pem::Pem::new("PUBLIC KEY", [frame.as_slice(), &x].concat()))
}

#[tokio::test]
async fn a_kid_that_names_none_of_the_named_keys_is_a_finding() {
    // It has the key with its name, and verifies by it whatever name the token gives.
    let ignores_names = |authority: &TestAuthority, keys: KeySet| {
        let verifier = authority.verifier_builder().keys(keys).build().unwrap();
        let app = Router::new().route("/", get(stock)).with_state(verifier);
        attack(app).as_caller(authority.service("orders")).any_service().endpoint(Method::GET, "/")
    };
    let key = || SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    let nameless = || KeySet::from(VerifyingKey::hmac(Algorithm::HS256, &[7; 32]).unwrap());

    let authority = TestAuthority::from_key(key());
    let (_, unknown) = outcome_of(ignores_names(&authority, nameless()), Defect::RightKeyOtherName).await;
    assert!(matches!(unknown, Outcome::NoConclusion(_)), "{unknown:?}");

    let told = ignores_names(&authority, nameless()).named_keys();
    let (_, told) = outcome_of(told, Defect::RightKeyOtherName).await;
    assert!(matches!(told, Outcome::GotIn(_)), "{told:?}");

    // The test took the key with its name.
    let _ = authority.keys();
    let (_, taken) = outcome_of(ignores_names(&authority, nameless()), Defect::RightKeyOtherName).await;
    assert!(matches!(taken, Outcome::GotIn(_)), "{taken:?}");
}

#[tokio::test]
async fn another_method_that_is_public_by_design_is_not_a_finding() {
    async fn prices() -> &'static str {
        "bread 4.20"
    }
    async fn nothing() {}
    let authority = TestAuthority::new();
    let caller = || authority.service("orchestrator").scope("tenants:delete");
    let routes = [
        get(prices).delete(delete_tenant),
        get(nothing).delete(delete_tenant),
        get(prices)
            .head(nothing)
            .post(nothing)
            .put(prices)
            .patch(nothing)
            .options(nothing)
            .delete(delete_tenant),
        any(prices).delete(delete_tenant),
    ];
    for methods in routes {
        let app = Router::new().route("/tenant/{id}", methods).with_state(authority.verifier());
        let attack = attack(app).as_caller(caller()).endpoint(Method::DELETE, "/tenant/7");
        attack.clone().run().await;
        attack.audit(authority.audit()).run().await;
    }
    // A public HEAD beside a guarded GET.
    let app = Router::new().route("/stock", get(stock).head(nothing)).with_state(authority.verifier());
    let orders = authority.service("orders");
    attack(app).as_caller(orders).any_service().endpoint(Method::GET, "/stock").run().await;
}

#[tokio::test]
async fn another_method_that_runs_the_guarded_handler_is_a_finding() {
    let authority = TestAuthority::new();
    for skipped in ["HEAD", "OPTIONS", "PUT", "PROPFIND", "POST", "BREW", "get"] {
        let verifier = authority.verifier();
        let careless = tower::service_fn(move |request: Request<Body>| {
            let verifier = verifier.clone();
            async move {
                let values: Vec<_> = request.headers().get_all("authorization").iter().collect();
                let value = <[_; 1]>::try_from(values).ok().and_then(|[value]| value.to_str().ok());
                let token = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
                let runs = request.uri().path() == "/stock"
                    && (request.method() == skipped || verifier.verify_with(token, &ORDERS).is_ok());
                let head = request.method() == "HEAD";
                let status = if runs { 200 } else { 401 };
                let body = if runs && !head { "12 loaves" } else { "" };
                let response = Response::builder().status(status).header("content-type", "text/plain");
                Ok::<_, String>(response.body(body.to_owned()).unwrap())
            }
        });
        let attack = attack(careless).as_caller(authority.service("orders"));
        let report = attack.endpoint(Method::GET, "/stock").report().await;
        let got_in = report.got_in().map(|finding| finding.defect().family()).collect::<Vec<_>>();
        assert!(!got_in.is_empty() && got_in.iter().all(|family| *family == "route"), "{skipped}: {report}");
    }
}

const ORDERS: Policy<'static> = Policy::any_service().services(&["orders"]);

#[tokio::test]
async fn a_redirect_of_every_caller_proves_nothing() {
    for status in [301, 302, 307, 308] {
        let app = tower::service_fn(move |_| async move {
            let response = Response::builder().status(status).header("location", "/stock/");
            Ok::<_, String>(response.body(String::new()).unwrap())
        });
        let attack = attack(app).as_caller(TestAuthority::new().service("orders"));
        let report = attack.endpoint(Method::GET, "/stock").report().await;
        assert_eq!(report.got_in().count(), 0, "{report}");
        assert!(
            matches!(report.endpoints()[0].control(), Control::ProvesNothing(why) if why.contains("/stock/"))
        );
    }
}

#[tokio::test]
async fn the_role_and_each_scope_of_the_caller_are_removed_one_at_a_time() {
    const CLERKS: Policy<'static> =
        Policy::any_service().services(&["orders"]).roles(&["clerk"]).scopes(&["stock:read", "stock:write"]);
    const NO_ROLE: Policy<'static> =
        Policy::any_service().services(&["orders"]).scopes(&["stock:read", "stock:write"]);
    const NO_READ: Policy<'static> =
        Policy::any_service().services(&["orders"]).roles(&["clerk"]).scopes(&["stock:write"]);
    let authority = TestAuthority::new();
    for (policy, missed) in
        [(&CLERKS, None), (&NO_ROLE, Some(Defect::OtherRole)), (&NO_READ, Some(Defect::OneScopeLess))]
    {
        let verifier = authority.verifier();
        let app = tower::service_fn(move |request: Request<Body>| {
            let verifier = verifier.clone();
            async move {
                let values: Vec<_> = request.headers().get_all("authorization").iter().collect();
                let value = <[_; 1]>::try_from(values).ok().and_then(|[value]| value.to_str().ok());
                let token = value.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
                let verdict =
                    verifier.verify_with(token, policy).map_or_else(|denial| denial.status(), |_| 200);
                let status =
                    if request.uri().path() == "/stock" && request.method() == "GET" { verdict } else { 404 };
                Ok::<_, String>(Response::builder().status(status).body(String::new()).unwrap())
            }
        });
        let caller = authority.service("orders").role("clerk").scopes(["stock:read", "stock:write"]);
        let report = attack(app).as_caller(caller).endpoint(Method::GET, "/stock").report().await;
        let got_in = report.got_in().map(|finding| finding.defect()).collect::<Vec<_>>();
        assert_eq!(got_in.contains(&Defect::OtherRole), missed == Some(Defect::OtherRole), "{report}");
        assert_eq!(got_in.contains(&Defect::OneScopeLess), missed == Some(Defect::OneScopeLess), "{report}");
        assert_eq!(report.is_clean(), missed.is_none(), "{report}");
    }
}
