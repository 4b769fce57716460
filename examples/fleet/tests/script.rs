//! The script, with the built programs, on ports of its own.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "a test; a skipped one says so")]

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

/// The first of three ports in a row that are free now.
fn free_ports() -> u16 {
    let free = |port: &u16| (*port..*port + 3).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (20_000..50_000).step_by(3).find(free).unwrap()
}

fn starts(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

#[test]
fn script_shows_a_revocation_and_a_rotation_that_waits() {
    let programs = Path::new(env!("CARGO_BIN_EXE_fleet-service")).parent().unwrap();
    if !starts(programs.join("service-token").to_str().unwrap(), "--version") {
        eprintln!("skipped: build `service-token` first: cargo build -p service-token");
        return;
    }
    if !starts("curl", "--version") || !starts("openssl", "version") {
        eprintln!("skipped: curl or openssl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ended = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("run.sh"))
        .arg(folder.path())
        .env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()))
        .env("FLEET_PORT", free_ports().to_string())
        .env("NO_COLOR", "1")
        .env_remove("FLEET_STORE")
        .env_remove("SERVICE_TOKEN_STORE")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
    for line in [
        "orders calls both: 200 200",
        "orders calls both: 401 401",
        "orders has a new token: 200 200",
        "waits: not loaded yet by bakery;",
        "activated ",
        "orders has a token of the new key: 200 200",
    ] {
        assert!(out.contains(line), "no `{line}` in\n{out}\n{err}");
    }
    let refused = out.lines().find_map(|line| {
        line.strip_prefix("both refuse the token ")?.strip_suffix(" ms after the end of the command")
    });
    let took: u64 = refused.unwrap_or_else(|| panic!("no time of the revocation in\n{out}")).parse().unwrap();
    // The services read the revocations every second or faster. A busy machine needs longer.
    assert!(took < 10_000, "the token was refused after {took} ms");
    assert!(!out.contains("eyJ") && !err.contains("eyJ"), "a token was printed");
}
