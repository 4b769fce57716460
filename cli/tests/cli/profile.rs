//! The strict profile: minted, verified, and kept apart from the compatible one.

use crate::{sandbox::Sandbox, sandbox::claims_of};

const KEY: [&str; 6] = ["--key", "key.pem", "--algorithm", "ES256", "--issuer", "bakery-auth"];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.run(&["keygen", "--algorithm", "ES256", "--out", "key.pem", "--public-out", "jwks.json"]).done();
    sandbox
}

fn mint(sandbox: &Sandbox, options: &[&str]) -> String {
    sandbox.run(&[&["generate", "orders"], &KEY[..], options].concat()).done().line().to_owned()
}

fn verdict(sandbox: &Sandbox, token: &str, options: &[&str]) -> i32 {
    let verify = ["verify", token, "--jwks", "jwks.json", "--issuer", "bakery-auth"];
    sandbox.run(&[&verify[..], options].concat()).code
}

#[test]
fn strict_token_is_valid_for_an_hour_and_only_for_a_strict_verifier() {
    let sandbox = sandbox();
    let token = mint(&sandbox, &["--profile", "strict", "--audience", "shop"]);
    let claims = claims_of(&token);
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3600);
    assert_eq!(verdict(&sandbox, &token, &["--audience", "shop", "--profile", "strict"]), 0);
    assert_eq!(verdict(&sandbox, &token, &["--audience", "shop"]), 1);
    let old = mint(&sandbox, &["--audience", "shop"]);
    assert_eq!(verdict(&sandbox, &old, &["--audience", "shop"]), 0);
    assert_eq!(verdict(&sandbox, &old, &["--audience", "shop", "--profile", "strict"]), 1);
}

#[test]
fn strict_profile_requires_an_audience_and_a_key_pair() {
    let sandbox = sandbox();
    let options = ["--profile", "strict"];
    let ran = sandbox.run(&[&["generate", "orders"], &KEY[..], &options[..]].concat());
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("audience"), "{}", ran.stderr);
    sandbox.run(&["keygen", "--algorithm", "HS256", "--out", "secret"]).done();
    let ran = sandbox.run(&[
        "generate",
        "orders",
        "--key",
        "secret",
        "--algorithm",
        "HS256",
        "--issuer",
        "a",
        "--profile",
        "strict",
        "--audience",
        "shop",
    ]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("key pair"), "{}", ran.stderr);
    let token = mint(&sandbox, &[]);
    assert_eq!(verdict(&sandbox, &token, &["--profile", "strict"]), 2);
}

