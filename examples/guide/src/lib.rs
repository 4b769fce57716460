//! The Rust code that the guide in `docs` shows, as far as no other example has it. `tests/pages.rs` looks each block
//! of the guide up here and in the other examples.

#![allow(dead_code, reason = "the guide shows parts of programs")]

mod attribute;
mod audit;
mod calling;
mod exporting;
mod identity;
mod issuers;
mod keys;
mod policies;
mod revocation;
#[cfg(test)]
mod rotating;
#[cfg(test)]
mod testing;
