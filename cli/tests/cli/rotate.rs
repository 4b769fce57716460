//! Rotation as an operator runs it: by plan, by need, twice at once, and killed at any moment.

mod killed;
mod load;
mod minting;
mod published;
mod watched;

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use service_only::clock::{Clock as _, SystemClock, Timestamp};
use service_only::keys::KeyState;
use service_only_store::{KeyRecord, Store, VerifierReport};

use crate::sandbox::{Sandbox, claims_of};
use crate::store::change;

pub(crate) const DAY: i64 = 24 * 3600;

/// With a store, and a rotation that is otherwise as it is.
pub(crate) fn sandbox(rotation: &str) -> Sandbox {
    let sandbox = Sandbox::configured();
    let config = sandbox.read("service-token.toml").replace("lifetime = \"30d\"", "lifetime = \"60d\"");
    let config = config.replace("[services]", &format!("[rotation]\n{rotation}\n[services]"));
    sandbox.write("service-token.toml", format!("store = \"sqlite:tokens.db\"\n{config}"));
    sandbox.run(&["store", "init"]).done();
    sandbox
}

pub(crate) fn with_store<T>(folder: &Path, work: impl AsyncFnOnce(&Store) -> T) -> T {
    let url = format!("sqlite:{}", folder.join("tokens.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(&Store::connect(&url).await.unwrap()).await })
}

pub(crate) fn now() -> i64 {
    SystemClock.now().unix()
}

pub(crate) fn keys(sandbox: &Sandbox) -> Vec<KeyRecord> {
    with_store(sandbox.root(), async |store| store.keys("bakery-auth").await.unwrap())
}

fn kid_in(sandbox: &Sandbox, stage: KeyState) -> Option<String> {
    keys(sandbox).into_iter().find(|key| key.state == stage).map(|key| key.kid)
}

fn published(sandbox: &Sandbox) -> Vec<String> {
    let set: Value = serde_json::from_str(&sandbox.read("jwks.json")).unwrap();
    set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// The key of the configuration, written down as one that has signed for so long.
pub(crate) fn aged(sandbox: &Sandbox, age: i64) -> String {
    let record = record(sandbox, age);
    change(sandbox, async |store| store.add_key(&record).await);
    record.kid
}

/// The record of that key.
pub(crate) fn record(sandbox: &Sandbox, age: i64) -> KeyRecord {
    let jwk = sandbox.run(&["jwks"]).done().json()["keys"][0].clone();
    let kid = jwk["kid"].as_str().unwrap().to_owned();
    let since = Timestamp::from_unix(now() - age);
    KeyRecord {
        issuer: "bakery-auth".to_owned(),
        kid,
        algorithm: "ES256".to_owned(),
        state: KeyState::Active,
        file: None,
        public_jwk: Some(jwk.to_string()),
        prepared_at: since,
        active_at: Some(since),
        retiring_at: None,
        retired_at: None,
        expires_at: None,
    }
}

/// A verifier says that it has these keys.
pub(crate) fn report(sandbox: &Sandbox, id: &str, kids: Vec<String>) {
    let report = VerifierReport {
        id: id.to_owned(),
        issuer: "bakery-auth".to_owned(),
        kids,
        refresh_interval: Duration::from_secs(60),
        last_seen: SystemClock.now(),
    };
    with_store(sandbox.root(), async |store| store.report_verifier(&report).await.unwrap());
}

#[test]
fn first_rotation_publishes_the_key_and_prints_its_plan() {
    let sandbox = sandbox("");
    assert!(sandbox.run(&["rotate", "--plan"]).done().stdout.contains("now  adopt the key"));
    let ran = sandbox.run(&["rotate"]).done();
    let kid = kid_in(&sandbox, KeyState::Active).unwrap();
    assert!(ran.stdout.starts_with(&format!("adopted {kid}\n")), "{}", ran.stdout);
    assert_eq!(published(&sandbox), std::slice::from_ref(&kid));
    let plan = sandbox.run(&["rotate", "--plan", "--format", "json"]).done().json();
    let steps: Vec<_> =
        plan["next"].as_array().unwrap().iter().map(|planned| planned["step"].clone()).collect();
    assert_eq!(steps, ["prepare", "activate", "retire"]);
    assert!(plan["next"].as_array().unwrap().iter().all(|planned| planned["due"] == false));
    let text = sandbox.run(&["rotate", "--plan"]).done().stdout;
    assert!(
        text.contains("Z  prepare the next key\n") && text.contains(&format!("Z  retire {kid}")),
        "{text}"
    );
    assert!(sandbox.run(&["rotate"]).done().stdout.ends_with(&text), "a second run finds nothing to do");
}

#[test]
fn key_is_replaced_step_by_step_without_refusing_a_valid_token() {
    let sandbox = sandbox("");
    let old = aged(&sandbox, 80 * DAY);
    let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    let is_good = |token: &str| {
        sandbox.feed(&["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"], token).code == 0
    };

    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("prepared "));
    let new = kid_in(&sandbox, KeyState::Prepared).unwrap();
    assert_eq!(published(&sandbox), [old.clone(), new.clone()]);
    #[cfg(unix)]
    assert_eq!(sandbox.mode("signing-next.pem"), 0o600);
    report(&sandbox, "orders-1", vec![old.clone(), new.clone()]);
    report(&sandbox, "sales-1", vec![old.clone()]);
    let waits = sandbox.run(&["rotate"]).done().stdout;
    assert!(waits.contains("waits: not loaded yet by sales-1"), "{waits}");

    report(&sandbox, "sales-1", vec![old.clone(), new.clone()]);
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with(&format!("activated {new}\n")));
    assert!(!sandbox.path("signing-next.pem").exists(), "it signs now, and the former private half is gone");
    let renewed = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    assert_eq!(sandbox.run(&["jwks"]).done().stdout, sandbox.read("jwks.json"));
    assert!(is_good(&token) && is_good(&renewed));

    // A month later, but for the journal.
    let held = sandbox.run(&["rotate"]).done().stdout;
    assert!(held.contains("waits: `orders` has a token of this key until"), "{held}");
    let json = sandbox.run(&["rotate", "--format", "json"]).done().json();
    let retire = json["next"].as_array().unwrap().iter().find(|planned| planned["step"] == "retire").unwrap();
    assert_eq!((&retire["needed_by"][0], &retire["kid"]), (&"orders".into(), &old.as_str().into()));
    assert!(published(&sandbox).contains(&old));
}

#[test]
fn leaked_key_is_refused_immediately_and_services_without_a_token_are_listed() {
    let sandbox = sandbox("");
    let leaked = aged(&sandbox, 50 * DAY);
    sandbox.run(&["rotate"]).done();
    let prepared = kid_in(&sandbox, KeyState::Prepared).unwrap();
    let stolen = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    let ran = sandbox.run(&["rotate", "--emergency"]).done();
    let new = kid_in(&sandbox, KeyState::Active).unwrap();
    for line in [
        format!("revoked {leaked}"),
        format!("revoked {prepared}"),
        format!("retired {leaked}"),
        format!("activated {new}"),
    ] {
        assert!(ran.stdout.lines().any(|said| said == line), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("orders needs a new token, would have been valid until "), "{}", ran.stdout);
    assert!(!ran.stdout.contains("inventory"), "it has none");
    assert_eq!(published(&sandbox), std::slice::from_ref(&new));
    let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"];
    assert_eq!(sandbox.feed(&verify, &stolen).code, 1);
    let jti = claims_of(&stolen)["jti"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.run(&["show", &jti, "--format", "json"]).done().json()["revoked"], "key");

    // Said again by name, nothing happens; and nobody is left without once the token is there.
    let renewed = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    assert_eq!(sandbox.feed(&verify, &renewed).code, 0);
    let again = sandbox.run(&["rotate", &format!("--emergency={leaked}")]).done();
    assert_eq!((again.stdout.as_str(), kid_in(&sandbox, KeyState::Active)), ("", Some(new)));
    assert!(
        sandbox
            .run(&["rotate", "--emergency", "no-such-key"])
            .not_found()
            .contains("has no key `no-such-key`")
    );
}

#[test]
fn prepared_key_that_did_not_leak_becomes_active() {
    let sandbox = sandbox("");
    aged(&sandbox, 50 * DAY);
    sandbox.run(&["rotate"]).done();
    let prepared = kid_in(&sandbox, KeyState::Prepared).unwrap();
    sandbox.run(&["rotate", "--emergency", "--keep-prepared"]).done();
    assert_eq!(kid_in(&sandbox, KeyState::Active), Some(prepared));
}

#[test]
fn key_that_cannot_rotate_is_refused_without_a_change() {
    let plain = Sandbox::configured();
    assert!(plain.run(&["rotate"]).refused().contains("no store is named"));
    let with = |edit: fn(String) -> String| {
        let sandbox = sandbox("");
        sandbox.write("service-token.toml", edit(sandbox.read("service-token.toml")));
        sandbox
    };
    let named = with(|config| config.replace("algorithm = ", "kid = \"k1\"\nalgorithm = "));
    assert!(named.run(&["rotate"]).refused().contains("leave `kid` out"));
    let secret = with(|config| config.replace("ES256", "HS256"));
    assert!(secret.run(&["rotate"]).refused().contains("cannot be published"));
    let absurd = with(|config| config.replace("[rotation]", "[rotation]\nprepare = \"1/9\""));
    assert!(absurd.run(&["rotate"]).refused().contains("a key must be prepared before it is activated"));
    let typing = with(|config| config.replace("[rotation]", "[rotation]\nactivate = \"a sixth\""));
    assert!(typing.run(&["rotate"]).refused().contains("is not a share of a life"));
    for sandbox in [named, secret, absurd, typing] {
        assert_eq!(sandbox.names(), ["service-token.toml", "signing.pem", "tokens.db"]);
    }
}

#[test]
fn failed_write_of_the_key_set_stops_the_rotation_before_the_journal_changes() {
    let sandbox = sandbox("jwks = \"public/jwks.json\"");
    aged(&sandbox, 50 * DAY);
    let message = sandbox.run(&["rotate"]).refused();
    assert!(message.contains("public"), "{message}");
    assert_eq!(kid_in(&sandbox, KeyState::Prepared), None);
    std::fs::create_dir(sandbox.path("public")).unwrap();
    assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("prepared "));
}

#[test]
fn key_is_rotated_with_each_database() {
    for sandbox in crate::store::sandboxes() {
        assert!(sandbox.run(&["rotate"]).done().stdout.starts_with("adopted "));
        sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
        let plan = sandbox.run(&["rotate", "--plan"]).done().stdout;
        assert_eq!(sandbox.run(&["rotate"]).done().stdout, plan);
        let leaked = published(&sandbox);
        let ran = sandbox.run(&["rotate", &format!("--emergency={}", leaked[0])]).done();
        assert!(ran.stdout.contains("orders needs a new token"), "{}", ran.stdout);
        assert_ne!(published(&sandbox), leaked);
        assert_eq!(
            sandbox.run(&["rotate", &format!("--emergency={}", leaked[0])]).done().stdout.lines().count(),
            2,
            "the services"
        );
        assert_eq!(sandbox.run(&["renew", "--out-dir", "tokens"]).done().stdout.lines().count(), 2);
        let verify = ["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"];
        sandbox.feed(&verify, sandbox.read("tokens/orders.token").trim_end()).done();
    }
}

#[test]
fn emergency_needs_only_the_key_id_of_the_leaked_key() {
    let sandbox = sandbox("");
    let leaked = aged(&sandbox, DAY);
    std::fs::remove_file(sandbox.path("signing.pem")).unwrap();
    assert!(sandbox.run(&["rotate"]).refused().contains("signing.pem"));
    sandbox.run(&["rotate", &format!("--emergency={leaked}")]).done();
    let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    sandbox.feed(&["verify", "--jwks", "jwks.json", "--issuer", "bakery-auth", "-"], token).done();
}

#[test]
fn successor_of_an_rsa_key_has_the_same_size() {
    let sandbox = sandbox("");
    let config = sandbox.read("service-token.toml").replace("ES256", "RS256");
    sandbox.write("service-token.toml", config);
    sandbox.run(&["keygen", "--bits", "4096", "--force"]).done();
    let modulus =
        |sandbox: &Sandbox| sandbox.run(&["jwks"]).done().json()["keys"][0]["n"].as_str().unwrap().len();
    let before = modulus(&sandbox);
    sandbox.run(&["rotate", "--emergency"]).done();
    assert_eq!(modulus(&sandbox), before);
}
