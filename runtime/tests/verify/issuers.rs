//! Several issuers in one verifier: each with its own keys and kind of tokens, and never another's.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service_only::{
    AccessTokens, Algorithm, Caller, Identity, KeySet, Policy, TrustedIssuer, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    error::Code,
    issue::{Issuer, SigningKey},
    revocation::MemoryRevocations,
};
use service_only_testkit::TestAuthority;

const NOW: i64 = 1_767_225_600;
const CLOCK: FixedClock = FixedClock(Timestamp::from_unix(NOW));

/// A token of any header and claims; `alg` and `kid` are the key's unless said.
fn sign(key: &SigningKey, header: Value, claims: &Value) -> String {
    let mut head = json!({"alg": key.algorithm(), "kid": key.kid()});
    head.as_object_mut().unwrap().extend(header.as_object().unwrap().clone());
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(&head), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()).unwrap());
    format!("{signed}.{signature}")
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::ES256).unwrap()
}

fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

fn without(claims: &Value, name: &str) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

const DAY: i64 = 24 * 60 * 60;

/// A verifier of strict tokens only.
fn strict(authority: &SigningKey, leeway: u64) -> Verifier {
    Verifier::builder()
        .trust(TrustedIssuer::strict("bakery-auth").keys(authority.verifying_key()).audience("orders"))
        .leeway(Duration::from_secs(leeway))
        .clock(CLOCK)
        .audit(NoAudit)
        .build()
        .unwrap()
}

/// What it says of a strict token with these times.
fn strict_verdict(verifier: &Verifier, authority: &SigningKey, iat: i64, exp: i64) -> Option<Code> {
    let (_, header, claims, _) = good().swap_remove(0);
    let token = sign(authority, header, &with(&claims, json!({"iat": iat, "exp": exp})));
    verifier.verify(&token).err().map(|denial| denial.code())
}

struct Fleet {
    verifier: Verifier,
    keys: BTreeMap<&'static str, SigningKey>,
}

impl Fleet {
    fn new() -> Self {
        let names = ["strict", "compatible", "kubernetes", "spiffe", "oauth"];
        let keys: BTreeMap<_, _> = names.into_iter().map(|name| (name, key())).collect();
        let of = |name: &str| KeySet::from(keys[name].verifying_key());
        let verifier = Verifier::builder()
            .trust(TrustedIssuer::strict("bakery-auth").keys(of("strict")).audience("orders"))
            .trust(TrustedIssuer::compatible("bakery-auth").keys(of("compatible")))
            .trust(
                TrustedIssuer::kubernetes("https://cluster")
                    .keys(of("kubernetes"))
                    .audience("orders")
                    .name("system:serviceaccount:bakery:orchestrator", "orchestrator"),
            )
            .trust(
                TrustedIssuer::spiffe("bakery.example")
                    .keys(of("spiffe"))
                    .audience("orders")
                    .name("spiffe://bakery.example/sales", "sales"),
            )
            .trust(
                TrustedIssuer::oauth("https://idp")
                    .keys(of("oauth"))
                    .audience("orders")
                    .name("client-7", "pos"),
            )
            .clock(CLOCK)
            .audit(NoAudit)
            .build()
            .unwrap();
        Self { verifier, keys }
    }

    fn verdict(&self, token: &str) -> Result<String, Code> {
        let decided = self.verifier.verify(token);
        decided.map(|caller: Caller| caller.service().to_owned()).map_err(|denial| denial.code())
    }
}

