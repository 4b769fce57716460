//! What is counted as decisions are made.

use std::time::Duration;

use service_only_testkit::{TestCa, call};

use super::*;

const ATTEMPTS: &str = "service_only.attempts";

#[tokio::test]
async fn attempts_are_counted_by_handler_decision_code_and_the_service_that_was_verified() {
    let world = World::new();
    let app = call(world.router());
    for service in ["shop", "shop", "orders"] {
        app.get("/stock").bearer(world.authority.service(service).token()).await;
    }
    let forged = world.authority.service("shop").signed_by(&TestAuthority::new());
    app.get("/stock").bearer(forged.token()).await;
    app.get("/stock").await;
    let all = world.collect();
    let handler = "code.function.name=it::metrics::stock";
    let happened: Vec<_> = of(&all, ATTEMPTS).into_iter().filter(|(_, count)| *count > 0.0).collect();
    assert_eq!(
        happened,
        [
            (
                format!("{{caller.service=orders,{handler},code=service_not_allowed,decision=deny}}")
                    .as_str(),
                1.0
            ),
            (format!("{{caller.service=shop,{handler},decision=allow}}").as_str(), 2.0),
            (format!("{{{handler},code=missing_token,decision=deny}}").as_str(), 1.0),
            (format!("{{{handler},code=unknown_key,decision=deny}}").as_str(), 1.0),
        ]
    );
    assert_eq!(
        of(&all, "service_only.verification.duration.count"),
        [("{decision=allow}", 2.0), ("{decision=deny}", 3.0)]
    );
    let (kid, issuer) =
        (world.authority.kid(), world.verifier().verify(&world.authority.service("a").token()));
    let issuer = issuer.unwrap().issuer().to_owned();
    assert_eq!(
        of(&all, "service_only.key.uses"),
        [
            (format!("{{decision=allow,issuer={issuer},kid={kid}}}").as_str(), 2.0),
            (format!("{{decision=deny,issuer={issuer},kid={kid}}}").as_str(), 1.0),
        ]
    );
}

#[tokio::test]
async fn attempts_are_counted_by_proof_and_by_the_name_in_the_certificate_of_their_connection() {
    let world = World::new();
    let app = call(world.router());
    let ca = TestCa::new("bakery.example");
    let now = world.authority.clock().now();
    let of_id = |id: &str| ca.leaf().spiffe_id(id).valid_around(now).issue();
    let (shop, thief) = (of_id("spiffe://bakery.example/shop"), of_id("spiffe://bakery.example/thief"));
    let bound = world.authority.service("shop").bound_to(&shop).token();
    for _ in 0..3 {
        app.get("/stock").bearer(&bound).certificate(&shop).await;
        app.get("/stock").bearer(&bound).certificate(&thief).await;
        app.get("/stock").bearer(world.authority.service("shop").token()).await;
    }
    let all = world.collect();
    let handler = "code.function.name=it::metrics::stock";
    let happened: Vec<_> = of(&all, ATTEMPTS).into_iter().filter(|(_, count)| *count > 0.0).collect();
    assert_eq!(
        happened,
        [
            (format!("{{caller.service=shop,{handler},decision=allow,proof=mtls}}").as_str(), 3.0),
            (format!("{{caller.service=shop,{handler},decision=allow}}").as_str(), 3.0),
            (format!("{{{handler},code=proof_mismatch,decision=deny}}").as_str(), 3.0),
        ]
    );
    assert_eq!(
        of(&all, "service_only.peer.attempts"),
        [
            ("{decision=allow,peer=spiffe://bakery.example/shop}", 3.0),
            ("{decision=deny,peer=spiffe://bakery.example/thief}", 3.0),
        ]
    );
}

#[tokio::test]
async fn names_in_certificates_beyond_the_limit_share_a_series() {
    let world = World::with_names(2);
    let app = call(world.router());
    let ca = TestCa::new("bakery.example");
    for number in 0..5 {
        let id = format!("spiffe://bakery.example/peer-{number}");
        app.get("/stock").certificate(&ca.leaf().spiffe_id(&id).issue()).await;
    }
    let all = world.collect();
    let seen = of(&all, "service_only.peer.attempts");
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert!(seen.contains(&("{decision=deny,peer=(others)}", 3.0)), "{seen:?}");
}

