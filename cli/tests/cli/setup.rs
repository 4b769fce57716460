//! The first minute: `init`, `keygen`, `generate --all`, and what surrounds them.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only_tls::{Certificate, TlsFiles};

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
fn new_fleet_is_strict_and_a_compatible_one_is_asked_for() {
    let sandbox = Sandbox::new();
    let options =
        ["--issuer", "mill-auth", "--audience", "mill", "--service", "flour", "--service", "mill.eu"];
    let init = sandbox.run(
        &[&["init", "--strict", "--algorithm", "EdDSA", "--store", "sqlite:mill.db"], &options[..]].concat(),
    );
    assert!(init.done().stderr.contains("Next:\n  service-token keygen"));
    assert!(sandbox.path("mill.db").exists() && !sandbox.path("service-token.db").exists());
    assert!(sandbox.run(&["keygen"]).done().stdout.contains("algorithm: EdDSA"));
    let made = sandbox.run(&["generate", "flour", "--format", "json"]).done().json();
    let token = made["token"].as_str().unwrap();
    let inspected = sandbox.feed(&["inspect", "--format", "json", "-"], token).done().json();
    let claims = &inspected["claims"];
    assert_eq!((&inspected["header"]["typ"], &claims["iss"]), (&"service+jwt".into(), &"mill-auth".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 86_400);
    sandbox.feed(&["verify", "-"], token).done();
    sandbox.run(&["generate", "mill.eu"]).done();

    let first = Sandbox::new();
    first.run(&["init", "--compatible"]).done();
    first.run(&["keygen"]).done();
    let token = first.run(&["generate", "orders"]).done().stdout;
    let inspected = first.feed(&["inspect", "--format", "json", "-"], token).done().json();
    assert_eq!((&inspected["header"]["typ"], inspected["claims"].get("aud")), (&"JWT".into(), None));
}

#[test]
fn init_tls_issues_a_certificate_to_each_service_and_binds_its_tokens() {
    let sandbox = Sandbox::new();
    let state = sandbox.path("state");
    let run =
        |options: &[&str]| sandbox.run_with(options, b"", &[("XDG_STATE_HOME", state.to_str().unwrap())]);
    let options = ["init", "--tls", "--issuer", "mill-auth", "--service", "flour", "--service", "mill.eu"];
    let tried = run(&[&options[..], &["--dry-run"]].concat()).done();
    assert!(tried.stdout.contains("issue 2 certificates"), "{}", tried.stdout);
    assert_eq!(sandbox.names(), [""; 0]);

    let made = run(&options).done();
    assert!(made.stderr.contains("cert-manager, SPIRE or step-ca"), "{}", made.stderr);
    for name in ["flour", "mill.eu"] {
        let tls = TlsFiles::cert_manager(sandbox.path("certificates").join(name)).open().unwrap();
        let id = tls.status().spiffe_id.unwrap();
        assert_eq!(id.as_str(), format!("spiffe://dev-only.internal/{name}"));
        #[cfg(unix)]
        assert_eq!(sandbox.mode(&format!("certificates/{name}/tls.key")), 0o600);
    }
    run(&["keygen"]).done();
    run(&["generate", "--all", "--out-dir", "tokens"]).done();
    for name in ["flour", "mill.eu"] {
        let token = sandbox.read(&format!("tokens/{name}.token"));
        let inspected = sandbox.feed(&["inspect", "--format", "json", "-"], token).done().json();
        let pem = sandbox.read(&format!("certificates/{name}/tls.crt"));
        let thumbprint = Certificate::from_pem(pem.as_bytes()).unwrap();
        let thumbprint = URL_SAFE_NO_PAD.encode(thumbprint.thumbprint());
        assert_eq!(inspected["claims"]["cnf"]["x5t#S256"], thumbprint, "{name}");
    }

    // A second run replaces nothing, and with the option everything.
    let first = sandbox.read("certificates/flour/tls.crt");
    std::fs::remove_file(sandbox.path("service-token.toml")).unwrap();
    assert!(run(&options).refused().contains("tls.crt"));
    assert!(!sandbox.path("service-token.toml").exists());
    run(&[&options[..], &["--force"]].concat()).done();
    assert_ne!(sandbox.read("certificates/flour/tls.crt"), first);
}

#[test]
fn settings_that_do_not_fit_write_nothing() {
    for (options, part) in [
        (&["--algorithm", "HS256"][..], "key pair"),
        (&["--strict", "--compatible"], "cannot be used with"),
        (&["--store", "postgres://me:hunter2@db/tokens"], "PGPASSWORD"),
        (&["--store", "redis://x"], "--store"),
        (&["--service", "no name"], "--service"),
        (&["--issuer", ""], "must not be empty"),
    ] {
        let sandbox = Sandbox::new();
        let message = sandbox.run(&[&["init"], options].concat()).refused();
        assert!(message.contains(part) && !message.contains("hunter2"), "{options:?}: {message}");
        assert_eq!(sandbox.names(), [""; 0], "{options:?}");
    }
}

#[test]
fn init_asks_on_a_terminal() {
    let sandbox = Sandbox::new();
    // The first and the third question are lists, where the enter key takes the first entry.
    let answers = "\rmill-auth\r\r\rsqlite:mill.db\rflour mill\r";
    let script = format!("{} init", env!("CARGO_BIN_EXE_service-token"));
    let started = std::process::Command::new("script")
        .args(["-qec", &script, "/dev/null"])
        .current_dir(sandbox.root())
        .env("TERM", "xterm")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    let mut started = match started {
        Ok(started) => started,
        Err(error) => return eprintln!("skipped: no `script`: {error}"),
    };
    std::io::Write::write_all(started.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
    let output = started.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let config = sandbox.read("service-token.toml");
    for line in [
        "issuer = \"mill-auth\"",
        "audience = \"mill-auth\"",
        "profile = \"strict\"",
        "flour = {}",
        "mill = {}",
    ] {
        assert!(config.lines().any(|one| one == line), "{line}:\n{config}");
    }
    assert!(sandbox.path("mill.db").exists());
}

#[test]
fn environment_has_its_own_issuer_key_and_store() {
    let sandbox = Sandbox::configured();
    let config = sandbox.read("service-token.toml");
    let staging = "[environments.staging]\nissuer = \"staging-auth\"\nstore = \"sqlite:staging.db\"\nkey = { file = \"staging.pem\" }\n";
    sandbox.write("service-token.toml", format!("{config}\n{staging}"));
    let staging = [("SERVICE_TOKEN_ENVIRONMENT", "staging")];
    sandbox.run(&["--environment", "staging", "store", "init"]).done();
    sandbox.run(&["keygen", "--environment=staging"]).done();
    assert!(sandbox.path("staging.pem").exists() && sandbox.path("staging.db").exists());
    let token = sandbox.run_with(&["generate", "orders"], b"", &staging).done().stdout;
    sandbox.run_with(&["verify", "-"], token.as_bytes(), &staging).done();
    let ran = sandbox.feed(&["verify", "-"], &token);
    assert_eq!(ran.code, 1, "the common settings have another key: {}", ran.stdout);
    let listed = sandbox.run(&["list", "--environment", "staging", "--format", "json"]).done().json();
    assert_eq!(listed[0]["issuer"], "staging-auth");
    sandbox.run_with(&["generate", "orders", "--no-store"], b"", &[("SERVICE_TOKEN_ENVIRONMENT", "")]).done();
    let message = sandbox.run(&["list", "--environment", "production"]).refused();
    assert!(message.contains("no environment `production`") && message.contains("`staging`"), "{message}");
    assert!(Sandbox::new().run(&["list", "--environment", "x"]).refused().contains("no configuration"));
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
    let tried = sandbox.run(&["man", "--out-dir", "man", "--dry-run"]).done();
    assert!(tried.stdout.contains("would write man/service-token.1\n"), "{}", tried.stdout);
    assert_eq!(std::fs::read_dir(sandbox.path("man")).unwrap().count(), 0);
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
        "keys",
        "verifiers",
        "expiring",
        "revoke",
        "unrevoke",
        "revocations",
        "rotate",
        "serve",
        "renew",
        "prune",
        "store",
        "doctor",
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

#[test]
fn service_that_is_named_twice_is_listed_once() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["init", "--issuer", "i", "--service", "orders", "--service", "mail", "--service", "orders"])
        .done();
    sandbox.run(&["keygen"]).done();
    let minted = sandbox.run(&["generate", "--all", "--format", "json"]).done().json();
    let services: Vec<_> = minted.as_array().unwrap().iter().map(|token| token["service"].clone()).collect();
    assert_eq!(services, ["mail", "orders"]);
}
