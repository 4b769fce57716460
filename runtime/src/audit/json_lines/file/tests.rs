use super::*;

#[test]
fn chunks_for_a_pipe_are_whole_lines_and_none_is_left_out() {
    let lines = b"aaaa\nbb\n\ncccccccccccccccccccc\nd\neee";
    for limit in 1..40 {
        let chunks: Vec<_> = whole_lines(lines, limit).collect();
        assert_eq!(chunks.concat(), lines, "{limit}");
        for chunk in &chunks {
            let is_line = chunk.iter().filter(|byte| **byte == b'\n').count() <= 1;
            assert!(chunk.len() <= limit || is_line, "{limit}: {chunk:?}");
            assert!(chunk.ends_with(b"\n") || lines.ends_with(chunk), "{limit}: {chunk:?}");
        }
    }
    assert_eq!(whole_lines(b"", 1).count(), 0);
}

/// A log file whose last write failed.
#[cfg(unix)]
fn failed(path: &Path, full: bool) -> LogFile {
    let settings = FileSettings { mode: 0o600, sync: false, rotation: Rotation::default() };
    let mut log = LogFile::open(path, settings).unwrap();
    log.open.full = full;
    log
}

#[cfg(unix)]
#[test]
fn a_disk_that_was_full_is_usable_again_when_it_has_free_space_without_a_write() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    assert!(failed(&path, true).has_recovered());
    assert_eq!(fs::read(&path).unwrap(), b"");
    // Any other failure is over when a line end is written.
    let mut log = failed(&path, false);
    log.open.torn = true;
    assert!(log.has_recovered() && !log.open.torn);
    assert_eq!(fs::read(&path).unwrap(), b"\n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_usable_again_when_it_takes_a_byte() {
    for full in [true, false] {
        assert!(!failed(Path::new("/dev/full"), full).has_recovered());
        assert!(failed(Path::new("/dev/null"), full).has_recovered());
    }
}

/// The environment variable of the child process that repeats this test with a limited file size.
#[cfg(unix)]
const LIMITED: &str = "SERVICE_ONLY_TEST_LIMITED_FILES";

#[cfg(unix)]
#[test]
fn lines_before_the_cut_count_as_written_only_in_a_file_that_still_has_a_name() {
    if std::env::var_os(LIMITED).is_none() {
        // One block of the shell, 512 or 1,024 bytes.
        let output = std::process::Command::new("sh")
            .args(["-c", r#"trap '' XFSZ && ulimit -f 1 && exec "$0" "$@""#])
            .arg(std::env::current_exe().unwrap())
            .arg("lines_before_the_cut_count_as_written_only_in_a_file_that_still_has_a_name")
            .env(LIMITED, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    for (sync, is_deleted) in [(false, false), (true, false), (false, true), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let settings = FileSettings { mode: 0o600, sync, rotation: Rotation::default() };
        let mut log = LogFile::open(&path, settings).unwrap();
        if is_deleted {
            fs::remove_file(&path).unwrap();
        }
        let lines = [[b'a'; 99].as_slice(), b"\n"].concat().repeat(40);
        let Err(Unwritten { written, .. }) = log.append(&lines, &mut || true) else {
            panic!("the file took {} bytes", lines.len());
        };
        assert_eq!(written > 0, !is_deleted, "synced: {sync}");
        assert!(written < lines.len());
    }
}
