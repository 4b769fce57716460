use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};

use super::*;
use crate::{
    denial::Code,
    experimental_wimse::Wpt,
    issue::{SigningKey, base64url},
    keys::thumbprint::sha256,
};

const NOW: i64 = 1_767_225_600;

struct Others(Vec<(&'static str, &'static str)>);

impl NamedHeaders for Others {
    fn named(&self, name: &str) -> OnlyHeader<'_> {
        OnlyHeader::of(self.0.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()))
    }
}

/// A valid proof and the token that it is about.
struct Draft {
    key: SigningKey,
    jwk: Json,
    header: Json,
    claims: Json,
    others: Others,
}

impl Draft {
    fn new(algorithm: Algorithm) -> Self {
        let key = SigningKey::generate(algorithm).unwrap();
        let jwk = serde_json::to_value(key.public_jwk().unwrap()).unwrap();
        let mut draft = Self {
            key,
            jwk,
            header: json!({"typ": "wpt+jwt", "alg": algorithm}),
            claims: json!({
                "aud": "https://orders.internal/loaves",
                "exp": NOW + 60,
                "jti": "__bwc4ESC3acc2LTC1-_x",
            }),
            others: Others(Vec::new()),
        };
        draft.names_its_token();
        draft
    }

    fn names_its_token(&mut self) {
        self.claims["wth"] = json!(hash(&self.token()));
    }

    /// The token. Its signature is checked elsewhere.
    fn token(&self) -> String {
        let payload = json!({"cnf": {"jwk": self.jwk}}).to_string();
        format!("{}.{}.c2ln", base64url("{}"), base64url(payload))
    }

    fn signed(&self, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(self.header.to_string()), base64url(claims));
        format!("{signed}.{}", base64url(self.key.sign(signed.as_bytes()).unwrap()))
    }

    fn verify_at(&self, now: i64, leeway: u64) -> Result<VerifiedProof, Denial> {
        let at = Moment { now: Timestamp::from_unix(now), leeway: Duration::from_secs(leeway) };
        self.verify(&self.signed(&self.claims.to_string()), at)
    }

    fn verify(&self, proof: &str, at: Moment) -> Result<VerifiedProof, Denial> {
        let token = self.token();
        let about = AboutRequest { method: "POST", path: "/loaves", token: token.as_bytes() };
        let proofs = Wpt::new("https://orders.internal").build().unwrap();
        proofs.verify_wpt(proof.as_bytes(), about, &self.others, at)
    }

    /// The reason of the refusal.
    fn refused(&self) -> String {
        let denial = self.verify_at(NOW, 0).unwrap_err();
        assert_eq!(denial.code(), Code::ProofMismatch);
        denial.reason().to_owned()
    }
}

fn hash(text: &str) -> String {
    base64url(sha256(&[text.as_bytes()]))
}

#[test]
fn a_proof_of_each_algorithm_shows_the_key_in_the_token() {
    for algorithm in Wpt::DEFAULT_ALGORITHMS {
        let draft = Draft::new(algorithm);
        let verified = draft.verify_at(NOW, 0).unwrap();
        assert_eq!(verified.key, draft.key.public_jwk().unwrap().thumbprint(), "{algorithm}");
        // Valid before `exp`.
        assert_eq!(verified.spend.unwrap().until(), Timestamp::from_unix(NOW + 59));
    }
    assert!(Draft::new(Algorithm::PS256).refused().contains("allowed: ES256 ES384 EdDSA Ed25519"));
}

