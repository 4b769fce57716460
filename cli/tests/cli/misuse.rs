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
        let mint = ["generate", "orders", "--issuer", "i", "--no-store"];
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
