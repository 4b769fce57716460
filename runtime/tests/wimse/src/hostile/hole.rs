//! Verifiers with one hole that only one class finds: each leaves out one rule for the requests of the class.

use serde_json::Value;

use super::{Jwt, Seen, URL_SAFE_NO_PAD};
use base64::Engine as _;

pub(super) struct Hole {
    /// The one class that finds it.
    pub(super) class: &'static str,
    /// The rule that the verifier does not check.
    pub(super) rule: &'static str,
    /// The requests for which it does not check the rule.
    pub(super) admits: fn(&Seen<'_>) -> bool,
}

macro_rules! holes {
    ($($class:literal: $rule:literal, $admits:expr;)*) => {
        pub(super) static HOLES: &[Hole] = &[$(Hole { class: $class, rule: $rule, admits: $admits }),*];
    };
}

holes! {
    // What the request consists of.
    "wpt_without_token": "token", |seen| seen.proof.is_some();
    "wit_without_proof": "proof", |seen| seen.wit.is_some();
    "wit_as_bearer": "scheme", |seen| seen.wit.is_some();
    "two_wpts": "one proof", |seen| seen.named("authorization").len() == 2;
    "two_wits": "one token", |seen| seen.named("workload-identity-token").len() == 2;
    "wpt_replayed": "replay", |seen| seen.proof.is_some();

    // The header of the proof.
    "wpt_typ_absent": "typ", |seen| header(seen, "typ").is_null();
    "wpt_typ_of_dpop": "typ", |seen| header(seen, "typ") == "dpop+jwt";
    "wpt_alg_none": "alg", |seen| header(seen, "alg") == "none";
    "wpt_alg_symmetric": "alg", |seen| header(seen, "alg") == "HS256";
    "wpt_alg_of_another_name": "same alg", |seen| header(seen, "alg") == "Ed25519" && jwk(seen, "alg") == "EdDSA";
    "wpt_crit": "crit", |seen| header(seen, "crit").is_array();
    "wpt_with_key_of_a_thief": "key of the header", |seen| header(seen, "jwk").is_object();

    // The signature.
    "wpt_signed_by_another_key": "signature", |seen| header(seen, "jwk").is_null() && !was_signed_with_other_claims(seen);
    "wpt_changed_after_signature": "signature", was_signed_with_other_claims;

    // The claims of the proof.
    "wpt_jti_absent": "jti", |seen| claim(seen, "jti").is_null();
    "wpt_jti_empty": "jti", |seen| claim(seen, "jti") == "";
    "wpt_jti_not_text": "jti", |seen| claim(seen, "jti").is_number();
    "wpt_jti_long": "jti length", |seen| text(&claim(seen, "jti")).len() > 256;
    "wpt_aud_absent": "aud", |seen| claim(seen, "aud").is_null();
    "wpt_aud_of_another_path": "aud", |seen| text(&claim(seen, "aud")).starts_with(crate::URL);
    "wpt_aud_of_another_service": "aud", |seen| is_elsewhere(seen) && !seen.has_header("host");
    "wpt_aud_of_host_header": "aud", |seen| is_elsewhere(seen) && seen.has_header("host");
    "wpt_aud_relative": "aud", |seen| text(&claim(seen, "aud")).starts_with('/');
    "wpt_aud_as_list": "aud", |seen| claim(seen, "aud").is_array();
    "wpt_exp_absent": "exp", |seen| claim(seen, "exp").is_null();
    "wpt_exp_as_text": "exp", |seen| claim(seen, "exp").is_string();
    "wpt_expired": "exp", |seen| claim(seen, "exp") == seen.now;
    "wpt_far_in_the_future": "lifetime", |seen| claim(seen, "exp") == seen.now + 3_600;
    "wpt_not_valid_yet": "nbf", |seen| claim(seen, "nbf") == seen.now + 30;
    "wpt_wth_absent": "wth", |seen| claim(seen, "wth").is_null();
    "wpt_wth_of_another_token": "wth", |seen| claim(seen, "wth").is_string();
    "wpt_tth_without_txn_token": "tth", |seen| !seen.has_header("txn-token");
    "txn_token_without_tth": "tth", |seen| claim(seen, "tth").is_null();
    "wpt_tth_of_another_txn_token": "tth", |seen| seen.has_header("txn-token") && claim(seen, "tth").is_string();
    "wpt_oth_of_an_absent_header": "oth", |seen| claim(seen, "oth").is_object() && !seen.has_header("x-user-token");
    "wpt_oth_of_another_value": "oth", |seen| claim(seen, "oth").is_object() && seen.has_header("x-user-token");
    "wpt_oth_not_object": "oth", |seen| claim(seen, "oth").is_string();
    "wpt_claim_twice": "duplicates", |seen| seen.proof.is_some();

    // The token.
    "wit_typ_of_access_token": "token typ", |seen| seen.wit.as_ref().is_some_and(|wit| wit.header["typ"] == "JWT");
    "wit_of_another_issuer": "token signature", |seen| text(&of_token(seen, "sub")).starts_with("wimse://bakery.example/");
    "wit_expired": "token exp", |seen| of_token(seen, "exp") == seen.now - 3_600;
    "wit_lives_too_long": "token lifetime", |seen| of_token(seen, "exp") == seen.now + 30 * 86_400;
    "wit_of_another_trust_domain": "token sub", |seen| text(&of_token(seen, "sub")).starts_with("wimse://evil.example/");
    "wit_of_another_scheme": "token sub", |seen| text(&of_token(seen, "sub")).starts_with("spiffe://bakery.example/");
    "wit_without_cnf": "cnf", |seen| of_token(seen, "cnf").is_null();
    "wit_with_thumbprint": "cnf", |seen| of_token(seen, "cnf")["jkt"].is_string();
    "wit_key_without_alg": "alg of the key", |seen| jwk(seen, "alg").is_null();
    "wit_key_with_alg_none": "alg of the key", |seen| jwk(seen, "alg") == "none";
    "wit_key_symmetric": "symmetric key", |seen| jwk(seen, "kty") == "oct";
    "wit_key_private": "private key", |seen| jwk(seen, "kty") != "oct" && jwk(seen, "d").is_string();
}

/// A member of the header of the proof.
fn header(seen: &Seen<'_>, name: &str) -> Value {
    seen.proof.as_ref().map(|proof| proof.header[name].clone()).unwrap_or_default()
}

/// A claim of the proof.
fn claim(seen: &Seen<'_>, name: &str) -> Value {
    seen.proof.as_ref().map(|proof| proof.claims[name].clone()).unwrap_or_default()
}

/// A claim of the token.
fn of_token(seen: &Seen<'_>, name: &str) -> Value {
    seen.wit.as_ref().map(|wit| wit.claims[name].clone()).unwrap_or_default()
}

/// A member of the key in the token.
fn jwk(seen: &Seen<'_>, name: &str) -> Value {
    of_token(seen, "cnf")["jwk"][name].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn is_elsewhere(seen: &Seen<'_>) -> bool {
    text(&claim(seen, "aud")).starts_with("https://evil.example")
}

/// Whether the key in the token has signed this proof with the `jti` of an earlier one.
fn was_signed_with_other_claims(seen: &Seen<'_>) -> bool {
    let Some(proof) = &seen.proof else { return false };
    let Some((header, _)) = proof.signed.split_once('.') else { return false };
    let payload = String::from_utf8_lossy(&proof.payload);
    let payload = payload.replacen(&text(&proof.claims["jti"]), "earlier", 1);
    let earlier = Jwt {
        header: proof.header.clone(),
        claims: Value::Null,
        payload: Vec::new(),
        signed: format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)),
        signature: proof.signature.clone(),
    };
    earlier.is_signed_by(&of_token(seen, "cnf")["jwk"])
}
