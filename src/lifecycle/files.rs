//! Configuration and TLS files: noticing that their content changed.
//!
//! A ConfigMap or Secret volume is updated by swapping a symbolic link (`..data`), so the file that was opened never
//! changes and its own watch would stay silent: the *directory* is watched, and whatever happens there is only a nudge
//! to compare content. Nudges are gathered for a moment, as a certificate and its key are written one after the other.
//! Where a file system gives no nudges (some network and overlay mounts), the content is compared now and then anyway.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Event, ReloadCause};

/// How long the directory must be quiet before the content is compared.
pub const DEBOUNCE: Duration = Duration::from_millis(200);

/// How long nudges can put the comparison off.
pub const DEBOUNCE_MAX: Duration = Duration::from_secs(2);

/// How often the content is compared without a nudge.
pub const RECHECK: Duration = Duration::from_secs(30);

/// The content of some files at one time. An absent file has a content too: none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<Option<[u8; 32]>>);

impl Fingerprint {
    /// Reads the files. Symbolic links are followed.
    #[must_use]
    pub fn of(files: &[PathBuf]) -> Self {
        let digest = |file: &PathBuf| std::fs::read(file).ok().map(|content| Sha256::digest(content).into());
        Self(files.iter().map(digest).collect())
    }
}

/// Nudges when something happens in the directories of `files`, until the watcher is dropped.
///
/// # Errors
///
/// If the system refuses a watch (a directory that is not there, no watches left). [`follow`] does without.
pub fn watch(files: &[PathBuf], nudge: mpsc::Sender<()>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |_event| {
        // Full: a nudge waits already. Whatever the event says, the content decides.
        let _ = nudge.try_send(());
    })?;
    let directories: BTreeSet<PathBuf> = files.iter().map(|file| directory(file)).collect();
    for directory in directories {
        watcher.watch(&directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

fn directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Sends a reload event whenever the fingerprint differs from the one before, which was `seen` at first. Ends when
/// nobody receives events any longer.
pub async fn follow<F, R>(
    mut seen: Fingerprint,
    fingerprint: F,
    mut nudges: mpsc::Receiver<()>,
    events: mpsc::Sender<Event>,
) where
    F: Fn() -> R,
    R: Future<Output = Fingerprint>,
{
    loop {
        match timeout(RECHECK, nudges.recv()).await {
            Ok(Some(())) => settle(&mut nudges).await,
            // No watcher: the pace is the recheck's.
            Ok(None) => sleep(RECHECK).await,
            Err(_) => {}
        }
        let now = fingerprint().await;
        if now != seen {
            seen = now;
            if events.send(Event::Reload(ReloadCause::Files)).await.is_err() {
                return;
            }
        } else if events.is_closed() {
            return;
        }
    }
}

/// Waits until no nudge has come for [`DEBOUNCE`], but no longer than [`DEBOUNCE_MAX`].
async fn settle(nudges: &mut mpsc::Receiver<()>) {
    let latest = Instant::now() + DEBOUNCE_MAX;
    while let Ok(Some(())) = timeout_at(latest.min(Instant::now() + DEBOUNCE), nudges.recv()).await {
        if Instant::now() >= latest {
            return;
        }
    }
}
