//! The first evening: every line of the page, in one shell, with a PostgreSQL and two services.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{insist, page, run};
use crate::sandbox::Sandbox;
use crate::store::new_store;

/// The first of four ports in a row that are free now.
fn free_ports() -> u16 {
    let free = |port: &u16| (*port..*port + 4).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    (20_000..50_000).step_by(4).find(free).unwrap()
}

fn lacks(program: &Path, argument: &str) -> bool {
    let lacks = !Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if lacks {
        eprintln!("skipped: `{}` does not start", program.display());
    }
    lacks
}

#[test]
fn commands_of_the_first_fleet_rehearse_a_rotation_and_an_incident_without_a_refused_call() {
    let service = Path::new(env!("CARGO_BIN_EXE_service-token")).with_file_name("fleet-service");
    let programs = [
        (service.as_path(), "--help"),
        (Path::new("curl"), "--version"),
        (Path::new("openssl"), "version"),
        (Path::new("promtool"), "--version"),
    ];
    if programs.into_iter().any(|(program, argument)| lacks(program, argument)) {
        return;
    }
    let Some(database) = new_store() else { return };
    let sandbox = Sandbox::new();
    let alerts = page::folder().join("../../../examples/metrics/prometheus/alerts.yml");
    std::fs::copy(alerts, sandbox.path("alerts.yml")).unwrap();
    let steps = page::steps(&page::read("first-fleet.md"));
    let script: String = steps.iter().map(|step| step.script.as_str()).collect();
    // If a step fails, nothing keeps running.
    let script = format!("started=; trap 'kill $started 2> /dev/null || true' EXIT\n{script}");
    let port = free_ports().to_string();
    let begun = Instant::now();
    let said = insist(&run(&sandbox, &script, &[("DATABASE", &database), ("PORT", &port)]));
    let took = begun.elapsed();
    eprintln!("the commands took {} s", took.as_secs());
    assert!(took < Duration::from_secs(300), "the commands took {took:?}");
    for step in &steps {
        page::assert_shown(step.shown.as_deref().unwrap_or_default(), &said);
    }
    let at = |text: &str| said.find(text).unwrap_or_else(|| panic!("no `{text}` in\n{said}"));
    let (prepared, activated, revoked) = (at("\nprepared "), at("\nactivated "), at("\nrevoked "));
    assert!(prepared < activated && activated < revoked, "{said}");
    assert!(said.contains("SUCCESS") && said.contains("service_only_serve_keys"), "{said}");
    // Until the incident, every call succeeds.
    let calls: Vec<_> = said[..revoked].lines().filter(|line| line.ends_with(' ')).collect();
    assert!(calls.len() > 2 && calls.iter().all(|call| *call == "200 200 "), "{said}");
    assert!(!said.contains("eyJ"), "a token was printed");
}
