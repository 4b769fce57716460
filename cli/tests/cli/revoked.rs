//! What an operator revokes on the command line, as a verifier that follows the same store sees it.

use std::time::Duration;

use service_only::{
    KeySet, Verifier,
    audit::NoAudit,
    clock::{Clock, SystemClock},
    error::Code,
};
use service_only_store::{SqlRevocations, Store, TokenFilter, TokenRecord};

use crate::sandbox::{Ran, Sandbox};
use crate::store::{mint, sandboxes, states, url};

/// A service that follows the sandbox's store.
async fn verifier(sandbox: &Sandbox) -> Verifier {
    let keys = KeySet::from_jwks(sandbox.run(&["jwks"]).done().stdout.as_bytes()).unwrap();
    let revocations = SqlRevocations::of(url(sandbox)).start().unwrap();
    revocations.loaded().await;
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit);
    builder.revocation(revocations).build().unwrap()
}

fn verdict(verifier: &Verifier, token: &str) -> Option<Code> {
    verifier.verify(token).err().map(|denial| denial.code())
}

/// Waits until the token is accepted or refused, as `expected`.
async fn becomes(verifier: &Verifier, token: &str, expected: Option<Code>) {
    let waiting = async {
        while verdict(verifier, token) != expected {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("the verdict changes");
}

fn number(ran: &Ran) -> String {
    ran.json()["revocation"].to_string()
}

#[tokio::test]
async fn undone_revocation_accepts_the_token_again_and_stays_in_the_list() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        let kid = sandbox.run(&["show", &jti, "--format", "json"]).done().json()["kid"].clone();
        let targets: [&[&str]; 3] =
            [&[&jti], &["--service", "orders", "--before", "now"], &["--key", kid.as_str().unwrap()]];
        for target in targets {
            let revoke = [&["revoke", "--format", "json", "--reason", "by mistake"], target].concat();
            let revoked = sandbox.run(&revoke).done();
            assert_eq!(
                (&revoked.json()["known_tokens"], &revoked.json()["valid_tokens"]),
                (&1.into(), &1.into())
            );
            becomes(&verifier, &token, Some(Code::Revoked)).await;
            let number = number(&revoked);
            let undone = sandbox.run(&["unrevoke", &number, "--reason", "the wrong one"]).done();
            assert!(undone.stdout.contains("1 token of the registry: 1 valid again"), "{}", undone.stdout);
            becomes(&verifier, &token, None).await;
            assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done())[0].1, "active");
            let listed = sandbox.run(&["revocations", "--format", "json"]).done().json();
            let is_it = |one: &&serde_json::Value| one["number"].as_u64() == number.parse().ok();
            let entry = listed.as_array().unwrap().iter().find(is_it).unwrap();
            assert_eq!((&entry["state"], &entry["reason"]), (&"undone".into(), &"by mistake".into()));
            assert_eq!(entry["undone_reason"], "the wrong one");
            assert!(entry["undone"].is_string() && entry.get("undone_by").is_some(), "{entry}");
            let text = sandbox.run(&["revocations"]).done().stdout;
            assert!(text.contains("undone") && text.contains("the wrong one"), "{text}");
        }
        assert_eq!(sandbox.run(&["revocations", "--active"]).done().stdout, "");
    }
}

#[tokio::test]
async fn undoing_one_of_two_revocations_leaves_the_other_in_force() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        let by_token = sandbox.run(&["revoke", &jti, "--format", "json"]).done();
        let by_service =
            sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--format", "json"]).done();
        becomes(&verifier, &token, Some(Code::Revoked)).await;
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        assert_eq!(shown["revocations"].as_array().unwrap().len(), 2, "{shown}");
        let undone = sandbox.run(&["unrevoke", &number(&by_token), "--reason", "r"]).done();
        assert!(undone.stdout.contains("0 valid again, 1 still revoked"), "{}", undone.stdout);
        // Long enough for a reader that got it wrong.
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(verdict(&verifier, &token), Some(Code::Revoked));
        sandbox.run(&["unrevoke", &number(&by_service), "--reason", "r"]).done();
        becomes(&verifier, &token, None).await;
    }
}

#[tokio::test]
async fn undoing_a_revocation_that_replaced_another_leaves_the_other_in_force() {
    for sandbox in sandboxes() {
        let (old, _) = mint(&sandbox, &["orders"]);
        let first =
            sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--format", "json"]).done();
        let (young, _) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        assert_eq!((verdict(&verifier, &old), verdict(&verifier, &young)), (Some(Code::Revoked), None));
        let second =
            sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--format", "json"]).done();
        assert_eq!(second.json()["outcome"], "extended");
        becomes(&verifier, &young, Some(Code::Revoked)).await;
        let undone = sandbox.run(&["unrevoke", &number(&second), "--reason", "r"]).done();
        assert!(
            undone.stderr.contains(&format!("revocation {} still holds", number(&first))),
            "{}",
            undone.stderr
        );
        becomes(&verifier, &young, None).await;
        assert_eq!(verdict(&verifier, &old), Some(Code::Revoked), "its own revocation was never undone");
        sandbox.run(&["unrevoke", &number(&first), "--reason", "r"]).done();
        becomes(&verifier, &old, None).await;
    }
}

