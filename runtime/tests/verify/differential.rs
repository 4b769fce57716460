//! jsonwebtoken with our settings against us: what it refuses, we refuse. The other way round we
//! refuse more, which is the point of this crate.
//!
//! jsonwebtoken reads the system's clock, so these tokens are of today, with a wide margin around
//! every instant.

use std::{cell::Cell, sync::LazyLock, time::Duration};

use crate::proof::signing::{compact, key};
use jsonwebtoken::{DecodingKey, Validation};
use proptest::{collection::vec, option, prelude::*, sample, test_runner::TestRunner};
use serde_json::{Value, json};
use service_only::{
    Algorithm, Verifier,
    audit::NoAudit,
    clock::{FixedClock, Timestamp},
    issue::SigningKey,
};

const LEEWAY: u64 = 30;

/// Both readers of the tokens of one key.
struct Readers {
    ours: Verifier,
    theirs: (DecodingKey, Validation),
}

impl Readers {
    fn new(key: &SigningKey, audience: Option<&str>) -> Self {
        let builder = Verifier::builder()
            .issuer("bakery-auth")
            .keys(key.verifying_key())
            .leeway(Duration::from_secs(LEEWAY))
            .clock(FixedClock(Timestamp::from_unix(now())))
            .audit(NoAudit);
        let mut validation = Validation::new(key.algorithm().as_str().parse().unwrap());
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&["bakery-auth"]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        let builder = match audience {
            Some(audience) => {
                validation.set_audience(&[audience]);
                validation.set_required_spec_claims(&["exp", "iss", "aud"]);
                builder.audience(audience)
            }
            None => builder,
        };
        Self { ours: builder.build().unwrap(), theirs: (decoding_key(key), validation) }
    }

    /// Whether we accept it; fails when we do and jsonwebtoken does not.
    fn compare(&self, token: &str) -> Result<bool, TestCaseError> {
        // A user is authentic too.
        let ours = self.ours.authenticate(token);
        let theirs = jsonwebtoken::decode::<Value>(token, &self.theirs.0, &self.theirs.1);
        if let (Ok(ours), Err(theirs)) = (&ours, &theirs) {
            return Err(TestCaseError::fail(format!("{ours:?} accepted, {theirs:?} refused: {token}")));
        }
        Ok(ours.is_ok())
    }
}

/// jsonwebtoken does not know the name of RFC 9864.
static KNOWN_TO_BOTH: LazyLock<Vec<Algorithm>> =
    LazyLock::new(|| Algorithm::ALL.into_iter().filter(|own| *own != Algorithm::Ed25519).collect());

fn now() -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap()
}

fn decoding_key(key: &SigningKey) -> DecodingKey {
    match key.public_jwk() {
        None => DecodingKey::from_secret(&key.to_secret_bytes().unwrap()).unwrap(),
        Some(jwk) => {
            let jwk = serde_json::from_value(serde_json::to_value(jwk).unwrap()).unwrap();
            DecodingKey::from_jwk(&jwk).unwrap()
        }
    }
}

/// A header with changes, which jsonwebtoken minds where their type is not the registered one. We
/// ignore `jku`, `jwk`, `cty` and the like whatever they hold, so theirs is always right here.
fn header() -> impl Strategy<Value = Value> {
    let change = prop_oneof![
        (
            Just("alg"),
            sample::select(vec![json!("none"), json!("HS256"), json!("RS256"), json!("hs256"), json!(1)])
        ),
        (
            Just("typ"),
            sample::select(vec![json!("JWT"), json!("jwt"), json!("at+jwt"), json!(""), json!(null)])
        ),
        (Just("kid"), sample::select(vec![json!(""), json!("other"), json!(7), json!(null)])),
        (Just("crit"), sample::select(vec![json!(["b64"]), json!([]), json!("exp")])),
        (sample::select(vec!["jku", "x5u", "cty", "x5t"]), Just(json!("https://example.com"))),
        (Just("unknown"), sample::select(vec![json!(null), json!([1, {"a": 2}]), json!("text")])),
    ];
    (vec(change, 0..3), any::<bool>()).prop_map(|(changes, plain)| {
        let mut header = json!({"typ": "JWT"});
        for (name, value) in changes.into_iter().filter(|_| !plain) {
            header[name] = value;
        }
        header
    })
}

/// A payload with changes on both sides of right.
fn payload() -> impl Strategy<Value = Value> {
    let seconds = sample::select(vec![-100_000, -1000, -90, -10, 10, 90, 1000, 100_000_i64]);
    let instant = prop_oneof![
        3 => seconds.clone().prop_map(|offset| json!(now() + offset)),
        1 => seconds.prop_map(|offset| json!((now() + offset) as f64 + 0.5)),
        1 => sample::select(vec![json!("1"), json!(null), json!(0), json!([1]), json!(true)]),
    ];
    let text = || {
        sample::select(vec![
            json!("bakery-auth"),
            json!("orders"),
            json!("Bakery-auth"),
            json!(["bakery-auth"]),
            json!(["orders", "x"]),
            json!([]),
            json!(7),
            json!(null),
            json!({"a": "orders"}),
            json!(""),
        ])
    };
    let change = prop_oneof![
        (sample::select(vec!["exp", "nbf", "iat"]), instant),
        (sample::select(vec!["iss", "aud", "sub", "service", "type", "x"]), text()),
        (Just("type"), Just(json!("access"))),
    ];
    (vec(change, 0..3), option::of(Just("orders"))).prop_map(|(changes, aud)| {
        let mut claims = json!({
            "iss": "bakery-auth", "sub": "orders", "service": "orders", "type": "service", "is_service": true,
            "exp": now() + 1000,
        });
        if let Some(aud) = aud {
            claims["aud"] = json!(aud);
        }
        for (name, value) in changes {
            claims[name] = value;
        }
        claims
    })
}

#[test]
fn jsonwebtoken_refuses_nothing_that_we_accept() {
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    let accepted = Cell::new(0);
    let strategy =
        (sample::select(KNOWN_TO_BOTH.as_slice()), header(), payload(), option::of(Just("orders")));
    TestRunner::new(config)
        .run(&strategy, |(algorithm, mut header, payload, audience)| {
            let key = key(algorithm);
            if header.get("alg").is_none() {
                header["alg"] = json!(algorithm);
            }
            let token = compact(key, header.to_string(), payload.to_string());
            accepted.set(accepted.get() + u32::from(Readers::new(key, audience).compare(&token)?));
            Ok(())
        })
        .unwrap();
    eprintln!("accepted by both: {} of 3000", accepted.get());
    assert!(accepted.get() > 300, "only {} were accepted at all", accepted.get());
}

#[test]
fn jsonwebtoken_refuses_no_changed_token_that_we_accept() {
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() };
    let keys: Vec<_> = KNOWN_TO_BOTH.iter().map(|own| key(*own)).collect();
    let change = (any::<sample::Index>(), 0..3_usize, "[A-Za-z0-9_.=-]{0,3}");
    TestRunner::new(config)
        .run(&(sample::select(keys), payload(), vec(change, 0..3)), |(key, payload, changes)| {
            let header = json!({"alg": key.algorithm(), "kid": key.kid()}).to_string();
            let mut token = compact(key, header, payload.to_string());
            for (at, cut, text) in changes {
                let at = at.index(token.len());
                let end = (at + cut).min(token.len());
                token.replace_range(at..end, &text);
            }
            // Our clock stands still, and jsonwebtoken's does not, so the readers are as new as the token.
            Readers::new(key, None).compare(&token).map(|_| ())
        })
        .unwrap();
}
