//! `verifying/issuers.md`: several issuers in one verifier.

use service_only::{KeySet, TrustedIssuer, Verifier, error::BuildError};

fn two_authorities(bakery: KeySet, mill: KeySet) -> Result<Verifier, BuildError> {
    let bakery = TrustedIssuer::compatible("https://bakery.example").keys(bakery);
    let mill =
        TrustedIssuer::strict("https://mill.example").keys(mill).audience("orders").service_prefix("mill-");
    Verifier::builder().trust(bakery).trust(mill).build()
}

#[cfg(test)]
mod tests {
    use service_only_testkit::TestAuthority;

    use super::*;

    #[test]
    fn issuer_names_only_its_own_services() {
        let bakery = TestAuthority::new().issuer("https://bakery.example");
        let mill = TestAuthority::new().issuer("https://mill.example").audience("orders");
        let verifier = two_authorities(bakery.keys(), mill.keys()).unwrap();
        // The tokens of an authority expire by its own clock.
        mill.clock().set(service_only::clock::Clock::now(&service_only::clock::SystemClock));
        bakery.clock().set(service_only::clock::Clock::now(&service_only::clock::SystemClock));
        assert!(verifier.verify(&bakery.service("orders").token()).is_ok());
        assert!(verifier.verify(&mill.strict_service("mill-flour").token()).is_ok());
        let denial = verifier.verify(&mill.strict_service("orders").token()).unwrap_err();
        assert_eq!(denial.code().as_str(), "bad_claim_value");
    }
}
