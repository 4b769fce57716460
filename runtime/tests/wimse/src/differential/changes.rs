//! The changes of a valid request, and the table of the rules that differ.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Accepts::{self, Alike, Less, More},
    Case, ORIGIN, hash, key,
    numbers::Numbers,
};
use crate::URL;

/// The rules by which this project is stricter or more lenient. Each has its source.
mod rules {
    pub(super) const MEDIA_TYPE: &str =
        "typ is a media type: compared without case, `application/` may be omitted (RFC 7515 section 4.1.9)";
    pub(super) const FRACTION: &str =
        "a NumericDate may have a fraction, which is cut off (RFC 7519 section 2)";
    pub(super) const URL: &str = "aud is a URL: compared in normal form, without query and fragment (wpt section 2, RFC 3986 section 6.2)";
    pub(super) const ED25519: &str = "Ed25519 is the name of an algorithm (RFC 9864 section 2.2)";
    pub(super) const LENGTH: &str = "a token has up to 16 KiB";
    pub(super) const KID: &str = "kid selects the key of the issuer (creds section 3)";
    pub(super) const CRIT: &str = "crit is refused whatever its value is (RFC 7515 section 4.1.11)";
    pub(super) const DUPLICATES: &str = "no name occurs twice in an object (RFC 7519 section 4)";
    pub(super) const NULL: &str =
        "a claim that is null is not absent: it has the wrong type (RFC 7519 section 4.1)";
    pub(super) const NBF: &str = "nbf is compared if it is present (RFC 7519 section 4.1.5)";
    pub(super) const AUDIENCE: &str =
        "a token that names an audience is for no other service (RFC 7519 section 4.1.3)";
    pub(super) const LIFETIME: &str =
        "a token is valid for 24 hours at most (creds section 5.1: in the order of hours)";
    pub(super) const JTI: &str =
        "jti has 1 to 256 bytes, because it is stored against replays (wpt section 3.1.4)";
    pub(super) const CNF: &str =
        "cnf has no member besides jwk, which would be a further condition (RFC 7800 section 3)";
    pub(super) const PRIVATE: &str = "a public key has no private member (RFC 7517 section 9.2)";
    pub(super) const PURPOSE: &str = "the key is for signatures (RFC 7517 sections 4.2 and 4.3)";
    pub(super) const OTHER_MEMBERS: &str =
        "a member that the type of the key does not use is ignored (RFC 7517 section 4)";
    pub(super) const SIGN_OCTET: &str =
        "a coordinate may have the leading zero octet that some libraries write";
    pub(super) const SERVICE: &str =
        "sub names a service: a path of unreserved characters, without `.` if no name is given";
    pub(super) const LIMITS: &str = "a JSON object has at most 256 members";
}

type Change = fn(&mut Case, &mut Numbers);

fn set(value: &mut Value, name: &str, member: Value) {
    value[name] = member;
}

fn remove(value: &mut Value, name: &str) {
    if let Value::Object(members) = value {
        members.remove(name);
    }
}

/// `cnf`, which an earlier change may have made something else.
fn cnf(case: &mut Case) -> &mut Value {
    let cnf = &mut case.wit.claims["cnf"];
    if !cnf.is_object() {
        *cnf = json!({});
    }
    cnf
}

fn jwk(case: &mut Case) -> &mut Value {
    let jwk = &mut cnf(case)["jwk"];
    if !jwk.is_object() {
        *jwk = json!({});
    }
    jwk
}

fn is_p256(case: &mut Case) -> bool {
    jwk(case)["kty"] == "EC"
}

/// Makes the workload's key one of P-256.
fn with_p256(case: &mut Case, numbers: &mut Numbers) {
    while !is_p256(case) {
        with_key(case, numbers);
    }
}

/// Makes the workload's key one of Ed25519.
fn with_ed25519(case: &mut Case, numbers: &mut Numbers) {
    while is_p256(case) {
        with_key(case, numbers);
    }
}

fn with_key(case: &mut Case, numbers: &mut Numbers) {
    case.workload = key(numbers);
    let public = wimsey_wit::Jwk::from_verifying_key(&case.workload.verifying_key());
    case.wit.claims["cnf"] = json!({"jwk": public});
    case.wpt.header["alg"] = json!(case.workload.algorithm().as_str());
}

fn one<T: Copy>(numbers: &mut Numbers, of: &[T]) -> T {
    of[numbers.below(of.len())]
}

