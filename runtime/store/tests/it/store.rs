//! The store on both databases: what is written down, what is refused, and that nothing is half done.

use std::{error::Error as _, time::Duration};

use service_only::{clock::Timestamp, keys::KeyState};
use service_only_store::{
    KeyRecord, KeyStep, KeyUse, NewRevocation, RevocationTarget, Revoked, SqlRevocations, Store, StoreError,
    TokenFilter, TokenRecord, TokenState, Undoing, VerifierReport,
    rotation::{Plan, RotationSettings},
};

use crate::database::Database;

const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
const ISSUER: &str = "bakery-auth";

fn after(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn before(seconds: u64) -> Timestamp {
    NOW.minus(Duration::from_secs(seconds))
}

fn token(jti: &str, service: &str, kid: &str) -> TokenRecord {
    TokenRecord {
        issuer: ISSUER.to_owned(),
        jti: jti.to_owned(),
        service: service.to_owned(),
        kid: kid.to_owned(),
        issued_at: before(60),
        expires_at: after(3600),
        note: Some("for the night job".to_owned()),
        minted_by: None,
        minted_at: NOW,
    }
}

fn key(kid: &str, state: KeyState) -> KeyRecord {
    KeyRecord {
        issuer: ISSUER.to_owned(),
        kid: kid.to_owned(),
        algorithm: "ES256".to_owned(),
        state,
        file: Some(format!("{kid}.pem")),
        public_jwk: Some("{}".to_owned()),
        prepared_at: NOW,
        active_at: (state == KeyState::Active).then_some(NOW),
        retiring_at: None,
        retired_at: None,
        expires_at: None,
    }
}

#[tokio::test]
async fn a_registered_token_is_listed_unchanged_and_once() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.record_tokens(&[token("j1", "orders", "k1"), token("j2", "sales", "k1")]).await.unwrap();
        let again = store.record_tokens(&[token("j3", "orders", "k1"), token("j1", "orders", "k1")]).await;
        assert!(matches!(again, Err(StoreError::Duplicate { .. })), "{again:?}");

        let all = store.tokens(&TokenFilter::default()).await.unwrap();
        assert_eq!(all.len(), 2, "none of a batch that is refused");
        assert_eq!(all[0].token, token("j1", "orders", "k1"));
        assert_eq!(all[0].state(NOW), TokenState::Active);
        assert_eq!(all[0].state(after(3600)), TokenState::Expired);
        let sales = TokenFilter { service: Some("sales".to_owned()), ..TokenFilter::default() };
        assert_eq!(store.tokens(&sales).await.unwrap()[0].token.jti, "j2");
        let ends = TokenFilter { expires_by: Some(NOW), ..TokenFilter::default() };
        assert_eq!(store.tokens(&ends).await.unwrap(), []);
        assert_eq!(store.last_expiry(ISSUER, "k1").await.unwrap(), Some(after(3600)));
        assert_eq!(store.last_expiry(ISSUER, "k2").await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_listed_token_shows_the_kind_of_its_revocation() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let tokens = [
            token("by-name", "orders", "k1"),
            token("by-service", "sales", "k1"),
            token("by-key", "orders", "k2"),
            token("good", "orders", "k1"),
        ];
        store.record_tokens(&tokens).await.unwrap();
        store
            .record_tokens(&[TokenRecord { issued_at: NOW, ..token("newer", "sales", "k1") }])
            .await
            .unwrap();
        let revocations = [
            NewRevocation::token(ISSUER, "by-name", after(3600)),
            NewRevocation::token("another", "good", after(3600)),
            NewRevocation::service(ISSUER, "sales", before(60)),
            NewRevocation::key(ISSUER, "k2"),
        ];
        store.revoke_all(&revocations).await.unwrap();
        let mut listed: Vec<_> = store
            .tokens(&TokenFilter::default())
            .await
            .unwrap()
            .into_iter()
            .map(|listed| (listed.token.jti, listed.revoked))
            .collect();
        listed.sort();
        let expected = [
            ("by-key", Some("key")),
            ("by-name", Some("token")),
            ("by-service", Some("service")),
            ("good", None),
            ("newer", None),
        ];
        assert_eq!(listed, expected.map(|(jti, by)| (jti.to_owned(), by.map(str::to_owned))));
    }
}

