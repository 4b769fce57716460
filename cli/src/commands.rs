//! One module per command, and the exit code of each.

pub(crate) mod attack;
pub(crate) mod audit;
pub(crate) mod batch;
pub(crate) mod ca;
pub(crate) mod completions;
pub(crate) mod dev;
pub(crate) mod endpoints;
pub(crate) mod expiring;
pub(crate) mod generate;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod jwks;
pub(crate) mod k8s_secret;
pub(crate) mod keygen;
pub(crate) mod list;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod renew;
pub(crate) mod revocations;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod store;
pub(crate) mod unrevoke;
pub(crate) mod verify;
