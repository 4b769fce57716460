//! `verifying/revocation.md`: tokens that are refused before they expire.

use service_only::{KeySet, Verifier, error::BuildError, revocation::MemoryRevocations};

fn revocable(keys: KeySet, revocations: &MemoryRevocations) -> Result<Verifier, BuildError> {
    Verifier::builder().issuer("bakery-auth").keys(keys).revocation(revocations.clone()).build()
}

#[cfg(test)]
mod tests {
    use service_only_testkit::TestAuthority;

    use super::*;

    #[test]
    fn tokens_of_a_revoked_key_are_refused() {
        let authority = TestAuthority::new().issuer("bakery-auth");
        authority.clock().set(service_only::clock::Clock::now(&service_only::clock::SystemClock));
        let revocations = MemoryRevocations::new();
        let verifier = revocable(authority.keys(), &revocations).unwrap();
        let token = authority.service("orders").token();
        assert!(verifier.verify(&token).is_ok());
        revocations.revoke_key("bakery-auth", authority.kid()).unwrap();
        assert_eq!(verifier.verify(&token).unwrap_err().code().as_str(), "revoked");
    }
}
