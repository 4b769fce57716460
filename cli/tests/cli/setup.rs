//! The first minute: `init`, `keygen`, `generate --all`, and what surrounds them.

use crate::sandbox::Sandbox;

#[test]
fn init_keygen_and_generate_work_with_the_printed_commands() {
    let sandbox = Sandbox::new();
    let init = sandbox.run(&["init"]).done();
    assert_eq!(init.line(), "service-token.toml");
    for command in ["service-token keygen", "service-token generate --all"] {
        assert!(init.stderr.contains(command), "{}", init.stderr);
    }
    assert_eq!(sandbox.run(&["list"]).done().stdout, "", "the store is there");
    sandbox.run(&["keygen"]).done();
    assert_eq!(sandbox.run(&["generate", "--all"]).done().stdout.lines().count(), 2);
}

#[test]
fn init_elsewhere_names_that_file_in_its_next_steps() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("deploy")).unwrap();
    let init = sandbox.run(&["init", "--config", "deploy/tokens.toml"]).done();
    assert!(init.stderr.contains("generate --all --config deploy/tokens.toml"), "{}", init.stderr);
    sandbox.run(&["keygen", "--config", "deploy/tokens.toml"]).done();
    assert!(sandbox.path("deploy/service-token.pem").exists());
    sandbox.run(&["generate", "orders", "--config", "deploy/tokens.toml"]).done();
}

#[test]
fn init_keeps_an_existing_file_without_force() {
    let sandbox = Sandbox::new();
    sandbox.write("service-token.toml", "mine");
    assert!(sandbox.run(&["init"]).refused().contains("--force"));
    assert_eq!(sandbox.read("service-token.toml"), "mine");
    assert!(!sandbox.path("service-token.db").exists(), "a refused `init` creates no store");
    sandbox.run(&["init", "--force"]).done();
    assert!(sandbox.read("service-token.toml").contains("issuer ="));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Sandbox::new().run(&["completions", shell]).done();
        assert!(ran.stdout.contains("SERVICE_TOKEN_COMPLETE"), "{shell}");
    }
}

#[test]
fn manual_is_printed_and_written_as_pages() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["man"]).done().stdout.contains(".TH SERVICE-TOKEN 1"));
    std::fs::create_dir(sandbox.path("man")).unwrap();
    let ran = sandbox.run(&["man", "--out-dir", "man"]).done();
    for line in ["man/service-token.1", "man/service-token-store-init.1", "man/service-token.toml.5"] {
        assert!(ran.stdout.lines().any(|path| path == line), "{}", ran.stdout);
    }
    assert!(sandbox.read("man/service-token-verify.1").contains("audience"));
    assert!(sandbox.run(&["man", "--out-dir", "man"]).refused().contains("exists already"));
}

#[test]
fn help_of_every_command_has_examples_and_usage() {
    let sandbox = Sandbox::new();
    let commands = [
        "init",
        "keygen",
        "generate",
        "verify",
        "inspect",
        "jwks",
        "k8s-secret",
        "list",
        "show",
        "expiring",
        "revoke",
        "unrevoke",
        "revocations",
        "rotate",
        "serve",
        "renew",
        "prune",
        "store",
        "dev",
        "endpoints",
        "attack",
        "completions",
        "man",
    ];
    for command in commands {
        let help = sandbox.run(&[command, "--help"]).done().stdout;
        assert!(help.contains("Examples:") && help.contains("Usage:"), "{command}: {help}");
    }
}
