//! Revocations of a fleet over both databases: how soon they are known, and what an outage means.

mod clock;
mod fleet;
mod lost;
mod outage;
mod undone;
mod wire;

use std::time::Duration;

use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::Timestamp,
    error::Code,
    issue::{Issuer, MintedToken, SigningKey},
};
use service_only_store::{NewRevocation, SqlRevocations, Store};

use crate::database::Database;

const ISSUER: &str = "bakery-auth";
const SECRET: &[u8] = b"for tests alone, and as long as a hash";
const REVOKED: Option<Code> = Some(Code::Revoked);

fn mint(service: &str) -> MintedToken {
    let key = SigningKey::hmac(Algorithm::HS256, SECRET).unwrap();
    Issuer::builder().issuer(ISSUER).key(key).build().unwrap().token_for(service).mint().unwrap()
}

fn verifier(revocations: &SqlRevocations) -> Verifier {
    let key = SigningKey::hmac(Algorithm::HS256, SECRET).unwrap().verifying_key();
    let builder = Verifier::builder().issuer(ISSUER).keys(key).audit(NoAudit);
    builder.revocation(revocations.clone()).build().unwrap()
}

fn verdict(verifier: &Verifier, token: &MintedToken) -> Option<Code> {
    verifier.verify(token.as_str()).err().map(|denial| denial.code())
}

fn revocation(token: &MintedToken) -> NewRevocation {
    NewRevocation::token(
        ISSUER,
        token.claims().jti.clone().unwrap(),
        Timestamp::from_unix(token.claims().exp),
    )
}

fn issued_at(token: &MintedToken) -> Timestamp {
    Timestamp::from_unix(token.claims().iat.unwrap())
}

async fn follow(url: &str) -> SqlRevocations {
    let revocations = SqlRevocations::of(url).start().unwrap();
    revocations.loaded().await;
    revocations
}

/// Waits for a condition, for no longer than that.
async fn within(seconds: u64, what: &str, condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(seconds), waiting).await.expect(what);
}

#[tokio::test]
async fn no_caller_is_accepted_before_all_revocations_are_loaded() {
    for database in Database::all().await {
        let revocations = SqlRevocations::of(&database.url).start().unwrap();
        let verifier_ = verifier(&revocations);
        let (token, other) = (mint("orders"), mint("orders"));
        assert_eq!(verdict(&verifier_, &token), Some(Code::RevocationUnavailable), "there is no store yet");
        let store = Store::create(&database.url).await.unwrap();
        store.revoke(&revocation(&token)).await.unwrap();
        within(10, "it is read", || verdict(&verifier_, &token) == REVOKED).await;
        assert_eq!(verdict(&verifier_, &other), None);
        let restarted = verifier(&follow(&database.url).await);
        assert_eq!(verdict(&restarted, &token), REVOKED);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_verifiers_refuse_a_token_a_service_and_a_key() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let mut fleet = Vec::new();
        for _ in 0..3 {
            fleet.push(verifier(&follow(&database.url).await));
        }
        let token = mint("orders");
        let (by_service, by_key) = (mint("orders"), mint("sales"));
        for (revocation, token) in [
            (revocation(&token), &token),
            (NewRevocation::service(ISSUER, "orders", issued_at(&by_service)), &by_service),
            (NewRevocation::key(ISSUER, by_key.kid().as_str()), &by_key),
        ] {
            assert!(fleet.iter().all(|verifier| verdict(verifier, token).is_none()));
            store.revoke(&revocation).await.unwrap();
            within(60, "all refuse", || fleet.iter().all(|verifier| verdict(verifier, token) == REVOKED))
                .await;
        }
    }
}

#[tokio::test]
async fn more_revocations_than_the_limit_are_an_outage_and_none_is_lost() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let (first, second, good) = (mint("orders"), mint("orders"), mint("orders"));
        store.revoke(&revocation(&first)).await.unwrap();
        let revocations = SqlRevocations::of(&database.url).limit(1).start().unwrap();
        revocations.loaded().await;
        let verifier = verifier(&revocations);
        assert_eq!(verdict(&verifier, &good), None);
        store.revoke(&revocation(&second)).await.unwrap();
        within(10, "it is full", || verdict(&verifier, &good) == Some(Code::RevocationUnavailable)).await;
        assert_eq!(verdict(&verifier, &first), REVOKED);
    }
}

