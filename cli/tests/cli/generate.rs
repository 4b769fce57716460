//! Minting: what the token says, where it goes, and what is refused.

use crate::sandbox::{Sandbox, claims_of};

#[test]
fn token_of_a_listed_service_has_the_configured_claims() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["generate", "orders"]).done();
    let claims = claims_of(ran.line());
    assert_eq!(claims["iss"], "bakery-auth");
    assert_eq!((&claims["sub"], &claims["service"]), (&"orders".into(), &"orders".into()));
    assert_eq!((&claims["type"], &claims["is_service"]), (&"service".into(), &true.into()));
    assert_eq!((&claims["role"], &claims["scope"]), (&"reader".into(), &"orders:read orders:list".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 30 * 86_400);
    assert_eq!(claims["jti"].as_str().unwrap().len(), 36);
    assert!(claims.get("aud").is_none());
}

#[test]
fn options_override_the_configuration() {
    let sandbox = Sandbox::configured();
    let options = [
        "--issuer",
        "other",
        "--audience",
        "a",
        "--role",
        "r",
        "--scope",
        "x",
        "--scope",
        "y",
        "--lifetime",
        "1h",
        "--dangerously-mint-refused",
    ];
    let ran = sandbox.run(&[&["generate", "orders"], options.as_slice()].concat()).done();
    let claims = claims_of(ran.line());
    assert_eq!((&claims["iss"], &claims["aud"]), (&"other".into(), &serde_json::json!("a")));
    assert_eq!((&claims["role"], &claims["scope"]), (&"r".into(), &"x y".into()));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
}

#[test]
fn role_is_admin_where_nothing_names_one() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["generate", "inventory"]).done();
    assert_eq!(claims_of(ran.line())["role"], "admin");
}

#[test]
fn all_prints_tokens_on_stdout_and_the_table_on_stderr() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["generate", "--all"]).done();
    let names: Vec<_> = ran.stdout.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(names, ["inventory", "orders"]);
    for text in ["service", "expires", "jti", "kid", "reader", "orders:read orders:list"] {
        assert!(ran.stderr.contains(text), "{}", ran.stderr);
    }
    for line in ran.stdout.lines() {
        let token = line.split_once(' ').unwrap().1;
        assert!(!ran.stderr.contains(token));
        sandbox.feed(&["verify", "-"], token).done();
    }
}

#[test]
fn all_as_json_is_one_array() {
    let made = Sandbox::configured().run(&["generate", "--all", "--format", "json"]).done().json();
    assert_eq!(made.as_array().unwrap().len(), 2);
    assert_eq!(made[1]["service"], "orders");
    assert!(made[1]["token"].as_str().unwrap().starts_with("eyJ"));
    assert!(made[1]["expires"].as_str().unwrap().ends_with('Z'));
}

#[cfg(unix)]
#[test]
fn out_dir_gets_one_private_file_for_each_service() {
    let sandbox = Sandbox::configured();
    let ran = sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).done();
    assert_eq!(ran.stdout, "tokens/inventory.token\ntokens/orders.token\n");
    assert_eq!(sandbox.mode("tokens/orders.token"), 0o600);
    let token = sandbox.read("tokens/orders.token");
    assert_eq!(claims_of(token.trim_end())["service"], "orders");
    sandbox.feed(&["verify", "-"], &token).done();
}

#[cfg(unix)]
#[test]
fn out_dir_that_others_can_write_gets_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = Sandbox::configured();
    std::fs::create_dir(sandbox.path("open")).unwrap();
    for (mode, warned) in [(0o777, true), (0o775, true), (0o757, true), (0o755, false), (0o700, false)] {
        std::fs::set_permissions(sandbox.path("open"), std::fs::Permissions::from_mode(mode)).unwrap();
        for command in ["generate", "k8s-secret"] {
            let ran = sandbox.run(&[command, "orders", "--out-dir", "open", "--force"]).done();
            let warning = format!("warning: others can write to the directory `open` (mode {mode:04o})");
            assert_eq!(ran.stderr.contains(&warning), warned, "{mode:o}: {}", ran.stderr);
        }
    }
    let fresh = sandbox.run(&["generate", "orders", "--out-dir", "fresh", "--no-store"]).done();
    assert_eq!(fresh.stderr, "");
}

#[test]
fn existing_token_file_is_kept_and_no_other_is_written() {
    let sandbox = Sandbox::configured();
    std::fs::create_dir(sandbox.path("tokens")).unwrap();
    sandbox.write("tokens/orders.token", "mine");
    let message = sandbox.run(&["generate", "--all", "--out-dir", "tokens"]).refused();
    assert!(message.contains("tokens/orders.token") && message.contains("--force"), "{message}");
    assert_eq!(sandbox.read("tokens/orders.token"), "mine");
    assert!(!sandbox.path("tokens/inventory.token").exists());
    sandbox.run(&["generate", "--all", "--out-dir", "tokens", "--force"]).done();
    assert_ne!(sandbox.read("tokens/orders.token"), "mine");
}

#[test]
fn name_that_is_not_listed_is_refused_unless_allowed() {
    let sandbox = Sandbox::configured();
    let message = sandbox.run(&["generate", "order"]).not_found();
    assert!(message.contains("`order` is not a service of `service-token.toml`"), "{message}");
    assert!(message.contains("--allow-unlisted"), "{message}");
    sandbox.run(&["generate", "order", "--allow-unlisted"]).done();
}

#[test]
fn token_with_a_long_lifetime_is_minted_with_a_warning() {
    let sandbox = Sandbox::configured();
    let long = sandbox.run(&["generate", "orders", "--lifetime", "365d"]).done();
    assert!(long.stderr.contains("warning: orders: ") && long.stderr.contains("90 days"), "{}", long.stderr);
    let short = sandbox.run(&["generate", "orders", "--lifetime", "90d", "--no-store"]).done();
    assert_eq!(short.stderr, "");
}

#[test]
fn names_scopes_and_lifetimes_follow_their_rules() {
    let sandbox = Sandbox::configured();
    for name in ["../x", "-x", "ä", "a b", ""] {
        sandbox.run(&["generate", "--allow-unlisted", "--", name]).refused();
    }
    sandbox.run(&["generate", "orders", "--scope", "a b"]).refused();
    sandbox.run(&["generate", "orders", "--lifetime", "soon"]).refused();
    sandbox.run(&["generate", "orders", "--lifetime", "0s"]).refused();
    sandbox.run(&["generate", "orders", "--lifetime", "99999999999years"]).refused();
    sandbox.run(&["generate"]).refused();
    sandbox.run(&["generate", "orders", "--all"]).refused();
}

#[test]
fn key_on_the_command_line_needs_no_configuration() {
    let sandbox = Sandbox::new();
    sandbox.run(&["keygen", "--out", "k.pem"]).done();
    let key = ["generate", "anybody", "--key", "k.pem", "--algorithm", "ES256"];
    sandbox.run(&[key.as_slice(), &["--issuer", "i"]].concat()).done();
    assert!(sandbox.run(&key).refused().contains("--issuer"));
    assert!(sandbox.run(&["generate", "anybody"]).refused().contains("service-token init"));
    assert!(sandbox.run(&["generate", "--all"]).refused().contains("configuration file"));
}