#[tokio::test]
async fn a_batch_with_an_already_revoked_token_is_not_registered() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let by_service = NewRevocation::service(ISSUER, "orders", NOW);
        store.revoke_all(&[by_service.clone(), NewRevocation::key(ISSUER, "k2")]).await.unwrap();
        let new = |jti: &str, service: &str, kid: &str, issued_at| TokenRecord {
            issued_at,
            ..token(jti, service, kid)
        };
        let by_key = RevocationTarget::Key { kid: "k2".to_owned() };
        for (revoked, by) in [
            (new("a", "orders", "k1", NOW), &by_service.target),
            (new("b", "sales", "k2", after(1)), &by_key),
        ] {
            let batch = [new("good", "sales", "k1", NOW), revoked];
            let error = store.record_minted(&batch).await.unwrap_err();
            assert!(matches!(&error, StoreError::Revoked(target) if target == by), "{error}");
            assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap(), []);
        }
        let other = TokenRecord { issuer: "another".to_owned(), ..new("c", "orders", "k2", NOW) };
        store.record_minted(&[new("a", "orders", "k1", after(1)), other]).await.unwrap();
        // What was minted before may be written down later.
        store.record_tokens(&[new("old", "orders", "k1", NOW)]).await.unwrap();
        assert_eq!(store.tokens(&TokenFilter::default()).await.unwrap().len(), 3);
    }
}

#[tokio::test]
async fn a_second_revocation_replaces_the_first_only_if_it_covers_more() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let first = store.head().await.unwrap();
        assert_eq!(first.sequence, 0);
        let revoke = |revocation: NewRevocation| {
            let store = store.clone();
            async move { store.revoke(&revocation.at(NOW).by("ada").because("leaked")).await.unwrap() }
        };
        assert_eq!(revoke(NewRevocation::token(ISSUER, "j1", NOW)).await, Revoked::New);
        assert_eq!(revoke(NewRevocation::token(ISSUER, "j1", before(1))).await, Revoked::Covered);
        assert_eq!(revoke(NewRevocation::token(ISSUER, "j1", before(1))).await, Revoked::Already);
        assert_eq!(revoke(NewRevocation::service(ISSUER, "orders", NOW)).await, Revoked::New);
        assert_eq!(revoke(NewRevocation::key(ISSUER, "k1")).await, Revoked::New);
        assert_eq!(revoke(NewRevocation::key(ISSUER, "k1")).await, Revoked::Already);
        assert_eq!(revoke(NewRevocation::token(ISSUER, "j1", after(9))).await, Revoked::Extended);

        let all = store.revocations_since(0, 10).await.unwrap();
        let numbers: Vec<_> = all.iter().map(|record| record.sequence).collect();
        assert_eq!(numbers, [3, 4, 5], "what was extended is new again");
        let target = RevocationTarget::Token { jti: "j1".to_owned(), expires_at: after(9) };
        let expected = NewRevocation::new(ISSUER, target).at(NOW).by("ada").because("leaked");
        assert_eq!(all[2].revocation, expected);
        assert_eq!(store.revocations_since(3, 1).await.unwrap(), all[1..2]);
        let last = store.head().await.unwrap();
        assert_eq!((&last.store, last.sequence), (&first.store, 5));

        assert_eq!(store.purgeable_revocations(after(9)).await.unwrap(), 0);
        assert_eq!(store.purgeable_revocations(after(10)).await.unwrap(), 1);
        assert_eq!(store.purge_revocations(after(9)).await.unwrap(), 0);
        assert_eq!(store.purge_revocations(after(10)).await.unwrap(), 1);
        assert_eq!(store.revocations_since(0, 10).await.unwrap().len(), 2, "services and keys stay");
    }
}

