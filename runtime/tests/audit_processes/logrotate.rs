//! Rotation by the real `logrotate`.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use service_only::JsonLinesAudit;

use super::{Log, records, verifier};

/// Debian has it outside of the path of most users.
fn logrotate() -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH")?)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join("logrotate"))
        .find(|program| program.exists());
    if found.is_none() {
        eprintln!("skipped: there is no logrotate");
    }
    found
}

/// Rotates the log now, with these directives.
fn rotate(program: &Path, log: &Log, directives: &str) {
    let folder = log.path.parent().unwrap();
    let settings = folder.join("logrotate.conf");
    let text = format!("\"{}\" {{\n  rotate 20\n  missingok\n  {directives}\n}}\n", log.path.display());
    fs::write(&settings, text).unwrap();
    let output = Command::new(program)
        .arg("--force")
        .arg("--state")
        .arg(folder.join("logrotate.state"))
        .arg(&settings)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The records of all files of the log.
fn all_records(log: &Log) -> usize {
    let folder = log.path.parent().unwrap();
    let mut all = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("audit.jsonl") {
            continue;
        }
        if name.ends_with(".gz") {
            let mut text = String::new();
            flate2::read::GzDecoder::new(File::open(&path).unwrap()).read_to_string(&mut text).unwrap();
            let plain = folder.join("plain");
            fs::write(&plain, text).unwrap();
            all += records(&plain);
        } else {
            all += records(&path);
        }
    }
    all
}

#[test]
fn logrotate_loses_no_record_in_any_of_its_modes() {
    let Some(program) = logrotate() else { return };
    let modes = [
        "",
        "nocreate",
        "create 0640",
        "copytruncate",
        "compress",
        "create 0600\n compress",
        "compress\n delaycompress",
    ];
    for directives in modes {
        for before_handler in [false, true] {
            let log = Log::new();
            let builder = JsonLinesAudit::builder();
            let builder = if before_handler { builder.write_before_handler() } else { builder };
            let audit = builder.to_file(&log.path).unwrap();
            let (verifier, token) = verifier(audit.clone(), true);
            for round in 1..=3 {
                for _ in 0..20 {
                    verifier.verify(&token).unwrap();
                }
                // `copytruncate` loses what comes between its copy and its truncation, as its manual says.
                audit.flush().unwrap();
                rotate(&program, &log, directives);
                assert_eq!(all_records(&log), round * 20, "{directives}");
            }
            verifier.verify(&token).unwrap();
            audit.flush().unwrap();
            assert_eq!((records(&log.path), all_records(&log)), (1, 61), "{directives}");
            assert_eq!(audit.dropped(), 0);
        }
    }
}

#[test]
fn logrotate_loses_no_record_under_load() {
    let Some(program) = logrotate() else { return };
    for directives in ["nocreate", "create 0600"] {
        let log = Log::new();
        let audit = JsonLinesAudit::to_file(&log.path).unwrap();
        let (verifier, token) = verifier(audit.clone(), true);
        let rotated = std::sync::atomic::AtomicBool::new(false);
        let admitted = std::thread::scope(|scope| {
            let load = scope.spawn(|| {
                let mut admitted = 0;
                while !rotated.load(std::sync::atomic::Ordering::SeqCst) {
                    verifier.verify(&token).unwrap();
                    admitted += 1;
                    std::thread::sleep(std::time::Duration::from_micros(200));
                }
                admitted
            });
            for _ in 0..5 {
                rotate(&program, &log, directives);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            rotated.store(true, std::sync::atomic::Ordering::SeqCst);
            load.join().unwrap()
        });
        audit.flush().unwrap();
        assert_eq!((all_records(&log), audit.dropped()), (admitted, 0), "{directives}");
    }
}
