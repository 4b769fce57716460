//! What every command that changes something has: a name, a dry run, a question on a terminal, and a right clock.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::rotate::{DAY, aged};
use crate::sandbox::Sandbox;
use crate::store::{change, mint, new_store, sandboxes, states, with_store};

/// A sandbox whose PostgreSQL has another time than this machine, where there is one. The function of its schema hides
/// the one of PostgreSQL.
fn with_other_clock(interval: &str) -> Option<Sandbox> {
    let url = new_store()?;
    let sandbox = with_store(&url);
    mint(&sandbox, &["orders"]);
    let (server, schema) = url.split_once("?options[search_path]=").unwrap();
    let function = format!(
        "CREATE FUNCTION {schema}.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS \
         'SELECT pg_catalog.now() + interval ''{interval}'''"
    );
    assert!(Command::new("psql").args(["-q", server, "-c", &function]).status().unwrap().success());
    let config = sandbox.read("service-token.toml");
    sandbox.write("service-token.toml", config.replace(schema, &format!("{schema},pg_catalog")));
    Some(sandbox)
}

#[test]
fn clock_that_differs_from_postgresql_blocks_steps_that_cannot_be_undone() {
    for (interval, side) in [("1 year", "behind"), ("-1 year", "ahead of"), ("-90 seconds", "ahead of")] {
        let Some(sandbox) = with_other_clock(interval) else { return };
        for command in
            [&["prune"][..], &["prune", "--dry-run"], &["revoke", "--service", "orders", "--before", "now"]]
        {
            let message = sandbox.run(command).refused_with(6);
            assert!(message.contains(side) && message.contains("the clock of PostgreSQL"), "{message}");
            assert!(message.contains("nothing was "), "{message}");
        }
        // By this machine's clock, the next key is due.
        let key = crate::rotate::record(&sandbox, 80 * DAY);
        change(&sandbox, async |store| store.add_key(&key).await);
        let message = sandbox.run(&["rotate"]).refused_with(6);
        assert!(message.contains("no step was made"), "{message}");
        assert!(!sandbox.path("signing-next.pem").exists());
        // A leak does not wait for the clock, and what both clocks have passed is sure.
        sandbox.run(&["revoke", "--service", "orders", "--before", "2020-01-01T00:00:00Z"]).done();
        let ran = sandbox.run(&["rotate", &format!("--emergency={}", key.kid)]).done();
        assert!(ran.stderr.contains("warning: the clock of this machine"), "{}", ran.stderr);
        let doctor = sandbox.run(&["doctor", "--format", "json"]).json();
        let findings = doctor["findings"].as_array().unwrap();
        let clock = findings.iter().find(|finding| finding["check"] == "clock").unwrap();
        assert_eq!(clock["state"], "problem", "{clock}");
        // Minting works, and prunes nothing.
        let ran = sandbox.run(&["generate", "orders"]).done();
        assert!(ran.stderr.contains("were not pruned"), "{}", ran.stderr);
    }
}

#[test]
fn clock_that_differs_by_less_than_a_minute_blocks_nothing() {
    let Some(sandbox) = with_other_clock("30 seconds") else { return };
    sandbox.run(&["prune"]).done();
    sandbox.run(&["revoke", "--service", "orders", "--before", "now"]).done();
}

#[test]
fn operator_that_by_names_is_recorded_with_each_change() {
    for sandbox in sandboxes() {
        let by = ["--by", "alice@bakery"];
        let token = sandbox.run(&[&["generate", "orders"], &by[..]].concat()).done().line().to_owned();
        let jti = crate::sandbox::claims_of(&token)["jti"].as_str().unwrap().to_owned();
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        assert_eq!(shown["minted_by"], "alice@bakery");
        let revoked = sandbox.run(&[&["revoke", &jti, "--format", "json"], &by[..]].concat()).done().json();
        let number = revoked["revocation"].to_string();
        sandbox.run(&["unrevoke", &number, "--reason", "r", "--by", "bob"]).done();
        let listed = sandbox.run(&["revocations", "--format", "json"]).done().json();
        assert_eq!(
            (&listed[0]["revoked_by"], &listed[0]["undone_by"]),
            (&"alice@bakery".into(), &"bob".into())
        );
        assert_eq!((&listed[0]["known_tokens"], &listed[0]["counted_all"]), (&1.into(), &true.into()));
        assert!(listed[0]["age_s"].as_u64().is_some());
        sandbox.run(&["rotate"]).done();
        let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
        sandbox.run(&["rotate", &format!("--emergency={kid}"), "--by", "carol"]).done();
        let listed = sandbox.run(&["revocations", "--active", "--format", "json"]).done().json();
        assert_eq!((&listed[0]["name"], &listed[0]["revoked_by"]), (&kid.into(), &"carol".into()));
        let default = sandbox.run_with(&["generate", "orders"], b"", &[("SUDO_USER", "dave")]).done();
        let jti = crate::sandbox::claims_of(default.line())["jti"].as_str().unwrap().to_owned();
        let shown = sandbox.run(&["show", &jti, "--format", "json"]).done().json();
        assert_eq!(shown["minted_by"], "dave");
        sandbox.run(&["generate", "orders", "--by", ""]).refused();
    }
}