/// A good token of each issuer: header and claims, and the service that it names.
fn good() -> Vec<(&'static str, Value, Value, &'static str)> {
    let service = json!({
        "sub": "orders", "service": "orders", "type": "service", "is_service": true, "iss": "bakery-auth",
        "iat": NOW, "exp": NOW + 3600, "jti": "j1",
    });
    let bound = json!({
        "iss": "https://cluster", "aud": ["orders"], "iat": NOW, "nbf": NOW, "exp": NOW + 3607, "jti": "j2",
        "sub": "system:serviceaccount:bakery:orchestrator",
        "kubernetes.io": {"namespace": "bakery", "serviceaccount": {"name": "orchestrator", "uid": "u1"}},
    });
    let svid = json!({"sub": "spiffe://bakery.example/sales", "aud": "orders", "exp": NOW + 300});
    let access = json!({
        "iss": "https://idp", "aud": "orders", "sub": "client-7", "client_id": "client-7", "iat": NOW, "exp": NOW + 300,
        "jti": "j3", "scope": "tenants:delete",
    });
    vec![
        ("strict", json!({"typ": "service+jwt"}), with(&service, json!({"aud": "orders"})), "orders"),
        ("compatible", json!({"typ": "JWT"}), service, "orders"),
        ("kubernetes", json!({}), bound, "orchestrator"),
        ("spiffe", json!({"typ": "JWT"}), svid, "sales"),
        ("oauth", json!({"typ": "at+jwt"}), access, "pos"),
    ]
}

#[test]
fn every_issuers_token_is_verified_and_names_its_service() {
    let fleet = Fleet::new();
    for (issuer, header, claims, service) in good() {
        let token = sign(&fleet.keys[issuer], header, &claims);
        assert_eq!(fleet.verdict(&token), Ok(service.to_owned()), "{issuer}");
    }
}

#[test]
fn a_key_of_one_issuer_never_verifies_a_token_of_another() {
    let fleet = Fleet::new();
    for (issuer, header, claims, _) in good() {
        for (other, key) in fleet.keys.iter().filter(|(other, _)| **other != issuer) {
            let token = sign(key, header.clone(), &claims);
            assert!(fleet.verdict(&token).is_err(), "{issuer} signed by {other}");
            // Not even under the right name of the key.
            let kid = fleet.keys[issuer].kid();
            let token = sign(key, with(&header, json!({"kid": kid})), &claims);
            assert_eq!(fleet.verdict(&token), Err(Code::BadSignature), "{issuer} forged by {other}");
        }
    }
}

#[test]
fn one_wrong_property_refuses_the_token() {
    let fleet = Fleet::new();
    for (issuer, header, claims, _) in good() {
        let key = &fleet.keys[issuer];
        let verdict =
            |header: &Value, claims: &Value| fleet.verdict(&sign(key, header.clone(), claims)).unwrap_err();
        assert_eq!(verdict(&header, &with(&claims, json!({"exp": NOW}))), Code::Expired, "{issuer}");
        assert_eq!(
            verdict(&header, &with(&claims, json!({"aud": "sales"}))),
            Code::WrongAudience,
            "{issuer}"
        );
        assert_eq!(verdict(&with(&header, json!({"typ": "dpop+jwt"})), &claims), Code::WrongTyp, "{issuer}");
        assert_eq!(verdict(&with(&header, json!({"crit": ["x"]})), &claims), Code::Crit, "{issuer}");
        if issuer != "spiffe" {
            assert_eq!(
                verdict(&header, &with(&claims, json!({"iss": "https://evil"}))),
                Code::WrongIssuer,
                "{issuer}"
            );
        }
        if issuer != "compatible" {
            assert_eq!(verdict(&header, &without(&claims, "aud")), Code::MissingClaim, "{issuer}");
        }
    }
}

