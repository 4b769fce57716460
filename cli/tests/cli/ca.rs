//! Certificates for development: what they contain, who can read them, and that programs accept them.

use service_only_tls::TlsFiles;

use crate::sandbox::Sandbox;

fn issue(sandbox: &Sandbox, options: &[&str]) -> serde_json::Value {
    let fixed = ["cert", "orders", "--dir", "state", "--format", "json"];
    sandbox.run(&[&fixed, options].concat()).done().json()
}

#[test]
fn cert_writes_a_set_that_a_service_accepts() {
    let sandbox = Sandbox::new();
    let issued = issue(&sandbox, &[]);
    assert_eq!(issued["spiffe_id"], "spiffe://dev-only.internal/orders");
    let folder = issued["directory"].as_str().unwrap();
    assert!(folder.ends_with("state/certificates/orders"), "{folder}");
    let status = TlsFiles::cert_manager(folder).open().unwrap().status();
    assert_eq!(status.spiffe_id.unwrap().as_str(), "spiffe://dev-only.internal/orders");
    // A file of this test shows what the umask leaves.
    #[cfg(unix)]
    sandbox.write("probe", "");
    #[cfg(unix)]
    let public = 0o644 & sandbox.mode("probe");
    #[cfg(unix)]
    for (file, mode) in [
        ("state/development-ca.key", 0o600),
        ("state/development-ca.crt", public),
        ("state/certificates/orders/tls.key", 0o600),
        ("state/certificates/orders/tls.crt", public),
    ] {
        assert_eq!(sandbox.mode(file), mode, "{file}");
    }
}

#[test]
fn dry_run_of_ca_and_cert_writes_nothing() {
    let sandbox = Sandbox::new();
    let ca = sandbox.run(&["ca", "--dir", "state", "--dry-run", "--format", "json"]).done().json();
    assert_eq!((&ca["dry_run"], &ca["would_generate"]), (&true.into(), &true.into()));
    let cert = issue(&sandbox, &["--dry-run"]);
    assert_eq!(cert["spiffe_id"], "spiffe://dev-only.internal/orders");
    assert_eq!(cert["would_generate_authority"], true);
    assert!(sandbox.names().is_empty());
    issue(&sandbox, &["--out-dir", "out"]);
    let first = sandbox.read("out/tls.crt");
    assert_eq!(issue(&sandbox, &["--dry-run"])["would_generate_authority"], false);
    // What would be refused is refused.
    let again = ["cert", "orders", "--dir", "state", "--out-dir", "out", "--dry-run"];
    assert!(sandbox.run(&again).refused_with(2).contains("tls.crt"));
    issue(&sandbox, &["--out-dir", "out", "--force", "--dry-run"]);
    assert_eq!(sandbox.read("out/tls.crt"), first);
    assert!(sandbox.run(&["ca", "--dir", "state", "--dry-run"]).done().stdout.starts_with("nothing to do"));
}

#[test]
fn ca_is_created_once_and_signs_every_certificate() {
    let sandbox = Sandbox::new();
    let path = sandbox.run(&["ca", "--dir", "state"]).done();
    let root = sandbox.read("state/development-ca.crt");
    assert!(path.line().ends_with("state/development-ca.crt"));
    issue(&sandbox, &[]);
    let first = sandbox.read("state/certificates/orders/tls.crt");
    issue(&sandbox, &["--trust-domain", "bakery.example", "--dns", "orders.local", "--lifetime", "1d"]);
    assert_eq!(sandbox.read("state/development-ca.crt"), root);
    assert_eq!(sandbox.read("state/certificates/orders/ca.crt"), root);
    assert_ne!(sandbox.read("state/certificates/orders/tls.crt"), first, "a renewal");
}

#[test]
fn existing_files_of_a_named_directory_are_kept_without_force() {
    let sandbox = Sandbox::new();
    issue(&sandbox, &["--out-dir", "out"]);
    let first = sandbox.read("out/tls.crt");
    let refused = sandbox.run(&["cert", "orders", "--dir", "state", "--out-dir", "out"]).refused_with(2);
    assert!(refused.contains("tls.crt"), "{refused}");
    assert_eq!(sandbox.read("out/tls.crt"), first);
    issue(&sandbox, &["--out-dir", "out", "--force"]);
    assert_ne!(sandbox.read("out/tls.crt"), first);
}

#[test]
fn certificate_that_a_service_would_refuse_replaces_nothing() {
    let sandbox = Sandbox::new();
    issue(&sandbox, &[]);
    let first = sandbox.read("state/certificates/orders/tls.crt");
    sandbox.run(&["ca", "--dir", "other"]).done();
    sandbox.write("state/development-ca.crt", sandbox.read("other/development-ca.crt"));
    let refused = sandbox.run(&["cert", "orders", "--dir", "state"]).refused_with(2);
    assert!(
        refused.contains("do not verify the chain") && refused.contains("development-ca.key"),
        "{refused}"
    );
    assert_eq!(sandbox.read("state/certificates/orders/tls.crt"), first);
    sandbox.run(&["cert", "billing", "--dir", "state"]).refused_with(2);
    assert!(!sandbox.path("state/certificates/billing").exists());
}

#[test]
fn values_that_a_certificate_cannot_have_are_refused() {
    let sandbox = Sandbox::new();
    for (options, why) in [
        (["--trust-domain", "Bakery"], "trust domain"),
        (["--trust-domain", "spiffe://bakery.example"], "trust domain"),
        (["--dns", "ordérs"], "DNS name"),
        (["--lifetime", "91d"], "90 days"),
    ] {
        let refused =
            sandbox.run(&[&["cert", "orders", "--dir", "state"], &options[..]].concat()).refused_with(2);
        assert!(refused.contains(why), "{options:?}: {refused}");
    }
    assert!(sandbox.names().is_empty(), "nothing is written");
}

#[test]
fn name_that_no_client_can_look_up_is_not_certified() {
    let sandbox = Sandbox::new();
    let long = "a".repeat(64);
    for name in ["", "a b", "a..b", "127.0.0.2", "::1", "ä", "https://a", "a:8443", long.as_str()] {
        let message = sandbox.run(&["cert", "orders", "--dir", "state", "--dns", name]).refused();
        assert!(message.contains("is not a DNS name"), "{name}: {message}");
    }
    assert!(!sandbox.path("state").exists());
    let names = ["--dns", "orders.local", "--dns", "*.orders.local", "--dns", "orders_1"];
    sandbox.run(&[&["cert", "orders", "--dir", "state"][..], &names].concat()).done();
}
