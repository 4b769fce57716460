//! A decoded segment of a token. Nearly every segment fits into a buffer on the stack. A longer one uses
//! the heap, within the limit of the token's length.

use base64::{DecodeSliceError, Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::malformed;
use crate::denial::Denial;

/// The buffer of a decoded header: twice the longest common one.
pub(crate) type HeaderRoom = Room<256>;
/// The buffer of a decoded payload; that of a service token has about 300 bytes.
pub(crate) type PayloadRoom = Room<1024>;
/// The buffer of a signature: that of an RSA key of 4096 bits has 512 bytes.
pub(crate) type SignatureRoom = Room<512>;

/// The buffer for a decoded segment.
pub(crate) struct Room<const N: usize> {
    near: [u8; N],
    far: Vec<u8>,
}

impl<const N: usize> Room<N> {
    pub(crate) const fn new() -> Self {
        Self { near: [0; N], far: Vec::new() }
    }

    /// Decodes base64url without padding (RFC 7515 section 2). Trailing bits must be zero, or one token would
    /// have several spellings.
    pub(crate) fn decode(&mut self, segment: &str, name: &str) -> Result<&[u8], Denial> {
        let refused = |error| malformed(format!("the {name} is not unpadded base64url: {error}"));
        match URL_SAFE_NO_PAD.decode_slice(segment, &mut self.near) {
            Ok(length) => Ok(self.near.get(..length).unwrap_or_default()),
            Err(DecodeSliceError::DecodeError(error)) => Err(refused(error)),
            Err(DecodeSliceError::OutputSliceTooSmall) => {
                self.far.clear();
                URL_SAFE_NO_PAD.decode_vec(segment, &mut self.far).map_err(refused)?;
                Ok(&self.far)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decoding_does_not_depend_on_the_buffer() {
        for length in [0, 1, 2, 3, 30, 31, 32, 33, 34, 35, 64, 100, 1000] {
            let bytes: Vec<u8> = (0..length).map(|index: usize| (index % 251) as u8).collect();
            let segment = URL_SAFE_NO_PAD.encode(&bytes);
            assert_eq!(Room::<32>::new().decode(&segment, "x").ok(), Some(&*bytes), "{length}");
            assert_eq!(Room::<0>::new().decode(&segment, "x").ok(), Some(&*bytes), "{length}");
            for spoilt in [format!("{segment}="), format!("{segment}*"), format!("*{segment}")] {
                let near = Room::<2048>::new().decode(&spoilt, "x").map(<[u8]>::to_vec);
                let far = Room::<0>::new().decode(&spoilt, "x").map(<[u8]>::to_vec);
                assert!(near.is_err() && near == far, "{spoilt}: {near:?} {far:?}");
            }
        }
    }

    #[test]
    fn a_reused_buffer_does_not_leak_its_former_content() {
        let mut room = Room::<4>::new();
        for bytes in [&b"a long one"[..], b"abc", b"", b"another long one", b"x"] {
            assert_eq!(room.decode(&URL_SAFE_NO_PAD.encode(bytes), "x").unwrap(), bytes);
        }
    }
}
