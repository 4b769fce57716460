//! The four roles of the guide, in a real PostgreSQL: what each may do, and what it may not.

use std::time::Duration;

use service_only::{
    clock::{Clock, SystemClock},
    dpop::{ReplayError, ReplayStore, SpentProof},
    keys::KeyState,
};
use service_only_store::{
    KeyStep, KeyUse, LogCheckpoint, NewRevocation, SqlReplays, SqlRevocations, Store, StoreError,
    TokenFilter, TokenRecord, Undoing, VerifierReport,
};

use crate::{
    database::Database,
    fixtures::{ISSUER, NOW, key, token},
};

/// The store of an owner, and its address for each role of the script in the guide.
struct Roles {
    _owner: Store,
    operator: String,
    minter: String,
    verifier: String,
    publisher: String,
}

async fn roles() -> Option<Roles> {
    let database = Database::postgres().await?;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/operations/store.md");
    let page = std::fs::read_to_string(page).unwrap();
    let script = page.split_once("```sql\n").unwrap().1.split_once("```").unwrap().0;
    let owner = Store::create(&database.url).await.unwrap();
    // Roles are of the whole server, so each test has its own.
    let prefix = format!("t{}", uuid::Uuid::new_v4().simple());
    let (_, schema) = database.url.split_once("search_path]=").unwrap();
    let script = script.replace("tokens_operator", &format!("{prefix}_operator"));
    let script = script.replace("tokens_minter", &format!("{prefix}_minter"));
    let script = script.replace("tokens_verifier", &format!("{prefix}_verifier"));
    let script = script.replace("tokens_publisher", &format!("{prefix}_publisher"));
    database.execute(&script.replace("SCHEMA public", &format!("SCHEMA {schema}"))).await;
    let url = |role: &str| database.url.replacen("postgres@", &format!("{prefix}_{role}@"), 1);
    Some(Roles {
        _owner: owner,
        operator: url("operator"),
        minter: url("minter"),
        verifier: url("verifier"),
        publisher: url("publisher"),
    })
}

fn report() -> VerifierReport {
    VerifierReport {
        id: "orders-1".to_owned(),
        issuer: ISSUER.to_owned(),
        kids: Vec::new(),
        refresh_interval: Duration::from_secs(60),
        last_seen: NOW,
    }
}

fn checkpoint() -> LogCheckpoint {
    LogCheckpoint::parse("bakery.example/orders\n7\nAAAA\n").unwrap()
}

fn denied<T: std::fmt::Debug>(result: Result<T, StoreError>) {
    let error = result.unwrap_err().to_string();
    assert!(error.contains("permission denied"), "{error}");
}

#[tokio::test]
async fn operator_revokes_rotates_prunes_backs_up_and_creates_no_table() {
    let Some(roles) = roles().await else { return };
    let store = Store::connect(&roles.operator).await.unwrap();
    store.record_minted(&[token("j1"), token("j2")]).await.unwrap();
    store.revoke(&NewRevocation::token(ISSUER, "j1", NOW)).await.unwrap();
    store.undo_revocation(&Undoing::new(1, "r")).await.unwrap();
    store.purge_revocations(NOW).await.unwrap();
    store.add_key(&key("k1")).await.unwrap();
    let step = KeyStep { kid: "k1", from: KeyState::Active, to: KeyState::Retired };
    store.step_keys(ISSUER, &[step], NOW).await.unwrap();
    store.journal(ISSUER).await.unwrap();
    let later = TokenRecord { expires_at: NOW.plus(Duration::from_secs(90)), ..token("j3") };
    store.record_tokens(&[later]).await.unwrap();
    assert!(store.may_prune().await.unwrap());
    assert_eq!(store.prune_tokens(NOW.plus(Duration::from_secs(70)), 10, NOW).await.unwrap(), 2);
    store.exposition(ISSUER, &[], NOW).await.unwrap();
    assert_eq!(store.check().await.unwrap(), [""; 0]);
    store.back_up(&mut |_| Ok(())).await.unwrap();
    Store::create(&roles.operator).await.unwrap();
    let pool = sqlx::PgPool::connect(&roles.operator).await.unwrap();
    let error = sqlx::query("CREATE TABLE mine (a TEXT)").execute(&pool).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[tokio::test]
async fn minter_adds_tokens_and_hides_none() {
    let Some(roles) = roles().await else { return };
    let store = Store::connect(&roles.minter).await.unwrap();
    store.record_minted(&[token("j1")]).await.unwrap();
    assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap().len(), 1);
    assert_eq!(store.newest_tokens(ISSUER, &["orders"]).await.unwrap().len(), 1);
    store.keys(ISSUER).await.unwrap();
    store.exposition(ISSUER, &[], NOW).await.unwrap();
    assert!(!store.may_prune().await.unwrap());
    denied(store.prune_tokens(NOW.plus(Duration::from_secs(90)), 10, NOW).await);
    denied(store.revoke(&NewRevocation::key(ISSUER, "k1")).await);
    denied(store.undo_revocation(&Undoing::new(1, "r")).await);
    denied(store.add_key(&key("k1")).await);
    denied(store.report_verifier(&report()).await);
    let pool = sqlx::PgPool::connect(&roles.minter).await.unwrap();
    for statement in [
        "DELETE FROM service_only_tokens",
        "UPDATE service_only_tokens SET note = ''",
        "DELETE FROM service_only_revocations",
        "UPDATE service_only_schema SET version = 9",
    ] {
        let error = sqlx::query(statement).execute(&pool).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{statement}: {error}");
    }
}

