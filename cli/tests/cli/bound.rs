//! Tokens that are bound to a certificate: minted, renewed and verified.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
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
