//! The life of a sidecar, from the command line to the exit code.

use std::process::ExitCode;

use clap::Parser;
use truehit::cli::{self, Cli, Command, exit};
use truehit::front::Front;

/// What a request allocates on one thread is often freed on another: docs/adr/0008 has what this allocator saves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help is no error. What cannot be printed cannot be reported either.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::CLEAN });
        }
    };
    match cli.command {
        Command::Run(args) => ExitCode::from(cli::run::<Front>(&args)),
        Command::Config(command) => ExitCode::from(cli::config(&command)),
        Command::Probe(args) => block_on(cli::probe(&args)),
        Command::Health(args) => block_on(cli::health(&args, admin_in_environment().as_deref())),
        Command::Drain(args) => block_on(cli::drain(&args, admin_in_environment().as_deref())),
        Command::Version => {
            println!("{}", cli::version());
            ExitCode::from(exit::CLEAN)
        }
    }
}

/// Where the process that is asked was told to have its admin listener.
fn admin_in_environment() -> Option<String> {
    std::env::var("TRUEHIT_ADMIN__ADDRESS").ok()
}

/// Runs a command that asks a question or two: one thread is enough.
fn block_on(command: impl Future<Output = u8>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => ExitCode::from(runtime.block_on(command)),
        Err(error) => {
            eprintln!("truehit: no runtime: {error}");
            ExitCode::from(exit::FAILURE)
        }
    }
}