/// draft-ietf-wimse-workload-creds-02, figures 2 and 5.
#[test]
fn the_key_of_the_example_token_of_the_draft_is_read() {
    let payload = "eyJjbmYiOnsiandrIjp7ImFsZyI6IkVkRFNBIiwiY3J2IjoiRWQyNTUxOSIsImt0eSI6Ik9LUCIsIngiOiIxQ1hYdmZsTl9MVlZzS\
        XNZWHNVdkIwM0ptbEdXZUNIcVFWdW91Q0Y5MmJnIn19LCJleHAiOjE3NDU1MTI1MTAsImlhdCI6MTc0NTUwODkxMCwianRpIjoieC1fMUNUTDJjY\
        2EzQ1NFNGN3Yl9sIiwic3ViIjoid2ltc2U6Ly9leGFtcGxlLmNvbS9zcGVjaWZpYy13b3JrbG9hZCJ9";
    let key = ConfirmedKey::of_payload(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    assert_eq!(key.algorithm, Algorithm::EdDSA);
    let canonical = r#"{"crv":"Ed25519","kty":"OKP","x":"1CXXvflN_LVVsIsYXsUvB03JmlGWeCHqQVuouCF92bg"}"#;
    assert_eq!(key.key.thumbprint, sha256(&[canonical.as_bytes()]));
}

#[test]
fn each_changed_claim_of_a_workload_proof_is_refused() {
    let long = "a".repeat(Wpt::MAX_ID_LENGTH + 1);
    let cases = [
        ("jti", vec![json!(null), json!(""), json!(7), json!(["a"]), json!(long)]),
        (
            "aud",
            vec![
                json!(null),
                json!(""),
                json!("/loaves"),
                json!("orders.internal"),
                json!("https://orders.internal"),
                json!("https://orders.internal/loaves/"),
                json!("https://billing.internal/loaves"),
                json!("http://orders.internal/loaves"),
                json!("https://orders.internal:8443/loaves"),
                json!("https://orders.internal@evil.example/loaves"),
                json!(["https://orders.internal/loaves"]),
            ],
        ),
        (
            "exp",
            vec![
                json!(null),
                json!((NOW + 60).to_string()),
                json!(NOW),
                json!(NOW + 121),
                json!(-1),
                json!(1e300),
                json!([NOW + 60]),
            ],
        ),
        ("wth", vec![json!(null), json!(""), json!(hash("another")), json!(7)]),
    ];
    for (name, values) in cases {
        for value in values {
            let mut draft = Draft::new(Algorithm::ES256);
            draft.claims[name] = value.clone();
            let reason = draft.refused();
            let is_about_it = reason.contains(&format!("`{name}`")) || name == "exp";
            assert!(is_about_it, "{name} {value}: {reason}");
        }
        let mut draft = Draft::new(Algorithm::ES256);
        draft.claims.as_object_mut().unwrap().remove(name);
        assert_eq!(draft.refused(), format!("the proof has no `{name}`"));
    }
}

#[test]
fn each_changed_member_of_the_header_of_a_workload_proof_is_refused() {
    for (name, values) in [
        ("typ", vec![json!(null), json!("JWT"), json!("dpop+jwt"), json!("wit+jwt"), json!("wpt")]),
        (
            "alg",
            vec![json!(null), json!("none"), json!("HS256"), json!("ES384"), json!("EdDSA"), json!("es256")],
        ),
        ("crit", vec![json!(["exp"]), json!(null), json!([])]),
    ] {
        for value in values {
            let mut draft = Draft::new(Algorithm::ES256);
            draft.header[name] = value.clone();
            assert!(draft.refused().contains("proof"), "{name} {value}");
        }
    }
    for typ in ["application/wpt+jwt", "WPT+JWT"] {
        let mut draft = Draft::new(Algorithm::ES256);
        draft.header["typ"] = json!(typ);
        assert!(draft.verify_at(NOW, 0).is_ok(), "{typ}");
    }
}

#[test]
fn the_algorithm_of_a_proof_equals_that_of_the_key_byte_for_byte() {
    // Both names mean the same signatures.
    for (of_key, of_proof) in [("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")] {
        let mut draft = Draft::new(Algorithm::EdDSA);
        draft.jwk["alg"] = json!(of_key);
        draft.names_its_token();
        draft.header["alg"] = json!(of_key);
        assert!(draft.verify_at(NOW, 0).is_ok(), "{of_key}");
        draft.header["alg"] = json!(of_proof);
        assert!(draft.refused().contains("that of the key in the token"), "{of_proof}");
    }
}

#[test]
fn a_key_in_the_header_of_a_workload_proof_is_not_used() {
    let mut draft = Draft::new(Algorithm::ES256);
    let thief = SigningKey::generate(Algorithm::ES256).unwrap();
    draft.header["jwk"] = serde_json::to_value(thief.public_jwk().unwrap()).unwrap();
    assert!(draft.verify_at(NOW, 0).is_ok());
    draft.key = thief;
    assert!(draft.refused().contains("signature"));
}

#[test]
fn a_token_without_a_usable_key_verifies_no_proof() {
    for (name, value, expected) in [
        ("alg", json!(null), "no `alg`"),
        ("d", json!("AA"), "private key"),
        ("kty", json!("oct"), "HMAC secret"),
    ] {
        let mut draft = Draft::new(Algorithm::ES256);
        draft.jwk[name] = value;
        draft.names_its_token();
        assert!(draft.refused().contains(expected), "{name}");
    }
}

#[test]
fn a_workload_proof_is_accepted_within_its_window_and_no_second_longer() {
    let draft = Draft::new(Algorithm::ES256);
    for (now, leeway, until) in [
        (NOW, 0, Some(NOW + 59)),
        (NOW + 59, 0, Some(NOW + 59)),
        (NOW + 60, 0, None),
        (NOW + 64, 5, Some(NOW + 64)),
        (NOW + 65, 5, None),
        (NOW - 60, 0, Some(NOW + 59)),
        (NOW - 61, 0, None),
        (NOW - 65, 5, Some(NOW + 64)),
        (NOW - 66, 5, None),
    ] {
        let until_of = |proof: VerifiedProof| proof.spend.unwrap().until().unix();
        assert_eq!(draft.verify_at(now, leeway).map(until_of).ok(), until, "{now} {leeway}");
    }
    for (nbf, leeway, accepted) in [
        (json!(NOW), 0, true),
        (json!(NOW + 1), 0, false),
        (json!(1_767_225_600.5), 0, false),
        (json!(NOW + 5), 5, true),
        (json!(NOW + 6), 5, false),
        (json!("now"), 0, false),
    ] {
        let mut draft = Draft::new(Algorithm::ES256);
        draft.claims["nbf"] = nbf.clone();
        assert_eq!(draft.verify_at(NOW, leeway).is_ok(), accepted, "{nbf} {leeway}");
    }
    let mut draft = Draft::new(Algorithm::ES256);
    draft.claims["exp"] = json!(1_767_225_600.9);
    assert!(draft.refused().contains("expired"), "a fraction is rounded against the proof");
}

#[test]
fn tth_is_present_exactly_if_a_transaction_token_is() {
    let with = |tth: Option<&str>, headers: &[&'static str]| {
        let mut draft = Draft::new(Algorithm::ES256);
        if let Some(tth) = tth {
            draft.claims["tth"] = json!(hash(tth));
        }
        draft.others = Others(headers.iter().map(|value| ("txn-token", *value)).collect());
        draft.verify_at(NOW, 0).map(drop).map_err(|denial| denial.reason().to_owned())
    };
    assert_eq!(with(None, &[]), Ok(()));
    assert_eq!(with(Some("a.b.c"), &["a.b.c"]), Ok(()));
    assert_eq!(with(Some("a.b.c"), &[" a.b.c "]), Ok(()), "spaces around it are not part of it");
    for (tth, headers) in [
        (None, &["a.b.c"][..]),
        (Some("a.b.c"), &[]),
        (Some("a.b.c"), &["d.e.f"]),
        (Some("a.b.c"), &["a.b.c", "a.b.c"]),
        (None, &["a.b.c", "a.b.c"]),
    ] {
        let reason = with(tth, headers).unwrap_err();
        assert!(
            reason.contains("`tth`") || reason.contains("more than one"),
            "{tth:?} {headers:?}: {reason}"
        );
    }
}

#[test]
fn each_entry_of_oth_is_the_hash_of_one_header() {
    let others = || Others(vec![("a", "1"), ("b", " 2  "), ("c", "3"), ("c", "3"), ("d", "")]);
    let with = |oth: Json| {
        let mut draft = Draft::new(Algorithm::ES256);
        draft.claims["oth"] = oth;
        draft.others = others();
        draft.verify_at(NOW, 0).map(drop).map_err(|denial| denial.reason().to_owned())
    };
    for accepted in
        [json!({}), json!({"a": hash("1")}), json!({"a": hash("1"), "b": hash("2"), "d": hash("")})]
    {
        assert_eq!(with(accepted.clone()), Ok(()), "{accepted}");
    }
    for (refused, expected) in [
        (json!({"a": hash("2")}), "not the hash"),
        (json!({"a": hash("1"), "b": hash("1")}), "`b`"),
        (json!({"A": hash("1")}), "lower case"),
        (json!({"": hash("1")}), "lower case"),
        (json!({"e": hash("1")}), "does not have"),
        (json!({"c": hash("3")}), "more than once"),
        (json!({"a": 1}), "not a string"),
        (json!({"a": null}), "not a string"),
        (json!({"a": {"hash": hash("1")}}), "not a string"),
        (json!([hash("1")]), "not an object"),
        (json!(hash("1")), "not an object"),
        (json!(null), "not an object"),
        (json!(true), "not an object"),
    ] {
        let reason = with(refused.clone()).unwrap_err();
        assert!(reason.contains(expected), "{refused}: {reason}");
    }
    // A library's JSON object has no name twice.
    let draft = Draft { others: others(), ..Draft::new(Algorithm::ES256) };
    let entry = format!(r#""a":"{}""#, hash("1"));
    let claims = draft.claims.to_string().replacen('{', &format!(r#"{{"oth":{{{entry},{entry}}},"#), 1);
    let at = Moment { now: Timestamp::from_unix(NOW), leeway: Duration::ZERO };
    let denial = draft.verify(&draft.signed(&claims), at).unwrap_err();
    assert!(denial.reason().contains("twice"), "{}", denial.reason());
}

#[test]
fn one_id_of_one_workload_key_is_one_proof() {
    let id = |draft: &Draft| *draft.verify_at(NOW, 0).unwrap().spend.unwrap().id();
    let mut draft = Draft::new(Algorithm::ES256);
    let first = id(&draft);
    draft.claims["exp"] = json!(NOW + 30);
    draft.claims["more"] = json!({"a": [1]});
    assert_eq!(id(&draft), first);
    draft.claims["jti"] = json!("another");
    assert_ne!(id(&draft), first);
    assert_ne!(id(&Draft::new(Algorithm::ES256)), first, "another key");
}
