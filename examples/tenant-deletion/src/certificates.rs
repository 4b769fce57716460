//! The demonstration's certificate authority. Its key exists only in memory. In production cert-manager, SPIRE or step-ca
//! issues the certificates.

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::Context;
use service_only_testkit::{TestCa, TestCertificate};

use crate::gateway::GATEWAY;

/// The trust domain of the platform's SPIFFE IDs.
const TRUST_DOMAIN: &str = "bakery.example";

/// An authority, and the folder of the certificates that it issues.
#[expect(missing_debug_implementations, reason = "holds keys, tokens or handles")]
pub struct Certificates {
    authority: TestCa,
    folder: PathBuf,
}

impl Certificates {
    /// Creates an authority whose certificates go to `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { authority: TestCa::new("tenant-deletion demonstration"), folder: folder.into() }
    }

    /// Issues a certificate to a part, for a day, and writes its folder. A part is known by its name, and only the
    /// gateway by the address of this machine too.
    pub fn issue(&self, part: &str) -> anyhow::Result<TestCertificate> {
        let leaf = self.authority.leaf().without_names();
        let leaf = leaf.spiffe_id(&format!("spiffe://{TRUST_DOMAIN}/{part}")).dns(part);
        let leaf = match part {
            GATEWAY => leaf.dns("localhost").ip(Ipv4Addr::LOCALHOST),
            _ => leaf,
        };
        let (certificate, folder) = (leaf.issue(), self.folder(part));
        fs::create_dir_all(&folder)
            .and_then(|()| certificate.write_cert_manager(&folder, &self.authority))
            .with_context(|| format!("cannot write certificates to `{}`", folder.display()))?;
        Ok(certificate)
    }

    /// The folder of a part.
    pub fn folder(&self, part: &str) -> PathBuf {
        self.folder.join(part)
    }
}
