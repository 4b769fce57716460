//! Compiles the service's description. protox is a compiler in Rust, so `protoc` is not needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["tenants.proto"], ["proto"])?;
    Ok(tonic_prost_build::configure().compile_fds(files)?)
}