/// All rows of the store, and all files.
fn state(sandbox: &Sandbox) -> (String, Vec<(String, Vec<u8>)>) {
    let _ = std::fs::remove_file(sandbox.path("state.jsonl"));
    sandbox.run(&["store", "backup", "state.jsonl"]).done();
    let rows = sandbox.read("state.jsonl");
    std::fs::remove_file(sandbox.path("state.jsonl")).unwrap();
    // SQLite may write into its own files when it only reads.
    let files = sandbox.names().into_iter().filter(|name| !name.starts_with("tokens.db"));
    let files = files.filter(|name| sandbox.path(name).is_file());
    (rows, files.map(|name| (name.clone(), std::fs::read(sandbox.path(&name)).unwrap())).collect())
}

#[test]
fn dry_run_of_a_command_that_writes_files_or_stores_writes_none() {
    let sandbox = Sandbox::new();
    for (command, told) in [
        (&["init"][..], "would write service-token.toml"),
        (&["keygen", "--out", "new.pem"], "would write new.pem"),
        (&["keygen", "--audit", "bakery.example/a", "--out", "audit.key"], "would write audit.key.pub"),
        (
            &["keygen", "--out", "new.pem", "--format", "json"],
            r#""files":[{"path":"new.pem","replaces":false}]"#,
        ),
    ] {
        let ran = sandbox.run(&[command, &["--dry-run"]].concat()).done();
        assert!(ran.stdout.contains(told), "{}", ran.stdout);
        assert_eq!(sandbox.names(), [""; 0], "{command:?}");
    }
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    sandbox.run(&["store", "backup", "backup.jsonl"]).done();
    sandbox.run(&["store", "init", "--store", "sqlite:empty.db"]).done();
    let before = state(&sandbox);
    let run = |arguments: &[&str]| sandbox.run(&[arguments, &["--dry-run"]].concat());
    run(&["keygen", "--force"]).refused_with(6);
    let keygen = run(&["keygen", "--force", "--dangerously-abandon-tokens"]).done();
    assert!(keygen.stdout.contains("would replace signing.pem"));
    run(&["init"]).refused();
    assert!(run(&["jwks", "--out", "jwks.json"]).done().stdout.contains("\"keys\""));
    let absent = ["--store", "sqlite:absent.db"];
    assert!(
        run(&[&["store", "init"][..], &absent].concat())
            .done()
            .stdout
            .contains("would create `sqlite:absent.db`")
    );
    assert!(run(&["store", "init"]).done().stdout.contains("is a store already"));
    let empty = ["--store", "sqlite:empty.db"];
    let restored = run(&[&["store", "restore", "backup.jsonl"][..], &empty].concat()).done().stdout;
    assert!(restored.contains("would restore into sqlite:empty.db: 1 tokens"), "{restored}");
    assert!(run(&["store", "restore", "backup.jsonl"]).refused().contains("is not empty"));
    sandbox.write("cut.jsonl", sandbox.read("backup.jsonl").lines().take(2).collect::<Vec<_>>().join("\n"));
    run(&[&["store", "restore", "cut.jsonl"][..], &empty].concat()).refused();
    std::fs::remove_file(sandbox.path("cut.jsonl")).unwrap();
    let moved = run(&["store", "move", "--to", "sqlite:empty.db"]).done().stdout;
    assert!(moved.contains("would copy into sqlite:empty.db: 1 tokens"), "{moved}");
    assert!(run(&["store", "move", "--to", "sqlite:tokens.db"]).refused().contains("is not empty"));
    let unchanged = |(rows, files): (String, Vec<(String, Vec<u8>)>)| {
        let files: Vec<_> = files.into_iter().filter(|(name, _)| !name.contains(".db")).collect();
        (rows, files)
    };
    assert!(unchanged(state(&sandbox)) == unchanged(before));
    assert!(!sandbox.path("absent.db").exists());
    assert_eq!(sandbox.run(&[&["list", "--format", "json"][..], &empty].concat()).done().stdout, "[]\n");
}

