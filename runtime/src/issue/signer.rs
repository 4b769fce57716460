//! Signers: private keys that are not in the memory of this program.
//!
//! A device or a service signs, and this module checks what it returns. A signature of another key, or of another
//! form, must never become a token.

use std::{error::Error, fmt};

use aws_lc_rs::digest;
use pkcs8::der::{Decode, Reader, SliceReader, asn1::UintRef};

use super::{IssueError, PublicJwk};
use crate::keys::{Algorithm, KeyType, VerifyingKey};

/// Signs with a private key that is elsewhere: in a token of PKCS#11, in another process, in a key management
/// service. [`SigningKey::from_signer`](super::SigningKey::from_signer) makes a key of it, for an
/// [`Issuer`](super::Issuer) or a [`SigningRing`](super::SigningRing).
///
/// `sign` gets the message and returns the signature of RFC 7518 section 3: PKCS#1 v1.5 or PSS, with a salt as long as
/// the hash, for RSA; `r || s` or DER for ECDSA; 64 bytes for Ed25519. The caller checks the signature with
/// `public_jwk`, so a wrong signature or a wrong key is an error, never a token.
///
/// HMAC has no public key, so no signer has an HMAC secret: every verifier would need a copy of it.
///
/// # Example: a key management service
///
/// `Kms` is the client of your provider. Its calls wait for the network, so mint in
/// `tokio::task::spawn_blocking` if the program is asynchronous.
///
/// ```
/// # use std::fmt;
/// use service_only::{
///     Algorithm,
///     issue::{Issuer, PublicJwk, SignError, Signer, SigningKey, message_digest},
/// };
/// # use service_only::keys::KeyError;
/// # /// A fake service: it has one key, and returns DER and raw DER signatures, as real ones do.
/// # struct Kms { key: aws_lc_rs::signature::EcdsaKeyPair }
/// # #[derive(Debug)] struct KmsError;
/// # impl fmt::Display for KmsError { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str("access denied") } }
/// # impl std::error::Error for KmsError {}
/// # impl Kms {
/// #     fn get_public_key(&self, _key: &str) -> Result<Vec<u8>, KmsError> {
/// #         use aws_lc_rs::{encoding::AsDer, signature::KeyPair};
/// #         Ok(self.key.public_key().as_der().unwrap().as_ref().to_vec())
/// #     }
/// #     fn sign_digest(&self, key: &str, digest: &[u8]) -> Result<Vec<u8>, KmsError> {
/// #         if key != "alias/tokens" { return Err(KmsError) }
/// #         let digest = aws_lc_rs::digest::Digest::import_less_safe(digest, &aws_lc_rs::digest::SHA256).unwrap();
/// #         Ok(self.key.sign_digest(&digest).unwrap().as_ref().to_vec())
/// #     }
/// # }
///
/// struct KmsSigner {
///     kms: Kms,
///     key: String,
///     public: PublicJwk,
/// }
///
/// impl KmsSigner {
///     fn open(kms: Kms, key: &str) -> Result<Self, Box<dyn std::error::Error>> {
///         let der = kms.get_public_key(key)?;
///         let public = PublicJwk::from_der(Algorithm::ES256, &der)?;
///         Ok(Self { kms, key: key.to_owned(), public })
///     }
/// }
///
/// impl Signer for KmsSigner {
///     fn public_jwk(&self) -> PublicJwk {
///         self.public.clone()
///     }
///
///     fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
///         let digest = message_digest(self.public.algorithm(), message)
///             .ok_or_else(|| SignError::new("this algorithm signs the message itself"))?;
///         self.kms.sign_digest(&self.key, &digest).map_err(|error| {
///             SignError::new(format!("the key `{}`: {error}; check the role of this program", self.key)).caused_by(error)
///         })
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
/// # let connect = || Kms { key: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap() };
/// let key = SigningKey::from_signer(KmsSigner::open(connect(), "alias/tokens")?)?;
/// let issuer = Issuer::builder().issuer("bakery-auth").key(key).build()?;
/// let token = issuer.token_for("orders").mint()?;
/// assert_eq!(token.kid(), issuer.key().kid());
/// # let wrong = SigningKey::from_signer(KmsSigner::open(connect(), "alias/other")?)?;
/// # let error = Issuer::builder().issuer("bakery-auth").key(wrong).build()?.token_for("orders").mint().unwrap_err();
/// # assert!(error.to_string().contains("`alias/other`: access denied"), "{error}");
/// # assert!(std::error::Error::source(&error).is_some());
/// # Ok(()) }
/// ```
pub trait Signer: Send + Sync + 'static {
    /// The public key, with the algorithm and the key id of the tokens. It is read once.
    fn public_jwk(&self) -> PublicJwk;

    /// Signs `message`.
    ///
    /// # Errors
    /// When the device or the service does not sign. The message names it, and the next step.
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

