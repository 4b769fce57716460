//! A set of files is checked as a whole, and a broken one never replaces a valid one.

use std::{fs, os::unix::fs::symlink, time::Duration};

use service_only_testkit::{
    TestCa,
    tls::{
        LeafDraft,
        rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose},
    },
};
use service_only_tls::{TlsErrorKind, TlsFiles};

use crate::fleet::{DOMAIN, Member, applied, eventually, id, logged, meet, wall_clock, write};

fn refused(member: &Member) -> TlsErrorKind {
    member.files().open().expect_err("the set is refused").kind()
}

#[test]
fn a_valid_set_is_in_use_with_its_source_revision_and_expiry() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let status = member.open().status();
    assert_eq!(status.revision, 1);
    assert_eq!(status.source, ["tls.crt", "tls.key", "ca.crt"].map(|name| member.path(name)));
    assert_eq!(status.spiffe_id.unwrap().as_str(), id("orders"));
    assert_eq!(status.error, None);
    assert!(status.not_after > status.applied_at);
}

#[test]
fn the_layout_of_the_spiffe_helper_is_read() {
    let ca = TestCa::new(DOMAIN);
    let folder = tempfile::tempdir().unwrap();
    ca.leaf().spiffe_id(&id("orders")).issue().write_spire(folder.path(), &ca).unwrap();
    assert_eq!(TlsFiles::spire(folder.path()).open().unwrap().status().revision, 1);
}

#[test]
fn a_chain_with_an_intermediate_is_verified_and_presented() {
    let root = TestCa::new(DOMAIN);
    let intermediate = root.intermediate("issuing");
    let orders = Member::new(&intermediate.leaf().spiffe_id(&id("orders")).issue(), &root).open();
    let billing = Member::of(&root, "billing");
    meet(&orders, &billing.open()).unwrap();
    meet(&billing.open(), &orders).unwrap();
    // Without the intermediate, no root verifies the leaf.
    let lone = intermediate.leaf().spiffe_id(&id("orders")).issue();
    let member = Member::new(&lone, &root);
    let chain = lone.chain_pem();
    let leaf = chain.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    write(member.path("tls.crt"), leaf);
    assert_eq!(refused(&member), TlsErrorKind::Path);
}

/// Each rule for the own leaf, broken alone.
#[test]
fn a_leaf_that_breaks_one_rule_is_refused_with_its_kind() {
    let ca = TestCa::new(DOMAIN);
    type Break = for<'c> fn(LeafDraft<'c>) -> LeafDraft<'c>;
    let cases: &[(&str, TlsErrorKind, Break)] = &[
        ("expired", TlsErrorKind::Expired, |leaf| leaf.expired()),
        ("not yet valid", TlsErrorKind::NotYetValid, |leaf| leaf.not_yet_valid()),
        ("an authority", TlsErrorKind::Leaf, |leaf| leaf.as_authority()),
        ("may sign certificates", TlsErrorKind::Leaf, |leaf| {
            leaf.key_usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign])
        }),
        ("may sign revocation lists", TlsErrorKind::Leaf, |leaf| {
            leaf.key_usage(&[KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign])
        }),
        ("no digital signature", TlsErrorKind::Leaf, |leaf| {
            leaf.key_usage(&[KeyUsagePurpose::KeyEncipherment])
        }),
        ("a SPIFFE ID without key usage", TlsErrorKind::Leaf, |leaf| leaf.key_usage(&[])),
        ("not for servers", TlsErrorKind::Leaf, |leaf| {
            leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::ClientAuth])
        }),
        ("not for clients", TlsErrorKind::Leaf, |leaf| {
            leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::ServerAuth])
        }),
        ("any usage", TlsErrorKind::Leaf, |leaf| leaf.extended_key_usage(&[ExtendedKeyUsagePurpose::Any])),
        ("no name", TlsErrorKind::Leaf, |leaf| leaf.without_names()),
        ("two SPIFFE IDs", TlsErrorKind::Leaf, |leaf| leaf.spiffe_id("spiffe://bakery.example/billing")),
        ("another URI", TlsErrorKind::Leaf, |leaf| leaf.spiffe_id("https://bakery.example/orders")),
    ];
    for (what, kind, broken) in cases {
        let leaf = broken(ca.leaf().spiffe_id(&id("orders"))).issue();
        assert_eq!(refused(&Member::new(&leaf, &ca)), *kind, "{what}");
    }
    for (what, uri) in
        [("upper case", "SPIFFE://bakery.example/orders"), ("no path", "spiffe://bakery.example")]
    {
        let leaf = ca.leaf().spiffe_id(uri).issue();
        assert_eq!(refused(&Member::new(&leaf, &ca)), TlsErrorKind::Leaf, "{what}");
    }
}