/// Changes one character of a segment.
fn flipped(text: &str, segment: usize) -> String {
    let mut segments: Vec<String> = text.split('.').map(str::to_owned).collect();
    let changed = &mut segments[segment];
    let first = if changed.starts_with('A') { "B" } else { "A" };
    changed.replace_range(0..1, first);
    segments.join(".")
}

/// The name, the change, and which verdicts differ.
pub(super) const CHANGES: &[(&str, Change, Accepts)] = &[
    // Valid by both.
    (
        "wit: another claim",
        |case, numbers| set(&mut case.wit.claims, &numbers.text(), json!([1, {"a": null}])),
        Alike,
    ),
    (
        "wpt: another claim",
        |case, numbers| set(&mut case.wpt.claims, &numbers.text(), json!({"a": [true]})),
        Alike,
    ),
    (
        "wit: another header",
        |case, _| set(&mut case.wit.header, "jku", json!("https://evil.example/jwks")),
        Alike,
    ),
    (
        "wpt: another header",
        |case, _| set(&mut case.wpt.header, "x5u", json!("https://evil.example/x5u")),
        Alike,
    ),
    ("request: another header", |case, numbers| case.headers.push(("x-more", numbers.text())), Alike),
    ("wpt: oth is empty", |case, _| set(&mut case.wpt.claims, "oth", json!({})), Alike),
    (
        "wpt: oth names the token",
        |case, _| {
            let wit = case.wit.text(&case.issuer);
            set(&mut case.wpt.claims, "oth", json!({"workload-identity-token": hash(&wit)}));
        },
        Alike,
    ),
    (
        "wpt: oth of a value with spaces",
        |case, numbers| {
            let value = numbers.text();
            set(&mut case.wpt.claims, "oth", json!({"x-spaces": hash(&value)}));
            case.headers.push(("x-spaces", format!("  {value} ")));
        },
        Alike,
    ),
    (
        "wpt: another key of the header",
        |case, numbers| {
            let thief = wimsey_wit::Jwk::from_verifying_key(&key(numbers).verifying_key());
            set(&mut case.wpt.header, "jwk", json!(thief));
        },
        Alike,
    ),
    // Refused by both.
    (
        "wit: typ",
        |case, numbers| {
            let typ = one(numbers, &["JWT", "wpt+jwt", "at+jwt", "wit", "", "wit+jwt "]);
            set(&mut case.wit.header, "typ", json!(typ));
        },
        Alike,
    ),
    (
        "wpt: typ",
        |case, numbers| {
            let typ = one(numbers, &["JWT", "wit+jwt", "dpop+jwt", "wpt", "", " wpt+jwt"]);
            set(&mut case.wpt.header, "typ", json!(typ));
        },
        Alike,
    ),
    ("wit: no typ", |case, _| remove(&mut case.wit.header, "typ"), Alike),
    ("wpt: no typ", |case, _| remove(&mut case.wpt.header, "typ"), Alike),
    (
        "wit: alg",
        |case, numbers| {
            let alg = one(numbers, &["none", "HS256", "ES384", "RS256", "es256", "eddsa", ""]);
            set(&mut case.wit.header, "alg", json!(alg));
        },
        Alike,
    ),
    (
        "wpt: alg",
        |case, numbers| {
            let alg = one(numbers, &["none", "HS256", "ES384", "PS256", "es256", "eddsa", ""]);
            set(&mut case.wpt.header, "alg", json!(alg));
        },
        Alike,
    ),
    ("wpt: no alg", |case, _| remove(&mut case.wpt.header, "alg"), Alike),
    (
        "wpt: alg of the other kind of key",
        |case, _| {
            let other = if case.wpt.header["alg"] == "ES256" { "EdDSA" } else { "ES256" };
            set(&mut case.wpt.header, "alg", json!(other));
        },
        Alike,
    ),
    (
        "wpt: another name of alg",
        |case, numbers| {
            with_ed25519(case, numbers);
            set(&mut case.wpt.header, "alg", json!("Ed25519"));
        },
        Alike,
    ),
    ("wit: crit", |case, _| set(&mut case.wit.header, "crit", json!(["exp"])), Alike),
    (
        "wpt: crit",
        |case, numbers| {
            let crit = [json!(["exp"]), json!([]), json!("exp")][numbers.below(3)].clone();
            set(&mut case.wpt.header, "crit", crit);
        },
        Alike,
    ),
    ("wit: another signer", |case, numbers| case.wit.signer = Some(key(numbers)), Alike),
    ("wpt: another signer", |case, numbers| case.wpt.signer = Some(key(numbers)), Alike),
    ("wit: changed payload", |case, _| case.wit.edit = |text| flipped(&text, 1), Alike),
    ("wpt: changed payload", |case, _| case.wpt.edit = |text| flipped(&text, 1), Alike),
    ("wit: changed signature", |case, _| case.wit.edit = |text| flipped(&text, 2), Alike),
    ("wpt: changed signature", |case, _| case.wpt.edit = |text| flipped(&text, 2), Alike),
    (
        "wit: no signature",
        |case, _| case.wit.edit = |text| text[..=text.rfind('.').unwrap()].to_owned(),
        Alike,
    ),
    (
        "wpt: no signature",
        |case, _| case.wpt.edit = |text| text[..=text.rfind('.').unwrap()].to_owned(),
        Alike,
    ),
    (
        "wpt: two segments",
        |case, _| case.wpt.edit = |text| text[..text.rfind('.').unwrap()].to_owned(),
        Alike,
    ),
    ("wpt: four segments", |case, _| case.wpt.edit = |text| format!("{text}.e30"), Alike),
    ("wpt: padding", |case, _| case.wpt.edit = |text| format!("{text}="), Alike),
    ("wpt: too long", |case, _| set(&mut case.wpt.claims, "more", json!("a".repeat(8_192))), Alike),
    (
        "wit: expired",
        |case, numbers| {
            let exp = case.now - [0, 1, 3_600][numbers.below(3)];
            set(&mut case.wit.claims, "exp", json!(exp));
        },
        Alike,
    ),
    (
        "wpt: expired",
        |case, numbers| {
            let exp = case.now - [0, 1, 3_600][numbers.below(3)];
            set(&mut case.wpt.claims, "exp", json!(exp));
        },
        Alike,
    ),
    (
        "wpt: far in the future",
        |case, numbers| {
            let exp = case.now + [121, 300, 86_400][numbers.below(3)];
            set(&mut case.wpt.claims, "exp", json!(exp));
        },
        Alike,
    ),
    (
        "wit: exp of another type",
        |case, numbers| {
            let exp = [json!("1"), json!(null), json!([1]), json!(-1), json!(true)][numbers.below(5)].clone();
            set(&mut case.wit.claims, "exp", exp);
        },
        Alike,
    ),
    (
        "wpt: exp of another type",
        |case, numbers| {
            let exp = [json!("1"), json!(null), json!([1]), json!(-1), json!(true)][numbers.below(5)].clone();
            set(&mut case.wpt.claims, "exp", exp);
        },
        Alike,
    ),
    ("wit: no exp", |case, _| remove(&mut case.wit.claims, "exp"), Alike),
    ("wpt: no exp", |case, _| remove(&mut case.wpt.claims, "exp"), Alike),
    (
        "wit: iat in the future",
        |case, _| {
            let iat = case.now + 1;
            set(&mut case.wit.claims, "iat", json!(iat));
        },
        Alike,
    ),
    (
        "wit: sub",
        |case, numbers| {
            let sub = one(
                numbers,
                &[
                    "wimse://evil.example/billing",
                    "spiffe://bakery.example/billing",
                    "https://bakery.example/billing",
                    "wimse://Bakery.example/billing",
                    "wimse://bakery.example:443/billing",
                    "wimse://user@bakery.example/billing",
                    "wimse://bakery.example//billing",
                    "wimse://bakery.example/billing/",
                    "wimse://bakery.example/../billing",
                    "wimse://bakery.example/%62illing",
                    "wimse://bakery.example/billing?a",
                    "wimse://bakery.example/billing#a",
                    "wimse://bakery.example/b illing",
                    "wimse:///billing",
                    "billing",
                    "",
                ],
            );
            set(&mut case.wit.claims, "sub", json!(sub));
        },
        Alike,
    ),
    ("wit: no sub", |case, _| remove(&mut case.wit.claims, "sub"), Alike),
    ("wit: sub of another type", |case, _| set(&mut case.wit.claims, "sub", json!([ORIGIN])), Alike),
    ("wit: jti of another type", |case, _| set(&mut case.wit.claims, "jti", json!(7)), Alike),
    ("wit: no cnf", |case, _| remove(&mut case.wit.claims, "cnf"), Alike),
    (
        "wit: cnf of another type",
        |case, numbers| {
            let cnf = [json!({}), json!("key"), json!([]), json!({"jkt": "key"}), json!({"jwk": "key"})];
            set(&mut case.wit.claims, "cnf", cnf[numbers.below(5)].clone());
        },
        Alike,
    ),
    ("key: no alg", |case, _| remove(jwk(case), "alg"), Alike),
    (
        "key: alg",
        |case, numbers| {
            let alg = one(numbers, &["none", "HS256", "ES384", "ECDH-ES", "RS256", "es256", ""]);
            set(jwk(case), "alg", json!(alg));
        },
        Alike,
    ),
    (
        "key: alg of the other kind of key",
        |case, _| {
            let other = if is_p256(case) { "EdDSA" } else { "ES256" };
            set(jwk(case), "alg", json!(other));
            set(&mut case.wpt.header, "alg", json!(other));
        },
        Alike,
    ),
    (
        "key: kty",
        |case, numbers| {
            let kty = one(numbers, &["oct", "RSA", "ec", ""]);
            set(jwk(case), "kty", json!(kty));
        },
        Alike,
    ),
    (
        "key: crv",
        |case, numbers| {
            let crv = one(numbers, &["P-384", "X25519", "p-256", "secp256k1"]);
            set(jwk(case), "crv", json!(crv));
        },
        Alike,
    ),
    ("key: no x", |case, _| remove(jwk(case), "x"), Alike),
    ("key: short x", |case, _| set(jwk(case), "x", json!(URL_SAFE_NO_PAD.encode([1; 31]))), Alike),
    (
        "key: x with padding",
        |case, _| {
            let padded = format!("{}=", jwk(case)["x"].as_str().unwrap_or_default());
            set(jwk(case), "x", json!(padded));
        },
        Alike,
    ),
    (
        "key: not a point",
        |case, numbers| {
            with_p256(case, numbers);
            set(jwk(case), "y", json!(URL_SAFE_NO_PAD.encode([1; 32])));
        },
        Alike,
    ),
    (
        "key: no y",
        |case, numbers| {
            with_p256(case, numbers);
            remove(jwk(case), "y");
        },
        Alike,
    ),
    (
        "wpt: aud",
        |case, numbers| {
            let aud = one(
                numbers,
                &[
                    "https://orders.internal",
                    "https://orders.internal/",
                    "https://orders.internal/stock/",
                    "https://orders.internal/stocks",
                    "https://orders.internal/STOCK",
                    "https://billing.internal/stock",
                    "http://orders.internal/stock",
                    "https://orders.internal:8443/stock",
                    "https://orders.internal@evil.example/stock",
                    "https://user@orders.internal/stock",
                    "https://orders.internal/a/../stock",
                    "/stock",
                    "orders",
                    "",
                ],
            );
            set(&mut case.wpt.claims, "aud", json!(aud));
        },
        Alike,
    ),
    (
        "wpt: aud of another type",
        |case, numbers| {
            let url = format!("{URL}/stock");
            let aud =
                [json!([url]), json!(null), json!({"url": url}), json!([url, "https://billing.internal"])];
            set(&mut case.wpt.claims, "aud", aud[numbers.below(4)].clone());
        },
        Alike,
    ),
    ("wpt: no aud", |case, _| remove(&mut case.wpt.claims, "aud"), Alike),
    ("wpt: no jti", |case, _| remove(&mut case.wpt.claims, "jti"), Alike),
    ("wpt: jti of another type", |case, _| set(&mut case.wpt.claims, "jti", json!(7)), Alike),
    (
        "wpt: wth",
        |case, numbers| {
            case.names_token = false;
            let wit = case.wit.text(&case.issuer);
            let wth =
                [json!(hash("another")), json!(format!("{}=", hash(&wit))), json!(""), json!(7), json!(wit)];
            set(&mut case.wpt.claims, "wth", wth[numbers.below(5)].clone());
        },
        Alike,
    ),
    (
        "wpt: no wth",
        |case, _| {
            case.names_token = false;
            remove(&mut case.wpt.claims, "wth");
        },
        Alike,
    ),
    (
        "wpt: tth of another token",
        |case, numbers| set(&mut case.wpt.claims, "tth", json!(hash(&numbers.text()))),
        Alike,
    ),
    (
        "wpt: no tth",
        |case, numbers| {
            remove(&mut case.wpt.claims, "tth");
            case.headers.retain(|(name, _)| *name != "txn-token");
            case.headers.push(("txn-token", numbers.text()));
        },
        Alike,
    ),
    (
        "wpt: oth of another value",
        |case, numbers| {
            set(&mut case.wpt.claims, "oth", json!({"x-user-token": hash(&numbers.text())}));
        },
        Alike,
    ),
    (
        "wpt: oth of an absent header",
        |case, numbers| {
            set(&mut case.wpt.claims, "oth", json!({"x-absent": hash(&numbers.text())}));
        },
        Alike,
    ),
    (
        "wpt: oth in upper case",
        |case, numbers| {
            let value = numbers.text();
            set(&mut case.wpt.claims, "oth", json!({"X-Upper": hash(&value)}));
            case.headers.push(("x-upper", value));
        },
        Alike,
    ),
    (
        "wpt: oth of a header that occurs twice",
        |case, numbers| {
            let value = numbers.text();
            set(&mut case.wpt.claims, "oth", json!({"x-twice": hash(&value)}));
            case.headers.push(("x-twice", value.clone()));
            case.headers.push(("x-twice", value));
        },
        Alike,
    ),
    (
        "wpt: oth of another type",
        |case, numbers| {
            let oth =
                [json!([]), json!("x-user-token"), json!({"x-user-token": 7}), json!({"x-user-token": null})];
            set(&mut case.wpt.claims, "oth", oth[numbers.below(4)].clone());
        },
        Alike,
    ),
    (
        "wpt: a claim twice",
        |case, numbers| {
            case.wpt.claims_prefix = format!(r#""jti":"{}","#, numbers.text());
        },
        Alike,
    ),
    ("wit: a claim twice", |case, _| case.wit.claims_prefix = format!(r#""sub":"{ORIGIN}/billing","#), Alike),
    // This project is more lenient.
    (
        "wit: typ as media type",
        |case, numbers| {
            let typ = one(numbers, &["WIT+JWT", "application/wit+jwt"]);
            set(&mut case.wit.header, "typ", json!(typ));
        },
        Less(rules::MEDIA_TYPE),
    ),
    (
        "wpt: typ as media type",
        |case, numbers| {
            let typ = one(numbers, &["WPT+jwt", "application/wpt+jwt"]);
            set(&mut case.wpt.header, "typ", json!(typ));
        },
        Less(rules::MEDIA_TYPE),
    ),
    (
        "wit: times with a fraction",
        |case, _| {
            #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
            let now = case.now as f64;
            set(&mut case.wit.claims, "exp", json!(now + 60.5));
            set(&mut case.wit.claims, "iat", json!(now - 0.5));
        },
        Less(rules::FRACTION),
    ),
    (
        "wpt: exp with a fraction",
        |case, _| {
            #[expect(clippy::cast_precision_loss, reason = "a time of this century is exact")]
            let now = case.now as f64;
            set(&mut case.wpt.claims, "exp", json!(now + 60.5));
        },
        Less(rules::FRACTION),
    ),
    (
        "wpt: aud in another spelling",
        |case, numbers| {
            let aud = one(
                numbers,
                &[
                    "https://orders.internal/stock?a=1",
                    "https://orders.internal/stock#a",
                    "HTTPS://orders.internal/stock",
                    "https://Orders.Internal/stock",
                    "https://orders.internal:443/stock",
                    "https://orders.internal/%73tock",
                ],
            );
            set(&mut case.wpt.claims, "aud", json!(aud));
        },
        Less(rules::URL),
    ),
    (
        "key: alg Ed25519",
        |case, numbers| {
            with_ed25519(case, numbers);
            set(jwk(case), "alg", json!("Ed25519"));
            set(&mut case.wpt.header, "alg", json!("Ed25519"));
        },
        Less(rules::ED25519),
    ),
    ("wit: long", |case, _| set(&mut case.wit.claims, "more", json!("a".repeat(6_200))), Less(rules::LENGTH)),
    (
        "key: another member of the type",
        |case, numbers| {
            with_ed25519(case, numbers);
            set(jwk(case), "y", json!(URL_SAFE_NO_PAD.encode([1; 32])));
        },
        Less(rules::OTHER_MEMBERS),
    ),
    (
        "key: x with a sign octet",
        |case, numbers| {
            with_p256(case, numbers);
            let x = URL_SAFE_NO_PAD.decode(jwk(case)["x"].as_str().unwrap_or_default()).unwrap_or_default();
            set(jwk(case), "x", json!(URL_SAFE_NO_PAD.encode([vec![0], x].concat())));
        },
        Less(rules::SIGN_OCTET),
    ),
    // This project is stricter.
    (
        "wit: kid",
        |case, numbers| {
            let kid = if case.issuer.algorithm().as_str() == "ES256" { "EdDSA" } else { "ES256" };
            let kid = one(numbers, &[kid, "another", ""]);
            set(&mut case.wit.header, "kid", json!(kid));
        },
        More(rules::KID),
    ),
    ("wpt: crit is null", |case, _| set(&mut case.wpt.header, "crit", json!(null)), More(rules::CRIT)),
    ("wit: crit is null", |case, _| set(&mut case.wit.header, "crit", json!(null)), More(rules::CRIT)),
    (
        "wit: another claim twice",
        |case, _| {
            case.wit.claims_prefix = r#""twice":1,"twice":1,"#.to_owned();
        },
        More(rules::DUPLICATES),
    ),
    (
        "wpt: another claim twice",
        |case, _| {
            case.wpt.claims_prefix = r#""twice":1,"twice":2,"#.to_owned();
        },
        More(rules::DUPLICATES),
    ),
    (
        "wpt: another header twice",
        |case, _| {
            case.wpt.header_prefix = r#""twice":1,"twice":2,"#.to_owned();
        },
        More(rules::DUPLICATES),
    ),
    (
        "wpt: a claim is null",
        |case, numbers| {
            let name = one(numbers, &["tth", "oth"]);
            case.headers.retain(|(name, _)| *name != "txn-token");
            remove(&mut case.wpt.claims, "tth");
            set(&mut case.wpt.claims, name, json!(null));
        },
        More(rules::NULL),
    ),
    (
        "wit: a claim is null",
        |case, numbers| {
            let name = one(numbers, &["iss", "jti", "iat"]);
            set(&mut case.wit.claims, name, json!(null));
        },
        More(rules::NULL),
    ),
    (
        "wit: nbf in the future",
        |case, _| {
            let nbf = case.now + 1;
            set(&mut case.wit.claims, "nbf", json!(nbf));
        },
        More(rules::NBF),
    ),
    (
        "wpt: nbf in the future",
        |case, _| {
            let nbf = case.now + 1;
            set(&mut case.wpt.claims, "nbf", json!(nbf));
        },
        More(rules::NBF),
    ),
    (
        "wit: aud",
        |case, numbers| {
            let aud = one(numbers, &["https://orders.internal", "orders"]);
            set(&mut case.wit.claims, "aud", json!(aud));
        },
        More(rules::AUDIENCE),
    ),
    (
        "wit: lives too long",
        |case, numbers| {
            let exp = case.now + [86_401, 30 * 86_400][numbers.below(2)];
            set(&mut case.wit.claims, "exp", json!(exp));
        },
        More(rules::LIFETIME),
    ),
    (
        "wpt: jti of another length",
        |case, numbers| {
            let jti = [String::new(), "a".repeat(257)][numbers.below(2)].clone();
            set(&mut case.wpt.claims, "jti", json!(jti));
        },
        More(rules::JTI),
    ),
    (
        "wit: cnf with another member",
        |case, numbers| {
            let name = one(numbers, &["kid", "jkt", "x5t#S256", "jku"]);
            set(cnf(case), name, json!("a"));
        },
        More(rules::CNF),
    ),
    (
        "key: private member",
        |case, numbers| {
            let name = one(numbers, &["d", "k", "p"]);
            set(jwk(case), name, json!(URL_SAFE_NO_PAD.encode([7; 32])));
        },
        More(rules::PRIVATE),
    ),
    (
        "key: another purpose",
        |case, numbers| {
            let (name, value) = [("use", json!("enc")), ("key_ops", json!(["sign"])), ("key_ops", json!([]))]
                [numbers.below(3)]
            .clone();
            set(jwk(case), name, value);
        },
        More(rules::PURPOSE),
    ),
    (
        "wit: sub without a service",
        |case, numbers| {
            let sub = one(numbers, &["", "/eu.billing", "/a~b", "/a:b", "/a%2Fb", "/a@b"]);
            set(&mut case.wit.claims, "sub", json!(format!("{ORIGIN}{sub}")));
        },
        More(rules::SERVICE),
    ),
    (
        "wit: sub with a long path",
        |case, _| {
            set(&mut case.wit.claims, "sub", json!(format!("{ORIGIN}/{}", "a".repeat(254))));
        },
        More(rules::SERVICE),
    ),
    (
        "wit: many claims",
        |case, _| {
            (0..256).for_each(|number| set(&mut case.wit.claims, &format!("c{number}"), json!(1)));
        },
        More(rules::LIMITS),
    ),
];
