//! `show -` and `revoke -`: the operator pipes in a token that was found somewhere.

use crate::sandbox::Sandbox;
use crate::store::{mint, naming_store, sandboxes, states};

/// The token with another signature, which nobody made.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

#[test]
fn leaked_token_is_revoked_by_itself_and_never_printed() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        for (ending, outcome) in [("", "new"), ("\n", "already"), ("\r\n", "already")] {
            let ran = sandbox.feed(&["revoke", "-", "--format", "json"], format!("{token}{ending}")).done();
            assert_eq!(
                (&ran.json()["outcome"], &ran.json()["name"]),
                (&outcome.into(), &jti.as_str().into())
            );
            assert!(!ran.stdout.contains(&token) && !ran.stderr.contains(&token));
        }
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()), [(jti, "revoked".to_owned())]);
    }
}

#[test]
fn token_that_the_registry_does_not_know_is_revoked_up_to_its_own_expiry() {
    for sandbox in sandboxes() {
        let token = sandbox.run(&["generate", "orders", "--no-store"]).done().line().to_owned();
        let exp = crate::sandbox::claims_of(&token)["exp"].as_i64().unwrap();
        sandbox.feed(&["revoke", "-"], &token).done();
        let listed = sandbox.run(&["revocations", "--format", "json"]).done().json();
        let until = service_only::clock::Timestamp::from_unix(exp).to_string();
        assert!(
            until.starts_with(listed[0]["until"].as_str().unwrap().trim_end_matches('Z')),
            "{listed} {until}"
        );
        assert!(sandbox.feed(&["show", "-"], &token).not_found().contains("has no token"));
    }
}

#[test]
fn unauthentic_token_revokes_nothing() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let message = sandbox.feed(&["revoke", "-"], forged(&token)).refused_with(1);
        assert!(message.contains("not authentic") && message.contains("nothing was revoked"), "{message}");
        assert!(message.contains(&jti), "the operator can still decide: {message}");
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
        // The same key in a stranger's hands, under another issuer: no key of it is known.
        let other = ["generate", "orders", "--issuer", "another", "--no-store", "--dangerously-mint-refused"];
        let foreign = sandbox.run(&other).done().line().to_owned();
        let message = sandbox.feed(&["revoke", "-"], &foreign).refused_with(1);
        assert!(message.contains("no key of `another` is known"), "{message}");
        let message = sandbox.feed(&["revoke", "-", "--issuer", "another"], &token).refused();
        assert!(message.contains("the token is of `bakery-auth`"), "{message}");
        for input in ["no token", "a.b.c", "e30.e30.AAAA"] {
            sandbox.feed(&["revoke", "-"], input).refused_with(1);
        }
        for input in ["", "\n", "\r\n"] {
            assert!(sandbox.feed(&["revoke", "-"], input).refused().contains("standard input is empty"));
        }
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "");
    }
}

#[test]
fn token_of_each_key_that_the_journal_ever_had_is_authentic() {
    let sandbox = crate::rotate::sandbox("");
    let (old, _) = mint(&sandbox, &["orders"]);
    sandbox.run(&["rotate"]).done();
    let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
    sandbox.run(&["rotate", &format!("--emergency={kid}")]).done();
    let (new, _) = mint(&sandbox, &["orders"]);
    for token in [old, new] {
        let shown = sandbox.feed(&["show", "-", "--format", "json"], &token).done().json();
        assert_eq!(shown["authentic"], true, "{shown}");
    }
}

#[test]
fn shown_token_is_marked_as_authentic_or_not() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let shown = sandbox.feed(&["show", "-", "--format", "json"], &token).done().json();
        assert_eq!((&shown["authentic"], &shown["jti"]), (&true.into(), &jti.as_str().into()));
        let text = sandbox.feed(&["show", "-"], format!("{token}\n")).done().stdout;
        assert!(
            text.lines().any(|line| line.starts_with("authentic") && line.ends_with("yes"))
                && !text.contains(&token),
            "{text}"
        );
        let ran = sandbox.feed(&["show", "-", "--format", "json"], forged(&token));
        assert_eq!((ran.code, &ran.json()["authentic"]), (1, &false.into()));
        assert!(ran.stderr.contains("warning: the token is not authentic"), "{}", ran.stderr);
        assert!(sandbox.run(&["show", &jti, "--format", "json"]).done().json().get("authentic").is_none());
        assert!(sandbox.feed(&["show", "-"], "").refused().contains("standard input is empty"));
    }
}

#[test]
fn token_of_an_hmac_secret_is_proven_by_the_configured_key() {
    let sandbox = naming_store("sqlite:tokens.db");
    let config = sandbox.read("service-token.toml").replace("ES256", "HS256");
    sandbox.write("service-token.toml", config);
    sandbox.run(&["keygen", "--force"]).done();
    sandbox.run(&["store", "init"]).done();
    let (token, _) = mint(&sandbox, &["orders"]);
    sandbox.feed(&["revoke", "-"], forged(&token)).refused_with(1);
    sandbox.feed(&["revoke", "-"], &token).done();
    // Without the configuration, no key is known.
    let elsewhere = Sandbox::new();
    let store = crate::store::url(&sandbox);
    let message = elsewhere.feed(&["revoke", "-", "--store", &store], &token).refused_with(1);
    assert!(
        message.contains("no key of `bakery-auth` is known") && message.contains("--config"),
        "{message}"
    );
}
