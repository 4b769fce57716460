//! What `verify` asks a store: whether a token is revoked, and which keys a rotation has.

use serde_json::{Value, json};
use service_only::clock::Timestamp;
use service_only::keys::KeyState;
use service_only::{Algorithm, issue::SigningKey};
use service_only_store::NewRevocation;
use service_only_testkit::TestAuthority;

use crate::rotate::{DAY, aged, keys, now, report, sandbox, with_store};
use crate::sandbox::{Sandbox, claims_of};

const ISSUER: &str = "bakery-auth";

fn mint(sandbox: &Sandbox, arguments: &[&str]) -> String {
    sandbox.run(&[&["generate", "orders"], arguments].concat()).done().line().to_owned()
}

/// Exit code and code of the answer.
fn answer(sandbox: &Sandbox, arguments: &[&str], token: &str) -> (i32, Value) {
    let ran = sandbox.feed(&[&["verify", "--format", "json"], arguments, &["-"]].concat(), token);
    (ran.code, ran.json()["code"].clone())
}

#[test]
fn revoked_token_is_refused_as_a_service_would() {
    type Revocation = fn(&str, &str) -> NewRevocation;
    let ways: [Revocation; 3] = [
        |jti, _| NewRevocation::token(ISSUER, jti, Timestamp::from_unix(now() + DAY)),
        |_, _| NewRevocation::service(ISSUER, "orders", Timestamp::from_unix(now() + DAY)),
        |_, kid| NewRevocation::key(ISSUER, kid),
    ];
    for way in ways {
        let sandbox = sandbox("");
        let token = mint(&sandbox, &[]);
        assert_eq!(answer(&sandbox, &[], &token), (0, "ok".into()));
        let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
        let revocation = way(claims_of(&token)["jti"].as_str().unwrap(), &kid);
        with_store(sandbox.root(), async |store| store.revoke(&revocation).await.unwrap());

        assert_eq!(answer(&sandbox, &[], &token), (1, "revoked".into()));
        assert_eq!(answer(&sandbox, &["--no-store"], &token), (0, "ok".into()));
        let text = sandbox.feed(&["verify", "-"], &token);
        assert!(text.stdout.starts_with("refused, not authentic (401 revoked): "), "{}", text.stdout);
        // As of an instant before the revocation too: a service knows no instant, only that it is revoked.
        let long_ago = (now() - 1).to_string();
        assert_eq!(answer(&sandbox, &["--now", &long_ago, "--leeway", "300"], &token).0, 1);
    }
}

#[test]
fn token_from_the_future_is_refused_once_its_service_is_revoked_up_to_now() {
    let sandbox = sandbox("");
    mint(&sandbox, &[]);
    let key = SigningKey::from_pem(Algorithm::ES256, sandbox.read("signing.pem").as_bytes()).unwrap();
    let authority = TestAuthority::from_key(key).issuer(ISSUER);
    let issued = |iat: i64| {
        let draft = authority.service("orders").claim("exp", now() + 10 * DAY).claim("iat", iat);
        draft.token().as_str().to_owned()
    };
    // By a clock that is ahead, in milliseconds, and by one that is ahead by less than a minute.
    let (ahead, milliseconds, near) = (issued(now() + DAY), issued(now() * 1000), issued(now() + 30));
    assert_eq!(answer(&sandbox, &[], &ahead), (0, "ok".into()));
    let revocation = NewRevocation::service(ISSUER, "orders", Timestamp::from_unix(now()));
    with_store(sandbox.root(), async |store| store.revoke(&revocation).await.unwrap());
    assert_eq!(answer(&sandbox, &[], &ahead), (1, "revoked".into()));
    assert_eq!(answer(&sandbox, &[], &milliseconds), (1, "revoked".into()));
    assert_eq!(answer(&sandbox, &[], &near), (0, "ok".into()));
    let later = (now() + DAY).to_string();
    assert_eq!(answer(&sandbox, &["--now", &later], &ahead), (0, "ok".into()), "by then it proves an age");
    assert_eq!(answer(&sandbox, &["--now", &later], &milliseconds), (1, "revoked".into()));
}

#[test]
fn revocations_of_both_databases_are_checked() {
    for sandbox in crate::store::sandboxes() {
        let token = mint(&sandbox, &[]);
        assert_eq!(answer(&sandbox, &[], &token), (0, "ok".into()));
        sandbox.run(&["revoke", claims_of(&token)["jti"].as_str().unwrap()]).done();
        assert_eq!(answer(&sandbox, &[], &token), (1, "revoked".into()));
    }
}