#[tokio::test]
async fn a_revocation_is_undone_once_by_its_number_and_stays_listed() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let revocation = NewRevocation::key(ISSUER, "k1").at(NOW).by("ada").because("leaked");
        store.revoke(&revocation).await.unwrap();
        let undoing = Undoing::new(1, "the wrong key").at(after(5)).by("bob");
        let undone = store.undo_revocation(&undoing).await.unwrap();
        assert_eq!((undone.number, undone.revoked.sequence, undone.still), (2, 1, None));
        assert_eq!(undone.revoked.revocation, revocation);
        assert_eq!(store.revocations_since(0, 10).await.unwrap(), []);
        let past = store.past_since(0, 10).await.unwrap();
        assert_eq!(past[0].undone, Some((2, undoing.clone())));
        assert_eq!(store.undone_since(1, 10).await.unwrap(), past);
        assert_eq!(store.undone_since(2, 10).await.unwrap(), []);

        let again = store.undo_revocation(&undoing).await.unwrap_err();
        assert_eq!(
            again.to_string(),
            "revocation 1 was undone already, at 2026-01-01T00:00:05.000000Z by `bob`"
        );
        for number in [0, -1, 2, 9] {
            let missing = store.undo_revocation(&Undoing::new(number, "r")).await.unwrap_err();
            assert!(matches!(missing, StoreError::NoRevocation { .. }), "{missing}");
        }
        // A refused undoing takes no number.
        assert_eq!(store.head().await.unwrap().sequence, 2);
        assert_eq!(store.revoke(&revocation).await.unwrap(), Revoked::New);
    }
}

#[tokio::test]
async fn a_replaced_revocation_takes_effect_again_when_its_replacement_is_undone() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let held = async || {
            let target = RevocationTarget::Service { service: "orders".to_owned(), issued_by: NOW };
            let record = store.revocation_of(ISSUER, &target).await.unwrap();
            record.map(|record| (record.sequence, record.revocation.target))
        };
        let reach = |issued_by| RevocationTarget::Service { service: "orders".to_owned(), issued_by };
        for until in [NOW, after(10), after(20)] {
            store.revoke(&NewRevocation::service(ISSUER, "orders", until)).await.unwrap();
        }
        // That in the middle was replaced: undoing it changes nothing that holds.
        let middle = store.undo_revocation(&Undoing::new(2, "r")).await.unwrap();
        assert_eq!(middle.still.map(|record| record.sequence), Some(3));
        assert_eq!(held().await, Some((3, reach(after(20)))));
        let last = store.undo_revocation(&Undoing::new(3, "r")).await.unwrap();
        assert_eq!(last.still.map(|record| record.sequence), Some(1));
        assert_eq!(held().await, Some((1, reach(NOW))));
        store.undo_revocation(&Undoing::new(1, "r")).await.unwrap();
        assert_eq!(held().await, None);
        let undone: Vec<_> =
            store.undone_since(0, 10).await.unwrap().iter().map(|past| past.revoked.sequence).collect();
        assert_eq!(undone, [2, 3, 1]);
    }
}

/// An operator revokes too much, then what was meant, and then undoes the first.
#[tokio::test]
async fn a_revocation_that_another_one_covered_applies_when_that_one_is_undone() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let service = |until| NewRevocation::service(ISSUER, "orders", until).at(NOW).by("ada");
        assert_eq!(store.revoke(&service(after(20))).await.unwrap(), Revoked::New);
        for expected in [Revoked::Covered, Revoked::Already] {
            let outcomes = store.revoke_all(&[service(after(10)), service(NOW)]).await.unwrap();
            assert_eq!(outcomes, [expected, Revoked::Already]);
        }
        let still = store.undo_revocation(&Undoing::new(1, "r")).await.unwrap().still.unwrap();
        assert_eq!((still.sequence, &still.revocation), (2, &service(after(10))));
        assert_eq!(store.revocations_since(0, 10).await.unwrap(), [still]);
        // What was undone covers nothing.
        assert_eq!(store.undo_revocation(&Undoing::new(2, "r")).await.unwrap().still, None);
        assert_eq!(store.revoke(&service(NOW)).await.unwrap(), Revoked::New);
    }
}