#[test]
fn a_certificate_for_one_role_is_valid_for_that_role() {
    let ca = TestCa::new(DOMAIN);
    let of = |usage| Member::new(&ca.leaf().extended_key_usage(&[usage]).issue(), &ca);
    let server = of(ExtendedKeyUsagePurpose::ServerAuth);
    let client = of(ExtendedKeyUsagePurpose::ClientAuth);
    let (server, client) = (server.files().server_only().open(), client.files().client_only().open());
    meet(&client.unwrap(), &server.unwrap()).unwrap();
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let (ca, other) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let leaf = || ca.leaf().spiffe_id(&id("orders")).issue();
    let member = Member::new(&leaf(), &ca);
    write(member.path("tls.key"), leaf().key_pem());
    assert_eq!(refused(&member), TlsErrorKind::KeyMismatch);
    assert_eq!(refused(&Member::new(&leaf(), &other)), TlsErrorKind::Path);
}

#[test]
fn files_with_other_content_are_refused_and_never_quoted() {
    let ca = TestCa::new(DOMAIN);
    let good = ca.leaf().spiffe_id(&id("orders")).issue();
    let key = good.key_pem();
    let two_keys = format!("{key}{key}");
    let half = &good.chain_pem()[..good.chain_pem().len() / 2];
    let eleven = good.chain_pem().repeat(11);
    for (file, content, kind) in [
        ("tls.crt", "", TlsErrorKind::Pem),
        ("tls.crt", half, TlsErrorKind::Pem),
        ("tls.crt", key, TlsErrorKind::Pem),
        ("tls.crt", &eleven, TlsErrorKind::Pem),
        ("tls.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", TlsErrorKind::Leaf),
        ("tls.key", "", TlsErrorKind::Pem),
        ("tls.key", &key[..key.len() / 2], TlsErrorKind::Pem),
        ("tls.key", &two_keys, TlsErrorKind::Pem),
        ("tls.key", "-----BEGIN PRIVATE KEY-----\ns3cr3t!\n-----END PRIVATE KEY-----\n", TlsErrorKind::Pem),
        ("ca.crt", "", TlsErrorKind::Pem),
        ("ca.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", TlsErrorKind::Roots),
        ("ca.crt", &good.chain_pem(), TlsErrorKind::Roots),
    ] {
        let member = Member::new(&good, &ca);
        write(member.path(file), content);
        let error = member.files().open().expect_err(file);
        assert_eq!(error.kind(), kind, "{file}: {error}");
        assert!(error.to_string().starts_with(&*member.path(file).to_string_lossy()), "{error}");
        let secret = key.lines().nth(1).unwrap();
        assert!(
            !error.to_string().contains(&secret[..20]) && !error.to_string().contains("s3cr3t"),
            "{error}"
        );
    }
    let member = Member::new(&good, &ca);
    fs::remove_file(member.path("tls.key")).unwrap();
    assert_eq!(refused(&member), TlsErrorKind::Unreadable);
    fs::create_dir(member.path("tls.key")).unwrap();
    assert_eq!(refused(&member), TlsErrorKind::Unreadable);
}

#[test]
fn a_file_of_the_largest_size_is_read_and_one_byte_more_is_not() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let padded = |size: usize| format!("{}{}", ca.pem(), "\n".repeat(size - ca.pem().len()));
    write(member.path("ca.crt"), padded(TlsFiles::MAX_FILE_BYTES));
    member.open();
    write(member.path("ca.crt"), padded(TlsFiles::MAX_FILE_BYTES + 1));
    assert_eq!(refused(&member), TlsErrorKind::Unreadable);
}

#[test]
fn the_number_of_roots_is_bounded() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    write(member.path("ca.crt"), ca.pem().repeat(TlsFiles::MAX_ROOTS));
    member.open();
    write(member.path("ca.crt"), ca.pem().repeat(TlsFiles::MAX_ROOTS + 1));
    assert_eq!(refused(&member), TlsErrorKind::Pem);
}

#[test]
fn settings_that_cannot_be_used_are_refused_before_a_file_is_read() {
    let files = || TlsFiles::cert_manager("/nowhere");
    let configuration = |files: TlsFiles| {
        let error = files.open().unwrap_err();
        assert_eq!(error.kind(), TlsErrorKind::Configuration, "{error}");
    };
    configuration(files().poll_every(Duration::from_millis(9)));
    configuration(files().trust_domain("spiffe://partner.example", "/nowhere"));
    configuration(files().trust_domain("a", "/nowhere").trust_domain("a", "/nowhere"));
    configuration(files().server_id("orders", "orders"));
    configuration(files().server_id("orders", id("a")).server_id("ORDERS", id("b")));
    assert_eq!(files().open().unwrap_err().kind(), TlsErrorKind::Unreadable);
}

