//! Verifying keys: their algorithms, how they are read, and how one is selected for a token.
//!
//! A key has its own algorithms; the token's `alg` must only match one of them (RFC 8725 section 3.1). Keys
//! are parsed once, refused if they are weak, and stored in the form that the crypto backend needs.
//! jsonwebtoken's types provide the key material. aws-lc-rs, which is also jsonwebtoken's backend
//! here, checks signatures with the parsed keys.

mod algorithm;
mod file;
pub(crate) mod identity;
pub(crate) mod jwks;
mod prepared;
#[cfg(feature = "remote")]
mod remote;
mod ring;
mod secret;
mod set;
mod source;
pub(crate) mod thumbprint;
mod weak;

use std::{
    borrow::Borrow,
    fmt,
    sync::{Arc, OnceLock},
};

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use file::{FileKeys, FileKeysBuilder};
pub use jwks::SkippedKey;
#[cfg(feature = "remote")]
pub use remote::{RemoteError, RemoteErrorKind, RemoteJwks, RemoteJwksBuilder};
pub use ring::{KeyRing, KeyState};
#[cfg(any(feature = "config", feature = "issue"))]
pub(crate) use secret::secret_name;
pub use secret::{SecretEncoding, UnknownEncoding};
pub use set::KeySet;
pub use source::{KeySource, KeysUnavailable, Refresh};

#[cfg(feature = "issue")]
pub(crate) use self::{
    algorithm::KeyType,
    weak::{check_rsa, check_secret, significant},
};
pub(crate) use algorithm::AlgorithmSet;

use jsonwebtoken::DecodingKey;
pub(crate) use prepared::Prepared;
use serde::{Serialize, Serializer};

/// The name of a key (`kid`): an opaque text that is compared byte for byte. It is cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// The start of the kid of a key for development only: `service-token dev` creates such
    /// keys. A verifier that is compiled without debug assertions, as release builds are, refuses them.
    pub const DEVELOPMENT_PREFIX: &str = "dev-only.";

    /// The maximum length of a key's `kid`, in bytes. Thumbprints have 43.
    pub const MAX_LENGTH: usize = 256;

    /// Creates a key id from any text.
    pub fn new(kid: impl Into<String>) -> Self {
        Self(kid.into().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the key is for development only.
    pub fn is_development(&self) -> bool {
        self.0.starts_with(KeyId::DEVELOPMENT_PREFIX)
    }
}

/// Lets a map find a key by a text of the token.
impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for KeyId {
    fn from(kid: &str) -> Self {
        Self(kid.into())
    }
}

impl From<String> for KeyId {
    fn from(kid: String) -> Self {
        Self(kid.into())
    }
}

impl AsRef<str> for KeyId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A public key, or an HMAC secret, with the algorithms that it may verify.
///
/// In a JWK set, all entries with one `kid` are one `VerifyingKey`: RFC 7517 section 4.5 allows different
/// keys to share a `kid`. The token's `alg` then selects the entry. If several are for one algorithm, each is tried.
///
/// A key with a name, such as one of a JWK set, is for tokens with this `kid`, or with none. A lone key without
/// a name, such as a secret or a PEM, cannot compare a name, so it is for tokens with any `kid`. Name it
/// with [`with_kid`](Self::with_kid).
///
/// `Debug` prints the algorithms and the key id. The secret of an HMAC key is zeroed on drop.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<KeyId>,
    /// A lone key without a name is for tokens with any `kid`. A key of a JWK set
    /// without `kid` is only for tokens that name none.
    answers_any_kid: bool,
    prepared: Vec<(Algorithm, Prepared)>,
    /// The set that contains only this key, created for the first token that uses the key as a source.
    alone: OnceLock<KeySet>,
}

impl VerifyingKey {
    /// The minimum size of an RSA key: smaller keys are refused (RFC 7518 section 3.3).
    pub const MIN_RSA_BITS: usize = weak::MIN_RSA_BITS;

    /// The maximum size of an RSA key: larger keys are refused, because a caller could make a service spend too much time
    /// on a signature check.
    pub const MAX_RSA_BITS: usize = weak::MAX_RSA_BITS;

    /// The minimum RSA public exponent: smaller ones are refused (NIST SP 800-56B section 6.2).
    pub const MIN_RSA_EXPONENT: u64 = weak::MIN_RSA_EXPONENT;