#[test]
fn a_bound_token_of_any_issuer_is_not_a_bearer_token() {
    let fleet = Fleet::new();
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let values = [
        json!({"x5t#S256": thumbprint}),
        json!({"jkt": thumbprint}),
        json!({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": thumbprint}}),
        json!({"jwe": "a.b.c.d.e"}),
        json!({"jku": "https://keys.example"}),
        json!({"kid": "sender"}),
        json!({"x-new": 1}),
        json!({}),
        json!(null),
        json!("jkt"),
        json!([]),
        json!(7),
        json!(false),
    ];
    for (issuer, header, claims, _) in good() {
        let mut sent = vec![claims.clone()];
        if matches!(issuer, "strict" | "compatible") {
            let user = without(&without(&claims, "is_service"), "service");
            sent.push(with(&user, json!({"type": "access"})));
        }
        for claims in sent {
            for cnf in &values {
                let token = sign(&fleet.keys[issuer], header.clone(), &with(&claims, json!({"cnf": cnf})));
                // Twice more than a token needs to be remembered.
                for _ in 0..4 {
                    let denial = fleet.verifier.authenticate(&token).unwrap_err();
                    assert_eq!((denial.code(), denial.status()), (Code::ProofMissing, 401), "{issuer} {cnf}");
                }
            }
            let free = fleet.verifier.authenticate(&sign(&fleet.keys[issuer], header.clone(), &claims));
            assert!(free.is_ok(), "{issuer}: {free:?}");
        }
    }
    let (_, header, claims, _) = good().swap_remove(1);
    let forged = sign(&key(), header, &with(&claims, json!({"cnf": {}})));
    assert_eq!(fleet.verdict(&forged), Err(Code::UnknownKey), "the signature comes first");
}

/// A token of a self-naming issuer.
fn self_named(kind: &str, key: &SigningKey, issuer: &str, service: &str) -> String {
    let (_, header, claims, _) = good().swap_remove(if kind == "strict" { 0 } else { 1 });
    sign(key, header, &with(&claims, json!({"iss": issuer, "sub": service, "service": service})))
}

fn issuer_of(kind: &str, name: &str, key: &SigningKey) -> TrustedIssuer {
    match kind {
        "strict" => TrustedIssuer::strict(name).audience("orders"),
        _ => TrustedIssuer::compatible(name),
    }
    .keys(key.verifying_key())
}

#[test]
fn two_issuers_that_name_their_services_themselves_do_not_build_without_a_declaration() {
    for kinds in [
        ["strict", "strict"],
        ["compatible", "compatible"],
        ["compatible", "strict"],
        ["strict", "compatible"],
    ] {
        let keys = [key(), key()];
        let [bakery, mill] = ["bakery-auth", "https://mill.example"];
        let bakery = || issuer_of(kinds[0], bakery, &keys[0]);
        let mill = || issuer_of(kinds[1], mill, &keys[1]);
        let built =
            |one, other| Verifier::builder().trust(one).trust(other).clock(CLOCK).audit(NoAudit).build();
        let refused = built(bakery(), mill()).unwrap_err().to_string();
        assert!(refused.contains("`bakery-auth`") && refused.contains(".services("), "{refused}");
        assert!(built(mill(), bakery()).is_err());
        let overlapping = built(bakery().services(["mill.flour"]), mill().service_prefix("mill."));
        assert!(overlapping.unwrap_err().to_string().contains("`mill.flour`"));

        // The builder's own issuer is one, too.
        let own = Verifier::builder().issuer("own").keys(keys[0].verifying_key());
        assert!(own.trust(mill()).build().is_err());

        let verifier = built(bakery(), mill().services(["flour"]).service_prefix("mill.")).unwrap();
        let verdict = |token: &str| {
            let decided = verifier.verify(token).map(|caller| caller.service().to_owned());
            decided.map_err(|denial| (denial.code(), denial.status()))
        };
        for (own, other) in [("orders", "flour"), ("millstone", "mill.oats"), ("flours", "mill.flour")] {
            for (index, issuer, own, other) in
                [(0, "bakery-auth", own, other), (1, "https://mill.example", other, own)]
            {
                let token = self_named(kinds[index], &keys[index], issuer, own);
                assert_eq!(verdict(&token), Ok(own.to_owned()), "{kinds:?}");
                let token = self_named(kinds[index], &keys[index], issuer, other);
                for _ in 0..3 {
                    assert_eq!(verdict(&token), Err((Code::BadClaimValue, 401)), "{issuer} names {other}");
                }
            }
        }
    }
}

#[test]
fn an_issuer_that_may_name_some_services_may_name_no_users() {
    let keys = [key(), key()];
    let verifier = Verifier::builder()
        .trust(issuer_of("compatible", "bakery-auth", &keys[0]))
        .trust(issuer_of("compatible", "mill", &keys[1]).services(["flour"]))
        .clock(CLOCK)
        .audit(NoAudit)
        .build()
        .unwrap();
    let (_, header, claims, _) = good().swap_remove(1);
    let user = without(&without(&claims, "is_service"), "service");
    let user = |issuer| with(&user, json!({"type": "access", "sub": "anna", "iss": issuer}));
    assert!(verifier.authenticate(&sign(&keys[0], header.clone(), &user("bakery-auth"))).is_ok());
    let denial = verifier.authenticate(&sign(&keys[1], header, &user("mill"))).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::NotService, 403));
}

