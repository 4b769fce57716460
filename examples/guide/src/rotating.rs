//! `verifying/keys.md`: a rotation in Rust.

use std::{error::Error, time::Duration};

use service_only::{
    Algorithm, Verifier,
    issue::{Issuer, SigningKey, SigningRing},
};

#[test]
fn rotation_refuses_no_valid_token() -> Result<(), Box<dyn Error>> {
    let first = SigningKey::generate(Algorithm::ES256)?.with_kid("january");
    let second = SigningKey::generate(Algorithm::ES256)?.with_kid("april");
    let day = Duration::from_secs(24 * 3600);
    let ring = SigningRing::new(first, day)?;
    let issuer = Issuer::builder().issuer("bakery-auth").ring(ring.clone()).lifetime(day).build()?;
    let verifier = Verifier::builder().issuer("bakery-auth").keys(ring.clone()).build()?;
    let of_the_first = issuer.token_for("orders").mint()?;

    ring.prepare(second)?; // published, so that verifiers learn it
    ring.activate("april")?; // signs from now on; `january` still verifies for the overlap
    let of_the_second = issuer.token_for("orders").mint()?;

    assert_eq!(of_the_second.kid().as_str(), "april");
    assert!(verifier.verify(of_the_first.as_str()).is_ok());
    assert!(verifier.verify(of_the_second.as_str()).is_ok());
    Ok(())
}