#[tokio::test]
async fn two_programs_that_undo_the_same_revocation_undo_it_once() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.revoke(&NewRevocation::key(ISSUER, "k1")).await.unwrap();
        let undoing = Undoing::new(1, "r");
        let other = Store::create(&database.url).await.unwrap();
        let (one, two) = tokio::join!(store.undo_revocation(&undoing), other.undo_revocation(&undoing));
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|done| **done).count(), 1, "{one:?} {two:?}");
        assert_eq!(store.past_since(0, 10).await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_store_of_an_older_program_is_readable_and_upgraded_by_the_first_change() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.revoke(&NewRevocation::service(ISSUER, "orders", NOW)).await.unwrap();
        store.close().await;
        database.execute("DROP TABLE service_only_past_revocations").await;

        let store = Store::open(&database.url).await.unwrap();
        assert_eq!(store.undone_since(0, 10).await.unwrap(), []);
        assert_eq!(store.past_since(0, 10).await.unwrap(), []);
        assert_eq!(store.revocations_since(0, 10).await.unwrap().len(), 1);
        let further = NewRevocation::service(ISSUER, "orders", after(1));
        assert_eq!(store.revoke(&further).await.unwrap(), Revoked::Extended);
        assert_eq!(store.past_since(0, 10).await.unwrap().len(), 1);
        store.undo_revocation(&Undoing::new(2, "r")).await.unwrap();
        assert_eq!(store.revocations_since(0, 10).await.unwrap()[0].sequence, 1);
    }
}

