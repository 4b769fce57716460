//! The certificates of an attack over TLS: the roots of the service, the certificate of the caller, and the authority
//! that signs hostile ones.

use std::path::{Path, PathBuf};

use clap::Args;
use service_only_testkit::{TestCa, tls::Certificates};
use zeroize::Zeroizing;

use crate::key_file;
use crate::problem::{Outcome, Problem, ProblemCode};

#[derive(Args, Debug)]
pub(crate) struct CertificateOptions {
    /// Roots in PEM that verify the service, for an `https` URL
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Certificate chain of the service that may call, for mutual TLS. The tokens are bound to it
    #[arg(long, value_name = "FILE", requires_all = ["cert_key", "cacert"])]
    cert: Option<PathBuf>,
    /// Private key of --cert. It has this name because --key signs the tokens
    #[arg(long, value_name = "FILE", requires = "cert")]
    cert_key: Option<PathBuf>,
    /// Private key of the authority in --cacert, to sign hostile certificates. Use an authority for tests
    #[arg(long, value_name = "FILE", requires = "cert")]
    cakey: Option<PathBuf>,
    /// The service does not support tokens that are bound to a certificate
    #[arg(long, requires = "cert")]
    unbound: bool,
    /// The service accepts clients without a certificate by design
    #[arg(long, requires = "cert")]
    optional_cert: bool,
}

impl CertificateOptions {
    pub(crate) fn load(&self, url: &str) -> Outcome<Option<Certificates>> {
        let is_tls = url.starts_with("https://");
        let Some(roots) = &self.cacert else {
            return match is_tls {
                true => Err(Problem::usage("an `https` URL needs the roots of the service")
                    .help("name them with `--cacert`, and the certificate of the caller with `--cert`")),
                false => Ok(None),
            };
        };
        if !is_tls {
            return Err(Problem::usage("`--cacert` needs an `https` URL"));
        }
        let pem = text(roots)?;
        let unreadable =
            |path: &Path, error| Problem::new(ProblemCode::BadKey, format!("`{}`: {error}", path.display()));
        let mut certificates = Certificates::trusting(&pem).map_err(|error| unreadable(roots, error))?;
        if let (Some(chain), Some(key)) = (&self.cert, &self.cert_key) {
            key_file::warn_if_others_can_read(key);
            certificates = certificates
                .presenting(&text(chain)?, &text(key)?)
                .map_err(|error| unreadable(chain, error))?;
        }
        if let Some(key) = &self.cakey {
            key_file::warn_if_others_can_read(key);
            let ca = TestCa::from_pem(&pem, &text(key)?).map_err(|error| unreadable(key, error))?;
            certificates = certificates.signed_by(ca);
        }
        if self.unbound {
            certificates = certificates.without_binding();
        }
        Ok(Some(if self.optional_cert { certificates.optional() } else { certificates }))
    }
}

fn text(path: &Path) -> Outcome<Zeroizing<String>> {
    let bytes = key_file::read(path)?;
    let text = str::from_utf8(&bytes).map(|text| Zeroizing::new(text.to_owned()));
    text.map_err(|_| Problem::new(ProblemCode::BadKey, format!("`{}` is not PEM", path.display())))
}
