//! Records that several tests write.

use std::time::Duration;

use service_only::{clock::Timestamp, keys::KeyState};
use service_only_store::{KeyRecord, TokenRecord};

pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
pub(crate) const ISSUER: &str = "bakery-auth";

pub(crate) fn token(jti: &str) -> TokenRecord {
    TokenRecord {
        issuer: ISSUER.to_owned(),
        jti: jti.to_owned(),
        service: "orders".to_owned(),
        kid: "k1".to_owned(),
        issued_at: NOW,
        expires_at: NOW.plus(Duration::from_secs(60)),
        note: None,
        minted_by: None,
        minted_at: NOW,
    }
}

/// An active key.
pub(crate) fn key(kid: &str) -> KeyRecord {
    KeyRecord {
        issuer: ISSUER.to_owned(),
        kid: kid.to_owned(),
        algorithm: "ES256".to_owned(),
        state: KeyState::Active,
        file: None,
        public_jwk: None,
        prepared_at: NOW,
        active_at: Some(NOW),
        retiring_at: None,
        retired_at: None,
        expires_at: None,
    }
}
