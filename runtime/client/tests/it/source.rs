//! The token in a file that changes.

use std::{error::Error as _, io, time::Instant};

use service_only::clock::Timestamp;
use service_only_client::TokenFileErrorKind;

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
fn every_symlink_swap_of_kubernetes_is_noticed() {
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
fn an_invalid_file_keeps_the_last_token_and_the_error_does_not_quote_it() {
    let bakery = Bakery::new();
    let source = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(10)).open().unwrap();
    let before = source.authorization();
    fs::write(bakery.path(), "a-secret-of-somebody-else").unwrap();
    eventually("the error", || source.last_error().is_some());
    let error = source.last_error().unwrap().to_string();
    assert!(error.contains("token: the file contains no token") && !error.contains("secret"), "{error}");
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
    let too_large = "a".repeat(service_only_client::TokenSource::MAX_FILE_BYTES + 1);
    for (content, says) in
        [("", "contains no token"), ("x", "contains no token"), (&*too_large, "larger than 16386 bytes")]
    {
        fs::write(bakery.path(), content).unwrap();
        let error = TokenSource::file(bakery.path()).open().unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(error.kind(), TokenFileErrorKind::NotAToken);
    }
    let missing = TokenSource::file(bakery.folder.path().join("nothing")).open().unwrap_err();
    assert!(missing.to_string().contains("nothing"), "{missing}");
    assert_eq!(missing.kind(), TokenFileErrorKind::Unreadable);
    let source = missing.source().and_then(|source| source.downcast_ref::<io::Error>()).unwrap();
    assert_eq!(source.kind(), io::ErrorKind::NotFound);
    bakery.mount(&bakery.token());
    let hasty = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(9)).open();
    let hasty = hasty.unwrap_err();
    assert!(hasty.to_string().contains("the minimum is 10ms"), "{hasty}");
    assert_eq!(hasty.kind(), TokenFileErrorKind::Configuration);
}

#[test]
fn a_file_that_is_being_written_keeps_the_last_token() {
    let bakery = Bakery::new();
    let source = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(10)).open().unwrap();
    let before = source.authorization();
    let token = bakery.token();
    let signature = token.rfind('.').unwrap() + 1;
    for length in [signature - 1, signature, signature + 2, signature + 4, token.len() - 4] {
        bakery.mount(&token[..length]);
        eventually("the error", || source.last_error().is_some());
        assert_eq!(source.authorization(), before, "{length} of {}", token.len());
        assert_eq!(source.last_error().unwrap().kind(), TokenFileErrorKind::NotAToken);
        let whole = bakery.refused_token();
        bakery.mount(&whole);
        eventually("the recovery", || source.last_error().is_none() && sends(&source, &whole));
        bakery.mount(before.to_str().unwrap().trim_start_matches("Bearer "));
        eventually("the start", || source.authorization() == before);
    }
    bakery.mount(&token);
    eventually("the token", || sends(&source, &token));
}

#[test]
fn nothing_that_is_printed_shows_the_token() {
    let bakery = Bakery::new();
    let source = bakery.source();
    let attach = service_only_client::AttachToken::from(source.clone()).to("http://stock").unwrap();
    let shown = format!("{source:?} {attach:?} {:?}", source.authorization());
    let token = bakery.refused_token();
    let (head, _) = token.split_once('.').unwrap();
    assert!(!shown.contains(head), "{shown}");
}

#[test]
fn a_source_reports_the_expiry_of_its_token() {
    let bakery = Bakery::new();
    let token = bakery.authority.service("orders").claim("exp", 1_798_761_600_i64).token();
    bakery.mount(token.as_str());
    assert_eq!(bakery.source().expires_at(), Some(Timestamp::from_unix(1_798_761_600)));
}

/// A pipe that is not written to stands for a mount that hangs.
#[cfg(unix)]
fn pipe_in_place_of(path: &std::path::Path) -> bool {
    let _ = fs::remove_file(path);
    std::process::Command::new("mkfifo").arg(path).status().is_ok_and(|status| status.success())
}

#[cfg(unix)]
#[test]
fn a_pipe_in_place_of_the_file_is_refused_at_the_start_and_leaves_the_last_token_in_use_later() {
    let bakery = Bakery::new();
    let source = TokenSource::file(bakery.path()).poll_every(Duration::from_millis(10)).open().unwrap();
    let before = source.authorization();
    if !pipe_in_place_of(&bakery.path()) {
        return;
    }
    let started = Instant::now();
    let error = TokenSource::file(bakery.path()).open().unwrap_err().to_string();
    assert!(error.contains("it is a named pipe (FIFO), expected a regular file"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
    eventually("the error", || source.last_error().is_some_and(|now| now.to_string() == error));
    assert_eq!(source.authorization(), before);
    fs::remove_file(bakery.path()).unwrap();
    let token = bakery.token();
    bakery.mount(&token);
    eventually("the recovery", || source.last_error().is_none() && sends(&source, &token));
}

#[test]
fn a_file_that_is_written_later_is_waited_for_by_a_blocking_open() {
    let bakery = Bakery::new();
    let token = bakery.token();
    fs::remove_file(bakery.path()).unwrap();
    let limit = Duration::from_millis(150);
    let error = TokenSource::file(bakery.path()).wait_up_to(limit).open().unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    let (path, late) = (bakery.path(), token.clone());
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        // As a sidecar writes it: not at once.
        fs::write(&path, "").unwrap();
        std::thread::sleep(Duration::from_millis(200));
        fs::write(&path, late).unwrap();
    });
    let source = TokenSource::file(bakery.path()).wait_up_to(Duration::from_secs(60)).open().unwrap();
    assert!(sends(&source, &token));
    writer.join().unwrap();
}

#[test]
fn a_lazy_source_has_an_error_until_its_token_is_there_and_needs_no_timer() {
    let bakery = Bakery::new();
    let token = bakery.token();
    fs::remove_file(bakery.path()).unwrap();
    let lazy = TokenSource::file(bakery.path()).poll_every(Duration::from_secs(3600)).start_lazily().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let started = Instant::now();
    let error = runtime.block_on(lazy.ready(Duration::from_millis(300))).unwrap_err().to_string();
    assert!(started.elapsed() >= Duration::from_millis(300));
    assert!(error.contains("token: ") && error.contains("No such file"), "{error}");
    assert_eq!(lazy.authorization().unwrap_err().to_string(), error);
    assert!(format!("{lazy:?}").contains("No such file"));

    let (path, late) = (bakery.path(), token.clone());
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        fs::write(&path, format!("{late}\r\n")).unwrap();
    });
    let source = runtime.block_on(lazy.ready(Duration::from_secs(60))).unwrap();
    assert!(sends(&source, &token) && lazy.authorization().unwrap() == source.authorization());
    writer.join().unwrap();
    // From here on, it is a source like any other.
    fs::remove_file(bakery.path()).unwrap();
    assert!(sends(&source, &token));
}

#[test]
fn a_lazy_source_reads_an_existing_file_immediately() {
    let bakery = Bakery::new();
    let lazy = TokenSource::file(bakery.path()).poll_every(Duration::from_secs(3600)).start_lazily().unwrap();
    eventually("the token", || lazy.authorization().is_ok());
}
