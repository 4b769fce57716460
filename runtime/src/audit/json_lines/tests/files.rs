//! Files that are renamed, deleted, replaced or full while a sink writes to them.

use std::{fs, path::Path, time::Instant};

use super::*;

/// Waits until a condition holds. It must hold soon, however slow the machine is.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < Duration::from_secs(20), "not soon: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    started.elapsed()
}

fn paths(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.is_empty());
    let path = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line}"));
        line["url.path"].as_str().unwrap().to_owned()
    };
    lines.map(path).collect()
}

fn write(audit: &JsonLinesAudit, path: &str) {
    audit.record(&event(path)).unwrap();
    audit.flush().unwrap();
}

struct Log {
    folder: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Log {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        Self { folder, path }
    }

    fn other(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[cfg(unix)]
#[test]
fn a_record_after_a_rename_is_in_the_new_file() {
    let log = Log::new();
    let audit = JsonLinesAudit::to_file(&log.path).unwrap();
    write(&audit, "/before");
    fs::rename(&log.path, log.other("audit.jsonl.1")).unwrap();
    write(&audit, "/after");
    assert_eq!(
        (paths(&log.other("audit.jsonl.1")), paths(&log.path)),
        (vec!["/before".into()], vec!["/after".into()])
    );
}

#[cfg(unix)]
#[test]
fn an_idle_sink_creates_a_file_that_was_deleted_within_a_second_and_for_its_owner_only() {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let log = Log::new();
    // The umask of the process applies.
    let probe =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o777).open(log.other("probe")).unwrap();
    let allowed = probe.metadata().unwrap().permissions().mode();
    for (builder, mode) in
        [(JsonLinesAudit::builder(), 0o600), (JsonLinesAudit::builder().mode(0o640), 0o640 & allowed)]
    {
        let audit = builder.to_file(&log.path).unwrap();
        write(&audit, "/gone");
        // The writer is asleep, as after a second without a record.
        std::thread::sleep(Duration::from_millis(1300));
        fs::remove_file(&log.path).unwrap();
        soon("the file is there again", || log.path.exists());
        assert_eq!(fs::metadata(&log.path).unwrap().permissions().mode() & 0o777, mode);
        write(&audit, "/kept");
        assert_eq!(paths(&log.path), ["/kept"]);
        fs::remove_file(&log.path).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_symlink_that_is_swapped_is_followed() {
    let log = Log::new();
    std::os::unix::fs::symlink(log.other("first"), &log.path).unwrap();
    let audit = JsonLinesAudit::to_file(&log.path).unwrap();
    write(&audit, "/1");
    std::os::unix::fs::symlink(log.other("second"), log.other("new")).unwrap();
    fs::rename(log.other("new"), &log.path).unwrap();
    write(&audit, "/2");
    assert_eq!(
        (paths(&log.other("first")), paths(&log.other("second"))),
        (vec!["/1".into()], vec!["/2".into()])
    );
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_replaced_is_found_again() {
    let log = Log::new();
    let folder = log.other("log");
    fs::create_dir(&folder).unwrap();
    let audit = JsonLinesAudit::to_file(folder.join("audit.jsonl")).unwrap();
    write(&audit, "/1");
    fs::rename(&folder, log.other("old")).unwrap();
    fs::create_dir(&folder).unwrap();
    write(&audit, "/2");
    assert_eq!(paths(&folder.join("audit.jsonl")), ["/2"]);
    assert_eq!(paths(&log.other("old").join("audit.jsonl")), ["/1"]);
}

#[test]
fn a_file_that_is_truncated_is_written_from_its_start() {
    let log = Log::new();
    let audit = JsonLinesAudit::to_file(&log.path).unwrap();
    write(&audit, "/before");
    File::options().write(true).open(&log.path).unwrap().set_len(0).unwrap();
    write(&audit, "/after");
    assert_eq!(paths(&log.path), ["/after"]);
}

#[cfg(unix)]
#[test]
fn an_unopenable_path_makes_the_sink_not_ready_and_loses_nothing_once_repaired() {
    for (program, why) in [("mkdir", "` is a directory"), ("mkfifo", "no process reads the FIFO")] {
        let log = Log::new();
        let audit = JsonLinesAudit::to_file(&log.path).unwrap();
        write(&audit, "/1");
        fs::rename(&log.path, log.other("old")).unwrap();
        // In between, the sink may have created the file again.
        soon("the path is taken", || {
            let _ = fs::remove_file(&log.path);
            std::process::Command::new(program).arg(&log.path).status().unwrap().success()
        });
        soon("the sink is not ready", || audit.ready().is_err());
        let failure = audit.failure().unwrap();
        assert!(failure.contains("audit.jsonl") && failure.contains(why), "{failure}");
        audit.record(&event("/2")).unwrap();
        let error = audit.flush().unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        fs::remove_dir(&log.path).or_else(|_| fs::remove_file(&log.path)).unwrap();
        soon("the sink is ready", || audit.ready().is_ok());
        assert_eq!(audit.failure(), None);
        audit.flush().unwrap();
        assert_eq!((paths(&log.path), paths(&log.other("old"))), (vec!["/2".into()], vec!["/1".into()]));
        assert_eq!(audit.dropped(), 0);
    }
}

#[cfg(unix)]
#[test]
fn at_shutdown_records_are_written_to_the_old_file_if_it_still_has_a_name() {
    for has_name in [true, false] {
        let log = Log::new();
        let audit = JsonLinesAudit::to_file(&log.path).unwrap();
        write(&audit, "/1");
        fs::hard_link(&log.path, log.other("old")).unwrap();
        soon("the path is taken", || {
            let _ = fs::remove_file(&log.path);
            fs::create_dir(&log.path).is_ok()
        });
        soon("the sink is not ready", || audit.ready().is_err());
        audit.record(&event("/2")).unwrap();
        if !has_name {
            fs::remove_file(log.other("old")).unwrap();
        }
        audit.0.close();
        assert_eq!(audit.dropped(), u64::from(!has_name));
        let expected: &[&str] = if has_name { &["/1", "/2"] } else { &[] };
        assert_eq!(paths(&log.other("old")), expected);
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_lost_torn_or_doubled_while_files_are_renamed_under_load() {
    let log = Log::new();
    let audit = JsonLinesAudit::to_file(&log.path).unwrap();
    let rotations = 40;
    std::thread::scope(|scope| {
        let recorded = scope.spawn(|| {
            for number in 0..4000 {
                while audit.record(&event(&format!("/{number}"))).is_err() {
                    std::thread::yield_now();
                }
                if number % 50 == 0 {
                    std::thread::sleep(Duration::from_millis(2));
                }
            }
        });
        for rotation in 0..rotations {
            let _ = fs::rename(&log.path, log.other(&format!("old.{rotation:03}")));
            std::thread::sleep(Duration::from_millis(5));
        }
        recorded.join().unwrap();
    });
    audit.flush().unwrap();
    let mut all = Vec::new();
    for name in log.names() {
        all.extend(paths(&log.other(&name)));
    }
    let number = |path: &String| path[1..].parse::<u32>().unwrap();
    let mut numbers: Vec<_> = all.iter().map(number).collect();
    numbers.sort_unstable();
    assert!(numbers.iter().copied().eq(0..4000), "{} of 4000", numbers.len());
    assert_eq!(audit.dropped(), 0);
}

#[test]
fn a_log_that_rotates_itself_by_size_keeps_every_record_whole_and_once_also_with_two_writers() {
    let log = Log::new();
    let open = || JsonLinesAudit::builder().rotate_at_size(2000).to_file(&log.path).unwrap();
    let sinks = [open(), open()];
    std::thread::scope(|scope| {
        for (sink, audit) in sinks.iter().enumerate() {
            scope.spawn(move || {
                for number in 0..300 {
                    audit.record(&event(&format!("/{sink}/{number:04}"))).unwrap();
                    if number % 7 == 0 {
                        audit.flush().unwrap();
                    }
                }
                audit.flush().unwrap();
            });
        }
    });
    let names = log.names();
    assert!(names.len() > 5, "{names:?}");
    assert_eq!(names[0], "audit.jsonl");
    let mut all = Vec::new();
    for name in names[1..].iter().chain(&names[..1]) {
        all.extend(paths(&log.other(name)));
    }
    // Names sort by age, so the records of one sink are in order.
    for sink in 0..2 {
        let own: Vec<_> = all.iter().filter(|path| path.starts_with(&format!("/{sink}/"))).cloned().collect();
        let expected: Vec<_> = (0..300).map(|number| format!("/{sink}/{number:04}")).collect();
        assert_eq!(own, expected);
    }
}

#[test]
fn a_log_that_rotates_itself_by_age_does_so_while_idle_and_an_empty_one_stays() {
    let log = Log::new();
    let audit =
        JsonLinesAudit::builder().rotate_at_age(Duration::from_millis(50)).to_file(&log.path).unwrap();
    write(&audit, "/1");
    soon("the file is rotated", || log.names().len() == 2);
    // Twice the check interval.
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(log.names().len(), 2, "{:?}", log.names());
    assert_eq!(paths(&log.other(&log.names()[1])), ["/1"]);
}

#[cfg(unix)]
#[test]
fn a_log_behind_a_symbolic_link_is_rotated_where_the_file_is_and_the_link_stays() {
    let log = Log::new();
    fs::create_dir(log.other("disk")).unwrap();
    std::os::unix::fs::symlink(log.other("disk/real.jsonl"), &log.path).unwrap();
    let audit = JsonLinesAudit::builder().rotate_at_size(1).keep(2).to_file(&log.path).unwrap();
    for number in 0..5 {
        write(&audit, &format!("/{number}"));
    }
    assert_eq!(log.names(), ["audit.jsonl", "disk"]);
    assert!(fs::symlink_metadata(&log.path).unwrap().is_symlink());
    assert_eq!(paths(&log.path), ["/4"]);
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(log.other("disk")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    soon("the oldest are deleted", || names().len() == 1 + 2);
    assert_eq!(names()[1..].iter().flat_map(|path| paths(path)).collect::<Vec<_>>(), ["/2", "/3"]);
}

#[test]
fn only_as_many_rotated_files_are_kept_as_were_asked_for_and_other_files_stay() {
    let log = Log::new();
    for other in ["audit.jsonl.1", "audit.jsonl.bak", "other.jsonl.2020-01-01T00-00-00.000000Z"] {
        fs::write(log.other(other), "").unwrap();
    }
    let audit = JsonLinesAudit::builder().rotate_at_size(1).keep(3).to_file(&log.path).unwrap();
    for number in 0..10 {
        write(&audit, &format!("/{number}"));
    }
    soon("the oldest are deleted", || log.names().len() == 1 + 3 + 3);
    let kept = log.names().into_iter().filter(|name| name.starts_with("audit.jsonl.2"));
    let kept: Vec<_> = kept.flat_map(|name| paths(&log.other(&name))).collect();
    assert_eq!(kept, ["/6", "/7", "/8"]);
    assert_eq!(paths(&log.path), ["/9"]);
}

#[cfg(feature = "compress")]
#[test]
fn rotated_files_are_compressed_and_what_a_killed_run_left_is_finished() {
    use std::io::Read;
    let log = Log::new();
    let left = log.other("audit.jsonl.2020-01-01T00-00-00.000000Z");
    fs::write(&left, "{\"url.path\":\"/old\"}\n").unwrap();
    fs::write(log.other("audit.jsonl.2020-01-01T00-00-00.000000Z.gz.part"), "garbage").unwrap();
    let audit = JsonLinesAudit::builder().rotate_at_size(1).compress().to_file(&log.path).unwrap();
    for number in 0..3 {
        write(&audit, &format!("/{number}"));
    }
    soon("all are compressed", || {
        let names = log.names();
        names.len() == 4 && names[1..].iter().all(|name| name.ends_with("Z.gz"))
    });
    let mut text = String::new();
    for name in &log.names()[1..] {
        let file = File::open(log.other(name)).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let is_old = name.contains("2020");
            let expected =
                if is_old { fs::metadata(log.other(name)).unwrap().permissions().mode() } else { 0o100_600 };
            assert_eq!(file.metadata().unwrap().permissions().mode(), expected);
        }
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    }
    fs::write(log.other("all"), text).unwrap();
    assert_eq!(paths(&log.other("all")), ["/old", "/0", "/1"]);
}

#[cfg(unix)]
#[expect(clippy::print_stderr, reason = "says what it skips")]
#[test]
fn a_log_that_cannot_be_rotated_is_still_written() {
    use std::os::unix::fs::PermissionsExt;
    let log = Log::new();
    let audit = JsonLinesAudit::builder().rotate_at_size(1).to_file(&log.path).unwrap();
    write(&audit, "/1");
    fs::set_permissions(log.folder.path(), fs::Permissions::from_mode(0o500)).unwrap();
    if File::create(log.other("probe")).is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    write(&audit, "/2");
    fs::set_permissions(log.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(paths(&log.path), ["/1", "/2"]);
    assert!(audit.ready().is_ok());
}

#[test]
fn rotation_or_sync_of_a_pipe_is_refused() {
    let log = Log::new();
    let builder = JsonLinesAudit::builder;
    for refused in [builder().rotate_at_size(0), builder().keep(1), builder().rotate_at_age(Duration::ZERO)] {
        assert!(refused.to_file(&log.path).is_err());
    }
    for refused in [builder().sync(), builder().rotate_at_size(1)] {
        assert!(refused.clone().to_writer(Shared::default()).is_err());
        #[cfg(unix)]
        assert!(refused.to_file("/dev/null").is_err());
    }
    assert!(builder().sync().to_file(&log.path).is_ok());
}

#[test]
fn an_error_names_the_path_what_is_wrong_and_the_next_step() {
    let log = Log::new();
    let error = |path: &Path| JsonLinesAudit::to_file(path).err().unwrap().to_string();
    let no_folder = error(&log.other("none").join("audit.jsonl"));
    assert!(no_folder.contains("none") && no_folder.contains("its folder does not exist"), "{no_folder}");
    #[cfg(unix)]
    {
        let directory = error(log.folder.path());
        assert!(directory.ends_with("is a directory; name a file in it"), "{directory}");
        let _listener = std::os::unix::net::UnixListener::bind(log.other("socket")).unwrap();
        let socket = error(&log.other("socket"));
        assert!(socket.contains("is a socket") && socket.contains("`to_writer`"), "{socket}");
    }
}
