//! The argument that is checked may have any pattern.

#[path = "../support.rs"]
mod support;

use service_only::{Caller, Denial, service_only, claims::ServiceClaims};
use support::Request;

#[service_only]
fn taken_apart(ServiceClaims { service, scope: held, .. }: &ServiceClaims) -> Result<String, Denial> {
    Ok(format!("{service} {held}"))
}

#[service_only]
fn ignored(_: &Caller) -> Result<(), Denial> {
    Ok(())
}

#[service_only]
fn mutable<'a>(mut caller: &'a Caller, others: &'a [Caller]) -> Result<&'a str, Denial> {
    if let [other, ..] = others {
        caller = other;
    }
    Ok(caller.service())
}

#[service_only]
fn by_reference(ref caller: &Caller) -> Result<String, Denial> {
    let caller: &&Caller = caller;
    Ok(caller.service().to_owned())
}

#[service_only]
fn bound(caller @ _: &Caller) -> Result<String, Denial> {
    Ok(caller.service().to_owned())
}

struct Orders;

#[service_only]
impl Orders {
    async fn taken_apart(&self, Request((first, [.., last])): Request<(u8, [u8; 3])>) -> Result<u8, Denial> {
        Ok(first + last)
    }

    async fn ignored(&self, _: Request<u8>) -> Result<(), Denial> {
        Ok(())
    }

    async fn mutable(&self, mut request: Request<u8>, mut other: u8) -> Result<u8, Denial> {
        other += 1;
        request.0 += other;
        Ok(request.0)
    }

    async fn bound(&self, ref request @ Request(_): Request<u8>) -> Result<u8, Denial> {
        Ok(request.0)
    }
}

fn main() {
    let _ = (taken_apart as fn(&_) -> _, ignored as fn(&_) -> _, mutable, by_reference as fn(&_) -> _);
    let _ = (bound as fn(&_) -> _, Orders::taken_apart, Orders::ignored, Orders::mutable, Orders::bound);
}
