//! Hostile requests with a bound token: each breaks one rule of RFC 9449.

use serde_json::{Value, json};
use service_only::error::Code;

use super::{ProofDraft, Signer, hash};

/// A request that a service with DPoP must refuse. [`ProofDraft::hostile`] creates them from a valid proof.
#[derive(Debug, Clone)]
pub struct HostileProof {
    class: &'static Facts,
    headers: Headers,
}

/// The headers of a request.
pub(super) type Headers = Vec<(&'static str, String)>;

impl HostileProof {
    /// The name of the class, in snake case.
    pub fn name(&self) -> &'static str {
        self.class.name
    }

    /// What is wrong with the request.
    pub fn description(&self) -> &'static str {
        self.class.description
    }

    /// The rule that it breaks: a verifier without this check accepts the request.
    pub fn rule(&self) -> &'static str {
        self.class.rule
    }

    /// The section of the standard.
    pub fn source(&self) -> &'static str {
        self.class.source
    }

    /// The code of the refusal.
    pub fn code(&self) -> Code {
        self.class.code
    }

    /// The headers of the request.
    pub fn headers(&self) -> &[(&'static str, String)] {
        &self.headers
    }

    /// Whether the request is valid when it is sent first, so that it must be sent twice.
    pub fn is_replay(&self) -> bool {
        self.class.rule == "replay"
    }
}

/// What is known about a class of hostile requests.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) name: &'static str,
    pub(super) rule: &'static str,
    pub(super) description: &'static str,
    pub(super) source: &'static str,
    pub(super) code: Code,
}

/// A class, and how its requests are made of a valid one.
pub(super) struct Class<V> {
    pub(super) facts: Facts,
    pub(super) make: fn(V) -> Headers,
}

impl<V> Class<V> {
    pub(super) fn of(&'static self, valid: V) -> HostileProof {
        HostileProof { class: &self.facts, headers: (self.make)(valid) }
    }
}

impl ProofDraft {
    /// Requests with the token and this proof, of which each breaks one rule.
    #[track_caller]
    pub fn hostile(&self) -> Vec<HostileProof> {
        CLASSES.iter().map(|class| class.of(self.clone())).collect()
    }

    fn authorization(&self, scheme: &str) -> (&'static str, String) {
        ("authorization", format!("{scheme} {}", self.token))
    }

    /// The headers of a request with its token and this text as its proof.
    fn with(&self, proof: String) -> Headers {
        vec![self.authorization("DPoP"), ("dpop", proof)]
    }

    fn request(self) -> Headers {
        let text = self.text();
        self.with(text)
    }

    /// Changes the URL, which is a text.
    fn url(self, change: impl Fn(&str) -> String) -> Self {
        let url = self.claims.get("htu").and_then(Value::as_str).map(change);
        self.claim("htu", url)
    }

    /// Another key of the same kind.
    pub(super) fn stranger(&self) -> super::TestDpopKey {
        let algorithm = self.owner.key.algorithm();
        let key = service_only::issue::SigningKey::generate(algorithm);
        let key = crate::fail::OrFail::or_fail(key, "the key of a stranger");
        super::TestDpopKey { key: key.into(), clock: self.owner.clock.clone() }
    }
}

/// Repeats the URL with another host, as if the service took its own name from the request.
pub(super) fn at_another_host(url: &str) -> String {
    let path = url.split_once("://").and_then(|(_, rest)| rest.find('/').and_then(|at| rest.get(at..)));
    format!("https://evil.example{}", path.unwrap_or("/"))
}

use Code::{MissingToken, ProofMismatch, ProofMissing};

macro_rules! classes {
    ($($name:literal, $rule:literal, $code:ident, $description:literal, $source:literal, $make:expr;)*) => {
        static CLASSES: &[Class<ProofDraft>] = &[$(Class {
            facts: Facts { name: $name, rule: $rule, description: $description, source: $source, code: $code },
            make: $make,
        }),*];
    };
}

