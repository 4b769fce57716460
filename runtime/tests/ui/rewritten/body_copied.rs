// The body of a public handler needs its argument as well.

use rewriting::body_copied;
use service_only::public;

#[public(reason = "a test")]
#[body_copied]
async fn open() {}

fn main() {}