#[tokio::test]
async fn verifier_reads_revocations_and_reports_its_keys_and_reads_no_token() {
    let Some(roles) = roles().await else { return };
    let operator = Store::connect(&roles.operator).await.unwrap();
    operator.revoke(&NewRevocation::key(ISSUER, "k0")).await.unwrap();
    let revocations = SqlRevocations::of(&roles.verifier).start().unwrap();
    revocations.loaded().await;
    assert_eq!(revocations.len(), 1);
    let store = Store::open(&roles.verifier).await.unwrap();
    for _ in 0..2 {
        store.report_verifier(&report()).await.unwrap();
        let used = KeyUse { kid: "k1".to_owned(), service: "orders".to_owned(), last_seen: NOW };
        store.report_key_use(ISSUER, &[used]).await.unwrap();
    }
    denied(store.tokens(&TokenFilter::default()).await);
    denied(store.record_minted(&[token("j1")]).await);
    denied(store.revoke(&NewRevocation::key(ISSUER, "k1")).await);
    denied(store.undo_revocation(&Undoing::new(1, "r")).await);
    denied(store.keys(ISSUER).await);
    // The second one has the same size, which PostgreSQL must find without the right to read.
    for _ in 0..2 {
        store.add_checkpoint(&checkpoint(), NOW).await.unwrap();
    }
    denied(store.checkpoints("bakery.example/orders").await);
    denied(store.prune_checkpoints(NOW.plus(Duration::from_secs(9))).await);
    let pool = sqlx::PgPool::connect(&roles.verifier).await.unwrap();
    for statement in ["DELETE FROM service_only_checkpoints", "UPDATE service_only_checkpoints SET size = 1"]
    {
        let error = sqlx::query(statement).execute(&pool).await.unwrap_err();
        assert!(error.to_string().contains("permission denied"), "{statement}: {error}");
    }
    let replays = SqlReplays::of(&roles.verifier).start().unwrap();
    while replays.failure().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let proof = SpentProof::new([7; 32], SystemClock.now().plus(Duration::from_secs(60)));
    assert_eq!(replays.spend(&proof, NOW), Ok(()));
    assert_eq!(replays.spend(&proof, NOW), Err(ReplayError::Replayed));
    assert_eq!(operator.checkpoints("bakery.example/orders").await.unwrap().len(), 1);
    assert_eq!(operator.prune_checkpoints(NOW.plus(Duration::from_secs(9))).await.unwrap(), 0);
}

#[tokio::test]
async fn publisher_reads_public_keys_and_no_token_and_writes_nothing() {
    let Some(roles) = roles().await else { return };
    let operator = Store::connect(&roles.operator).await.unwrap();
    operator.add_key(&key("k1")).await.unwrap();
    operator.revoke(&NewRevocation::key(ISSUER, "k0")).await.unwrap();
    let store = Store::open(&roles.publisher).await.unwrap();
    assert_eq!(store.keys(ISSUER).await.unwrap().len(), 1);
    assert_eq!(store.revoked_keys(ISSUER).await.unwrap(), ["k0"]);
    denied(store.tokens(&TokenFilter::default()).await);
    denied(store.record_minted(&[token("j1")]).await);
    denied(store.revoke(&NewRevocation::key(ISSUER, "k1")).await);
    denied(store.add_key(&key("k2")).await);
    denied(store.report_verifier(&report()).await);
}
