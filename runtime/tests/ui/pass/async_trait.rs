//! A block above `#[async_trait]`.

#[path = "../support.rs"]
mod support;

use async_trait::async_trait;
use service_only::{Caller, Denial, service_only};
use support::Request;

#[async_trait]
trait Orders<T>: Sync {
    async fn list(&self, request: Request<T>) -> Result<T, Denial>;
    async fn delete(&mut self, caller: &Caller, id: &str) -> Result<(), Denial>;
    async fn with_body(&self, request: Request<T>) -> Result<T, Denial>
    where
        T: 'async_trait + Send,
    {
        self.list(request).await
    }
}

struct Memory;

#[service_only(scopes("orders:read"))]
#[async_trait]
impl<T: Send + 'static> Orders<T> for Memory {
    async fn list(&self, Request(message): Request<T>) -> Result<T, Denial> {
        Ok(message)
    }

    #[service_only(scopes("orders:write"))]
    async fn delete(&mut self, _: &Caller, id: &str) -> Result<(), Denial> {
        let _ = id.len();
        Ok(())
    }
}

fn main() {
    let _ = <Memory as Orders<u8>>::list;
}
