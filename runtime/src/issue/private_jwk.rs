//! Reads private keys in the form of RFC 7517 and RFC 7518, as other libraries write them.

use aws_lc_rs::{
    encoding::AsDer,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use zeroize::{Zeroize, Zeroizing};

use super::signing_key::{SigningKey, ecdsa};
use crate::{
    denial::quoted,
    keys::{Algorithm, KeyError, KeySet, KeyType, significant},
    text,
};

impl SigningKey {
    /// Reads the private keys of a JWK set, or of one JWK (RFC 7517, RFC 7518 section 6), in their order. The
    /// algorithm is that of `alg`, or by default the algorithm of the curve.
    ///
    /// ```
    /// use service_only::{Algorithm, issue::SigningKey};
    ///
    /// // RFC 8037 appendix A.1.
    /// let jwk = r#"{"kty":"OKP","crv":"Ed25519","kid":"2026-01",
    ///     "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    ///     "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// let keys = SigningKey::from_private_jwks(jwk.as_bytes()).unwrap();
    /// assert_eq!((keys[0].algorithm(), keys[0].kid().as_str()), (Algorithm::EdDSA, "2026-01"));
    ///
    /// // A public key signs nothing.
    /// let public = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// assert!(SigningKey::from_private_jwks(public.as_bytes()).is_err());
    /// ```
    ///
    /// # Errors
    /// When the text is neither, is larger than [`KeySet::MAX_JWKS_BYTES`] or contains no
    /// key. Also when a key has no private half, is weak, or has parts that do not belong together.
    pub fn from_private_jwks(json: &[u8]) -> Result<Vec<Self>, KeyError> {
        if json.len() > KeySet::MAX_JWKS_BYTES {
            return Err(KeyError::unusable(format!(
                "the JWK set is larger than {} bytes",
                KeySet::MAX_JWKS_BYTES
            )));
        }
        // serde's message may quote a wrong member, which is a secret.
        let not_one = |_| KeyError::unusable("neither a JWK set nor a JWK: not the members of RFC 7517");
        let text = text::decode(json)
            .map_err(|why| KeyError::unusable(format!("neither a JWK set nor a JWK: {why}")))?;
        let keys = match serde_json::from_str(&text).map_err(not_one)? {
            Document::Set { keys } => keys,
            Document::One(key) => return Ok(vec![key.key()?]),
        };
        if keys.is_empty() {
            return Err(KeyError::unusable("the JWK set has no key"));
        }
        keys.iter().enumerate().map(|(index, key)| key.key().map_err(|error| error.of_key(index))).collect()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Set { keys: Vec<PrivateJwk> },
    One(Box<PrivateJwk>),
}

#[derive(Deserialize)]
struct PrivateJwk {
    kty: String,
    alg: Option<String>,
    kid: Option<String>,
    crv: Option<String>,
    #[serde(default)]
    n: Member,
    #[serde(default)]
    e: Member,
    #[serde(default)]
    x: Member,
    #[serde(default)]
    y: Member,
    #[serde(default)]
    d: Member,
    #[serde(default)]
    p: Member,
    #[serde(default)]
    q: Member,
    #[serde(default)]
    dp: Member,
    #[serde(default)]
    dq: Member,
    #[serde(default)]
    qi: Member,
    #[serde(default)]
    k: Member,
}

/// base64url of bytes that may be secret.
#[derive(Deserialize, Default)]
#[serde(transparent)]
struct Member(Option<String>);

impl Drop for Member {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Member {
    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let text = self.0.as_deref().ok_or_else(|| KeyError::unusable(format!("the JWK has no `{name}`")))?;
        URL_SAFE_NO_PAD
            .decode(text)
            .map(Zeroizing::new)
            .map_err(|_| KeyError::unusable(format!("`{name}` of the JWK is not unpadded base64url")))
    }
}

impl Member {
    /// Reads a number without leading zero octets, which Java writes as a sign.
    fn number(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.bytes(name).map(|bytes| Zeroizing::new(significant(&bytes).to_vec()))
    }
}

impl PrivateJwk {
    fn key(&self) -> Result<SigningKey, KeyError> {
        let algorithm = self.algorithm()?;
        let key = match algorithm.key_type() {
            KeyType::Secret => SigningKey::hmac(algorithm, &self.k.bytes("k")?),
            KeyType::Rsa => self.rsa(algorithm),
            KeyType::P256 => self.ec(algorithm, 32),
            KeyType::P384 => self.ec(algorithm, 48),
            KeyType::Ed25519 => self.ed25519(algorithm),
        }?;
        Ok(match &self.kid {
            Some(kid) => key.with_kid(kid),
            None => key,
        })
    }

    fn algorithm(&self) -> Result<Algorithm, KeyError> {
        let own = match (self.kty.as_str(), self.crv.as_deref()) {
            ("EC", Some("P-256")) => Some(Algorithm::ES256),
            ("EC", Some("P-384")) => Some(Algorithm::ES384),
            ("OKP", Some("Ed25519")) => Some(Algorithm::EdDSA),
            ("RSA" | "oct", _) => None,
            (kty, crv) => {
                let curve = crv.map(|crv| format!(" on `{}`", quoted(crv))).unwrap_or_default();
                return Err(KeyError::unusable(format!(
                    "no algorithm here uses this `{}` key{curve}",
                    quoted(kty)
                )));
            }
        };
        let said = self.alg.as_deref().map(|alg| {
            alg.parse::<Algorithm>().map_err(|error| KeyError::unusable(format!("`alg` of the JWK: {error}")))
        });
        let fits = |algorithm: Algorithm| match algorithm.key_type() {
            KeyType::Rsa => self.kty == "RSA",
            KeyType::Secret => self.kty == "oct",
            key_type => own.is_some_and(|own| own.key_type() == key_type),
        };
        match (said.transpose()?, own) {
            (Some(said), _) if fits(said) => Ok(said),
            (Some(said), _) => {
                Err(KeyError::unusable(format!("`alg` of the JWK is {said}, which does not fit its key")))
            }
            (None, Some(own)) => Ok(own),
            (None, None) => Err(KeyError::unusable("the JWK has no `alg`, and its `kty` allows several")),
        }
    }

    fn rsa(&self, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
        let components = KeyPairComponents {
            public_key: PublicKeyComponents { n: self.n.number("n")?, e: self.e.number("e")? },
            d: self.d.number("d")?,
            p: self.p.number("p")?,
            q: self.q.number("q")?,
            dP: self.dp.number("dp")?,
            dQ: self.dq.number("dq")?,
            qInv: self.qi.number("qi")?,
        };
        let key = RsaKeyPair::from_components(&components).map_err(|_| inconsistent(algorithm))?;
        let document = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&key)
            .map_err(|_| inconsistent(algorithm))?;
        SigningKey::from_pkcs8(algorithm, document.as_ref())
    }

    /// RFC 7518 section 6.2: coordinates and private values have the length of the field.
    fn ec(&self, algorithm: Algorithm, length: usize) -> Result<SigningKey, KeyError> {
        let part = |member: &Member, name| {
            let bytes = member.bytes(name)?;
            Ok(match bytes.as_slice() {
                [0, rest @ ..] if rest.len() == length => Zeroizing::new(rest.to_vec()),
                _ => bytes,
            })
        };
        let (x, y, d) = (part(&self.x, "x")?, part(&self.y, "y")?, part(&self.d, "d")?);
        if [&x, &y, &d].iter().any(|part| part.len() != length) {
            return Err(inconsistent(algorithm));
        }
        let point = [&[4], x.as_slice(), y.as_slice()].concat();
        let key = EcdsaKeyPair::from_private_key_and_public_key(ecdsa(algorithm)?, &d, &point)
            .map_err(|_| inconsistent(algorithm))?;
        let document = key.to_pkcs8v1().map_err(|_| inconsistent(algorithm))?;
        SigningKey::from_pkcs8(algorithm, document.as_ref())
    }

    fn ed25519(&self, algorithm: Algorithm) -> Result<SigningKey, KeyError> {
        let key = Ed25519KeyPair::from_seed_and_public_key(&self.d.bytes("d")?, &self.x.bytes("x")?)
            .map_err(|_| inconsistent(algorithm))?;
        let document = key.to_pkcs8v1().map_err(|_| inconsistent(algorithm))?;
        SigningKey::from_pkcs8(algorithm, document.as_ref())
    }
}

fn inconsistent(algorithm: Algorithm) -> KeyError {
    KeyError::unusable(format!("the parts of the JWK are not a private key for {algorithm}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A P-256 key pair of RFC 7515 appendix A.3.
    const EC: &str = r#"{"kty":"EC","crv":"P-256",
        "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        "d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

    fn keys(json: &str) -> Result<Vec<SigningKey>, String> {
        SigningKey::from_private_jwks(json.as_bytes()).map_err(|error| error.to_string())
    }

    fn refused(json: &str) -> String {
        keys(json).err().unwrap_or_else(|| panic!("taken: {json}"))
    }

    #[test]
    fn keys_of_the_rfcs_sign_what_their_public_halves_verify() {
        let secret = r#"{"kty":"oct","alg":"HS256","kid":"s",
            "k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}"#;
        let set = format!(r#"{{"keys":[{EC},{secret}]}}"#);
        let keys = keys(&set).unwrap();
        let algorithms: Vec<_> = keys.iter().map(SigningKey::algorithm).collect();
        assert_eq!(algorithms, [Algorithm::ES256, Algorithm::HS256]);
        assert_eq!(keys[1].kid().as_str(), "s");
        for key in &keys {
            let signature = key.sign(b"message").unwrap();
            assert!(key.verifying_key().verifies(key.algorithm(), b"message", &signature));
        }
    }

    #[test]
    fn an_rsa_key_is_rebuilt_from_its_parts() {
        let made = RsaKeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).unwrap();
        let der = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'static>>::as_der(&made).unwrap();
        let info = pkcs8::PrivateKeyInfo::try_from(der.as_ref()).unwrap();
        let key = pkcs8_parts(info.private_key);
        let [n, e, d, p, q, dp, dq, qi] = key.map(|part| URL_SAFE_NO_PAD.encode(part));
        let jwk = format!(
            r#"{{"kty":"RSA","alg":"PS256","n":"{n}","e":"{e}","d":"{d}","p":"{p}","q":"{q}","dp":"{dp}","dq":"{dq}","qi":"{qi}"}}"#
        );
        let read = &keys(&jwk).unwrap()[0];
        let signature = read.sign(b"message").unwrap();
        assert!(read.verifying_key().verifies(Algorithm::PS256, b"message", &signature));
        assert_eq!(
            refused(&jwk.replace("\"alg\":\"PS256\",", "")),
            "the JWK has no `alg`, and its `kty` allows several"
        );
        assert_eq!(refused(&jwk.replace(&dp, &dq)), "the parts of the JWK are not a private key for PS256");
    }

    /// The integers of an RSAPrivateKey (RFC 8017 appendix A.1.2), without signs.
    fn pkcs8_parts(der: &[u8]) -> [Vec<u8>; 8] {
        use pkcs8::der::{Decode, Reader, SliceReader, asn1::UintRef};
        let mut reader = SliceReader::new(der).unwrap();
        reader
            .sequence(|reader| {
                let _version = UintRef::decode(reader)?;
                let mut next = || UintRef::decode(reader).map(|number| number.as_bytes().to_vec());
                Ok([next()?, next()?, next()?, next()?, next()?, next()?, next()?, next()?])
            })
            .unwrap()
    }

    #[test]
    fn a_private_jwk_is_read_as_java_dotnet_and_powershell_write_it() {
        let x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
        let signed = URL_SAFE_NO_PAD.encode([&[0], URL_SAFE_NO_PAD.decode(x).unwrap().as_slice()].concat());
        let utf16: Vec<u8> = format!("\u{feff}{EC}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        let plain = keys(EC).unwrap().remove(0);
        for text in [
            format!("\u{feff}{EC}").into_bytes(),
            utf16,
            EC.replace(x, &signed).into_bytes(),
            EC.replace("\"kty\"", "\"oth\":[],\"n\":null,\"alg\":null,\"kty\"").into_bytes(),
        ] {
            let read = SigningKey::from_private_jwks(&text).unwrap().remove(0);
            assert_eq!(read.public_jwk(), plain.public_jwk());
        }
    }

    #[test]
    fn the_name_of_rfc_9864_is_that_of_an_ed25519_key() {
        let jwk = r#"{"kty":"OKP","crv":"Ed25519","alg":"Ed25519",
            "d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
        assert_eq!(keys(jwk).unwrap()[0].algorithm(), Algorithm::Ed25519);
        assert!(
            refused(&jwk.replace("\"alg\":\"Ed25519\"", "\"alg\":\"ES256\""))
                .contains("does not fit its key")
        );
    }

    #[test]
    fn the_error_of_a_set_names_the_key() {
        let set = format!(r#"{{"keys":[{EC},{}]}}"#, EC.replace("P-256", "P-521"));
        assert_eq!(refused(&set), "key 2: no algorithm here uses this `EC` key on `P-521`");
    }

    #[test]
    fn an_invalid_key_is_reported_without_its_secret() {
        let d = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
        let rows = [
            (EC.replace(d, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"), "not a private key for ES256"),
            (EC.replace(d, "short"), "`d` of the JWK is not unpadded base64url"),
            (EC.replace(&format!("\"d\":\"{d}\""), "\"q\":\"\""), "has no `d`"),
            (EC.replace("P-256", "secp256k1"), "no algorithm here uses this `EC` key on `secp256k1`"),
            (
                EC.replace("\"kty\"", "\"alg\":\"HS256\",\"kty\""),
                "`alg` of the JWK is HS256, which does not fit its key",
            ),
            (
                EC.replace("\"kty\"", "\"alg\":\"ES384\",\"kty\""),
                "`alg` of the JWK is ES384, which does not fit its key",
            ),
            (EC.replace(&format!("\"{d}\""), "7"), "neither a JWK set nor a JWK"),
            (r#"{"keys":[]}"#.to_owned(), "no key"),
            (r#"{"kty":"oct","alg":"HS256","k":"c2hvcnQ"}"#.to_owned(), "bytes"),
        ];
        for (jwk, expected) in rows {
            let said = refused(&jwk);
            assert!(said.contains(expected), "{said}");
            assert!(!said.contains(d) && !said.contains("c2hvcnQ"), "{said}");
        }
        let huge = " ".repeat(KeySet::MAX_JWKS_BYTES + 1);
        assert!(refused(&huge).contains("larger than"));
    }
}
