//! Tests interrupted rotations, leaked keys and concurrent rotations, and which keys cannot be rotated.

mod bench;
mod cut_off;
mod elsewhere;
mod leaked;

use super::*;

#[test]
fn secret_and_named_key_are_not_rotated() {
    let refusal = |algorithm, kid| check_rotatable(algorithm, kid).unwrap_err().to_string();
    assert!(refusal(Algorithm::HS256, None).contains("cannot be published"));
    assert!(refusal(Algorithm::ES256, Some("2026-01")).contains("leave `kid` out"));
}
