//! A sealed audit log.

use std::{error::Error, path::Path};

use service_only::JsonLinesAudit;
use service_only_evidence::tree::{LogKey, Sealing};

fn sealed(key: &Path, log: &Path) -> Result<JsonLinesAudit, Box<dyn Error>> {
    let builder = JsonLinesAudit::builder().rotate_at_size(100 * 1024 * 1024).keep(10);
    Ok(Sealing::with_key(LogKey::from_file(key)?).to_file(builder, log)?)
}

#[cfg(test)]
mod tests {
    use service_only_evidence::tree::{Verdict, VerifyOptions, verify};

    use super::*;

    #[test]
    fn sealed_log_is_intact() {
        let folder = tempfile::tempdir().unwrap();
        let (private, log) = (folder.path().join("audit.key"), folder.path().join("audit.jsonl"));
        let (key, text) = LogKey::generate("bakery.example/orders").unwrap();
        std::fs::write(&private, text.as_str()).unwrap();
        drop(sealed(&private, &log).unwrap());
        let options = VerifyOptions { key: Some(key.public().clone()), ..VerifyOptions::default() };
        assert!(matches!(verify(&log, &options), Verdict::Intact(_)));
    }
}
