//! What a person sees: short ids, order and colours of tables.

mod snapshots;

use std::time::Duration;

use service_only::clock::{Clock as _, SystemClock};
use service_only_store::{NewRevocation, RevocationTarget, TokenRecord};

use crate::sandbox::Sandbox;
use crate::store::{change, sandboxes};
use crate::store_trouble::meddle;

pub(crate) const KID: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// A token of the registry, which expires in so many days.
pub(crate) fn token(jti: &str, service: &str, days: i64, note: Option<&str>) -> TokenRecord {
    let distance = Duration::from_secs(days.unsigned_abs() * 86_400);
    let now = SystemClock.now();
    let expires_at = if days < 0 { now.minus(distance) } else { now.plus(distance) };
    TokenRecord {
        issuer: "bakery-auth".to_owned(),
        jti: jti.to_owned(),
        service: service.to_owned(),
        kid: KID.to_owned(),
        issued_at: expires_at.minus(Duration::from_secs(60 * 86_400)),
        expires_at,
        note: note.map(str::to_owned),
        minted_by: Some("operator".to_owned()),
        minted_at: expires_at.minus(Duration::from_secs(60 * 86_400)),
    }
}

/// Four tokens: two have a common beginning, one is revoked and one has expired.
pub(crate) fn fill(sandbox: &Sandbox) {
    let tokens = [
        token("76514ef5-446e-4842-932c-231cd329f030", "orders", 30, None),
        token("76514ef5-91a3-4a43-9a64-5f8e6f0c7a11", "inventory", 10, None),
        token(
            "0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11",
            "tenant-deletion-orchestrator",
            3,
            Some("for the night job"),
        ),
        token("c0ffee00-91a3-4a43-9a64-5f8e6f0c7a11", "mail", -2, None),
    ];
    change(sandbox, async |store| {
        store.record_tokens(&tokens).await?;
        let target = RevocationTarget::Token {
            jti: "0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11".to_owned(),
            expires_at: SystemClock.now().plus(Duration::from_secs(3 * 86_400)),
        };
        let at = SystemClock.now().minus(Duration::from_secs(3 * 3_600));
        let mut revocation = NewRevocation::new("bakery-auth", target).at(at);
        revocation.reason = Some("seen in a log of the night job".to_owned());
        revocation.revoked_by = Some("operator".to_owned());
        store.revoke(&revocation).await.map(drop)
    });
}

#[test]
fn unique_beginning_of_an_id_names_a_token_or_a_key() {
    for sandbox in sandboxes() {
        fill(&sandbox);
        let shown = sandbox.run(&["show", "0d5b", "--format", "json"]).done().json();
        assert_eq!(shown["jti"], "0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11");
        let revoked = sandbox.run(&["revoke", "76514ef5-4", "--format", "json"]).done().json();
        assert_eq!(revoked["name"], "76514ef5-446e-4842-932c-231cd329f030");
        let revoked = sandbox.run(&["revoke", "--key", "NzbLsXh8", "--format", "json"]).done().json();
        assert_eq!(revoked["name"], KID);
        let kid = sandbox.run(&["rotate", "--format", "json"]).done().json()["made"][0]["kid"].clone();
        let id = kid.as_str().unwrap().get(..8).unwrap();
        let leaked = sandbox.run(&["rotate", &format!("--emergency={id}"), "--format", "json"]).done().json();
        assert_eq!(leaked["leaked"][0], kid);
    }
}

#[test]
fn ambiguous_beginning_is_refused_with_the_candidates() {
    for sandbox in sandboxes() {
        fill(&sandbox);
        for command in ["show", "revoke"] {
            let message = sandbox.run(&[command, "76514ef5"]).refused();
            for part in ["several tokens begin with `76514ef5`", "446e-4842", "of `orders`", "of `inventory`"]
            {
                assert!(message.contains(part), "{message}");
            }
        }
        // Three characters are a typing error.
        for id in ["0d5", "0d5b7c52"] {
            assert!(sandbox.run(&["show", id]).not_found().contains(&format!("no token `{id}`")));
        }
        // RFC 9562 section 4: a UUID is read in either case.
        let ran = sandbox.run(&["show", "0D5B7C51"]).done();
        assert!(ran.stdout.contains("0d5b7c51-91a3-4a43-9a64-5f8e6f0c7a11"), "{}", ran.stdout);
        assert_eq!(
            sandbox.run(&["revocations", "--format", "json"]).done().json().as_array().unwrap().len(),
            1
        );
    }
}

