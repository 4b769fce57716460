//! The registry of many tokens, and the creation of a store, as an operator works with them.

use std::time::Duration;

use service_only::clock::{Clock as _, SystemClock};
use service_only_store::{TokenFilter, TokenRecord};

use crate::sandbox::Sandbox;
use crate::store::{change, mint, naming_store, sandboxes, states, with_store};

/// Tokens of one service: each is named by its number, and expires that many days ago.
fn expired(sandbox: &Sandbox, service: &str, days: impl IntoIterator<Item = u64>) {
    let tokens: Vec<_> = days
        .into_iter()
        .map(|days| {
            let expires_at = SystemClock.now().minus(Duration::from_secs(days * 86_400));
            TokenRecord {
                issuer: "bakery-auth".to_owned(),
                jti: format!("{service}-{days}"),
                service: service.to_owned(),
                kid: "k".to_owned(),
                issued_at: expires_at.minus(Duration::from_secs(60)),
                expires_at,
                note: None,
                minted_by: None,
                minted_at: expires_at,
            }
        })
        .collect();
    change(sandbox, async |store| store.record_tokens(&tokens).await);
}

fn count(sandbox: &Sandbox) -> usize {
    states(&sandbox.run(&["list", "--format", "json"]).done()).len()
}

#[test]
fn limited_list_says_how_many_more_there_are() {
    for sandbox in sandboxes() {
        expired(&sandbox, "old", 1..=12);
        let ran = sandbox.run(&["list", "--limit", "5"]).done();
        assert_eq!(ran.stdout.lines().count(), 6, "a header and five tokens: {}", ran.stdout);
        assert!(ran.stdout.contains("old-12") && !ran.stdout.contains("old-7 "), "{}", ran.stdout);
        assert!(ran.stderr.contains("note: 7 more tokens match; `--limit 12` lists all"), "{}", ran.stderr);
        for limit in ["12", "13"] {
            let ran = sandbox.run(&["list", "--limit", limit]).done();
            assert_eq!((ran.stdout.lines().count(), ran.stderr.as_str()), (13, ""));
        }
        let ran = sandbox.run(&["list", "--limit", "11", "--expired"]).done();
        assert!(ran.stderr.contains("1 more token matches"), "{}", ran.stderr);
        assert!(sandbox.run(&["list", "--limit", "0"]).refused().contains("--limit"));
    }
}

#[test]
fn list_as_text_has_a_limit_and_as_json_has_none() {
    for sandbox in sandboxes() {
        expired(&sandbox, "old", 1..=2_500);
        let text = sandbox.run(&["list"]).done();
        assert_eq!(text.stdout.lines().count(), 1_001);
        assert!(text.stderr.contains("1500 more tokens match"), "{}", text.stderr);
        let json = sandbox.run(&["list", "--format", "json"]).done();
        let names = states(&json);
        assert_eq!((names.len(), json.stderr.as_str()), (2_500, ""));
        assert_eq!((names[0].0.as_str(), names[2_499].0.as_str()), ("old-2500", "old-1"));
        assert_eq!(json.stdout.lines().count(), 1);
        let part = sandbox.run(&["list", "--format", "json", "--limit", "3"]).done();
        assert_eq!(states(&part).len(), 3);
        assert!(part.stderr.contains("2497 more tokens match"), "{}", part.stderr);
    }
}

#[test]
fn expiring_tokens_are_limited_as_lists_are() {
    for sandbox in sandboxes() {
        for _ in 0..3 {
            mint(&sandbox, &["orders"]);
        }
        let ran = sandbox.run(&["expiring", "--within", "31d", "--limit", "2"]);
        assert_eq!((ran.code, ran.stdout.lines().count()), (1, 3));
        assert!(ran.stderr.contains("1 more token matches; `--limit 3` lists all"), "{}", ran.stderr);
    }
}

