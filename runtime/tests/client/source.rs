//! The token in a file that changes.

use std::time::Instant;

use super::*;

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::yield_now();
    }
}

fn sends(source: &TokenSource, token: &str) -> bool {
    source.authorization().as_bytes() == format!("Bearer {token}").as_bytes()
}

/// As the kubelet does it: a new folder with the file, a new link to it, and that link renamed over
/// `..data`. The file's own path is a link through `..data` and is never touched.
#[cfg(unix)]
fn publish(mount: &std::path::Path, version: &str, token: &str) {
    use std::os::unix::fs::symlink;
    fs::create_dir(mount.join(version)).unwrap();
    fs::write(mount.join(version).join("token"), token).unwrap();
    symlink(version, mount.join("..data_tmp")).unwrap();
    fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
    if !mount.join("token").exists() {
        symlink("..data/token", mount.join("token")).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn the_symlink_swap_of_kubernetes_is_seen_every_time() {
    let (bakery, mount) = (Bakery::new(), tempfile::tempdir().unwrap());
    publish(mount.path(), "..2026_01_01", &bakery.token());
    let source = TokenSource::file(mount.path().join("token"));
    let source = source.poll_every(Duration::from_millis(10)).open().unwrap();
    for version in ["..2026_01_02", "..2026_01_03", "..2026_01_04"] {
        let token = bakery.token();
        publish(mount.path(), version, &token);
        eventually(version, || sends(&source, &token));
    }
}

#[test]
fn a_broken_file_leaves_the_last_token_and_says_what_is_wrong_but_nothing_of_its_content() {
    let bakery = Bakery::new();
    let source = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(10)).open().unwrap();
    let before = source.authorization();
    fs::write(bakery.path(), "a-secret-of-somebody-else").unwrap();
    eventually("the error", || source.last_error().is_some());
    let error = source.last_error().unwrap().to_string();
    assert!(error.contains("token: the file holds no token") && !error.contains("secret"), "{error}");
    assert_eq!(source.authorization(), before);
    fs::remove_file(bakery.path()).unwrap();
    eventually("another error", || source.last_error().is_some_and(|now| now.to_string() != error));
    let token = bakery.token();
    bakery.mount(&token);
    eventually("the recovery", || source.last_error().is_none() && sends(&source, &token));
}

#[test]
fn a_file_without_a_token_and_a_too_short_interval_do_not_open() {
    let bakery = Bakery::new();
    let too_large = "a".repeat(service_only::MAX_TOKEN_FILE_BYTES + 1);
    for (content, says) in
        [("", "holds no token"), ("x", "holds no token"), (&*too_large, "larger than 16386 bytes")]
    {
        fs::write(bakery.path(), content).unwrap();
        let error = TokenSource::file(bakery.path()).open().unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    let missing = TokenSource::file(bakery.folder.path().join("nothing")).open().unwrap_err().to_string();
    assert!(missing.contains("nothing"), "{missing}");
    bakery.mount(&bakery.token());
    let hasty = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(9)).open();
    assert!(hasty.unwrap_err().to_string().contains("10ms is the least"));
}

#[test]
fn nothing_that_is_printed_shows_the_token() {
    let bakery = Bakery::new();
    let source = bakery.source();
    let attach = service_only::AttachToken::from(source.clone()).to("http://stock").unwrap();
    let shown = format!("{source:?} {attach:?} {:?}", source.authorization());
    let token = bakery.refused_token();
    let (head, _) = token.split_once('.').unwrap();
    assert!(!shown.contains(head), "{shown}");
}

#[test]
fn a_source_tells_when_its_token_expires() {
    let bakery = Bakery::new();
    let token = bakery.authority.service("orders").claim("exp", 1_798_761_600_i64).token();
    bakery.mount(token.as_str());
    assert_eq!(bakery.source().expires_at(), Some(1_798_761_600));
}
