//! The `chunkctl` program.

fn main() -> std::process::ExitCode {
    chunkctl::run()
}
