//! `truehit run`: the process around the sidecar (configuration, log, threads, signals) and its exit code.

use tokio::runtime::Builder;
use tokio::sync::mpsc;

use super::{RunArgs, environment, exit};
use crate::config;
use crate::lifecycle::{EVENTS_MAX, forward_signals};
use crate::run::{self, Core, Launch};
use crate::text_log::TextLog;

/// Runs until a signal has ended it, and gives the exit code. What keeps it from starting is said on standard error.
#[must_use]
pub fn run<C: Core>(args: &RunArgs) -> u8 {
    let overrides = args.flags.overrides();
    let loaded = match config::load(&overrides, environment()) {
        Ok(loaded) => loaded,
        Err(error) => return failed(exit::CONFIG, &error),
    };
    let text_log = match TextLog::install(&loaded.config.log.level) {
        Ok(text_log) => text_log,
        Err(error) => return failed(exit::CONFIG, &error),
    };
    let mut builder = Builder::new_multi_thread();
    if let Some(workers) = loaded.config.workers {
        builder.worker_threads(workers);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(exit::FAILURE, &error),
    };
    // For clients that are built without naming one. A second installation is refused, and means that one is there.
    let _ = rustls::crypto::ring::default_provider().install_default();

    let launch = Launch { overrides, access_log: args.access_log, loaded, text_log: Some(text_log) };
    let code = runtime.block_on(live::<C>(launch));
    // A name resolution that hangs must not hold the end.
    runtime.shutdown_background();
    code
}

async fn live<C: Core>(launch: Launch) -> u8 {
    let (sender, receiver) = mpsc::channel(EVENTS_MAX);
    if let Err(error) = forward_signals(&sender) {
        return failed(exit::FAILURE, &error);
    }
    match run::run::<C>(launch, (sender, receiver), |_| ()).await {
        Ok(end) => end.exit_code(),
        Err(error) => failed(error.exit_code(), &error),
    }
}

fn failed(code: u8, error: &dyn std::error::Error) -> u8 {
    eprintln!("truehit: {error}");
    code
}
