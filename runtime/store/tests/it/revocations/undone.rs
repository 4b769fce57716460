//! Revocations that are undone: how soon that is known, and what never undoes one.

use service_only_store::Undoing;

use super::*;

async fn undo(store: &Store, number: i64) {
    store.undo_revocation(&Undoing::new(number, "by mistake")).await.unwrap();
}

#[tokio::test]
async fn an_undone_token_is_accepted_again_within_a_second_without_a_notification() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let mut urls = vec![database.url.clone()];
        let server = wire::server_of(&database.url).filter(|_| database.url.starts_with("postgres"));
        let deaf = match server {
            Some(server) => Some(wire::Wire::deaf(server).await),
            None => None,
        };
        urls.extend(deaf.as_ref().map(|wire| wire.url(&database.url)));
        for url in urls {
            let verifier = verifier(&follow(&url).await);
            let token = mint("orders");
            for _ in 0..2 {
                store.revoke(&revocation(&token)).await.unwrap();
                within(60, "it is refused", || verdict(&verifier, &token) == REVOKED).await;
                undo(&store, store.head().await.unwrap().sequence).await;
                let begun = std::time::Instant::now();
                within(60, "it is accepted", || verdict(&verifier, &token).is_none()).await;
                // A poll each 400 ms; the rest is for a machine that is busy.
                assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
            }
        }
    }
}

#[tokio::test]
async fn a_reader_that_missed_everything_in_between_refuses_what_was_revoked_again() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let hour = Duration::from_secs(3600);
        // Each reader polls at another pace, so that each sees another part of what happens.
        let mut readers = Vec::new();
        for poll in [10, 37, 400] {
            let revocations = SqlRevocations::of(&database.url)
                .poll_interval(Duration::from_millis(poll))
                .max_silence(hour);
            let revocations = revocations.start().unwrap();
            revocations.loaded().await;
            readers.push(verifier(&revocations));
        }
        let token = mint("orders");
        for _ in 0..20 {
            store.revoke(&revocation(&token)).await.unwrap();
            undo(&store, store.head().await.unwrap().sequence).await;
        }
        store.revoke(&revocation(&token)).await.unwrap();
        for reader in &readers {
            within(60, "it is refused", || verdict(reader, &token) == REVOKED).await;
        }
        let other = mint("orders");
        store.revoke(&revocation(&other)).await.unwrap();
        for reader in &readers {
            within(60, "the next is read", || verdict(reader, &other) == REVOKED).await;
            assert_eq!(verdict(reader, &token), REVOKED, "and the former one is still refused");
        }
    }
}

#[tokio::test]
async fn a_service_whose_further_revocation_is_undone_is_never_accepted_up_to_the_former_one() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let token = mint("orders");
        let issued = issued_at(&token);
        store.revoke(&NewRevocation::service(ISSUER, "orders", issued)).await.unwrap();
        store
            .revoke(&NewRevocation::service(ISSUER, "orders", issued.plus(Duration::from_secs(1_000))))
            .await
            .unwrap();
        let revocations = follow(&database.url).await;
        let verifier = verifier(&revocations);
        assert_eq!(verdict(&verifier, &token), REVOKED);
        let before = revocations.len();
        undo(&store, 2).await;
        // The poll that follows the undoing reads this one too.
        let other = mint("sales");
        store.revoke(&revocation(&other)).await.unwrap();
        within(60, "it is read", || {
            assert_eq!(verdict(&verifier, &token), REVOKED);
            verdict(&verifier, &other) == REVOKED
        })
        .await;
        assert_eq!(revocations.len(), before + 1);
        undo(&store, 1).await;
        within(60, "nothing covers it", || verdict(&verifier, &token).is_none()).await;
    }
}

#[tokio::test]
async fn a_database_that_is_put_back_to_before_an_undoing_revokes_again() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let (token, last) = (mint("orders"), mint("orders"));
        store.revoke(&revocation(&token)).await.unwrap();
        store.revoke(&revocation(&last)).await.unwrap();
        let verifier = verifier(&follow(&database.url).await);
        undo(&store, 1).await;
        within(60, "it is undone", || verdict(&verifier, &token).is_none()).await;
        // As a standby that had not everything: the last revocation is there, the undoing is not.
        database
            .execute(
                "INSERT INTO service_only_revocations
                 SELECT sequence, kind, issuer, name, until, revoked_at, revoked_by, reason
                 FROM service_only_past_revocations;
                 DELETE FROM service_only_past_revocations;
                 UPDATE service_only_sequence SET value = 2;",
            )
            .await;
        within(60, "it is revoked again", || verdict(&verifier, &token) == REVOKED).await;
        // The next undoing gets the number of the lost one, and is followed all the same.
        undo(&store, 2).await;
        within(60, "it is followed", || verdict(&verifier, &last).is_none()).await;
        assert_eq!(verdict(&verifier, &token), REVOKED);
    }
}

#[tokio::test]
async fn undo_ends_the_outage_of_too_many_revocations() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let (first, second, good) = (mint("orders"), mint("orders"), mint("orders"));
        store.revoke(&revocation(&first)).await.unwrap();
        let revocations = SqlRevocations::of(&database.url).limit(1).start().unwrap();
        revocations.loaded().await;
        let verifier = verifier(&revocations);
        store.revoke(&revocation(&second)).await.unwrap();
        within(60, "it is full", || verdict(&verifier, &good) == Some(Code::RevocationUnavailable)).await;
        undo(&store, 1).await;
        within(60, "there is room", || verdict(&verifier, &good).is_none()).await;
        assert_eq!((verdict(&verifier, &first), verdict(&verifier, &second)), (None, REVOKED));
    }
}
