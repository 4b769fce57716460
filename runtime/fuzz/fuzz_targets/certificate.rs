//! A certificate of a peer, in DER or PEM, against the rules for a leaf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use service_only_tls::{Certificate, SpiffeId};

fuzz_target!(|data: &[u8]| {
    let read = Certificate::from_der(data).or_else(|_| Certificate::from_pem(data));
    let Ok(certificate) = read else { return };
    if let Some(id) = certificate.spiffe_id() {
        assert_eq!(id.as_str().parse::<SpiffeId>().as_ref(), Ok(id));
        assert!(id.as_str().starts_with(&format!("spiffe://{}/", id.trust_domain())));
        assert!(id.as_str().len() <= SpiffeId::MAX_LENGTH);
    }
    // Another byte makes another certificate, or none.
    let again = Certificate::from_der(&[data, &[0]].concat());
    assert!(again.is_err() || again.is_ok_and(|again| again.thumbprint() != certificate.thumbprint()));
});
