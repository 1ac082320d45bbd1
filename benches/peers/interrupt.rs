//! The wish to stop early: an interrupt ends the run after the round under way, so that every process is stopped and
//! every temporary folder removed.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

static CAME: AtomicBool = AtomicBool::new(false);

/// Listens for SIGINT and SIGTERM for the rest of the process.
pub fn listen() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened for");
            let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                CAME.store(true, Ordering::Relaxed);
            }
        });
    });
}

/// Whether one came.
pub fn came() -> bool {
    CAME.load(Ordering::Relaxed)
}