impl<S: Signer + ?Sized> Signer for Box<S> {
    fn public_jwk(&self) -> PublicJwk {
        (**self).public_jwk()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        (**self).sign(message)
    }
}

/// Why a [`Signer`] did not sign. The message is for the operator: it names the device or the service, and the next
/// step. It never contains a PIN or a passphrase.
#[derive(Debug)]
pub struct SignError {
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl SignError {
    /// Creates an error.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), source: None }
    }

    /// Adds the error of the device or the service.
    #[must_use]
    pub fn caused_by(self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { source: Some(source.into()), ..self }
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SignError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

/// The hash of a message that devices and key management services sign in its place. `None` for Ed25519, which signs
/// the message itself, and for HMAC.
pub fn message_digest(algorithm: Algorithm, message: &[u8]) -> Option<Vec<u8>> {
    let hash = match algorithm {
        Algorithm::RS256 | Algorithm::PS256 | Algorithm::ES256 => &digest::SHA256,
        Algorithm::RS384 | Algorithm::PS384 | Algorithm::ES384 => &digest::SHA384,
        Algorithm::RS512 | Algorithm::PS512 => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(hash, message).as_ref().to_vec())
}

/// Signs, and returns the signature only if the public key verifies it.
pub(crate) fn sign_checked(
    signer: &dyn Signer,
    algorithm: Algorithm,
    key: &VerifyingKey,
    message: &[u8],
) -> Result<Vec<u8>, IssueError> {
    let signature = signer.sign(message).map_err(IssueError::of_signer)?;
    let fixed = fixed_ecdsa(algorithm, &signature);
    let candidates = std::iter::once(signature.clone()).chain(fixed);
    candidates.into_iter().find(|signature| key.verifies(algorithm, message, signature)).ok_or_else(|| {
        let (kid, length) = (key.kid().map_or("", AsRef::as_ref), signature.len());
        IssueError::new(format!(
            "the signer returned {length} bytes that are not an {algorithm} signature of the key `{kid}`: it uses \
             another key or another algorithm than its public key says"
        ))
    })
}

/// Converts an ECDSA signature in DER (RFC 3279 section 2.2.3) to `r || s` (RFC 7518 section 3.4).
fn fixed_ecdsa(algorithm: Algorithm, der: &[u8]) -> Option<Vec<u8>> {
    let length = match algorithm.key_type() {
        KeyType::P256 => 32,
        KeyType::P384 => 48,
        _ => return None,
    };
    let mut reader = SliceReader::new(der).ok()?;
    let (r, s) = reader
        .sequence(|reader| Ok((UintRef::decode(reader)?, UintRef::decode(reader)?)))
        .ok()
        .filter(|_| reader.is_finished())?;
    let mut fixed = Vec::with_capacity(2 * length);
    for number in [r, s] {
        let bytes = number.as_bytes();
        fixed.extend(std::iter::repeat_n(0, length.checked_sub(bytes.len())?));
        fixed.extend_from_slice(bytes);
    }
    Some(fixed)
}

#[cfg(test)]
mod tests;