    /// Creates a key from an HMAC secret, for one algorithm.
    ///
    /// # Errors
    /// When `algorithm` is not HS256, HS384 or HS512, or the secret is shorter than the algorithm's
    /// hash: 32, 48 or 64 bytes (RFC 7518 section 3.2).
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        weak::check_secret(algorithm, secret)?;
        let key = DecodingKey::from_secret(secret).map_err(|_| KeyError::unusable("the secret is empty"))?;
        Ok(Self::given(vec![(algorithm, Prepared::new(algorithm, &key)?)]))
    }

    /// Creates a key from an HMAC secret, for every HMAC algorithm that it is long enough for. A secret of 64 bytes
    /// is for HS256, HS384 and HS512.
    ///
    /// # Errors
    /// When the secret is shorter than 32 bytes (RFC 7518 section 3.2).
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        weak::check_secret(Algorithm::HS256, secret)?;
        let key = DecodingKey::from_secret(secret).map_err(|_| KeyError::unusable("the secret is empty"))?;
        let long_enough = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512]
            .into_iter()
            .filter(|algorithm| weak::check_secret(*algorithm, secret).is_ok());
        let prepared = long_enough
            .map(|algorithm| Ok((algorithm, Prepared::new(algorithm, &key)?)))
            .collect::<Result<_, _>>()?;
        Ok(Self::given(prepared))
    }

    /// Reads a public key in PEM: `PUBLIC KEY` (RFC 5280), for RSA also `RSA PUBLIC KEY` (RFC 8017).
    ///
    /// # Errors
    /// When the text is not exactly one such block, the key has a type that does not fit `algorithm`, or
    /// the key is weak: RSA below 2048 bits or with an exponent below 65537, Ed25519 of small order.
    pub fn from_pem(algorithm: Algorithm, pem: &[u8]) -> Result<Self, KeyError> {
        Ok(Self::given(vec![(algorithm, Prepared::from_pem(algorithm, pem)?)]))
    }

    /// Names the key. It is then only for tokens with this `kid`, or with none.
    #[must_use]
    pub fn with_kid(self, kid: impl Into<String>) -> Self {
        Self { kid: Some(KeyId::new(kid)), answers_any_kid: false, alone: OnceLock::new(), ..self }
    }

    /// The key's name.
    pub fn kid(&self) -> Option<&KeyId> {
        self.kid.as_ref()
    }

    /// The algorithms that the key is for.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.prepared.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether `signature` over `message` verifies with this key and `algorithm`. Also `false` if the key
    /// is not for that algorithm.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        self.prepared_for(algorithm).any(|prepared| prepared.verifies(message, signature))
    }

    /// Whether this key verifies with `algorithm` every signature that `other` does, whatever their names and
    /// formats are. If several keys share a `kid`, each of them must still be here, because it is not stored which
    /// of them verified a token.
    pub(crate) fn is_same_for(&self, algorithm: Algorithm, other: &Self) -> bool {
        let is_here = |other: &Prepared| self.prepared_for(algorithm).any(|own| own.is_same(other));
        other.is_for(algorithm) && other.prepared_for(algorithm).all(is_here)
    }

    fn prepared_for(&self, algorithm: Algorithm) -> impl Iterator<Item = &Prepared> {
        self.prepared.iter().filter(move |(own, _)| *own == algorithm).map(|(_, prepared)| prepared)
    }

    /// The set that contains only this key.
    pub(crate) fn alone(&self) -> &KeySet {
        self.alone.get_or_init(|| KeySet::from(self.clone()))
    }

    pub(crate) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|own| own == algorithm)
    }

    #[cfg(feature = "issue")]
    pub(crate) fn named(kid: KeyId, algorithm: Algorithm, prepared: Prepared) -> Self {
        Self::of_set(Some(kid), vec![(algorithm, prepared)])
    }

    fn given(prepared: Vec<(Algorithm, Prepared)>) -> Self {
        Self { kid: None, answers_any_kid: true, prepared, alone: OnceLock::new() }
    }

    fn of_set(kid: Option<KeyId>, prepared: Vec<(Algorithm, Prepared)>) -> Self {
        Self { kid, answers_any_kid: false, prepared, alone: OnceLock::new() }
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let algorithms: Vec<_> = self.algorithms().collect();
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid)
            .field("algorithms", &algorithms)
            .finish_non_exhaustive()
    }
}

/// Why a key or a set of keys cannot be used. The message states what is wrong and how to fix it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError {
    kind: KeyErrorKind,
    message: String,
}

/// The kinds of [`KeyError`].
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyErrorKind {
    /// The key works but is not accepted, because it is too weak.
    Weak,
    /// The key has the wrong type, or is not a key.
    Unusable,
    /// The file could not be read.
    Unreadable,
}

impl KeyError {
    pub(crate) fn weak(message: impl Into<String>) -> Self {
        Self { kind: KeyErrorKind::Weak, message: message.into() }
    }

    pub(crate) fn unusable(message: impl Into<String>) -> Self {
        Self { kind: KeyErrorKind::Unusable, message: message.into() }
    }

    /// Creates the error of one member of a JWK set.
    #[cfg(feature = "issue")]
    pub(crate) fn of_key(self, index: usize) -> Self {
        Self { message: format!("key {}: {}", index + 1, self.message), ..self }
    }

    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self { kind: KeyErrorKind::Unreadable, message: message.into() }
    }

    /// The kind of the error.
    pub fn kind(&self) -> KeyErrorKind {
        self.kind
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests;
