//! The demonstration's login service: one signing key, and tokens of every kind that the gateway receives.
//! In production `service-token` and the identity provider replace it; the gateway gets only the public key.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use serde_json::{Value, json};
use service_only::{
    Algorithm, KeySet, Verifier,
    audit::AuditSink,
    clock::{Clock, FixedClock, SystemClock, Timestamp},
    issue::{Issuer, SigningKey},
};
use service_only_testkit::TestCertificate;
use uuid::Uuid;

use crate::catalogue::DELETE_SCOPE;

/// `iss` of the tokens that the gateway receives.
pub const ISSUER: &str = "https://auth.bakery.example";

/// `aud` of the tokens that the gateway receives. A service accepts none of them.
pub const AUDIENCE: &str = "bakery-platform";

/// The lifetime of the demonstration's tokens: enough for manual trials.
pub const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A signing key, and the issuer that mints with it.
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
pub struct Authority {
    key: Arc<SigningKey>,
    issuer: Issuer,
}

impl Authority {
    /// Creates an authority with a new ES256 key.
    pub fn new() -> anyhow::Result<Self> {
        let key = Arc::new(SigningKey::generate(Algorithm::ES256).context("cannot generate a signing key")?);
        let issuer = issuer(&key, SystemClock)?;
        Ok(Self { key, issuer })
    }

    /// The public keys, as the JWK set in a service's configuration.
    pub fn jwks(&self) -> anyhow::Result<String> {
        let key = self.key.public_jwk().context("the signing key has no public half")?;
        Ok(format!("{:#}", json!({ "keys": [key] })))
    }

    /// A verifier with only the public keys, like that of the gateway.
    pub fn verifier(&self, audit: impl AuditSink) -> anyhow::Result<Verifier> {
        let keys = KeySet::from_jwks(self.jwks()?.as_bytes())?;
        Ok(Verifier::builder()
            .issuer(ISSUER)
            .audience(AUDIENCE)
            .keys(keys)
            .audit(audit)
            .realm("bakery")
            .build()?)
    }

    /// A token of a service that may delete tenants by its scope. It is bound to the certificate of the service.
    pub fn service(&self, name: &str, certificate: &TestCertificate) -> anyhow::Result<String> {
        token(&self.issuer, name, certificate)
    }

    /// Such a token that was issued two hours ago for one hour.
    pub fn expired(&self, name: &str, certificate: &TestCertificate) -> anyhow::Result<String> {
        let then = SystemClock.now().unix() - 2 * LIFETIME.as_secs() as i64;
        token(&issuer(&self.key, FixedClock(Timestamp::from_unix(then)))?, name, certificate)
    }

    /// A genuine token of a person, who is even an administrator.
    pub fn user(&self) -> anyhow::Result<String> {
        let now = SystemClock.now().unix();
        self.sign(&json!({
            "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME.as_secs() as i64,
            "sub": "user-17", "user_id": "user-17", "email": "ana@obrador-la-luna.example", "role": "admin",
            "type": "access", "jti": Uuid::new_v4(),
        }))
    }

    /// A signed token with any claims, for tokens that a service issuer does not mint.
    pub fn sign(&self, claims: &Value) -> anyhow::Result<String> {
        let header =
            json!({ "typ": "JWT", "alg": self.key.algorithm().as_str(), "kid": self.key.kid().as_str() });
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self.key.sign(signed.as_bytes())?;
        Ok(format!("{signed}.{}", BASE64URL.encode(signature)))
    }
}

/// The same token with changed claims, which name `service` as the sender; the signature is unchanged.
pub fn tampered(token: &str, service: &str) -> anyhow::Result<String> {
    let mut parts = token.splitn(3, '.');
    let (Some(header), Some(payload), Some(signature)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(anyhow!("a token has three parts"));
    };
    let mut claims: Value = serde_json::from_slice(&BASE64URL.decode(payload)?)?;
    let fields = claims.as_object_mut().context("the claims are an object")?;
    for name in ["sub", "service"] {
        fields.insert(name.to_owned(), service.into());
    }
    Ok(format!("{header}.{}.{signature}", encode(&claims)))
}

fn issuer(key: &Arc<SigningKey>, clock: impl Clock) -> anyhow::Result<Issuer> {
    Ok(Issuer::builder()
        .issuer(ISSUER)
        .audience(AUDIENCE)
        .key(Arc::clone(key))
        .lifetime(LIFETIME)
        .clock(clock)
        .build()?)
}

fn token(issuer: &Issuer, service: &str, certificate: &TestCertificate) -> anyhow::Result<String> {
    let request = issuer.token_for(service).scope(DELETE_SCOPE);
    Ok(request.bind_certificate(certificate.thumbprint()).mint()?.as_str().to_owned())
}

fn encode(value: &Value) -> String {
    BASE64URL.encode(value.to_string())
}
