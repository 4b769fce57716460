//! Backups of each database, restored into each database, and the check of a store.

use std::time::Duration;

use service_only_store::{
    KeyRecord, KeyUse, LogCheckpoint, NewRevocation, Store, StoreError, TokenFilter, TokenRecord, Undoing,
    VerifierReport,
};

use crate::{
    database::Database,
    fixtures::{self, ISSUER, NOW},
};

/// With a note that needs escapes.
fn token(jti: &str) -> TokenRecord {
    TokenRecord { note: Some("a \"note\"\n of käse".to_owned()), ..fixtures::token(jti) }
}

/// With a row in each table, and more tokens than one page has.
async fn filled(database: &Database) -> Store {
    let store = Store::create(&database.url).await.unwrap();
    let tokens: Vec<_> = (0..2_345).map(|number| token(&format!("j{number}"))).collect();
    store.record_tokens(&tokens).await.unwrap();
    let old = TokenRecord { expires_at: NOW.minus(Duration::from_secs(9)), ..token("old") };
    store.record_tokens(&[old]).await.unwrap();
    store.prune_tokens(NOW, 10, NOW).await.unwrap();
    store.revoke(&NewRevocation::service(ISSUER, "orders", NOW)).await.unwrap();
    let further = NewRevocation::service(ISSUER, "orders", NOW.plus(Duration::from_secs(9)));
    store.revoke(&further.by("ada").because("leaked")).await.unwrap();
    store.revoke(&NewRevocation::token(ISSUER, "j7", NOW)).await.unwrap();
    store.undo_revocation(&Undoing::new(3, "the wrong one")).await.unwrap();
    store.revoke(&NewRevocation::key(ISSUER, "k0")).await.unwrap();
    let key = KeyRecord { public_jwk: Some("{}".to_owned()), ..fixtures::key("k1") };
    store.add_key(&key).await.unwrap();
    let report = VerifierReport {
        id: "orders-1".to_owned(),
        issuer: ISSUER.to_owned(),
        kids: vec!["k1".to_owned()],
        refresh_interval: Duration::from_secs(60),
        last_seen: NOW,
    };
    store.report_verifier(&report).await.unwrap();
    let used = KeyUse { kid: "k1".to_owned(), service: "orders".to_owned(), last_seen: NOW };
    store.report_key_use(ISSUER, &[used]).await.unwrap();
    let checkpoint = LogCheckpoint::parse("bakery.example/orders\n7\nAAAA\n").unwrap();
    store.add_checkpoint(&checkpoint, NOW).await.unwrap();
    store
}

async fn backup(store: &Store) -> Vec<String> {
    let mut text = String::new();
    let mut write = |line: &str| {
        text.push_str(line);
        Ok(())
    };
    store.back_up(&mut write).await.unwrap();
    text.lines().map(str::to_owned).collect()
}

async fn restore(store: &Store, lines: &[String]) -> Result<(), StoreError> {
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    store.restore(&mut text.as_bytes()).await.map(drop)
}

/// Everything that the store tells.
async fn content(store: &Store) -> String {
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {}",
        store.tokens(&TokenFilter::default()).await.unwrap(),
        store.revocations_since(0, 100).await.unwrap(),
        store.past_since(0, 100).await.unwrap(),
        store.journal(ISSUER).await.unwrap(),
        store.pruned(ISSUER).await.unwrap(),
        store.checkpoints("bakery.example/orders").await.unwrap(),
        store.head().await.unwrap().sequence,
    )
}

#[tokio::test]
async fn backup_of_either_database_is_restored_into_either_one() {
    for from in Database::all().await {
        let source = filled(&from).await;
        let lines = backup(&source).await;
        for to in Database::all().await {
            let target = Store::create(&to.url).await.unwrap();
            let own = target.head().await.unwrap().store;
            restore(&target, &lines).await.unwrap();
            assert_eq!(content(&target).await, content(&source).await);
            let head = target.head().await.unwrap();
            assert_eq!(head.store, own, "a verifier that followed another store reads everything again");
            let sorted = |mut lines: Vec<String>| {
                lines.remove(0);
                lines.sort();
                lines
            };
            assert_eq!(sorted(backup(&target).await), sorted(lines.clone()));
            let next = NewRevocation::key(ISSUER, "later");
            target.revoke(&next).await.unwrap();
            assert_eq!(target.head().await.unwrap().sequence, head.sequence + 1);
        }
    }
}

