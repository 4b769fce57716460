//! Nonces of the server (RFC 9449 section 9): the time at which one was issued, and a code of HMAC over it. So a
//! verifier stores none.

use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::proof::MAX_AHEAD;
use crate::{clock::Timestamp, times::Moment};

/// See [`Dpop::NONCE_LIFETIME`](super::Dpop::NONCE_LIFETIME).
pub(crate) const LIFETIME: Duration = Duration::from_secs(300);

/// The length of a secret: as long as the hash.
const SECRET_BYTES: usize = 32;

/// Separates these codes from other uses of a secret.
const CONTEXT: &[u8] = b"service-only DPoP nonce ";

const TIME_BYTES: usize = 8;

/// A time and a code.
const NONCE_BYTES: usize = 40;

pub(crate) struct Nonces(hmac::Key);

impl Nonces {
    /// Nonces that only this process accepts.
    pub(crate) fn random() -> Result<Self, String> {
        let mut secret = zeroize::Zeroizing::new([0; SECRET_BYTES]);
        rand::fill(&mut *secret)
            .map_err(|_| "the crypto backend has no random bytes for nonces".to_owned())?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &*secret)))
    }

    /// Nonces that every process with this secret accepts.
    pub(crate) fn of_secret(secret: Vec<u8>) -> Result<Self, String> {
        let secret = zeroize::Zeroizing::new(secret);
        if secret.len() < SECRET_BYTES {
            return Err(format!(
                "the secret of the nonces has {} bytes, and needs {SECRET_BYTES}",
                secret.len()
            ));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &secret)))
    }

    pub(crate) fn issue(&self, now: Timestamp) -> String {
        let time = now.unix().to_be_bytes();
        let code = hmac::sign(&self.0, &[CONTEXT, &time].concat());
        URL_SAFE_NO_PAD.encode([&time, code.as_ref()].concat())
    }

    /// Whether the nonce was issued here, and lately.
    pub(crate) fn accepts(&self, nonce: &str, at: Moment) -> bool {
        self.issued_at(nonce).is_some_and(|issued| {
            let seconds = |limit: Duration| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
            let (now, leeway) = (at.now.unix(), at.leeway_seconds());
            let oldest = now.saturating_sub(seconds(LIFETIME)).saturating_sub(leeway);
            // Another process of the fleet may have issued it.
            let latest = now.saturating_add(seconds(MAX_AHEAD)).saturating_add(leeway);
            (oldest..=latest).contains(&issued)
        })
    }

    fn issued_at(&self, nonce: &str) -> Option<i64> {
        let mut bytes = [0; NONCE_BYTES];
        let length = URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes).ok()?;
        let (time, code) = bytes.get(..length)?.split_first_chunk::<TIME_BYTES>()?;
        hmac::verify(&self.0, &[CONTEXT, time].concat(), code).ok()?;
        Some(i64::from_be_bytes(*time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_767_225_600;

    fn at(now: i64, leeway: u64) -> Moment {
        Moment { now: Timestamp::from_unix(now), leeway: Duration::from_secs(leeway) }
    }

    #[test]
    fn a_nonce_is_accepted_for_its_lifetime() {
        let nonces = Nonces::random().unwrap();
        let nonce = nonces.issue(Timestamp::from_unix(NOW));
        for (now, leeway, accepted) in [
            (NOW, 0, true),
            (NOW + 300, 0, true),
            (NOW + 301, 0, false),
            (NOW + 310, 10, true),
            (NOW + 311, 10, false),
            (NOW - 5, 0, true),
            (NOW - 6, 0, false),
            (i64::MAX, 300, false),
            (i64::MIN, 300, false),
        ] {
            assert_eq!(nonces.accepts(&nonce, at(now, leeway)), accepted, "{now} {leeway}");
        }
    }

    #[test]
    fn a_nonce_of_another_process_or_a_changed_one_is_not_accepted() {
        let nonces = Nonces::random().unwrap();
        let nonce = nonces.issue(Timestamp::from_unix(NOW));
        assert!(!Nonces::random().unwrap().accepts(&nonce, at(NOW, 0)));
        let mut bytes = URL_SAFE_NO_PAD.decode(&nonce).unwrap();
        for index in 0..bytes.len() {
            bytes[index] ^= 1;
            assert!(!nonces.accepts(&URL_SAFE_NO_PAD.encode(&bytes), at(NOW, 0)), "{index}");
            bytes[index] ^= 1;
        }
        for bad in ["", "a", &nonce[1..], &format!("{nonce}="), &format!("{nonce}AAAA"), &nonce[..11]] {
            assert!(!nonces.accepts(bad, at(NOW, 0)), "{bad}");
        }
    }

    #[test]
    fn processes_with_one_secret_accept_each_others_nonces() {
        let secret = vec![7; 32];
        let (one, other) = (Nonces::of_secret(secret.clone()).unwrap(), Nonces::of_secret(secret).unwrap());
        assert!(other.accepts(&one.issue(Timestamp::from_unix(NOW)), at(NOW, 0)));
        assert!(Nonces::of_secret(vec![7; 31]).is_err());
    }
}
