//! Decides about sets as tables: what is in the journal, what is published already, and what results.

use super::*;
use service_only::issue::SigningKey;
use service_only_store::KeyRecord;

use crate::public_jwk::public_half;

fn jwk() -> Value {
    public_half(&SigningKey::generate(Algorithm::EdDSA).unwrap()).unwrap()
}

fn record(jwk: &Value, state: KeyState) -> KeyRecord {
    let at = Timestamp::from_unix(1);
    KeyRecord {
        issuer: "bakery-auth".to_owned(),
        kid: kid_of(jwk).unwrap().to_owned(),
        algorithm: "EdDSA".to_owned(),
        state,
        file: None,
        public_jwk: Some(jwk.to_string()),
        prepared_at: at,
        active_at: None,
        retiring_at: None,
        retired_at: None,
        expires_at: None,
    }
}

fn existing(keys: &[&Value]) -> ExistingSet {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, json!({ "keys": keys }).to_string()).unwrap();
    ExistingSet::read(&path, Unknown::Keep).unwrap()
}

fn decide(journal: &Journal, own: &[&Value], published: &[&Value], unknown: Unknown) -> Published {
    let existing = existing(published);
    let own = own.iter().map(|key| (*key).clone()).collect();
    Sources { journal, own, existing: &existing, leftover: None, unknown }.decide().unwrap()
}

fn journal(keys: &[(&Value, KeyState)], revoked: &[&Value]) -> Journal {
    let mut journal = Journal::default();
    journal.keys = keys.iter().map(|(jwk, state)| record(jwk, *state)).collect();
    journal.revoked = revoked.iter().filter_map(|jwk| kid_of(jwk)).map(str::to_owned).collect();
    journal
}

#[test]
fn journal_decides_and_without_one_the_configured_key_does() {
    let [a, b, c] = [(); 3].map(|()| jwk());
    let empty = Journal::default();
    assert_eq!(decide(&empty, &[&a], &[], Unknown::Keep).keys, std::slice::from_ref(&a));
    use KeyState::{Active, Prepared, Retired, Retiring};
    let full = journal(&[(&a, Retired), (&b, Retiring), (&c, Active)], &[]);
    assert_eq!(decide(&full, &[], &[&a, &b], Unknown::Keep).keys, [b.clone(), c.clone()]);
    let next = journal(&[(&b, Active), (&c, Prepared)], &[]);
    assert_eq!(decide(&next, &[&c], &[&c], Unknown::Keep).keys, [b, c], "a key is published once");
}

#[test]
fn unknown_key_stays_unless_it_is_revoked_or_dropped() {
    let [a, b] = [(); 2].map(|()| jwk());
    let active = journal(&[(&a, KeyState::Active)], &[]);
    let kept = decide(&active, &[], &[&a, &b], Unknown::Keep);
    assert_eq!((kept.keys.len(), kept.adoptable.len(), kept.adoptable[0].is_revoked), (2, 1, false));
    let revoked = decide(&journal(&[(&a, KeyState::Active)], &[&b]), &[], &[&a, &b], Unknown::Keep);
    assert_eq!((revoked.keys.len(), revoked.adoptable[0].is_revoked, revoked.kept().len()), (1, true, 0));
    let dropped = decide(&active, &[], &[&a, &b], Unknown::Drop);
    assert_eq!((dropped.keys.len(), dropped.dropped), (1, vec![kid_of(&b).unwrap().to_owned()]));
}

#[test]
fn key_is_known_by_its_numbers_and_not_by_its_spelling() {
    let a = jwk();
    let mut respelled = a.clone();
    respelled["nbf"] = json!(1);
    let known = decide(&journal(&[(&a, KeyState::Retired)], &[]), &[], &[&respelled], Unknown::Keep);
    assert!(known.keys.is_empty() && known.unmanaged.is_empty(), "{known:?}");
    let mut namesake = jwk();
    namesake["kid"] = a["kid"].clone();
    let other = decide(&journal(&[(&a, KeyState::Active)], &[]), &[], &[&namesake], Unknown::Keep);
    assert_eq!((other.keys.len(), other.unmanaged.len()), (2, 1));
}

#[test]
fn key_that_a_killed_run_published_is_left_out() {
    let [a, b] = [(); 2].map(|()| jwk());
    let (journal, existing) = (journal(&[(&a, KeyState::Active)], &[]), existing(&[&a, &b]));
    let leftover = kid_of(&b);
    let sources =
        Sources { journal: &journal, own: Vec::new(), existing: &existing, leftover, unknown: Unknown::Keep };
    let set = sources.decide().unwrap();
    assert_eq!((set.keys, set.adoptable.len()), (vec![a], 0));
}
