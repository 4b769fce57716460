//! What a rotation needs of a place that has keys.

use service_only::{
    Algorithm,
    issue::{PublicJwk, SignError, Signer},
};

/// A place outside of this program that has private keys, each under a name.
///
/// A rotation chooses the name of a new key and writes it down before it calls [`create`](Self::create). If it is
/// killed, the next run finds the key by that name, so no second key is created.
pub trait KeyDevice: Send + Sync {
    /// The public key of this name; `None` if the device has no such key.
    ///
    /// # Errors
    /// When the device does not answer, or the key is not for `algorithm`.
    fn find(&self, algorithm: Algorithm, name: &str) -> Result<Option<PublicJwk>, SignError>;

    /// Creates a key that cannot leave the device, or returns the public half of the key of this name, if a killed run
    /// has created it. `rsa_bits` is the size of an RSA key, 3072 by default.
    ///
    /// # Errors
    /// When the device refuses, or has another kind of key of this name.
    fn create(&self, algorithm: Algorithm, rsa_bits: Option<u32>, name: &str)
    -> Result<PublicJwk, SignError>;

    /// Destroys a key. A key that does not exist is not an error.
    ///
    /// # Errors
    /// When the device refuses.
    fn destroy(&self, name: &str) -> Result<(), SignError>;

    /// A signer with this key. It connects to the device at the first signature.
    fn signer(&self, name: &str, public: PublicJwk) -> Box<dyn Signer>;

    /// The key as a text for journals and messages, without a secret: a URI of RFC 7512 for PKCS#11.
    fn reference(&self, name: &str) -> String;
}

/// The longest name of a key. Labels of tokens and aliases of key management services are shorter.
pub(crate) const MAX_NAME: usize = 256;

/// Refuses a name that a program could take for an option, or a terminal for a control sequence.
pub(crate) fn check_name(name: &str) -> Result<(), SignError> {
    let printable = name.bytes().all(|byte| byte.is_ascii_graphic());
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('-') || !printable {
        return Err(SignError::new(format!(
            "`{}` is not the name of a key; use 1 to {MAX_NAME} printable ASCII characters, without spaces and without `-` at the start",
            name.escape_default().take(80).collect::<String>()
        )));
    }
    Ok(())
}
