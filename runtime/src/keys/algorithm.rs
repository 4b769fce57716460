//! The supported signature algorithms (RFC 7518 section 3.1, RFC 8037, RFC 9864). `none` is not one.

use std::{error::Error, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::denial::quoted;

macro_rules! algorithms {
    ($($(#[$doc:meta])* $name:ident)*) => {
        /// A JWS signature algorithm.
        #[derive(Debug, Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Algorithm { $($(#[$doc])* $name,)* }

        impl Algorithm {
            /// All of them.
            pub const ALL: [Algorithm; [$(stringify!($name)),*].len()] = [$(Algorithm::$name),*];

            /// The name in the `alg` header, compared byte for byte.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

        }
    };
}

algorithms! {
    /// HMAC with SHA-256.
    HS256
    /// HMAC with SHA-384.
    HS384
    /// HMAC with SHA-512.
    HS512
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512
    /// RSASSA-PSS with SHA-256.
    PS256
    /// RSASSA-PSS with SHA-384.
    PS384
    /// RSASSA-PSS with SHA-512.
    PS512
    /// ECDSA on P-256 with SHA-256.
    ES256
    /// ECDSA on P-384 with SHA-384.
    ES384
    /// EdDSA on Ed25519.
    EdDSA
    /// The same signatures as [`EdDSA`](Self::EdDSA), under the fully specified name of RFC 9864. A token
    /// states one of the two names, and a verifier accepts the names that it lists.
    Ed25519
}

/// The type of key that an algorithm needs.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(crate) enum KeyType {
    Secret,
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl Algorithm {
    /// Whether one secret both signs and verifies (HMAC). Every verifier can then mint tokens.
    pub const fn is_symmetric(self) -> bool {
        matches!(self.key_type(), KeyType::Secret)
    }

    pub(crate) const fn key_type(self) -> KeyType {
        match self {
            Self::HS256 | Self::HS384 | Self::HS512 => KeyType::Secret,
            Self::RS256 | Self::RS384 | Self::RS512 | Self::PS256 | Self::PS384 | Self::PS512 => KeyType::Rsa,
            Self::ES256 => KeyType::P256,
            Self::ES384 => KeyType::P384,
            Self::EdDSA | Self::Ed25519 => KeyType::Ed25519,
        }
    }

    #[cfg(feature = "issue")]
    pub(crate) const fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::HS256 => jsonwebtoken::Algorithm::HS256,
            Self::HS384 => jsonwebtoken::Algorithm::HS384,
            Self::HS512 => jsonwebtoken::Algorithm::HS512,
            Self::RS256 => jsonwebtoken::Algorithm::RS256,
            Self::RS384 => jsonwebtoken::Algorithm::RS384,
            Self::RS512 => jsonwebtoken::Algorithm::RS512,
            Self::PS256 => jsonwebtoken::Algorithm::PS256,
            Self::PS384 => jsonwebtoken::Algorithm::PS384,
            Self::PS512 => jsonwebtoken::Algorithm::PS512,
            Self::ES256 => jsonwebtoken::Algorithm::ES256,
            Self::ES384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDSA | Self::Ed25519 => jsonwebtoken::Algorithm::EdDSA,
        }
    }

    /// The length of the shortest signature in bytes. An RSA key has 2048 bits at least.
    pub(crate) const fn shortest_signature(self) -> usize {
        match self.key_type() {
            KeyType::Secret => self.hash_length(),
            KeyType::Rsa => 256,
            KeyType::P256 | KeyType::Ed25519 => 64,
            KeyType::P384 => 96,
        }
    }

    /// The output length of the algorithm's hash in bytes, which is the minimum length of an HMAC secret.
    pub(crate) const fn hash_length(self) -> usize {
        match self {
            Self::HS256 | Self::RS256 | Self::PS256 | Self::ES256 => 32,
            Self::HS384 | Self::RS384 | Self::PS384 | Self::ES384 => 48,
            Self::HS512 | Self::RS512 | Self::PS512 | Self::EdDSA | Self::Ed25519 => 64,
        }
    }
}

/// A set of algorithms. It is read for every token.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
pub(crate) struct AlgorithmSet(u16);

const _: () = assert!(Algorithm::ALL.len() <= 16, "each needs a separate bit");

impl AlgorithmSet {
    pub(crate) const fn contains(self, algorithm: Algorithm) -> bool {
        self.0 & (1 << algorithm as u16) != 0
    }

    /// The algorithms that both sets have.
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Iterates in the order of [`Algorithm::ALL`].
    pub(crate) fn iter(self) -> impl Iterator<Item = Algorithm> {
        Algorithm::ALL.into_iter().filter(move |algorithm| self.contains(*algorithm))
    }
}

impl FromIterator<Algorithm> for AlgorithmSet {
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        Self(algorithms.into_iter().fold(0, |bits, algorithm| bits | 1 << algorithm as u16))
    }
}

impl fmt::Debug for AlgorithmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
            .ok_or_else(|| UnknownAlgorithm(quoted(name)))
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Algorithm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The error for a name that is not a supported algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownAlgorithm(String);

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Algorithm::ALL.map(Algorithm::as_str).join(", ");
        write!(f, "unknown algorithm `{}`, use one of {names}", self.0)
    }
}

impl Error for UnknownAlgorithm {}
