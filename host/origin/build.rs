//! A new migration is compiled in although no Rust file has changed.

fn main() {
    #[allow(clippy::print_stdout, reason = "how a build script speaks to cargo")]
    println!("cargo:rerun-if-changed=migrations");
}
