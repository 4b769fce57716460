//! A refusal becomes an error of the user's own, by whatever makes one.

use service_only::{Caller, Denial, Rejection, service_only};

#[derive(Debug, thiserror::Error)]
enum JobError {
    #[error("refused: {0}")]
    Refused(#[from] Denial),
    #[error("no such tenant")]
    NoTenant,
}

#[service_only]
fn derived(tenant: u8, _: &Caller) -> Result<u8, JobError> {
    if tenant == 0 { Err(JobError::NoTenant) } else { Ok(tenant) }
}

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync + 'static>>;

#[service_only]
async fn aliased(_: &Caller) -> Outcome {
    Ok(())
}

mod result {
    pub type Result<T> = std::result::Result<T, super::Denial>;
}

#[service_only]
fn of_a_module(_: &Caller) -> result::Result<Option<Rejection>> {
    Ok(None)
}

fn main() {
    let _ = (derived as fn(u8, &_) -> _, of_a_module as fn(&_) -> _);
    let _ = |caller: &Caller| drop(aliased(caller));
}