#[test]
fn the_own_trust_domain_has_one_file_with_roots() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let files = member.files().trust_domain(DOMAIN, member.path("ca.crt"));
    assert_eq!(files.open().unwrap_err().kind(), TlsErrorKind::Configuration);
}

#[test]
fn a_broken_set_keeps_the_valid_one_until_it_is_repaired() {
    let (ca, other) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let member = Member::of(&ca, "orders");
    let tls = member.open();
    let next = ca.leaf().spiffe_id(&id("orders")).issue();
    for (file, broken, kind) in [
        ("tls.key", next.key_pem(), TlsErrorKind::KeyMismatch),
        ("ca.crt", other.pem(), TlsErrorKind::Path),
        ("tls.crt", &next.chain_pem()[..300], TlsErrorKind::Pem),
    ] {
        let good = fs::read(member.path(file)).unwrap();
        write(member.path(file), broken);
        eventually(file, || tls.status().error.is_some_and(|error| error.kind() == kind));
        assert_eq!(tls.status().revision, 1, "{file}");
        meet(&tls, &tls).unwrap();
        write(member.path(file), good);
        eventually(file, || tls.status().error.is_none());
        assert_eq!(tls.status().revision, 1, "the same set has the same number");
    }
    fs::remove_file(member.path("tls.key")).unwrap();
    eventually("missing", || {
        tls.status().error.is_some_and(|error| error.kind() == TlsErrorKind::Unreadable)
    });
    meet(&tls, &tls).unwrap();
}

#[test]
fn a_set_that_is_copied_file_by_file_is_used_when_it_is_complete() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let tls = member.open();
    let next = ca.leaf().spiffe_id(&id("orders")).issue();
    write(member.path("tls.crt"), next.chain_pem());
    eventually("half a set", || {
        tls.status().error.is_some_and(|error| error.kind() == TlsErrorKind::KeyMismatch)
    });
    write(member.path("tls.key"), next.key_pem());
    applied(&tls, 2);
}

/// Kubernetes writes a new folder and swaps the link `..data`; the files are links into it.
#[test]
fn the_swap_of_a_mounted_secret_is_one_change() {
    let ca = TestCa::new(DOMAIN);
    let mount = tempfile::tempdir().unwrap();
    let version = |name: &str| {
        let folder = mount.path().join(name);
        fs::create_dir(&folder).unwrap();
        ca.leaf().spiffe_id(&id("orders")).issue().write_cert_manager(&folder, &ca).unwrap();
    };
    version("..1");
    symlink("..1", mount.path().join("..data")).unwrap();
    for name in ["tls.crt", "tls.key", "ca.crt"] {
        symlink(format!("..data/{name}"), mount.path().join(name)).unwrap();
    }
    let tls = TlsFiles::cert_manager(mount.path()).poll_every(Duration::from_millis(10)).open().unwrap();
    for (name, revision) in [("..2", 2), ("..3", 3)] {
        version(name);
        symlink(name, mount.path().join("..tmp")).unwrap();
        fs::rename(mount.path().join("..tmp"), mount.path().join("..data")).unwrap();
        applied(&tls, revision);
    }
}

#[test]
fn a_set_that_is_not_valid_yet_is_used_when_its_time_comes() {
    let ca = TestCa::new(DOMAIN);
    let clock = wall_clock();
    let member = Member::of(&ca, "orders");
    let tls = member.files().clock(clock.clone()).open().unwrap();
    let next = ca.leaf().spiffe_id(&id("orders")).not_yet_valid().issue();
    next.write_cert_manager(member.folder.path(), &ca).unwrap();
    eventually("early", || tls.status().error.is_some_and(|error| error.kind() == TlsErrorKind::NotYetValid));
    assert_eq!(tls.status().revision, 1);
    clock.advance(Duration::from_secs(3_700));
    applied(&tls, 2);
}

#[test]
fn events_report_each_set_and_each_refusal() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let (sender, events) = std::sync::mpsc::channel();
    let sender = std::sync::Mutex::new(sender);
    let tls = member.files().observe(move |event| drop(sender.lock().unwrap().send(format!("{event:?}"))));
    let tls = tls.open().unwrap();
    let next = || events.recv_timeout(Duration::from_secs(60)).unwrap();
    let good = fs::read(member.path("tls.key")).unwrap();
    write(member.path("tls.key"), "");
    assert!(next().starts_with("SetRefused"));
    write(member.path("tls.key"), good);
    eventually("repaired", || tls.status().error.is_none());
    ca.leaf().spiffe_id(&id("orders")).issue().write_cert_manager(member.folder.path(), &ca).unwrap();
    applied(&tls, 2);
    let rest: Vec<String> = events.try_iter().collect();
    assert!(rest.iter().any(|event| event.starts_with("Applied { revision: 2,")), "{rest:?}");
    let stranger = Member::of(&TestCa::new("other"), "orders").open();
    meet(&stranger, &tls).unwrap_err();
    // The stranger refused first, because it did not know the server.
    assert!(events.try_iter().next().is_none());
}

