//! `truehit config check`: every key with its effective value, and where that came from.

use super::keys::{self, Kind};
use super::load::Loaded;
use super::{Config, path, routes, shown, size};

impl Loaded {
    /// Every key with its effective value and the place it came from, one per line, aligned.
    #[must_use]
    pub fn explain(&self) -> String {
        let plain = keys::all().iter().filter(|key| !key.path.contains('[') && !is_table(key.kind));
        let rules: Vec<_> = keys::all().iter().filter(|key| key.table() == "route[]").collect();
        let of_routes = (0..self.layers.routes())
            .flat_map(|index| rules.iter().map(move |key| format!("route[{index}].{}", key.name())));
        let rows: Vec<_> = plain.map(|key| key.path.clone()).chain(of_routes).map(|key| self.row(key)).collect();
        let width =
            |column: fn(&[String; 3]) -> &String| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
        let (keys, values) = (width(|row| &row[0]), width(|row| &row[1]).min(48));
        let line = |[key, value, place]: &[String; 3]| format!("{key:keys$} = {value:values$}  {place}\n");
        rows.iter().map(line).collect()
    }

    /// Key, value and place.
    fn row(&self, key: String) -> [String; 3] {
        let place = self.layers.place(&key).to_string();
        let (_, value) = self.layers.effective(&key);
        let meant = meant(&self.config, &key);
        let value = match (value.map(shown::value), meant) {
            (Some(value), Some(meant)) if value == "\"auto\"" => format!("{value} ({meant})"),
            (Some(value), _) => value,
            (None, Some(meant)) => format!("({meant})"),
            (None, None) => "(not set)".to_owned(),
        };
        [key, value, place]
    }
}

const fn is_table(kind: Kind) -> bool {
    matches!(kind, Kind::Table | Kind::Tables)
}

/// What a key means that was left out or is `auto`, where that follows from other keys or from the system.
fn meant(config: &Config, key: &str) -> Option<String> {
    let bytes = match key {
        "cache.memory" => config.cache.memory,
        "cache.fill_memory" => config.cache.fill_memory,
        _ => return meant_by_rules(config, key),
    };
    Some(size::render(bytes))
}

/// [`meant`] for the keys of a route, and of `[defaults]`, which is the last route.
fn meant_by_rules(config: &Config, key: &str) -> Option<String> {
    let (table, name) = key.rsplit_once('.')?;
    let route = match path::position(table) {
        Some(index) => config.routes.get(index),
        None if table == "defaults" => config.routes.last(),
        None => None,
    };
    let policy = &route?.policy;
    match name {
        "authorization" => Some(format!("{:?}", routes::word(policy.authorization))),
        "cookies" => Some(format!("{:?}", routes::word(policy.cookies))),
        "methods" | "paths" | "hosts" => Some("all".to_owned()),
        _ => None,
    }
}
