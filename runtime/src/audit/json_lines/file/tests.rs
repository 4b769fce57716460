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
