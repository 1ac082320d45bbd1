//! The life of a running sidecar: what reaches it from outside, and how it ends.
//!
//! [`live`] is one async function over one queue of [`Event`]s. Signals, file changes and tests all come in by that
//! queue, so a test tells the whole story on paused time without a signal.
//!
//! The end, in order: readiness goes off (probes say 503); the process serves on for `drain.delay`, as endpoints take
//! a while to disappear; then connections are closed as they become idle, and what runs has `drain.timeout` to finish.
//! A second signal cuts the delay short; a third, or one while connections close, cuts everything short. A process
//! that finished exits 0, whatever told it to end: only a drain that failed exits by its signal.

mod files;
mod signals;

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::config;
use crate::readiness::Readiness;

pub use self::files::{DEBOUNCE, DEBOUNCE_MAX, Fingerprint, RECHECK, follow, watch};
pub use self::signals::forward_signals;

/// How many events may wait. Signals that come faster than they are handled mean the same thing twice.
pub const EVENTS_MAX: usize = 16;

/// Which signal asked for the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, as from a terminal.
    Interrupt,
    /// SIGTERM, as from the kubelet or a service manager.
    Terminate,
}

impl Signal {
    /// The exit code of a process that this signal ended.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }

    /// The signal's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }
}

/// Why the configuration is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadCause {
    /// SIGHUP.
    Hangup,
    /// The content of the configuration file or of a TLS file changed.
    Files,
}

impl ReloadCause {
    /// The word in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "SIGHUP",
            Self::Files => "files",
        }
    }
}

/// What reaches a running sidecar from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// End.
    End(Signal),
    /// Read the configuration again.
    Reload(ReloadCause),
}

/// How the life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything that ran has finished.
    Finished,
    /// `drain.timeout` passed and requests still ran; this signal had asked for the end.
    Overdue(Signal),
    /// This signal cut the drain short.
    CutShort(Signal),
    /// The events' senders are gone, which only a bug can bring about.
    Deserted,
}

impl End {
    /// The exit code of the process: 0, or the signal's if the drain failed.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Finished => 0,
            Self::Overdue(signal) | Self::CutShort(signal) => signal.exit_code(),
            Self::Deserted => 1,
        }
    }
}

/// What lives: the assembled sidecar, and the script of the tests.
pub trait Sidecar {
    /// The drain settings now in force.
    fn drain_settings(&self) -> config::Drain;
    /// Takes a new configuration into use, or keeps the old one and says why. It never fails the process.
    fn reload(&mut self, cause: ReloadCause) -> impl Future<Output = ()>;
    /// Stops accepting, and has connections closed as they become idle.
    fn close(&mut self);
    /// Waits until no client connection is left or the deadline has passed; then cuts what is left, and says how many
    /// that were.
    fn finish(&mut self, deadline: Instant) -> impl Future<Output = usize>;
}

/// Lives until the end, and says how it ended.
pub async fn live(sidecar: &mut impl Sidecar, readiness: &Readiness, events: &mut mpsc::Receiver<Event>) -> End {
    let signal = loop {
        match events.recv().await {
            Some(Event::Reload(cause)) => sidecar.reload(cause).await,
            Some(Event::End(signal)) => break signal,
            None => return End::Deserted,
        }
    };
    let drain = sidecar.drain_settings();
    // `/drain` may have begun it already: then the delay has been running since.
    let since = readiness.drain();
    let left = drain.delay.saturating_sub(since.elapsed());
    tracing::info!(signal = signal.as_str(), delay_s = left.as_secs_f64(), "draining: serving on, not ready");
    linger(since + drain.delay, events).await;

    tracing::info!(timeout_s = drain.timeout.as_secs_f64(), "draining: closing connections");
    sidecar.close();
    let end = finish(sidecar, drain.timeout, signal, events).await;
    match end {
        End::Finished => tracing::info!("drained"),
        End::Overdue(_) | End::CutShort(_) | End::Deserted => tracing::warn!(?end, "requests were cut off"),
    }
    end
}

/// Serves on until `until`, or until another signal comes. The configuration stays as it is from here on.
async fn linger(until: Instant, events: &mut mpsc::Receiver<Event>) {
    let another_signal = async {
        while let Some(event) = events.recv().await {
            if let Event::End(signal) = event {
                tracing::info!(signal = signal.as_str(), "draining: delay cut short");
                return;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = sleep_until(until) => {}
        () = another_signal => {}
    }
}

async fn finish(
    sidecar: &mut impl Sidecar,
    limit: Duration,
    signal: Signal,
    events: &mut mpsc::Receiver<Event>,
) -> End {
    let another_signal = async {
        while let Some(event) = events.recv().await {
            if let Event::End(signal) = event {
                return signal;
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        left = sidecar.finish(Instant::now() + limit) => match left {
            0 => End::Finished,
            _ => End::Overdue(signal),
        },
        signal = another_signal => End::CutShort(signal),
    }
}
