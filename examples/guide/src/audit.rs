//! `audit.md`: the destinations of audit records.

use std::{error::Error, path::Path};

use service_only::{JsonLinesAudit, KeySet, Verifier};

fn audited(keys: KeySet, log: &Path) -> Result<Verifier, Box<dyn Error>> {
    let audit = JsonLinesAudit::builder()
        .write_before_handler()
        .rotate_at_size(100 * 1024 * 1024)
        .keep(10)
        .to_file(log)?;
    Ok(Verifier::builder().issuer("bakery-auth").keys(keys).audit(audit).build()?)
}

#[cfg(test)]
mod tests {
    use service_only_testkit::TestAuthority;

    use super::*;

    #[test]
    fn record_is_in_the_file_when_the_decision_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.jsonl");
        let verifier = audited(TestAuthority::new().keys(), &log).unwrap();
        assert!(verifier.verify("not a token").is_err());
        let text = std::fs::read_to_string(log).unwrap();
        assert!(text.contains(r#""decision":"deny""#) && text.ends_with('\n'), "{text}");
    }
}