#[tokio::test]
async fn a_refused_connection_is_reported_with_its_cause_and_without_waiting() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = format!("postgres://operator:hush@127.0.0.1:{free}/tokens");
    let mut causes = vec![
        (refused, "no server listens there"),
        ("postgres://operator:hush@no-such-host.invalid/tokens".to_owned(), "check the name of the host"),
        ("postgres:///tokens?host=/no/such/folder&user=me".to_owned(), "the socket does not exist"),
    ];
    if let Some(database) = Database::postgres().await {
        let server = database.url.split('?').next().unwrap();
        let (server, _) = server.rsplit_once('/').unwrap();
        causes.push((format!("{server}/no_such_database"), "createdb"));
        let role = server.replacen("postgres@", "no_such_role@", 1);
        causes.push((format!("{role}/postgres"), "name of the user"));
        causes.push((format!("{server}/postgres?sslmode=require"), "does not support TLS"));
    }
    for (url, cause) in causes {
        let begun = std::time::Instant::now();
        let error = Store::open(&url).await.unwrap_err().to_string();
        assert!(error.contains(cause) && !error.contains("hush"), "{url}: {error}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(3), "{url}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_schema_that_may_not_be_written_is_reported_with_the_remedy() {
    let Some(database) = Database::postgres().await else { return };
    let role = format!("ordinary_{}", uuid::Uuid::new_v4().simple());
    database.execute(&format!("CREATE ROLE {role} LOGIN")).await;
    let server = database.url.split('?').next().unwrap();
    let url = server.replacen("postgres@", &format!("{role}@"), 1);
    let error = Store::create(&url).await.unwrap_err().to_string();
    let grant = format!("GRANT USAGE, CREATE ON SCHEMA public TO \"{role}\"");
    assert!(error.contains(&grant) && error.contains("search_path"), "{error}");
    let absent = Store::create(&format!("{url}?options[search_path]=absent")).await.unwrap_err().to_string();
    assert!(absent.contains("create the schema that `search_path` names"), "{absent}");
    let schema = format!("own_{role}");
    database.execute(&format!("CREATE SCHEMA {schema} AUTHORIZATION {role}")).await;
    let store = Store::create(&format!("{url}?options[search_path]={schema}")).await.unwrap();
    store.revoke(&NewRevocation::key(ISSUER, "k1")).await.unwrap();
}

#[tokio::test]
async fn key_states_change_atomically_and_only_from_the_expected_state() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.add_key(&key("old", KeyState::Active)).await.unwrap();
        store.add_key(&key("new", KeyState::Prepared)).await.unwrap();
        for second in [key("old", KeyState::Retired), key("other", KeyState::Prepared)] {
            let error = store.add_key(&second).await.unwrap_err();
            assert!(matches!(error, StoreError::KeyExists { .. }), "{error}");
        }
        let take_charge = [
            KeyStep { kid: "old", from: KeyState::Active, to: KeyState::Retiring },
            KeyStep { kid: "new", from: KeyState::Prepared, to: KeyState::Active },
        ];
        let reversed = [take_charge[1], take_charge[0]];
        let reversed = store.step_keys(ISSUER, &reversed, after(1)).await;
        assert!(matches!(reversed, Err(StoreError::Duplicate { .. })), "{reversed:?}");
        assert_eq!(store.keys(ISSUER).await.unwrap()[1], key("old", KeyState::Active), "nothing half done");
        store.step_keys(ISSUER, &take_charge, after(2)).await.unwrap();
        let error = store.step_keys(ISSUER, &take_charge, after(3)).await.unwrap_err();
        assert!(matches!(error, StoreError::KeyMoved { expected: KeyState::Active, .. }), "{error}");
        assert_eq!(
            error.to_string(),
            "the key `old` of `bakery-auth` is not active: another program was faster"
        );

        let keys = store.keys(ISSUER).await.unwrap();
        assert_eq!((keys[0].state, keys[0].active_at), (KeyState::Active, Some(after(2))));
        assert_eq!((keys[1].state, keys[1].retiring_at), (KeyState::Retiring, Some(after(2))));
        assert_eq!(store.keys("another").await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_leaked_key_and_its_successor_are_swapped_atomically() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.add_key(&key("leaked", KeyState::Active)).await.unwrap();
        store.add_key(&key("next", KeyState::Prepared)).await.unwrap();
        let away = |kid, from| KeyStep { kid, from, to: KeyState::Retired };
        let steps = [away("leaked", KeyState::Active), away("next", KeyState::Prepared)];
        let fresh = key("fresh", KeyState::Active);
        let late = store.replace_keys(&[away("next", KeyState::Active)], &fresh, after(1)).await;
        assert!(matches!(late, Err(StoreError::KeyMoved { .. })), "{late:?}");
        let known = store.replace_keys(&steps, &key("next", KeyState::Active), after(1)).await;
        assert!(matches!(known, Err(StoreError::KeyExists { .. })), "{known:?}");
        assert_eq!(
            store.keys(ISSUER).await.unwrap()[0],
            key("leaked", KeyState::Active),
            "nothing half done"
        );
        store.replace_keys(&steps, &fresh, after(1)).await.unwrap();
        let states: Vec<_> = store.keys(ISSUER).await.unwrap().into_iter().map(|key| key.state).collect();
        assert_eq!(states, [KeyState::Active, KeyState::Retired, KeyState::Retired]);
    }
}

#[tokio::test]
async fn the_journal_lists_holders_of_each_key_with_expiry() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        store.add_key(&key("k1", KeyState::Active)).await.unwrap();
        let longer = TokenRecord { expires_at: after(7200), ..token("long", "orders", "k1") };
        let tokens =
            [token("short", "orders", "k1"), longer, token("gone", "sales", "k1"), token("x", "sales", "k0")];
        store.record_tokens(&tokens).await.unwrap();
        let revocations =
            [NewRevocation::token(ISSUER, "gone", after(3600)), NewRevocation::key(ISSUER, "k0")];
        store.revoke_all(&revocations).await.unwrap();

        let journal = store.journal(ISSUER).await.unwrap();
        assert_eq!(journal.keys, [key("k1", KeyState::Active)]);
        let holders: Vec<_> = journal
            .holders
            .iter()
            .map(|holder| (holder.kid.as_str(), holder.service.as_str(), holder.last_expiry))
            .collect();
        assert_eq!(holders, [("k1", "orders", after(7200))], "what is revoked holds no key back");
        assert_eq!(journal.revoked, ["k0"]);
        store.revoke(&NewRevocation::token(ISSUER, "long", after(7200))).await.unwrap();
        assert_eq!(store.journal(ISSUER).await.unwrap().holders[0].last_expiry, after(3600));
        assert_eq!(store.journal("another").await.unwrap(), service_only_store::rotation::Journal::default());
    }
}