#[test]
fn a_refused_set_is_logged_with_its_file_and_without_its_content() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let folder = member.folder.path().display().to_string();
    assert_eq!(logged(&folder), [""; 0]);
    let tls = member.open();
    let other = ca.leaf().spiffe_id(&id("orders")).issue();
    // Replaced in one step, so that the watcher never reads a part of it.
    write(member.path("new.key"), other.key_pem());
    fs::rename(member.path("new.key"), member.path("tls.key")).unwrap();
    let refusals = || logged(&folder).into_iter().filter(|line| line.contains(" ERROR ")).collect::<Vec<_>>();
    eventually("the refusal is logged", || !refusals().is_empty());
    let refusal = &refusals()[0];
    for part in [
        " ERROR service_only: the TLS files cannot be used, the last valid set stays in use ",
        &format!("error={folder}/tls.key: "),
        " kind=\"key_mismatch\"",
    ] {
        assert!(refusal.contains(part), "{part}: {refusal}");
    }
    assert_eq!(tls.status().revision, 1);
    let secret = other.key_pem().lines().nth(1).unwrap();
    assert_eq!(logged(secret), [""; 0], "the key is never quoted");
}

#[test]
fn a_server_certificate_needs_no_roots_and_follows_its_files() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    fs::remove_file(member.path("ca.crt")).unwrap();
    let files = || TlsFiles::server_certificate(member.path("tls.crt"), member.path("tls.key"));
    let tls = files().poll_every(Duration::from_millis(10)).open().unwrap();
    assert_eq!(tls.status().source, ["tls.crt", "tls.key"].map(|name| member.path(name)));
    let renewed = ca.leaf().spiffe_id(&id("orders")).issue();
    write(member.path("tls.crt"), renewed.chain_pem());
    eventually("half of a renewal is refused", || {
        tls.status().error.is_some_and(|error| error.kind() == TlsErrorKind::KeyMismatch)
    });
    write(member.path("tls.key"), renewed.key_pem());
    applied(&tls, 2);
    // The rules for a leaf are the same.
    let expired = ca.leaf().spiffe_id(&id("orders")).expired().issue();
    expired.write_cert_manager(member.folder.path(), &ca).unwrap();
    assert_eq!(files().open().unwrap_err().kind(), TlsErrorKind::Expired);
}

#[test]
fn a_server_certificate_accepts_no_setting_for_peers() {
    let ca = TestCa::new(DOMAIN);
    let member = Member::of(&ca, "orders");
    let files = || TlsFiles::server_certificate(member.path("tls.crt"), member.path("tls.key"));
    for files in [
        files().client_only(),
        files().trust_domain("partner.example", member.path("ca.crt")),
        files().server_id("billing", id("billing")),
    ] {
        let error = files.open().unwrap_err();
        assert_eq!(error.kind(), TlsErrorKind::Configuration, "{error}");
        assert!(error.to_string().contains("`TlsFiles::new`"), "{error}");
    }
}

#[test]
fn contents_are_checked_like_files_before_they_are_written() {
    let (ca, other) = (TestCa::new(DOMAIN), TestCa::new(DOMAIN));
    let files = TlsFiles::cert_manager("/nowhere");
    let leaf = ca.leaf().spiffe_id(&id("orders")).issue();
    let check = |chain: &str, key: &str, roots: &str| {
        files.check_contents(chain.as_bytes(), key.as_bytes(), roots.as_bytes())
    };
    let (chain, key, roots) = (leaf.chain_pem(), leaf.key_pem(), ca.pem());
    assert_eq!(check(&chain, key, roots), Ok(()));
    let expired = ca.leaf().spiffe_id(&id("orders")).expired().issue();
    for (chain, key, roots, kind) in [
        (&*chain, expired.key_pem(), roots, TlsErrorKind::KeyMismatch),
        (&*expired.chain_pem(), expired.key_pem(), roots, TlsErrorKind::Expired),
        (&*chain, key, other.pem(), TlsErrorKind::Path),
        (&*chain, key, "", TlsErrorKind::Pem),
    ] {
        let error = check(chain, key, roots).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("/nowhere/"), "{error}");
    }
}