#[test]
fn entries_with_one_issuer_share_their_services_and_keep_their_kinds() {
    let keys = [key(), key()];
    let verifier = Verifier::builder()
        .trust(issuer_of("strict", "bakery-auth", &keys[0]))
        .trust(issuer_of("compatible", "bakery-auth", &keys[1]))
        .clock(CLOCK)
        .audit(NoAudit)
        .build()
        .unwrap();
    for (kind, key) in ["strict", "compatible"].into_iter().zip(&keys) {
        assert_eq!(
            verifier.verify(&self_named(kind, key, "bakery-auth", "orders")).unwrap().service(),
            "orders"
        );
    }
}

#[test]
fn one_name_is_not_given_to_two_issuers_of_different_kinds() {
    type Kind = fn(&str) -> TrustedIssuer;
    let self_naming: [Kind; 2] = [|name| TrustedIssuer::compatible(name), |name| TrustedIssuer::strict(name)];
    let others: [Kind; 3] = [
        |name| TrustedIssuer::kubernetes(name),
        |name| TrustedIssuer::spiffe(name),
        |name| TrustedIssuer::oauth(name),
    ];
    let builds = |one: Kind, other: Kind, names: [&str; 2]| {
        let [one, other] = [one(names[0]), other(names[1])]
            .map(|issuer| issuer.keys(key().verifying_key()).audience("orders"));
        Verifier::builder().trust(one).trust(other).audit(NoAudit).build().map(|_| ())
    };
    let kinds = || self_naming.into_iter().chain(others).enumerate();
    for (index, one) in kinds() {
        for (other_index, other) in kinds() {
            let is_one = index == other_index || index.max(other_index) < 2;
            let built = builds(one, other, ["bakery.example"; 2]);
            assert_eq!(built.is_ok(), is_one, "{index} {other_index}: {built:?}");
            if !is_one {
                assert!(built.unwrap_err().to_string().contains("`bakery.example`"));
                assert!(builds(one, other, ["bakery.example", "mill.example"]).is_ok());
            }
        }
    }
}

#[test]
fn a_policy_may_ask_for_an_issuer() {
    let keys = [key(), key()];
    let verifier = Verifier::builder()
        .trust(issuer_of("strict", "bakery-auth", &keys[0]))
        .trust(issuer_of("strict", "https://mill.example", &keys[1]).services(["flour"]))
        .clock(CLOCK)
        .audit(NoAudit)
        .build()
        .unwrap();
    let tokens = [
        self_named("strict", &keys[0], "bakery-auth", "orders"),
        self_named("strict", &keys[1], "https://mill.example", "flour"),
    ];
    let refused = Some((Code::IssuerNotAllowed, 403));
    for (allowed, expected) in [
        (None, [None, None]),
        (Some(&["bakery-auth"][..]), [None, refused]),
        (Some(&["https://mill.example"][..]), [refused, None]),
        (Some(&["https://mill.example", "bakery-auth"][..]), [None, None]),
        (Some(&["https://mill.example/", "Bakery-auth", "bakery"][..]), [refused, refused]),
        (Some(&[][..]), [refused, refused]),
    ] {
        let policy = allowed.map_or(Policy::any_service(), |issuers| Policy::any_service().issuers(issuers));
        for (token, expected) in tokens.iter().zip(expected) {
            for _ in 0..3 {
                let denial = verifier.verify_with(token, &policy).err();
                assert_eq!(denial.map(|denial| (denial.code(), denial.status())), expected, "{allowed:?}");
            }
        }
    }
}

#[test]
fn a_policy_names_other_issuers_by_the_name_that_they_are_trusted_by() {
    let fleet = Fleet::new();
    let names = ["bakery-auth", "bakery-auth", "https://cluster", "bakery.example", "https://idp"];
    for ((issuer, header, claims, _), name) in good().into_iter().zip(names) {
        let token = sign(&fleet.keys[issuer], header, &claims);
        let verdict = |name| fleet.verifier.verify_with(&token, &Policy::any_service().issuers(&[name]));
        assert!(verdict(name).is_ok(), "{issuer}");
        assert_eq!(verdict("another").unwrap_err().code(), Code::IssuerNotAllowed, "{issuer}");
    }
}

