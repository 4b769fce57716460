//! Names that match nothing: each is an error with the name and the next step, never an empty answer or a
//! success without an effect.

use std::time::Duration;

use service_only::clock::{Clock as _, SystemClock, Timestamp};

use crate::sandbox::Sandbox;
use crate::store::{mint, sandboxes, states, with_store};

/// The problem of a name that matches nothing.
fn not_found(sandbox: &Sandbox, arguments: &[&str]) -> String {
    refused(sandbox, arguments, 9)
}

/// The problem of a command that must write nothing.
fn refused(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    let before = sandbox.run(&["revocations", "--format", "json"]).done().stdout;
    let message = sandbox.run(arguments).refused_with(code);
    assert!(message.contains("help: "), "{arguments:?}: {message}");
    assert_eq!(sandbox.run(&["revocations", "--format", "json"]).done().stdout, before, "{arguments:?}");
    message
}

#[test]
fn unknown_service_key_or_issuer_is_not_revoked() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        for arguments in [
            &["revoke", "--service", "ordres", "--before", "now"][..],
            &["revoke", "--service", "", "--before", "now"],
            &["revoke", "--service", "ORDERS", "--before", "now"],
            &["revoke", "--key", "no-such-key"],
            &["revoke", "--key", ""],
            &["revoke", "--service", "orders", "--before", "now", "--issuer", "bakery-atuh"],
            &["revoke", &jti, "--issuer", "another"],
            &["revoke", &jti, "--issuer", ""],
            &["revoke", "no-such-token"],
            &["revoke", "no-such-token", "--expires", "2030-01-01T00:00:00Z", "--issuer", "another"],
        ] {
            let message = not_found(&sandbox, arguments);
            assert!(message.contains("nothing was revoked"), "{arguments:?}: {message}");
        }
        let message = not_found(&sandbox, &["revoke", "--service", "ordres", "--before", "now"]);
        assert!(
            message.contains("did you mean `orders`?") && message.contains("--allow-unknown"),
            "{message}"
        );
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done())[0].1, "active");
    }
}

#[test]
fn unknown_names_are_revoked_with_allow_unknown() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        for arguments in [
            &["revoke", "--service", "ghost", "--before", "now", "--allow-unknown"][..],
            &["revoke", "--key", "lost", "--allow-unknown"],
            &["revoke", "--key", "lost", "--issuer", "another", "--allow-unknown"],
        ] {
            let ran = sandbox.run(arguments).done();
            assert!(ran.stdout.contains("0 tokens of the registry"), "{}", ran.stdout);
            assert!(ran.stderr.contains("warning: the registry contains no valid token"), "{}", ran.stderr);
        }
        assert_eq!(
            sandbox.run(&["revocations", "--active", "--format", "json"]).json().as_array().unwrap().len(),
            3
        );
        assert!(sandbox.run(&["revoke", "ghost", "--allow-unknown"]).not_found().contains("--expires"));
    }
}

#[test]
fn mistyped_store_is_created_by_no_command() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    for arguments in [
        &["revoke", "--key", "k1", "--store", "sqlite:other.db"][..],
        &["revoke", "--service", "ghost", "--before", "now", "--store", "sqlite:other.db"],
        &["revoke", "some-token", "--store", "sqlite:other.db"],
        &["unrevoke", "1", "--reason", "r", "--store", "sqlite:other.db"],
        &["revocations", "--store", "sqlite:other.db"],
        &["list", "--store", "sqlite:other.db"],
        &["show", "some-token", "--store", "sqlite:other.db"],
        &["expiring", "--within", "1d", "--store", "sqlite:other.db"],
        &["generate", "orders", "--store", "sqlite:other.db"],
        &["generate", "--all", "--out-dir", "tokens", "--store", "sqlite:other.db"],
        &["k8s-secret", "orders", "--store", "sqlite:other.db"],
        &["renew", "--out-dir", "tokens", "--store", "sqlite:other.db"],
        &["rotate", "--store", "sqlite:other.db"],
        &["rotate", "--plan", "--store", "sqlite:other.db"],
        &["rotate", "--emergency", "--store", "sqlite:other.db"],
        &["prune", "--store", "sqlite:other.db"],
        &["revoke", "--key", "k1", "--allow-unknown", "--store", "sqlite:other.db"],
    ] {
        let message = sandbox.run(arguments).unavailable();
        assert!(message.contains("no store exists at"), "{arguments:?}: {message}");
        assert!(message.contains("`service-token store init` creates one"), "{arguments:?}: {message}");
        assert!(!sandbox.path("other.db").exists(), "{arguments:?}");
    }
}