#[test]
fn revocations_are_checked_for_every_source_of_the_store_and_the_key() {
    let sandbox = sandbox("");
    let token = mint(&sandbox, &[]);
    sandbox.write("jwks.json", sandbox.run(&["jwks"]).done().stdout);
    sandbox.run(&["revoke", claims_of(&token)["jti"].as_str().unwrap()]).done();
    let named = ["--jwks", "jwks.json", "--issuer", ISSUER];
    assert_eq!(answer(&sandbox, &named, &token), (0, "ok".into()), "no store is named");

    let store = ["--store", "sqlite:tokens.db"];
    assert_eq!(answer(&sandbox, &[named.as_slice(), &store].concat(), &token), (1, "revoked".into()));
    let variable = [("SERVICE_TOKEN_STORE", "sqlite:tokens.db")];
    let verify = [["verify"].as_slice(), &named, &["-"]].concat();
    assert_eq!(sandbox.run_with(&verify, token.as_bytes(), &variable).code, 1);
    let no_store = [["verify", "--no-store"].as_slice(), &named, &["-"]].concat();
    assert_eq!(sandbox.run_with(&no_store, token.as_bytes(), &variable).code, 0);
}

#[test]
fn unreadable_store_gives_an_error_instead_of_a_verdict() {
    let sandbox = sandbox("");
    let token = mint(&sandbox, &["--no-store"]);
    std::fs::remove_file(sandbox.path("tokens.db")).unwrap();
    let ran = sandbox.feed(&["verify", "-"], &token);
    let message = ran.unavailable();
    assert!(message.contains("tokens.db") && message.contains("--no-store"), "{message}");
    assert_eq!(answer(&sandbox, &[], &token).0, 4);
    assert_eq!(answer(&sandbox, &["--no-store"], &token), (0, "ok".into()));
    sandbox.write("tokens.db", "no database");
    assert_eq!(answer(&sandbox, &[], &token).0, 4);
}

#[test]
fn cases_of_a_batch_do_not_use_the_store() {
    let sandbox = sandbox("");
    let case = json!({ "id": "a", "config": {}, "token": "x" }).to_string();
    let ran = sandbox.run_with(
        &["verify", "--batch", "-"],
        case.as_bytes(),
        &[("SERVICE_TOKEN_STORE", "sqlite:missing.db")],
    );
    assert_eq!((ran.code, &ran.done().json()["id"]), (0, &"a".into()));
    let both = sandbox.feed(&["verify", "--batch", "-", "--store", "sqlite:tokens.db"], &case);
    assert!(both.refused().contains("--store"));
}

#[test]
fn tokens_of_all_keys_of_a_rotation_are_verified_until_one_is_retired() {
    let sandbox = sandbox("");
    let old = aged(&sandbox, 80 * DAY);
    let first = mint(&sandbox, &[]);
    sandbox.run(&["rotate"]).done();
    let prepared = mint(
        &sandbox,
        &["--key", "signing-next.pem", "--algorithm", "ES256", "--issuer", ISSUER, "--lifetime", "1h"],
    );
    assert_eq!(
        answer(&sandbox, &[], &prepared),
        (0, "ok".into()),
        "published, and not yet the one that signs"
    );

    report(&sandbox, "orders-1", keys(&sandbox).into_iter().map(|key| key.kid).collect());
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("activated "));
    let retiring = keys(&sandbox).into_iter().find(|key| key.kid == old).unwrap();
    assert_eq!(retiring.state, KeyState::Retiring);
    for token in [&first, &prepared, &mint(&sandbox, &[])] {
        assert_eq!(answer(&sandbox, &[], token), (0, "ok".into()));
    }
    assert_eq!(answer(&sandbox, &["--no-store"], &first).0, 1, "the store knows the ring, the file one key");

    sandbox.run(&["rotate", &format!("--emergency={old}")]).done();
    assert_eq!(answer(&sandbox, &[], &first).0, 1);
    assert_eq!(answer(&sandbox, &[], &prepared), (0, "ok".into()));
}

#[cfg(unix)]
#[test]
fn store_name_that_is_not_utf_8_is_an_error() {
    use std::os::unix::ffi::OsStrExt as _;
    let sandbox = sandbox("");
    let token = mint(&sandbox, &[]);
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_service-token"))
        .args(["verify", &token])
        .current_dir(sandbox.root())
        .env("SERVICE_TOKEN_STORE", std::ffi::OsStr::from_bytes(b"sqlite:\xff"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
