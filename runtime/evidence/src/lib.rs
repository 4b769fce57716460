//! Reads the audit log of `service-only` back.
//!
//! - [`read`]: the records of any number of files, line by line, with what is wrong about them.
//! - [`survey`]: one pass over the records, with memory that does not grow with their number.
//! - [`unused`]: grants that no call needed.
//! - [`anomalies`]: what is unusual, by rules that a person can check.
//! - [`explain`]: one decision in words. [`suggest`]: narrower policies.
//! - [`tree`]: a Merkle tree beside the log, which reveals every change of it.
//!
//! ```no_run
//! use service_only_evidence::{anomalies::AnomalyRules, read, survey::Survey};
//!
//! # fn main() -> std::io::Result<()> {
//! let mut survey = Survey::new();
//! let done = read::files(["audit.jsonl"], &mut survey)?;
//! for trouble in done.trouble() {
//!     eprintln!("{trouble}");
//! }
//! for finding in survey.anomalies(&AnomalyRules::default()).findings {
//!     println!("{} {}", finding.id, finding.text);
//! }
//! # Ok(()) }
//! ```

#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs, unnameable_types)]

pub mod anomalies;
pub mod explain;
pub mod findings;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod fixture;
pub mod read;
pub mod suggest;
pub mod survey;
pub mod tree;
pub mod unused;
