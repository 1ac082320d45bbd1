//! A configuration for a test: text of a file, variables, flags.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use truehit::config::{self, ConfigError, Loaded, Memory, Overrides};

/// A directory of its own for each call, below the target directory.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("config-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).unwrap();
    directory
}

/// What is written, layer by layer.
#[derive(Clone, Default)]
pub(crate) struct Written {
    file: Option<(String, String)>,
    variables: Vec<(String, String)>,
    pub(crate) flags: Overrides,
    pub(crate) memory: Memory,
}

/// Nothing but the origin's address, by its flag.
pub(crate) fn minimal() -> Written {
    Written {
        flags: Overrides { origin: Some("http://127.0.0.1:8000".to_owned()), ..Overrides::default() },
        ..nothing()
    }
}

/// Nothing at all, on a machine of 8 GiB.
pub(crate) fn nothing() -> Written {
    Written { memory: Memory { limit: None, total: Some(8 << 30) }, ..Written::default() }
}

impl Written {
    /// With a file of this name and text.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.file = Some((name.to_owned(), text.to_owned()));
        self
    }

    /// With a file `t.toml`.
    pub(crate) fn toml(self, text: &str) -> Self {
        self.file("t.toml", text)
    }

    /// With a variable.
    pub(crate) fn var(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Loads it; the directory of the file is not part of what errors say.
    pub(crate) fn load(self) -> Result<Loaded, ConfigError> {
        let Self { file, variables, mut flags, memory } = self;
        if let Some((name, text)) = file {
            let path = directory().join(name);
            fs::write(&path, text).unwrap();
            flags.config = Some(path);
        }
        config::load_with(&flags, variables.into_iter(), memory)
    }

    /// Loads it and gives what was wrong, one line per problem, with the bare name of the file.
    pub(crate) fn error(self) -> String {
        let error = self.load().expect_err("the configuration should have been refused").to_string();
        error.lines().map(bare).collect::<Vec<_>>().join("\n")
    }
}

/// A line without the directory of the file.
pub(crate) fn bare(line: &str) -> &str {
    match line.find("t.toml").or_else(|| line.find("t.y")) {
        Some(start) if line.starts_with('/') => &line[start..],
        _ => line,
    }
}