#[tokio::test]
async fn the_latest_report_of_a_verifier_and_use_of_a_key_are_kept() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let mut report = VerifierReport {
            id: "orders-7d4f".to_owned(),
            issuer: ISSUER.to_owned(),
            kids: vec!["k1".to_owned()],
            refresh_interval: Duration::from_secs(300),
            last_seen: NOW,
        };
        store.report_verifier(&report).await.unwrap();
        report.kids.push("k2".to_owned());
        report.last_seen = after(1);
        store.report_verifier(&report).await.unwrap();
        assert_eq!(store.verifiers(ISSUER).await.unwrap(), [report]);

        let seen = |last_seen| KeyUse { kid: "k1".to_owned(), service: "orders".to_owned(), last_seen };
        for at in [after(5), NOW] {
            store.report_key_use(ISSUER, &[seen(at)]).await.unwrap();
        }
        assert_eq!(store.key_use(ISSUER).await.unwrap(), [seen(after(5))]);
    }
}

#[tokio::test]
async fn instants_at_both_ends_of_time_are_stored_and_read_without_overflow() {
    let ends = [i64::MIN, -1, i64::MAX].map(Timestamp::from_unix);
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        for at in ends {
            let kid = at.unix().to_string();
            let key = KeyRecord { prepared_at: at, retiring_at: Some(at), ..key(&kid, KeyState::Retiring) };
            store.add_key(&key).await.unwrap();
            let record =
                TokenRecord { issued_at: at, expires_at: at, minted_at: at, ..token(&kid, "orders", &kid) };
            store.record_tokens(&[record]).await.unwrap();
            store.revoke(&NewRevocation::service(ISSUER, &kid, at).at(at)).await.unwrap();
            let used = KeyUse { kid: kid.clone(), service: "orders".to_owned(), last_seen: at };
            store.report_key_use(ISSUER, &[used]).await.unwrap();
            let report = VerifierReport {
                id: kid,
                issuer: ISSUER.to_owned(),
                kids: Vec::new(),
                refresh_interval: Duration::MAX,
                last_seen: at,
            };
            store.report_verifier(&report).await.unwrap();
        }
        database.execute("UPDATE service_only_verifiers SET refresh_seconds = -1 WHERE id = '-1'").await;

        let journal = store.journal(ISSUER).await.unwrap();
        assert_eq!(journal.keys.iter().map(|key| key.prepared_at).collect::<Vec<_>>(), ends);
        assert_eq!(journal.verifiers[0].refresh_interval, Duration::ZERO);
        let tokens = store.tokens(&TokenFilter::default()).await.unwrap();
        let revocations = store.revocations_since(0, 10).await.unwrap();
        assert_eq!((tokens.len(), revocations.len()), (3, 3));
        for now in ends {
            let _ = Plan::new(&journal, &RotationSettings::default(), now);
            store.exposition(ISSUER, &[], now).await.unwrap();
            assert!(tokens.iter().all(|token| token.state(now) != TokenState::Revoked));
            assert!(!revocations.iter().any(|made| made.revocation.target.covers(&tokens[0].token, now)));
        }
    }
}

#[tokio::test]
async fn keys_that_are_added_together_are_added_all_or_none() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let together =
            [key("k1", KeyState::Active), key("k2", KeyState::Retiring), key("k3", KeyState::Retiring)];
        store.add_keys(ISSUER, &together).await.unwrap();
        assert_eq!(store.keys(ISSUER).await.unwrap(), together);
        let again = [key("k4", KeyState::Retiring), key("k2", KeyState::Retiring)];
        let refused = store.add_keys(ISSUER, &again).await;
        assert!(matches!(&refused, Err(StoreError::KeyExists { kid, .. }) if kid == "k2"), "{refused:?}");
        assert_eq!(store.keys(ISSUER).await.unwrap(), together);
        store.add_keys(ISSUER, &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_fraction_of_a_second_is_dropped() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let part = Duration::from_millis(999);
        let record = TokenRecord { minted_at: NOW.plus(part), ..token("j1", "orders", "k1") };
        store.record_tokens(&[record]).await.unwrap();
        assert_eq!(
            store.tokens(&TokenFilter::default()).await.unwrap()[0].token,
            token("j1", "orders", "k1")
        );
    }
}

