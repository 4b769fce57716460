use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    dpop::Dpop,
    issue::{SigningKey, base64url},
};

const NOW: i64 = 1_767_225_600;
const TOKEN: &str = "header.payload.signature";

fn proofs() -> Proofs {
    Dpop::new("https://orders.internal").build().unwrap()
}

fn at(now: i64) -> Moment {
    Moment { now: Timestamp::from_unix(now), leeway: Duration::ZERO }
}

fn about(token: &str) -> AboutRequest<'_> {
    AboutRequest { method: "POST", path: "/loaves", token: token.as_bytes() }
}

/// A valid proof, of which a test changes one part.
struct Draft {
    key: SigningKey,
    header: Json,
    claims: Json,
}

impl Draft {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwk = serde_json::to_value(key.public_jwk().unwrap()).unwrap();
        Self {
            header: json!({"typ": "dpop+jwt", "alg": algorithm, "jwk": jwk}),
            claims: json!({
                "jti": "e1j3V_bKic8-LAEB",
                "htm": "POST",
                "htu": "https://orders.internal/loaves",
                "iat": NOW,
                "ath": base64url(sha256(&[TOKEN.as_bytes()])),
            }),
            key,
        }
    }

    fn proof(&self) -> String {
        self.signed(&self.header.to_string(), &self.claims.to_string())
    }

    fn signed(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header), base64url(claims));
        let signature = self.key.sign(signed.as_bytes()).unwrap();
        format!("{signed}.{}", base64url(signature))
    }

    fn thumbprint(&self) -> [u8; 32] {
        let kid = self.key.public_jwk().unwrap();
        URL_SAFE_NO_PAD.decode(kid.kid().as_str()).unwrap().try_into().unwrap()
    }
}

fn verify(proof: &str) -> Result<VerifiedProof, Denial> {
    proofs().verify(proof.as_bytes(), about(TOKEN), at(NOW))
}

/// The code and the reason of the refusal.
fn refused(proof: &str) -> (Code, String) {
    match verify(proof) {
        Ok(_) => panic!("accepted: {proof}"),
        Err(denial) => (denial.code(), denial.reason().to_owned()),
    }
}

#[test]
fn a_proof_of_each_algorithm_shows_its_key() {
    for algorithm in Dpop::DEFAULT_ALGORITHMS {
        let draft = Draft::new(algorithm);
        let verified = verify(&draft.proof()).unwrap();
        assert_eq!(verified.key, draft.thumbprint(), "{algorithm}");
        let spend = verified.spend.unwrap();
        assert_eq!(spend.until(), Timestamp::from_unix(NOW + 60));
    }
    let rsa = Draft::new(Algorithm::PS256);
    assert!(refused(&rsa.proof()).1.contains("allowed: ES256 ES384 EdDSA Ed25519"));
    let with_rsa = Dpop::new("https://orders.internal").algorithms([Algorithm::PS256]).build().unwrap();
    let verified = with_rsa.verify(rsa.proof().as_bytes(), about(TOKEN), at(NOW)).unwrap();
    assert_eq!(verified.key, rsa.thumbprint());
}

#[test]
fn a_proof_and_its_id_have_the_longest_length_and_not_one_byte_more() {
    assert_eq!((Dpop::MAX_PROOF_LENGTH, Dpop::MAX_ID_LENGTH), (8_192, 256));
    let mut draft = Draft::new(Algorithm::ES256);
    draft.claims["jti"] = json!("a".repeat(256));
    verify(&draft.proof()).unwrap();
    draft.claims["jti"] = json!("a".repeat(257));
    assert!(refused(&draft.proof()).1.contains("`jti` of the proof has 257 bytes"));
    draft.claims["jti"] = json!("a");
    let (header, claims) = (draft.header.to_string(), draft.claims.to_string());
    let encoded = |bytes: usize| (bytes * 4).div_ceil(3);
    // Spaces after an object change nothing but the length. A signature of ES256 has 86 letters.
    let of_length = |length: usize| {
        let pads = (0..3).flat_map(|first| (0..MAX_PROOF_LENGTH).map(move |second| (first, second)));
        let mut pads = pads.filter(|(first, second)| {
            encoded(header.len() + first) + encoded(claims.len() + second) + 88 == length
        });
        let (first, second) = pads.next().unwrap();
        draft.signed(&format!("{header}{}", " ".repeat(first)), &format!("{claims}{}", " ".repeat(second)))
    };
    verify(&of_length(8_192)).unwrap();
    for length in [8_193, 8_194, 9_000] {
        assert!(refused(&of_length(length)).1.contains(&format!("the proof has {length} bytes")));
    }
}

