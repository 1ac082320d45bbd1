//! The running sidecar: how it reloads and how it closes.
//!
//! A reload is atomic for everybody who asks: the configuration is read and judged as a whole, then the core takes it
//! as a whole. If any of it is wrong, the old one stays, and the log, a counter and a gauge say so.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::watching::Watching;
use super::{Core, Parts};
use crate::admin::Gate;
use crate::cli;
use crate::config::{self, Config, Loaded, Overrides};
use crate::lifecycle::{Event, ReloadCause, Sidecar};
use crate::metrics::ReloadResult;
use crate::origin::BoxError;
use crate::server::Certificates;
use crate::text_log::TextLog;

/// Everything that a reload or the end touches.
pub(super) struct Running<C> {
    pub(super) core: Arc<C>,
    pub(super) parts: Parts,
    /// The configuration in use.
    pub(super) loaded: Loaded,
    pub(super) overrides: Overrides,
    pub(super) access_log: bool,
    pub(super) text_log: Option<TextLog>,
    pub(super) certificates: Option<Arc<Certificates>>,
    pub(super) gate: Arc<Gate>,
    pub(super) events: mpsc::Sender<Event>,
    /// Replaced by a reload, as another configuration may name other files.
    pub(super) watching: Watching,
    /// Stops the accept loop; taken by the close.
    pub(super) stop: Option<oneshot::Sender<()>>,
}

impl<C: Core> Sidecar for Running<C> {
    fn drain_settings(&self) -> config::Drain {
        self.loaded.config.drain
    }

    async fn reload(&mut self, cause: ReloadCause) {
        let result = match self.try_reload() {
            Ok(()) => {
                tracing::info!(cause = cause.as_str(), "reloaded");
                ReloadResult::Success
            }
            Err(error) => {
                tracing::error!(cause = cause.as_str(), %error, "not reloaded, the old configuration stays in use");
                ReloadResult::Error
            }
        };
        self.parts.metrics.config_reloaded(result, self.parts.clock.wall());
    }

    fn close(&mut self) {
        // A receiver that is gone has stopped already.
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.parts.drain.begin();
    }

    async fn finish(&mut self, deadline: Instant) -> usize {
        self.parts.drain.finish(deadline).await
    }
}

impl<C: Core> Running<C> {
    fn try_reload(&mut self) -> Result<(), BoxError> {
        let loaded = config::load(&self.overrides, cli::environment())?;
        // A certificate belongs to its files and not to the configuration, so a new one stays if the rest is refused.
        if let Some(certificates) = &self.certificates {
            certificates.reload()?;
        }
        self.core.replace(&loaded.config, &self.parts)?;
        self.gate.configure(&loaded.config.admin);
        self.parts.access_log.set(loaded.config.log.access || self.access_log);
        if let Some(text_log) = &self.text_log {
            text_log.set_level(&loaded.config.log.level)?;
        }
        for key in needs_restart(&self.loaded.config, &loaded.config) {
            tracing::warn!(key, "changed, and takes effect at the next start");
        }
        if !self.watching.covers(&loaded) {
            self.watching = Watching::begin(&loaded, &self.events);
        }
        self.loaded = loaded;
        Ok(())
    }
}

/// What was changed and cannot be taken into use by a running process: sockets stay where they are.
fn needs_restart(old: &Config, new: &Config) -> impl Iterator<Item = &'static str> {
    let changed = [
        ("listen", old.listen != new.listen),
        ("admin.address", old.admin.address != new.admin.address),
        ("limits", old.limits != new.limits),
        ("cache", old.cache != new.cache),
        ("runtime", old.workers != new.workers),
    ];
    changed.into_iter().filter(|(_, changed)| *changed).map(|(key, _)| key)
}
