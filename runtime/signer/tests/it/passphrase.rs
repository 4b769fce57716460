//! Passphrases: one line, bounded, never shown.

use service_only_signer::Passphrase;

#[test]
fn passphrase_is_the_only_line_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pass");
    for (content, expected) in [("correct horse", "correct horse"), ("a b\n", "a b"), ("ä\r\n", "ä")] {
        std::fs::write(&path, content).unwrap();
        assert_eq!(Passphrase::from_file(&path).unwrap().expose(), expected.as_bytes());
    }
    for (content, says) in [
        ("", "is empty"),
        ("\n", "is empty"),
        ("a\nb\n", "several lines"),
        ("a\n\n", "several lines"),
        ("\u{feff}a\n", "byte order mark"),
        ("a\0b\0", "byte order mark"),
    ] {
        std::fs::write(&path, content).unwrap();
        let error = Passphrase::from_file(&path).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains("pass`"), "{error}");
    }
    assert!(Passphrase::from_file(folder.path().join("none")).unwrap_err().to_string().contains("none"));
}

#[test]
fn passphrase_longer_than_the_limit_is_refused() {
    assert!(Passphrase::new("x".repeat(Passphrase::MAX_BYTES)).is_ok());
    assert!(Passphrase::new("x".repeat(Passphrase::MAX_BYTES + 1)).is_err());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pass");
    std::fs::write(&path, format!("{}\r\n", "x".repeat(Passphrase::MAX_BYTES))).unwrap();
    assert!(Passphrase::from_file(&path).is_ok());
    std::fs::write(&path, "x".repeat(100_000)).unwrap();
    assert!(Passphrase::from_file(&path).unwrap_err().to_string().contains("more than 1024 bytes"));
}

#[test]
fn debug_does_not_show_the_passphrase() {
    assert_eq!(format!("{:?}", Passphrase::new("hunter2").unwrap()), "Passphrase(..)");
}
