//! The journal of signing keys: which key signs, which verifiers have it, which services still need the
//! previous one.
//!
//! A step succeeds only from the state that its caller saw. So the second of two concurrent rotations gets an
//! error. Steps that belong together are made in one transaction.

use std::time::Duration;

use service_only::{clock::Timestamp, keys::KeyState};

use super::{Store, StoreError};

/// All records of an issuer's keys; see [`Store::journal`](crate::store::Store::journal).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Journal {
    /// The keys, in the order of their publication.
    pub keys: Vec<KeyRecord>,
    /// Which services hold tokens of which key, and until when.
    pub holders: Vec<KeyHolder>,
    /// Which services were seen with tokens of which key.
    pub uses: Vec<KeyUse>,
    /// The reports of the verifiers.
    pub verifiers: Vec<VerifierReport>,
    /// The keys that are revoked.
    pub revoked: Vec<String>,
}

/// A service that holds unrevoked tokens of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyHolder {
    /// The key.
    pub kid: String,
    /// The service.
    pub service: String,
    /// When the last of these tokens expires.
    pub last_expiry: Timestamp,
}

/// A key of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a member is a column, which each writer has to fill")]
pub struct KeyRecord {
    /// The issuer that signs with it.
    pub issuer: String,
    /// Its key id.
    pub kid: String,
    /// Its algorithm.
    pub algorithm: String,
    /// Its state.
    pub state: KeyState,
    /// The file of its private half; the store never contains the private key.
    pub file: Option<String>,
    /// The public half as a JWK; an HMAC secret has none.
    pub public_jwk: Option<String>,
    /// When it was published.
    pub prepared_at: Timestamp,
    /// When it began to sign.
    pub active_at: Option<Timestamp>,
    /// When it stopped signing.
    pub retiring_at: Option<Timestamp>,
    /// When verifiers stopped accepting its tokens.
    pub retired_at: Option<Timestamp>,
    /// When its planned life ends.
    pub expires_at: Option<Timestamp>,
}

/// A change of a key's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key goes from one state to another")]
pub struct KeyStep<'a> {
    /// The key.
    pub kid: &'a str,
    /// The state that the key must be in.
    pub from: KeyState,
    /// The state that the key enters.
    pub to: KeyState,
}

/// What a verifier reports about its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a member is a column, which each writer has to fill")]
pub struct VerifierReport {
    /// Its name.
    pub id: String,
    /// The issuer that it trusts.
    pub issuer: String,
    /// The keys of that issuer that it has.
    pub kids: Vec<String>,
    /// How often it checks for new keys.
    pub refresh_interval: Duration,
    /// When it last reported.
    pub last_seen: Timestamp,
}

/// When a service was last seen with a token of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a member is a column, which each writer has to fill")]
pub struct KeyUse {
    /// The key.
    pub kid: String,
    /// The service.
    pub service: String,
    /// When it was last seen.
    pub last_seen: Timestamp,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    kid: String,
    algorithm: String,
    state: String,
    file: Option<String>,
    public_jwk: Option<String>,
    prepared_at: i64,
    active_at: Option<i64>,
    retiring_at: Option<i64>,
    retired_at: Option<i64>,
    expires_at: Option<i64>,
}

const KEYS: &str = "
    SELECT kid, algorithm, state, file, public_jwk, prepared_at, active_at, retiring_at, retired_at, expires_at
    FROM service_only_keys WHERE issuer = $1 ORDER BY prepared_at, kid";

