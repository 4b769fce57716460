//! Polls what the app under attack provides. Neither a panic nor an endless body ends the test.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::{Context, Poll},
};

use super::target::{MAX_BODY, Unanswered};

/// Catches a panic: a handler that panics on a hostile request is a finding, and must not end the test.
pub(crate) async fn caught<F: Future>(future: F) -> Result<F::Output, Unanswered> {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(Unanswered::Broken(format!("it panicked: {}", message(&*panic))))),
    })
    .await
}

/// How often a body may be pending: the beginning of an endless body is enough to recognise it.
const PATIENCE: usize = 100;

/// The beginning of a body, without a wait for a streaming one. `chunk` polls for the next part.
pub(crate) async fn beginning<D: AsRef<[u8]>>(
    mut chunk: impl FnMut(&mut Context<'_>) -> Poll<Option<D>>,
) -> Vec<u8> {
    let (mut read, mut waited) = (Vec::new(), 0);
    poll_fn(|context| {
        while read.len() < MAX_BODY {
            match chunk(context) {
                Poll::Ready(Some(data)) => read.extend_from_slice(data.as_ref()),
                Poll::Ready(None) => break,
                Poll::Pending if waited == PATIENCE => break,
                Poll::Pending => {
                    waited += 1;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        read.truncate(MAX_BODY);
        Poll::Ready(std::mem::take(&mut read))
    })
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
