//! A sealed audit log whose checkpoints are stored in the registry's database.

use std::{error::Error, path::Path};

use service_only::JsonLinesAudit;
use service_only_evidence::tree::{LogKey, Sealing};
use service_only_store::CheckpointWriter;

fn stored(key: &Path, log: &Path, store: &str) -> Result<JsonLinesAudit, Box<dyn Error>> {
    let checkpoints = CheckpointWriter::of(store).start()?;
    let sealing = Sealing::with_key(LogKey::from_file(key)?).on_checkpoint(checkpoints.receiver());
    Ok(sealing.to_file(JsonLinesAudit::builder(), log)?)
}

#[cfg(test)]
mod tests {
    use service_only_evidence::tree::{Verdict, VerifyOptions, verify};
    use service_only_store::Store;

    use super::*;

    #[tokio::test]
    async fn last_checkpoint_is_in_the_store_when_the_program_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (private, log) = (folder.path().join("audit.key"), folder.path().join("audit.jsonl"));
        let (key, text) = LogKey::generate("bakery.example/orders").unwrap();
        std::fs::write(&private, text.as_str()).unwrap();
        let url = format!("sqlite:{}", folder.path().join("tokens.db").display());
        let store = Store::create(&url).await.unwrap();
        drop(stored(&private, &log, &url).unwrap());
        let since = store.checkpoints("bakery.example/orders").await.unwrap();
        assert!(!since.is_empty());
        let key = Some(key.public().clone());
        assert!(matches!(
            verify(&log, &VerifyOptions { key, since, ..VerifyOptions::default() }),
            Verdict::Intact(_)
        ));
    }
}
