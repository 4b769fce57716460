//! A token that an operator pipes into `show -` or `revoke -`.
//!
//! Its claims name what is shown or revoked, so they count only if a known key of the issuer signed them. A forged
//! token could otherwise name the `jti` of a good one. Expiry, audience and revocation do not matter here: a leaked
//! token is often expired or revoked.

use std::ffi::OsStr;

use service_only::error::Stage;
use service_only::{KeySet, TrustedIssuer, Verifier, audit::NoAudit, clock::Timestamp};
use service_only_store::Store;
use zeroize::Zeroizing;

use crate::commands::{inspect, verify};
use crate::config::Config;
use crate::database::refused;
use crate::problem::{Outcome, Problem, ProblemCode};
use crate::published::{ExistingSet, Unknown};

/// The argument that means standard input.
pub(crate) const STDIN: &str = "-";

/// A token, and the claims that name it.
pub(crate) struct Presented {
    token: Zeroizing<Vec<u8>>,
    pub(crate) issuer: String,
    pub(crate) jti: String,
    /// `exp`, if it is a time.
    pub(crate) expires_at: Option<Timestamp>,
}

/// Whether the claims of a token count.
pub(crate) enum Authenticity {
    /// A known key of its issuer signed it.
    Proven,
    /// No known key did, for this reason.
    Disproven(String),
    /// This program knows no key of its issuer.
    NoKeys,
}

impl Presented {
    /// Reads a token from standard input.
    pub(crate) fn read() -> Outcome<Self> {
        let token = verify::token_bytes(OsStr::new(STDIN))?;
        let named = inspect::named(&token).map_err(|why| {
            Problem::new(ProblemCode::NotAuthentic, format!("standard input is not a token: {why}"))
        })?;
        let inspect::Named { issuer, jti, exp } = named;
        let lacks = |claim: &str| {
            Problem::new(ProblemCode::NotAuthentic, format!("the token has no `{claim}`, so it has no name"))
                .help("revoke the tokens of its service with `--service NAME --before TIME`, or its key with `--key KID`")
        };
        Ok(Self {
            issuer: issuer.ok_or_else(|| lacks("iss"))?,
            jti: jti.ok_or_else(|| lacks("jti"))?,
            expires_at: exp.map(Timestamp::from_unix),
            token,
        })
    }

    /// Checks the signature with all keys of the issuer that the store, the published set and the configuration have,
    /// also retired ones.
    pub(crate) async fn authenticity(&self, store: &Store, config: Option<&Config>) -> Outcome<Authenticity> {
        let Ok(token) = std::str::from_utf8(&self.token) else {
            return Ok(Authenticity::Disproven("it is not text".to_owned()));
        };
        let sets = self.key_sets(store, config).await?;
        let mut reason = None;
        for keys in sets {
            for verifier in self.verifiers(&keys) {
                match verifier.verify(token) {
                    Ok(_) => return Ok(Authenticity::Proven),
                    // The claims are read only after the signature was checked.
                    Err(denial) if denial.stage() >= Stage::Claims => return Ok(Authenticity::Proven),
                    // The first set is that of the store, which has the most keys.
                    Err(denial) => reason.get_or_insert_with(|| denial.to_string()),
                };
            }
        }
        Ok(reason.map_or(Authenticity::NoKeys, Authenticity::Disproven))
    }

    async fn key_sets(&self, store: &Store, config: Option<&Config>) -> Outcome<Vec<KeySet>> {
        let recorded = store.keys(&self.issuer).await.map_err(|error| refused(&error))?;
        let recorded = recorded.iter().filter_map(|key| key.public_jwk.as_deref());
        let mut sets = vec![set(recorded.filter_map(|jwk| serde_json::from_str(jwk).ok()).collect())];
        if let Some(config) = config.filter(|config| config.issuer == self.issuer) {
            // A file that cannot be read is the concern of other commands.
            let published = ExistingSet::read(&config.rotation.jwks, Unknown::Keep).unwrap_or_default();
            sets.push(set(published.jwks().cloned().collect()));
            // A secret is in no set. Another key is loaded only if nothing is published: it may need a passphrase.
            if config.key.algorithm.is_symmetric() || sets.iter().all(Option::is_none) {
                sets.push(config.key.load().ok().map(|key| KeySet::from(key.verifying_key())));
            }
        }
        Ok(sets.into_iter().flatten().collect())
    }

    /// One verifier for each kind of token. Both check the signature before everything that is left out here. A secret is
    /// no key for strict tokens.
    fn verifiers(&self, keys: &KeySet) -> impl Iterator<Item = Verifier> {
        let compatible = TrustedIssuer::compatible(self.issuer.as_str());
        let strict = TrustedIssuer::strict(self.issuer.as_str()).audience("any");
        let trusted = [compatible, strict].map(|trusted| trusted.keys(keys.clone()));
        trusted.into_iter().filter_map(|one| Verifier::builder().trust(one).audit(NoAudit).build().ok())
    }
}

fn set(keys: Vec<serde_json::Value>) -> Option<KeySet> {
    KeySet::from_jwks(serde_json::json!({ "keys": keys }).to_string().as_bytes()).ok()
}