#[tokio::test]
async fn programs_that_start_in_parallel_create_the_tables_once() {
    for database in Database::all().await {
        let opened = (0..4).map(|_| {
            let url = database.url.clone();
            tokio::spawn(async move { Store::create(&url).await.map(|store| store.place().to_owned()) })
        });
        for opened in opened.collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
        let store = Store::open(&database.url).await.unwrap();
        assert_eq!(store.head().await.unwrap().sequence, 0);
    }
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_not_changed() {
    for database in Database::all().await {
        Store::create(&database.url).await.unwrap().close().await;
        database.execute("UPDATE service_only_schema SET version = 1000").await;
        let opened = [
            Store::create(&database.url).await,
            Store::connect(&database.url).await,
            Store::open(&database.url).await,
        ];
        for opened in opened {
            let error = opened.unwrap_err();
            assert!(matches!(error, StoreError::Newer { found: 1000, .. }), "{error}");
        }
        database.execute("UPDATE service_only_schema SET version = 1").await;
        Store::open(&database.url).await.unwrap();
    }
}

#[tokio::test]
async fn a_store_is_created_on_request_only() {
    let file = Database::sqlite();
    for opened in [Store::open(&file.url).await, Store::connect(&file.url).await] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::Missing { .. }), "{error}");
        assert!(error.to_string().contains("`service-token store init` creates one"), "{error}");
    }
    let path = file.url.strip_prefix("sqlite:").unwrap();
    assert!(!std::path::Path::new(path).exists());
    std::fs::write(path, "").unwrap();
    for database in std::iter::once(file).chain(Database::postgres().await) {
        for opened in [Store::open(&database.url).await, Store::connect(&database.url).await] {
            let error = opened.unwrap_err();
            assert!(matches!(error, StoreError::Empty { .. }), "{error}");
            assert!(error.to_string().contains("`service-token store init`"), "{error}");
        }
        Store::create(&database.url).await.unwrap().close().await;
        Store::create(&database.url).await.unwrap().close().await;
        Store::connect(&database.url).await.unwrap().close().await;
        Store::open(&database.url).await.unwrap();
    }
}

#[tokio::test]
async fn a_file_without_tables_is_empty_until_a_store_is_created_in_it() {
    let database = Database::sqlite();
    std::fs::write(database.url.strip_prefix("sqlite:").unwrap(), "").unwrap();
    let error = Store::open(&database.url).await.unwrap_err();
    assert!(matches!(error, StoreError::Empty { .. }), "{error}");
    Store::create(&database.url).await.unwrap().close().await;
    Store::open(&database.url).await.unwrap();
}

#[test]
fn a_background_task_that_has_no_runtime_is_an_error() {
    let error = SqlRevocations::of("sqlite:tokens.db").start().unwrap_err();
    assert!(matches!(error, StoreError::NoRuntime { .. }), "{error}");
    let source = error.source().unwrap().to_string();
    assert_eq!(error.to_string(), format!("the store `sqlite:tokens.db` refused: {source}"));
}

#[tokio::test]
async fn a_locked_file_is_an_error_and_nothing_is_written() {
    let database = Database::sqlite();
    let store = Store::create(&database.url).await.unwrap();
    let lock = database.lock().await;
    let error = store.revoke(&NewRevocation::key(ISSUER, "k1")).await.unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.source().is_some_and(|source| source.is::<sqlx::Error>()));
    lock.close().await;
    assert_eq!(store.head().await.unwrap().sequence, 0);
    assert_eq!(store.revoke(&NewRevocation::key(ISSUER, "k1")).await.unwrap(), Revoked::New);
}

#[tokio::test]
async fn an_unreachable_database_is_reported_without_its_password() {
    let url = "postgres://operator:hush@127.0.0.1:1/tokens";
    for opened in [Store::open(url).await, Store::connect(url).await, Store::create(url).await] {
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
        let said = format!("{error} {error:?}");
        assert!(said.contains("127.0.0.1:1") && said.contains("cannot be reached"), "{said}");
        assert!(!said.contains("hush"), "{said}");
    }
}

#[tokio::test]
async fn a_file_of_another_program_is_not_changed() {
    let database = Database::sqlite();
    let path = database.url.strip_prefix("sqlite:").unwrap();
    std::fs::write(path, "").unwrap();
    database.execute("CREATE TABLE recipes (name TEXT)").await;
    let before = std::fs::read(path).unwrap();
    let error = Store::create(&database.url).await.unwrap_err();
    assert!(error.to_string().contains("another program"), "{error}");
    assert_eq!(std::fs::read(path).unwrap(), before);
}
