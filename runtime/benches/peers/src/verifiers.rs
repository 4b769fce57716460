//! What each crate does with one token: signature, issuer, audience and expiry are checked, and the
//! claims handed over in a struct. Its own defaults for the rest.

use std::sync::Arc;

use aliri::jwt::CoreClaims;
use axum_jwt_auth::JwtDecoder;
use futures_util::FutureExt;
use jwt_compact::{Algorithm as CompactAlgorithm, AlgorithmExt, TimeOptions, UntrustedToken, alg};
use jwt_simple::prelude::{
    ECDSAP256PublicKeyLike, EdDSAPublicKeyLike, MACLike, RSAPublicKeyLike, VerificationOptions,
};
use oauth_resource_server::{KeyNaming, OAuthConfig, OAuthValidator};
use serde::{Deserialize, de::DeserializeOwned};
use service_only::Algorithm;

use crate::{
    common::tokens::{AUDIENCE, ISSUER, SCOPE, SECRET},
    keys::Keys,
};

/// The claims as a user has them.
#[derive(Debug, Clone, Deserialize)]
#[allow(dead_code, reason = "read by serde")]
pub struct Claims {
    pub sub: String,
    pub service: String,
    pub r#type: String,
    pub is_service: bool,
    pub role: String,
    pub iss: String,
    pub aud: String,
    pub exp: i64,
    pub iat: i64,
    pub jti: String,
    pub scope: String,
}

pub fn jsonwebtoken(keys: &Keys) -> impl Fn(&str) -> Claims + Send + Sync + 'static {
    let algorithm: jsonwebtoken::Algorithm = keys.algorithm.as_str().parse().unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(&serde_json::from_str(&keys.jwk()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    move |token| jsonwebtoken::decode(token, &key, &validation).unwrap().claims
}

pub fn axum_jwt_auth(keys: &Keys) -> axum_jwt_auth::LocalDecoder {
    let algorithm: jsonwebtoken_10::Algorithm = keys.algorithm.as_str().parse().unwrap();
    let key = jsonwebtoken_10::DecodingKey::from_jwk(&serde_json::from_str(&keys.jwk()).unwrap()).unwrap();
    let mut validation = jsonwebtoken_10::Validation::new(algorithm);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    axum_jwt_auth::LocalDecoder::builder().keys(vec![key]).validation(validation).build().unwrap()
}

pub fn jwt_authorizer(keys: &Keys) -> jwt_authorizer::Authorizer<Claims> {
    use jwt_authorizer::{JwtAuthorizer, Validation};
    let builder = if keys.is_secret() {
        JwtAuthorizer::from_secret(std::str::from_utf8(SECRET).unwrap())
    } else {
        JwtAuthorizer::from_jwks_text(&keys.jwks())
    };
    let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]);
    builder.validation(validation).build().now_or_never().unwrap().unwrap()
}

/// It takes no secrets.
pub fn oauth_resource_server(keys: &Keys) -> OAuthValidator {
    let config = OAuthConfig {
        enabled: true,
        issuer: ISSUER.into(),
        audience: AUDIENCE.into(),
        resource: "https://bakery.example.com/".into(),
        required_scope: Some(SCOPE.into()),
        algorithms: vec![keys.algorithm.as_str().into()],
        ..OAuthConfig::default()
    };
    let config = config.resolve(KeyNaming::Dotted("oauth")).unwrap().unwrap();
    OAuthValidator::builder(&config).initial_jwks(&keys.jwks()).build().unwrap()
}

type Verify = Box<dyn Fn(&str)>;

