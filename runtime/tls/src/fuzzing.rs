//! A function for the fuzz targets that is not in the public interface. The module exists only in builds by cargo-fuzz.

use std::sync::Arc;

use rustls::{crypto::aws_lc_rs, pki_types::CertificateDer};
use service_only::clock::Timestamp;

use crate::{
    roots::Roots,
    rules::{Leaf, Role},
};

/// Whether a root verifies a chain with the leaf first, for a client or for a server.
pub fn verifies(root: &[u8], chain: &[&[u8]], at: i64) -> bool {
    let at = Timestamp::from_unix(at);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let root = CertificateDer::from(root.to_vec());
    let Ok(roots) = Roots::new(vec![root], &provider, at, true) else { return false };
    let chain: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
    let Some((der, intermediates)) = chain.split_first() else { return false };
    let Ok(leaf) = Leaf::read(der) else { return false };
    [Role::Client, Role::Server].into_iter().any(|role| {
        leaf.check_time(at).is_ok()
            && leaf.check_role(role).is_ok()
            && roots.verify(der, intermediates, role, at).is_ok()
    })
}
