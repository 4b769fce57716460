//! `service-token k8s-secret`: prints service tokens as Kubernetes Secrets, one for each service.
//!
//! It has the same effect as
//! `kubectl create secret generic NAME --from-literal=token=… --dry-run=client -o yaml`, but the token does
//! not appear in the arguments of a process. A manifest contains its token: pipe it into `kubectl apply` or
//! seal it, and keep it out of the repository.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use service_only::claims::ServiceName;
use service_only_export as export;
use zeroize::Zeroizing;

use crate::change::DryRun;
use crate::exit::Exit;
use crate::new_file::{self, NewFile, Overwrite, Staged};
use crate::output;
use crate::problem::{Outcome, Problem};
use crate::service_token::ServiceToken;
use crate::signing::{self, ServiceChoice, SigningOptions, TokenOptions};
use crate::stdout;
use crate::store::RegistryOptions;

const EXAMPLES: &str = "\
Examples:
  service-token k8s-secret orders --namespace bakery | kubectl apply -f -
  service-token k8s-secret --all --out-dir secrets
  service-token k8s-secret orders --name orders-credentials";

const NAME_RULE: &str = "use lower-case letters, digits, `-` and `.`, a letter or digit at both ends of every part, 253 characters at most";

/// Mint tokens and print them as Kubernetes Secrets
///
/// Each Secret is named `NAME-service-token` and contains the token under the key `token`. The
/// manifests contain the tokens: apply or seal them, and do not commit them.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SecretOptions {
    #[command(flatten)]
    choice: ServiceChoice,
    #[command(flatten)]
    signing: SigningOptions,
    #[command(flatten)]
    token: TokenOptions,
    #[command(flatten)]
    registry: RegistryOptions,
    /// Name of the Secret [default: `NAME-service-token`]
    #[arg(long = "name", value_name = "SECRET", conflicts_with_all = ["all", "missing"])]
    secret_name: Option<String>,
    /// Namespace of the Secret [default: none, so that `kubectl apply -n` decides]
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Write a file `SECRET.yaml` with mode 0600 for each service, instead of printing
    #[arg(long, value_name = "DIR")]
    out_dir: Option<PathBuf>,
    /// Replace existing manifests
    #[arg(long, requires = "out_dir")]
    force: bool,
    #[command(flatten)]
    dry_run: DryRun,
}

pub(crate) fn run(options: &SecretOptions) -> Outcome<Exit> {
    if let Some(namespace) = &options.namespace {
        check_namespace(namespace)?;
    }
    if options.dry_run.dry_run {
        let tokens = signing::attempt(&options.signing, &options.choice, &options.token, &options.registry)?;
        return options.preview(&tokens);
    }
    let minted =
        signing::mint(&options.signing, &options.choice, &options.token, &options.registry, |tokens| {
            options.ready(tokens)
        })?;
    minted.hand_out(|_, (files, staged)| match staged {
        Some(staged) => {
            staged.publish()?;
            files.iter().try_for_each(|(file, _)| output::result(&file.display().to_string()))
        }
        None => {
            stdout::warn_if_others_can_read();
            files.iter().try_for_each(|(_, manifest)| {
                output::result("---")?;
                output::result_bytes(manifest)
            })
        }
    })?;
    Ok(Exit::Done)
}

type Manifests = Vec<(PathBuf, Zeroizing<Vec<u8>>)>;

impl SecretOptions {
    /// All manifests, and their staged files if they go to files. This happens before a token is recorded.
    fn ready(&self, tokens: &[ServiceToken]) -> Outcome<(Manifests, Option<Staged>)> {
        let dir = self.out_dir.clone().unwrap_or_default();
        let manifests = tokens
            .iter()
            .map(|made| {
                let name = self.name_for(&made.service)?;
                let manifest = manifest(&name, self.namespace.as_deref(), made);
                Ok((dir.join(format!("{name}.yaml")), manifest))
            })
            .collect::<Outcome<Manifests>>()?;
        let Some(dir) = &self.out_dir else { return Ok((manifests, None)) };
        new_file::private_directory(dir)?;
        let files: Vec<_> =
            manifests.iter().map(|(path, manifest)| NewFile::secret(path, manifest.clone())).collect();
        let staged = Staged::new(&files, Overwrite::from_force(self.force))?;
        Ok((manifests, Some(staged)))
    }

