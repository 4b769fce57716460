//! Mutual TLS between the parts. Each part has a folder with `tls.crt`, `tls.key` and `ca.crt`, as a secret of
//! cert-manager contains them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use service_only_tls::{Tls, TlsFiles};

/// How long a part waits for the files at its start: another container or controller may write them.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the certificate of a part. It follows every renewal.
///
/// A client without a certificate can connect: a user of the gateway, or a probe of Kubernetes. It proves nothing, so
/// a token that is bound to a certificate is refused from it.
pub fn open(folder: &Path) -> anyhow::Result<Tls> {
    TlsFiles::cert_manager(folder)
        .allow_clients_without_certificate()
        .wait_up_to(PATIENCE)
        .open()
        .with_context(|| format!("TLS files in `{}`", folder.display()))
}
