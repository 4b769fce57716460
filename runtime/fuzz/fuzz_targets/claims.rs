//! A signed payload. The first byte says of what kind of issuer.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use service_only::{TrustedIssuer, Verifier, claims::ServiceName};
use service_only_fuzz::{
    check_verdict,
    signing::{NOW, PRIVATE_KEY, VERIFIER, compact, foreign},
};

static STRICT: LazyLock<Verifier> = LazyLock::new(|| foreign(TrustedIssuer::strict("bakery-auth")));
static KUBERNETES: LazyLock<Verifier> =
    LazyLock::new(|| foreign(TrustedIssuer::kubernetes("https://cluster")));
static SPIFFE: LazyLock<Verifier> = LazyLock::new(|| foreign(TrustedIssuer::spiffe("bakery.example")));
static OAUTH: LazyLock<Verifier> = LazyLock::new(|| foreign(TrustedIssuer::oauth("https://as.example")));

fuzz_target!(|data: &[u8]| {
    let Some((kind, payload)) = data.split_first() else { return };
    match kind {
        b'k' => check(&KUBERNETES, "JWT", payload, |service| {
            format!("system:serviceaccount:{}", service.replacen('.', ":", 1))
        }),
        b's' => check(&SPIFFE, "JWT", payload, |service| {
            format!("spiffe://bakery.example/{}", service.replace('.', "/"))
        }),
        b'o' => check(&OAUTH, "at+jwt", payload, str::to_owned),
        b't' => check(&STRICT, "service+jwt", payload, str::to_owned),
        _ => check_verdict(&VERIFIER, payload),
    }
});

/// Whoever is accepted is named by `sub`, and by nothing else.
fn check(verifier: &Verifier, typ: &str, payload: &[u8], subject: impl Fn(&str) -> String) {
    let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
    let Ok(caller) = verifier.verify(&compact(&PRIVATE_KEY, header.as_bytes(), payload)) else { return };
    assert!(caller.service().parse::<ServiceName>().is_ok());
    assert_eq!(caller.claims().sub, subject(caller.service()));
    assert!(caller.claims().exp > NOW.unix());
    assert!(caller.claims().aud.iter().any(|aud| aud == "orders"));
}
