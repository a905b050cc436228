//! Compiles the admin interface's .proto without an installed protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/scalar_admin.proto");
    println!("cargo::rerun-if-changed=src/catalog/migrations");
    let descriptors = protox::compile(["scalar_admin.proto"], ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
