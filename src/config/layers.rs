//! The layers of a configuration and where each value came from: defaults, file, environment, flags.
//!
//! figment merges the layers and tags every value with its layer; the file adds the lines. The merged tree is then read
//! into [`Settings`], again and again with the offending value taken away, until all problems are known.

use std::path::Path;
use std::sync::Arc;

use figment::error::Result as FigmentResult;
use figment::value::{Dict, Map, Tag, Value};
use figment::{Figment, Metadata, Profile, Provider, Source};

use super::error::{Place, Problem};
use super::file::Lines;
use super::keys::{self, Kind};
use super::nearest::nearest;
use super::settings::Settings;
use super::{path, shown, structure};

/// One layer: some keys, all from one place.
pub(super) struct Layer {
    /// The place, without a line.
    place: Place,
    /// The keys.
    pub(super) table: Dict,
}

impl Layer {
    /// A layer with the keys of `table`.
    pub(super) const fn new(place: Place, table: Dict) -> Self {
        Self { place, table }
    }

    /// A layer with one key.
    pub(super) fn one(place: Place, key: &str, value: Value) -> Self {
        let mut parts = key.rsplit('.');
        let last = parts.next().unwrap_or(key);
        let leaf = Dict::from([(last.to_owned(), value)]);
        let table = parts.fold(leaf, |inner, name| Dict::from([(name.to_owned(), Value::from(inner))]));
        Self { place, table }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        match &self.place {
            Place::File { path, .. } => Metadata::from("file", &**path),
            Place::Environment(name) => Metadata::from("environment", Source::Custom(name.clone())),
            Place::Flag(name) => Metadata::from("flag", Source::Custom(name.clone())),
            Place::Default => Metadata::named("default"),
        }
    }

    fn data(&self) -> FigmentResult<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.table.clone()))
    }
}

/// All layers, merged.
#[derive(Debug)]
pub(super) struct Layers {
    figment: Figment,
    tree: Value,
    lines: Lines,
}

impl Layers {
    /// Merges the layers above the defaults, a later one over an earlier one, and prunes what has no place in them.
    pub(super) fn merge(layers: Vec<Layer>, lines: Lines, problems: &mut Vec<Problem>) -> Self {
        let defaults = keys::all()
            .iter()
            .filter_map(|key| Some(Layer::one(Place::Default, &key.path, of_json(key.default.as_ref()?))));
        let mut figment = defaults.fold(Figment::new(), Figment::merge);
        for mut layer in layers {
            let place = layer.place.clone();
            structure::prune(&mut layer.table, "", &mut |key, message| {
                let place = with_line(place.clone(), key, &lines);
                problems.push(Problem { place, key: key.to_owned(), message });
            });
            figment = figment.merge(layer);
        }
        let tree = figment.find_value("").unwrap_or_else(|_| Value::from(Dict::new()));
        Self { figment, tree, lines }
    }

    /// The effective value of a key, and the path where it was written: a route may have it from `[defaults]`.
    pub(super) fn effective(&self, key: &str) -> (String, Option<&Value>) {
        if let Some(value) = path::get(&self.tree, key) {
            return (key.to_owned(), Some(value));
        }
        match key.strip_prefix("route[").and_then(|rest| rest.split_once("].")) {
            Some((_, name)) => {
                let inherited = path::child("defaults", name);
                let value = path::get(&self.tree, &inherited);
                (if value.is_some() { inherited } else { key.to_owned() }, value)
            }
            None => (key.to_owned(), None),
        }
    }

    /// Where the value of a key came from.
    pub(super) fn place(&self, key: &str) -> Place {
        let (written, value) = self.effective(key);
        with_line(value.map_or(Place::Default, |value| self.place_of(value)), &written, &self.lines)
    }

    /// Where something about a key is to be changed: where it was written, or else the route that it is missing from.
    pub(super) fn place_to_change(&self, key: &str) -> Place {
        let route = || key.rsplit_once('.').map(|(table, _)| table).filter(|table| table.ends_with(']'));
        match (self.place(key), route()) {
            (Place::Default, Some(route)) => self.place(route),
            (place, _) => place,
        }
    }

