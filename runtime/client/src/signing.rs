//! How requests prove that their token is their own: not at all, or by a proof of DPoP (RFC 9449) for each.

#[cfg(feature = "issue")]
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

#[cfg(feature = "issue")]
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header::AUTHORIZATION};
#[cfg(feature = "issue")]
use service_only::issue::DpopKey;

use crate::error::TokenError;
#[cfg(feature = "issue")]
use crate::{error::TokenErrorKind, origin::Origin};

/// Adds the token to requests.
#[derive(Debug, Clone, Default)]
pub(crate) enum Signing {
    #[default]
    Bearer,
    #[cfg(feature = "issue")]
    Dpop(Dpop),
}

impl Signing {
    /// Adds the token, which is in the form of a bearer token, and a proof for this request. Call it for each request,
    /// also for a repeated one: a server accepts a proof once.
    #[cfg_attr(not(feature = "issue"), expect(unused_variables, reason = "for proofs"))]
    pub(crate) fn sign(
        &self,
        authorization: &HeaderValue,
        method: &Method,
        target: &Uri,
        headers: &mut HeaderMap,
    ) -> Result<(), TokenError> {
        match self {
            Self::Bearer => {
                headers.insert(AUTHORIZATION, authorization.clone());
                Ok(())
            }
            #[cfg(feature = "issue")]
            Self::Dpop(dpop) => dpop.sign(authorization, method, target, headers),
        }
    }

    /// Keeps the nonce of a response for the next request to this origin. Returns whether the request was refused because
    /// it lacked that nonce, so that it may be sent again with it (RFC 9449 section 9).
    #[cfg_attr(not(feature = "issue"), expect(unused_variables, reason = "for proofs"))]
    pub(crate) fn needs_nonce(&self, target: &Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        match self {
            Self::Bearer => false,
            #[cfg(feature = "issue")]
            Self::Dpop(dpop) => dpop.needs_nonce(target, status, headers),
        }
    }
}

/// A key, and the last nonce of each server.
#[cfg(feature = "issue")]
#[derive(Debug, Clone)]
pub(crate) struct Dpop {
    key: Arc<DpopKey>,
    nonces: Arc<Mutex<HashMap<Origin, HeaderValue>>>,
}

/// The header of a proof (RFC 9449 section 4.1).
#[cfg(feature = "issue")]
pub(crate) const DPOP: &str = "dpop";

/// The header of a nonce (RFC 9449 section 8.2).
#[cfg(feature = "issue")]
pub(crate) const NONCE: &str = "dpop-nonce";

/// The longest nonce that is sent back. Usual ones have less than 100 characters.
#[cfg(feature = "issue")]
pub(crate) const MAX_NONCE_LENGTH: usize = 1024;

#[cfg(feature = "issue")]
impl Dpop {
    pub(crate) fn new(key: Arc<DpopKey>) -> Self {
        Self { key, nonces: Arc::default() }
    }

    fn sign(
        &self,
        authorization: &HeaderValue,
        method: &Method,
        target: &Uri,
        headers: &mut HeaderMap,
    ) -> Result<(), TokenError> {
        let token = authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let token = token.ok_or_else(|| not_signed("the token is not text"))?;
        headers.insert(DPOP, self.proof(method, target, Some(token))?);
        let authorization = zeroize::Zeroizing::new(format!("DPoP {token}"));
        let mut authorization = HeaderValue::from_str(&authorization).map_err(not_signed)?;
        authorization.set_sensitive(true);
        headers.insert(AUTHORIZATION, authorization);
        Ok(())
    }

    /// Signs a proof for one request, with the last nonce of its server.
    pub(crate) fn proof(
        &self,
        method: &Method,
        target: &Uri,
        token: Option<&str>,
    ) -> Result<HeaderValue, TokenError> {
        let origin = Origin::of(target).ok_or_else(|| not_signed("the request has no absolute URL"))?;
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).get(&origin).cloned();
        let nonce = nonce.as_ref().and_then(|nonce| nonce.to_str().ok());
        let proof = self.key.sign(method.as_str(), &origin.url(target.path()), token, nonce);
        HeaderValue::from_str(&proof.map_err(not_signed)?).map_err(|error| not_signed(error).into())
    }

    /// Keeps the nonce of a response. Only recipients and providers of tokens get proofs, so there are few.
    pub(crate) fn keep_nonce(&self, target: &Uri, nonce: Option<&HeaderValue>) -> bool {
        let Some((nonce, origin)) = nonce.filter(|nonce| is_nonce(nonce)).zip(Origin::of(target)) else {
            return false;
        };
        self.nonces.lock().unwrap_or_else(PoisonError::into_inner).insert(origin, nonce.clone());
        true
    }

    fn needs_nonce(&self, target: &Uri, status: StatusCode, headers: &HeaderMap) -> bool {
        let is_asked =
            |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains(r#"error="use_dpop_nonce""#));
        self.keep_nonce(target, headers.get(NONCE))
            && status == StatusCode::UNAUTHORIZED
            && headers.get_all(WWW_AUTHENTICATE).iter().any(is_asked)
    }
}

#[cfg(feature = "issue")]
fn not_signed(why: impl std::fmt::Display) -> TokenErrorKind {
    TokenErrorKind::NotMinted(format!("no proof of DPoP: {why}"))
}

/// RFC 9449 section 8.1: printable ASCII without `"` and `\\`.
#[cfg(feature = "issue")]
pub(crate) fn is_nonce(nonce: &HeaderValue) -> bool {
    let is_allowed = |byte: &u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
    (1..=MAX_NONCE_LENGTH).contains(&nonce.len()) && nonce.as_bytes().iter().all(is_allowed)
}
