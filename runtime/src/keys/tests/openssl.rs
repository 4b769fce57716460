//! Keys as the real OpenSSL writes them: the error names a key that cannot be used, and how to fix it.

#![allow(clippy::print_stderr, reason = "a test")]

use std::{path::Path, process::Command};

use crate::{
    issue::SigningKey,
    keys::{Algorithm, KeyErrorKind, VerifyingKey},
};

/// Runs a shell command in a temporary folder and returns its output; `None` if it fails, with a message.
struct Openssl(tempfile::TempDir);

impl Openssl {
    fn new() -> Option<Self> {
        let found =
            Command::new("openssl").arg("version").output().is_ok_and(|output| output.status.success());
        if !found {
            eprintln!("skipped: there is no `openssl`");
        }
        found.then(|| Self(tempfile::tempdir().unwrap()))
    }

    fn make(&self, commands: &str) -> Option<Vec<u8>> {
        let output = Command::new("sh").args(["-ec", commands]).current_dir(&self.0).output().unwrap();
        if !output.status.success() {
            eprintln!("skipped: `{commands}`: {}", String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        Some(output.stdout)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

const EC: &str = "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve";
const RSA: &str = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits";

#[test]
fn a_private_key_that_cannot_be_used_is_named_with_what_to_do() {
    let Some(openssl) = Openssl::new() else { return };
    let keygen = "`service-token keygen --algorithm";
    for (commands, algorithm, says) in [
        (
            "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048".to_owned(),
            Algorithm::PS256,
            vec!["restricted to RSASSA-PSS", "PS256 needs an RSA key", keygen],
        ),
        (format!("{EC}:secp256k1"), Algorithm::ES256, vec!["secp256k1", "needs an EC key on P-256", keygen]),
        (format!("{EC}:P-521"), Algorithm::ES256, vec!["P-521", "needs an EC key on P-256", keygen]),
        (format!("{EC}:P-521"), Algorithm::RS256, vec!["P-521", "RS256 needs an RSA key", keygen]),
        (format!("{EC}:P-224"), Algorithm::ES256, vec!["P-224", keygen]),
        (format!("{EC}:brainpoolP256r1"), Algorithm::ES256, vec!["Brainpool", keygen]),
        (
            format!("{EC}:P-521 -pkeyopt ec_param_enc:explicit"),
            Algorithm::ES256,
            vec!["whose curve is not one of P-256 and P-384", keygen],
        ),
        (format!("{EC}:P-384"), Algorithm::ES256, vec!["EC key on P-384", "for this key, use ES384"]),
        (format!("{EC}:P-256"), Algorithm::EdDSA, vec!["EC key on P-256", "for this key, use ES256"]),
        (format!("{EC}:P-256"), Algorithm::RS256, vec!["EC key on P-256", "for this key, use ES256"]),
        (
            format!("{RSA}:2048"),
            Algorithm::ES256,
            vec!["an RSA key", "use RS256, RS384, RS512, PS256, PS384, PS512"],
        ),
        (
            format!("{RSA}:2048 | openssl rsa -traditional"),
            Algorithm::EdDSA,
            vec!["an RSA key", "EdDSA needs an Ed25519 key", "use RS256"],
        ),
        (
            "openssl genpkey -algorithm ED25519".to_owned(),
            Algorithm::ES256,
            vec!["an Ed25519 key", "use EdDSA, Ed25519"],
        ),
        ("openssl genpkey -algorithm ED448".to_owned(), Algorithm::EdDSA, vec!["an Ed448 key", keygen]),
        (
            "openssl genpkey -algorithm X25519".to_owned(),
            Algorithm::EdDSA,
            vec!["X25519", "signs nothing", keygen],
        ),
        (format!("{RSA}:1024"), Algorithm::RS256, vec!["1024 bits, fewer than 2048", keygen]),
        (format!("{RSA}:1024 | openssl rsa -traditional"), Algorithm::PS256, vec!["1024 bits", keygen]),
        (
            format!("{RSA}:2048 -pkeyopt rsa_keygen_pubexp:3"),
            Algorithm::RS256,
            vec!["the RSA exponent is 3, less than 65537"],
        ),
        (
            format!("{EC}:P-256 | openssl ec -aes128 -passout pass:secret"),
            Algorithm::ES256,
            vec!["is encrypted", "openssl pkey -in FILE"],
        ),
        (
            format!("{RSA}:2048 | openssl rsa -traditional -aes128 -passout pass:secret"),
            Algorithm::RS256,
            vec!["is encrypted", "openssl pkey -in FILE"],
        ),
        (
            format!("{EC}:P-256 | openssl pkcs8 -topk8 -passout pass:secret"),
            Algorithm::ES256,
            vec!["is encrypted", "openssl pkey -in FILE"],
        ),
        (format!("{EC}:P-256 | openssl pkey -pubout"), Algorithm::ES256, vec!["this is a public key"]),
        (
            format!("{RSA}:2048 | openssl rsa -RSAPublicKey_out"),
            Algorithm::RS256,
            vec!["this is a public key"],
        ),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a".to_owned(),
            Algorithm::RS256,
            vec!["this is a certificate"],
        ),
        (
            "openssl req -new -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a".to_owned(),
            Algorithm::RS256,
            vec!["`CERTIFICATE REQUEST`"],
        ),
        ("openssl ecparam -name prime256v1".to_owned(), Algorithm::ES256, vec!["not exactly one PEM block"]),
        (format!("{EC}:P-256 -outform DER"), Algorithm::ES256, vec!["it is DER", "openssl pkey -inform DER"]),
        (format!("{EC}:P-256 > k; cat k k"), Algorithm::ES256, vec!["but several"]),
        (format!("{EC}:P-256 | head -n 2"), Algorithm::ES256, vec!["probably cut off", "copy it again"]),
        (
            format!("{EC}:P-256 > k; openssl pkcs12 -export -nocerts -inkey k -passout pass:secret"),
            Algorithm::ES256,
            vec!["it is PKCS#12", "openssl pkcs12 -in FILE -nodes"],
        ),
        (format!("{EC}:P-256"), Algorithm::HS256, vec!["HS256 uses a secret"]),
        (
            "rm -f k k.pub; ssh-keygen -q -t rsa -b 2048 -N '' -f k; cat k".to_owned(),
            Algorithm::RS256,
            vec!["OpenSSH", "ssh-keygen -p -m PKCS8"],
        ),
        (
            "rm -f k k.pub; ssh-keygen -q -t ed25519 -N '' -f k; cat k.pub".to_owned(),
            Algorithm::EdDSA,
            vec!["public key of OpenSSH"],
        ),
    ] {
        let Some(file) = openssl.make(&commands) else { continue };
        let error =
            SigningKey::from_pem(algorithm, &file).err().unwrap_or_else(|| panic!("taken: {commands}"));
        let error = error.to_string();
        for says in says {
            assert!(error.contains(says), "{commands}: {error}, expected {says}");
        }
        assert!(!error.contains("that it was made for") && !error.contains("secret\""), "{error}");
    }
    assert!(openssl.path().exists());
}

#[test]
fn a_public_key_that_cannot_be_used_is_named_with_what_to_do() {
    let Some(openssl) = Openssl::new() else { return };
    let public = |private: &str| format!("{private} | openssl pkey -pubout");
    for (commands, algorithm, says) in [
        (public(&format!("{EC}:secp256k1")), Algorithm::ES256, "secp256k1"),
        (public(&format!("{EC}:P-521")), Algorithm::ES384, "P-521"),
        (public(&format!("{EC}:P-384")), Algorithm::ES256, "for this key, use ES384"),
        (
            public("openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048"),
            Algorithm::RS256,
            "RSASSA-PSS",
        ),
        (
            public(
                "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha512",
            ),
            Algorithm::PS256,
            "RSASSA-PSS",
        ),
        (public("openssl genpkey -algorithm ED25519"), Algorithm::RS256, "use EdDSA, Ed25519"),
        (public("openssl genpkey -algorithm X25519"), Algorithm::EdDSA, "X25519"),
        (
            public(&format!("{RSA}:1024")),
            Algorithm::RS256,
            "1024 bits, fewer than 2048: its owner must make a longer one",
        ),
        (public(&format!("{RSA}:2048")), Algorithm::ES256, "use RS256"),
        (public(&format!("{RSA}:2048 -pkeyopt rsa_keygen_pubexp:3")), Algorithm::RS256, "exponent is 3"),
        (format!("{EC}:P-256"), Algorithm::ES256, "this is a private key"),
        (format!("{EC}:P-256 | openssl pkey -pubout -outform DER"), Algorithm::ES256, "it is DER"),
        (
            "openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -subj /CN=a".to_owned(),
            Algorithm::RS256,
            "this is a certificate",
        ),
    ] {
        let Some(file) = openssl.make(&commands) else { continue };
        let error = VerifyingKey::from_pem(algorithm, &file).unwrap_err();
        assert!(error.to_string().contains(says), "{commands}: {error}");
        assert_eq!(
            error.kind() == KeyErrorKind::Weak,
            says.contains("bits") || says.contains("exponent"),
            "{error}"
        );
    }
}

/// RFC 4055 section 1.2: without parameters, the key is for RSASSA-PSS with any hash, and for nothing else.
#[test]
fn a_public_key_for_rsassa_pss_alone_verifies_just_that() {
    let Some(openssl) = Openssl::new() else { return };
    let commands = "openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 > k; printf message > m; \
        openssl dgst -sha256 -sign k -sigopt rsa_pss_saltlen:32 m > s; openssl pkey -in k -pubout";
    let Some(public) = openssl.make(commands) else { return };
    let signature = std::fs::read(openssl.path().join("s")).unwrap();
    let key = VerifyingKey::from_pem(Algorithm::PS256, &public).unwrap();
    assert!(key.verifies(Algorithm::PS256, b"message", &signature));
    assert!(VerifyingKey::from_pem(Algorithm::RS256, &public).is_err());
}

#[test]
fn keys_of_openssl_sign_and_verify_in_every_form_and_encoding() {
    let Some(openssl) = Openssl::new() else { return };
    for (private, more, algorithms) in [
        (format!("{EC}:P-256"), "| openssl ec", [Algorithm::ES256].as_slice()),
        (format!("{EC}:P-384"), "| openssl ec", &[Algorithm::ES384]),
        (format!("{RSA}:2048"), "| openssl rsa -traditional", &[Algorithm::RS256, Algorithm::PS384]),
        ("openssl genpkey -algorithm ED25519".to_owned(), "", &[Algorithm::EdDSA, Algorithm::Ed25519]),
    ] {
        for more in ["", more] {
            let Some(file) = openssl.make(&format!("{private} {more} > k; cat k")) else { continue };
            let Some(public) = openssl.make("openssl pkey -in k -pubout") else { continue };
            let text = String::from_utf8(file.clone()).unwrap();
            let utf16: Vec<u8> =
                format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
            let marked = format!("\u{feff}{}", text.replace('\n', "\r\n")).into_bytes();
            for algorithm in algorithms {
                let verifying = VerifyingKey::from_pem(*algorithm, &public).unwrap();
                for file in [&file, &utf16, &marked] {
                    let key = SigningKey::from_pem(*algorithm, file).unwrap();
                    let signature = key.sign(b"message").unwrap();
                    assert!(verifying.verifies(*algorithm, b"message", &signature), "{private} {more}");
                }
            }
        }
    }
}