#[tokio::test]
async fn revoking_less_before_the_wrong_revocation_is_undone_keeps_the_service_revoked() {
    for sandbox in sandboxes() {
        let (old, _) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        let wrong =
            sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--format", "json"]).done();
        becomes(&verifier, &old, Some(Code::Revoked)).await;
        let less = ["revoke", "--service", "orders", "--before", "2026-01-01T00:00:00Z"];
        let tried = sandbox.run(&[&less[..], &["--dry-run"]].concat()).done().stdout;
        assert!(tried.contains("would apply if this one is undone"), "{tried}");
        assert_eq!(
            sandbox.run(&[&less[..], &["--format", "json"]].concat()).done().json()["outcome"],
            "covered"
        );
        let text = sandbox.run(&less).done().stdout;
        assert!(text.starts_with("revoked already, nothing has changed"), "{text}");
        let undone = sandbox.run(&["unrevoke", &number(&wrong), "--reason", "r"]).done();
        assert!(
            undone.stderr.contains("still holds") && undone.stderr.contains("2026-01-01"),
            "{}",
            undone.stderr
        );
        becomes(&verifier, &old, None).await;
        let active = sandbox.run(&["revocations", "--active", "--format", "json"]).done().json();
        assert_eq!(active.as_array().unwrap().len(), 1, "{active}");
    }
}

/// The revocation of a service covers such a token only until the time of its `iat`.
#[tokio::test]
async fn a_token_whose_iat_is_ahead_stays_revoked_with_its_service_when_that_time_comes() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        let now = SystemClock.now();
        let store = Store::connect(&url(&sandbox)).await.unwrap();
        let listed = store.tokens(&TokenFilter::default()).await.unwrap().remove(0).token;
        let late = |jti: &str, service: &str, seconds| TokenRecord {
            jti: jti.to_owned(),
            service: service.to_owned(),
            issued_at: now.plus(Duration::from_secs(seconds)),
            ..listed.clone()
        };
        let tokens =
            [late("ahead", "orders", 7_200), late("near", "orders", 5), late("other", "sales", 7_200)];
        store.record_tokens(&tokens).await.unwrap();
        let revoke = ["revoke", "--service", "orders", "--before", "now", "--format", "json"];
        let tried = sandbox.run(&[&revoke[..], &["--dry-run"]].concat()).done();
        assert_eq!(tried.json()["revoked_one_by_one"], 1);
        assert!(tried.stderr.contains("would also be revoked one by one"), "{}", tried.stderr);
        let ran = sandbox.run(&revoke).done();
        assert_eq!(ran.json()["revoked_one_by_one"], 1);
        assert!(ran.stderr.contains("their `iat` is ahead"), "{}", ran.stderr);
        let shown = sandbox.run(&["show", "ahead", "--format", "json"]).done().json();
        assert_eq!(shown["revocations"].as_array().unwrap().len(), 2, "{shown}");
        let active = sandbox.run(&["revocations", "--active", "--format", "json"]).done().json();
        assert_eq!((active.as_array().unwrap().len(), &active[1]["name"]), (2, &"ahead".into()), "{active}");
        let again = sandbox.run(&revoke).done();
        assert_eq!(again.json()["revoked_one_by_one"], 0, "once is enough");
    }
}

#[test]
fn a_year_or_a_date_is_not_taken_for_seconds_since_1970() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        for wrong in ["0", "-5", "1000000000", "2009-12-31T23:59:59Z"] {
            let before = format!("--before={wrong}");
            let message = sandbox.run(&["revoke", "--service", "orders", &before]).refused();
            assert!(message.contains("no token is that old: nothing was revoked"), "{wrong}: {message}");
        }
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
        sandbox.run(&["revoke", "--service", "orders", "--before", "2010-01-01T00:00:00Z"]).done();
    }
}

#[test]
fn a_name_that_no_token_can_have_is_not_revoked_even_if_unknown_names_are_allowed() {
    let long = "k".repeat(257);
    for sandbox in sandboxes() {
        for wrong in [
            &["--key", "", "--allow-unknown"] as &[&str],
            &["--key", &long, "--allow-unknown"],
            &["--service", "", "--before", "now", "--allow-unknown"],
            &["--service", "orders ", "--before", "now", "--allow-unknown"],
            &["--key", "k", "--issuer", "", "--allow-unknown"],
            &["", "--expires", "2030-01-01T00:00:00Z"],
        ] {
            let message = sandbox.run(&[&["revoke"], wrong].concat()).refused();
            assert!(message.contains("which no token can have, and nothing was revoked"), "{message}");
        }
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
    }
}