    fn place_of(&self, value: &Value) -> Place {
        let Some(metadata) = self.figment.get_metadata(value.tag()) else { return Place::Default };
        match (metadata.name.as_ref(), &metadata.source) {
            ("file", Some(Source::File(path))) => Place::File { path: Arc::<Path>::from(path.as_path()), line: None },
            ("environment", Some(Source::Custom(name))) => Place::Environment(name.clone()),
            ("flag", Some(Source::Custom(name))) => Place::Flag(name.clone()),
            _ => Place::Default,
        }
    }

    /// How many routes there are.
    pub(super) fn routes(&self) -> usize {
        path::get(&self.tree, "route").and_then(Value::as_array).map_or(0, <[Value]>::len)
    }

    /// Reads the settings; what does not fit is reported.
    pub(super) fn settings(&self, problems: &mut Vec<Problem>) -> Option<Settings> {
        let mut tree = self.tree.clone();
        let before = problems.len();
        loop {
            let error = match complete(&tree).deserialize::<Settings>() {
                Ok(settings) => return (problems.len() == before).then_some(settings),
                Err(error) => error,
            };
            let path = path::join(error.path.iter().map(String::as_str).filter(|segment| *segment != "rules"));
            let Some(key) = keys::find(&path) else {
                problems.push(Problem { place: self.place(&path), key: path, message: error.kind.to_string() });
                return None;
            };
            let found = path::get(&tree, &path);
            let near = found.and_then(Value::as_str).and_then(|text| nearest_word(text, key));
            let hint = near.map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            let found = found.map_or_else(|| "nothing".to_owned(), shown::found);
            let message = format!("found {found}; allowed: {}{hint}", key.allowed_at(&path));
            problems.push(Problem { place: self.place(&path), key: path.clone(), message });
            // A list goes as a whole: if one element were taken away, the ones behind it would get other names.
            let whole = if key.kind == Kind::List {
                path.trim_end_matches(|c: char| c == ']' || c.is_ascii_digit()).trim_end_matches('[')
            } else {
                &path
            };
            if !path::replace(&mut tree, whole, key.default.as_ref().map(of_json)) {
                return None;
            }
        }
    }
}

/// The allowed word that is nearest to `text`.
fn nearest_word<'a>(text: &str, key: &'a keys::Key) -> Option<&'a str> {
    nearest(text, key.words.iter().map(|(word, _)| word.as_str()))
}

/// Adds the line of a key, or of what it is in, to a place in the file.
fn with_line(place: Place, key: &str, lines: &Lines) -> Place {
    let Place::File { path, .. } = place else { return place };
    let mut around = Some(key);
    let line = std::iter::from_fn(|| {
        let here = around?;
        around = here.rfind(['.', '[']).map(|end| &here[..end]);
        Some(lines.get(here).copied())
    });
    Place::File { path, line: line.flatten().next() }
}

/// The tree as [`Settings`] has it: a route's rules in a table of their own, filled up from `[defaults]`.
fn complete(tree: &Value) -> Value {
    let mut tree = tree.clone();
    let defaults = path::get(&tree, "defaults").and_then(Value::as_dict).cloned().unwrap_or_default();
    let Value::Dict(_, top) = &mut tree else { return tree };
    let Some(Value::Array(_, routes)) = top.get_mut("route") else { return tree };
    for route in routes {
        let Value::Dict(_, table) = route else { continue };
        let matching = |name: &String| ["name", "methods", "paths", "hosts"].contains(&name.as_str());
        let (mut own, rules): (Dict, Dict) = std::mem::take(table).into_iter().partition(|(name, _)| matching(name));
        let mut all = defaults.clone();
        all.extend(rules);
        own.insert("rules".to_owned(), Value::from(all));
        *table = own;
    }
    tree
}

/// A value of the JSON Schema as a value of a layer.
fn of_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Bool(boolean) => Value::from(*boolean),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::from(integer),
            None => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::Array(list) => Value::Array(Tag::Default, list.iter().map(of_json).collect()),
        serde_json::Value::Null | serde_json::Value::Object(_) => Value::from(Dict::new()),
    }
}
