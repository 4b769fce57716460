// A public handler shows in its signature that it is one.

use rewriting::without_arguments;
use service_only::public;

#[public(reason = "a test")]
#[without_arguments]
async fn open() {}

fn main() {}