#[test]
fn undo_requires_an_existing_number_and_a_reason() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        let revoked = sandbox.run(&["revoke", &jti, "--format", "json"]).done();
        let number = number(&revoked);
        sandbox.run(&["unrevoke", &number]).refused();
        assert!(
            sandbox.run(&["unrevoke", &number, "--reason", " "]).refused().contains("`--reason` is empty")
        );
        for wrong in ["0", "-1", "one", ""] {
            sandbox.run(&["unrevoke", "--reason", "r", "--", wrong]).refused();
        }
        let message = sandbox.run(&["unrevoke", "999", "--reason", "r"]).not_found();
        assert!(message.contains("has no revocation 999") && message.contains("revocations"), "{message}");
        let listed = sandbox.run(&["revocations", "--format", "json"]).done().json();
        assert_eq!(listed[0]["state"], "active", "{listed}");
        sandbox.run(&["unrevoke", &number, "--reason", "r"]).done();
        let message = sandbox.run(&["unrevoke", &number, "--reason", "r"]).refused();
        assert!(message.contains("was undone already"), "{message}");
        assert!(message.contains("`service-token revoke` revokes again"), "{message}");
        // The number of the undoing is not one of a revocation.
        let next = (number.parse::<i64>().unwrap() + 1).to_string();
        assert!(sandbox.run(&["unrevoke", &next, "--reason", "r"]).not_found().contains("has no revocation"));
    }
}

#[tokio::test]
async fn undone_revocation_can_be_repeated() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        for _ in 0..3 {
            let revoked = sandbox.run(&["revoke", &jti, "--format", "json"]).done();
            assert_eq!(revoked.json()["outcome"], "new");
            becomes(&verifier, &token, Some(Code::Revoked)).await;
            sandbox.run(&["unrevoke", &number(&revoked), "--reason", "r"]).done();
            becomes(&verifier, &token, None).await;
        }
        sandbox.run(&["revoke", &jti]).done();
        becomes(&verifier, &token, Some(Code::Revoked)).await;
        assert_eq!(sandbox.feed(&["verify", "-"], &token).code, 1);
    }
}

async fn is_refused(verifier: &Verifier, token: &str) {
    let waiting = async {
        while verdict(verifier, token).is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it is refused");
    assert_eq!(verdict(verifier, token), Some(Code::Revoked));
}

#[tokio::test]
async fn minted_token_is_accepted_until_its_revocation_and_then_listed_as_revoked() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let (other, other_jti) = mint(&sandbox, &["orders"]);
        let verifier = verifier(&sandbox).await;
        assert_eq!((verdict(&verifier, &token), verdict(&verifier, &other)), (None, None));
        sandbox.run(&["revoke", &jti, "--reason", "seen in a log"]).done();
        is_refused(&verifier, &token).await;
        assert_eq!(verdict(&verifier, &other), None);
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        assert_eq!((&shown["state"], &shown["revoked"]), (&"revoked".into(), &"token".into()));
        let list = |option| states(&sandbox.run(&["list", option, "--format", "json"]).done());
        assert_eq!(list("--revoked"), [(jti, "revoked".to_owned())]);
        assert_eq!(list("--active"), [(other_jti, "active".to_owned())]);
    }
}

#[tokio::test]
async fn tokens_of_a_revoked_service_are_refused_up_to_the_given_time() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let (other, other_jti) = mint(&sandbox, &["inventory"]);
        let verifier = verifier(&sandbox).await;
        assert_eq!(verdict(&verifier, &token), None);
        sandbox.run(&["revoke", "--service", "orders", "--before", "now"]).done();
        is_refused(&verifier, &token).await;
        assert_eq!(verdict(&verifier, &other), None);
        let (later, later_jti) = mint(&sandbox, &["orders"]);
        assert_eq!(verdict(&verifier, &later), None, "minted after it");
        let list = |option| {
            let mut found: Vec<_> = states(&sandbox.run(&["list", option, "--format", "json"]).done())
                .into_iter()
                .map(|(jti, _)| jti)
                .collect();
            found.sort();
            found
        };
        let mut good = vec![other_jti, later_jti];
        good.sort();
        assert_eq!((list("--revoked"), list("--active")), (vec![jti], good));
    }
}

#[tokio::test]
async fn all_tokens_of_a_revoked_key_are_refused() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let (other, other_jti) = mint(&sandbox, &["inventory"]);
        let verifier = verifier(&sandbox).await;
        assert_eq!((verdict(&verifier, &token), verdict(&verifier, &other)), (None, None));
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        sandbox.run(&["revoke", "--key", shown["kid"].as_str().unwrap()]).done();
        is_refused(&verifier, &token).await;
        is_refused(&verifier, &other).await;
        for jti in [jti, other_jti] {
            let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
            assert_eq!(shown["state"], "revoked", "{shown}");
        }
        assert_eq!(states(&sandbox.run(&["list", "--active", "--format", "json"]).done()), []);
    }
}