#[test]
fn configuration_names_the_profile_for_minting_and_verifying() {
    let sandbox = sandbox();
    let file = |profile: &str| {
        format!(
            "issuer = \"bakery-auth\"\naudience = \"shop\"\nprofile = \"{profile}\"\n\
             [key]\nfile = \"key.pem\"\nalgorithm = \"ES256\"\n[services]\norders = {{}}\n"
        )
    };
    std::fs::write(sandbox.path("service-token.toml"), file("strict")).unwrap();
    let token = sandbox.run(&["generate", "orders"]).done().line().to_owned();
    assert_eq!(sandbox.run(&["verify", &token]).code, 0);
    assert_eq!(sandbox.run(&["verify", &token, "--profile", "compatible"]).code, 1);
    std::fs::write(sandbox.path("service-token.toml"), file("stict")).unwrap();
    let ran = sandbox.run(&["generate", "orders"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("service-token.toml:3") && ran.stderr.contains("`stict`"), "{}", ran.stderr);
}

const STRICT: &str = r#"
issuer = "bakery-auth"
audience = "shop"
profile = "strict"
store = "sqlite:store.db"
[key]
file = "key.pem"
algorithm = "ES256"
[services]
orders = {}
"#;

const INTENT: &str = "--dangerously-mint-refused";

#[test]
fn strict_token_of_more_than_a_day_is_refused() {
    let sandbox = sandbox();
    let long = ["--profile", "strict", "--audience", "shop", "--lifetime", "25h"];
    let command = [&["generate", "orders"], &KEY[..], &long[..]].concat();
    let message = sandbox.run(&command).refused_with(6);
    assert!(message.contains("valid for 90000 s") && message.contains(INTENT), "{message}");
    let ran = sandbox.run(&[&command[..], &[INTENT]].concat()).done();
    assert!(ran.stderr.contains("warning: `verify` refuses the token of `orders`"), "{}", ran.stderr);
    assert_eq!(verdict(&sandbox, ran.line(), &["--audience", "shop", "--profile", "strict"]), 1);
}

#[test]
fn no_token_is_minted_that_verify_refuses_with_the_same_configuration() {
    let sandbox = sandbox();
    sandbox.write("service-token.toml", STRICT);
    sandbox.run(&["store", "init"]).done();
    sandbox.run(&["generate", "orders", "--out-dir", "tokens"]).done();
    let before = sandbox.read("tokens/orders.token");
    let other = ["keygen", "--algorithm", "ES256", "--out", "other.pem"];
    sandbox.run(&other).done();
    let options: [&[&str]; 4] = [
        &["--lifetime", "48h"],
        &["--audience", "other"],
        &["--issuer", "zzz"],
        &["--profile", "compatible"],
    ];
    for command in [&["generate", "orders"][..], &["generate", "--all"], &["k8s-secret", "orders"]] {
        for options in options {
            let command = [command, options].concat();
            for more in [&[][..], &["--no-store"], &["--dry-run"]] {
                let message = sandbox.run(&[&command[..], more].concat()).refused_with(6);
                assert!(message.contains("`verify` refuses the token of `orders`"), "{command:?}: {message}");
            }
        }
        let key = ["--config", "service-token.toml", "--key", "other.pem", "--algorithm", "ES256"];
        for more in [&[][..], &["--no-store"], &["--dry-run"]] {
            let message = sandbox.run(&[command, &key, more].concat()).refused_with(7);
            assert!(message.contains("is not the key of `service-token.toml`"), "{command:?}: {message}");
        }
        sandbox.run(&[command, &key, &[INTENT]].concat()).done();
    }
    let renew = ["renew", "--out-dir", "tokens", "--within", "60m", "--lifetime", "48h"];
    for more in [&[][..], &["--dry-run"]] {
        sandbox.run(&[&renew[..], more].concat()).refused_with(6);
    }
    assert_eq!(sandbox.read("tokens/orders.token"), before);
    let ran = sandbox.run(&["generate", "orders", "--audience", "other", INTENT]).done();
    assert_eq!(sandbox.run(&["verify", ran.line()]).code, 1);
    assert_eq!(sandbox.run(&["verify", ran.line(), "--audience", "other"]).code, 0);
    sandbox.run(&[&renew[..], &[INTENT]].concat()).done();
    assert_ne!(sandbox.read("tokens/orders.token"), before);
}

#[test]
fn lifetime_of_the_configuration_that_verify_refuses_is_refused_too() {
    let sandbox = sandbox();
    sandbox.write("service-token.toml", format!("lifetime = \"48h\"{STRICT}"));
    sandbox.run(&["store", "init"]).done();
    let message = sandbox.run(&["generate", "orders"]).refused_with(6);
    assert!(message.contains("valid for 172800 s"), "{message}");
    // The proof of a bound token is the caller's, and everything else is judged.
    sandbox.run(&["jwks", "--out", "jwks.json"]).done();
    let set: serde_json::Value = serde_json::from_str(&sandbox.read("jwks.json")).unwrap();
    sandbox.write("caller.jwk", set["keys"][0].to_string());
    let bound = ["generate", "orders", "--bind-dpop-key", "caller.jwk"];
    let message = sandbox.run(&bound).refused_with(6);
    assert!(message.contains("valid for 172800 s"), "{message}");
    sandbox.run(&[&bound[..], &["--lifetime", "1h"]].concat()).done();
}
