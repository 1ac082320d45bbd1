//! The documents that are made of the list of keys: `config/truehit.toml` and `docs/config.md`.
//!
//! Both are committed, and a test fails when one is out of date; `make generate` writes them again.

use std::fmt::Write as _;

use super::keys::{self, Key, Kind};
use super::shown;

/// The width of the comments in the default file.
const WIDTH: usize = 100;

/// The text of `config/truehit.toml`: every key with its default, each with one line of prose.
#[must_use]
pub fn default_file() -> String {
    let mut out = String::from(
        "# The configuration of truehit: every key, with its default.\n\
         #\n\
         # A key that is commented out has the value that is shown; where there is no default, the value is an example.\n\
         # docs/config.md says more about each. Made by `make generate`; do not edit the one in the repository.\n",
    );
    for key in keys::all() {
        let commented = key.path.starts_with("route");
        match key.kind {
            Kind::Table => {
                let _ = write!(out, "\n{}[{}]\n", comment(&key.line), key.path);
            }
            Kind::Tables => {
                let _ = write!(
                    out,
                    "\n{}# Every key of [defaults] may be repeated here.\n# [[{}]]\n",
                    comment(&key.line),
                    key.path
                );
            }
            _ if commented && keys::find(&format!("defaults.{}", key.name())).is_some() => {}
            _ => {
                let mark = if key.required && !commented { "" } else { "# " };
                let words = if key.words.is_empty() { String::new() } else { format!("Allowed: {}.", key.allowed) };
                let prose = format!("{} {words}", key.line);
                let _ = writeln!(out, "{}{mark}{} = {}", comment(&prose), key.name(), value(key));
            }
        }
    }
    out
}

/// The default, or else the example.
fn value(key: &Key) -> String {
    key.default.as_ref().or(key.example.as_ref()).map(shown::json).unwrap_or_default()
}

/// Prose as comment lines.
fn comment(prose: &str) -> String {
    let mut lines = vec![String::new()];
    for word in prose.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!(" {word}")),
        }
    }
    lines.iter().map(|line| format!("#{line}\n")).collect()
}

/// What `docs/config.md` says before the keys.
const INTRODUCTION: &str = r#"# Configuration

<!-- Made by `make generate` from src/config; do not edit. -->

truehit reads its configuration in four layers, a later one over an earlier one:

1. the defaults on this page;
2. a file, if `--config` or `TRUEHIT_CONFIG` names one: TOML (`.toml`) or YAML (`.yaml`, `.yml`);
3. environment variables: `TRUEHIT_`, then the key in capitals, with `__` for each dot;
4. flags of the command line.

Only `origin.url` must be set. A list replaces the list of the layer below, and so does `[[route]]` with all its routes.
In the environment a list is written as in TOML, `["a", "b"]`, and everything else without quotes.

`truehit config check` shows every key with its effective value and where it came from. An unknown key, a value that is
not allowed, keys that contradict each other and a file that cannot be read all stop the start, with exit code 78 and
one line for each: the place (file and line, variable or flag), the key, what was found, what is allowed, and the
nearest known name.

- **Durations** have a unit: `"250ms"`, `"1.5s"`, `"5m"`, `"1h"` (also `us` and `ns`), at most 365 days.
- **Sizes** have a unit, `"64KiB"`, `"8MiB"`, `"1GiB"` or decimal `kB`, `MB`, `GB`; a bare number counts bytes.
- **Files** are named absolutely or from the working directory.
- **Service links.** Kubernetes injects variables for each Service. If one is called `truehit` or `truehit-x`, their
  names start like ours (`TRUEHIT_PORT`, `TRUEHIT_SERVICE_HOST`, `TRUEHIT_X_PORT_80_TCP`); they are ignored.

`config/truehit.toml` has all of this as a file to begin with; `truehit config schema` prints the JSON Schema for editors.
"#;

/// The text of `docs/config.md`: every key with its default, what is allowed, and its prose.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    for key in keys::all() {
        match key.kind {
            Kind::Table => {
                let _ = write!(out, "\n## `[{}]`\n\n{}\n", key.path, prose(key));
            }
            Kind::Tables => {
                let _ = write!(out, "\n## `[[{}]]`\n\n{}\n", key.path, prose(key));
            }
            _ if key.path.contains('[') && keys::find(&format!("defaults.{}", key.name())).is_some() => {}
            _ => entry(&mut out, key),
        }
    }
    out
}

/// The section of one key.
fn entry(out: &mut String, key: &Key) {
    let _ = write!(out, "\n### `{}`\n\n{}\n\n", key.path, prose(key));
    match (&key.default, &key.example) {
        (Some(default), _) => {
            let _ = writeln!(out, "- default: `{}`", shown::json(default));
        }
        (None, example) => {
            let _ = writeln!(out, "- default: {}", if key.required { "none, it must be set" } else { "not set" });
            if let Some(example) = example {
                let _ = writeln!(out, "- example: `{}`", shown::json(example));
            }
        }
    }
    let _ = writeln!(out, "- allowed: {}", key.allowed);
    for (word, meaning) in key.words.iter().filter(|(_, meaning)| !meaning.is_empty()) {
        let _ = writeln!(out, "  - `{word:?}`: {meaning}");
    }
    if let Some(variable) = key.variable() {
        let _ = writeln!(out, "- environment: `{variable}`");
    }
    if let Some(flag) = key.flag() {
        let _ = writeln!(out, "- flag: `{flag}`");
    }
}

/// All prose of a key.
fn prose(key: &Key) -> String {
    match &key.paragraph {
        Some(paragraph) => format!("{}\n\n{paragraph}", key.line),
        None => key.line.clone(),
    }
}
