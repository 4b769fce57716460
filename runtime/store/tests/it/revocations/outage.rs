//! The connection to PostgreSQL is cut and comes back, through a forwarder that stands in between.

use super::{wire::Wire, *};

#[tokio::test]
async fn a_lost_connection_is_an_outage_after_the_configured_time_until_it_returns() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = wire::server_of(&database.url) else { return };
    let store = Store::create(&database.url).await.unwrap();
    let (early, late, good) = (mint("orders"), mint("orders"), mint("orders"));
    store.revoke(&revocation(&early)).await.unwrap();

    let wire = Wire::lay("127.0.0.1:0", server).await;
    let (url, near) = (wire.url(&database.url), wire.near().to_owned());
    let silence = Duration::from_secs(2);
    let revocations = SqlRevocations::of(url).max_silence(silence).start().unwrap();
    revocations.loaded().await;
    let verifier = verifier(&revocations);
    assert_eq!(verdict(&verifier, &late), None);

    drop(wire);
    store.revoke(&revocation(&late)).await.unwrap();
    within(20, "silence", || verdict(&verifier, &good) == Some(Code::RevocationUnavailable)).await;
    assert_eq!(verdict(&verifier, &early), REVOKED, "what is known stays known");

    let _wire = Wire::lay(&near, server).await;
    within(30, "it is back", || verdict(&verifier, &good).is_none()).await;
    assert_eq!(verdict(&verifier, &late), REVOKED, "what was missed was read first");
}
