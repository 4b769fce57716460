//! Functions that are given who calls: sync, async, with `self`, and with errors of all sorts.

use std::error::Error;

use service_only::{Caller, Denial, service_only, claims::ServiceClaims};

#[service_only]
fn sync(caller: &Caller) -> Result<(), Denial> {
    let _ = caller;
    Ok(())
}

#[service_only]
async fn boxed(id: u8, claims: &ServiceClaims) -> Result<u8, Box<dyn Error + Send + Sync>> {
    let _ = claims;
    Ok("7".parse::<u8>()? + id)
}

struct Queue(u8);

impl Queue {
    #[service_only]
    fn take(self, _: &service_only::Caller) -> Result<u8, Denial> {
        Ok(self.0)
    }

    #[service_only]
    async fn put(&mut self, value: u8, _: &'_ Caller) -> Result<(), Box<dyn Error>>
    where
        Self: Sized,
    {
        self.0 = value;
        Ok(())
    }
}

trait Job {
    #[service_only]
    fn run(&self, _: &Caller) -> Result<u8, Denial> {
        Ok(7)
    }
}

impl Job for Queue {}

fn main() {
    let _ = (sync as fn(&_) -> _, Queue::take as fn(_, &_) -> _, <Queue as Job>::run as fn(&_, &_) -> _);
    let _ = |queue: &mut Queue, caller: &Caller, claims: &ServiceClaims| drop((queue.put(1, caller), boxed(7, claims)));
}