#[test]
fn list_is_sorted_by_the_named_column() {
    for sandbox in sandboxes() {
        fill(&sandbox);
        let services = |options: &[&str]| {
            let listed = sandbox.run(&[&["list", "--format", "json"], options].concat()).done().json();
            let names =
                listed.as_array().unwrap().iter().map(|token| token["service"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        let tenant = "tenant-deletion-orchestrator";
        assert_eq!(services(&[]), ["mail", tenant, "inventory", "orders"]);
        assert_eq!(services(&["--reverse"]), ["orders", "inventory", tenant, "mail"]);
        assert_eq!(services(&["--sort", "service"]), ["inventory", "mail", "orders", tenant]);
        assert_eq!(services(&["--sort", "state"]), ["inventory", "orders", tenant, "mail"]);
        assert_eq!(services(&["--sort", "issued", "--limit", "2", "--reverse"]), ["orders", "inventory"]);
        assert_eq!(services(&["--sort", "key"]).len(), 4);
    }
}

#[test]
fn limit_of_a_sorted_list_ends_the_whole_order_and_not_the_tokens_that_expire_first() {
    for sandbox in sandboxes() {
        fill(&sandbox);
        let services = |options: &[&str]| {
            let ran = sandbox.run(&[&["list", "--limit", "2", "--format", "json"], options].concat()).done();
            let names = ran.json();
            let names = names.as_array().unwrap().iter().map(|token| token["service"].as_str().unwrap());
            assert!(ran.stderr.contains("2 more tokens match; `--limit 4` lists all"), "{}", ran.stderr);
            names.map(str::to_owned).collect::<Vec<_>>()
        };
        let tenant = "tenant-deletion-orchestrator";
        assert_eq!(services(&["--sort", "service"]), ["inventory", "mail"]);
        assert_eq!(services(&["--sort", "service", "--reverse"]), [tenant, "orders"]);
        assert_eq!(services(&["--sort", "state"]), ["inventory", "orders"]);
        assert_eq!(services(&["--sort", "state", "--reverse"]), ["mail", tenant]);
        assert_eq!(services(&["--reverse"]), ["orders", "inventory"]);
    }
}

#[tokio::test]
async fn any_number_of_tokens_is_sorted_by_expiry_or_state_and_a_limited_number_by_another_column() {
    let sandbox = crate::store::with_store("sqlite:tokens.db");
    let many = "INSERT INTO service_only_tokens (issuer, jti, service, kid, issued_at, expires_at, minted_at)
        WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 50000)
        SELECT 'bakery-auth', 'j' || n, 'orders', 'k', 0, unixepoch() + 900000 + n, 0 FROM numbers";
    meddle(&sandbox, many).await.close().await;
    let message = sandbox.run(&["list", "--sort", "issued"]).refused();
    assert!(message.contains("more than 50000 tokens match"), "{message}");
    sandbox.run(&["list", "--sort", "issued", "--expired"]).done();
    for options in [&["--reverse"][..], &["--sort", "state"], &["--sort", "state", "--reverse"]] {
        let ran = sandbox.run(&[&["list", "--limit", "1"], options].concat()).done();
        assert!(ran.stderr.contains("more than 10000 more tokens match"), "{}", ran.stderr);
    }
}

#[test]
fn colours_follow_the_option_then_the_variable_then_the_terminal() {
    let sandbox = Sandbox::configured();
    let token = sandbox.run(&["generate", "orders", "--no-store"]).done().stdout;
    let colours = |options: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["verify", "--no-store", "-"], options].concat();
        sandbox.run_with(&arguments, token.as_bytes(), variables).done().stdout.contains('\u{1b}')
    };
    assert!(!colours(&[], &[]), "a pipe has no colours");
    assert!(colours(&["--color", "always"], &[("NO_COLOR", "1")]), "the option overrides the variable");
    assert!(!colours(&["--color", "never"], &[("NO_COLOR", ""), ("CLICOLOR_FORCE", "1")]));
    assert!(!colours(&[], &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]));
    assert!(colours(&[], &[("NO_COLOR", ""), ("CLICOLOR_FORCE", "1")]));
    for (when, has_colours) in [("always", true), ("never", false)] {
        let wrong =
            sandbox.run_with(&["lst", "--color", when], b"", &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")]);
        assert_eq!((wrong.code, wrong.stderr.contains('\u{1b}')), (2, has_colours), "{when}");
    }
    let green = sandbox.feed(&["--color", "always", "verify", "--no-store", "-"], &token).done().stdout;
    assert!(green.starts_with("\u{1b}[1m\u{1b}[32maccepted\u{1b}[0m: service `orders`"), "{green:?}");
    let arguments = ["--color", "always", "verify", "--no-store", "--role", "another", "-"];
    let red = sandbox.feed(&arguments, &token).stdout;
    assert!(red.starts_with("\u{1b}[1m\u{1b}[31mrefused, forbidden (403 "), "{red:?}");
}