#[test]
fn revocation_counts_covered_and_valid_tokens() {
    for sandbox in sandboxes() {
        let (_, first) = mint(&sandbox, &["orders"]);
        mint(&sandbox, &["orders"]);
        mint(&sandbox, &["inventory"]);
        let ran = sandbox.run(&["revoke", &first]).done();
        assert!(ran.stdout.contains("1 token of the registry, 1 of them valid until now"), "{}", ran.stdout);
        let ran =
            sandbox.run(&["revoke", "--service", "orders", "--before", "now", "--format", "json"]).done();
        assert_eq!((&ran.json()["known_tokens"], &ran.json()["valid_tokens"]), (&2.into(), &1.into()));
        let ran =
            sandbox.run(&["revoke", "--service", "inventory", "--before", "2020-01-01T00:00:00Z"]).done();
        assert!(ran.stdout.contains("0 tokens of the registry"), "{}", ran.stdout);
        assert!(ran.stderr.contains("1 valid token of the service was issued later"), "{}", ran.stderr);
    }
}

#[test]
fn token_that_has_expired_is_not_revoked() {
    for sandbox in sandboxes() {
        mint(&sandbox, &["orders"]);
        let expired_at = SystemClock.now().minus(Duration::from_secs(1_000));
        let issued_at = expired_at.minus(Duration::from_secs(60));
        let record = service_only_store::TokenRecord {
            issuer: "bakery-auth".to_owned(),
            jti: "old-token".to_owned(),
            service: "orders".to_owned(),
            kid: "k".to_owned(),
            issued_at,
            expires_at: expired_at,
            note: None,
            minted_by: None,
            minted_at: issued_at,
        };
        crate::store::change(&sandbox, async |store| store.record_tokens(&[record]).await);
        let message = refused(&sandbox, &["revoke", "old-token"], 2);
        assert!(message.contains("expired") && message.contains("nothing was revoked"), "{message}");
    }
}

#[test]
fn filter_that_matches_no_name_is_an_error() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        for arguments in [
            &["list", "--service", "ordres"][..],
            &["list", "--service", ""],
            &["list", "--issuer", "another"],
            &["list", "--service", "orders", "--issuer", "another", "--revoked"],
            &["expiring", "--within", "30d", "--service", "ordres"],
            &["expiring", "--within", "30d", "--issuer", "another"],
            &["expiring", "--format", "prometheus", "--issuer", "another"],
            &["show", "no-such-token"],
            &["show", &jti, "--issuer", "another"],
            &["revocations", "--issuer", "another"],
            &["rotate", "--emergency", "no-such-key"],
            &["rotate", "--emergency="],
            &["generate", "ordres"],
            &["k8s-secret", "ordres"],
        ] {
            not_found(&sandbox, arguments);
        }
        for arguments in [
            &["renew", "--deployed", "no-such-folder", "--out-dir", "tokens"][..],
            &["renew", "--deployed", "no-such-folder", "--k8s-secret"],
        ] {
            refused(&sandbox, arguments, 2);
        }
        assert!(not_found(&sandbox, &["list", "--service", "ordres"]).contains("did you mean `orders`?"));
        assert!(not_found(&sandbox, &["generate", "ordres"]).contains("did you mean `orders`?"));
        assert_eq!(states(&sandbox.run(&["list", "--format", "json"]).done()).len(), 1, "nothing was minted");
    }
}

#[test]
fn filter_of_a_configured_service_without_tokens_gives_an_empty_list() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    for arguments in
        [&["list", "--service", "inventory"][..], &["expiring", "--within", "1d", "--service", "inventory"]]
    {
        let ran = sandbox.run(arguments).done();
        assert_eq!(ran.stdout, "");
        assert!(ran.stderr.contains("no token of `inventory`"), "{}", ran.stderr);
    }
}

#[test]
fn empty_names_are_refused_wherever_they_would_be_written_into_a_token_or_a_key() {
    let sandbox = Sandbox::configured();
    for arguments in [
        &["generate", ""][..],
        &["generate", "orders", "--issuer", ""],
        &["generate", "orders", "--audience", ""],
        &["generate", "orders", "--role", ""],
        &["generate", "orders", "--scope", ""],
        &["generate", "orders", "--key", "signing.pem", "--algorithm", "ES256", "--issuer", "i", "--kid", ""],
        &["keygen", "--kid", "", "--out", "new.pem"],
        &["jwks", "--key", "signing.pem", "--algorithm", "ES256", "--kid", ""],
        &["k8s-secret", "orders", "--namespace", ""],
        &["k8s-secret", "orders", "--name", ""],
        &["dev", "orders", "--issuer", ""],
        &["verify", "--issuer", "", "-"],
        &["verify", "--audience", "", "-"],
    ] {
        let ran = sandbox.feed(arguments, "a.b.c");
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}: {}", ran.stderr);
    }
    assert!(!sandbox.path("new.pem").exists());
}