#[test]
fn prune_removes_what_expired_as_long_ago_as_the_configuration_keeps_it() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        expired(&sandbox, "orders", [1, 364, 366, 800]);
        expired(&sandbox, "gone", [900]);
        let pruned = |arguments: &[&str]| {
            sandbox.run(&[&["prune", "--format", "json"], arguments].concat()).done().json()["pruned"].clone()
        };
        assert_eq!(pruned(&[]), 2);
        assert_eq!(count(&sandbox), 4, "the last token of a service stays");
        let config = sandbox.read("service-token.toml");
        sandbox.write("service-token.toml", format!("keep_expired = \"30d\"\n{config}"));
        assert_eq!(pruned(&["--expired-for", "365d"]), 0);
        assert_eq!(pruned(&[]), 1);
        sandbox.write("service-token.toml", format!("keep_expired = \"forever\"\n{config}"));
        assert!(sandbox.run(&["prune"]).refused().contains("--expired-for"));
        assert!(sandbox.run(&["prune", "--expired-for", "59m"]).refused().contains("less than an hour"));
        assert_eq!(pruned(&["--expired-for", "1h"]), 1);
        assert_eq!(count(&sandbox), 2);
        let metrics = sandbox.run(&["expiring", "--format", "prometheus"]).done().stdout;
        let line = "service_only_registry_pruned_tokens_total{issuer=\"bakery-auth\"} 4\n";
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[test]
fn minting_and_revoking_prune_what_expired_long_ago_unless_it_is_kept_forever() {
    for sandbox in sandboxes() {
        let config = sandbox.read("service-token.toml");
        sandbox.write("service-token.toml", format!("keep_expired = \"forever\"\n{config}"));
        expired(&sandbox, "orders", [1, 400, 500]);
        let (_, jti) = mint(&sandbox, &["orders"]);
        assert_eq!(count(&sandbox), 4);
        sandbox.write("service-token.toml", config);
        mint(&sandbox, &["orders"]);
        assert_eq!(count(&sandbox), 3, "a year is the default");
        expired(&sandbox, "orders", [600]);
        sandbox.run(&["revoke", &jti]).done();
        assert_eq!(count(&sandbox), 3);
    }
}

#[test]
fn store_init_creates_a_store_and_keeps_the_content_of_one() {
    let file = naming_store("sqlite:tokens.db");
    assert!(file.run(&["list"]).unavailable().contains("`service-token store init` creates one"));
    let outcome = |options: &[&str]| {
        let ran = file.run(&[&["store", "init", "--format", "json"], options].concat()).done().json();
        assert_eq!(ran["store"], "sqlite:tokens.db");
        assert_eq!(ran["dry_run"], !options.is_empty());
        ran["outcome"].as_str().unwrap().to_owned()
    };
    assert_eq!(outcome(&["--dry-run"]), "created");
    assert!(!file.path("tokens.db").exists());
    assert_eq!(file.run(&["store", "init"]).done().line(), "sqlite:tokens.db");
    assert_eq!((outcome(&["--dry-run"]), outcome(&[])), ("kept".to_owned(), "kept".to_owned()));
    let absent = file.run(&["store", "init", "--store", "sqlite:.", "--format", "json"]);
    assert!(absent.code == 4 && absent.stderr.starts_with("{\"error\":"), "{}", absent.stderr);
    #[cfg(unix)]
    assert_eq!(file.mode("tokens.db"), 0o600);
    for sandbox in sandboxes().into_iter().chain([file]) {
        let (_, jti) = mint(&sandbox, &["orders"]);
        sandbox.run(&["store", "init"]).done();
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done())[0].0, jti);
    }
    assert!(Sandbox::configured().run(&["store", "init"]).refused().contains("no store is named"));
}

#[test]
fn path_of_a_store_is_relative_to_the_file_that_contains_it() {
    let sandbox = with_store("sqlite:tokens.db");
    let (_, jti) = mint(&sandbox, &["orders"]);
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    let run = |folder: &str, arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_service-token"))
            .args(arguments)
            .current_dir(sandbox.path(folder))
            .env_remove("SERVICE_TOKEN_STORE")
            .env_remove("COLUMNS")
            .output()
            .unwrap()
    };
    let listed = run("elsewhere", &["list", "--config", "../service-token.toml"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&jti));
    assert!(run("elsewhere", &["init"]).status.success());
    assert!(sandbox.path("elsewhere/service-token.db").exists());
    assert!(run(".", &["store", "init", "--config", "elsewhere/service-token.toml"]).status.success());
    assert!(!sandbox.path("service-token.db").exists());
    // An option is relative to the current directory, as for every program.
    let listed = run("elsewhere", &["list", "--store", "sqlite:../tokens.db"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains(&jti));
    change(&sandbox, async |store| {
        assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap().len(), 1);
        Ok(())
    });
}
