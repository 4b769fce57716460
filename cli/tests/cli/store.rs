//! The registry and revocation as an operator works with them, over each kind of database.

use std::process::Command;

use service_only::clock::Timestamp;
use service_only_store::{NewRevocation, Store, StoreError};

use crate::sandbox::{Ran, Sandbox, claims_of};

/// A sandbox whose configuration names a store: a file, and a PostgreSQL where there is one.
pub(crate) fn sandboxes() -> Vec<Sandbox> {
    let urls = ["sqlite:tokens.db".to_owned()].into_iter().chain(new_store());
    urls.map(|url| with_store(&url)).collect()
}

/// The address of a schema without tables, in the PostgreSQL of the tests, where there is one.
pub(crate) fn new_store() -> Option<String> {
    let Ok(server) = std::env::var("DATABASE_URL") else {
        eprintln!("skipped for PostgreSQL: DATABASE_URL names none");
        return None;
    };
    let schema = format!("cli_{}", new_name());
    let made = Command::new("psql").args(["-q", &server, "-c", &format!("CREATE SCHEMA {schema}")]).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped for PostgreSQL: there is no `psql`");
        return None;
    }
    Some(format!("{server}?options[search_path]={schema}"))
}

pub(crate) fn with_store(url: &str) -> Sandbox {
    let sandbox = naming_store(url);
    sandbox.run(&["store", "init"]).done();
    sandbox
}

/// A sandbox whose configuration names a store that does not exist yet.
pub(crate) fn naming_store(url: &str) -> Sandbox {
    let sandbox = Sandbox::configured();
    let config = sandbox.read("service-token.toml");
    sandbox.write("service-token.toml", format!("store = \"{url}\"\n{config}"));
    sandbox
}

/// A name that nobody else has: that of a fresh folder.
fn new_name() -> String {
    let folder = Sandbox::new();
    let name = folder.root().file_name().unwrap().to_str().unwrap().to_ascii_lowercase();
    name.chars().filter(char::is_ascii_alphanumeric).chain(std::process::id().to_string().chars()).collect()
}

/// The store's address for a program in another folder.
pub(crate) fn url(sandbox: &Sandbox) -> String {
    let config: toml::Table = sandbox.read("service-token.toml").parse().unwrap();
    let url = config["store"].as_str().unwrap();
    match url.strip_prefix("sqlite:") {
        Some(file) => format!("sqlite:{}", sandbox.path(file).display()),
        None => url.to_owned(),
    }
}

/// What another program writes into the store of a sandbox.
pub(crate) fn change(sandbox: &Sandbox, work: impl AsyncFnOnce(Store) -> Result<(), StoreError>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { work(Store::connect(&url(sandbox)).await.unwrap()).await.unwrap() });
}

pub(crate) fn mint(sandbox: &Sandbox, arguments: &[&str]) -> (String, String) {
    let ran = sandbox.run(&[&["generate"], arguments].concat()).done();
    let jti = claims_of(ran.line())["jti"].as_str().unwrap().to_owned();
    (ran.line().to_owned(), jti)
}

pub(crate) fn states(ran: &Ran) -> Vec<(String, String)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    ran.json().as_array().unwrap().iter().map(|token| (text(&token["jti"]), text(&token["state"]))).collect()
}

#[test]
fn minted_token_is_in_the_registry_without_its_text() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders", "--note", "for the night job"]);
        let listed = sandbox.run(&["list"]).done();
        for text in [jti.as_str(), "orders", "active", "for the night job"] {
            assert!(listed.stdout.contains(text), "{}", listed.stdout);
        }
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        let claims = claims_of(&token);
        assert_eq!((&shown["exp"], &shown["iat"]), (&claims["exp"], &claims["iat"]));
        assert_eq!((&shown["issuer"], &shown["state"]), (&"bakery-auth".into(), &"active".into()));
        let text = sandbox.run(&["show", &jti]).done().stdout;
        assert!(text.contains("for the night job"), "{text}");
        let signature = token.rsplit('.').next().unwrap();
        assert!(!text.contains(signature) && !listed.stdout.contains(signature));
        if sandbox.path("tokens.db").exists() {
            let file = std::fs::read(sandbox.path("tokens.db")).unwrap();
            assert!(!file.windows(signature.len()).any(|part| part == signature.as_bytes()));
        }
    }
}

#[cfg(unix)]
#[test]
fn registry_file_is_readable_only_by_its_owner() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    assert_eq!(sandbox.mode("tokens.db"), 0o600);
}

#[test]
fn token_that_cannot_be_registered_is_not_printed() {
    let sandbox = naming_store("sqlite:missing/tokens.db");
    let message = sandbox.run(&["generate", "orders"]).unavailable();
    assert!(message.contains("missing/tokens.db") && message.contains("--no-store"), "{message}");
    assert!(sandbox.run(&["k8s-secret", "orders"]).unavailable().contains("--no-store"));
    sandbox.run(&["generate", "orders", "--no-store"]).done();
}

