//! `doctor`: each problem is played, found, and repaired where `--fix` can.

use std::time::{Duration, SystemTime};

use serde_json::Value;
use service_only_store::TokenRecord;

use crate::rotate::{DAY, aged, keys, report};
use crate::sandbox::{Ran, Sandbox};
use crate::store::{change, mint, naming_store, sandboxes, with_store};

/// With two services that have their tokens, and nothing wrong.
fn healthy() -> Sandbox {
    let sandbox = crate::rotate::sandbox("");
    sandbox.run(&["rotate"]).done();
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    sandbox
}

fn doctor(sandbox: &Sandbox, options: &[&str]) -> Ran {
    sandbox.run(&[&["doctor", "--format", "json"], options].concat())
}

/// The findings of one check, as state and sentence.
fn found(ran: &Ran, check: &str) -> Vec<(String, String)> {
    let report = ran.json();
    let findings = report["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    findings
        .map(|one| (text(&one["state"]), format!("{}; {}", text(&one["found"]), text(&one["next"]))))
        .collect()
}

/// Insists on one problem of a check, with the sentence and the next step, and on exit code 1.
fn insist(sandbox: &Sandbox, check: &str, words: &[&str]) {
    let ran = doctor(sandbox, &[]);
    assert_eq!(ran.code, 1, "{check}: {}{}", ran.stdout, ran.stderr);
    let problems: Vec<_> = found(&ran, check).into_iter().filter(|(state, _)| state == "problem").collect();
    let [(_, said)] = &problems[..] else { panic!("{check}: {}", ran.stdout) };
    for word in words {
        assert!(said.contains(word), "{check}: no `{word}` in {said}");
    }
    assert!(!said.ends_with("; "), "{check} has no next step: {said}");
}

#[test]
fn healthy_fleet_has_one_line_for_each_check() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
        let ran = doctor(&sandbox, &[]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
        assert_eq!(ran.json()["problems"], 0);
        let checks: Vec<_> =
            ran.json()["findings"].as_array().unwrap().iter().map(|one| one["check"].clone()).collect();
        assert_eq!(
            checks,
            [
                "configuration",
                "permissions",
                "key",
                "store",
                "versions",
                "clock",
                "journal",
                "published set",
                "leftovers",
                "tokens",
                "verifiers",
            ]
        );
        let text = sandbox.run(&["doctor"]).done();
        assert_eq!(text.stdout.lines().count(), 12, "{}", text.stdout);
        assert!(text.stdout.lines().skip(1).all(|line| line.contains("  ok  ")), "{}", text.stdout);
    }
}

#[test]
fn missing_and_broken_configuration_are_found() {
    let sandbox = Sandbox::new();
    insist(
        &sandbox,
        "configuration",
        &["`service-token.toml` is not in this directory", "service-token init"],
    );
    insist(&sandbox, "store", &["no store is named"]);
    let skipped = found(&doctor(&sandbox, &[]), "journal");
    assert_eq!(skipped[0].0, "skipped", "{skipped:?}");
    sandbox.write("service-token.toml", "issuer = 5");
    insist(&sandbox, "configuration", &["service-token.toml:1"]);
}

#[test]
fn missing_and_wrong_key_are_found() {
    let sandbox = healthy();
    let key = sandbox.read("signing.pem");
    std::fs::remove_file(sandbox.path("signing.pem")).unwrap();
    insist(&sandbox, "key", &["`signing.pem`"]);
    sandbox.write("signing.pem", "nonsense");
    insist(&sandbox, "key", &["`signing.pem`", "keygen"]);
    std::fs::remove_file(sandbox.path("signing.pem")).unwrap();
    sandbox.run(&["keygen"]).done();
    insist(&sandbox, "journal", &["is the active key", "copy the active key here"]);
    sandbox.write("signing.pem", key);
}

#[cfg(unix)]
#[test]
fn permissions_are_found_and_repaired() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = healthy();
    let open = |name: &str, mode| {
        std::fs::set_permissions(sandbox.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode, repaired) in [
        ("signing.pem", 0o644, 0o600),
        ("tokens.db", 0o660, 0o600),
        ("jwks.json", 0o666, 0o644),
        ("service-token.toml", 0o664, 0o644),
    ] {
        open(name, mode);
        insist(&sandbox, "permissions", &[name, &format!("{mode:04o}"), "chmod"]);
        let ran = doctor(&sandbox, &["--fix"]);
        assert_eq!((ran.code, found(&ran, "permissions")[0].0.as_str()), (0, "fixed"), "{}", ran.stdout);
        assert_eq!(sandbox.mode(name), repaired, "{name}");
        assert_eq!(doctor(&sandbox, &[]).code, 0);
    }
    std::fs::set_permissions(sandbox.root(), std::fs::Permissions::from_mode(0o777)).unwrap();
    insist(&sandbox, "permissions", &["other users can write"]);
}

