//! The layer of the environment: `TRUEHIT_ORIGIN__URL` sets `origin.url`, a double underscore goes one table down.
//!
//! Kubernetes puts variables of its own next to ours: for each Service it injects links, and a Service may be called
//! `truehit` or `truehit-x`. Their names are known and ignored; any other name that looks like a key must be one.

use figment::value::Value;

use super::error::{Place, Problem};
use super::file::toml_value;
use super::keys::{self, Key, Kind};
use super::layers::Layer;
use super::nearest::nearest;

/// The start of every variable that is ours.
const PREFIX: &str = "TRUEHIT_";

/// What the environment says.
#[derive(Default)]
pub(super) struct Environment {
    /// `TRUEHIT_CONFIG`: the file to read.
    pub(super) file: Option<String>,
    /// One layer per variable, so that each value knows its own.
    pub(super) layers: Vec<Layer>,
    /// What is wrong with the names.
    pub(super) problems: Vec<Problem>,
}

/// Reads the variables, in the order of their names.
pub(super) fn read(variables: impl Iterator<Item = (String, String)>) -> Environment {
    let mut ours: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort();
    let mut environment = Environment::default();
    for (name, value) in ours {
        let rest = name.strip_prefix(PREFIX).unwrap_or(&name);
        // `TRUEHIT_LOG` sorts before `TRUEHIT_LOG__LEVEL`, so the full name has the last word.
        let key = match rest {
            "CONFIG" => {
                environment.file = Some(value);
                continue;
            }
            "LOG" => keys::find("log.level"),
            _ => keys::all().iter().find(|key| key.variable().as_deref() == Some(&name)),
        };
        match key {
            Some(key) => {
                let typed = typed(key, &value);
                environment.layers.push(Layer::one(Place::Environment(name), &key.path, typed));
            }
            None if is_service_link(rest, &value) || !looks_like_a_key(rest) => {}
            None => environment.problems.push(unknown(&name, rest)),
        }
    }
    environment
}

/// The value as the file would have it. What does not fit stays text, and is refused later as what it is.
fn typed(key: &Key, text: &str) -> Value {
    let fitting = match key.kind {
        Kind::Text => None,
        Kind::Bool => text.parse::<bool>().ok().map(Value::from),
        Kind::Integer => text.parse::<i64>().ok().map(Value::from),
        Kind::Number => text.parse::<f64>().ok().map(Value::from),
        Kind::List | Kind::Table | Kind::Tables => toml_value(text),
    };
    fitting.unwrap_or_else(|| Value::from(text))
}

/// Whether a variable was injected for a Service (Kubernetes, "Discovering services"): `PORT`, `PORT_80_TCP_ADDR`,
/// `SERVICE_HOST`, `SERVICE_PORT_HTTP`, each after `TRUEHIT_` or `TRUEHIT_X_`.
fn is_service_link(rest: &str, value: &str) -> bool {
    let rest = format!("_{rest}");
    let of_a_port = |protocol: &str| {
        let (before, _) = rest.split_once(protocol)?;
        let (_, port) = before.rsplit_once("_PORT_")?;
        (!port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
    };
    rest == "_PORT"
        || rest.ends_with("_PORT") && value.contains("://")
        || rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || ["_TCP", "_UDP", "_SCTP"].into_iter().any(|protocol| of_a_port(protocol).is_some())
}

/// Whether a name is meant as a key: it goes down a table, or begins with one.
fn looks_like_a_key(rest: &str) -> bool {
    let top = |key: &&Key| !key.path.contains('.');
    let begins = |key: &Key| {
        let after = rest.strip_prefix(&key.path.to_uppercase());
        after.is_some_and(|after| after.is_empty() || after.starts_with('_'))
    };
    rest.contains("__") || keys::all().iter().filter(top).any(begins)
}

/// What to say of a name that is not known.
fn unknown(name: &str, rest: &str) -> Problem {
    let known: Vec<_> = keys::all().iter().filter_map(Key::variable).collect();
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("; did you mean {near}?"),
        None => String::new(),
    };
    let message = format!("unknown key; allowed: {PREFIX}, then a key in capitals with \"__\" for each \".\"{hint}");
    Problem { place: Place::Environment(name.to_owned()), key: rest.to_lowercase().replace("__", "."), message }
}