#[test]
fn dry_run_of_each_command_tells_the_effect_and_changes_nothing() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        sandbox.run(&["rotate"]).done();
        let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
        let revoked = sandbox.run(&[
            "revoke",
            "--service",
            "orders",
            "--before",
            "2020-01-01T00:00:00Z",
            "--format",
            "json",
        ]);
        let number = revoked.done().json()["revocation"].to_string();
        let before = state(&sandbox);
        let emergency = format!("--emergency={kid}");
        for (command, told) in [
            (&["generate", "orders", "--out", "new.token"][..], "would mint a token for orders".to_owned()),
            (&["generate", "--all", "--out-dir", "tokens"], "into tokens/inventory.token".to_owned()),
            (&["generate", "--missing"], "would mint a token for inventory".to_owned()),
            (&["k8s-secret", "orders"], "would write the Secret orders-service-token".to_owned()),
            (
                &["renew", "--within", "31d", "--out-dir", "tokens"],
                "would mint a token for orders".to_owned(),
            ),
            (&["revoke", &jti], format!("would be revoked: token `{jti}`")),
            (&["revoke", "--key", &kid], "1 token of the registry, 1 of them valid until now".to_owned()),
            (&["revoke", "--service", "orders", "--before", "now"], "further than before".to_owned()),
            (&["unrevoke", &number, "--reason", "r"], format!("would be undone: revocation {number}")),
            (&["rotate"], "prepare the next key".to_owned()),
            (
                &["rotate", &emergency],
                format!(
                    "would revoke {kid}\nwould retire {kid}\nwould activate a new key\norders would need a new token"
                ),
            ),
            (&["prune"], "would prune 0 tokens".to_owned()),
        ] {
            let ran = sandbox.run(&[command, &["--dry-run"]].concat()).done();
            assert!(ran.stdout.contains(&told), "{command:?}: {}", ran.stdout);
            assert!(!ran.stdout.contains("eyJ"), "no token is printed");
            assert!(state(&sandbox) == before, "{command:?} changed something");
            assert!(!sandbox.path("tokens").exists() && !sandbox.path("new.token").exists());
        }
        // What would be refused is refused.
        sandbox.run(&["revoke", "ghost", "--dry-run"]).not_found();
        sandbox.run(&["unrevoke", "99", "--reason", "r", "--dry-run"]).not_found();
        sandbox.run(&["rotate", "--emergency", "--dry-run"]).refused_with(6);
        sandbox.run(&["generate", "orders", "--out", "signing.pem", "--dry-run"]).refused();
    }
}

