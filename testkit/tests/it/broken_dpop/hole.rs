//! Servers with one hole in their check of proofs, which only one class of the catalogue finds: a row names the class, the
//! checks that are open, and the requests for which they are.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::Value;
use service_only_testkit::Defect;

use super::server::{STALE_NONCE, Seen, hash};

pub(crate) struct Hole {
    /// The one class that finds it.
    pub(crate) class: Defect,
    pub(crate) kind: Kind,
}

/// Where the hole is. The rest of the server is right.
#[derive(Copy, Clone)]
pub(crate) enum Kind {
    /// Requests with such `Authorization` and `DPoP` headers are admitted.
    Admits(fn(&[String], &[String]) -> bool),
    /// The text of the proof is read in another form.
    Reads(fn(&str) -> Option<String>),
    /// These checks are not made for such a request.
    Opens(&'static [&'static str], fn(&Seen) -> bool),
}

macro_rules! holes {
    ($($class:ident: $kind:ident, $($code:expr),+;)*) => {
        pub(crate) static HOLES: [Hole; [$(stringify!($class)),*].len()] =
            [$(Hole { class: Defect::$class, kind: Kind::$kind($($code),+) }),*];
    };
}

holes! {
    // What a request needs.
    ProofWithoutToken: Admits, |authorization, proofs| authorization.is_empty() && !proofs.is_empty();
    BoundTokenWithoutProof: Admits, |authorization, proofs| starts(authorization, "DPoP ") && proofs.is_empty();
    BoundTokenAsBearer: Admits, |authorization, proofs| starts(authorization, "bearer ") && proofs.is_empty();
    BearerBesideProof: Admits, |authorization, proofs| starts(authorization, "Bearer ") && !proofs.is_empty();
    EmptyProof: Admits, |_, proofs| proofs == [""];
    TwoProofs: Opens, &["one proof"], |seen| seen.proofs == 2;
    TwoProofsInOneHeader: Reads, |text| Some(text.split_once(", ")?.0.to_owned());
    ProofReplayed: Opens, &["replay"], |seen| seen.text_was_accepted;
    ProofSignedAgain: Opens, &["replay"], |seen| !seen.text_was_accepted;

    // The key of the token.
    UnboundTokenWithProof: Opens, &["one binding", "binding"], |seen| seen.cnf.is_null();
    TokenOfAnotherKey: Opens, &["binding"], |seen| seen.jkt == seen.caller && jkt(seen).len() == 43 && !is_in_other_case(seen);
    KeyOfAThief: Opens, &["binding"], |seen| jkt(seen) == seen.caller;
    KeyThumbprintInOtherCase: Opens, &["binding"], is_in_other_case;
    KeyThumbprintCut: Opens, &["binding"], |seen| !jkt(seen).is_empty() && seen.jkt.starts_with(jkt(seen));
    KeyThumbprintEmpty: Opens, &["binding"], |seen| seen.cnf["jkt"] == "";
    KeyThumbprintPadded: Opens, &["binding"], |seen| {
        jkt(seen).ends_with('=') && STANDARD.decode(jkt(seen)).ok() == URL_SAFE_NO_PAD.decode(&seen.jkt).ok()
    };
    KeyThumbprintAsList: Opens, &["one binding", "binding"], |seen| contains(&seen.cnf["jkt"], &seen.jkt);
    KeyThumbprintBesideKey: Opens, &["one binding"], |seen| seen.cnf["kid"].is_string();

    // The form of a proof.
    ProofWithFourParts: Reads, |text| text.strip_suffix(".e30").map(str::to_owned);
    ProofPadded: Reads, |text| text.strip_suffix("==").map(str::to_owned);
    ProofInJson: Reads, |text| {
        let json: Value = serde_json::from_str(text).ok()?;
        let part = |name: &str| json[name].as_str();
        Some(format!("{}.{}.{}", part("protected")?, part("payload")?, part("signature")?))
    };
    ProofTooLong: Opens, &["length"], |seen| seen.proof.len() > 8_192;
    ProofClaimsAsList: Opens, &["object", "jti", "htm", "htu", "iat", "ath", "nonce"], |seen| seen.claims.is_array();
    ProofClaimTwice: Opens, &["members"], |_| true;

    // The header.
    ProofWithoutTyp: Opens, &["typ"], |seen| seen.header.get("typ").is_none();
    ProofWithTypOfToken: Opens, &["typ"], |seen| seen.header["typ"] == "JWT";
    ProofCritical: Opens, &["crit"], |_| true;
    ProofUnsigned: Opens, &["alg", "signature"], |seen| seen.header["alg"] == "none" && seen.signature.is_empty();
    ProofSignedBySecret: Opens, &["alg", "binding"], |seen| seen.header["alg"] == "HS256";
    ProofWithAlgOfAnotherKey: Opens, &["alg"], |seen| seen.header["alg"] == "ES384";
    ProofWithoutKey: Opens, &["key", "signature", "binding"], |seen| {
        seen.header.get("jwk").is_none() && seen.header.get("kid").is_none()
    };
    ProofKeyById: Opens, &["key", "signature", "binding"], |seen| seen.header["kid"] == *seen.caller;
    ProofKeyAsText: Opens, &["key", "signature", "binding"], |seen| seen.header["jwk"].is_string();
    ProofKeyPrivate: Opens, &["private key"], |_| true;
    ProofSignedByAnotherKey: Opens, &["signature"], |seen| {
        seen.header["alg"] == "ES256" && seen.signature.len() == 64 && !seen.is_signed_with_id("earlier")
    };
    ProofChangedAfterSigning: Opens, &["signature"], |seen| seen.is_signed_with_id("earlier");
    ProofWithoutSignature: Opens, &["signature"], |seen| seen.signature.is_empty();

    // The claims.
    ProofWithoutId: Opens, &["jti"], |seen| seen.claims.get("jti").is_none();
    ProofIdEmpty: Opens, &["jti"], |seen| seen.claims["jti"] == "";
    ProofIdAsNumber: Opens, &["jti"], |seen| seen.claims["jti"].is_number();
    ProofIdTooLong: Opens, &["jti length"], |_| true;
    ProofWithoutMethod: Opens, &["htm"], |seen| seen.claims.get("htm").is_none();
    ProofOfAnotherMethod: Opens, &["htm"], |seen| seen.claims["htm"] == "TRACE";
    ProofMethodInLowerCase: Opens, &["htm"], |seen| seen.claim("htm").eq_ignore_ascii_case(&seen.method);
    ProofMethodAsList: Opens, &["htm"], |seen| contains(&seen.claims["htm"], &seen.method);
    ProofWithoutUrl: Opens, &["htu"], |seen| seen.claims.get("htu").is_none();
    ProofOfLongerPath: Opens, &["htu"], |seen| seen.claim("htu").starts_with(&seen.url());
    ProofOfPathBelow: Opens, &["htu"], |seen| {
        let htu = seen.claim("htu");
        htu.ends_with(&format!("/another{}", seen.path)) && !htu.contains("..")
    };
    ProofUrlWithDots: Opens, &["htu"], |seen| seen.claim("htu").replace("/another/..", "") == seen.url();
    ProofOfAnotherService: Opens, &["htu"], |seen| is_elsewhere(seen) && !is_named(seen);
    ProofOfNamedHost: Opens, &["htu"], |seen| is_elsewhere(seen) && is_named(seen);
    ProofOfAnotherPort: Opens, &["htu"], |seen| seen.claim("htu").replace(":1/", "/") == seen.url();
    ProofOfAnotherScheme: Opens, &["htu"], |seen| seen.claim("htu").replace("ftp:", "https:") == seen.url();
    ProofUrlWithUser: Opens, &["htu"], |seen| seen.claim("htu").replace("service@", "") == seen.url();
    ProofUrlRelative: Opens, &["htu"], |seen| seen.claim("htu") == seen.path;
    ProofUrlAsList: Opens, &["htu"], |seen| contains(&seen.claims["htu"], &seen.url());
    ProofWithoutTime: Opens, &["iat"], |seen| seen.claims.get("iat").is_none();
    ProofTimeAsText: Opens, &["iat"], |seen| seen.claim("iat") == seen.now.to_string();
    ProofTimeInMilliseconds: Opens, &["iat"], |seen| seen.claims["iat"] == seen.now * 1_000;
    ProofStale: Opens, &["iat"], |seen| seen.claims["iat"] == seen.now - 3_600;
    ProofFromFuture: Opens, &["iat"], |seen| seen.claims["iat"] == seen.now + 3_600;
    ProofWithoutTokenHash: Opens, &["ath"], |seen| seen.claims.get("ath").is_none();
    ProofOfAnotherToken: Opens, &["ath"], |seen| seen.claims["ath"] == hash("another");
    ProofTokenHashPadded: Opens, &["ath"], |seen| seen.claim("ath").trim_end_matches('=') == seen.ath;
    ProofTokenHashAsList: Opens, &["ath"], |seen| contains(&seen.claims["ath"], &seen.ath);
    NonceMissing: Opens, &["nonce"], |seen| seen.claims.get("nonce").is_none() && seen.claims.is_object();
    NonceInvented: Opens, &["nonce"], |seen| !["", STALE_NONCE].contains(&seen.claim("nonce"));
    NonceEmpty: Opens, &["nonce"], |seen| seen.claims["nonce"] == "";
    NonceAsList: Opens, &["nonce"], |seen| seen.claims["nonce"].is_array();
    NonceStale: Opens, &["nonce"], |seen| seen.claims["nonce"] == STALE_NONCE;
}

fn starts(authorization: &[String], scheme: &str) -> bool {
    matches!(authorization, [one] if one.starts_with(scheme))
}

fn contains(list: &Value, text: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|one| one == text))
}

/// The thumbprint in the token.
fn jkt(seen: &Seen) -> &str {
    seen.cnf["jkt"].as_str().unwrap_or_default()
}

fn is_in_other_case(seen: &Seen) -> bool {
    jkt(seen).eq_ignore_ascii_case(&seen.jkt)
}

fn is_elsewhere(seen: &Seen) -> bool {
    seen.claim("htu") == format!("https://evil.example{}", seen.path)
}

/// Whether a header names the other host.
fn is_named(seen: &Seen) -> bool {
    ["host", "x-forwarded-host", "forwarded"].iter().any(|name| seen.has_header(name))
}