#[tokio::test]
async fn a_database_that_is_locked_for_too_long_is_an_outage_until_it_is_free_again() {
    let database = Database::sqlite();
    let store = Store::create(&database.url).await.unwrap();
    let (revoked, good) = (mint("orders"), mint("orders"));
    store.revoke(&revocation(&revoked)).await.unwrap();
    let silence = Duration::from_secs(1);
    let revocations = SqlRevocations::of(&database.url).max_silence(silence).start().unwrap();
    revocations.loaded().await;
    let verifier = verifier(&revocations);
    within(10, "it is read", || verdict(&verifier, &good).is_none()).await;
    let lock = database.lock().await;
    within(10, "silence", || verdict(&verifier, &good) == Some(Code::RevocationUnavailable)).await;
    assert_eq!(verdict(&verifier, &revoked), REVOKED, "what is known stays known");
    drop(lock);
    within(20, "it is back", || verdict(&verifier, &good).is_none()).await;
}

#[tokio::test]
async fn a_database_that_was_put_back_is_read_from_its_start() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let tokens = [mint("orders"), mint("orders"), mint("orders")];
        store.revoke_all(&[revocation(&tokens[0]), revocation(&tokens[1])]).await.unwrap();
        let verifier = verifier(&follow(&database.url).await);
        // As a copy is that was taken before, with a revocation made since.
        database
            .execute("DELETE FROM service_only_revocations; UPDATE service_only_sequence SET store = 'copy', value = 0")
            .await;
        store.revoke(&revocation(&tokens[2])).await.unwrap();
        within(10, "it is read", || verdict(&verifier, &tokens[2]) == REVOKED).await;
        assert_eq!(verdict(&verifier, &tokens[0]), REVOKED, "nothing is taken back");
    }
}

#[tokio::test]
async fn a_database_that_was_put_back_and_has_caught_up_is_read_from_its_start() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let tokens = [mint("orders"), mint("orders"), mint("orders"), mint("orders")];
        store.revoke_all(&[revocation(&tokens[0]), revocation(&tokens[1])]).await.unwrap();
        let verifier = verifier(&follow(&database.url).await);
        // As a standby is that had not heard of the second when the first server was lost, and in which as
        // many were revoked before anybody looked.
        let jti = |token: &MintedToken| token.claims().jti.clone().unwrap();
        let (lost, made) = (jti(&tokens[1]), jti(&tokens[2]));
        database
            .execute(&format!("UPDATE service_only_revocations SET name = '{made}' WHERE name = '{lost}'"))
            .await;
        within(10, "it is read", || verdict(&verifier, &tokens[2]) == REVOKED).await;
        assert_eq!(verdict(&verifier, &tokens[1]), REVOKED, "nothing is taken back");
        // The last is gone with its token; what follows is read all the same.
        database.execute(&format!("DELETE FROM service_only_revocations WHERE name = '{made}'")).await;
        store.revoke(&revocation(&tokens[3])).await.unwrap();
        within(10, "it is read", || verdict(&verifier, &tokens[3]) == REVOKED).await;
    }
}

#[tokio::test]
async fn an_unreachable_database_is_an_outage_without_its_password() {
    let revocations = SqlRevocations::of("postgres://operator:hush@127.0.0.1:1/tokens").start().unwrap();
    let denial = verifier(&revocations).verify(mint("orders").as_str()).unwrap_err();
    assert_eq!((denial.code(), denial.status()), (Code::RevocationUnavailable, 503));
    let said = format!("{} {denial:?} {revocations:?}", denial.reason());
    assert!(said.contains("127.0.0.1:1") && said.contains("not loaded yet"), "{said}");
    assert!(!said.contains("hush"), "{said}");
}

#[test]
fn a_store_needs_an_address_and_a_runtime() {
    assert!(SqlRevocations::of("redis://cache").start().is_err());
    assert!(SqlRevocations::of("sqlite:tokens.db").start().is_err(), "there is no runtime");
}