#[test]
fn option_of_attack_and_endpoints_that_matches_nothing_is_an_error() {
    let sandbox = Sandbox::configured();
    let attack =
        ["attack", "--url", "http://127.0.0.1:1", "--service", "orders", "--endpoint", "/stock/{id}"];
    let message = sandbox.run(&[&attack[..], &["--parameter", "idd=7"]].concat()).not_found();
    assert!(message.contains("no path has a parameter `idd`") && message.contains("`id`"), "{message}");
    let message = sandbox.run(&[&attack[..], &["--allow-host", "orders"]].concat()).refused();
    assert!(message.contains("`--allow-host` names `orders`"), "{message}");

    let table = r#"{"service":"shop","routes":[{"methods":["GET"],"path":"/stock","access":{"service_only":{"services":["orders"]}}}]}"#;
    let options =
        ["--format", "istio", "--namespace", "bakery", "--issuer", "i", "--jwks-uri", "https://a.example/j"];
    let export = |principal| {
        sandbox.feed(&[&["endpoints", "-", "--principal", principal], &options[..]].concat(), table)
    };
    let message = export("ordres=td/ns/jobs/sa/x").not_found();
    assert!(message.contains("did you mean `orders`?"), "{message}");
    assert!(export("orders=td/ns/jobs/sa/x").done().stdout.contains("td/ns/jobs/sa/x"));
}

#[test]
fn key_that_was_retired_in_the_usual_way_is_revoked_by_an_emergency() {
    use service_only::keys::KeyState;
    use service_only_store::KeyRecord;
    let sandbox = with_store("sqlite:tokens.db");
    sandbox.run(&["rotate"]).done();
    let retired = KeyRecord {
        issuer: "bakery-auth".to_owned(),
        kid: "former".to_owned(),
        algorithm: "ES256".to_owned(),
        state: KeyState::Retired,
        file: None,
        public_jwk: None,
        prepared_at: Timestamp::from_unix(1),
        active_at: Some(Timestamp::from_unix(1)),
        retiring_at: Some(Timestamp::from_unix(2)),
        retired_at: Some(Timestamp::from_unix(3)),
        expires_at: None,
    };
    crate::store::change(&sandbox, async |store| store.add_key(&retired).await);
    for lines in [1, 0] {
        let ran = sandbox.run(&["rotate", "--emergency=former"]).done();
        assert_eq!(
            ran.stdout.lines().filter(|line| *line == "revoked former").count(),
            lines,
            "{}",
            ran.stdout
        );
    }
    let listed = sandbox.run(&["revocations", "--active", "--format", "json"]).done().json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["name"]), (1, &"former".into()));
}

#[test]
fn token_that_is_nearly_named_is_not_revoked_in_another_form() {
    for sandbox in sandboxes() {
        let (_, jti) = mint(&sandbox, &["orders"]);
        let forms = [
            jti[..8].to_owned(),
            jti.to_uppercase(),
            format!(" {jti}"),
            format!("{jti}\n"),
            format!("urn:uuid:{jti}"),
        ];
        for form in &forms {
            let message = not_found(&sandbox, &["revoke", form, "--expires", "2030-01-01T00:00:00Z"]);
            assert!(message.contains("nothing was revoked"), "{message}");
            assert!(message.contains(&format!("did you mean `{jti}`?")), "{message}");
            let shown = sandbox.run(&["show", form, "--format", "json"]).done();
            assert_eq!(shown.json()["jti"], jti.as_str());
        }
        let meant =
            ["revoke", &forms[0], "--expires", "2030-01-01T00:00:00Z", "--allow-unknown", "--format", "json"];
        assert_eq!(sandbox.run(&meant).done().json()["name"], forms[0].as_str());
        let ran = sandbox.run(&["revoke", &forms[1], "--format", "json"]).done();
        assert_eq!((&ran.json()["name"], &ran.json()["valid_tokens"]), (&jti.as_str().into(), &1.into()));
    }
}

#[test]
fn store_or_environment_with_an_empty_name_is_not_another_one() {
    let sandbox = with_store("sqlite:tokens.db");
    mint(&sandbox, &["orders"]);
    for arguments in [
        &["revoke", "--service", "orders", "--before", "now", "--store", ""][..],
        &["--environment", "", "revoke", "--service", "orders", "--before", "now"],
        &["verify", "--store=", "-"],
        &["store", "init", "--store", ""],
        &["rotate", "--environment="],
    ] {
        let message = sandbox.feed(arguments, "a.b.c").refused();
        assert!(message.contains("is empty; write one, or leave the option out"), "{arguments:?}: {message}");
    }
    assert_eq!(sandbox.run(&["revocations", "--format", "json"]).done().stdout, "[]\n");
    // An empty variable is an unset one.
    let variables = [("SERVICE_TOKEN_STORE", ""), ("SERVICE_TOKEN_ENVIRONMENT", "")];
    assert_eq!(
        sandbox.run_with(&["list", "--format", "json"], b"", &variables).done().json()[0]["service"],
        "orders"
    );
}