/// Every crate that knows the algorithm, by its name.
pub fn peers(keys: &Keys) -> Vec<(&'static str, Verify)> {
    let mut peers: Vec<(&'static str, Verify)> = Vec::new();
    let decode = jsonwebtoken(keys);
    peers.push(("jsonwebtoken", Box::new(move |token| drop(decode(token)))));
    peers.push(("jwt-compact", jwt_compact(keys)));
    peers.push(("jwt-simple", jwt_simple(keys)));
    if keys.algorithm != Algorithm::EdDSA {
        peers.push(("aliri", aliri(keys)));
    }
    let authorizer = jwt_authorizer(keys);
    peers.push((
        "jwt-authorizer",
        Box::new(move |token| drop(authorizer.check_auth(token).now_or_never().unwrap().unwrap())),
    ));
    let decoder = axum_jwt_auth(keys);
    peers.push(("axum-jwt-auth", Box::new(move |token| drop(decode_with::<Claims>(&decoder, token)))));
    if !keys.is_secret() {
        let validator = oauth_resource_server(keys);
        peers.push((
            "oauth-resource-server",
            Box::new(move |token| drop(validator.validate(token).now_or_never().unwrap().unwrap())),
        ));
    }
    peers
}

fn decode_with<T: DeserializeOwned>(decoder: &impl JwtDecoder<T>, token: &str) -> T {
    decoder.decode(token).now_or_never().unwrap().unwrap().claims
}

fn jwt_compact(keys: &Keys) -> Verify {
    let jwk = keys.jwk();
    match keys.algorithm {
        Algorithm::HS256 => compact(alg::Hs256, alg::Hs256Key::new(SECRET)),
        Algorithm::ES256 => compact(alg::Es256, of_jwk(&jwk)),
        Algorithm::EdDSA => compact(alg::Ed25519, of_jwk(&jwk)),
        _ => compact(alg::Rsa::rs256(), of_jwk::<alg::RsaPublicKey>(&jwk)),
    }
}

fn of_jwk<K>(jwk: &str) -> K
where
    K: for<'j> TryFrom<&'j jwt_compact::jwk::JsonWebKey<'j>, Error: std::fmt::Debug>,
{
    let jwk: jwt_compact::jwk::JsonWebKey<'_> = serde_json::from_str(jwk).unwrap();
    (&jwk).try_into().unwrap()
}

/// The claims that jwt-compact does not name itself.
#[derive(Clone, Deserialize)]
#[allow(dead_code, reason = "read by serde")]
struct Others {
    sub: String,
    service: String,
    r#type: String,
    is_service: bool,
    role: String,
    iss: String,
    aud: String,
    jti: String,
    scope: String,
}

fn compact<A>(algorithm: A, key: A::VerifyingKey) -> Verify
where
    A: CompactAlgorithm + 'static,
    A::VerifyingKey: 'static,
{
    let time = TimeOptions::default();
    Box::new(move |token| {
        let token = UntrustedToken::new(token).unwrap();
        let token = algorithm.validator::<Others>(&key).validate(&token).unwrap();
        let claims = token.claims().validate_expiration(&time).unwrap();
        assert!(claims.custom.iss == ISSUER && claims.custom.aud == AUDIENCE);
    })
}

/// The claims that jwt-simple does not name itself.
#[derive(serde::Serialize, Deserialize)]
#[allow(dead_code, reason = "read by serde")]
struct Rest {
    service: String,
    r#type: String,
    is_service: bool,
    role: String,
    scope: String,
}

fn jwt_simple(keys: &Keys) -> Verify {
    use jwt_simple::prelude::{ES256PublicKey, Ed25519PublicKey, HS256Key, RS256PublicKey};
    let options = || {
        Some(VerificationOptions {
            allowed_issuers: Some([ISSUER.to_owned()].into()),
            allowed_audiences: Some([AUDIENCE.to_owned()].into()),
            ..VerificationOptions::default()
        })
    };
    // They are taken by value at each call; a copy of the two sets is part of the price.
    let kept = options();
    match keys.algorithm {
        Algorithm::HS256 => {
            let key = HS256Key::from_bytes(SECRET);
            Box::new(move |token| drop(key.verify_token::<Rest>(token, kept.clone()).unwrap()))
        }
        Algorithm::ES256 => {
            let key = ES256PublicKey::from_bytes(&keys.point()).unwrap();
            Box::new(move |token| drop(key.verify_token::<Rest>(token, kept.clone()).unwrap()))
        }
        Algorithm::EdDSA => {
            let key = Ed25519PublicKey::from_bytes(&keys.member("x")).unwrap();
            Box::new(move |token| drop(key.verify_token::<Rest>(token, kept.clone()).unwrap()))
        }
        _ => {
            let key = RS256PublicKey::from_components(&keys.member("n"), &keys.member("e")).unwrap();
            Box::new(move |token| drop(key.verify_token::<Rest>(token, kept.clone()).unwrap()))
        }
    }
}

fn aliri(keys: &Keys) -> Verify {
    use aliri::{Jwk, jwa, jwt};
    let algorithm: jwa::Algorithm = match keys.algorithm {
        Algorithm::HS256 => jwa::Algorithm::HS256,
        Algorithm::ES256 => jwa::Algorithm::ES256,
        _ => jwa::Algorithm::RS256,
    };
    let key: Jwk = serde_json::from_str(&keys.jwk()).unwrap();
    let validator = jwt::CoreValidator::default()
        .add_approved_algorithm(algorithm)
        .add_allowed_audience(jwt::Audience::from(AUDIENCE))
        .require_issuer(jwt::Issuer::from(ISSUER));
    Box::new(move |token| {
        let token: &jwt::JwtRef = jwt::JwtRef::from_str(token);
        let valid: jwt::Validated<AliriClaims, jwt::BasicHeaders> = token.verify(&key, &validator).unwrap();
        drop(valid);
    })
}

/// aliri asks the claims for those that it checks.
#[derive(Deserialize)]
#[allow(dead_code, reason = "read by serde")]
struct AliriClaims {
    sub: aliri::jwt::Subject,
    iss: aliri::jwt::Issuer,
    aud: aliri::jwt::Audiences,
    exp: aliri_clock::UnixTime,
    iat: i64,
    service: String,
    r#type: String,
    is_service: bool,
    role: String,
    jti: String,
    scope: String,
}

impl CoreClaims for AliriClaims {
    fn nbf(&self) -> Option<aliri_clock::UnixTime> {
        None
    }

    fn exp(&self) -> Option<aliri_clock::UnixTime> {
        Some(self.exp)
    }

    fn aud(&self) -> &aliri::jwt::Audiences {
        &self.aud
    }

    fn iss(&self) -> Option<&aliri::jwt::IssuerRef> {
        Some(&self.iss)
    }

    fn sub(&self) -> Option<&aliri::jwt::SubjectRef> {
        Some(&self.sub)
    }
}

/// The decoder as axum-jwt-auth's extractor wants it.
pub fn axum_jwt_auth_decoder(keys: &Keys) -> axum_jwt_auth::Decoder<Claims> {
    Arc::new(axum_jwt_auth(keys))
}
