//! Signing keys outside of plain files, for the [`Issuer`](service_only::issue::Issuer) of `service-only`.
//!
//! [`CommandKeys`] lets another program sign. The other kinds are features. Every kind is a
//! [`Signer`](service_only::issue::Signer), so the issuer checks each signature with the public key before it returns
//! a token.
//!
//! # Features
//!
//! | feature | adds |
//! | --- | --- |
//! | `encrypted` | [`EncryptedKey`]: PKCS#8 files under a passphrase |
//! | `pkcs11` | [`Pkcs11Keys`]: keys in a hardware security module, a smart card or SoftHSM |

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

mod command;
mod device;
#[cfg(feature = "encrypted")]
mod encrypted;
mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11;

#[cfg(feature = "encrypted")]
pub use self::encrypted::EncryptedKey;
#[cfg(feature = "pkcs11")]
pub use self::pkcs11::Pkcs11Keys;
pub use self::{command::CommandKeys, device::KeyDevice, passphrase::Passphrase};
