//! What an operator revokes on the command line, as a verifier that follows the same store sees it.

use std::time::Duration;

use service_only::{Code, KeySet, NoAudit, SqlRevocations, Verifier};

use crate::sandbox::Sandbox;
use crate::store::{mint, sandboxes, states};

/// A service that follows the sandbox's store.
async fn verifier(sandbox: &Sandbox) -> Verifier {
    let keys = KeySet::from_jwks(sandbox.run(&["jwks"]).done().stdout.as_bytes()).unwrap();
    let revocations = SqlRevocations::of(url(sandbox)).start().unwrap();
    revocations.loaded().await;
    let builder = Verifier::builder().issuer("bakery-auth").keys(keys).audit(NoAudit);
    builder.revocation(revocations).build().unwrap()
}

/// The store's address for a program in another folder.
fn url(sandbox: &Sandbox) -> String {
    let config: toml::Table = sandbox.read("service-token.toml").parse().unwrap();
    let url = config["store"].as_str().unwrap();
    match url.strip_prefix("sqlite:") {
        Some(file) => format!("sqlite:{}", sandbox.path(file).display()),
        None => url.to_owned(),
    }
}

fn verdict(verifier: &Verifier, token: &str) -> Option<Code> {
    verifier.verify(token).err().map(|denial| denial.code())
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
async fn token_that_was_minted_is_accepted_until_it_is_revoked_and_then_listed_as_such() {
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
async fn tokens_of_a_service_are_refused_up_to_the_instant_that_was_named() {
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
async fn all_that_a_revoked_key_has_signed_is_refused() {
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
