//! Notifications of PostgreSQL that come alone, and that do not come at all. Files of SQLite that are replaced.

use super::{wire::Wire, *};

async fn count(database: &Database, wire: &Wire) -> i64 {
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    let count = format!("SELECT COUNT(*) {}", wire.listening());
    sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(&pool).await.unwrap()
}

/// Waits until somebody listens through this wire.
async fn listened(database: &Database, wire: &Wire) {
    let waiting = async {
        while count(database, wire).await == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("somebody listens");
}

#[tokio::test]
async fn a_notification_is_enough_without_a_poll() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = wire::server_of(&database.url) else { return };
    let store = Store::create(&database.url).await.unwrap();
    let wire = Wire::lay("127.0.0.1:0", server).await;
    let hour = Duration::from_secs(3600);
    let revocations =
        SqlRevocations::of(wire.url(&database.url)).poll_interval(hour).max_silence(hour).start().unwrap();
    revocations.loaded().await;
    let verifier = verifier(&revocations);
    listened(&database, &wire).await;
    let token = mint("orders");
    assert_eq!(verdict(&verifier, &token), None);
    store.revoke(&revocation(&token)).await.unwrap();
    within(60, "it is notified", || verdict(&verifier, &token) == REVOKED).await;
}

#[tokio::test]
async fn a_poll_finds_a_revocation_without_a_notification() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = wire::server_of(&database.url) else { return };
    let store = Store::create(&database.url).await.unwrap();
    let wire = Wire::deaf(server).await;
    let revocations = follow(&wire.url(&database.url)).await;
    let verifier = verifier(&revocations);
    let token = mint("orders");
    assert_eq!(verdict(&verifier, &token), None);
    store.revoke(&revocation(&token)).await.unwrap();
    within(60, "the poll finds it", || verdict(&verifier, &token) == REVOKED).await;
    assert_eq!(count(&database, &wire).await, 0, "nobody listens");
    assert_eq!(verdict(&verifier, &mint("orders")), None, "that is no outage");
}

#[tokio::test]
async fn a_connection_that_listens_and_is_ended_by_the_server_is_replaced_and_nothing_is_missed() {
    let Some(database) = Database::postgres().await else { return };
    let Some(server) = wire::server_of(&database.url) else { return };
    let store = Store::create(&database.url).await.unwrap();
    let wire = Wire::lay("127.0.0.1:0", server).await;
    let revocations = follow(&wire.url(&database.url)).await;
    let verifier = verifier(&revocations);
    listened(&database, &wire).await;
    database.execute(&format!("SELECT pg_terminate_backend(pid, 10000) {}", wire.listening())).await;
    let token = mint("orders");
    store.revoke(&revocation(&token)).await.unwrap();
    within(60, "it is found", || verdict(&verifier, &token) == REVOKED).await;
    listened(&database, &wire).await;
}

/// An operator puts a copy in the place of the file, and later revokes in the copy.
#[cfg(unix)]
#[tokio::test]
async fn a_store_whose_file_was_replaced_or_deleted_is_read_at_its_path() {
    let database = Database::sqlite();
    let path = std::path::Path::new(database.url.strip_prefix("sqlite:").unwrap());
    let store = Store::create(&database.url).await.unwrap();
    let (early, late, good) = (mint("orders"), mint("orders"), mint("orders"));
    store.revoke(&revocation(&early)).await.unwrap();
    let revocations = SqlRevocations::of(&database.url).max_silence(Duration::from_secs(2));
    let revocations = revocations.start().unwrap();
    revocations.loaded().await;
    let verifier = verifier(&revocations);

    let copy = path.with_extension("copy");
    std::fs::copy(path, &copy).unwrap();
    std::fs::rename(&copy, path).unwrap();
    // An operator's command, and a program that has been open since before.
    Store::connect(&database.url).await.unwrap().revoke(&revocation(&late)).await.unwrap();
    within(60, "it is read in the copy", || verdict(&verifier, &late) == REVOKED).await;
    assert_eq!(store.revocations_since(0, 9).await.unwrap().len(), 2);

    std::fs::rename(path, &copy).unwrap();
    within(60, "a missing file is an outage", || {
        verdict(&verifier, &good) == Some(Code::RevocationUnavailable)
    })
    .await;
    assert_eq!(verdict(&verifier, &late), REVOKED, "what is known stays known");
    std::fs::rename(&copy, path).unwrap();
    within(60, "it is back", || verdict(&verifier, &good).is_none()).await;
}
