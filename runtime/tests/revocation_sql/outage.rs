//! The connection to PostgreSQL is cut and comes back, through a forwarder that stands in between.

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinSet};

use super::*;

/// Forwards to the database, until it is cut.
struct Wire(AbortHandle);

impl Wire {
    async fn lay(listen: &str, server: String) -> (Self, String) {
        let listener = TcpListener::bind(listen).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let forwarding = tokio::spawn(async move {
            // Ended with this task, and its connections with it.
            let mut open = JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let server = server.clone();
                open.spawn(async move {
                    let mut far = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        (Self(forwarding.abort_handle()), address)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn a_lost_connection_is_an_outage_after_the_silence_that_was_set_and_found_again() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = database.url.split_once('@').and_then(|(_, rest)| rest.split_once('/')) else {
        eprintln!("skipped: DATABASE_URL names no host and port");
        return;
    };
    let store = Store::connect(&database.url).await.unwrap();
    let (early, late, good) = (mint("orders"), mint("orders"), mint("orders"));
    store.revoke(&revocation(&early)).await.unwrap();

    let (wire, near) = Wire::lay("127.0.0.1:0", server.0.to_owned()).await;
    let url = database.url.replace(server.0, &near);
    let silence = Duration::from_secs(2);
    let revocations = SqlRevocations::of(url).max_silence(silence).start().unwrap();
    revocations.loaded().await;
    let verifier = verifier(&revocations);
    assert_eq!(verdict(&verifier, &late), None);

    drop(wire);
    store.revoke(&revocation(&late)).await.unwrap();
    within(20, "silence", || verdict(&verifier, &good) == Some(Code::RevocationUnavailable)).await;
    assert_eq!(verdict(&verifier, &early), REVOKED, "what is known stays known");

    let (_wire, _) = Wire::lay(&near, server.0.to_owned()).await;
    within(30, "it is back", || verdict(&verifier, &good).is_none()).await;
    assert_eq!(verdict(&verifier, &late), REVOKED, "what was missed was read first");
}
