//! `Folder`: a temporary folder in memory, for what the programs write; removed when the value is dropped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let shared = Path::new("/dev/shm");
        let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("truehit-peers-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).expect("a temporary folder");
        // Varnish's worker and nginx's run as users of their own if this runs as root.
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, everyone).expect("it is ours");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A folder within it.
    pub fn within(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).expect("a folder in a temporary folder");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A process that is still ending may write into it once more.
        for _ in 0..20 {
            if std::fs::remove_dir_all(&self.0).is_ok() {
                return;
            }
            crate::process::pause();
        }
        eprintln!("left behind: {}", self.0.display());
    }
}
