//! 2,000 requests, valid and changed, from a seed: the verdicts of this project and of `wimsey-wit` and `wimsey-wpt` are
//! equal, or a row of the table says which rule differs.

mod changes;
mod numbers;

use std::collections::{BTreeMap, BTreeSet};

use axum::{Router, routing::get};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use service_only::{KeySet, TrustedIssuer, Verifier, experimental_wimse::Wpt, issue::DpopKey, service_only};
use service_only_testkit::{Audited, TestApp, TestAuthority, call};
use wimsey_wit::{Algorithm, Jwk, SigningKey};

use self::{changes::CHANGES, numbers::Numbers};
use crate::URL;

const CASES: usize = 2_000;
const SEED: u64 = 0x5eed_0017;
const ORIGIN: &str = "wimse://bakery.example";

/// Who accepts more.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
enum Accepts {
    /// Both give the same verdict.
    Alike,
    /// wimsey may accept what this project refuses: the rule.
    More(&'static str),
    /// wimsey may refuse what this project accepts: the rule.
    Less(&'static str),
}

/// One request.
struct Case {
    issuer: SigningKey,
    workload: SigningKey,
    wit: Jwt,
    wpt: Jwt,
    /// `wth` is computed from the token, unless a change has set it.
    names_token: bool,
    /// Other headers of the request.
    headers: Vec<(&'static str, String)>,
    now: i64,
    changes: Vec<&'static str>,
}

/// A JWT that is not signed yet.
struct Jwt {
    header: Value,
    claims: Value,
    /// Members that are written before the others, as JSON: a name may occur twice.
    header_prefix: String,
    claims_prefix: String,
    /// A change of the text, after the signature.
    edit: fn(String) -> String,
    /// Signs instead of the owner.
    signer: Option<SigningKey>,
}

impl Jwt {
    fn new(header: Value, claims: Value) -> Self {
        let (header_prefix, claims_prefix) = Default::default();
        Self { header, claims, header_prefix, claims_prefix, edit: |text| text, signer: None }
    }

    fn text(&self, owner: &SigningKey) -> String {
        let part = |value: &Value, prefix: &str| {
            URL_SAFE_NO_PAD.encode(value.to_string().replacen('{', &format!("{{{prefix}"), 1))
        };
        let header = part(&self.header, &self.header_prefix);
        let signed = format!("{header}.{}", part(&self.claims, &self.claims_prefix));
        let signature = self.signer.as_ref().unwrap_or(owner).sign(signed.as_bytes());
        (self.edit)(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// A request as it is sent.
struct Sent {
    wit: String,
    wpt: String,
    headers: Vec<(&'static str, String)>,
}

impl Case {
    /// A valid request, with claims that a sender may leave out.
    fn valid(numbers: &mut Numbers, keys: &Keys, now: i64) -> Self {
        let issuer = keys.issuers[numbers.below(2)].clone();
        let workload = key(numbers);
        let mut header = json!({"typ": "wit+jwt", "alg": issuer.algorithm().as_str()});
        let mut claims = json!({
            "sub": format!("{ORIGIN}/{}", ["billing", "eu/billing", "a-b_c"][numbers.below(3)]),
            "exp": now + [1, 60, 3_600, 86_400][numbers.below(4)],
            "cnf": {"jwk": Jwk::from_verifying_key(&workload.verifying_key())},
        });
        if numbers.is_heads() {
            header["kid"] = json!(kid(&issuer));
        }
        for (name, value) in [
            ("iss", json!("https://issuer.example")),
            ("iat", json!(now)),
            ("jti", json!(numbers.text())),
            ("bakery.example/more", json!({"a": [1, null]})),
        ] {
            if numbers.is_heads() {
                claims[name] = value;
            }
        }
        let wit = Jwt::new(header, claims);
        let proof = json!({
            "aud": format!("{URL}/stock"),
            "exp": now + [1, 30, 120][numbers.below(3)],
            "jti": numbers.text(),
        });
        let header = json!({"typ": "wpt+jwt", "alg": workload.algorithm().as_str()});
        let mut case = Self {
            issuer,
            workload,
            wit,
            wpt: Jwt::new(header, proof),
            names_token: true,
            headers: Vec::new(),
            now,
            changes: Vec::new(),
        };
        if numbers.below(4) == 0 {
            let token = numbers.text();
            case.wpt.claims["tth"] = json!(hash(&token));
            case.headers.push(("txn-token", token));
        }
        if numbers.below(4) == 0 {
            let token = numbers.text();
            case.wpt.claims["oth"] = json!({"x-user-token": hash(&token)});
            case.headers.push(("x-user-token", token));
        }
        if numbers.below(4) == 0 {
            // No claim names it.
            case.headers.push(("x-tenant", numbers.text()));
        }
        case
    }

    fn sent(&mut self) -> Sent {
        let wit = self.wit.text(&self.issuer);
        if self.names_token {
            self.wpt.claims["wth"] = json!(hash(&wit));
        }
        Sent { wpt: self.wpt.text(&self.workload), wit, headers: self.headers.clone() }
    }
}

/// The keys of the identity server, one for each algorithm that wimsey has.
struct Keys {
    issuers: [SigningKey; 2],
}

impl Keys {
    fn new(numbers: &mut Numbers) -> Self {
        let ed25519 = SigningKey::from_ed25519_seed(&numbers.bytes());
        Self { issuers: [ed25519, p256(numbers)] }
    }

    /// The same keys for this project.
    fn set(&self) -> KeySet {
        let keys = self.issuers.iter().map(|issuer| {
            let mut jwk = serde_json::to_value(Jwk::from_verifying_key(&issuer.verifying_key())).unwrap();
            jwk["kid"] = json!(kid(issuer));
            jwk
        });
        KeySet::from_jwks(json!({"keys": keys.collect::<Vec<_>>()}).to_string().as_bytes()).unwrap()
    }
}

fn kid(key: &SigningKey) -> &'static str {
    key.algorithm().as_str()
}

fn key(numbers: &mut Numbers) -> SigningKey {
    if numbers.is_heads() { SigningKey::from_ed25519_seed(&numbers.bytes()) } else { p256(numbers) }
}

fn p256(numbers: &mut Numbers) -> SigningKey {
    loop {
        if let Ok(key) = SigningKey::from_p256_scalar(&numbers.bytes()) {
            return key;
        }
    }
}

fn hash(text: &str) -> String {
    wimsey_wpt::txn_token_thumbprint(text)
}

#[service_only(proof = "any")]
async fn stock() {}

/// This project: a guarded handler in a router.
struct Ours {
    app: TestApp,
    authority: TestAuthority,
}

impl Ours {
    fn new(keys: &Keys) -> Self {
        let authority = TestAuthority::new();
        let verifier = Verifier::builder()
            .trust(TrustedIssuer::experimental_wimse(ORIGIN).keys(keys.set()))
            .experimental_wpt(Wpt::new(URL))
            .clock(authority.clock().clone())
            .audit(authority.audit().clone())
            .build()
            .unwrap();
        Self { app: call(Router::new().route("/stock", get(stock)).with_state(verifier)), authority }
    }

    async fn verdict(&self, sent: &Sent) -> Result<(), String> {
        let request = self.app.get("/stock").authorization(format!("WPT {}", sent.wpt));
        let request = request.header("workload-identity-token", &sent.wit);
        let headers = sent.headers.iter();
        let response = headers.fold(request, |request, (name, value)| request.header(*name, value)).await;
        let record = self.authority.audit().records().pop().unwrap();
        self.authority.audit().clear();
        match response.status().as_u16() {
            200 => Ok(()),
            _ => Err(record.code.unwrap().as_str().to_owned()),
        }
    }
}

/// wimsey, with what it leaves to its caller: the key by the algorithm of the token, the trust domain, and the headers.
fn theirs(keys: &Keys, sent: &Sent, now: i64) -> Result<(), String> {
    let now = u64::try_from(now).unwrap();
    let names_p256 = || {
        let header = URL_SAFE_NO_PAD.decode(sent.wit.split('.').next()?).ok()?;
        let header: Value = serde_json::from_slice(&header).ok()?;
        Some(header["alg"] == Algorithm::Es256.as_str())
    };
    let issuer = &keys.issuers[usize::from(names_p256().unwrap_or_default())];
    let wit = wimsey_wit::verify(&sent.wit, &issuer.verifying_key(), &wimsey_wit::Validation::at(now))
        .map_err(|error| format!("WIT: {error}"))?;
    if wit.claims.sub.origin() != ORIGIN {
        return Err("WIT: another trust domain".to_owned());
    }
    let audience = format!("{URL}/stock");
    let mut validation = wimsey_wpt::Validation::new(now, &audience, &sent.wit)
        .with_max_lifetime(Wpt::DEFAULT_MAX_LIFETIME.as_secs());
    for (name, value) in &sent.headers {
        let is_only = sent.headers.iter().filter(|(other, _)| other == name).count() == 1;
        match *name {
            "txn-token" => validation = validation.with_txn_token(value),
            // A header that occurs twice is not supported.
            name if is_only => validation = validation.with_other_token(name, value),
            _ => {}
        }
    }
    validation = validation.with_other_token("workload-identity-token", &sent.wit);
    wimsey_wpt::verify(&sent.wpt, &wit.pop_key, &validation).map_err(|error| format!("WPT: {error}"))?;
    Ok(())
}

#[tokio::test]
async fn verdicts_of_two_thousand_requests_equal_those_of_wimsey_or_a_rule_explains_the_difference() {
    let mut numbers = Numbers::of_seed(SEED);
    let keys = Keys::new(&mut numbers);
    let ours = Ours::new(&keys);
    let now = ours.authority.clock().now().unix();
    let (mut accepted, mut refused) = (0, 0);
    let mut differences: BTreeMap<&str, usize> = BTreeMap::new();
    let mut applied: BTreeSet<&str> = BTreeSet::new();
    for number in 0..CASES {
        let mut case = Case::valid(&mut numbers, &keys, now);
        // A sixth of the requests is valid, a half has one change, a third has two.
        for _ in 0..[0, 1, 1, 1, 2, 2][numbers.below(6)] {
            let (name, change, _) = CHANGES[numbers.below(CHANGES.len())];
            change(&mut case, &mut numbers);
            case.changes.push(name);
            applied.insert(name);
        }
        let sent = case.sent();
        let own = ours.verdict(&sent).await;
        let peer = theirs(&keys, &sent, now);
        let explains = |accepts: Accepts| match (accepts, own.is_ok()) {
            (Accepts::More(rule), false) | (Accepts::Less(rule), true) => Some(rule),
            _ => None,
        };
        let of_case = CHANGES.iter().filter(|(name, ..)| case.changes.contains(name));
        match (&own, &peer) {
            (Ok(()), Ok(())) => accepted += 1,
            (Err(_), Err(_)) => refused += 1,
            _ => {
                let rule = of_case.filter_map(|(.., accepts)| explains(*accepts)).next();
                let rule = rule.unwrap_or_else(|| {
                    panic!(
                        "request {number} with {:?}: this project {own:?}, wimsey {peer:?}\nheader {}\nclaims {}\nproof {} {}",
                        case.changes, case.wit.header, case.wit.claims, case.wpt.header, case.wpt.claims
                    )
                });
                *differences.entry(rule).or_default() += 1;
            }
        }
    }
    let different: usize = differences.values().sum();
    println!("{accepted} accepted by both, {refused} refused by both, {different} by a rule:");
    for (rule, count) in &differences {
        println!("{count:>4} {rule}");
    }
    assert_eq!(accepted + refused + different, CASES);
    assert!(accepted >= CASES / 5 && refused >= CASES / 5, "{accepted} {refused}");
    // Each change was applied, and each rule explains a difference: the table has no row that is not needed.
    let all: BTreeSet<_> = CHANGES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(applied, all);
    let rules: BTreeSet<_> = CHANGES
        .iter()
        .filter_map(|(.., accepts)| match accepts {
            Accepts::More(rule) | Accepts::Less(rule) => Some(*rule),
            Accepts::Alike => None,
        })
        .collect();
    assert_eq!(differences.keys().copied().collect::<BTreeSet<_>>(), rules);
}

#[tokio::test]
async fn each_change_alone_differs_in_the_direction_of_its_row() {
    let mut numbers = Numbers::of_seed(SEED + 1);
    let keys = Keys::new(&mut numbers);
    let ours = Ours::new(&keys);
    let now = ours.authority.clock().now().unix();
    for (name, change, accepts) in CHANGES {
        let (mut more, mut less) = (0, 0);
        for _ in 0..16 {
            let mut case = Case::valid(&mut numbers, &keys, now);
            change(&mut case, &mut numbers);
            let sent = case.sent();
            match (ours.verdict(&sent).await, theirs(&keys, &sent, now)) {
                (Err(_), Ok(())) => more += 1,
                (Ok(()), Err(_)) => less += 1,
                _ => {}
            }
        }
        let expected = match accepts {
            Accepts::Alike => (false, false),
            Accepts::More(_) => (true, false),
            Accepts::Less(_) => (false, true),
        };
        assert_eq!((more > 0, less > 0), expected, "{name}: wimsey accepts {more} more and {less} less");
    }
}

#[tokio::test]
async fn a_proof_that_this_project_signs_is_accepted_by_both() {
    let mut numbers = Numbers::of_seed(SEED + 3);
    let keys = Keys::new(&mut numbers);
    let ours = Ours::new(&keys);
    let now = ours.authority.clock().now().unix();
    for algorithm in [service_only::Algorithm::ES256, service_only::Algorithm::EdDSA] {
        let key = service_only::issue::SigningKey::generate(algorithm).unwrap();
        let mut case = Case::valid(&mut numbers, &keys, now);
        case.wit.claims["cnf"] = json!({"jwk": key.public_jwk().unwrap()});
        let wit = case.wit.text(&case.issuer);
        let key = DpopKey::new(key).unwrap().clock(ours.authority.clock().clone());
        let signed = |headers: &[(&'static str, String)]| {
            let named: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let wpt = key.experimental_sign_wpt(&format!("{URL}/stock?query#part"), &wit, &named).unwrap();
            Sent { wit: wit.clone(), wpt, headers: headers.to_vec() }
        };
        let context = [("txn-token", "a.b.c".to_owned()), ("x-user-token", " anna ".to_owned())];
        for headers in [&context[..0], &context[..1], &context[1..], &context[..]] {
            let sent = signed(headers);
            assert_eq!(ours.verdict(&sent).await, Ok(()), "{headers:?}");
            assert_eq!(theirs(&keys, &sent, now), Ok(()), "{headers:?}");
        }
        // Each is bound.
        for name in ["txn-token", "x-user-token"] {
            let mut sent = signed(&context);
            sent.headers.retain(|(own, _)| *own != name);
            assert!(ours.verdict(&sent).await.is_err() && theirs(&keys, &sent, now).is_err(), "{name}");
        }
    }
}

#[tokio::test]
async fn a_proof_that_is_sent_twice_is_accepted_once_and_wimsey_leaves_that_to_its_caller() {
    let mut numbers = Numbers::of_seed(SEED + 2);
    let keys = Keys::new(&mut numbers);
    let ours = Ours::new(&keys);
    let now = ours.authority.clock().now().unix();
    let sent = Case::valid(&mut numbers, &keys, now).sent();
    assert_eq!(ours.verdict(&sent).await, Ok(()));
    assert_eq!(ours.verdict(&sent).await, Err("proof_mismatch".to_owned()));
    assert_eq!((theirs(&keys, &sent, now), theirs(&keys, &sent, now)), (Ok(()), Ok(())));
}