#[test]
fn store_that_cannot_be_used_is_found_and_dependent_checks_are_skipped() {
    for (url, word) in [
        ("postgres://operator@127.0.0.1:1/tokens", "cannot be reached"),
        ("sqlite:absent.db", "service-token store init"),
    ] {
        let sandbox = naming_store(url);
        insist(&sandbox, "store", &[word]);
        let ran = doctor(&sandbox, &[]);
        for check in ["versions", "clock", "journal", "published set", "tokens", "verifiers"] {
            assert_eq!(found(&ran, check)[0].0, "skipped", "{check}");
        }
        assert!(!sandbox.path("absent.db").exists());
    }
}

#[test]
fn store_of_another_version_is_found() {
    for (version, word) in [(1000, "upgrade `service-token`"), (1, "store init")] {
        let sandbox = healthy();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(sandbox.path("tokens.db"));
            let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
            let statement = sqlx::query("UPDATE service_only_schema SET version = $1").bind(version);
            statement.execute(&pool).await.unwrap();
            pool.close().await;
        });
        if version == 1 && doctor(&sandbox, &[]).code == 0 {
            // The first version has no older one.
            continue;
        }
        insist(&sandbox, "versions", &[word]);
    }
}

#[test]
fn revoked_overdue_and_expired_active_keys_are_found() {
    let sandbox = healthy();
    let kid = keys(&sandbox)[0].kid.clone();
    sandbox.run(&["revoke", "--key", &kid]).done();
    insist(&sandbox, "journal", &["is revoked", "rotate --emergency="]);
    let late = crate::rotate::sandbox("");
    aged(&late, 100 * DAY);
    let ran = doctor(&late, &[]);
    let said = found(&ran, "journal");
    assert!(
        said.iter().any(|(state, said)| state == "problem" && said.contains("its life ended")),
        "{said:?}"
    );
    assert!(said.iter().any(|(_, said)| said.contains("has been due for more than")), "{said:?}");
}

#[test]
fn wrong_published_set_is_found() {
    let sandbox = healthy();
    let set = sandbox.read("jwks.json");
    let mut strange: Value = serde_json::from_str(&set).unwrap();
    sandbox.run(&["keygen", "--out", "other.pem", "--public-out", "other.json"]).done();
    let other: Value = serde_json::from_str(&sandbox.read("other.json")).unwrap();
    strange["keys"].as_array_mut().unwrap().push(other["keys"][0].clone());
    sandbox.write("jwks.json", strange.to_string());
    insist(&sandbox, "published set", &["keys that the journal does not have", "rotate --emergency=KID"]);
    sandbox.write("jwks.json", r#"{"keys":[{"kty":"oct","kid":"s","k":"c2VjcmV0"}]}"#);
    let said = found(&doctor(&sandbox, &[]), "published set");
    assert!(
        said.iter().any(|(state, said)| state == "problem" && said.contains("publishes the secret")),
        "{said:?}"
    );
    sandbox.write("jwks.json", "nonsense");
    insist(&sandbox, "published set", &["is not a JWK set"]);
    sandbox.write("jwks.json", set);
    assert_eq!(doctor(&sandbox, &[]).code, 0);
}

#[test]
fn files_of_a_killed_rotation_are_found_and_removed() {
    let sandbox = healthy();
    // A key that was created and never recorded.
    sandbox.run(&["keygen", "--out", "signing-next.pem"]).done();
    insist(&sandbox, "leftovers", &["`signing-next.pem`", "doctor --fix"]);
    let ran = doctor(&sandbox, &["--fix"]);
    assert_eq!((ran.code, found(&ran, "leftovers")[0].0.as_str()), (0, "fixed"), "{}", ran.stdout);
    assert!(!sandbox.path("signing-next.pem").exists());
    // A set that was not written.
    sandbox.write("jwks.json", r#"{"keys":[]}"#);
    insist(&sandbox, "leftovers", &["lacks the active key"]);
    assert_eq!(doctor(&sandbox, &["--fix"]).code, 0);
    assert!(sandbox.read("jwks.json").contains(&keys(&sandbox)[0].kid));
    assert_eq!(doctor(&sandbox, &[]).code, 0);
}

#[test]
fn old_temporary_files_are_found_and_removed_and_young_ones_stay() {
    let sandbox = healthy();
    sandbox.write(".service-token-young", "of a program that runs now");
    sandbox.write(".service-token-old", "a secret");
    let file = std::fs::File::options().write(true).open(sandbox.path(".service-token-old")).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(7200)).unwrap();
    insist(&sandbox, "leftovers", &[".service-token-old", "may contain a key"]);
    let ran = doctor(&sandbox, &["--fix"]);
    assert_eq!((ran.code, found(&ran, "leftovers")[0].0.as_str()), (0, "fixed"), "{}", ran.stdout);
    assert!(sandbox.path(".service-token-young").exists() && !sandbox.path(".service-token-old").exists());
}

#[test]
fn services_without_a_token_and_tokens_without_a_service_are_found() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        mint(&sandbox, &["orders"]);
        insist(&sandbox, "tokens", &["no valid token: `inventory`", "generate --missing"]);
        mint(&sandbox, &["inventory"]);
        assert_eq!(doctor(&sandbox, &[]).code, 0);
        mint(&sandbox, &["former", "--allow-unlisted"]);
        insist(&sandbox, "tokens", &["does not list have a valid token: `former`", "[services]"]);
    }
}

