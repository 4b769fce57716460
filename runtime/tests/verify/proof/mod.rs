//! What the proofs share: keys, payloads, and a model of the verdict.

#![allow(dead_code, reason = "each proof uses some of it")]

pub(crate) mod oracle;
pub(crate) mod payload;
pub(crate) mod signing;
