//! Builds guests until the command line can: `cargo run -p wayside-policy --example build_guest -- [--check] DIR...`.

use std::{path::Path, process::ExitCode};

#[allow(clippy::print_stderr, reason = "a tool of the command line")]
fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_check = arguments.first().is_some_and(|first| first == "--check");
    if is_check {
        arguments.remove(0);
    }
    let mut code = ExitCode::SUCCESS;
    for dir in arguments {
        let outcome = if is_check {
            wayside_policy::toolchain::check(Path::new(&dir)).map_err(|error| error.to_string())
        } else {
            wayside_policy::toolchain::build(Path::new(&dir))
                .map(|built| {
                    eprintln!(
                        "{} {} bytes, source {}",
                        built.path.display(),
                        built.component.len(),
                        built.source
                    )
                })
                .map_err(|error| error.to_string())
        };
        if let Err(error) = outcome {
            eprintln!("error: {error}");
            code = ExitCode::FAILURE;
        }
    }
    code
}