#[test]
fn the_strict_profile_limits_total_and_remaining_lifetime() {
    let authority = key();
    let verifier = strict(&authority, 0);
    let verdict = |iat, exp| strict_verdict(&verifier, &authority, iat, exp);
    assert_eq!(verdict(NOW, NOW + DAY), None);
    assert_eq!(verdict(NOW - 60, NOW + DAY), Some(Code::LivesTooLong));
    assert_eq!(verdict(NOW, NOW + DAY + 1), Some(Code::LivesTooLong));
    // An issue time in the future does not stretch what remains.
    assert_eq!(verdict(NOW + 365 * DAY, NOW + 366 * DAY), Some(Code::NotYetValid));
    assert_eq!(verdict(NOW + 1, NOW + 60), Some(Code::NotYetValid));
    assert_eq!(verdict(i64::MIN, NOW + 1), Some(Code::LivesTooLong));
}

#[test]
fn a_strict_verifier_accepts_tokens_of_a_strict_issuer() {
    let authority = key();
    let verifier = strict(&authority, 0);
    let issuer =
        Issuer::builder().issuer("bakery-auth").key(authority).audience("orders").strict().clock(CLOCK);
    let token = issuer.build().unwrap().token_for("sales").mint().unwrap();
    assert_eq!(verifier.verify(token.as_str()).unwrap().service(), "sales");
    assert_eq!(token.claims().exp - NOW, 3600);

    let no_audience = Issuer::builder().issuer("bakery-auth").key(key()).strict().build();
    assert!(no_audience.unwrap_err().to_string().contains("audience"));
    let secret = SigningKey::generate(Algorithm::HS256).unwrap();
    let secret = Issuer::builder().issuer("bakery-auth").key(secret).audience("orders").strict().build();
    assert!(secret.unwrap_err().to_string().contains("key pair"));
}

#[test]
fn tokens_of_the_compatible_profile_are_counted_if_both_profiles_are_accepted() {
    let fleet = Fleet::new();
    for (issuer, header, claims, _) in good() {
        fleet.verdict(&sign(&fleet.keys[issuer], header, &claims)).unwrap();
    }
    assert_eq!(fleet.verifier.compatible_tokens(), BTreeMap::from([("orders".to_owned(), 1)]));

    // Where only the old one is taken there is nothing to move from.
    let authority = key();
    let only_old = Verifier::builder()
        .issuer("bakery-auth")
        .keys(authority.verifying_key())
        .clock(CLOCK)
        .audit(NoAudit)
        .build()
        .unwrap();
    let (_, header, claims, _) = good().swap_remove(1);
    only_old.verify(&sign(&authority, header, &claims)).unwrap();
    assert!(only_old.compatible_tokens().is_empty());
}

#[test]
fn with_several_issuers_a_subject_without_a_name_is_refused() {
    let fleet = Fleet::new();
    // Each would be called `orchestrator` by itself, which is what a Kubernetes account is called here.
    let mut tokens = good();
    let (_, header, access, _) = tokens.swap_remove(4);
    let client = with(&access, json!({"sub": "orchestrator", "client_id": "orchestrator"}));
    assert_eq!(fleet.verdict(&sign(&fleet.keys["oauth"], header, &client)), Err(Code::BadClaimValue));
    let (_, header, svid, _) = tokens.swap_remove(3);
    let workload = with(&svid, json!({"sub": "spiffe://bakery.example/orchestrator"}));
    assert_eq!(fleet.verdict(&sign(&fleet.keys["spiffe"], header, &workload)), Err(Code::BadClaimValue));
}

