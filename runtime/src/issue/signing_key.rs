//! Private keys: how they are generated, read from files, and used to sign through jsonwebtoken, or by a
//! [`Signer`].

use std::fmt;

use aws_lc_rs::{
    encoding::AsDer,
    rand,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
        EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use jsonwebtoken::{
    DecodingKey, EncodingKey,
    crypto::{JwtSigner, aws_lc::DEFAULT_PROVIDER},
};
use pkcs8::{
    ObjectIdentifier,
    der::{
        Decode, SliceReader,
        asn1::{AnyRef, UintRef},
    },
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{
    IssueError, base64url,
    public_jwk::{Public, PublicJwk},
    signer::{self, Signer},
};
use crate::{
    denial::quoted,
    keys::{
        Algorithm, KeyError, KeyErrorKind, KeyId, KeyType, Prepared, VerifyingKey, check_rsa, check_secret,
        identity, secret_name,
    },
    text,
};

/// A private key, or an HMAC secret, with its algorithm and name. The private key is in this value, or a [`Signer`]
/// uses it elsewhere, such as in a token of PKCS#11 or a key management service.
///
/// `Debug` shows the algorithm and the key id. The material is zeroed on drop.
pub struct SigningKey {
    algorithm: Algorithm,
    kid: KeyId,
    material: Material,
    /// `None` for an HMAC secret.
    public: Option<PublicJwk>,
    verifying: VerifyingKey,
}

/// What signs.
enum Material {
    Here {
        /// The PKCS#8 form of a private key, or the bytes of a secret.
        secret: Zeroizing<Vec<u8>>,
        encoding: EncodingKey,
    },
    Elsewhere(Box<dyn Signer>),
}

impl SigningKey {
    /// Generates a key. An RSA key has 3072 bits, which NIST SP 800-57 accepts beyond 2030; a secret is
    /// as long as the hash.
    ///
    /// # Errors
    /// When the operating system provides no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        match algorithm.key_type() {
            KeyType::Secret => Self::generate_secret(algorithm),
            KeyType::Rsa => Self::generate_rsa(algorithm, 3072),
            KeyType::P256 | KeyType::P384 => {
                let key = EcdsaKeyPair::generate(ecdsa(algorithm)?).map_err(|_| no_randomness())?;
                let document = key.to_pkcs8v1().map_err(|_| no_randomness())?;
                Self::from_pkcs8(algorithm, document.as_ref())
            }
            KeyType::Ed25519 => {
                let key = Ed25519KeyPair::generate().map_err(|_| no_randomness())?;
                let document = key.to_pkcs8v1().map_err(|_| no_randomness())?;
                Self::from_pkcs8(algorithm, document.as_ref())
            }
        }
    }

    /// Generates an RSA key of 2048, 3072, 4096 or 8192 bits.
    ///
    /// # Errors
    /// When the size is a different one, or `algorithm` does not use RSA.
    pub fn generate_rsa(algorithm: Algorithm, bits: usize) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            _ => {
                return Err(KeyError::unusable(format!(
                    "RSA keys of {bits} bits are not supported; use 2048, 3072, 4096 or 8192"
                )));
            }
        };
        if algorithm.key_type() != KeyType::Rsa {
            return Err(KeyError::unusable(format!("{algorithm} does not use RSA")));
        }
        let key = RsaKeyPair::generate(size).map_err(|_| no_randomness())?;
        let document =
            AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&key).map_err(|_| no_randomness())?;
        Self::from_pkcs8(algorithm, document.as_ref())
    }

    /// Generates a secret as base64url text, so that a file and a variable can hold it. The text
    /// itself is the secret, longer than the hash.
    fn generate_secret(algorithm: Algorithm) -> Result<Self, KeyError> {
        let mut bytes = Zeroizing::new(vec![0; algorithm.hash_length()]);
        rand::fill(&mut bytes).map_err(|_| no_randomness())?;
        let text = Zeroizing::new(base64url(&*bytes));
        Self::hmac(algorithm, text.as_bytes())
    }

    /// Creates a key from an HMAC secret.
    ///
    /// # Errors
    /// As [`VerifyingKey::hmac`].
    pub fn hmac(algorithm: Algorithm, secret: &[u8]) -> Result<Self, KeyError> {
        check_secret(algorithm, secret)?;
        let kid = secret_name(secret);
        let empty = |_| KeyError::unusable("the secret is empty");
        let prepared = Prepared::new(algorithm, &DecodingKey::from_secret(secret).map_err(empty)?)?;
        Ok(Self {
            algorithm,
            verifying: VerifyingKey::named(kid.clone(), algorithm, prepared),
            kid,
            material: Material::Here {
                secret: Zeroizing::new(secret.to_vec()),
                encoding: EncodingKey::from_secret(secret).map_err(empty)?,
            },
            public: None,
        })
    }

    /// Uses a key that is elsewhere. Its name and algorithm are those of the signer's public key.
    ///
    /// Each signature is checked with the public key before it is returned, so a signer that uses another key mints
    /// nothing. An ECDSA signature in DER, as most devices return it, is converted to the form of a JWS.
    ///
    /// # Errors
    /// When a verifier would refuse the public key, because it is weak for example.
    pub fn from_signer(signer: impl Signer) -> Result<Self, KeyError> {
        let jwk = signer.public_jwk();
        let (algorithm, kid) = (jwk.algorithm(), jwk.kid().clone());
        if kid.as_str().is_empty() || kid.as_str().len() > KeyId::MAX_LENGTH {
            return Err(KeyError::unusable(format!(
                "the key id of the signer has {} bytes, and needs 1 to {}",
                kid.as_str().len(),
                KeyId::MAX_LENGTH
            )));
        }
        Ok(Self {
            algorithm,
            kid,
            verifying: jwk.verifying_key()?,
            public: Some(jwk),
            material: Material::Elsewhere(Box::new(signer)),
        })
    }

    /// Reads a private key in PEM: `PRIVATE KEY` (PKCS#8), for RSA also `RSA PRIVATE KEY`, for ECDSA also
    /// `EC PRIVATE KEY`. Its name is the RFC 7638 thumbprint of the public key.
    ///
    /// # Errors
    /// When the text is not exactly one such block, the key has a type that does not fit `algorithm`, or
    /// the key is weak; see [`VerifyingKey::from_pem`].
    pub fn from_pem(algorithm: Algorithm, text: &[u8]) -> Result<Self, KeyError> {
        let decoded = text::decode(text).ok();
        let text = decoded.as_deref().map_or(text, str::as_bytes);
        let block = one_private_block(algorithm, text)?;
        let tag = block.tag().to_owned();
        let der = Zeroizing::new(block.into_contents());
        let unusable = || unusable(algorithm, &tag, &der);
        match (tag.as_str(), algorithm.key_type()) {
            (_, KeyType::Secret) => Err(KeyError::unusable(format!(
                "{algorithm} uses a secret, and the file holds a private key"
            ))),
            ("PRIVATE KEY", _) => Self::from_pkcs8(algorithm, &der),
            ("RSA PRIVATE KEY", KeyType::Rsa) => {
                let key = RsaKeyPair::from_der(&der).map_err(|_| unusable())?;
                let document = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&key)
                    .map_err(|_| no_randomness())?;
                Self::from_pkcs8(algorithm, document.as_ref())
            }
            ("EC PRIVATE KEY", KeyType::P256 | KeyType::P384) => {
                let key =
                    EcdsaKeyPair::from_private_key_der(ecdsa(algorithm)?, &der).map_err(|_| unusable())?;
                let document = key.to_pkcs8v1().map_err(|_| no_randomness())?;
                Self::from_pkcs8(algorithm, document.as_ref())
            }
            _ => Err(unusable()),
        }
    }

    pub(crate) fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<Self, KeyError> {
        let (encoding, public) = match algorithm.key_type() {
            KeyType::Secret => return Err(KeyError::unusable(format!("{algorithm} uses a secret"))),
            KeyType::Rsa => {
                let key = RsaKeyPair::from_pkcs8(der).map_err(|_| unusable(algorithm, PKCS8, der))?;
                let parts = aws_lc_rs::rsa::PublicKeyComponents::<Vec<u8>>::from(key.public_key());
                // jsonwebtoken expects the inner RFC 8017 structure.
                let info =
                    pkcs8::PrivateKeyInfo::from_der(der).map_err(|_| unusable(algorithm, PKCS8, der))?;
                (EncodingKey::from_rsa_der(info.private_key), Public::Rsa { n: parts.n, e: parts.e })
            }
            KeyType::P256 | KeyType::P384 => {
                let key = EcdsaKeyPair::from_pkcs8(ecdsa(algorithm)?, der)
                    .map_err(|_| unusable(algorithm, PKCS8, der))?;
                let (crv, length) =
                    if algorithm.key_type() == KeyType::P256 { ("P-256", 32) } else { ("P-384", 48) };
                let point = key.public_key().as_ref().strip_prefix(&[4]).unwrap_or_default();
                let (x, y) = point
                    .split_at_checked(length)
                    .ok_or_else(|| KeyError::unusable("the point of the key is compressed"))?;
                (EncodingKey::from_ec_der(der), Public::Ec { crv, x: x.to_vec(), y: y.to_vec() })
            }
            KeyType::Ed25519 => {
                let key = Ed25519KeyPair::from_pkcs8(der).map_err(|_| unusable(algorithm, PKCS8, der))?;
                (EncodingKey::from_ed_der(der), Public::Ed25519 { x: key.public_key().as_ref().to_vec() })
            }
        };
        let jwk = public.jwk(algorithm);
        // Refuse keys that a verifier would refuse.
        let verifying = jwk.verifying_key()?;
        let material = Material::Here { secret: Zeroizing::new(der.to_vec()), encoding };
        Ok(Self { algorithm, kid: jwk.kid().clone(), material, public: Some(jwk), verifying })
    }

    /// Renames the key.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = KeyId::new(kid);
        self.verifying = self.verifying.with_kid(self.kid.as_str());
        self.public = self.public.map(|jwk| jwk.with_kid(self.kid.as_str()));
        self
    }

    /// The algorithm that it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key's name.
    pub fn kid(&self) -> &KeyId {
        &self.kid
    }

    /// The key that verifies its signatures, under the same name. For an HMAC key, that is the secret.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// The public key as a JWK; `None` for an HMAC key.
    pub fn public_jwk(&self) -> Option<PublicJwk> {
        self.public.clone()
    }

    /// The content of the key's file: PKCS#8 in PEM, or the bytes of the secret. `None` if the key is elsewhere.
    pub fn to_secret_bytes(&self) -> Option<Zeroizing<Vec<u8>>> {
        match (&self.material, &self.public) {
            (Material::Elsewhere(_), _) => None,
            (Material::Here { secret, .. }, None) => Some(secret.clone()),
            (Material::Here { secret, .. }, Some(_)) => {
                let block = pem::Pem::new("PRIVATE KEY", secret.to_vec());
                let text = Zeroizing::new(pem::encode(&block).into_bytes());
                // The copy in the block is a private key too.
                drop(Zeroizing::new(block.into_contents()));
                Some(text)
            }
        }
    }

    /// Signs `message`, in the signature format of a JWS (RFC 7518 section 3). For test kits, which create
    /// tokens that an [`Issuer`](super::Issuer) does not mint.
    ///
    /// # Errors
    /// When the backend or the signer fails, or the signer returns a signature of another key.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, IssueError> {
        let encoding = match &self.material {
            Material::Here { encoding, .. } => encoding,
            Material::Elsewhere(signer) => {
                return signer::sign_checked(&**signer, self.algorithm, &self.verifying, message);
            }
        };
        let failed = |_| IssueError::new("the crypto backend could not sign");
        // Name the backend's provider directly: the process-wide one panics if a program has
        // enabled two and installed none.
        let signer: Box<dyn JwtSigner> =
            (DEFAULT_PROVIDER.signer_factory)(&self.algorithm.to_jsonwebtoken(), encoding).map_err(failed)?;
        signer.try_sign(message).map_err(|_| IssueError::new("the crypto backend could not sign"))
    }

    /// Signs two JSON objects as a JWS in compact form.
    pub(crate) fn sign_json(
        &self,
        header: &impl Serialize,
        payload: &impl Serialize,
    ) -> Result<String, IssueError> {
        let json = |error: serde_json::Error| IssueError::new(error.to_string());
        let header = base64url(serde_json::to_vec(header).map_err(json)?);
        let payload = base64url(serde_json::to_vec(payload).map_err(json)?);
        let signed = format!("{header}.{payload}");
        let signature = base64url(self.sign(signed.as_bytes())?);
        Ok(format!("{signed}.{signature}"))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}

