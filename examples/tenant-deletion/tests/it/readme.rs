//! The README's steps from keys to the end, in one shell.

use std::net::TcpListener;
use std::path::Path;

use tenant_deletion::catalogue::SERVICES;
use tokio::process::Command;

const README: &str = include_str!("../../README.md");

/// Every block marked `sh`, in order.
fn script() -> String {
    let (mut script, mut is_inside) = (String::new(), false);
    for line in README.lines() {
        match line.trim() {
            "```sh" => is_inside = true,
            "```" => is_inside = false,
            command if is_inside => script.extend([command, "\n"]),
            _ => {}
        }
    }
    script
}

/// The first of so many ports in a row that are free now.
fn free_ports(count: u16) -> u16 {
    (20_000..50_000)
        .step_by(usize::from(count))
        .find(|first| {
            let ports = *first..*first + count;
            let taken: Result<Vec<_>, _> = ports.map(|port| TcpListener::bind(("127.0.0.1", port))).collect();
            taken.is_ok()
        })
        .unwrap()
}

#[tokio::test]
async fn steps_of_the_readme_delete_one_tenant_and_refuse_an_unknown_one() {
    if !Command::new("curl").arg("--version").output().await.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: curl is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let first = free_ports(1 + u16::try_from(SERVICES.len()).unwrap());
    let script = script().replace("18000", &first.to_string()).replace("18001", &(first + 1).to_string());
    let program = Path::new(env!("CARGO_BIN_EXE_tenant-deletion")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    // If a step fails, nothing keeps running.
    let script = format!("started=; trap 'kill $started 2> /dev/null || true' EXIT\n{script}");
    let ended = Command::new("sh")
        .args(["-euc", &script])
        .current_dir(folder.path())
        .env("PATH", path)
        .env_remove("RUST_LOG")
        .output()
        .await
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}\n{err}");
    for (word, count) in [("previewed", 12), (" deleted ", 14), ("exit code 3", 1), ("\ntrace ", 2)] {
        assert_eq!(out.matches(word).count(), count, "`{word}` in\n{out}\n{err}");
    }
    assert!(err.contains("no service has or had a record of the tenant 00000000-"), "{err}");
    for service in SERVICES.iter() {
        let log = std::fs::read_to_string(folder.path().join(format!("{service}.log"))).unwrap();
        assert!(log.contains(r#""message":"stopped""#), "{log}");
    }
}