/// Runs a command on a terminal of its own, and types an answer. `None` without `script`.
fn on_terminal(sandbox: &Sandbox, arguments: &[&str], answer: &str) -> Option<(i32, String)> {
    let command = format!("{} {}", env!("CARGO_BIN_EXE_service-token"), arguments.join(" "));
    let child = Command::new("script")
        .args(["-qec", &command, "/dev/null"])
        .current_dir(sandbox.root())
        .env("NO_COLOR", "1")
        .env_remove("SERVICE_TOKEN_STORE")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("skipped: there is no `script`");
        return None;
    };
    child.stdin.take().unwrap().write_all(format!("{answer}\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some((output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap()))
}

#[test]
fn terminal_is_asked_before_a_step_that_cannot_be_undone() {
    let sandbox = with_store("sqlite:tokens.db");
    let (_, jti) = mint(&sandbox, &["orders"]);
    sandbox.run(&["rotate"]).done();
    let kid = sandbox.run(&["jwks"]).done().json()["keys"][0]["kid"].as_str().unwrap().to_owned();
    let emergency = format!("--emergency={kid}");
    for command in [
        &["prune"][..],
        &["revoke", "--key", &kid],
        &["revoke", "--service", "orders", "--before", "now"],
        &["rotate", &emergency],
    ] {
        for answer in ["n", "", "no", "yep"] {
            let Some((code, said)) = on_terminal(&sandbox, command, answer) else { return };
            assert!(
                said.contains("Continue? [y/N]") && said.contains("not confirmed"),
                "{command:?}: {said}"
            );
            assert_eq!(code, 2, "{command:?}: {said}");
        }
        assert_eq!(sandbox.run(&["revocations"]).done().stdout, "", "{command:?}");
    }
    // One token is small, and a script has no terminal.
    let (code, said) = on_terminal(&sandbox, &["revoke", &jti], "n").unwrap();
    assert!(code == 0 && !said.contains("Continue?"), "{said}");
    let (code, said) = on_terminal(&sandbox, &["prune", "--yes"], "n").unwrap();
    assert!(code == 0 && !said.contains("Continue?"), "{said}");
    let (code, said) =
        on_terminal(&sandbox, &["revoke", "--service", "orders", "--before", "now"], "y").unwrap();
    assert!(code == 0 && said.contains("Verifiers will refuse 0 valid tokens"), "{said}");
    let (code, said) = on_terminal(&sandbox, &["rotate", &emergency], "YES").unwrap();
    assert!(code == 0 && said.contains("all tokens of `"), "{said}");
    assert_eq!(sandbox.run(&["prune"]).done().stderr, "");
}

#[test]
fn keys_and_verifiers_are_listed_with_state_and_age_and_sorted() {
    let sandbox = crate::rotate::sandbox("");
    assert!(sandbox.run(&["keys"]).done().stderr.contains("the first `service-token rotate`"));
    assert!(sandbox.run(&["verifiers"]).done().stderr.contains("KeyReporter"));
    let old = aged(&sandbox, 80 * DAY);
    mint(&sandbox, &["orders"]);
    sandbox.run(&["rotate"]).done();
    let keys = sandbox.run(&["keys", "--format", "json"]).done().json();
    let states: Vec<_> = keys.as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["active", "prepared"]);
    let active = &keys[0];
    assert_eq!((&active["kid"], &active["services"][0]), (&old.as_str().into(), &"orders".into()));
    assert!(active["age_s"].as_i64().unwrap() >= 80 * DAY && active["ends"].is_string(), "{active}");
    assert_eq!(active["revoked"], false);
    let text = sandbox.run(&["keys"]).done();
    assert!(text.stdout.contains(&old) && text.stdout.contains("80 d"), "{}", text.stdout);
    let new = keys[1]["kid"].as_str().unwrap().to_owned();
    // Published 80 days ago, so it should know the old one.
    crate::rotate::report(&sandbox, "orders-1", vec![old.clone(), new.clone()]);
    crate::rotate::report(&sandbox, "sales-1", vec![new.clone()]);
    let verifiers = sandbox.run(&["verifiers", "--format", "json"]).done().json();
    assert_eq!((&verifiers[0]["id"], &verifiers[0]["state"]), (&"orders-1".into(), &"running".into()));
    assert_eq!(
        (&verifiers[1]["state"], &verifiers[1]["lacks"][0]),
        (&"lagging".into(), &old.as_str().into())
    );
    let sorted = |command: &str, member: &str, options: &[&str]| {
        let ran = sandbox.run(&[&[command, "--format", "json"], options].concat()).done().json();
        ran.as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(sorted("verifiers", "id", &["--reverse"]), ["sales-1", "orders-1"]);
    assert_eq!(sorted("verifiers", "id", &["--sort", "state"]), ["sales-1", "orders-1"]);
    assert_eq!(sorted("verifiers", "id", &["--sort", "age"]).len(), 2);
    assert_eq!(sorted("keys", "state", &["--sort", "state"]), ["prepared", "active"]);
    assert_eq!(sorted("keys", "state", &["--sort", "until"]), ["prepared", "active"]);
    assert_eq!(sorted("keys", "state", &["--sort", "until", "--reverse"]), ["active", "prepared"]);
    let mut kids = vec![old.clone(), new.clone()];
    kids.sort();
    assert_eq!(sorted("keys", "kid", &["--sort", "kid"]), kids);
    assert_eq!(sorted("keys", "kid", &["--sort", "used"]).len(), 2);
    let text = sandbox.run(&["verifiers"]).done().stdout;
    assert!(text.contains("orders-1") && text.contains("lagging"), "{text}");
    sandbox.run(&["rotate", &format!("--emergency={old}")]).done();
    let keys: Vec<serde_json::Value> =
        serde_json::from_str(&sandbox.run(&["keys", "--format", "json"]).done().stdout).unwrap();
    let leaked = keys.iter().find(|key| key["kid"] == old.as_str()).unwrap();
    assert_eq!((&leaked["state"], &leaked["revoked"]), (&"retired".into(), &true.into()));
    for command in ["keys", "verifiers"] {
        assert!(sandbox.run(&[command, "--issuer", "another"]).not_found().contains("another"));
    }
}

#[cfg(unix)]
#[test]
fn token_file_of_out_is_private_and_a_redirected_one_gives_a_warning() {
    let sandbox = with_store("sqlite:tokens.db");
    assert_eq!(sandbox.run(&["generate", "orders", "--out", "orders.token"]).done().line(), "orders.token");
    assert_eq!(sandbox.mode("orders.token"), 0o600);
    sandbox.feed(&["verify", "-"], sandbox.read("orders.token")).done();
    assert!(
        sandbox.run(&["generate", "orders", "--out", "orders.token"]).refused().contains("exists already")
    );
    sandbox.run(&["generate", "orders", "--out", "orders.token", "--force"]).done();
    assert!(sandbox.run(&["generate", "orders", "--force"]).refused().contains("--out FILE"));
    let program = env!("CARGO_BIN_EXE_service-token");
    let shell = |script: &str| {
        let output = Command::new("sh")
            .args(["-c", script, program])
            .current_dir(sandbox.root())
            .env("NO_COLOR", "1")
            .env_remove("SERVICE_TOKEN_STORE")
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let warned = shell("umask 022; \"$0\" generate orders > open.token");
    assert!(warned.contains("mode 0644") && warned.contains("--out FILE"), "{warned}");
    for command in ["generate --all", "k8s-secret orders", "renew --within 31d --k8s-secret"] {
        let warned = shell(&format!("umask 022; \"$0\" {command} > open"));
        assert!(warned.contains("mode 0644"), "{command}: {warned}");
    }
    for quiet in [
        "umask 077; \"$0\" generate orders > private",
        "\"$0\" generate orders | cat",
        "\"$0\" generate orders > /dev/null",
    ] {
        assert_eq!(shell(quiet), "", "{quiet}");
    }
}

#[test]
fn missing_mints_only_for_services_without_a_valid_token() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        let mint_missing = || sandbox.run(&["generate", "--missing"]).done();
        assert!(mint_missing().stdout.starts_with("inventory "));
        let ran = mint_missing();
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("each service of the configuration has a valid token"), "{}", ran.stderr);
        sandbox.run(&["revoke", &jti]).done();
        assert!(mint_missing().stdout.starts_with("orders "));
        assert_eq!(states(&sandbox.run(&["list", "--active", "--format", "json"]).done()).len(), 2);
        sandbox.run(&["generate", "--missing", "--no-store"]).refused();
        sandbox.run(&["generate", "--missing", "--all"]).refused();
        sandbox.run(&["generate", "--missing", "orders"]).refused();
    }
}

