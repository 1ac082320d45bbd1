//! The text log: what truehit says about itself (start, reload, drain, errors), on standard error.
//!
//! Lines for people where standard error is a terminal, JSON lines otherwise. The filter follows `log.level` through
//! reloads. Requests are not logged here: they have [`crate::access_log`], which cannot block.

use std::io::IsTerminal;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Why the text log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TextLogError {
    /// The filter is not one.
    #[error("log.level: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// The process has a log already.
    #[error("the log is set up already")]
    Installed,
    /// The log is gone: the process is ending.
    #[error("the log is gone")]
    Gone,
}

/// The way to another filter.
#[derive(Clone, Debug)]
pub struct TextLog(reload::Handle<EnvFilter, Registry>);

impl TextLog {
    /// Sets the process's log up, once, with this filter.
    ///
    /// # Errors
    ///
    /// If the filter does not parse, or the process has a log already.
    pub fn install(level: &str) -> Result<Self, TextLogError> {
        let (filter, handle) = reload::Layer::new(EnvFilter::try_new(level)?);
        let lines = fmt::layer().with_writer(std::io::stderr);
        let lines = if std::io::stderr().is_terminal() {
            lines.with_target(false).boxed()
        } else {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        };
        let log = tracing_subscriber::registry().with(filter).with(lines);
        log.try_init().map_err(|_| TextLogError::Installed)?;
        Ok(Self(handle))
    }

    /// Changes the filter.
    ///
    /// # Errors
    ///
    /// If the filter does not parse; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), TextLogError> {
        let filter = EnvFilter::try_new(level)?;
        self.0.reload(filter).map_err(|_| TextLogError::Gone)
    }
}
