//! Tokens that are bound to a certificate or a key: minted, renewed and verified.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::Algorithm;
use service_only::issue::SigningKey;
use service_only_testkit::{TestCa, TestCertificate};

use crate::sandbox::{Sandbox, claims_of};

/// A sandbox with the certificates `orders.crt` and `other.crt`, and the first one.
fn with_certificates() -> (Sandbox, TestCertificate) {
    let sandbox = Sandbox::configured();
    let ca = TestCa::new("bakery.example");
    let [orders, other] = ["orders", "other"].map(|name| {
        let certificate = ca.leaf().spiffe_id(&format!("spiffe://bakery.example/{name}")).issue();
        sandbox.write(&format!("{name}.crt"), certificate.chain_pem());
        certificate
    });
    sandbox.write("ca.crt", ca.pem());
    sandbox.write("orders.key", orders.key_pem());
    drop(other);
    (sandbox, orders)
}

fn thumbprint(certificate: &TestCertificate) -> String {
    URL_SAFE_NO_PAD.encode(certificate.thumbprint())
}

#[test]
fn generate_binds_a_token_to_a_certificate_and_verify_needs_it() {
    let (sandbox, certificate) = with_certificates();
    let ran = sandbox.run(&["generate", "orders", "--bind-certificate", "orders.crt"]).done();
    let cnf = serde_json::json!({"x5t#S256": thumbprint(&certificate)});
    assert_eq!(claims_of(ran.line())["cnf"], cnf);
    let verify = |options: &[&str]| sandbox.feed(&[&["verify", "-"], options].concat(), ran.line());
    verify(&["--certificate", "orders.crt"]).done();
    let answer = verify(&["--certificate", "other.crt", "--format", "json"]).json();
    assert_eq!(answer["code"], "proof_mismatch");
    assert_eq!(verify(&["--format", "json"]).json()["code"], "proof_missing");
}

#[test]
fn configuration_names_the_certificate_that_tokens_are_bound_to() {
    let (sandbox, certificate) = with_certificates();
    let configuration = sandbox.read("service-token.toml");
    let bound =
        configuration.replace("[services]\n", "[services]\nbound = { certificate = \"orders.crt\" }\n");
    assert_ne!(bound, configuration);
    sandbox.write("service-token.toml", bound);
    let ran = sandbox.run(&["generate", "bound"]).done();
    assert_eq!(claims_of(ran.line())["cnf"]["x5t#S256"], thumbprint(&certificate));
    let free = sandbox.run(&["generate", "orders"]).done();
    assert!(claims_of(free.line()).get("cnf").is_none());
}

#[test]
fn file_without_a_leaf_certificate_binds_no_token() {
    let (sandbox, _) = with_certificates();
    for (file, why) in
        [("orders.key", "BEGIN CERTIFICATE"), ("ca.crt", "authority"), ("missing.crt", "missing.crt")]
    {
        let refused = sandbox.run(&["generate", "orders", "--bind-certificate", file]).refused_with(2);
        assert!(refused.contains(why), "{file}: {refused}");
    }
}

#[test]
fn generate_binds_a_token_to_a_public_key_of_each_form() {
    let sandbox = Sandbox::configured();
    // RFC 9449 section 4.1: the key of the examples, and its thumbprint.
    let jwk = r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
        "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#;
    sandbox.write("caller.jwk", jwk);
    let ran = sandbox.run(&["generate", "orders", "--bind-dpop-key", "caller.jwk"]).done();
    let cnf = serde_json::json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"});
    assert_eq!(claims_of(ran.line())["cnf"], cnf);
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwk = key.public_jwk().unwrap();
        sandbox.write("caller.jwk", serde_json::to_string(&jwk).unwrap());
        let ran = sandbox.run(&["generate", "orders", "--bind-dpop-key", "caller.jwk"]).done();
        let jkt = URL_SAFE_NO_PAD.encode(jwk.thumbprint());
        assert_eq!(claims_of(ran.line())["cnf"]["jkt"], jkt, "{algorithm}");
        // Without a request there is no proof.
        let verified = sandbox.feed(&["verify", "-", "--format", "json"], ran.line()).json();
        assert_eq!(verified["code"], "proof_missing");
    }
    let configuration = sandbox.read("service-token.toml");
    let services =
        |entry: &str| configuration.replace("[services]\n", &format!("[services]\nbound = {{ {entry} }}\n"));
    sandbox.write("service-token.toml", services(r#"dpop_key = "caller.jwk""#));
    let ran = sandbox.run(&["generate", "bound"]).done();
    assert!(claims_of(ran.line())["cnf"]["jkt"].is_string());
    sandbox.write("service-token.toml", services(r#"dpop_key = "caller.jwk", certificate = "orders.crt""#));
    assert!(sandbox.run(&["generate", "bound"]).refused_with(2).contains("one binding"));
}

#[test]
fn a_private_key_or_a_secret_binds_no_token() {
    let sandbox = Sandbox::configured();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let private = String::from_utf8(key.to_secret_bytes().unwrap().to_vec()).unwrap();
    for (file, text, why) in [
        ("private.pem", private.as_str(), "private key"),
        ("secret.jwk", r#"{"kty":"oct","k":"c2VjcmV0"}"#, "HMAC secret"),
        ("empty.pem", "", "no PEM block"),
    ] {
        sandbox.write(file, text);
        let refused = sandbox.run(&["generate", "orders", "--bind-dpop-key", file]).refused_with(2);
        assert!(refused.contains(why), "{file}: {refused}");
    }
    let both = ["generate", "orders", "--bind-dpop-key", "private.pem", "--bind-certificate", "orders.crt"];
    sandbox.run(&both).refused_with(2);
}
