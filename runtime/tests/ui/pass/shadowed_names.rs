//! Names of the user's own that are also names of ours or of the prelude.

#![allow(dead_code, non_snake_case, non_upper_case_globals)]

mod core {}
mod std {}
mod service_only {}

struct Guard;
struct Policy;
struct Site;
struct Text;
struct Public;
struct Admit;
struct Refused;
struct String;
enum Option {
    Some,
    None,
}
type Result<T> = ::core::result::Result<T, ::service_only::Denial>;
static denial: u8 = 0;
static given: u8 = 0;

fn Ok<T>(value: T) -> Result<T> {
    Result::Ok(value)
}

fn Err(value: u8) -> u8 {
    value
}

fn check() {}

#[allow(unused_macros)]
macro_rules! register_guarded {
    ($($any:tt)*) => {
        compile_error!("not ours")
    };
}

#[::service_only::service_only]
async fn list(self::Own(_): self::Own<Guard>) -> &'static str {
    "orders"
}

struct Own<T>(T);

#[::service_only::service_only(roles("admin"))]
fn delete(_: &::service_only::Caller) -> Result<u8> {
    check();
    Ok(Err(denial + given))
}

#[::service_only::service_only]
fn taken_apart(::service_only::claims::ServiceClaims { .. }: &::service_only::claims::ServiceClaims) -> Result<()> {
    Ok(())
}

fn main() {
    let _ = (list, delete as fn(&_) -> _, taken_apart as fn(&_) -> _);
}
