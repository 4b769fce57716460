//! The Ed25519 key that signs checkpoints, in the text form of signed notes.

use std::{fmt, path::Path};

use rand_core::OsRng;
use signed_note::{Signer as _, StandardSigner, StandardVerifier, Verifier as _};
use zeroize::Zeroizing;

/// The private key of a log. Its text is `PRIVATE+KEY+NAME+ID+KEY`.
#[derive(Clone)]
pub struct LogKey {
    pub(super) signer: StandardSigner,
    public: LogPublicKey,
}

/// The public key of a log. Its text is `NAME+ID+KEY`.
#[derive(Clone)]
pub struct LogPublicKey {
    pub(super) verifier: StandardVerifier,
    text: String,
}

impl LogKey {
    /// Generates a key for the log with this name, such as `bakery.example/orders`. The name is the origin of the
    /// checkpoints, so each instance that writes a log needs its own name. Returns the key and its private text.
    ///
    /// # Errors
    /// When the name is empty, or has white space or a `+`.
    pub fn generate(name: &str) -> Result<(Self, Zeroizing<String>), KeyError> {
        if !signed_note::is_key_name_valid(name) || name.chars().any(char::is_control) {
            return Err(KeyError(
                "the name of a log is not empty, and has no white space and no `+`".to_owned(),
            ));
        }
        let (private, _) = signed_note::generate_key(&mut OsRng, name);
        let private = Zeroizing::new(private);
        Ok((Self::from_text(&private)?, private))
    }

    /// Reads a private key.
    ///
    /// # Errors
    /// When the text is not a private key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let signer = StandardSigner::new(text)
            .map_err(|error| KeyError(format!("{error}; expected `PRIVATE+KEY+NAME+ID+KEY`")))?;
        // The note's own format has the public key only for a verifier, so a signature proves that both belong together.
        let public = public_of(text, &signer)?;
        Ok(Self { signer, public })
    }

    /// Reads the private key of a file.
    ///
    /// # Errors
    /// When the file cannot be read or is not a private key.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, KeyError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|error| KeyError(format!("`{}` cannot be read: {error}", path.display())))?;
        let text = Zeroizing::new(text);
        Self::from_text(&text).map_err(|KeyError(text)| KeyError(format!("`{}`: {text}", path.display())))
    }

    /// The public key, with which anyone can verify the log.
    pub fn public(&self) -> &LogPublicKey {
        &self.public
    }
}

fn public_of(private: &str, signer: &StandardSigner) -> Result<LogPublicKey, KeyError> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let malformed = || KeyError("malformed key".to_owned());
    // The key itself may have a `+`, the parts before it have none.
    let encoded = private.splitn(5, '+').nth(4).ok_or_else(malformed)?;
    let bytes = Zeroizing::new(STANDARD.decode(encoded).map_err(|_| malformed())?);
    let secret: &[u8; 32] = bytes.get(1..).and_then(|seed| seed.try_into().ok()).ok_or_else(malformed)?;
    let public = ed25519_dalek::SigningKey::from_bytes(secret).verifying_key();
    LogPublicKey::from_text(&signed_note::new_ed25519_verifier_key(signer.name(), &public))
}

impl LogPublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When the text is not a public key.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.starts_with("PRIVATE+KEY+") {
            return Err(KeyError(
                "this is a private key; pass the public one, and keep this one secret".to_owned(),
            ));
        }
        let verifier = StandardVerifier::new(text)
            .map_err(|error| KeyError(format!("{error}; expected `NAME+ID+KEY`")))?;
        Ok(Self { verifier, text: text.to_owned() })
    }

    /// The name of the log.
    pub fn name(&self) -> &str {
        self.verifier.name()
    }
}

impl fmt::Display for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for LogPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogPublicKey({})", self.text)
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("name", &self.signer.name()).finish_non_exhaustive()
    }
}

/// Why a text is not a key of a log. It never contains the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyError(pub(super) String);

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}