#[test]
fn token_of_a_service_that_the_configuration_does_not_list_gives_a_warning() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["former", "--allow-unlisted"]);
        let verified = sandbox.feed(&["verify", "-"], &token).done();
        assert!(verified.stderr.contains("does not list the service `former`"), "{}", verified.stderr);
        let (_, another) = mint(&sandbox, &["former", "--allow-unlisted"]);
        mint(&sandbox, &["orders"]);
        for command in [
            &["list"][..],
            &["list", "--format", "json"],
            &["show", &jti],
            &["expiring", "--within", "31d"],
            &["expiring", "--format", "prometheus"],
            &["renew", "--out-dir", "tokens"],
            &["keys"],
            &["keys", "--issuer", "bakery-auth"],
            &["revocations", "--format", "json"],
            &["rotate", "--plan"],
            &["rotate", "--plan", "--format", "prometheus"],
            &["rotate", "--dry-run"],
            &["rotate"],
            &["rotate", "--emergency", "--dry-run"],
            &["revoke", &jti, "--dry-run"],
            &["revoke", "--service", "former", "--before", "2026-01-31T12:00:00Z"],
            &["revoke", &another],
        ] {
            let ran = sandbox.run(command);
            assert!(
                ran.stderr.contains("does not list services that have a valid token: `former`"),
                "{command:?}: {}",
                ran.stderr
            );
        }
        let last = sandbox.run(&["revoke", &jti]).done();
        assert!(!last.stderr.contains("does not list"), "it has no valid token: {}", last.stderr);
        let metrics = ["expiring", "--format", "prometheus"];
        let more: [&[&str]; 4] = [&["keys"], &["revocations"], &["rotate"], &["rotate", "--plan"]];
        let others: [&[&str]; 4] = [&["list"], &["show", &jti], &["renew", "--out-dir", "tokens"], &metrics];
        for command in others.into_iter().chain(more) {
            assert!(!sandbox.run(command).stderr.contains("does not list"), "{command:?}");
        }
    }
}