#[test]
fn unregistered_token_prints_one_warning_on_standard_error() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["store", "init", "--store", "sqlite:tokens.db"]).done();
    for command in [
        &["generate", "orders"][..],
        &["generate", "orders", "--format", "json"],
        &["generate", "--all"],
        &["generate", "--all", "--out-dir", "tokens", "--format", "json"],
        &["k8s-secret", "orders"],
        &["k8s-secret", "--all", "--out-dir", "secrets"],
    ] {
        let ran = sandbox.run(command).done();
        let notes: Vec<_> = ran.stderr.lines().filter(|line| line.starts_with("note: ")).collect();
        assert!(matches!(notes[..], [note] if note.contains("`list` cannot show it")), "{}", ran.stderr);
        assert!(ran.stderr.contains("--store sqlite:service-token.db") && ran.stderr.contains("--no-store"));
        assert!(!ran.stdout.contains("cannot show"), "{}", ran.stdout);
        if command.contains(&"json") {
            ran.json();
        }
        for option in [&["--no-store"][..], &["--store", "sqlite:tokens.db"]] {
            let forced: &[&str] = if command.contains(&"--out-dir") { &["--force"] } else { &[] };
            let ran = sandbox.run(&[command, option, forced].concat()).done();
            assert!(!ran.stderr.contains("cannot show it"), "{}", ran.stderr);
        }
    }
}

#[test]
fn token_whose_file_cannot_be_written_is_not_registered() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        std::fs::create_dir(sandbox.path("taken")).unwrap();
        sandbox.write("taken/orders.token", "mine");
        sandbox.write("taken/orders-service-token.yaml", "mine");
        sandbox.write("file", "no directory");
        for dir in ["taken", "file", "file/below"] {
            for command in ["generate", "k8s-secret"] {
                sandbox.run(&[command, "--all", "--out-dir", dir]).refused();
            }
        }
        let bad_name = sandbox.run(&["k8s-secret", "orders", "--name", "Not-A-Name"]).refused();
        assert!(bad_name.contains("not a name"), "{bad_name}");
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()), []);
        assert_eq!(std::fs::read_dir(sandbox.path("taken")).unwrap().count(), 2);
        assert_eq!(sandbox.read("taken/orders.token"), "mine");
    }
}

#[test]
fn list_filters_by_state() {
    for sandbox in sandboxes() {
        let (_, good) = mint(&sandbox, &["orders"]);
        let (_, bad) = mint(&sandbox, &["inventory"]);
        sandbox.run(&["revoke", &bad, "--reason", "seen in a log"]).done();
        let list = |options: &[&str]| {
            states(&sandbox.run(&[&["list", "--format", "json"], options].concat()).done())
        };
        assert_eq!(list(&["--active"]), [(good.clone(), "active".to_owned())]);
        assert_eq!(list(&["--revoked"]), [(bad, "revoked".to_owned())]);
        assert_eq!(list(&["--expired"]), []);
        assert_eq!(list(&["--service", "orders"]), [(good, "active".to_owned())]);
        let message = sandbox.run(&["list", "--issuer", "another"]).not_found();
        assert!(message.contains("no token and no key of an issuer `another`"), "{message}");
    }
}

#[test]
fn exit_code_of_expiring_is_1_if_a_token_expires_soon() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        assert_eq!(sandbox.run(&["expiring", "--within", "29d"]).done().stdout, "");
        let ran = sandbox.run(&["expiring", "--within", "31d", "--format", "json"]);
        assert_eq!((ran.code, states(&ran)), (1, vec![(jti.clone(), "active".to_owned())]));
        sandbox.run(&["revoke", &jti]).done();
        sandbox.run(&["expiring", "--within", "31d"]).done();
    }
}

#[test]
fn prometheus_format_counts_expiring_tokens_and_exits_with_0() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        mint(&sandbox, &["orders"]);
        let (_, revoked) = mint(&sandbox, &["inventory"]);
        sandbox.run(&["revoke", &revoked]).done();
        let expiring = ["expiring", "--format", "prometheus"];
        let ran = sandbox.run(&expiring).done();
        let count = |service: &str, within: &str| {
            let labels = format!("{{issuer=\"bakery-auth\",service=\"{service}\",within=\"{within}\"}} ");
            let line = format!("service_only_registry_tokens{labels}");
            ran.stdout.lines().find_map(|own| own.strip_prefix(&line)).unwrap().to_owned()
        };
        let counts = [("orders", "7d"), ("orders", "90d"), ("inventory", "ever")];
        assert_eq!(counts.map(|(service, within)| count(service, within)), ["0", "1", "0"], "{}", ran.stdout);
        assert!(
            !ran.stdout.contains("seconds{issuer=\"bakery-auth\",service=\"inventory\"}"),
            "{}",
            ran.stdout
        );
        assert!(ran.stdout.contains("state=\"active\"} 1\n") && ran.stdout.ends_with('\n'), "{}", ran.stdout);
        for (within, code) in [("7d", 0), ("31d", 1)] {
            let soon = sandbox.run(&[&expiring[..], &["--within", within]].concat());
            assert_eq!(soon.code, code, "{within}");
            assert!(soon.stdout.starts_with("# HELP "), "{}", soon.stdout);
        }
        assert!(
            sandbox.run(&[&expiring[..], &["--service", "orders"]].concat()).refused().contains("--service")
        );
        let other = sandbox.run(&[&expiring[..], &["--issuer", "another"]].concat()).not_found();
        assert!(other.contains("issuer `another`"), "{other}");
        assert!(sandbox.run(&["expiring"]).refused().contains("--within"));
    }
}

