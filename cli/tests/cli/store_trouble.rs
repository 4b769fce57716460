//! Stores that cannot be used: each is a clear error, prints no token and is left as it is.

use std::process::Command;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::sandbox::Sandbox;
use crate::store::{mint, naming_store, states, with_store};

/// Another program's connection to the store of a sandbox, after a statement of its own.
pub(crate) async fn meddle(sandbox: &Sandbox, statement: &'static str) -> SqlitePool {
    let options = SqliteConnectOptions::new().filename(sandbox.path("tokens.db"));
    let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
    sqlx::raw_sql(statement).execute(&pool).await.unwrap();
    pool
}

#[test]
fn invalid_store_is_reported_and_not_changed() {
    let sandbox = Sandbox::configured();
    std::fs::create_dir(sandbox.path("folder")).unwrap();
    sandbox.write("text.db", "not a database, and longer than the header of one would be".repeat(20));
    let nobody = "postgres://operator:hush@127.0.0.1:1/tokens";
    for (store, code, expected) in [
        ("sqlite:folder", 4, "it is a directory"),
        ("sqlite:text.db", 4, "file is not a database"),
        ("sqlite:", 2, "needs the path of a file"),
        (nobody, 4, "cannot be reached"),
        ("redis://cache", 2, "`sqlite:PATH` or `postgres://"),
    ] {
        let message = sandbox.run(&["revoke", "--key", "k1", "--store", store]).refused_with(code);
        assert!(message.contains(expected), "{store}: {message}");
        assert!(!message.contains("hush"), "{message}");
    }
    assert!(sandbox.run(&["list", "--store", "sqlite:none.db"]).unavailable().contains("no store exists"));
    assert!(!sandbox.path("none.db").exists());
    assert!(sandbox.run(&["list"]).refused().contains("no store is named"));
    assert!(sandbox.read("text.db").starts_with("not a database"));
}

#[tokio::test]
async fn locked_store_is_reported_and_the_token_is_not_printed() {
    let sandbox = with_store("sqlite:tokens.db");
    let (_, jti) = mint(&sandbox, &["orders"]);
    let lock = meddle(&sandbox, "BEGIN EXCLUSIVE").await;
    for command in [&["generate", "orders"][..], &["revoke", &jti]] {
        let message = sandbox.run(command).unavailable();
        assert!(message.contains("tokens.db` is locked by another program"), "{message}");
    }
    lock.close().await;
    assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()), [(jti, "active".to_owned())]);
}

#[tokio::test]
async fn store_of_a_newer_program_is_reported_and_not_changed() {
    let sandbox = with_store("sqlite:tokens.db");
    let (_, jti) = mint(&sandbox, &["orders"]);
    meddle(&sandbox, "UPDATE service_only_schema SET version = 1000").await.close().await;
    for command in [
        &["generate", "orders"][..],
        &["generate", "--all", "--out-dir", "tokens"],
        &["list"],
        &["show", &jti],
        &["expiring", "--within", "31d"],
        &["revoke", &jti],
        &["rotate"],
    ] {
        let message = sandbox.run(command).unavailable();
        assert!(message.contains("made by a newer program: its schema is 1000"), "{command:?}: {message}");
    }
    assert_eq!(std::fs::read_dir(sandbox.path("tokens")).unwrap().count(), 0);
    meddle(&sandbox, "UPDATE service_only_schema SET version = 1").await.close().await;
    assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()), [(jti, "active".to_owned())]);
}

/// A folder of its own that is nearly full, in a namespace of its own: where the system allows that.
#[cfg(target_os = "linux")]
#[test]
fn full_disk_is_reported_and_the_token_is_not_printed() {
    let sandbox = naming_store("sqlite:small/tokens.db");
    std::fs::create_dir(sandbox.path("small")).unwrap();
    let script = r#"
        mount -t tmpfs -o size=256k tmpfs small || exit 77
        "$0" store init >made || exit 1
        "$0" generate orders >first || exit 1
        head -c 1000000 /dev/zero >small/filler 2>/dev/null
        note=$(head -c 20000 /dev/zero | tr '\0' x)
        "$0" generate orders --note "$note" >second 2>message
        echo "code $?"
        rm small/filler
        "$0" list --format json"#;
    let ran = Command::new("unshare")
        .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_service-token")])
        .current_dir(sandbox.root())
        .env("NO_COLOR", "1")
        .env_remove("SERVICE_TOKEN_STORE")
        .output();
    let Ok(ran) = ran.map(|ran| (ran.status.code(), String::from_utf8(ran.stdout).unwrap())) else {
        eprintln!("skipped: there is no `unshare`");
        return;
    };
    if ran.0 == Some(77) || (ran.0 == Some(1) && !sandbox.path("made").exists()) {
        eprintln!("skipped: no file system can be mounted here");
        return;
    }
    let (code, listed) = ran.1.split_once('\n').unwrap();
    assert_eq!((code, sandbox.read("second").as_str()), ("code 4", ""), "{}", ran.1);
    assert!(sandbox.read("message").contains("is full"), "{}", sandbox.read("message"));
    let listed: serde_json::Value = serde_json::from_str(listed).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 1, "the first token alone");
}

#[tokio::test]
async fn revocation_of_an_expired_token_is_kept_for_400_days_because_the_clock_may_be_a_year_ahead() {
    let sandbox = with_store("sqlite:tokens.db");
    let (_, jti) = mint(&sandbox, &["orders"]);
    let (_, other) = mint(&sandbox, &["orders"]);
    sandbox.run(&["revoke", &jti]).done();
    let cleared = || sandbox.run(&["prune", "--format", "json"]).done().json()["cleared_revocations"].clone();
    meddle(&sandbox, "UPDATE service_only_revocations SET until = unixepoch('now', '-399 days')")
        .await
        .close()
        .await;
    assert_eq!(cleared(), 0);
    sandbox.run(&["revoke", &other]).done();
    assert_eq!(sandbox.run(&["revocations", "--format", "json"]).done().json().as_array().unwrap().len(), 2);
    meddle(&sandbox, "UPDATE service_only_revocations SET until = unixepoch('now', '-401 days')")
        .await
        .close()
        .await;
    assert_eq!(cleared(), 2);
}
