//! `store check`, `backup`, `restore` and `move`, over each kind of database.

use std::process::Command;

use crate::sandbox::Sandbox;
use crate::store::{mint, naming_store, new_store, sandboxes, states, url, with_store};

#[cfg(unix)]
#[test]
fn check_finds_a_file_that_others_can_read_and_exits_with_1() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    let ran = sandbox.run(&["store", "check"]).done();
    assert_eq!(ran.line(), "nothing is wrong with sqlite:tokens.db");
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(sandbox.path("tokens.db"), open).unwrap();
    let ran = sandbox.run(&["store", "check", "--format", "json"]);
    assert_eq!(ran.code, 1);
    let found = ran.json()["found"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    assert!(found[0].as_str().unwrap().contains("chmod go="), "{found}");
    assert_eq!(naming_store("sqlite:none.db").run(&["store", "check"]).code, 4);
}

#[test]
fn backup_is_restored_into_a_new_store_and_replaces_no_file() {
    for sandbox in sandboxes() {
        let (token, jti) = mint(&sandbox, &["orders"]);
        let (_, revoked) = mint(&sandbox, &["inventory"]);
        sandbox.run(&["revoke", &revoked]).done();
        let tried = sandbox.run(&["store", "backup", "backup.jsonl", "--dry-run"]).done();
        assert_eq!(tried.line(), "would write backup.jsonl: 2 tokens, 1 revocations, 0 keys");
        assert!(!sandbox.path("backup.jsonl").exists());
        let ran = sandbox.run(&["store", "backup", "backup.jsonl"]).done();
        assert_eq!(ran.line(), "backup.jsonl: 2 tokens, 1 revocations, 0 keys");
        #[cfg(unix)]
        assert_eq!(sandbox.mode("backup.jsonl"), 0o600);
        let text = sandbox.read("backup.jsonl");
        assert!(text.contains(&jti) && !text.contains(token.rsplit('.').next().unwrap()));
        for options in
            [&["store", "backup", "backup.jsonl"][..], &["store", "backup", "backup.jsonl", "--dry-run"]]
        {
            assert!(sandbox.run(options).refused().contains("exists already"));
        }
        assert_eq!(sandbox.read("backup.jsonl"), text);

        let restore = ["store", "restore", "backup.jsonl"];
        assert!(sandbox.run(&restore).refused().contains("is not empty"));
        let elsewhere = ["--store", "sqlite:restored.db"];
        let message = sandbox.run(&[&restore[..], &elsewhere].concat()).unavailable();
        assert!(message.contains("`service-token store init` creates one"), "{message}");
        sandbox.run(&[&["store", "init"][..], &elsewhere].concat()).done();
        sandbox.write("cut.jsonl", text.lines().take(2).collect::<Vec<_>>().join("\n"));
        let cut = sandbox.run(&[&["store", "restore", "cut.jsonl"][..], &elsewhere].concat()).refused();
        assert!(cut.contains("nothing was restored"), "{cut}");
        sandbox.run(&[&restore[..], &elsewhere].concat()).done();
        let list = |more: &[&str]| {
            let mut listed = states(&sandbox.run(&[&["list", "--format", "json"], more].concat()).done());
            listed.sort();
            listed
        };
        assert_eq!(list(&elsewhere), list(&[]));
        assert_eq!(list(&[]).len(), 2);
    }
}

#[test]
fn backup_of_a_store_that_does_not_exist_leaves_no_file() {
    let sandbox = naming_store("sqlite:none.db");
    assert!(sandbox.run(&["store", "backup", "backup.jsonl"]).unavailable().contains("no store exists at"));
    assert!(!sandbox.path("backup.jsonl").exists());
}

#[test]
fn store_is_moved_between_databases_and_the_old_one_stays() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        sandbox.run(&["rotate"]).done();
        let mut targets = vec![format!("sqlite:{}", sandbox.path("moved.db").display())];
        targets.extend(new_store());
        for to in targets {
            assert!(
                sandbox
                    .run(&["store", "move", "--to", &to])
                    .unavailable()
                    .contains("`service-token store init`")
            );
            sandbox.run(&["store", "init", "--store", &to]).done();
            let ran = sandbox.run(&["store", "move", "--to", &to]).done();
            assert!(ran.stdout.ends_with(": 1 tokens, 0 revocations, 1 keys\n"), "{}", ran.stdout);
            assert!(sandbox.run(&["store", "move", "--to", &to]).refused().contains("is not empty"));
            for store in [&to, &url(&sandbox)] {
                let listed = states(&sandbox.run(&["list", "--format", "json", "--store", store]).done());
                assert_eq!(listed, [(jti.clone(), "active".to_owned())]);
            }
            let plan = |store: &str| {
                sandbox.run(&["rotate", "--plan", "--format", "json", "--store", store]).done().stdout
            };
            assert_eq!(plan(&to), plan(&url(&sandbox)));
        }
    }
}

/// The role of a minter has no right to delete, so it prunes nothing, and does not complain.
#[test]
fn minter_without_the_right_to_delete_mints_without_a_warning() {
    let Some(owned) = new_store() else { return };
    let sandbox = Sandbox::configured();
    sandbox.run(&["store", "init", "--store", &owned]).done();
    let page = super::docs::store_page();
    let script = page.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    let (server, schema) = owned.split_once("?options[search_path]=").unwrap();
    let script = script
        .replace("tokens_", &format!("{schema}_"))
        .replace("SCHEMA public", &format!("SCHEMA {schema}"));
    // The tables keep their names.
    let script = script.replace(&format!("service_only_{schema}_"), "service_only_tokens_");
    let set = format!("SET search_path = {schema}");
    let made = Command::new("psql")
        .args(["-q", "-v", "ON_ERROR_STOP=1", server, "-c", &set, "-c", &script])
        .status();
    assert!(made.unwrap().success());
    let minter = owned.replacen("postgres@", &format!("{schema}_minter@"), 1);
    let ran = sandbox.run(&["generate", "orders", "--store", &minter]).done();
    assert_eq!(ran.stderr, "");
    assert_eq!(states(&sandbox.run(&["list", "--format", "json", "--store", &minter]).done()).len(), 1);
    let message =
        sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--store", &minter]).unavailable();
    assert!(message.contains("permission denied"), "{message}");
}
