//! A function's return type may be an alias, and its error anything that is made from a denial.

use service_only::{Caller, Denial, service_only, claims::ServiceClaims};

#[allow(dead_code)]
#[derive(Debug)]
enum JobError {
    Refused(Denial),
    Empty,
}

impl From<Denial> for JobError {
    fn from(denial: Denial) -> Self {
        Self::Refused(denial)
    }
}

type JobResult<T = ()> = std::result::Result<T, JobError>;

#[service_only(roles("worker"))]
fn run(_: &Caller) -> JobResult {
    Ok(())
}

#[service_only(roles("worker"))]
async fn count(names: &[&str], _: &ServiceClaims) -> JobResult<usize> {
    if names.is_empty() { Err(JobError::Empty) } else { Ok(names.len()) }
}

#[service_only(roles("worker"))]
fn boxed(_: &Caller) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(())
}

fn main() {
    let _: fn(&Caller) -> JobResult = run;
    let _ = (count, boxed);
}
