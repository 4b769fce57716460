//! One key for each algorithm, made once, and tokens signed by hand.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    issue::{Issuer, SigningKey},
};

pub(crate) const NOW: Timestamp = Timestamp::from_unix(1_767_225_600);

pub(crate) static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    let rsa = SigningKey::generate_rsa(Algorithm::RS256, 2048).unwrap().to_secret_bytes().unwrap();
    let make = |algorithm: Algorithm| match algorithm.as_str().as_bytes() {
        [b'R' | b'P', ..] => SigningKey::from_pem(algorithm, &rsa).unwrap(),
        _ => SigningKey::generate(algorithm).unwrap(),
    };
    Algorithm::ALL.into_iter().map(make).collect()
});

pub(crate) fn key(algorithm: Algorithm) -> &'static SigningKey {
    KEYS.iter().find(|key| key.algorithm() == algorithm).unwrap()
}

/// The same key, to be changed.
pub(crate) fn copy(key: &SigningKey) -> SigningKey {
    let secret = key.to_secret_bytes().unwrap();
    let copy = if key.algorithm().is_symmetric() { SigningKey::hmac } else { SigningKey::from_pem };
    copy(key.algorithm(), &secret).unwrap()
}

pub(crate) fn verifier(algorithm: Algorithm) -> Verifier {
    static VERIFIERS: LazyLock<Vec<(Algorithm, Verifier)>> = LazyLock::new(|| {
        let build = |key: &SigningKey| {
            let builder = Verifier::builder().issuer("bakery-auth").keys(key.verifying_key());
            (key.algorithm(), builder.clock(FixedClock(NOW)).audit(NoAudit).build().unwrap())
        };
        KEYS.iter().map(build).collect()
    });
    VERIFIERS.iter().find(|(own, _)| *own == algorithm).unwrap().1.clone()
}

/// A valid token of the algorithm's key.
pub(crate) fn token(algorithm: Algorithm) -> String {
    static TOKENS: LazyLock<Vec<(Algorithm, String)>> = LazyLock::new(|| {
        let mint = |key: &SigningKey| {
            let issuer = Issuer::builder().issuer("bakery-auth").key(copy(key)).clock(FixedClock(NOW));
            let minted = issuer.build().unwrap().token_for("orders").scope("tenants:delete").mint().unwrap();
            (key.algorithm(), minted.as_str().to_owned())
        };
        KEYS.iter().map(mint).collect()
    });
    TOKENS.iter().find(|(own, _)| *own == algorithm).unwrap().1.clone()
}

/// A token of any payload, under the usual header.
pub(crate) fn sign(key: &SigningKey, payload: &str) -> String {
    let header = serde_json::json!({"typ": "JWT", "alg": key.algorithm(), "kid": key.kid()}).to_string();
    compact(key, header, payload)
}

/// A token of any header and any payload.
pub(crate) fn compact(key: &SigningKey, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let signature = key.sign(signed.as_bytes()).unwrap();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The public key in PEM; of an HMAC key, a text that is none.
pub(crate) fn public_pem(algorithm: Algorithm) -> Vec<u8> {
    use aws_lc_rs::{
        encoding::{AsDer, PublicKeyX509Der},
        rsa, signature as sig,
    };
    let secret = key(algorithm).to_secret_bytes().unwrap();
    if algorithm.is_symmetric() {
        return secret.to_vec();
    }
    let private = pem::parse(&*secret).unwrap();
    let der: PublicKeyX509Der<'static> = match algorithm.as_str() {
        "ES256" | "ES384" => {
            let curve = if algorithm == Algorithm::ES256 {
                &sig::ECDSA_P256_SHA256_FIXED_SIGNING
            } else {
                &sig::ECDSA_P384_SHA384_FIXED_SIGNING
            };
            let pair = sig::EcdsaKeyPair::from_pkcs8(curve, private.contents()).unwrap();
            sig::KeyPair::public_key(&pair).as_der().unwrap()
        }
        "EdDSA" | "Ed25519" => {
            let pair = sig::Ed25519KeyPair::from_pkcs8(private.contents()).unwrap();
            sig::KeyPair::public_key(&pair).as_der().unwrap()
        }
        _ => {
            let pair = rsa::KeyPair::from_pkcs8(private.contents()).unwrap();
            sig::KeyPair::public_key(&pair).as_der().unwrap()
        }
    };
    pem::encode(&pem::Pem::new("PUBLIC KEY", der.as_ref())).into_bytes()
}
