//! Bad keys, bad configurations, bad arguments: exit code 2, a clear message, nothing written.

use crate::sandbox::Sandbox;

fn spoiled(from: &str, to: &str) -> String {
    let sandbox = Sandbox::configured();
    let config = sandbox.read("service-token.toml");
    let changed = config.replacen(from, to, 1);
    assert_ne!(config, changed);
    sandbox.write("service-token.toml", changed);
    let message = sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).refused();
    assert!(!sandbox.path("tokens").exists());
    message
}

#[test]
fn unknown_key_of_the_configuration_is_named_with_file_line_and_remedy() {
    let message = spoiled("lifetime =", "life =");
    assert!(message.contains("service-token.toml:3: unknown key `life`"), "{message}");
    assert!(message.contains("help: expected one of `issuer`"), "{message}");
}

#[test]
fn unknown_algorithm_in_the_configuration_is_named_with_the_known_ones() {
    let message = spoiled("ES256", "ES257");
    assert!(
        message.contains("service-token.toml:6: key `algorithm`") && message.contains("EdDSA"),
        "{message}"
    );
}

#[test]
fn missing_key_file_is_named() {
    let message = spoiled("signing.pem", "missing.pem");
    assert!(message.contains("`missing.pem`") && message.contains("No such file"), "{message}");
}

#[test]
fn key_of_another_type_than_the_algorithm_is_refused_with_the_file() {
    let message = spoiled("ES256", "RS256");
    assert!(message.contains("`signing.pem`") && message.contains("RS256"), "{message}");
}

#[test]
fn broken_key_files_are_refused_with_file_and_remedy() {
    let sandbox = Sandbox::new();
    let contents: [&[u8]; 6] = [
        b"",
        b"nonsense",
        b"\xff\x00\x01",
        b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\nMAA=\n-----END PUBLIC KEY-----\n",
    ];
    for content in contents {
        sandbox.write("key.pem", content);
        for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA"] {
            let message = sandbox
                .run(&["generate", "orders", "--key", "key.pem", "--algorithm", algorithm, "--issuer", "i"])
                .refused();
            assert!(message.contains("`key.pem`") && message.contains("service-token keygen"), "{message}");
        }
    }
}

#[test]
fn short_hmac_secret_is_refused_with_file_and_remedy() {
    let sandbox = Sandbox::new();
    sandbox.write("secret", "c2hvcnQ");
    let message = sandbox
        .run(&["generate", "orders", "--key", "secret", "--algorithm", "HS256", "--issuer", "i"])
        .refused();
    assert!(
        message.contains("`secret`") && message.contains("32") && message.contains("keygen"),
        "{message}"
    );
}

#[test]
fn tokens_of_each_of_two_keys_that_share_a_kid_are_verified() {
    let sandbox = Sandbox::configured();
    let mut set = sandbox.run(&["jwks"]).done().json();
    let kid = set["keys"][0]["kid"].as_str().unwrap().to_owned();
    sandbox.run(&["keygen", "--out", "other.pem"]).done();
    let other = ["--key", "other.pem", "--algorithm", "ES256", "--kid", &kid];
    let twin = sandbox.run(&[&["jwks"][..], &other].concat()).done().json();
    set["keys"].as_array_mut().unwrap().push(twin["keys"][0].clone());
    sandbox.write("jwks.json", set.to_string());
    for key in [&[][..], &other] {
        let mint = ["generate", "orders", "--issuer", "i", "--no-store", "--dangerously-mint-refused"];
        let token = sandbox.run(&[&mint[..], key].concat()).done().line().to_owned();
        sandbox.run(&["verify", "--jwks", "jwks.json", "--issuer", "i", &token]).done();
    }
}

