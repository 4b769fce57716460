//! From nothing to mutual TLS: the first commands of the page, in one shell.

use std::net::TcpListener;
use std::process::Command;

use super::{insist, page, run};
use crate::sandbox::Sandbox;

#[test]
fn five_commands_lead_from_nothing_to_a_call_by_mutual_tls() {
    for program in ["curl", "openssl"] {
        if Command::new(program).arg("version").output().is_err() {
            return eprintln!("skipped: no `{program}`");
        }
    }
    let sandbox = Sandbox::new();
    let text = page::read("../encrypting.md");
    let steps: Vec<_> =
        page::steps(&text).into_iter().filter(|step| step.heading == "Start with five commands").collect();
    assert_eq!(steps.len(), 5);
    let script: String = steps.iter().map(|step| step.script.as_str()).collect();
    let free = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let script = script.replace("8443", &free);
    // A client without a certificate, and the end of the server.
    let script = format!(
        "trap 'kill $! 2> /dev/null || true' EXIT\n{script}\n\
         if curl -fsS --cacert certificates/orders/ca.crt https://localhost:{free}/ 2> /dev/null; then exit 9; fi\n\
         echo refused without a certificate\n"
    );
    let said = insist(&run(&sandbox, &script, &[]));
    for step in &steps {
        page::assert_shown(step.shown.as_deref().unwrap_or_default(), &said);
    }
    assert!(said.ends_with("refused without a certificate\n"), "{said}");
    for name in ["orders", "stock"] {
        let token = sandbox.read(&format!("tokens/{name}.token"));
        let inspected = sandbox.feed(&["inspect", "--format", "json", "-"], token).done().json();
        assert!(inspected["claims"]["cnf"]["x5t#S256"].is_string(), "{inspected}");
    }
}
