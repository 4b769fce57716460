//! Private keys in files, encrypted under a passphrase: PKCS#8 with PBES2 (RFC 5958, RFC 8018).
//!
//! The file states how expensive the derivation of its key is. A file that someone else wrote could ask for gigabytes
//! of memory or for hours, so the cost is compared with limits first.

use std::fmt;

use aws_lc_rs::rand;
use pkcs8::{
    EncryptedPrivateKeyInfo, PrivateKeyInfo,
    der::Decode as _,
    pkcs5::{
        EncryptionScheme,
        pbes2::{self, Kdf},
        scrypt,
    },
};
use service_only::issue::{SignError, SigningKey};
use zeroize::Zeroizing;

use crate::Passphrase;

const TAG: &str = "ENCRYPTED PRIVATE KEY";

/// The cost of a new file: 16 MiB of memory, five times. It is one of the settings that OWASP recommends, and the
/// largest memory that OpenSSL accepts by default is 32 MiB.
const LOG_N: u8 = 14;
const BLOCKS: u32 = 8;
const PARALLEL: u32 = 5;

/// An encrypted private key: the PEM block `ENCRYPTED PRIVATE KEY`, which `openssl pkcs8 -topk8` writes.
///
/// ```
/// use service_only::{Algorithm, issue::SigningKey};
/// use service_only_signer::{EncryptedKey, Passphrase};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (key, passphrase) = (SigningKey::generate(Algorithm::ES256)?, Passphrase::new("correct horse")?);
/// let file = EncryptedKey::encrypt(&key, &passphrase)?;
///
/// let pem = EncryptedKey::from_pem(file.as_bytes())?.decrypt(&passphrase)?;
/// let again = SigningKey::from_pem(Algorithm::ES256, &pem)?;
/// assert_eq!(again.kid(), key.kid());
/// # Ok(()) }
/// ```
pub struct EncryptedKey(Vec<u8>);

impl EncryptedKey {
    /// The maximum number of PBKDF2 iterations: some seconds. OpenSSL writes 2,048 by default, and OWASP recommends
    /// 600,000.
    pub const MAX_PBKDF2_ITERATIONS: u32 = 10_000_000;

    /// The maximum memory of scrypt: 256 MiB.
    pub const MAX_SCRYPT_BYTES: u64 = 256 * 1024 * 1024;

    /// The maximum work of scrypt: its memory, times its parallelization.
    pub const MAX_SCRYPT_WORK: u64 = 1024 * 1024 * 1024;

    /// Whether a file is one that this type reads.
    pub fn is_encrypted(text: &[u8]) -> bool {
        let begin = format!("-----BEGIN {TAG}-----");
        text.windows(begin.len()).any(|window| window == begin.as_bytes())
    }

    /// Reads the file. The passphrase is not needed yet.
    ///
    /// # Errors
    /// When the text is not exactly one such block, is not PBES2, or asks for more than the limits.
    pub fn from_pem(text: &[u8]) -> Result<Self, SignError> {
        let expected =
            "expected one PEM block `ENCRYPTED PRIVATE KEY`, as `openssl pkcs8 -topk8 -scrypt` writes it";
        let block =
            pem::parse(text).map_err(|error| SignError::new(format!("not PEM: {error}; {expected}")))?;
        if block.tag() != TAG {
            let found: String = block.tag().escape_default().take(80).collect();
            return Err(SignError::new(format!("the PEM block is `{found}`; {expected}")));
        }
        let key = Self(block.into_contents());
        check_cost(&key.info()?)?;
        Ok(key)
    }

    /// Decrypts the key. Returns it as PEM, for [`SigningKey::from_pem`].
    ///
    /// # Errors
    /// When the passphrase is wrong, or the file is damaged: these two cannot be distinguished.
    pub fn decrypt(&self, passphrase: &Passphrase) -> Result<Zeroizing<Vec<u8>>, SignError> {
        let info = self.info()?;
        check_cost(&info)?;
        let wrong = || {
            SignError::new(
                "the passphrase is wrong, or the file is damaged; check which passphrase this file has",
            )
        };
        let document = info.decrypt(passphrase.expose()).map_err(|_| wrong())?;
        let block = pem::Pem::new("PRIVATE KEY", document.as_bytes());
        let text = Zeroizing::new(pem::encode(&block).into_bytes());
        // The copy in the block is a private key too.
        drop(Zeroizing::new(block.into_contents()));
        Ok(text)
    }