/// Prometheus sees an increase only in a series that is there.
#[test]
fn forged_algorithms_are_counted_from_zero() {
    let all = World::new().collect();
    for code in ["alg_not_allowed", "key_alg_mismatch"] {
        for handler in ["it::metrics::stock", "(none)"] {
            let labels = format!("{ATTEMPTS}{{code.function.name={handler},code={code},decision=deny}}");
            assert_eq!(all[&labels], 0.0);
        }
    }
}

/// Every token that the test kit can spoil, then the same from somebody who calls himself something new each
/// time: by then all series are there, and none is his.
#[tokio::test]
async fn hostile_tokens_make_no_series() {
    let world = World::new();
    let app = call(world.router());
    let spoil = async |name: &str| {
        let draft = world.authority.service(name);
        let before = world.collect().len();
        for fixture in draft.fixtures() {
            app.get("/stock").fixture(&fixture).await;
        }
        world.collect().len() - before
    };
    app.get("/stock").bearer(world.authority.service("shop").token()).await;
    assert!(spoil("shop").await > 0);
    assert_eq!(spoil("shop").await, 0);

    let before = world.collect();
    for number in 0..300 {
        let name = format!("stranger-{number}");
        let stranger = TestAuthority::new().service(&name).header("kid", format!("key-{number}"));
        app.get(&format!("/stock?{number}")).bearer(stranger.token()).await;
        let own_key = world.authority.service(&name).signed_by(&TestAuthority::new());
        app.get("/stock").bearer(own_key.token()).await;
    }
    let after = world.collect();
    assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    assert!(!after.keys().any(|series| series.contains("stranger") || series.contains("key-")));
}

#[test]
fn services_and_keys_beyond_the_limit_are_counted_together() {
    let world = World::with_names(2);
    let verifier = world.verifier();
    for number in 0..7 {
        verifier.verify(&world.authority.service(format!("service-{number}")).token()).unwrap();
    }
    let all = world.collect();
    let allowed = |labels: &str| labels.contains("decision=allow");
    let attempts: Vec<_> = of(&all, ATTEMPTS).into_iter().filter(|(labels, _)| allowed(labels)).collect();
    assert_eq!(attempts.len(), 3);
    assert!(
        attempts.iter().any(|(labels, count)| labels.contains("=(others),") && *count == 5.0),
        "{attempts:?}"
    );
}

#[test]
fn remaining_lifetime_is_measured_in_seconds_and_as_a_share() {
    let world = World::new();
    let verifier = world.verifier();
    let now = world.authority.clock().now().unix();
    let token = |from: i64, to: i64| {
        world.authority.service("shop").claim("iat", now + from).claim("exp", now + to).token()
    };
    verifier.verify(&token(-300, 100)).unwrap();
    let all = world.collect();
    assert_eq!(of(&all, "service_only.token.remaining_life.sum"), [("{caller.service=shop}", 100.0)]);
    assert_eq!(of(&all, "service_only.token.remaining_life.ratio.sum"), [("{caller.service=shop}", 0.25)]);

    // Neither what expired nor what says nothing of its beginning has a part left.
    verifier.verify(&token(-300, -100)).unwrap_err();
    verifier
        .verify(&world.authority.service("shop").without_claim("iat").claim("exp", now + 50).token())
        .ok();
    assert_eq!(
        of(&world.collect(), "service_only.token.remaining_life.ratio.count"),
        [("{caller.service=shop}", 1.0)]
    );
}

#[test]
fn duration_of_a_decision_is_measured_by_the_clock() {
    struct Slow(service_only_testkit::ManualClock);
    impl service_only::revocation::RevocationStore for Slow {
        fn status(
            &self,
            _: &service_only::revocation::PresentedToken<'_>,
        ) -> Result<service_only::revocation::RevocationStatus, service_only::revocation::RevocationOutage>
        {
            self.0.advance(Duration::from_nanos(1_500));
            Ok(service_only::revocation::RevocationStatus::Good)
        }
    }
    let world = World::new();
    let builder = world.authority.verifier_builder().audit(world.metrics.audit());
    let verifier = builder.revocation(Slow(world.authority.clock().clone())).build().unwrap();
    verifier.verify(&world.authority.service("shop").token()).unwrap();
    assert_eq!(
        of(&world.collect(), "service_only.verification.duration.sum"),
        [("{decision=allow}", 1.5e-6)]
    );
}