#[tokio::test]
async fn backup_of_a_store_with_few_rows_or_none_is_restored() {
    for database in Database::all().await {
        let source = Store::create(&database.url).await.unwrap();
        for jti in ["none", "one"] {
            let target = Database::sqlite();
            let target = Store::create(&target.url).await.unwrap();
            restore(&target, &backup(&source).await).await.unwrap();
            assert_eq!(content(&target).await, content(&source).await, "{jti}");
            source.record_tokens(&[token(jti)]).await.unwrap();
        }
    }
}

#[tokio::test]
async fn backup_is_restored_into_an_empty_store_only() {
    for database in Database::all().await {
        let source = filled(&database).await;
        let lines = backup(&source).await;
        let before = content(&source).await;
        let error = restore(&source, &lines).await.unwrap_err();
        assert!(matches!(&error, StoreError::Backup { .. }), "{error}");
        assert!(error.to_string().contains("is not empty"), "{error}");
        assert_eq!(content(&source).await, before);
    }
}

#[tokio::test]
async fn backup_that_is_not_complete_restores_nothing() {
    let lines = backup(&filled(&Database::sqlite()).await).await;
    let broken: [(&str, Vec<String>); 10] = [
        ("continues after the line that counts", [&lines[..], &lines[..]].concat()),
        ("continues after the line that counts", [&lines[..], &["\0".to_owned()]].concat()),
        ("without the line that counts", lines[..lines.len() - 1].to_vec()),
        ("another number of rows", [&lines[..5], &lines[6..]].concat()),
        ("first line", lines[1..].to_vec()),
        ("line 1", Vec::new()),
        ("line 3", [&lines[..2], &["[\"tokens\",[1]]".to_owned()], &lines[2..]].concat()),
        ("line 1 is longer than 1048576 bytes", vec!["\0".repeat(2 << 20)]),
        ("line 2 is not a line", [&lines[..1], &[format!("\u{feff}{}", lines[1])], &lines[2..]].concat()),
        ("its format is 9", [&["{\"service_only_backup\":9}".to_owned()], &lines[1..]].concat()),
    ];
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        for (reason, lines) in &broken {
            let error = restore(&store, lines).await.unwrap_err().to_string();
            assert!(error.contains(reason), "{reason}: {error}");
            assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap(), []);
            assert_eq!(store.head().await.unwrap().sequence, 0);
        }
        // As an editor of Windows saves it.
        let mut edited = [&lines[..], &[String::new()]].concat();
        edited[0].insert(0, '\u{feff}');
        restore(&store, &edited).await.unwrap();
    }
}

#[tokio::test]
async fn check_finds_nothing_wrong_with_a_store_in_use() {
    for database in Database::all().await {
        assert_eq!(filled(&database).await.check().await.unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn check_names_what_contradicts_itself() {
    for database in Database::all().await {
        let store = filled(&database).await;
        for (change, undo, expected) in [
            (
                "UPDATE service_only_sequence SET value = 1",
                "UPDATE service_only_sequence SET value = 5",
                "number beyond the last one",
            ),
            (
                "UPDATE service_only_revocations SET until = 5 WHERE kind = 'key'",
                "UPDATE service_only_revocations SET until = NULL WHERE kind = 'key'",
                "the time that they reach up to",
            ),
            (
                "UPDATE service_only_keys SET state = 'retiring'",
                "UPDATE service_only_keys SET state = 'active'",
                "none that is active",
            ),
            (
                "UPDATE service_only_keys SET kid = 'k0'",
                "UPDATE service_only_keys SET kid = 'k1'",
                "active keys are revoked",
            ),
            ("DROP TABLE service_only_pruned", "SELECT 1", "`service_only_pruned`"),
            ("DROP TABLE service_only_checkpoints", "SELECT 1", "`service_only_checkpoints`"),
            ("DROP TABLE service_only_proofs", "SELECT 1", "`service_only_proofs`"),
        ] {
            database.execute(change).await;
            let found = store.check().await.unwrap();
            assert!(matches!(&found[..], [one] if one.contains(expected)), "{expected}: {found:?}");
            database.execute(undo).await;
        }
        assert_eq!(Store::create(&database.url).await.unwrap().check().await.unwrap(), [""; 0]);
    }
}

#[tokio::test]
async fn check_finds_a_damaged_file() {
    let database = Database::sqlite();
    filled(&database).await.close().await;
    let path = database.url.strip_prefix("sqlite:").unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    let needle = b"bakery-authj1000";
    let places: Vec<_> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 11] = b'x';
    }
    std::fs::write(path, bytes).unwrap();
    let found = Store::open(&database.url).await.unwrap().check().await.unwrap();
    assert!(found.iter().any(|one| one.contains("the file is damaged")), "{found:?}");
}
