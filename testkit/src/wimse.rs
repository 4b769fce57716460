//! Workload Identity Tokens and Workload Proof Tokens for tests (draft-ietf-wimse-wpt-02,
//! draft-ietf-wimse-workload-creds-02), and hostile requests with them.

mod hostile;

use serde_json::{Value, json};
use service_only::{
    Algorithm, TrustedIssuer, Verifier, error::Code, experimental_wimse::Wpt, verifier::VerifierBuilder,
};
use uuid::Uuid;

pub use self::hostile::HostileProof;
use self::hostile::{Class, Facts, Headers, at_another_host};
use crate::{
    authority::TestAuthority,
    dpop::{ProofDraft, Signer, TestDpopKey, encoded, hash},
    draft::TokenDraft,
};

/// The header of the token.
const TOKEN: &str = "workload-identity-token";

/// The lifetime of a proof.
const LIFETIME: i64 = 60;

impl TestAuthority {
    /// The origin of the workload identifiers in the tokens of [`experimental_wit`](Self::experimental_wit).
    pub const EXPERIMENTAL_WIMSE_ORIGIN: &'static str = "wimse://bakery.example";

    /// The builder of a verifier that accepts Workload Identity Tokens of this authority, for the service at this URL.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// use axum::{Router, routing::get};
    /// use service_only::service_only;
    /// use service_only_testkit::{TestAuthority, assert_allowed, assert_denied, call};
    ///
    /// #[service_only(services("billing"), proof = "any")]
    /// async fn stock() {}
    ///
    /// let authority = TestAuthority::new();
    /// let verifier = authority.experimental_wimse("https://orders.internal").build().unwrap();
    /// let app = call(Router::new().route("/stock", get(stock)).with_state(verifier));
    ///
    /// let key = authority.dpop_key();
    /// let token = authority.experimental_wit("billing", &key).token();
    /// let proof = key.experimental_wpt("https://orders.internal/stock", &token);
    /// assert_allowed!(app.get("/stock").experimental_wpt(&token, &proof).await);
    ///
    /// // A proof is accepted once.
    /// assert_denied!(app.get("/stock").experimental_wpt(&token, &proof).await, 401);
    /// # }
    /// ```
    pub fn experimental_wimse(&self, url: impl Into<String>) -> VerifierBuilder {
        let issuer = TrustedIssuer::experimental_wimse(Self::EXPERIMENTAL_WIMSE_ORIGIN);
        Verifier::builder()
            .trust(issuer.keys(self.own_keys()))
            .experimental_wpt(Wpt::new(url))
            .clock(self.clock().clone())
            .audit(self.audit().clone())
    }

    /// Starts a Workload Identity Token for the workload at this path of the origin, with its public key.
    pub fn experimental_wit(&self, path: &str, key: &TestDpopKey) -> TokenDraft {
        TokenDraft::of_nobody(self)
            .header("typ", "wit+jwt")
            .claim("sub", format!("{}/{path}", Self::EXPERIMENTAL_WIMSE_ORIGIN))
            .claim("cnf", json!({ "jwk": key.jwk() }))
    }

    /// Requests of a workload to a service at this URL, of which each breaks one rule of the drafts.
    #[track_caller]
    pub fn experimental_hostile_workloads(
        &self,
        path: &str,
        key: &TestDpopKey,
        url: &str,
    ) -> Vec<HostileProof> {
        let valid =
            Valid { authority: self.clone(), path: path.to_owned(), key: key.clone(), url: url.to_owned() };
        CLASSES.iter().map(|class| class.of(valid.clone())).collect()
    }
}

impl TestDpopKey {
    /// A valid Workload Proof Token for a request with this URL and this Workload Identity Token. It is valid for a minute.
    pub fn experimental_wpt(&self, url: &str, token: impl AsRef<str>) -> ProofDraft {
        let token = token.as_ref().to_owned();
        let claims = [
            ("aud", json!(url)),
            ("exp", json!(self.now() + LIFETIME)),
            ("jti", json!(Uuid::new_v4().to_string())),
            ("wth", json!(hash(&token))),
        ];
        let header = [("alg", json!(self.algorithm())), ("typ", json!("wpt+jwt"))];
        self.draft(&header, &claims, token)
    }
}

/// What a valid request consists of.
#[derive(Clone)]
struct Valid {
    authority: TestAuthority,
    path: String,
    key: TestDpopKey,
    url: String,
}