#[test]
fn metrics_after_an_emergency_name_each_listed_service_without_a_token_and_no_active_key_that_is_revoked() {
    for sandbox in sandboxes() {
        sandbox.run(&["rotate"]).done();
        let (_, jti) = mint(&sandbox, &["orders"]);
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        let kid = shown["kid"].as_str().unwrap();
        sandbox.run(&["revoke", "--key", kid]).done();
        let text = sandbox.run(&["expiring", "--format", "prometheus"]).done().stdout;
        let line =
            "service_only_registry_tokens{issuer=\"bakery-auth\",service=\"orders\",within=\"ever\"} 0\n";
        assert!(text.contains(line), "{text}");
        assert!(text.contains(&format!("kid=\"{kid}\",state=\"revoked\"}} 1\n")), "{text}");
        assert!(!text.contains("state=\"active\""), "{text}");
    }
}

#[test]
fn repeated_revocation_changes_nothing() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        let kid = shown["kid"].as_str().unwrap();
        let targets: [&[&str]; 3] =
            [&[&jti], &["--service", "orders", "--before", "2026-01-31T12:00:00Z"], &["--key", kid]];
        for target in targets {
            let revoke = [&["revoke", "--format", "json"], target].concat();
            assert_eq!(sandbox.run(&revoke).done().json()["outcome"], "new");
            assert_eq!(sandbox.run(&revoke).done().json()["outcome"], "already");
            let text = sandbox.run(&[&["revoke"], target].concat()).done().stdout;
            assert!(text.starts_with("revoked already, nothing has changed: "), "{text}");
        }
    }
}

#[test]
fn unknown_token_is_revoked_only_with_its_expiry() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        let message = sandbox.run(&["revoke", "mistyped"]).not_found();
        assert!(message.contains("--expires"), "{message}");
        let ran = sandbox.run(&["revoke", "mistyped", "--expires", "2030-01-01T00:00:00Z"]).done();
        assert!(ran.stdout.contains("2030-01-01T00:00:00Z"), "{}", ran.stdout);
    }
}

#[test]
fn token_is_never_minted_within_the_second_up_to_which_its_service_is_revoked() {
    for sandbox in sandboxes() {
        // So that the second is not over by chance.
        let second = crate::rotate::now() + 2;
        sandbox.run(&["revoke", "--service", "orders", "--before", &second.to_string()]).done();
        for command in [&["generate", "orders"][..], &["generate", "--all", "--out-dir", "tokens"]] {
            sandbox.run(command).done();
        }
        let all = sandbox.run(&["list", "--service", "orders", "--format", "json"]).done().json();
        let all = all.as_array().unwrap();
        assert_eq!(all.len(), 2);
        for token in all {
            assert_eq!(token["state"], "active", "{token}");
            assert!(token["iat"].as_i64().unwrap() > second, "{token}");
        }
    }
}

#[test]
fn token_that_would_be_revoked_is_neither_minted_nor_registered() {
    for sandbox in sandboxes() {
        // Further ahead than the command would revoke.
        let revocation = NewRevocation::service("bakery-auth", "orders", Timestamp::from_unix(4_102_444_800));
        change(&sandbox, async |store| store.revoke(&revocation).await.map(drop));
        for command in [
            &["generate", "orders"][..],
            &["generate", "--all", "--out-dir", "tokens"],
            &["k8s-secret", "orders"],
        ] {
            let message = sandbox.run(command).refused_with(6);
            assert!(message.contains("issued up to 2100-01-01T00:00:00"), "{message}");
        }
        assert_eq!(std::fs::read_dir(sandbox.path("tokens")).unwrap().count(), 0);
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()), []);
    }
}

#[test]
fn token_instead_of_its_jti_is_refused_and_not_echoed() {
    let sandbox = with_store("sqlite:tokens.db");
    let (token, _) = mint(&sandbox, &["orders"]);
    let message = sandbox.run(&["revoke", &token]).refused();
    assert!(message.contains("this is a token") && !message.contains(&token), "{message}");
}

#[test]
fn revoke_requires_one_target_and_a_time_for_a_service() {
    let sandbox = with_store("sqlite:tokens.db");
    for wrong in [&["revoke"][..], &["revoke", "j1", "--key", "k1"], &["revoke", "--service", "orders"]] {
        sandbox.run(wrong).refused();
    }
}
