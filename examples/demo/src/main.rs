//! truehit's demo: a small API over SQLite, `truehit run` in front of it, and a walk through what that changes.
//!
//! `truehit-demo` leaves both running for you to try; `truehit-demo --once` ends after the walk. Every step of the walk
//! is verified, and the first that does not show what it says ends the demo with status 1.

mod api;
mod client;
mod database;
mod folder;
mod sidecar;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::serve::ListenerExt;
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::client::AnyError;
use crate::folder::Folder;
use crate::sidecar::Sidecar;
use crate::story::Story;

/// A small API over SQLite with truehit in front of it, and a walk through what that changes.
#[derive(Debug, Parser)]
#[command(name = "truehit-demo")]
struct Arguments {
    /// End after the walk, with status 0 if every step showed what it says.
    #[arg(long)]
    once: bool,
    /// Where the API listens; port 0 is any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    api: String,
    /// Where truehit listens; port 0 is any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: String,
    /// How long a full read of the products takes, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 150)]
    products_delay: u64,
    /// The SQLite file; by default one that goes away with the demo.
    #[arg(long, value_name = "FILE")]
    database: Option<PathBuf>,
    /// The truehit program; by default the one beside this program.
    #[arg(long, value_name = "FILE")]
    truehit: Option<PathBuf>,
    /// More arguments for `truehit run`, after `--`.
    #[arg(last = true, value_name = "ARGUMENT")]
    more: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    match runtime.block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &AnyError) -> ExitCode {
    eprintln!("\ntruehit-demo: {error}");
    ExitCode::FAILURE
}

/// Starts both, walks through the story, and waits to be interrupted. Everything started here ends with this function.
async fn run(arguments: Arguments) -> Result<(), AnyError> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let folder = Folder::new()?;
    tokio::select! {
        result = demonstrate(arguments, &folder) => result,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

async fn demonstrate(arguments: Arguments, folder: &Folder) -> Result<(), AnyError> {
    let delay = Duration::from_millis(arguments.products_delay);
    let database = arguments.database.unwrap_or_else(|| folder.file("shop.db"));
    let program = sidecar::find(arguments.truehit)?;

    let listener = TcpListener::bind(&arguments.api).await?;
    let api = listener.local_addr()?.to_string();
    let router = api::router(&database, delay)?;
    // An answer that waits for the reader's acknowledgement would be counted as the API's time.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let log = folder.file("truehit.log");
    let mut sidecar =
        Sidecar::start(&program, &format!("http://{api}"), &arguments.listen, &arguments.more, &log).await?;

    let mut story = Story::new(&api, &sidecar.listen, &sidecar.admin, database, delay);
    story.introduce();
    story.walk().await?;
    if arguments.once {
        return Ok(());
    }
    story.what_to_try(&log);
    Err(sidecar.ended().await)
}
