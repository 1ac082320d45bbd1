//! The structure of one layer: are its names known, and is a table where a table belongs?
//!
//! What is wrong is reported and taken away, so that the rest can be looked at and all problems come out at once.

use figment::value::{Dict, Value};

use super::keys::{self, Kind};
use super::nearest::nearest;
use super::path::child;
use super::shown;

/// Prunes `table`, which is at the path `at`, calling `report` with the path and the sentence for each problem.
pub(super) fn prune(table: &mut Dict, at: &str, report: &mut dyn FnMut(&str, String)) {
    table.retain(|name, value| {
        let path = child(at, name);
        // A quoted name may hold a dot (`"origin.url" = ...`); it is no path.
        let Some(key) = keys::find(&path).filter(|key| key.name() == name) else {
            report(&path, unknown(at, name));
            return false;
        };
        let wrong = |value: &Value| format!("found {}; allowed: {}", shown::found(value), key.allowed);
        match (key.kind, value) {
            (Kind::Table, Value::Dict(_, inner)) => prune(inner, &path, report),
            (Kind::Tables, Value::Array(_, list)) => {
                for (index, element) in list.iter_mut().enumerate() {
                    let path = format!("{path}[{index}]");
                    if let Value::Dict(_, inner) = element {
                        prune(inner, &path, report);
                    } else {
                        report(&path, format!("found {}; allowed: a table", shown::found(element)));
                        *element = Value::from(Dict::new());
                    }
                }
            }
            (Kind::Table | Kind::Tables, value) => {
                report(&path, wrong(value));
                return false;
            }
            _ => {}
        }
        true
    });
}

/// What to say of a name that is not known: what the table allows, and the nearest name in it or elsewhere.
fn unknown(table: &str, name: &str) -> String {
    let table = super::path::general(table);
    let siblings = || keys::all().iter().filter(|key| key.table() == table);
    let allowed: Vec<_> = siblings().map(keys::Key::name).collect();
    let hint = match nearest(name, allowed.iter().copied()) {
        Some(near) => format!("; did you mean {near:?}?"),
        None => {
            let near = nearest(name, keys::all().iter().map(keys::Key::name));
            let key = near.and_then(|near| keys::all().iter().find(|key| key.name() == near));
            key.map(|key| format!("; did you mean {:?}?", key.path)).unwrap_or_default()
        }
    };
    format!("unknown key; allowed: {}{hint}", allowed.join(", "))
}
