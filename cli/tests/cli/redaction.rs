//! Tokens and secrets in the wrong place of a command line: no message may carry them into a log.

use crate::sandbox::{Ran, Sandbox};

const TOKEN: &str =
    "eyJhbGciOiJIUzI1NiJ9.eyJzZXJ2aWNlIjoib3JkZXJzIn0.qkZ3yXrLmT9vB2nWcPd8sHfJgKaEuQ1oYxRzViM5t0I";

/// What nobody but its owner should see: no piece of `secret` of ten characters may be there.
fn assert_silent(ran: &Ran, secret: &str) {
    assert!([2, 9].contains(&ran.code), "{}", ran.stderr);
    let pieces: Vec<_> = secret.as_bytes().windows(10).collect();
    for text in [&ran.stderr, &ran.stdout] {
        for piece in &pieces {
            let piece = std::str::from_utf8(piece).unwrap();
            assert!(!text.contains(piece), "`{piece}` is in: {text}");
        }
    }
}

#[test]
fn token_in_the_place_of_any_value_is_not_printed() {
    let sandbox = Sandbox::configured();
    let (listed, named) = (format!("ES256,{TOKEN}"), format!("a,{TOKEN}"));
    let (file, inside) = (format!("{TOKEN}.pem"), format!("no/such/{TOKEN}/jwks.json"));
    let (glued, option) = (format!("--jwks={TOKEN}"), format!("--{TOKEN}"));
    let bearer = format!("Bearer {TOKEN}");
    for arguments in [
        vec!["verify", "--jwks", TOKEN, "--issuer", "i", "-"],
        vec!["verify", &glued, "--issuer", "i", "-"],
        vec!["verify", "--jwks", &file, "--issuer", "i", "-"],
        vec!["verify", "--jwks", &inside, "--issuer", "i", "-"],
        vec!["verify", "--jwks", &bearer, "--issuer", "i", "-"],
        vec!["verify", "--secret-file", TOKEN, "--issuer", "i", "-"],
        vec!["verify", "--secret-env", TOKEN, "--issuer", "i", "-"],
        vec!["verify", "--algorithms", &listed, "-"],
        vec!["verify", "--algorithms", TOKEN, "-"],
        vec!["verify", "--service", &named, "--now", TOKEN, "-"],
        vec!["verify", "--service", &named, "--jwks", TOKEN, "--issuer", "i", "-"],
        vec!["verify", "--config", TOKEN, "-"],
        vec!["verify", "--batch", TOKEN],
        vec!["verify", "--format", TOKEN, "-"],
        vec!["verify", "--jwks", TOKEN, "--issuer", "i", "--format", "json", "-"],
        vec!["verify", &option, "-"],
        vec!["generate", TOKEN],
        vec!["generate", "orders", "--lifetime", TOKEN],
        vec!["generate", "orders", "--key", TOKEN, "--algorithm", "ES256", "--issuer", "i"],
        vec!["k8s-secret", "orders", "--namespace", TOKEN],
        vec!["k8s-secret", "orders", "--name", TOKEN],
        vec!["keygen", "--out", &inside],
        vec!["init", "--config", &inside],
        vec!["completions", TOKEN],
        vec![TOKEN],
    ] {
        assert_silent(&sandbox.run(&arguments), TOKEN);
    }
}

#[test]
fn secret_given_as_the_name_of_its_variable_is_not_printed() {
    let sandbox = Sandbox::new();
    for secret in [
        "dGhlIHNlY3JldCBvZiB0aGUgYmFrZXJ5LCAzMiBieXRlcw==",
        "the+secret/of/the+bakery",
        "p4ssw0rd with spaces and $igns",
        "correcthorsebatterystaple",
        "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
        "DEADBEEFDEADBEEFDEADBEEFDEADBEEFDEADBEEF",
        "Tr0ub4dor_and_3",
    ] {
        let ran = sandbox.run(&["verify", "--secret-env", secret, "--issuer", "i", "x"]);
        assert_silent(&ran, secret);
        assert!(ran.stderr.contains("--secret-env") && ran.stderr.contains("name"), "{}", ran.stderr);
        let json = ["verify", "--secret-env", secret, "--issuer", "i", "--format", "json", "x"];
        assert_silent(&sandbox.run(&json), secret);
    }
}

