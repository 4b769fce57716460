//! Keys, and tokens signed by them.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{
    Algorithm, TrustedIssuer, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    issue::SigningKey,
};

pub const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);
pub const SECRET: [u8; 32] = [7; 32];

pub static SECRET_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::hmac(Algorithm::HS256, &SECRET).unwrap());
pub static PRIVATE_KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::generate(Algorithm::ES256).unwrap());

/// A verifier of compatible tokens.
pub static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let builder = Verifier::builder().issuer("bakery-auth").keys(SECRET_KEY.verifying_key());
    builder.clock(FixedClock(NOW)).audit(NoAudit).build().unwrap()
});

/// A verifier of the tokens of one issuer of another kind.
pub fn foreign(issuer: TrustedIssuer) -> Verifier {
    let issuer = issuer.keys(PRIVATE_KEY.verifying_key()).audience("orders");
    Verifier::builder().trust(issuer).clock(FixedClock(NOW)).audit(NoAudit).build().unwrap()
}

/// A token of any payload, for [`VERIFIER`].
pub fn sign(payload: &[u8]) -> String {
    compact(&SECRET_KEY, br#"{"alg":"HS256"}"#, payload)
}

/// A token of any header and payload.
pub fn compact(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
