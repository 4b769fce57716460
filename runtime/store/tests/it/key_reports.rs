//! What verifiers report of their keys, over both databases: which they have, and who uses them.

use std::time::Duration;

use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::Timestamp,
    error::Code,
    issue::{Issuer, MintedToken, SigningKey},
    keys::KeyRing,
    revocation::{MemoryRevocations, RevocationStore},
};
use service_only_store::{
    Store,
    rotation::{Journal, KeyReporter},
};

use crate::database::Database;

const ISSUER: &str = "bakery-auth";

fn key(kid: &str) -> SigningKey {
    SigningKey::generate(Algorithm::EdDSA).unwrap().with_kid(kid)
}

fn mint(key: SigningKey, service: &str) -> MintedToken {
    Issuer::builder().issuer(ISSUER).key(key).build().unwrap().token_for(service).mint().unwrap()
}

fn verifier(ring: &KeyRing, revocations: impl RevocationStore) -> Verifier {
    let builder = Verifier::builder().issuer(ISSUER).keys(ring.clone()).audit(NoAudit);
    builder.revocation(revocations).build().unwrap()
}

fn uses(journal: &Journal) -> Vec<(&str, &str)> {
    let mut uses: Vec<_> =
        journal.uses.iter().map(|used| (used.kid.as_str(), used.service.as_str())).collect();
    uses.sort();
    uses
}

#[tokio::test]
async fn a_verifier_reports_its_keys_and_their_users_without_revoked_tokens() {
    for database in Database::all().await {
        let store = Store::create(&database.url).await.unwrap();
        let old = key("old");
        let ring = KeyRing::new(old.verifying_key(), Duration::from_secs(60)).unwrap();
        let reporter = KeyReporter::of(&database.url, "orders-1", ISSUER, ring.clone())
            .refresh_every(Duration::from_secs(120))
            .start()
            .unwrap();
        let revocations = MemoryRevocations::new();
        let verifier = verifier(&ring, reporter.before(revocations.clone()));
        let issuer = Issuer::builder().issuer(ISSUER).key(old).build().unwrap();
        let [good, bad] = ["orders", "sales"].map(|service| issuer.token_for(service).mint().unwrap());
        revocations
            .revoke_token(
                ISSUER,
                bad.claims().jti.as_deref().unwrap(),
                Timestamp::from_unix(bad.claims().exp),
            )
            .unwrap();
        verifier.verify(good.as_str()).unwrap();
        assert_eq!(verifier.verify(bad.as_str()).unwrap_err().code(), Code::Revoked);
        assert!(verifier.verify(mint(key("old"), "thief").as_str()).is_err(), "signed by another");

        reporter.report().await.unwrap();
        let journal = store.journal(ISSUER).await.unwrap();
        let report = &journal.verifiers[0];
        assert_eq!(
            (report.id.as_str(), &report.kids[..], report.refresh_interval),
            ("orders-1", &["old".to_owned()][..], Duration::from_secs(120))
        );
        assert_eq!(uses(&journal), [("old", "orders")]);

        ring.prepare(key("new").verifying_key()).unwrap();
        reporter.report().await.unwrap();
        assert_eq!(store.journal(ISSUER).await.unwrap().verifiers[0].kids, ["new", "old"]);
    }
}

#[tokio::test]
async fn uses_during_a_database_outage_are_reported_afterwards() {
    let database = Database::sqlite();
    let old = key("old");
    let ring = KeyRing::new(old.verifying_key(), Duration::from_secs(60)).unwrap();
    let reporter = KeyReporter::of(&database.url, "orders-1", ISSUER, ring.clone()).start().unwrap();
    verifier(&ring, reporter.clone()).verify(mint(old, "orders").as_str()).unwrap();
    assert!(reporter.report().await.unwrap_err().to_string().contains("no store exists at"));
    let store = Store::create(&database.url).await.unwrap();
    reporter.report().await.unwrap();
    assert_eq!(uses(&store.journal(ISSUER).await.unwrap()), [("old", "orders")]);
}

#[test]
fn a_reporter_needs_an_address_and_a_runtime() {
    let ring = KeyRing::new(key("old").verifying_key(), Duration::from_secs(60)).unwrap();
    let start =
        |url: &str| KeyReporter::of(url, "orders-1", ISSUER, ring.clone()).start().unwrap_err().to_string();
    assert!(start("mysql://a:hush@b/c").contains("sqlite:PATH"));
    assert!(start("sqlite:tokens.db").contains("reactor") || start("sqlite:tokens.db").contains("runtime"));
}
