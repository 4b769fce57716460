//! A request as a framework has one.

use service_only::{Denial, __private::{Admit, StaticPolicy}};

pub struct Request<T>(pub T);

impl<T: Send> Admit for Request<T> {
    type Refusal = Denial;

    async fn admit<P: StaticPolicy>(self) -> Result<Self, Denial> {
        Ok(self)
    }
}