#[test]
fn token_that_was_not_renewed_is_found() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["inventory"]);
    let set = sandbox.run(&["jwks"]).done().json();
    let now = service_only::clock::Timestamp::from_unix(crate::rotate::now());
    let record = TokenRecord {
        issuer: "bakery-auth".to_owned(),
        jti: "late".to_owned(),
        service: "orders".to_owned(),
        kid: set["keys"][0]["kid"].as_str().unwrap().to_owned(),
        issued_at: now.minus(Duration::from_secs(29 * 86_400)),
        expires_at: now.plus(Duration::from_secs(86_400)),
        note: None,
        minted_by: None,
        minted_at: now,
    };
    change(&sandbox, async |store| store.record_tokens(&[record]).await);
    insist(&sandbox, "tokens", &["the newest token of `orders` expires in", "service-token renew"]);
}

#[test]
fn verifier_that_lags_is_found() {
    let sandbox = crate::rotate::sandbox("");
    let kid = aged(&sandbox, DAY);
    sandbox.run(&["rotate"]).done();
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    report(&sandbox, "orders-1", vec![kid.clone()]);
    assert_eq!(doctor(&sandbox, &[]).code, 0);
    report(&sandbox, "sales-1", vec![]);
    insist(&sandbox, "verifiers", &["`sales-1` lacks the keys", &kid]);
}

#[test]
fn secret_that_does_not_rotate_is_no_problem() {
    let sandbox = with_store("sqlite:tokens.db");
    let config = sandbox.read("service-token.toml").replace("ES256", "HS256");
    sandbox.write("service-token.toml", config);
    sandbox.run(&["keygen", "--force"]).done();
    sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    let ran = doctor(&sandbox, &[]);
    assert_eq!((ran.code, found(&ran, "journal")[0].0.as_str()), (0, "skipped"), "{}", ran.stdout);
}

/// Insists that verifiers refuse the tokens of both services because of this file.
fn insist_on_lost_tokens(sandbox: &Sandbox, file: &str) {
    let lacks =
        format!("`{file}` lacks keys, so verifiers refuse `inventory`, `orders` with tokens of the key");
    insist(sandbox, "tokens", &[&lacks]);
}

#[test]
fn set_and_key_that_lack_the_key_of_a_valid_token_are_found_before_the_first_rotation() {
    for sandbox in sandboxes() {
        sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
        assert_eq!(doctor(&sandbox, &[]).code, 0);
        sandbox.run(&["jwks", "--out", "jwks.json"]).done();
        assert_eq!(doctor(&sandbox, &[]).code, 0);
        let set = sandbox.read("jwks.json");
        for empty in ["", "{\"keys\":[]}"] {
            sandbox.write("jwks.json", empty);
            insist(&sandbox, "published set", &["`jwks.json` has no key", "service-token jwks --out"]);
            insist_on_lost_tokens(&sandbox, "jwks.json");
        }
        sandbox.write("jwks.json", set);
        sandbox.run(&["keygen", "--force", "--dangerously-abandon-tokens"]).done();
        let said = found(&doctor(&sandbox, &[]), "published set");
        assert!(said.iter().any(|(_, said)| said.contains("`jwks.json` lacks the key")), "{said:?}");
        assert_eq!(found(&doctor(&sandbox, &[]), "tokens")[0].0, "ok");
        std::fs::remove_file(sandbox.path("jwks.json")).unwrap();
        insist_on_lost_tokens(&sandbox, "signing.pem");
    }
}

#[test]
fn replaced_secret_is_found() {
    for sandbox in sandboxes() {
        let config = sandbox.read("service-token.toml").replace("ES256", "HS256");
        sandbox.write("service-token.toml", config);
        sandbox.run(&["keygen", "--force"]).done();
        sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
        assert_eq!(doctor(&sandbox, &[]).code, 0);
        sandbox.run(&["keygen", "--force", "--dangerously-abandon-tokens"]).done();
        insist_on_lost_tokens(&sandbox, "signing.pem");
    }
}

#[test]
fn emptied_set_is_found_after_a_rotation() {
    let sandbox = healthy();
    sandbox.write("jwks.json", "{\"keys\":[]}");
    insist(&sandbox, "published set", &["`jwks.json` has no key", "service-token rotate"]);
    assert_eq!(doctor(&sandbox, &["--fix"]).code, 0);
}