impl Valid {
    fn token(&self) -> TokenDraft {
        self.authority.experimental_wit(&self.path, &self.key)
    }

    /// A valid proof of a valid token.
    fn proof(&self) -> ProofDraft {
        self.key.experimental_wpt(&self.url, self.token().token())
    }

    /// A request whose proof is changed.
    fn with(&self, change: impl FnOnce(ProofDraft) -> ProofDraft) -> Headers {
        let proof = change(self.proof());
        sent(&proof, proof.text())
    }

    fn claim(&self, name: &str, value: impl Into<Value>) -> Headers {
        self.with(|proof| proof.claim(name, value))
    }

    /// A request whose token is changed. Its proof is that of the changed token.
    fn with_token(&self, change: impl FnOnce(TokenDraft) -> TokenDraft) -> Headers {
        let proof = self.key.experimental_wpt(&self.url, change(self.token()).token());
        sent(&proof, proof.text())
    }

    /// A request whose token has another public key, or a part of one.
    fn with_jwk(&self, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Headers {
        let mut jwk = self.key.jwk();
        if let Value::Object(members) = &mut jwk {
            change(members);
        }
        self.with_token(|token| token.claim("cnf", json!({ "jwk": jwk })))
    }

    fn now(&self) -> i64 {
        self.authority.clock().now().unix()
    }
}

/// The headers of a request with the token of a proof, and this text as the proof.
fn sent(proof: &ProofDraft, text: String) -> Headers {
    vec![("authorization", format!("WPT {text}")), (TOKEN, proof.token.clone())]
}

fn and(mut headers: Headers, name: &'static str, value: &str) -> Headers {
    headers.push((name, value.to_owned()));
    headers
}

use Code::{
    BadClaimValue, BadSignature, Expired, InvalidRequest, LivesTooLong, MissingToken, ProofMismatch,
    ProofMissing, WrongIssuer, WrongTyp,
};

macro_rules! classes {
    ($($name:literal, $rule:literal, $code:ident, $description:literal, $source:literal, $make:expr;)*) => {
        static CLASSES: &[Class<Valid>] = &[$(Class {
            facts: Facts { name: $name, rule: $rule, description: $description, source: $source, code: $code },
            make: $make,
        }),*];
    };
}

classes! {
    "wpt_without_token", "token", MissingToken, "A valid proof comes without the token.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| vec![("authorization", format!("WPT {}", valid.proof().text()))];
    "wit_without_proof", "proof", MissingToken, "The token comes without a proof.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| vec![(TOKEN, valid.proof().token)];
    "wit_as_bearer", "scheme", ProofMissing, "The token is sent as a bearer token, with its own header beside it.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| {
            let token = valid.proof().token;
            vec![("authorization", format!("Bearer {token}")), (TOKEN, token)]
        };
    "two_wpts", "one proof", InvalidRequest, "The request has two valid proofs.",
        "draft-ietf-wimse-wpt-02 section 2.2",
        |valid| {
            let proof = valid.proof();
            let second = proof.clone().claim("jti", "another").text();
            and(sent(&proof, proof.text()), "authorization", &format!("WPT {second}"))
        };
    "two_wits", "one token", InvalidRequest, "The request has the token twice.",
        "draft-ietf-wimse-workload-creds-02 section 5.1.1",
        |valid| {
            let proof = valid.proof();
            and(sent(&proof, proof.text()), TOKEN, &proof.token)
        };
    "wpt_replayed", "replay", ProofMismatch, "The same proof is sent twice.", "draft-ietf-wimse-wpt-02 section 3.1.4",
        |valid| valid.with(|proof| proof);
    "wpt_typ_absent", "typ", ProofMismatch, "The header of the proof has no `typ`.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.without_header("typ"));
    "wpt_typ_of_dpop", "typ", ProofMismatch, "`typ` is that of another kind of proof.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.header("typ", "dpop+jwt"));
    "wpt_alg_none", "alg", ProofMismatch, "`alg` is `none`, and the signature is absent.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with(|proof| ProofDraft { signer: Signer::Nobody, ..proof.header("alg", "none") });
    "wpt_alg_symmetric", "alg", ProofMismatch, "`alg` is HS256, and the secret is the public key.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| {
            let jwk = valid.key.jwk();
            let public = jwk.get("x").and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
            valid.with(|proof| ProofDraft { signer: Signer::Secret(public), ..proof.header("alg", "HS256") })
        };
    "wpt_alg_of_another_name", "same alg", ProofMismatch,
        "`alg` of the proof is another name for that of the key in the token.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| {
            let key = valid.authority.dpop_key_of(Algorithm::EdDSA);
            Valid { key, ..valid }.with(|proof| proof.header("alg", "Ed25519"))
        };
    "wpt_crit", "crit", ProofMismatch, "The header of the proof has `crit`.", "RFC 7515 section 4.1.11",
        |valid| valid.with(|proof| proof.header("crit", json!(["exp"])));
    "wpt_signed_by_another_key", "signature", ProofMismatch, "A thief of the token signs with another key.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| { let thief = proof.owner.stranger(); proof.signed_by(&thief) });
    "wpt_with_key_of_a_thief", "key of the header", ProofMismatch,
        "A thief of the token signs with another key, and puts it into the header of the proof.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| {
            let thief = proof.owner.stranger();
            proof.signed_by(&thief).header("jwk", thief.jwk())
        });
    "wpt_changed_after_signature", "signature", ProofMismatch, "The claims were changed after the signature.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| {
            let proof = valid.proof();
            let earlier = proof.clone().claim("jti", "earlier").text();
            let text = proof.text();
            let (signed, signature) = (text.rsplit_once('.'), earlier.rsplit_once('.'));
            let joined = signed.zip(signature).map(|((signed, _), (_, signature))| format!("{signed}.{signature}"));
            sent(&proof, joined.unwrap_or_default())
        };
    "wpt_jti_absent", "jti", ProofMismatch, "The proof has no `jti`.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.without_claim("jti"));
    "wpt_jti_empty", "jti", ProofMismatch, "`jti` is empty.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("jti", "");
    "wpt_jti_not_text", "jti", ProofMismatch, "`jti` is a number.", "RFC 7519 section 4.1.7",
        |valid| valid.claim("jti", 7);
    "wpt_jti_long", "jti length", ProofMismatch, "`jti` is longer than the limit.",
        "draft-ietf-wimse-wpt-02 section 3.1.4",
        |valid| valid.claim("jti", "a".repeat(Wpt::MAX_ID_LENGTH + 1));
    "wpt_aud_absent", "aud", ProofMismatch, "The proof has no `aud`.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.without_claim("aud"));
    "wpt_aud_of_another_path", "aud", ProofMismatch, "The proof is for another path.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("aud", format!("{}/another", valid.url));
    "wpt_aud_of_another_service", "aud", ProofMismatch, "The proof is for another service.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("aud", at_another_host(&valid.url));
    "wpt_aud_of_host_header", "aud", ProofMismatch,
        "The proof is for another service, which the header `Host` names too.",
        "draft-ietf-wimse-wpt-02 section 3.1.7",
        |valid| {
            let headers = valid.claim("aud", at_another_host(&valid.url));
            let headers = and(headers, "host", "evil.example");
            let headers = and(headers, "x-forwarded-host", "evil.example");
            and(headers, "forwarded", "host=evil.example;proto=https")
        };
    "wpt_aud_relative", "aud", ProofMismatch, "`aud` is a path.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("aud", at_another_host(&valid.url).replacen("https://evil.example", "", 1));
    "wpt_aud_as_list", "aud", ProofMismatch, "The proof is for two services.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("aud", json!([valid.url, at_another_host(&valid.url)]));
    "wpt_exp_absent", "exp", ProofMismatch, "The proof has no `exp`.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.without_claim("exp"));
    "wpt_exp_as_text", "exp", ProofMismatch, "`exp` is a string.", "RFC 7519 section 4.1.4",
        |valid| valid.claim("exp", (valid.now() + LIFETIME).to_string());
    "wpt_expired", "exp", ProofMismatch, "The proof expires in this second.", "RFC 7519 section 4.1.4",
        |valid| valid.claim("exp", valid.now());
    "wpt_far_in_the_future", "lifetime", ProofMismatch, "The proof is valid for an hour.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("exp", valid.now() + 3_600);
    "wpt_not_valid_yet", "nbf", ProofMismatch, "The proof was prepared for a time in half a minute.",
        "RFC 7519 section 4.1.5",
        |valid| valid.claim("nbf", valid.now() + 30);
    "wpt_wth_absent", "wth", ProofMismatch, "The proof names no token.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.with(|proof| proof.without_claim("wth"));
    "wpt_wth_of_another_token", "wth", ProofMismatch, "The proof is for another token of the same workload.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("wth", hash("another"));
    "wpt_tth_without_txn_token", "tth", ProofMismatch, "The proof names a transaction token that is not there.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("tth", hash("a transaction"));
    "txn_token_without_tth", "tth", ProofMismatch, "The proof does not name the transaction token of the request.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| and(valid.with(|proof| proof), "txn-token", "a.transaction.token");
    "wpt_tth_of_another_txn_token", "tth", ProofMismatch, "The transaction token was replaced.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| and(valid.claim("tth", hash("a.transaction.token")), "txn-token", "another.transaction.token");
    "wpt_oth_of_an_absent_header", "oth", ProofMismatch, "`oth` names a header that the request does not have.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("oth", json!({ "x-user-token": hash("user") }));
    "wpt_oth_of_another_value", "oth", ProofMismatch, "The header that `oth` names was replaced.",
        "draft-ietf-wimse-wpt-02 section 2",
        |valid| and(valid.claim("oth", json!({ "x-user-token": hash("user") })), "x-user-token", "admin");
    "wpt_oth_not_object", "oth", ProofMismatch, "`oth` is a string.", "draft-ietf-wimse-wpt-02 section 2",
        |valid| valid.claim("oth", hash("user"));
    "wpt_claim_twice", "duplicates", ProofMismatch, "The payload of the proof has `jti` twice.",
        "RFC 7519 section 4",
        |valid| {
            let proof = valid.proof();
            let payload = json!(proof.claims).to_string().replacen('{', "{\"jti\":\"another\",", 1);
            let text = proof.signed(&payload);
            sent(&proof, text)
        };
    "wit_typ_of_access_token", "token typ", WrongTyp, "The token is another kind of JWT of the same issuer.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_token(|token| token.header("typ", "JWT"));
    "wit_of_another_issuer", "token signature", BadSignature, "The token is signed by a key of another issuer.",
        "draft-ietf-wimse-workload-creds-02 section 3",
        |valid| valid.with_token(TokenDraft::wrong_key);
    "wit_expired", "token exp", Expired, "The token expired an hour ago.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_token(|token| token.claim("exp", valid.now() - 3_600));
    "wit_lives_too_long", "token lifetime", LivesTooLong, "The token is valid for a month.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_token(|token| token.claim("exp", valid.now() + 30 * 86_400));
    "wit_of_another_trust_domain", "token sub", WrongIssuer, "The token names a workload of another trust domain.",
        "draft-ietf-wimse-workload-creds-02 section 3",
        |valid| valid.with_token(|token| token.claim("sub", "wimse://evil.example/billing"));
    "wit_of_another_scheme", "token sub", WrongIssuer, "The token names a workload with another scheme.",
        "draft-ietf-wimse-identifier-03 section 4.3",
        |valid| valid.with_token(|token| token.claim("sub", "spiffe://bakery.example/billing"));
    "wit_without_cnf", "cnf", BadClaimValue, "The token contains no key.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_token(|token| token.without_claim("cnf"));
    "wit_with_thumbprint", "cnf", BadClaimValue, "The token contains the thumbprint of the key instead of the key.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_token(|token| token.bound_to_key(&valid.key));
    "wit_key_without_alg", "alg of the key", BadClaimValue, "The key in the token names no algorithm.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_jwk(|jwk| drop(jwk.remove("alg")));
    "wit_key_with_alg_none", "alg of the key", BadClaimValue, "`alg` of the key in the token is `none`.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| valid.with_jwk(|jwk| drop(jwk.insert("alg".to_owned(), json!("none"))));
    "wit_key_symmetric", "symmetric key", BadClaimValue, "The key in the token is a secret, which signs the proof.",
        "draft-ietf-wimse-workload-creds-02 section 5.1",
        |valid| {
            let jwk = json!({ "kty": "oct", "alg": "HS256", "k": encoded(&[7; 32]) });
            let token = valid.token().claim("cnf", json!({ "jwk": jwk })).token();
            let proof = valid.key.experimental_wpt(&valid.url, token).header("alg", "HS256");
            let proof = ProofDraft { signer: Signer::Secret(vec![7; 32]), ..proof };
            sent(&proof, proof.text())
        };
    "wit_key_private", "private key", BadClaimValue, "The key in the token contains a private member.",
        "RFC 7800 section 3.2",
        |valid| valid.with_jwk(|jwk| drop(jwk.insert("d".to_owned(), json!(encoded(&[7; 32])))));
}