    /// Encrypts a key with scrypt and AES-256, as the text of a file. OpenSSL reads it.
    ///
    /// # Errors
    /// When the key is an HMAC secret, which is not PKCS#8, or is not in memory.
    pub fn encrypt(key: &SigningKey, passphrase: &Passphrase) -> Result<Zeroizing<String>, SignError> {
        if key.algorithm().is_symmetric() {
            return Err(SignError::new(format!(
                "{} uses a secret, which PKCS#8 cannot contain; encrypt a key pair, such as ES256",
                key.algorithm()
            )));
        }
        let text = key.to_secret_bytes().ok_or_else(|| SignError::new("the private key is not here"))?;
        let failed = || SignError::new("the private key could not be encrypted");
        let plain = Zeroizing::new(pem::parse(text.as_slice()).map_err(|_| failed())?.into_contents());
        let (mut salt, mut iv) = ([0; 16], [0; 16]);
        rand::fill(&mut salt).and_then(|()| rand::fill(&mut iv)).map_err(|_| failed())?;
        let cost = scrypt::Params::new(LOG_N, BLOCKS, PARALLEL, 32).map_err(|_| failed())?;
        let scheme = pbes2::Parameters::scrypt_aes256cbc(cost, &salt, &iv).map_err(|_| failed())?;
        let info = PrivateKeyInfo::from_der(&plain).map_err(|_| failed())?;
        let document = info.encrypt_with_params(scheme, passphrase.expose()).map_err(|_| failed())?;
        Ok(Zeroizing::new(pem::encode(&pem::Pem::new(TAG, document.as_bytes()))))
    }

    fn info(&self) -> Result<EncryptedPrivateKeyInfo<'_>, SignError> {
        EncryptedPrivateKeyInfo::from_der(&self.0).map_err(|_| {
            SignError::new(
                "the encryption is not PBES2 with AES and a SHA-2 hash or scrypt; rewrite the file with `openssl pkcs8 -topk8 -scrypt -in FILE -out NEW`",
            )
        })
    }
}

impl fmt::Debug for EncryptedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptedKey(..)")
    }
}

fn check_cost(info: &EncryptedPrivateKeyInfo<'_>) -> Result<(), SignError> {
    let EncryptionScheme::Pbes2(scheme) = &info.encryption_algorithm else {
        return Err(SignError::new(
            "the encryption is PBES1, which is broken; rewrite the file with `openssl pkcs8 -topk8 -scrypt -in FILE -out NEW`",
        ));
    };
    let too_much = |found: String, most: String| {
        SignError::new(format!("the file asks for {found}, more than {most}; rewrite it at a lower cost"))
    };
    match &scheme.kdf {
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > EncryptedKey::MAX_PBKDF2_ITERATIONS => Err(too_much(
            format!("{} iterations of PBKDF2", kdf.iteration_count),
            EncryptedKey::MAX_PBKDF2_ITERATIONS.to_string(),
        )),
        Kdf::Pbkdf2(kdf) if kdf.iteration_count == 0 => {
            Err(SignError::new("the file has no iterations of PBKDF2"))
        }
        Kdf::Pbkdf2(_) => Ok(()),
        Kdf::Scrypt(kdf) => {
            let (n, r, p) = (kdf.cost_parameter, u64::from(kdf.block_size), u64::from(kdf.parallelization));
            if !n.is_power_of_two() || n < 2 || r == 0 || p == 0 {
                return Err(SignError::new("the parameters of scrypt in the file are not valid"));
            }
            let memory = n.saturating_mul(r).saturating_mul(128);
            if memory > EncryptedKey::MAX_SCRYPT_BYTES {
                let most = format!("{} bytes", EncryptedKey::MAX_SCRYPT_BYTES);
                return Err(too_much(format!("{memory} bytes of memory for scrypt"), most));
            }
            if memory.saturating_mul(p) > EncryptedKey::MAX_SCRYPT_WORK {
                let most = format!("{} bytes", EncryptedKey::MAX_SCRYPT_WORK);
                return Err(too_much(format!("{p} times {memory} bytes for scrypt"), most));
            }
            Ok(())
        }
        _ => Err(SignError::new("the file derives its key by an unknown function; use scrypt or PBKDF2")),
    }
}
