//! The limits are the numbers that ARCHITECTURE.md lists.

use std::time::Duration;

use service_only::{
    Denial, FileKeys, KeySet, Rejection, RemoteJwks, Verifier, VerifyingKey,
    claims::{Scopes, ServiceClaims, ServiceName},
    config::VerifierConfig,
    dpop::{Dpop, MemoryReplays},
    issue::Issuer,
    keys::{KeyId, KeyRing},
    revocation::MemoryRevocations,
};

#[test]
fn each_limit_is_the_documented_number() {
    for (limit, number) in [
        (Verifier::MAX_TOKEN_LENGTH, 16_384),
        (Verifier::MAX_JSON_DEPTH, 127),
        (Verifier::MAX_JSON_MEMBERS, 256),
        (Verifier::DEFAULT_CACHED_TOKENS, 1_024),
        (Verifier::MAX_CACHED_TOKENS, 8_192),
        (Verifier::MAX_SET, 10_000),
        (ServiceClaims::MAX_CLAIM_LENGTH, 4_096),
        (ServiceClaims::MAX_AUDIENCES, 64),
        (ServiceName::MAX_LENGTH, 253),
        (Scopes::MAX, 256),
        (Denial::MAX_QUOTED, 128),
        (KeySet::MAX_JWKS_BYTES, 4_194_304),
        (KeySet::MAX_KEYS, 10_000),
        (KeySet::MAX_KEYS_PER_KID, 4),
        (KeyId::MAX_LENGTH, 256),
        (KeyRing::MAX_RETIRED, 1_000),
        (VerifyingKey::MIN_RSA_BITS, 2_048),
        (VerifyingKey::MAX_RSA_BITS, 8_192),
        (FileKeys::MAX_BYTES, 65_536),
        (VerifierConfig::MAX_BYTES, 1_048_576),
        (Rejection::MAX_BODY_LENGTH, 65_536),
        (MemoryRevocations::MAX_REVOCATIONS, 1_000_000),
        (RemoteJwks::DEFAULT_MAX_RESPONSE_BYTES, 1_048_576),
        (RemoteJwks::DEFAULT_MAX_KEYS, 100),
        (Dpop::MAX_PROOF_LENGTH, 8_192),
        (Dpop::MAX_ID_LENGTH, 256),
        (MemoryReplays::DEFAULT_CAPACITY, 131_072),
        (MemoryReplays::MAX_CAPACITY, 16_777_216),
    ] {
        assert_eq!(limit, number);
    }
    assert_eq!(VerifyingKey::MIN_RSA_EXPONENT, 65_537);
}

#[test]
fn each_limit_of_a_time_is_the_documented_number_of_seconds() {
    for (limit, seconds) in [
        (Verifier::MAX_LEEWAY, 300),
        (Verifier::MAX_ISSUED_AHEAD, 60),
        (Dpop::DEFAULT_MAX_AGE, 60),
        (Dpop::LONGEST_MAX_AGE, 300),
        (Dpop::MAX_AHEAD, 5),
        (Dpop::NONCE_LIFETIME, 300),
        (RemoteJwks::DEFAULT_TIMEOUT, 10),
        (RemoteJwks::DEFAULT_MAX_STALENESS, 21_600),
        (RemoteJwks::DEFAULT_UNKNOWN_KID_INTERVAL, 30),
        (RemoteJwks::DEFAULT_UNKNOWN_KID_WAIT, 2),
        (Issuer::DEFAULT_LIFETIME, 31_536_000),
        (Issuer::MAX_LIFETIME, 315_360_000),
    ] {
        assert_eq!(limit, Duration::from_secs(seconds));
    }
}