pub(crate) fn ecdsa(algorithm: Algorithm) -> Result<&'static EcdsaSigningAlgorithm, KeyError> {
    match algorithm {
        Algorithm::ES256 => Ok(&ECDSA_P256_SHA256_FIXED_SIGNING),
        Algorithm::ES384 => Ok(&ECDSA_P384_SHA384_FIXED_SIGNING),
        _ => Err(KeyError::unusable(format!("{algorithm} does not use ECDSA"))),
    }
}

const PKCS8: &str = "PRIVATE KEY";

/// Reads the only block of a private key, of any kind, that is not encrypted.
fn one_private_block(algorithm: Algorithm, text: &[u8]) -> Result<pem::Pem, KeyError> {
    let remedy = "expected one PEM block `PRIVATE KEY` (PKCS#8)";
    let blocks =
        pem::parse_many(text).map_err(|error| KeyError::unusable(format!("not PEM: {error}; {remedy}")))?;
    // EC keys of OpenSSL have a block of their parameters first.
    let mut blocks = blocks.into_iter().filter(|block| block.tag() != "EC PARAMETERS");
    let block = match (blocks.next(), blocks.next()) {
        (Some(block), None) => block,
        (Some(_), Some(_)) => {
            return Err(KeyError::unusable(format!("not exactly one PEM block but several; {remedy}")));
        }
        (None, _) => {
            let found = identity::without_pem(text);
            return Err(KeyError::unusable(format!("not exactly one PEM block: {found}; {remedy}")));
        }
    };
    // RFC 1421 section 4.6.1.1: files of SEC 1 and PKCS#1 use this header to mark encryption.
    let encrypted = block.headers().get("Proc-Type").is_some_and(|kind| kind.contains("ENCRYPTED"));
    match block.tag() {
        "ENCRYPTED PRIVATE KEY" => Err(encrypted_key()),
        _ if encrypted => Err(encrypted_key()),
        "OPENSSH PRIVATE KEY" => Err(KeyError::unusable(format!(
            "this is a private key in the format of OpenSSH; {remedy}: `ssh-keygen -p -m PKCS8 -f COPY` rewrites \
             a copy of an RSA or ECDSA key, and `service-token keygen --algorithm {algorithm}` makes a new one"
        ))),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => Err(KeyError::unusable(format!(
            "this is a public key, but signing needs the private key; {remedy}"
        ))),
        "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => Err(KeyError::unusable(format!(
            "this is a certificate with a public key, but signing needs the private key; {remedy}"
        ))),
        tag if tag.ends_with("PRIVATE KEY") => Ok(block),
        tag => Err(KeyError::unusable(format!("the PEM block is `{}`; {remedy}", quoted(tag)))),
    }
}

