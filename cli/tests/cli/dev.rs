//! The newcomer's minute.

use crate::sandbox::{Sandbox, claims_of};

#[test]
fn first_use_makes_a_private_key_outside_the_working_directory_and_later_uses_keep_it() {
    let sandbox = Sandbox::new();
    let first = sandbox.run(&["dev", "orders", "--format", "json"]).done();
    assert!(first.stderr.contains("generated a development key"), "{}", first.stderr);
    assert_eq!(sandbox.names(), ["state"]);
    let second = sandbox.run(&["dev", "orders", "--format", "json"]).done();
    assert_eq!(second.stderr, "");
    assert_eq!(first.json()["kid"], second.json()["kid"]);
    assert!(second.json()["kid"].as_str().unwrap().starts_with("dev-only."));
    #[cfg(unix)]
    {
        assert_eq!(sandbox.mode("state/service-only"), 0o700);
        assert_eq!(sandbox.mode("state/service-only/development-key.pem"), 0o600);
    }
}

#[test]
fn dry_run_makes_no_key_and_no_token() {
    let sandbox = Sandbox::new();
    let tried =
        sandbox.run(&["dev", "orders", "--dir", "keys", "--dry-run", "--format", "json"]).done().json();
    assert_eq!((&tried["dry_run"], &tried["would_generate_key"]), (&true.into(), &true.into()));
    assert_eq!(tried.get("token"), None);
    assert!(sandbox.names().is_empty());
    sandbox.run(&["dev", "orders", "--dir", "keys"]).done();
    let key = sandbox.read("keys/development-key.pem");
    let tried = sandbox.run(&["dev", "orders", "--dir", "keys", "--dry-run"]).done();
    assert_eq!(tried.line(), "would mint a token for orders with the key keys/development-key.pem");
    assert_eq!(sandbox.read("keys/development-key.pem"), key);
    // What cannot be minted is refused here too.
    let refused = sandbox.run(&["dev", "orders", "--lifetime", "4000d", "--dry-run"]).refused();
    assert!(refused.contains("lifetime"), "{refused}");
}

#[test]
fn token_alone_is_on_stdout_and_the_lines_to_paste_on_stderr() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run(&["dev", "orders", "--audience", "shop", "--dir", "keys"]).done();
    let claims = claims_of(ran.line());
    assert_eq!((&claims["service"], &claims["aud"]), (&"orders".into(), &serde_json::json!("shop")));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    let jwks = sandbox.path("keys/jwks.json").canonicalize().unwrap();
    for line in [
        "let verifier = service_only::Verifier::builder()".to_owned(),
        "    .issuer(\"dev-only\")".to_owned(),
        format!("    .keys(service_only::KeySet::from_jwks_file(\"{}\")?)", jwks.display()),
        "    .audience(\"shop\")".to_owned(),
        "curl -H \"Authorization: Bearer $(service-token dev orders --audience shop --dir keys)\"".to_owned(),
        "`service-token list` cannot show it".to_owned(),
    ] {
        assert!(ran.stderr.contains(&line), "{line}\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains(ran.line()));
}

#[test]
fn development_token_is_accepted_by_a_debug_build_and_refused_by_a_release_build() {
    let sandbox = Sandbox::new();
    let made = sandbox.run(&["dev", "orders", "--format", "json"]).done().json();
    let (jwks, token) = (made["jwks"].as_str().unwrap(), made["token"].as_str().unwrap());
    let ran = sandbox.feed(&["verify", "--jwks", jwks, "--issuer", "dev-only", "-"], token);
    if cfg!(debug_assertions) {
        ran.done();
    } else {
        assert!(ran.refused().contains("development"));
    }
}