const ADD_KEY: &str = "
    INSERT INTO service_only_keys
    (issuer, kid, algorithm, state, file, public_jwk,
    prepared_at, active_at, retiring_at, retired_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";

// If a step is repeated, as on the way back from `retired`, the stored time is that of the last one.
const STEP: &str = "
    UPDATE service_only_keys SET state = $4,
    prepared_at = CASE WHEN $4 = 'prepared' THEN $5 ELSE prepared_at END,
    active_at = CASE WHEN $4 = 'active' THEN $5 ELSE active_at END,
    retiring_at = CASE WHEN $4 = 'retiring' THEN $5 ELSE retiring_at END,
    retired_at = CASE WHEN $4 = 'retired' THEN $5 ELSE retired_at END
    WHERE issuer = $1 AND kid = $2 AND state = $3";

const REPORT: &str = "
    INSERT INTO service_only_verifiers (id, issuer, kids, refresh_seconds, last_seen)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT (issuer, id) DO UPDATE SET
    kids = excluded.kids, refresh_seconds = excluded.refresh_seconds, last_seen = excluded.last_seen";

const USE: &str = "
    INSERT INTO service_only_key_use (issuer, kid, service, last_seen) VALUES ($1, $2, $3, $4)
    ON CONFLICT (issuer, kid, service) DO UPDATE SET last_seen = excluded.last_seen
    WHERE excluded.last_seen > service_only_key_use.last_seen";

impl Store {
    /// The keys of an issuer, the oldest first.
    ///
    /// # Errors
    /// When the store cannot be read, or holds what this program does not understand.
    pub async fn keys(&self, issuer: &str) -> Result<Vec<KeyRecord>, StoreError> {
        let rows: Vec<KeyRow> =
            on_pool!(self, pool => sqlx::query_as(KEYS).bind(issuer).fetch_all(pool).await?)?;
        rows.into_iter().map(|row| self.key(issuer, row)).collect()
    }

    /// Records a new key.
    ///
    /// # Errors
    /// [`StoreError::KeyExists`], and when the store cannot write it.
    pub async fn add_key(&self, key: &KeyRecord) -> Result<(), StoreError> {
        self.add_keys(&key.issuer, std::slice::from_ref(key)).await
    }

    /// Records new keys of an issuer, all or none.
    ///
    /// # Errors
    /// As [`add_key`](Self::add_key).
    pub async fn add_keys(&self, issuer: &str, keys: &[KeyRecord]) -> Result<(), StoreError> {
        self.change_keys(issuer, &[], keys, Timestamp::from_unix(0)).await
    }

    /// Makes steps for an issuer's keys, all or none, in this order. Retire the old key before you activate
    /// the next one: at most one key is prepared and at most one is active.
    ///
    /// # Errors
    /// [`StoreError::KeyMoved`] if another program was faster, [`StoreError::Duplicate`] if the steps would leave
    /// two active keys, and when the store cannot write it.
    pub async fn step_keys(
        &self,
        issuer: &str,
        steps: &[KeyStep<'_>],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_keys(issuer, steps, &[], at).await
    }

    /// Removes keys from service and adds a new key, all or nothing, as a response to a leaked key.
    ///
    /// # Errors
    /// As [`step_keys`](Self::step_keys) and [`add_key`](Self::add_key).
    pub async fn replace_keys(
        &self,
        steps: &[KeyStep<'_>],
        key: &KeyRecord,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.change_keys(&key.issuer, steps, std::slice::from_ref(key), at).await
    }

    async fn change_keys(
        &self,
        issuer: &str,
        steps: &[KeyStep<'_>],
        new: &[KeyRecord],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        in_transaction!(self, tx => {
            for step in steps {
                let made = sqlx::query(STEP)
                    .bind(issuer).bind(step.kid).bind(step.from.as_str()).bind(step.to.as_str()).bind(at.unix())
                    .execute(&mut *tx).await?.rows_affected();
                if made == 0 {
                    let (issuer, kid) = (issuer.to_owned(), step.kid.to_owned());
                    Err(StoreError::KeyMoved { issuer, kid, expected: step.from })?;
                }
            }
            for key in new {
                let added = sqlx::query(ADD_KEY)
                    .bind(issuer).bind(&key.kid).bind(&key.algorithm).bind(key.state.as_str())
                    .bind(&key.file).bind(&key.public_jwk)
                    .bind(key.prepared_at.unix()).bind(key.active_at.map(Timestamp::unix))
                    .bind(key.retiring_at.map(Timestamp::unix)).bind(key.retired_at.map(Timestamp::unix))
                    .bind(key.expires_at.map(Timestamp::unix))
                    .execute(&mut *tx).await?.rows_affected();
                if added == 0 {
                    let (issuer, kid) = (issuer.to_owned(), key.kid.clone());
                    Err(StoreError::KeyExists { issuer, kid, state: key.state })?;
                }
            }
        })
    }

    /// Records the report of a verifier, and replaces its previous report.
    ///
    /// # Errors
    /// When the store cannot write it.
    pub async fn report_verifier(&self, report: &VerifierReport) -> Result<(), StoreError> {
        let kids = serde_json::Value::from(report.kids.clone()).to_string();
        let refresh_seconds = i64::try_from(report.refresh_interval.as_secs()).unwrap_or(i64::MAX);
        in_transaction!(self, tx => {
            sqlx::query(REPORT)
                .bind(&report.id).bind(&report.issuer).bind(&kids)
                .bind(refresh_seconds).bind(report.last_seen.unix())
                .execute(&mut *tx).await?;
        })
    }

    /// The reports of all verifiers of an issuer's tokens, sorted by name.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verifiers(&self, issuer: &str) -> Result<Vec<VerifierReport>, StoreError> {
        const ALL: &str = "SELECT id, kids, refresh_seconds, last_seen FROM service_only_verifiers
            WHERE issuer = $1 ORDER BY id";
        let rows: Vec<(String, String, i64, i64)> =
            on_pool!(self, pool => sqlx::query_as(ALL).bind(issuer).fetch_all(pool).await?)?;
        Ok(rows
            .into_iter()
            .map(|(id, kids, refresh_seconds, last_seen)| VerifierReport {
                id,
                issuer: issuer.to_owned(),
                // An unreadable list counts as no keys: a rotation then waits for this verifier.
                kids: serde_json::from_str(&kids).unwrap_or_default(),
                refresh_interval: Duration::from_secs(u64::try_from(refresh_seconds).unwrap_or(0)),
                last_seen: Timestamp::from_unix(last_seen),
            })
            .collect())
    }

    /// Records that a service was seen with a token of a key. The latest time is kept.
    ///
    /// # Errors
    /// When the store cannot write it.
    pub async fn report_key_use(&self, issuer: &str, used: &[KeyUse]) -> Result<(), StoreError> {
        in_transaction!(self, tx => {
            for seen in used {
                sqlx::query(USE)
                    .bind(issuer).bind(&seen.kid).bind(&seen.service).bind(seen.last_seen.unix())
                    .execute(&mut *tx).await?;
            }
        })
    }

    /// Which services were seen with tokens of which keys, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn key_use(&self, issuer: &str) -> Result<Vec<KeyUse>, StoreError> {
        const ALL: &str = "SELECT kid, service, last_seen FROM service_only_key_use
            WHERE issuer = $1 ORDER BY last_seen DESC, kid, service";
        let rows: Vec<(String, String, i64)> =
            on_pool!(self, pool => sqlx::query_as(ALL).bind(issuer).fetch_all(pool).await?)?;
        let seen = |(kid, service, second)| KeyUse { kid, service, last_seen: Timestamp::from_unix(second) };
        Ok(rows.into_iter().map(seen).collect())
    }

    fn key(&self, issuer: &str, row: KeyRow) -> Result<KeyRecord, StoreError> {
        let Some(state) = KeyState::ALL.into_iter().find(|known| known.as_str() == row.state) else {
            let place = self.place().to_owned();
            return Err(StoreError::UnknownKeyState { place, kid: row.kid, state: row.state });
        };
        Ok(KeyRecord {
            issuer: issuer.to_owned(),
            kid: row.kid,
            algorithm: row.algorithm,
            state,
            file: row.file,
            public_jwk: row.public_jwk,
            prepared_at: Timestamp::from_unix(row.prepared_at),
            active_at: row.active_at.map(Timestamp::from_unix),
            retiring_at: row.retiring_at.map(Timestamp::from_unix),
            retired_at: row.retired_at.map(Timestamp::from_unix),
            expires_at: row.expires_at.map(Timestamp::from_unix),
        })
    }
}
