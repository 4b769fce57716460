// Without the other attributes, the seal that checks the arguments is lost.

use rewriting::{reversed_bare, without_arguments_bare, wrapped_bare};
use service_only::service_only;

#[service_only]
#[without_arguments_bare]
async fn dropped() {}

#[service_only]
#[reversed_bare]
async fn moved(_: String) {}

#[service_only]
#[wrapped_bare]
async fn wrapped(_: String) {}

fn main() {}
