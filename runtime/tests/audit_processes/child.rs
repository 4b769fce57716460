//! What a child does, by its environment; without one, nothing.

use std::{io::Write, sync::OnceLock, time::Duration};

use axum::{Router, routing::get};
use service_only::{
    JsonLinesAudit, Verifier,
    audit::JsonLinesBuilder,
    service_only,
    shutdown::{drain, shutdown_signal},
};

pub(crate) const ROLE: &str = "SERVICE_ONLY_TEST_ROLE";
pub(crate) const MODE: &str = "SERVICE_ONLY_TEST_MODE";
pub(crate) const LOG: &str = "SERVICE_ONLY_TEST_LOG";

/// Callers that a child admits before it ends.
pub(crate) const BURST: usize = 300;

pub(crate) const THREADS: usize = 4;

/// Never dropped.
static VERIFIER: OnceLock<(Verifier, String)> = OnceLock::new();

pub(crate) fn builder(mode: &str) -> JsonLinesBuilder {
    let builder = JsonLinesAudit::builder().write_timeout(Duration::from_secs(60));
    match mode {
        "default" => builder,
        "before" => builder.write_before_handler(),
        "before-sync" => builder.write_before_handler().sync(),
        other => panic!("no mode: {other}"),
    }
}

#[test]
fn child_process_of_the_audit_tests() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let audit = builder(&std::env::var(MODE).unwrap()).to_file(std::env::var_os(LOG).unwrap()).unwrap();
    let (verifier, token) = VERIFIER.get_or_init(|| super::verifier(audit, true));
    match role.as_str() {
        "loop" => {
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        loop {
                            admit(verifier, token);
                        }
                    });
                }
            });
        }
        "serve" => serve(verifier.clone(), token),
        burst => {
            std::thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| (0..BURST / THREADS).for_each(|_| admit(verifier, token)));
                }
            });
            match burst {
                "burst-exit" => std::process::exit(0),
                "burst-abort" => std::process::abort(),
                "burst-panic" => panic!("as a test may"),
                "burst-return" => {}
                other => panic!("no role: {other}"),
            }
        }
    }
}

/// One write, so that lines of several threads stay whole.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

fn admit(verifier: &Verifier, token: &str) {
    verifier.verify(token).unwrap();
    say("admitted");
}

#[service_only]
async fn fast() {}

#[service_only]
async fn slow() {
    say("slow begins");
    tokio::time::sleep(Duration::from_millis(500)).await;
}

/// As the quick start does it, on a free port.
#[tokio::main]
async fn serve(verifier: Verifier, token: &str) {
    let app = Router::new().route("/fast", get(fast)).route("/slow", get(slow)).with_state(verifier);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown_signal().unwrap());
    say(&format!("port {port}\ntoken {token}"));
    drain(server).await.unwrap();
}