#[test]
fn an_audience_of_another_claim_is_required_beside_the_aud() {
    let key = key();
    let tokens = AccessTokens::named_by("azp")
        .typ(["JWT"])
        .machine_if("gty", "client-credentials")
        .audience_from("resource");
    let issuer =
        TrustedIssuer::oauth_with("https://sso.example", tokens).keys(key.verifying_key()).audience("stock");
    let verifier = Verifier::builder().trust(issuer).clock(CLOCK).audit(NoAudit).build().unwrap();
    let claims = json!({
        "iss": "https://sso.example", "sub": "client-7@sso", "azp": "orders", "gty": "client-credentials",
        "resource": "stock", "iat": NOW, "exp": NOW + 60,
    });
    let code = |claims: &Value| {
        let token = sign(&key, json!({"typ": "JWT"}), claims);
        verifier.verify(&token).err().map(|denial| denial.code())
    };
    assert_eq!(code(&claims), None);
    assert_eq!(code(&with(&claims, json!({"aud": "stock"}))), None);
    assert_eq!(code(&with(&claims, json!({"aud": "sales"}))), Some(Code::WrongAudience));
    assert_eq!(code(&with(&claims, json!({"resource": "sales"}))), Some(Code::WrongAudience));
    assert_eq!(code(&with(&claims, json!({"resource": "sales", "aud": "stock"}))), Some(Code::WrongAudience));
    assert!(code(&without(&claims, "resource")).is_some());
    let caller = verifier.verify(&sign(&key, json!({"typ": "JWT"}), &claims)).unwrap();
    assert_eq!((caller.service(), caller.claims().sub.as_str()), ("orders", "client-7@sso"));
}

#[test]
fn the_record_of_a_refusal_names_the_key_whose_signature_verified() {
    let authority = TestAuthority::new();
    let own = authority.verifier().verify(&authority.service("orders").token()).unwrap();
    let name = own.key_id().unwrap().to_string();
    drop(own);
    let refused = |token: &str| {
        authority.audit().clear();
        authority.verifier().verify(token).unwrap_err();
        let record = authority.audit().only();
        (record.code, record.kid)
    };
    let expired = authority.service("orders").expired().token();
    assert_eq!(refused(&expired), (Some(Code::Expired), Some(name)));
    let forged = format!("{}AAAA", expired.rsplit_once('.').unwrap().0.to_owned() + ".");
    assert_eq!(refused(&forged), (Some(Code::BadSignature), None));
}

#[test]
fn a_revocation_and_a_policy_name_the_issuer_of_a_user() {
    let authority = TestAuthority::new();
    let revocations = MemoryRevocations::new();
    let verifier = authority.verifier_builder().revocation(revocations.clone()).build().unwrap();
    let token = authority.user("mia").token();
    let code = |issuers: &'static [&'static str]| {
        let policy = Policy::any_user().issuers(issuers);
        verifier.authenticate_with(&token, &policy).err().map(|denial| denial.code())
    };
    assert_eq!(code(&["test-authority"]), None);
    assert_eq!(code(&["mill-auth"]), Some(Code::IssuerNotAllowed));
    let Ok(Identity::User(user)) = verifier.authenticate(&token) else { panic!("not a user") };
    let (jti, exp) = (user.claims().jti.clone().unwrap(), user.claims().exp);
    revocations.revoke_token("mill-auth", &jti, Timestamp::from_unix(exp)).unwrap();
    assert_eq!(code(&["test-authority"]), None);
    revocations.revoke_token("test-authority", &jti, Timestamp::from_unix(exp)).unwrap();
    assert_eq!(code(&["test-authority"]), Some(Code::Revoked));
}

#[test]
fn the_refusal_of_the_latest_stage_is_reported() {
    let fleet = Fleet::new();
    let (_, header, claims, _) = good().swap_remove(4);
    let expired = sign(&fleet.keys["oauth"], header.clone(), &with(&claims, json!({"exp": NOW - 1})));
    assert_eq!(fleet.verdict(&expired), Err(Code::Expired));
    let stranger = key();
    assert_eq!(fleet.verdict(&sign(&stranger, header, &claims)), Err(Code::UnknownKey));
}

#[test]
fn leeway_does_not_extend_a_maximum_lifetime() {
    let authority = key();
    let verifier = strict(&authority, 60);
    let verdict = |iat, exp| strict_verdict(&verifier, &authority, iat, exp);
    // The issuer's clock may be ahead by the leeway, its tokens live no longer for it.
    assert_eq!(verdict(NOW + 60, NOW + 60 + DAY), None);
    assert_eq!(verdict(NOW + 61, NOW + 62), Some(Code::NotYetValid));
    assert_eq!(verdict(NOW, NOW + DAY + 1), Some(Code::LivesTooLong));
}