fn encrypted_key() -> KeyError {
    KeyError::unusable(
        "the private key is encrypted: `openssl pkey -in FILE` asks for the passphrase and writes the unencrypted key",
    )
}

/// Explains why the backend refuses a private key: what it is, and what to do.
fn unusable(algorithm: Algorithm, tag: &str, der: &[u8]) -> KeyError {
    if let Some(weak) = rsa_numbers(tag, der).and_then(|(n, e)| check_rsa(&n, &e).err()) {
        let message = format!("{weak}: `service-token keygen --algorithm {algorithm}` creates a new key");
        return match weak.kind() {
            KeyErrorKind::Weak => KeyError::weak(message),
            _ => KeyError::unusable(message),
        };
    }
    KeyError::unusable(identity::mismatch(algorithm, tag, der))
}

/// Reads the modulus and the exponent of an RSA key in PKCS#8 or PKCS#1 (RFC 8017 appendix A.1.2).
fn rsa_numbers(tag: &str, der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = match tag {
        "RSA PRIVATE KEY" => der,
        _ => {
            pkcs8::PrivateKeyInfo::from_der(der)
                .ok()
                .filter(|info| info.algorithm.oid == RSA_ENCRYPTION)?
                .private_key
        }
    };
    let numbers = AnyRef::from_der(key).ok()?;
    let mut reader = SliceReader::new(numbers.value()).ok()?;
    let _version = UintRef::decode(&mut reader).ok()?;
    let mut number = || UintRef::decode(&mut reader).ok().map(|number| number.as_bytes().to_vec());
    Some((number()?, number()?))
}

/// The object identifier of RSA (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

fn no_randomness() -> KeyError {
    KeyError::unreadable("the crypto backend could not generate the key")
}
