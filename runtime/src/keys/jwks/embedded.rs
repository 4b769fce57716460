//! The public key in the header of a proof (RFC 9449 section 4.2). A key from the sender proves nothing alone: its
//! thumbprint is compared with the one in the token.

use jsonwebtoken::DecodingKey;
use serde::{Deserialize, Deserializer};

use super::{member::Jwk, merge::Material};
use crate::{
    denial::quoted,
    keys::{Algorithm, KeyError, Prepared, thumbprint::RequiredMembers},
};

/// A JWK that is not checked yet.
pub(crate) struct EmbeddedJwk(Jwk);

impl<'de> Deserialize<'de> for EmbeddedJwk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Jwk::deserialize(deserializer).map(Self)
    }
}

/// A public key, ready for one algorithm.
pub(crate) struct EmbeddedKey {
    pub(crate) prepared: Prepared,
    /// The RFC 7638 thumbprint.
    pub(crate) thumbprint: [u8; 32],
}

impl EmbeddedJwk {
    /// The algorithm that the key names. Its owner signs proofs with this one only, so it is required.
    #[cfg(feature = "experimental-wimse")]
    pub(crate) fn proof_algorithm(&self) -> Result<Algorithm, KeyError> {
        let name = self.0.alg.required("alg")?;
        let mut known = Algorithm::ALL.into_iter().filter(|algorithm| !algorithm.is_symmetric());
        known.find(|algorithm| algorithm.as_str() == name).ok_or_else(|| {
            KeyError::unusable(format!(
                "its `alg` is `{}`, which is not a signature by a key pair",
                quoted(name)
            ))
        })
    }

    /// Checks the key by the rules of a JWK set, for one algorithm: no private member, no secret, no weak key.
    pub(crate) fn key(self, algorithm: Algorithm) -> Result<EmbeddedKey, KeyError> {
        let Self(jwk) = self;
        jwk.check_usable()?;
        if !jwk.candidates()?.contains(&algorithm) {
            let kty = quoted(jwk.kty.text().unwrap_or_default());
            return Err(KeyError::unusable(format!("its `kty` is `{kty}`, which is not for {algorithm}")));
        }
        let material = jwk.material()?;
        let key: DecodingKey = material.decoding_key();
        Ok(EmbeddedKey { prepared: Prepared::new(algorithm, &key)?, thumbprint: material.thumbprint() })
    }
}

impl Material {
    fn thumbprint(&self) -> [u8; 32] {
        match self {
            Self::Rsa { n, e } => RequiredMembers::Rsa { n, e }.thumbprint(),
            Self::Ec(point) => {
                let coordinates = point.strip_prefix(&[4]).unwrap_or_default();
                let (x, y) = coordinates.split_at_checked(coordinates.len() / 2).unwrap_or_default();
                let crv = if x.len() == 32 { "P-256" } else { "P-384" };
                RequiredMembers::Ec { crv, x, y }.thumbprint()
            }
            Self::Ed25519(x) => RequiredMembers::Ed25519 { x }.thumbprint(),
        }
    }
}
