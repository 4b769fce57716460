//! Encrypted PKCS#8: OpenSSL reads what this crate writes, and this crate reads what OpenSSL writes.

use service_only::{Algorithm, issue::SigningKey};
use service_only_signer::{EncryptedKey, Passphrase};

use crate::shell;

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse").unwrap()
}

fn refused(pem: &[u8]) -> String {
    EncryptedKey::from_pem(pem).unwrap_err().to_string()
}

#[test]
fn openssl_reads_an_encrypted_key() {
    for algorithm in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA, Algorithm::RS256] {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::generate(algorithm).unwrap();
        let text = EncryptedKey::encrypt(&key, &passphrase()).unwrap();
        assert!(EncryptedKey::is_encrypted(text.as_bytes()) && !text.contains("\n-----BEGIN PRIVATE"));
        std::fs::write(folder.path().join("key.pem"), text.as_bytes()).unwrap();
        let command = "openssl pkey -in key.pem -passin 'pass:correct horse'";
        let Some(plain) = shell(folder.path(), command) else { return };
        assert_eq!(SigningKey::from_pem(algorithm, &plain).unwrap().kid(), key.kid());
        let pem = EncryptedKey::from_pem(text.as_bytes()).unwrap().decrypt(&passphrase()).unwrap();
        assert_eq!(SigningKey::from_pem(algorithm, &pem).unwrap().kid(), key.kid());
    }
}

#[test]
fn key_that_openssl_encrypted_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    std::fs::write(folder.path().join("key.pem"), key.to_secret_bytes().unwrap()).unwrap();
    for options in [
        "",
        "-scrypt",
        "-v2 aes-128-cbc",
        "-v2 aes-256-cbc -v2prf hmacWithSHA512 -iter 100000",
        "-scrypt -scrypt_N 32768 -scrypt_r 8 -scrypt_p 1",
    ] {
        let command = format!("openssl pkcs8 -topk8 {options} -in key.pem -passout 'pass:correct horse'");
        let Some(text) = shell(folder.path(), &command) else { return };
        let read = EncryptedKey::from_pem(&text).unwrap();
        let pem = read.decrypt(&passphrase()).unwrap();
        assert_eq!(SigningKey::from_pem(Algorithm::ES256, &pem).unwrap().kid(), key.kid(), "{options}");
        let error = read.decrypt(&Passphrase::new("wrong").unwrap()).unwrap_err().to_string();
        assert!(error.contains("the passphrase is wrong, or the file is damaged"), "{error}");
    }
}

#[test]
fn other_encryptions_and_formats_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::generate(Algorithm::ES256).unwrap();
    let plain = key.to_secret_bytes().unwrap();
    assert!(refused(&plain).contains("the PEM block is `PRIVATE KEY`"));
    assert!(refused(b"").contains("not PEM"));
    std::fs::write(folder.path().join("key.pem"), &plain).unwrap();
    for options in ["-v1 PBE-SHA1-3DES", "-v2 des3", "-v2prf hmacWithSHA1"] {
        let command = format!("openssl pkcs8 -topk8 {options} -in key.pem -passout pass:x");
        let Some(text) = shell(folder.path(), &command) else { return };
        let error = EncryptedKey::from_pem(&text).and_then(|key| key.decrypt(&Passphrase::new("x").unwrap()));
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("openssl pkcs8 -topk8 -scrypt") || error.contains("is damaged"),
            "{options}: {error}"
        );
    }
    let secret = SigningKey::generate(Algorithm::HS256).unwrap();
    assert!(
        EncryptedKey::encrypt(&secret, &passphrase())
            .unwrap_err()
            .to_string()
            .contains("HS256 uses a secret")
    );
}

/// A PBES2 file with these parameters of its derivation, and 16 bytes of ciphertext.
fn file(kdf: &[u8]) -> Vec<u8> {
    fn sequence(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
        let content = parts.concat();
        assert!(content.len() < 256);
        let length = content.len() as u8;
        let head = if length < 128 { vec![tag, length] } else { vec![tag, 0x81, length] };
        [head, content].concat()
    }
    let cipher = sequence(
        0x30,
        &[&[0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a], &sequence(0x04, &[&[0; 16]])],
    );
    let scheme = sequence(
        0x30,
        &[
            &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d],
            &sequence(0x30, &[kdf, &cipher]),
        ],
    );
    let der = sequence(0x30, &[&scheme, &sequence(0x04, &[&[0; 16]])]);
    pem::encode(&pem::Pem::new("ENCRYPTED PRIVATE KEY", der)).into_bytes()
}

fn integer(value: u64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
    let mut digits = bytes[start..].to_vec();
    if digits[0] & 0x80 != 0 {
        digits.insert(0, 0);
    }
    [vec![0x02, digits.len() as u8], digits].concat()
}

fn wrapped(oid: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    let mut content = vec![0x04, 0x08, 1, 2, 3, 4, 5, 6, 7, 8];
    parts.iter().for_each(|part| content.extend(part));
    let parameters = [vec![0x30, content.len() as u8], content].concat();
    [vec![0x30, (oid.len() + parameters.len()) as u8], oid.to_vec(), parameters].concat()
}

fn pbkdf2(iterations: u64) -> Vec<u8> {
    let sha256 = vec![0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09, 0x05, 0x00];
    let oid = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
    file(&wrapped(&oid, &[integer(iterations), sha256]))
}

fn scrypt(n: u64, r: u64, p: u64) -> Vec<u8> {
    let oid = [0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b];
    file(&wrapped(&oid, &[integer(n), integer(r), integer(p)]))
}

#[test]
fn file_that_asks_for_too_much_work_is_refused_before_any_work() {
    let most = u64::from(EncryptedKey::MAX_PBKDF2_ITERATIONS);
    assert!(EncryptedKey::from_pem(&pbkdf2(most)).is_ok());
    assert!(refused(&pbkdf2(most + 1)).contains("10000001 iterations of PBKDF2, more than 10000000"));
    assert!(refused(&pbkdf2(0)).contains("no iterations"));

    assert!(EncryptedKey::from_pem(&scrypt(1 << 18, 8, 1)).is_ok());
    assert!(
        refused(&scrypt(1 << 19, 8, 1)).contains("536870912 bytes of memory for scrypt, more than 268435456")
    );
    assert!(refused(&scrypt(1 << 63, 8, 1)).contains("of memory for scrypt"));
    assert!(EncryptedKey::from_pem(&scrypt(1 << 18, 8, 4)).is_ok());
    assert!(refused(&scrypt(1 << 18, 8, 5)).contains("5 times 268435456 bytes"));
    for (n, r, p) in [(0, 8, 1), (1, 8, 1), (3, 8, 1), (1024, 0, 1), (1024, 8, 0)] {
        assert!(refused(&scrypt(n, r, p)).contains("not valid"), "{n} {r} {p}");
    }
}