#[test]
fn debug_of_the_settings_names_the_urls() {
    let debug = format!("{:?}", Dpop::new("https://orders.internal"));
    assert!(debug.starts_with(r#"Dpop { urls: ["https://orders.internal"], algorithms: [ES256"#), "{debug}");
}

/// RFC 9449 sections 4.1, 6.1 and 7.1.
#[test]
fn the_examples_of_the_rfc_are_accepted() {
    let thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
    let proof = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkR\
        ZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNy\
        diI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFt\
        cGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9h\
        Tnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxh\
        AJpLjA";
    let proofs = Dpop::new("https://resource.example.org").build().unwrap();
    let about = AboutRequest { method: "GET", path: "/protectedresource", token: token.as_bytes() };
    let verified = proofs.verify(proof.as_bytes(), about, at(1_562_262_618)).unwrap();
    assert_eq!(base64url(verified.key), thumbprint);
    // The proof of section 4.1 is for a token endpoint, so it has no `ath`.
    let without_token = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklD\
        UkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsI\
        mNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4Y\
        W1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0\
        x7NVY-FNyJK70nfbV37xRZT3Lg";
    let proofs = Dpop::new("https://server.example.com").build().unwrap();
    let about = AboutRequest { method: "POST", path: "/token", token: token.as_bytes() };
    let denial = proofs.verify(without_token.as_bytes(), about, at(1_562_262_616)).unwrap_err();
    assert_eq!(denial.reason(), "the proof has no `ath`");
}

#[test]
fn each_changed_claim_is_refused() {
    let ath = base64url(sha256(&[b"another.token.here"]));
    let long = "a".repeat(Dpop::MAX_ID_LENGTH + 1);
    let cases = [
        ("jti", vec![json!(null), json!(""), json!(7), json!(["a"]), json!(long)]),
        ("htm", vec![json!(null), json!(""), json!("GET"), json!("post"), json!("POST "), json!(["POST"])]),
        (
            "htu",
            vec![
                json!(null),
                json!(""),
                json!("/loaves"),
                json!("https://orders.internal/"),
                json!("https://orders.internal/loaves/"),
                json!("https://orders.internal/loaves/1"),
                json!("https://billing.internal/loaves"),
                json!("http://orders.internal/loaves"),
                json!("https://orders.internal:8443/loaves"),
                json!("https://orders.internal@evil.example/loaves"),
                json!("https://orders.internal/x/../loaves"),
                json!(["https://orders.internal/loaves"]),
            ],
        ),
        (
            "iat",
            vec![
                json!(null),
                json!(NOW.to_string()),
                json!(NOW - 61),
                json!(NOW + 6),
                json!(-1),
                json!(0),
                json!(NOW * 1_000),
                json!(1e300),
                json!([NOW]),
            ],
        ),
        ("ath", vec![json!(null), json!(""), json!(ath), json!(TOKEN), json!(7)]),
    ];
    for (name, values) in cases {
        for value in values {
            let mut draft = Draft::new(Algorithm::ES256);
            draft.claims[name] = value.clone();
            let (code, reason) = refused(&draft.proof());
            assert_eq!(code, Code::ProofMismatch, "{name} {value}");
            let is_about_it = reason.contains(&format!("`{name}`")) || reason.contains("signed at");
            assert!(is_about_it || name == "iat", "{name} {value}: {reason}");
        }
        let mut draft = Draft::new(Algorithm::ES256);
        draft.claims.as_object_mut().unwrap().remove(name);
        assert_eq!(refused(&draft.proof()).1, format!("the proof has no `{name}`"));
        let mut draft = Draft::new(Algorithm::ES256);
        let value = draft.claims[name].clone();
        let twice = draft.claims.to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
        draft.claims = json!({});
        let (_, reason) = refused(&draft.signed(&draft.header.to_string(), &twice));
        assert!(reason.contains("occurs twice"), "{name}: {reason}");
    }
}

#[test]
fn each_changed_member_of_the_header_is_refused() {
    let other = serde_json::to_value(SigningKey::generate(Algorithm::ES256).unwrap().public_jwk()).unwrap();
    let cases = [
        (
            "typ",
            vec![
                json!(null),
                json!("JWT"),
                json!("at+jwt"),
                json!("DPOP+JWT"),
                json!("application/dpop+jwt"),
            ],
        ),
        (
            "alg",
            vec![
                json!(null),
                json!("none"),
                json!("None"),
                json!("HS256"),
                json!("ES384"),
                json!("EdDSA"),
                json!("RS256"),
                json!("es256"),
                json!(["ES256"]),
            ],
        ),
        ("jwk", vec![json!(null), json!({}), json!([]), json!("key"), other]),
        ("crit", vec![json!(["exp"]), json!(null), json!([])]),
    ];
    for (name, values) in cases {
        for value in values {
            let mut draft = Draft::new(Algorithm::ES256);
            draft.header[name] = value.clone();
            assert_eq!(refused(&draft.proof()).0, Code::ProofMismatch, "{name} {value}");
        }
        if name != "crit" {
            let mut draft = Draft::new(Algorithm::ES256);
            draft.header.as_object_mut().unwrap().remove(name);
            let reason = refused(&draft.proof()).1;
            assert_eq!(reason, format!("the header of the proof has no `{name}`"));
            let draft = Draft::new(Algorithm::ES256);
            let value = draft.header[name].clone();
            let twice = draft.header.to_string().replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let reason = refused(&draft.signed(&twice, &draft.claims.to_string())).1;
            assert!(reason.contains("occurs twice"), "{name}: {reason}");
        }
    }
}

#[test]
fn an_embedded_key_has_no_private_member_and_is_no_secret() {
    for (name, value, expected) in [
        ("d", json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"), "private key (`d`)"),
        ("k", json!("c2VjcmV0"), "private key (`k`)"),
        ("kty", json!("oct"), "HMAC secret"),
        ("crv", json!("P-521"), "not supported"),
        ("crv", json!("P-384"), "does not fit `kty`"),
        ("use", json!("enc"), "`use`"),
        ("alg", json!("ES384"), "`alg`"),
        ("key_ops", json!(["sign"]), "`key_ops`"),
        ("x", json!("AA"), "`x` has 1 bytes"),
        ("y", json!(null), "no `y`"),
        ("x", json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"), "not a point"),
    ] {
        let mut draft = Draft::new(Algorithm::ES256);
        draft.header["jwk"][name] = value;
        let (code, reason) = refused(&draft.proof());
        assert_eq!(code, Code::ProofMismatch);
        assert!(reason.contains(expected), "{name}: {reason}");
    }
    // The secret of HMAC is in the proof, so that anyone who sees a proof could sign.
    let mut draft = Draft::new(Algorithm::ES256);
    draft.header["alg"] = json!("HS256");
    draft.header["jwk"] = json!({"kty": "oct", "k": base64url([7; 32])});
    draft.key = SigningKey::hmac(Algorithm::HS256, &[7; 32]).unwrap();
    assert!(refused(&draft.proof()).1.contains("`alg` of the proof is `HS256`"));
}

#[test]
fn a_changed_signature_or_text_is_refused() {
    let draft = Draft::new(Algorithm::ES256);
    let proof = draft.proof();
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let other = Draft::new(Algorithm::ES256);
    let of_other = other.key.sign(signed.as_bytes()).unwrap();
    let later = base64url(draft.claims.to_string().replace("POST", "POST "));
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        signed.to_owned(),
        format!("{signed}."),
        format!("{signed}.{}", base64url([0; 64])),
        format!("{signed}.{}", base64url([0; 63])),
        format!("{signed}.{}", base64url(of_other)),
        format!("{signed}.{signature}="),
        format!("{signed}.{signature}."),
        format!("{header}.{later}.{signature}"),
        format!("{payload}.{header}.{signature}"),
        format!(" {proof}"),
        format!("{proof} "),
        format!("{proof}, {proof}"),
        format!("{proof}\u{e9}"),
        "a".repeat(Dpop::MAX_PROOF_LENGTH + 1),
    ] {
        assert_eq!(refused(&bad).0, Code::ProofMismatch, "{bad}");
    }
    let not_text = proofs().verify(b"a.\xff.c", about(TOKEN), at(NOW)).unwrap_err();
    assert_eq!(not_text.code(), Code::ProofMismatch);
    verify(&proof).unwrap();
}

#[test]
fn a_proof_is_accepted_within_its_window_and_no_second_longer() {
    let draft = Draft::new(Algorithm::EdDSA);
    let proof = draft.proof();
    let is_accepted = |now, leeway, proofs: &Proofs| {
        let at = Moment { now: Timestamp::from_unix(now), leeway: Duration::from_secs(leeway) };
        proofs
            .verify(proof.as_bytes(), about(TOKEN), at)
            .map(|verified| verified.spend.unwrap().until().unix())
            .ok()
    };
    for (now, leeway, until) in [
        (NOW, 0, Some(NOW + 60)),
        (NOW + 60, 0, Some(NOW + 60)),
        (NOW + 61, 0, None),
        (NOW - 5, 0, Some(NOW + 60)),
        (NOW - 6, 0, None),
        (NOW + 70, 10, Some(NOW + 70)),
        (NOW + 71, 10, None),
        (NOW - 15, 10, Some(NOW + 70)),
        (NOW - 16, 10, None),
    ] {
        assert_eq!(is_accepted(now, leeway, &proofs()), until, "{now} {leeway}");
    }
    let short = Dpop::new("https://orders.internal").max_age(Duration::from_secs(5)).build().unwrap();
    assert_eq!(is_accepted(NOW + 5, 0, &short), Some(NOW + 5));
    assert_eq!(is_accepted(NOW + 6, 0, &short), None);
}

#[test]
fn a_proof_is_about_one_token_one_method_and_one_path() {
    let proof = Draft::new(Algorithm::ES256).proof();
    for (method, path, token) in [
        ("GET", "/loaves", TOKEN),
        ("POST", "/loaves/", TOKEN),
        ("POST", "/Loaves", TOKEN),
        ("POST", "/x/../loaves", TOKEN),
        ("POST", "*", TOKEN),
        ("POST", "", TOKEN),
        ("POST", "/loaves", "header.payload.other"),
        ("POST", "/loaves", ""),
    ] {
        let about = AboutRequest { method, path, token: token.as_bytes() };
        let denial = proofs().verify(proof.as_bytes(), about, at(NOW)).unwrap_err();
        assert_eq!(denial.code(), Code::ProofMismatch, "{method} {path} {token}");
    }
}

#[test]
fn a_required_nonce_is_checked_last() {
    let proofs = Dpop::new("https://orders.internal").require_nonce().build().unwrap();
    let verify = |draft: &Draft| proofs.verify(draft.proof().as_bytes(), about(TOKEN), at(NOW));
    let code = |draft: &Draft| verify(draft).unwrap_err().code();
    let mut draft = Draft::new(Algorithm::ES256);
    assert_eq!(code(&draft), Code::UseDpopNonce);
    for bad in [json!(""), json!("nonce")] {
        draft.claims["nonce"] = bad;
        assert_eq!(code(&draft), Code::UseDpopNonce);
    }
    draft.claims["nonce"] = json!(7);
    assert_eq!(code(&draft), Code::ProofMismatch);
    draft.claims["nonce"] = json!(proofs.next_nonce(Timestamp::from_unix(NOW - 301)));
    assert_eq!(code(&draft), Code::UseDpopNonce, "stale");
    draft.claims["nonce"] = json!(proofs.next_nonce(Timestamp::from_unix(NOW - 300)));
    verify(&draft).unwrap();
    draft.claims["htm"] = json!("GET");
    draft.claims["nonce"] = json!(null);
    assert_eq!(code(&draft), Code::ProofMismatch, "a nonce would not help");
}

#[test]
fn one_id_of_one_key_is_one_proof() {
    let id = |draft: &Draft| *verify(&draft.proof()).unwrap().spend.unwrap().id();
    let mut draft = Draft::new(Algorithm::ES256);
    let first = id(&draft);
    draft.claims["iat"] = json!(NOW - 1);
    draft.claims["more"] = json!({"a": [1]});
    assert_eq!(id(&draft), first);
    draft.claims["jti"] = json!("another");
    assert_ne!(id(&draft), first);
    assert_ne!(id(&Draft::new(Algorithm::ES256)), first, "another key");
}

#[test]
fn settings_are_checked_when_a_verifier_is_built() {
    let new = || Dpop::new("https://orders.internal");
    for (dpop, expected) in [
        (Dpop::new("orders.internal"), "not an `http` or `https` URL"),
        (new().also("https://orders.internal?query"), "not an `http` or `https` URL"),
        (new().algorithms([Algorithm::ES256, Algorithm::HS256]), "HS256 uses a secret"),
        (new().algorithms([]), "empty"),
        (new().max_age(Duration::ZERO), "whole seconds"),
        (new().max_age(Duration::from_millis(1_500)), "whole seconds"),
        (new().max_age(Dpop::LONGEST_MAX_AGE + Duration::from_secs(1)), "whole seconds"),
        (new().replay_capacity(0), "memory"),
        (new().require_nonce_of_fleet([7; 31]), "31 bytes"),
    ] {
        let error = dpop.build().err().unwrap();
        assert!(error.contains(expected), "{error}");
    }
    let proofs = new().also("http://localhost:8000").max_age(Dpop::LONGEST_MAX_AGE).build().unwrap();
    assert_eq!(proofs.algorithm_names(), "ES256 ES384 EdDSA Ed25519");
    let mut draft = Draft::new(Algorithm::ES256);
    draft.claims["htu"] = json!("http://localhost:8000/loaves");
    proofs.verify(draft.proof().as_bytes(), about(TOKEN), at(NOW)).unwrap();
}