    /// Prints the names of the Secrets, and where they would be written.
    fn preview(&self, tokens: &[ServiceToken]) -> Outcome<Exit> {
        for made in tokens {
            let name = self.name_for(&made.service)?;
            let file = self.out_dir.as_ref().map(|dir| dir.join(format!("{name}.yaml")));
            if let Some(file) = &file {
                new_file::check_targets(&[file], Overwrite::from_force(self.force))?;
            }
            let place = file.map(|file| format!(" into {}", file.display())).unwrap_or_default();
            output::lines(&format!(
                "would write the Secret {name} with a token for {}{place}",
                made.service
            ))?;
        }
        Ok(Exit::Done)
    }

    fn name_for(&self, service: &ServiceName) -> Outcome<String> {
        match &self.secret_name {
            None => name_of(service),
            Some(name) if is_subdomain(name) => Ok(name.clone()),
            Some(name) => {
                Err(Problem::usage(format!("`{name}` is not a name for a Kubernetes Secret")).help(NAME_RULE))
            }
        }
    }
}

/// The name of a service's Secret, or an error if it is not valid in Kubernetes.
pub(crate) fn name_of(service: &ServiceName) -> Outcome<String> {
    let name = format!("{service}-service-token");
    if is_subdomain(&name) {
        return Ok(name);
    }
    Err(Problem::usage(format!("`{name}` is not a name for a Kubernetes Secret"))
        .help(format!("{NAME_RULE}; choose one with `service-token k8s-secret {service} --name SECRET`")))
}

/// The manifest of a Secret with a token, with its members in kubectl's order.
pub(crate) fn manifest(name: &str, namespace: Option<&str>, made: &ServiceToken) -> Zeroizing<Vec<u8>> {
    let namespace = namespace.map(|namespace| format!("  namespace: {}\n", export::yaml_text(namespace)));
    let head = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {}\n{}type: Opaque\ndata:\n  token: ",
        export::yaml_text(name),
        namespace.unwrap_or_default()
    );
    let token = made.token.as_str();
    // Allocate the full size first: a buffer that grows leaves copies of the token behind. In base64 a token
    // begins with `ZXlK`, which every YAML reader reads as a string.
    let mut manifest = Zeroizing::new(Vec::with_capacity(head.len() + token.len().div_ceil(3) * 4 + 1));
    manifest.extend_from_slice(head.as_bytes());
    manifest.extend_from_slice(Zeroizing::new(STANDARD.encode(token)).as_bytes());
    manifest.push(b'\n');
    manifest
}

pub(crate) fn check_namespace(namespace: &str) -> Outcome<()> {
    if is_label(namespace) {
        return Ok(());
    }
    Err(Problem::usage(format!("`{namespace}` is not a Kubernetes namespace")).help(
        "use lower-case letters, digits and `-`, a letter or digit at both ends, 63 characters at most",
    ))
}

/// Whether the name is a DNS-1123 subdomain, as the name of a Secret must be.
fn is_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label_of_any_length)
}

/// Whether the name is a DNS-1123 label, as a namespace must be.
fn is_label(name: &str) -> bool {
    name.len() <= 63 && is_label_of_any_length(name)
}

fn is_label_of_any_length(label: &str) -> bool {
    let letter_or_digit = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [label.as_bytes().first(), label.as_bytes().last()];
    ends.iter().all(|end| end.is_some_and(letter_or_digit))
        && label.bytes().all(|byte| letter_or_digit(&byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_dns_subdomains() {
        for name in ["orders-service-token", "a", "0.a-b.c", &"a".repeat(253)] {
            assert!(is_subdomain(name), "{name}");
        }
        for name in ["", "Orders", "a_b", "-a", "a-", "a..b", ".a", "a.-b", "ä", &"a".repeat(254)] {
            assert!(!is_subdomain(name), "{name}");
        }
    }

    #[test]
    fn namespaces_are_dns_labels() {
        assert!(is_label("bakery-1"));
        assert!(!is_label("bakery.eu") && !is_label(&"a".repeat(64)));
    }
}
