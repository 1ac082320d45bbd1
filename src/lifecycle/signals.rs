//! Signals as [`Event`]s: SIGTERM and SIGINT end, SIGHUP reloads.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Event, ReloadCause, Signal};

/// Forwards signals to `events` from now on. Call it before anything is said to be ready, so that no signal finds the
/// default action in place.
///
/// # Errors
///
/// If a handler cannot be installed.
pub fn forward_signals(events: &mpsc::Sender<Event>) -> io::Result<()> {
    for (kind, event) in [
        (SignalKind::terminate(), Event::End(Signal::Terminate)),
        (SignalKind::interrupt(), Event::End(Signal::Interrupt)),
        (SignalKind::hangup(), Event::Reload(ReloadCause::Hangup)),
    ] {
        let mut arrivals = signal(kind)?;
        let events = events.clone();
        tokio::spawn(async move {
            while arrivals.recv().await.is_some() {
                // A full queue waits here, and the kernel merges what comes meanwhile.
                if events.send(event).await.is_err() {
                    return;
                }
            }
        });
    }
    Ok(())
}
