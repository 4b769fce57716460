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

#[test]
fn strict_token_of_more_than_a_day_is_minted_with_a_warning() {
    let sandbox = sandbox();
    let long = ["--profile", "strict", "--audience", "shop", "--lifetime", "25h"];
    let ran = sandbox.run(&[&["generate", "orders"], &KEY[..], &long[..]].concat()).done();
    assert!(ran.stderr.contains("strict verifier refuses"), "{}", ran.stderr);
    assert_eq!(verdict(&sandbox, ran.line(), &["--audience", "shop", "--profile", "strict"]), 1);
}