classes! {
    "proof_without_token", "token", MissingToken, "A valid proof comes without the token.", "RFC 9449 section 7.1",
        |draft| vec![("dpop", draft.text())];
    "token_without_proof", "one proof", ProofMissing, "The token comes without a proof.", "RFC 9449 section 4.3",
        |draft| vec![draft.authorization("DPoP")];
    "bound_token_as_bearer", "scheme", ProofMissing,
        "The bound token is sent as a bearer token, with a valid proof beside it.", "RFC 9449 section 7.2",
        |draft| vec![draft.authorization("Bearer"), ("dpop", draft.text())];
    "two_proofs", "one proof", ProofMismatch, "The request has two valid proofs.", "RFC 9449 section 4.3",
        |draft| {
            let second = draft.clone().claim("jti", "another");
            vec![draft.authorization("DPoP"), ("dpop", draft.text()), ("dpop", second.text())]
        };
    "proof_replayed", "replay", ProofMismatch, "The same proof is sent twice.", "RFC 9449 section 11.1",
        ProofDraft::request;
    "typ_absent", "typ", ProofMismatch, "The header has no `typ`.", "RFC 9449 section 4.2",
        |draft| draft.without_header("typ").request();
    "typ_of_token", "typ", ProofMismatch, "`typ` is that of another kind of JWT.", "RFC 9449 section 4.2",
        |draft| draft.header("typ", "JWT").request();
    "alg_none", "alg", ProofMismatch, "`alg` is `none`, and there is no signature.", "RFC 9449 section 4.3",
        |draft| ProofDraft { signer: Signer::Nobody, ..draft.header("alg", "none") }.request();
    "alg_symmetric", "alg", ProofMismatch, "`alg` is HS256, and the secret is in the proof.", "RFC 9449 section 4.3",
        |draft| {
            let jwk = json!({"kty": "oct", "k": super::encoded(&[7; 32])});
            let draft = draft.header("alg", "HS256").header("jwk", jwk);
            ProofDraft { signer: Signer::Secret(vec![7; 32]), ..draft }.request()
        };
    "jwk_absent", "jwk", ProofMismatch, "The header has no key.", "RFC 9449 section 4.2",
        |draft| draft.without_header("jwk").request();
    "jwk_private", "private key", ProofMismatch, "The key in the header contains a private member.",
        "RFC 9449 section 4.3",
        |draft| {
            let mut jwk = draft.owner.jwk();
            if let Value::Object(members) = &mut jwk {
                members.insert("d".to_owned(), json!(super::encoded(&[7; 32])));
            }
            draft.header("jwk", jwk).request()
        };
    "crit", "crit", ProofMismatch, "The header has `crit`.", "RFC 7515 section 4.1.11",
        |draft| draft.header("crit", json!(["exp"])).request();
    "signature_of_another_key", "signature", ProofMismatch,
        "The key in the header is the right one, and another key has signed.", "RFC 9449 section 4.3",
        |draft| {
            let stranger = draft.stranger();
            draft.signed_by(&stranger).request()
        };
    "signature_of_another_text", "signature", ProofMismatch, "The claims were changed after the signature.",
        "RFC 9449 section 4.3",
        |draft| {
            let earlier = draft.clone().claim("jti", "earlier").text();
            let text = draft.text();
            let (signed, signature) = (text.rsplit_once('.'), earlier.rsplit_once('.'));
            let joined = signed.zip(signature).map(|((signed, _), (_, signature))| format!("{signed}.{signature}"));
            draft.with(joined.unwrap_or_default())
        };
    "key_of_a_thief", "key", ProofMismatch, "A thief of the token signs with a key of its own.", "RFC 9449 section 6.1",
        |draft| {
            let thief = draft.stranger();
            let jwk = thief.jwk();
            draft.signed_by(&thief).header("jwk", jwk).request()
        };
    "jti_absent", "jti", ProofMismatch, "The proof has no `jti`.", "RFC 9449 section 4.2",
        |draft| draft.without_claim("jti").request();
    "jti_empty", "jti", ProofMismatch, "`jti` is empty.", "RFC 9449 section 4.2",
        |draft| draft.claim("jti", "").request();
    "jti_not_text", "jti", ProofMismatch, "`jti` is a number.", "RFC 7519 section 4.1.7",
        |draft| draft.claim("jti", 7).request();
    "jti_long", "jti length", ProofMismatch, "`jti` is longer than the limit.", "RFC 9449 section 11.1",
        |draft| draft.claim("jti", "a".repeat(service_only::Dpop::MAX_ID_LENGTH + 1)).request();
    "htm_absent", "htm", ProofMismatch, "The proof has no `htm`.", "RFC 9449 section 4.3",
        |draft| draft.without_claim("htm").request();
    "htm_of_another_method", "htm", ProofMismatch, "The proof is for another method.", "RFC 9449 section 4.3",
        |draft| draft.claim("htm", "TRACE").request();
    "htm_in_lower_case", "htm", ProofMismatch, "The method has other letters.", "RFC 9110 section 9.1",
        |draft| {
            let method = draft.claims.get("htm").and_then(Value::as_str).map(str::to_ascii_lowercase);
            draft.claim("htm", method).request()
        };
    "htu_absent", "htu", ProofMismatch, "The proof has no `htu`.", "RFC 9449 section 4.3",
        |draft| draft.without_claim("htu").request();
    "htu_of_another_path", "htu", ProofMismatch, "The proof is for another path.", "RFC 9449 section 4.3",
        |draft| draft.url(|url| format!("{url}/another")).request();
    "htu_of_another_service", "htu", ProofMismatch, "The proof is for another service.", "RFC 9449 section 4.3",
        |draft| draft.url(at_another_host).request();
    "htu_of_host_header", "htu", ProofMismatch,
        "The proof is for another service, which the header `Host` names too.", "RFC 9449 section 4.3",
        |draft| {
            let mut headers = draft.url(at_another_host).request();
            headers.push(("host", "evil.example".to_owned()));
            headers.push(("x-forwarded-host", "evil.example".to_owned()));
            headers.push(("forwarded", "host=evil.example;proto=https".to_owned()));
            headers
        };
    "htu_of_another_scheme", "htu", ProofMismatch, "The proof is for another scheme.", "RFC 9449 section 4.3",
        |draft| draft.url(|url| format!("ftp{}", url.trim_start_matches(char::is_alphabetic))).request();
    "htu_with_user", "htu", ProofMismatch, "The name of the service is the user of another one.",
        "RFC 3986 section 3.2.1",
        |draft| draft.url(|url| url.replacen("://", "://service@", 1)).request();
    "htu_relative", "htu", ProofMismatch, "`htu` is a path.", "RFC 9449 section 4.2",
        |draft| draft.url(|url| at_another_host(url).replacen("https://evil.example", "", 1)).request();
    "iat_absent", "iat", ProofMismatch, "The proof has no `iat`.", "RFC 9449 section 4.2",
        |draft| draft.without_claim("iat").request();
    "iat_as_text", "iat", ProofMismatch, "`iat` is a string.", "RFC 7519 section 4.1.6",
        |draft| {
            let iat = draft.owner.clock.now().unix().to_string();
            draft.claim("iat", iat).request()
        };
    "iat_stale", "iat", ProofMismatch, "The proof was signed an hour ago.", "RFC 9449 section 11.1",
        |draft| {
            let iat = draft.owner.clock.now().unix() - 3_600;
            draft.claim("iat", iat).request()
        };
    "iat_in_the_future", "iat", ProofMismatch, "The proof was prepared for a time in an hour.",
        "RFC 9449 section 11.2",
        |draft| {
            let iat = draft.owner.clock.now().unix() + 3_600;
            draft.claim("iat", iat).request()
        };
    "ath_absent", "ath", ProofMismatch, "The proof names no token.", "RFC 9449 section 4.3",
        |draft| draft.without_claim("ath").request();
    "ath_of_another_token", "ath", ProofMismatch, "The proof is for another token.", "RFC 9449 section 4.3",
        |draft| draft.claim("ath", hash("another")).request();
    "claim_twice", "duplicates", ProofMismatch, "The payload has `jti` twice.", "RFC 7519 section 4",
        |draft| {
            let payload = json!(draft.claims).to_string().replacen('{', "{\"jti\":\"another\",", 1);
            let text = draft.signed(&payload);
            draft.with(text)
        };
}