#[test]
fn secret_in_the_place_of_a_file_or_a_name_is_not_printed() {
    let sandbox = Sandbox::configured();
    for secret in [
        "dGhlIHNlY3JldCBvZiB0aGUgYmFrZXJ5LCAzMiBieXRlcw",
        "q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=",
        "/j4AAQSkZJRgABAQ/AAAQABAAD+2wBDAAgGBgcGBQgHBwc=",
        "AQSkZJRgABAQ/AAAQAj4BAAD/2wBDAAgGBgcGBQgHBwc/Xy9=",
        "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef",
    ] {
        for arguments in [
            vec!["verify", "--secret-file", secret, "--issuer", "i", "x"],
            vec!["verify", "--jwks", secret, "--issuer", "i", "--format", "json", "x"],
            vec!["verify", "--algorithms", secret, "x"],
            vec!["generate", "orders", "--key", secret, "--algorithm", "HS256", "--issuer", "i"],
            vec!["generate", "orders", "--lifetime", secret],
            vec!["generate", secret],
            vec!["verify", secret, secret],
        ] {
            assert_silent(&sandbox.run(&arguments), secret);
        }
    }
}

#[test]
fn token_that_a_denial_would_quote_as_expected_is_not_printed() {
    let sandbox = Sandbox::configured();
    let minted = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    for format in ["text", "json"] {
        let ran = sandbox.feed(&["verify", "--issuer", TOKEN, "--format", format, "-"], &minted);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(ran.stdout.contains("issuer") && !ran.stdout.contains("eyJ"), "{}", ran.stdout);
    }
}

#[test]
fn ordinary_paths_and_names_stay_in_messages() {
    let sandbox = Sandbox::configured();
    let long = "keys/of/the/bakery/platform/for-production/signing.key.2026-01.backup.pem";
    let inside = sandbox.path("SigningKeysOfProductionAndAllTheOthers2026.pem");
    for path in [long, inside.to_str().unwrap(), "missing.config.of.production.toml"] {
        let message = sandbox.run(&["verify", "--jwks", path, "--issuer", "i", "x"]).refused();
        assert!(message.contains(&format!("`{path}`")), "{message}");
    }
    for name in ["tenant-deletion-orchestrator", "tenant-deletion-orchestrator.bakery.svc.cluster.local"] {
        let message = sandbox.run(&["generate", name]).not_found();
        assert!(message.contains(&format!("`{name}` is not a service")), "{message}");
    }
    let message = sandbox.run(&["verify", "--secret-env", "BAKERY_SECRET", "--issuer", "i", "x"]).refused();
    assert!(message.contains("`BAKERY_SECRET` is not set"), "{message}");
}

#[test]
fn configuration_that_is_a_secret_is_refused_without_quoting_it() {
    let sandbox = Sandbox::new();
    let secret = "dGhlIHNlY3JldCBvZiB0aGUgYmFrZXJ5LCAzMiBieXRlcw";
    for text in [
        format!("{secret}=\n"),
        format!("{secret} = 5\n"),
        format!("issuer = \"i\"\nkey = \"{secret}\"\n"),
        format!("issuer = \"i\"\nkey = \"{TOKEN}\"\n"),
        "issuer = \"i\"\nkey = \"the secret of the bakery\"\n".to_owned(),
    ] {
        sandbox.write("service-token.toml", &text);
        let ran = sandbox.run(&["generate", "orders"]);
        for quoted in [secret, TOKEN, "the secret of the bakery"] {
            assert_silent(&ran, quoted);
        }
        assert!(ran.stderr.contains("service-token.toml:"), "{}", ran.stderr);
    }
}
