//! Watching the files that a configuration was read from and names.

use std::path::PathBuf;

use notify::RecommendedWatcher;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::config::Loaded;
use crate::lifecycle::{Event, Fingerprint, follow, watch};

/// A watch that lasts until it is dropped.
pub(super) struct Watching {
    files: Vec<PathBuf>,
    task: Option<JoinHandle<()>>,
    /// Nudges the task while it lives; `None` where the system gives no nudges and the task looks now and then.
    _watcher: Option<RecommendedWatcher>,
}

impl Watching {
    /// Begins to watch the configuration's files, from their content now.
    pub(super) fn begin(loaded: &Loaded, events: &mpsc::Sender<Event>) -> Self {
        let files = files(loaded);
        if files.is_empty() {
            return Self { files, task: None, _watcher: None };
        }
        // One nudge waits at most: a second says nothing new.
        let (nudge, nudges) = mpsc::channel(1);
        let watcher = match watch(&files, nudge) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                tracing::warn!(%error, "files cannot be watched, and are looked at now and then");
                None
            }
        };
        let seen = Fingerprint::of(&files);
        let watched = files.clone();
        let look = move || {
            let files = watched.clone();
            async move {
                // A read that panicked reads as nothing at all, which is a change: the reload then says what is wrong.
                spawn_blocking(move || Fingerprint::of(&files)).await.unwrap_or_else(|_| Fingerprint::of(&[]))
            }
        };
        Self { files, task: Some(tokio::spawn(follow(seen, look, nudges, events.clone()))), _watcher: watcher }
    }

    /// Whether these are the files of that configuration too. A watch that goes on misses nothing that changed while
    /// the configuration was read; a new one might.
    pub(super) fn covers(&self, loaded: &Loaded) -> bool {
        self.files == files(loaded)
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The configuration's own file, the admin token's, and the PEM files of both sides.
fn files(loaded: &Loaded) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = loaded.file.iter().cloned().collect();
    if let Some(tls) = &loaded.config.listen.tls {
        files.extend([tls.certificate.clone(), tls.private_key.clone()]);
    }
    files.extend(loaded.config.admin.token.iter().map(|(file, _)| file.clone()));
    let tls = &loaded.config.origin.tls;
    files.extend(tls.ca_file.iter().cloned());
    if let Some((certificate, private_key)) = &tls.client {
        files.extend([certificate.clone(), private_key.clone()]);
    }
    files
}
