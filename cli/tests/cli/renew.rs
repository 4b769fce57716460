//! Renewal: who gets a new token, and that one which never arrived is made again.

use crate::rotate::{self, sandbox};
use crate::sandbox::{Sandbox, claims_of};

fn token(sandbox: &Sandbox, service: &str) -> String {
    sandbox.read(&format!("tokens/{service}.token")).trim_end().to_owned()
}

fn renewed(sandbox: &Sandbox, more: &[&str]) -> Vec<(String, String)> {
    let ran = sandbox.run(&[&["renew", "--out-dir", "tokens", "--format", "json"], more].concat()).done();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    ran.json().as_array().unwrap().iter().map(|made| (text(&made["service"]), text(&made["why"]))).collect()
}

#[test]
fn token_that_expires_soon_is_replaced_and_others_are_kept() {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    let before = token(&sandbox, "inventory");
    sandbox.run(&["generate", "orders", "--lifetime", "6d", "--out-dir", "tokens", "--force"]).done();
    assert_eq!(renewed(&sandbox, &[]), [], "two thirds of its life are left");
    let names: Vec<_> = renewed(&sandbox, &["--within", "7d"]);
    assert_eq!(names.len(), 1);
    assert!(names[0].0 == "orders" && names[0].1.starts_with("its token expires at "), "{names:?}");
    assert_eq!(token(&sandbox, "inventory"), before);
    let claims = claims_of(&token(&sandbox, "orders"));
    assert_eq!((&claims["role"], &claims["scope"]), (&"reader".into(), &"orders:read orders:list".into()));
    #[cfg(unix)]
    assert_eq!(sandbox.mode("tokens/orders.token"), 0o600);
    sandbox.feed(&["verify", "-"], token(&sandbox, "orders")).done();
    assert_eq!(renewed(&sandbox, &["--within", "7d"]), []);
}

#[test]
fn token_that_was_never_deployed_is_minted_again_and_a_service_without_a_token_is_skipped() {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "orders", "--out-dir", "tokens"]).done();
    assert_eq!(renewed(&sandbox, &[]), []);
    let old = token(&sandbox, "orders");
    // Renewed, written down, and lost on its way.
    sandbox.run(&["renew", "--within", "90d", "--out-dir", "elsewhere"]).done();
    let pair = |why: &str| [("orders".to_owned(), why.to_owned())];
    assert!(renewed(&sandbox, &["--within", "60d"])[0].1.starts_with("its token expires at"));
    assert_ne!(token(&sandbox, "orders"), old);
    std::fs::remove_file(sandbox.path("tokens/orders.token")).unwrap();
    assert_eq!(renewed(&sandbox, &[]), pair("none is deployed"));
    sandbox.write("tokens/orders.token", "not a token");
    assert_eq!(renewed(&sandbox, &[]), pair("the registry does not contain the deployed token"));
    assert!(sandbox.run(&["renew"]).refused().contains("--out-dir"));
}

#[test]
fn tokens_of_a_key_that_leaked_are_replaced() {
    let sandbox = sandbox("");
    sandbox.run(&["rotate"]).done();
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    sandbox.run(&["rotate", &format!("--emergency={}", kid_of(&sandbox))]).done();
    let all = renewed(&sandbox, &[]);
    let names: Vec<_> = all.iter().map(|(service, why)| (service.as_str(), why.as_str())).collect();
    assert_eq!(names, [("inventory", "its token is revoked"), ("orders", "its token is revoked")]);
    let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"];
    sandbox.feed(&verify, token(&sandbox, "orders")).done();
    assert_eq!(renewed(&sandbox, &[]), []);
    rotate::with_store(sandbox.root(), async |store| {
        let tokens = store.tokens(&service_only_store::TokenFilter::default()).await.unwrap();
        assert!(tokens.iter().any(|listed| listed.token.note.as_deref() == Some("renewed")));
    });
}

#[test]
fn kubernetes_secrets_are_printed_for_deployed_tokens_that_expire_soon() {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    let arguments = ["renew", "--deployed", "tokens", "--k8s-secret", "--namespace", "bakery"];
    let nothing = sandbox.run(&arguments).done();
    assert_eq!(nothing.stdout, "");
    assert!(nothing.stderr.contains("no token needs to be renewed"));
    let ran = sandbox.run(&[&arguments[..], &["--within", "90d"]].concat()).done();
    assert_eq!(ran.stdout.matches("kind: Secret").count(), 2);
    assert!(ran.stdout.contains("name: orders-service-token\n  namespace: bakery"), "{}", ran.stdout);
    // They are not there yet, so the next run makes them again.
    let again = sandbox.run(&[&arguments[..], &["--within", "90d"]].concat()).done();
    assert_eq!(again.stdout.matches("kind: Secret").count(), 2);
    let bad = sandbox.run(&["renew", "--k8s-secret", "--namespace", "no.dots"]);
    assert!(bad.refused().contains("not a Kubernetes namespace"));
}

#[test]
fn renewed_token_is_valid_although_its_service_was_revoked_in_the_same_second() {
    let sandbox = sandbox("");
    sandbox.run(&["generate", "orders", "--out-dir", "tokens"]).done();
    sandbox.run(&["revoke", "--service", "orders", "--before", "now"]).done();
    assert_eq!(renewed(&sandbox, &[])[0].1, "its token is revoked");
    let good = sandbox.run(&["list", "--format", "json"]).done().json();
    let jti = &claims_of(&token(&sandbox, "orders"))["jti"];
    let listed = good.as_array().unwrap().iter().find(|listed| &listed["jti"] == jti).unwrap();
    assert_eq!(listed["state"], "active");

    sandbox.run(&["rotate"]).done();
    let kid = kid_of(&sandbox);
    sandbox.run(&["revoke", "--key", &kid]).done();
    let message = sandbox.run(&["renew", "--out-dir", "tokens"]).refused_with(7);
    assert!(message.contains(&format!("the key `{kid}` is revoked")), "{message}");
    assert_eq!(&claims_of(&token(&sandbox, "orders"))["jti"], jti, "nothing was written");
}

fn kid_of(sandbox: &Sandbox) -> String {
    sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned()
}
