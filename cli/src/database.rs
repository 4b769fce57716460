//! Runs operations of a store to their end, and converts its errors.

use std::future::Future;

use service_only_store::StoreError;

use crate::problem::{Outcome, Problem, ProblemCode};

/// Runs a store operation to its end.
pub(crate) fn work<T>(work: impl Future<Output = Result<T, StoreError>>) -> Outcome<T> {
    run(async { work.await.map_err(|error| refused(&error)) })
}

/// Converts an error of the store to a problem of the command.
pub(crate) fn refused(error: &StoreError) -> Problem {
    let problem = Problem::new(code_of(error), error.to_string());
    match error {
        StoreError::Missing { .. } => problem.help("check the path first: a new store is empty"),
        _ => problem,
    }
}

/// A store that is missing, unreachable, locked, full, damaged or of another version cannot be used. The other errors
/// are answers of a store that works.
fn code_of(error: &StoreError) -> ProblemCode {
    match error {
        StoreError::BadUrl(_) => ProblemCode::BadConfig,
        StoreError::Backup { .. } => ProblemCode::BadBackup,
        StoreError::NoRevocation { .. } => ProblemCode::NotFound,
        StoreError::UndoneAlready { .. } => ProblemCode::Usage,
        // Two active keys would be a duplicate.
        StoreError::KeyMoved { .. } | StoreError::KeyExists { .. } | StoreError::Duplicate { .. } => {
            ProblemCode::Busy
        }
        StoreError::Revoked(_) => ProblemCode::WouldBreak,
        _ => ProblemCode::Store,
    }
}

/// Runs an operation that can fail for other reasons than the store.
pub(crate) fn run<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Problem::new(ProblemCode::Io, format!("cannot start: {error}")))?;
    runtime.block_on(work)
}
