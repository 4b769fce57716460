//! A service that reads the operator's file (`Verifier::from_config`) and the command `verify` with the same file give the
//! same verdict on every token.

use service_only::{
    Policy, Verifier,
    audit::NoAudit,
    config::{Profile, VerifierConfig},
    keys::SecretEncoding,
};

use crate::sandbox::Sandbox;

/// A file of the command, and how its tokens are minted.
struct Case {
    name: &'static str,
    toml: &'static str,
    keygen: &'static [&'static str],
}

const CASES: [Case; 4] = [
    Case {
        name: "a key pair",
        toml: "issuer = \"bakery-auth\"\nlifetime = \"1h\"\n[key]\nfile = \"signing.pem\"\nalgorithm = \"ES256\"\n[services]\norders = {}\n",
        keygen: &["--public-out", "jwks.json"],
    },
    Case {
        name: "an audience, and another file of public keys",
        toml: "issuer = \"bakery-auth\"\naudience = \"stock\"\nlifetime = \"1h\"\n[key]\nfile = \"signing.pem\"\nalgorithm = \"EdDSA\"\nkid = \"first\"\n[rotation]\njwks = \"public/keys.json\"\n[services]\norders = {}\n",
        keygen: &["--public-out", "public/keys.json"],
    },
    Case {
        name: "the profile strict",
        toml: "issuer = \"bakery-auth\"\naudience = \"stock\"\nprofile = \"strict\"\n[key]\nfile = \"signing.pem\"\nalgorithm = \"PS256\"\n[services]\norders = {}\n",
        keygen: &["--public-out", "jwks.json"],
    },
    Case {
        name: "a secret",
        toml: "issuer = \"bakery-auth\"\nlifetime = \"1h\"\n[key]\nfile = \"secret\"\nalgorithm = \"HS256\"\n[services]\norders = {}\n",
        keygen: &[],
    },
];

fn verdict_of_command(sandbox: &Sandbox, token: &str) -> String {
    let answer = sandbox.feed(&["verify", "--format", "json", "-"], token).json();
    answer["code"].as_str().unwrap().to_owned()
}

fn verdict_of_service(verifier: &Verifier, token: &str) -> String {
    match verifier.verify_with(token, &Policy::any_service()) {
        Ok(_) => "ok".to_owned(),
        Err(denial) => denial.code().as_str().to_owned(),
    }
}

#[test]
fn the_command_and_a_service_give_the_same_verdict_by_the_same_file() {
    for case in CASES {
        let sandbox = Sandbox::new();
        std::fs::create_dir(sandbox.path("public")).unwrap();
        sandbox.write("service-token.toml", case.toml);
        sandbox.run(&[&["keygen"], case.keygen].concat()).done();
        let file = sandbox.path("service-token.toml");
        let builder = VerifierConfig::file(file).unwrap().builder().unwrap();
        let verifier = builder.audit(NoAudit).build().unwrap();

        let mint =
            |more: &[&str]| sandbox.run(&[&["generate", "orders"], more].concat()).done().line().to_owned();
        let valid = mint(&[]);
        let tokens = [
            valid.clone(),
            mint(&["--audience", "other", "--dangerously-mint-refused"]),
            mint(&["--issuer", "other-auth", "--dangerously-mint-refused"]),
            valid.replace('.', "_"),
            format!("{valid}x"),
            format!("{}.{}", valid.rsplit_once('.').unwrap().0, "AAAA"),
        ];
        for (index, token) in tokens.iter().enumerate() {
            let expected = verdict_of_command(&sandbox, token);
            assert_eq!(verdict_of_service(&verifier, token), expected, "{}, token {index}", case.name);
            assert_eq!(expected == "ok", index == 0, "{}, token {index}: {expected}", case.name);
        }
    }
}

#[test]
fn both_refuse_the_same_file() {
    for toml in [
        "isuer = \"bakery-auth\"\n",
        "issuer = \"bakery-auth\"\nprofile = \"lax\"\n",
        "issuer = \"\"\n",
        "issuer = \"bakery-auth\"\n[key]\nfile = \"k\"\nalgorithm = \"none\"\n",
        "issuer = \"bakery-auth\"\n[key]\nfile = \"k\"\nalgorithm = \"ES256\"\nencoding = \"hex\"\n",
        "issuer = \"bakery-auth\"\n[services.orders]\nscope = []\n",
        "audience = \"stock\"\n[key]\nfile = \"k\"\nalgorithm = \"ES256\"\n",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("service-token.toml", toml);
        sandbox.feed(&["verify", "-"], "a.b.c").refused();
        assert!(VerifierConfig::file(sandbox.path("service-token.toml")).is_err(), "{toml}");
    }
}

#[test]
fn a_store_of_the_file_keeps_a_service_from_starting_without_its_revocations() {
    let sandbox = Sandbox::configured();
    let toml = format!("store = \"sqlite:tokens.db\"\n{}", sandbox.read("service-token.toml"));
    sandbox.write("service-token.toml", toml);
    let mut config = VerifierConfig::file(sandbox.path("service-token.toml")).unwrap();
    assert!(config.clone().builder().unwrap_err().to_string().contains("take_store"));
    let address = config.take_store().unwrap();
    assert_eq!(address, format!("sqlite:{}", sandbox.path("tokens.db").display()));
    service_only_store::Store::check_address(&address).unwrap();
}

#[test]
fn the_command_and_a_service_know_the_same_words() {
    for name in ["compatible", "strict"] {
        assert!(name.parse::<Profile>().is_ok());
        let ran = Sandbox::configured().feed(&["verify", "--profile", name, "-"], "a.b.c");
        assert_eq!(ran.code, if name == "strict" { 2 } else { 1 }, "{}", ran.stderr);
    }
    for name in ["raw", "utf8", "base64url"] {
        assert!(name.parse::<SecretEncoding>().is_ok());
        let arguments = ["verify", "--secret-env", "ABSENT", "--secret-encoding", name, "--issuer", "i", "-"];
        assert!(Sandbox::new().feed(&arguments, "a.b.c").refused().contains("`ABSENT` is not set"));
    }
}
