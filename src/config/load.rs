//! Loading: the layers in order, then [`Settings`](super::settings::Settings), then [`Config`].
//!
//! Nothing is changed by loading, so a running process may load again and compare.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use figment::value::Value;

use super::error::{ConfigError, Place, Problem};
use super::file::{self, Lines};
use super::layers::{Layer, Layers};
use super::memory::Memory;
use super::{Config, env, keys, resolve};

/// What the command line says, as it was typed: it is read and judged like every other layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// `--config`: the file; `None` leaves it to `TRUEHIT_CONFIG`, and without that there is none.
    pub config: Option<PathBuf>,
    /// `--origin`: `origin.url`.
    pub origin: Option<String>,
    /// `--listen`: `listen.address`.
    pub listen: Option<String>,
    /// `--admin`: `admin.address`.
    pub admin: Option<String>,
    /// `--verify`: `defaults.verify`.
    pub verify: Option<String>,
    /// `--check`: `defaults.check`.
    pub check: Option<String>,
}

impl Overrides {
    /// One layer per flag that was given.
    fn layers(&self) -> impl Iterator<Item = Layer> {
        let values = [&self.origin, &self.listen, &self.admin, &self.verify, &self.check];
        let given = keys::FLAGS.into_iter().zip(values).filter_map(|(names, value)| Some((names, value.clone()?)));
        given.map(|((flag, key), value)| Layer::one(Place::Flag(flag.to_owned()), key, Value::from(value)))
    }
}

/// A configuration and where each of its values came from.
#[derive(Debug)]
pub struct Loaded {
    /// What it means.
    pub config: Config,
    /// The file that was read, if any: the one to watch.
    pub file: Option<PathBuf>,
    /// Where the values came from.
    pub(super) layers: Layers,
}

impl Loaded {
    /// Where the value of a key came from; a key is written as `origin.url` or `route[2].verify`.
    #[must_use]
    pub fn place(&self, key: &str) -> Place {
        self.layers.place(key)
    }
}

/// Loads the configuration: defaults, then the file, then the environment, then the command line.
///
/// # Errors
///
/// [`ConfigError`] with every problem that was found.
pub fn load(overrides: &Overrides, env: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigError> {
    load_with(overrides, env, Memory::read(Path::new("/")))
}

/// [`load`] on a system with this much memory.
///
/// # Errors
///
/// [`ConfigError`] with every problem that was found.
pub fn load_with(
    overrides: &Overrides,
    env: impl Iterator<Item = (String, String)>,
    memory: Memory,
) -> Result<Loaded, ConfigError> {
    let environment = env::read(env);
    let mut problems: Vec<Problem> = environment.problems;
    let file: Option<Arc<Path>> = match (&overrides.config, environment.file) {
        (Some(path), _) => Some(Arc::from(path.as_path())),
        (None, Some(path)) => Some(Arc::from(Path::new(&path))),
        (None, None) => None,
    };
    let mut layers = Vec::new();
    let mut lines = Lines::new();
    let mut file_is_known = true;
    match file.as_ref().map(|path| (path, file::read(path))) {
        Some((path, Ok((table, its_lines)))) => {
            lines = its_lines;
            layers.push(Layer::new(Place::File { path: Arc::clone(path), line: None }, table));
        }
        Some((_, Err(found))) => {
            problems.extend(found);
            file_is_known = false;
        }
        None => {}
    }
    layers.extend(environment.layers);
    layers.extend(overrides.layers());
    let layers = Layers::merge(layers, lines, &mut problems);
    let settings = layers.settings(&mut problems);
    // With a file that could not be read, or a name or a value that is not known, what must agree between keys would
    // be judged by values that nobody meant.
    let settings = settings.filter(|_| file_is_known && problems.is_empty());
    let Some(settings) = settings else { return Err(ConfigError::new(problems)) };
    match resolve::resolve(settings, memory, &layers) {
        Ok(config) => Ok(Loaded { config, file: file.map(|path| path.to_path_buf()), layers }),
        Err(problems) => Err(ConfigError::new(problems)),
    }
}
