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
    let problem = Problem::new(ProblemCode::Store, error.to_string());
    match error {
        StoreError::Missing { .. } => problem.help("check the path first: a new store is empty"),
        _ => problem,
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