#[test]
fn token_is_never_echoed_by_a_usage_error() {
    let token = "eyJhbGciOiJIUzI1NiJ9.eyJzZXJ2aWNlIjoib3JkZXJzIn0.c2lnbmF0dXJl";
    let sandbox = Sandbox::new();
    for arguments in [
        vec!["verify", token, token],
        vec!["verify", "--secret-file", token, "--issuer", "i", "--leeway", token, "-"],
        vec![token],
        vec!["inspect", token, token],
        vec!["generate", token],
        vec!["verify", &format!("--{token}")],
    ] {
        let message = sandbox.run(&arguments).refused();
        assert!(!message.contains("eyJzZXJ2aWNl"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn key_file_that_others_can_read_gives_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::configured();
    assert_eq!(sandbox.run(&["generate", "orders", "--no-store"]).done().stderr, "");
    std::fs::set_permissions(sandbox.path("signing.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = sandbox.run(&["generate", "orders"]).done();
    assert!(
        ran.stderr.contains("warning: ") && ran.stderr.contains("chmod 600 signing.pem"),
        "{}",
        ran.stderr
    );
}

#[test]
fn configuration_of_arbitrary_bytes_is_refused_without_panic() {
    let sandbox = Sandbox::new();
    let contents: [&[u8]; 6] =
        [b"", b"\x00", b"\xff\xfe", b"[[[[[[[", b"issuer = \"\\u001b[31m\"\nx\x1b = 1", b"key = 5\n\x1b[2J"];
    for content in contents {
        sandbox.write("service-token.toml", content);
        let message = sandbox.run(&["generate", "orders"]).refused();
        assert!(message.contains("service-token.toml") && !message.contains('\u{1b}'), "{message:?}");
    }
}

#[test]
fn option_that_would_have_no_effect_beside_the_others_is_refused() {
    let sandbox = Sandbox::configured();
    sandbox.write("audit.jsonl", "");
    let attack = ["attack", "--url", "http://127.0.0.1:1", "--service", "a", "--endpoint", "GET /"];
    let what_if = ["explain", "--what-if", "--service", "a", "--endpoint", "b", "--endpoints", "c.json"];
    for arguments in [
        &["revoke", "some-token", "--before", "now"][..],
        &["revoke", "--key", "k1", "--before", "now"],
        &["revoke", "--key", "k1", "--expires", "2030-01-01T00:00:00Z"],
        &["revoke", "--service", "orders", "--before", "now", "--expires", "2030-01-01T00:00:00Z"],
        &["explain", "some-id", "--audit", "audit.jsonl", "--service", "orders"],
        &["explain", "some-id", "--audit", "audit.jsonl", "--role", "admin"],
        &[&what_if[..], &["--audit", "audit.jsonl"]].concat(),
        &["renew", "--out-dir", "tokens", "--namespace", "bakery"],
        &["generate", "--all", "--allow-unlisted"],
        &["generate", "--missing", "--allow-unlisted"],
        &["rotate", "--plan", "--keep-prepared"],
        &["serve", "--tls-key", "tls.key", "--dangerously-allow-http"],
        &[&attack[..], &["--jwks-private", "k.json", "--algorithm", "ES256"]].concat(),
        &["keygen", "--audit", "bakery.example/a", "--out", "audit.key", "--passphrase-file", "pass"],
        &["audit", "search", "audit.jsonl", "--allow", "--code", "expired"],
        &[
            "audit",
            "search",
            "audit.jsonl",
            "--since",
            "2026-01-02T00:00:00Z",
            "--until",
            "2026-01-01T00:00:00Z",
        ],
        &["audit", "search", "audit.jsonl", "--limit", "0"],
        &[&attack[..], &["--max-requests", "0"]].concat(),
    ] {
        let ran = sandbox.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("cannot read"), "{arguments:?}: {}", ran.stderr);
    }
    assert!(!sandbox.path("tokens").exists() && !sandbox.path("audit.key").exists());
}

#[test]
fn role_or_scope_that_no_token_can_have_is_not_a_refusal_of_the_token() {
    let sandbox = Sandbox::configured();
    let token = sandbox.run(&["generate", "orders", "--no-store"]).done().line().to_owned();
    for arguments in [["--scope", "a b"], ["--scope", ""], ["--role", ""], ["--role", "a b"]] {
        let message = sandbox.run(&[&["verify", token.as_str()][..], &arguments].concat()).refused();
        assert!(message.contains("write printable ASCII without spaces"), "{message}");
    }
}

#[test]
fn force_replaces_files_of_the_same_kind_only() {
    let sandbox = Sandbox::configured();
    sandbox.run(&["store", "init", "--store", "sqlite:tokens.db"]).done();
    sandbox.run(&["keygen", "--audit", "bakery.example/a", "--out", "audit.key"]).done();
    let content = |name: &str| std::fs::read(sandbox.path(name)).unwrap();
    let before = ["signing.pem", "tokens.db", "audit.key"].map(content);
    let generate = |out: &str| sandbox.run(&["generate", "orders", "--no-store", "--force", "--out", out]);
    for (out, what) in
        [("signing.pem", "a private key"), ("audit.key", "a private key"), ("tokens.db", "a store")]
    {
        let message = generate(out).refused();
        assert!(message.contains(&format!("`{out}` is {what}")) && message.contains("help: "), "{message}");
        let dry = sandbox.run(&["generate", "orders", "--no-store", "--force", "--dry-run", "--out", out]);
        assert!(dry.refused().contains(what));
        let public = ["keygen", "--out", "new.pem", "--public-out", out, "--force"];
        assert!(sandbox.run(&public).refused().contains(what));
    }
    for arguments in [
        &["keygen", "--out", "tokens.db", "--force"][..],
        &["keygen", "--audit", "bakery.example/a", "--out", "tokens.db", "--force"],
        &["init", "--config", "signing.pem", "--force"],
        &["init", "--config", "tokens.db", "--force"],
        &["jwks", "--out", "signing.pem", "--drop-unknown"],
    ] {
        sandbox.run(arguments).refused();
    }
    assert!(["signing.pem", "tokens.db", "audit.key"].map(content) == before);
    assert!(!sandbox.path("new.pem").exists());
    // A key replaces a key, and a token replaces a token.
    sandbox.run(&["keygen", "--out", "signing.pem", "--force"]).done();
    sandbox.run(&["generate", "orders", "--no-store", "--out", "orders.token"]).done();
    generate("orders.token").done();
}

#[cfg(unix)]
#[test]
fn force_never_replaces_a_pipe_or_a_link_to_a_device() {
    use std::os::unix::fs::FileTypeExt as _;
    let sandbox = Sandbox::configured();
    let pipe = sandbox.path("pipe");
    if !std::process::Command::new("mkfifo").arg(&pipe).status().is_ok_and(|made| made.success()) {
        return;
    }
    std::os::unix::fs::symlink("/dev/zero", sandbox.path("zero")).unwrap();
    for out in ["pipe", "zero"] {
        let ran = sandbox.run(&["generate", "orders", "--no-store", "--force", "--out", out]);
        assert!(ran.refused().contains("is not a regular file"), "{out}");
    }
    assert!(std::fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert!(std::fs::symlink_metadata(sandbox.path("zero")).unwrap().is_symlink());
}

#[test]
fn directory_that_is_missing_is_reported_without_the_name_of_a_temporary_file() {
    let sandbox = Sandbox::configured();
    let message = sandbox.run(&["generate", "orders", "--no-store", "--out", "none/orders.token"]).refused();
    assert!(message.contains("cannot write `none/orders.token`: No such file"), "{message}");
    assert!(!message.contains(".service-token-"), "{message}");
}
