//! The list of keys, derived from [`Settings`]: name, type, default, what is allowed, and prose.
//!
//! It is read from the JSON Schema that `schemars` makes of the declarations, so there is no second list to keep. All
//! that walks over "every key" walks over this one: the layer of defaults, the check for unknown names, the
//! environment, `explain` and both documents.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::settings::Settings;

/// The flags of the command line and the keys that they set.
pub(super) const FLAGS: [(&str, &str); 5] = [
    ("--origin", "origin.url"),
    ("--listen", "listen.address"),
    ("--admin", "admin.address"),
    ("--verify", "defaults.verify"),
    ("--check", "defaults.check"),
];

/// How "allowed" begins for a list; the rest is about its elements.
const LIST_OF: &str = r#"a list, as ["a", "b"]; in it "#;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A table of further keys.
    Table,
    /// A list of tables (`[[route]]`).
    Tables,
    /// A list of values.
    List,
    /// Text, in quotes.
    Text,
    /// `true` or `false`.
    Bool,
    /// An integer.
    Integer,
    /// A number.
    Number,
}

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Key {
    /// Its path, with `[]` for the position in a list of tables: `route[].verify`.
    pub(super) path: String,
    /// What it takes.
    pub(super) kind: Kind,
    /// Its default, if it has one.
    pub(super) default: Option<Value>,
    /// A value to show where there is no default.
    pub(super) example: Option<Value>,
    /// Whether it must be set in some layer.
    pub(super) required: bool,
    /// What is allowed, as the end of the sentence "allowed: ...".
    pub(super) allowed: String,
    /// Words that are allowed and what they mean, where each has a meaning of its own.
    pub(super) words: Vec<(String, String)>,
    /// One paragraph that says what it is.
    pub(super) line: String,
    /// More, if there is more to say.
    pub(super) paragraph: Option<String>,
}

impl Key {
    /// The last part of the path: `verify`.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }

    /// The table that the key is in: `origin.tls`; empty at the top.
    pub(super) fn table(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// What is allowed at a path of this key: an element of a list is not a list.
    pub(super) fn allowed_at(&self, path: &str) -> &str {
        if path.ends_with(']') { self.allowed.strip_prefix(LIST_OF).unwrap_or(&self.allowed) } else { &self.allowed }
    }

    /// The environment variable: `TRUEHIT_ORIGIN__URL`; none within a list of tables.
    pub(super) fn variable(&self) -> Option<String> {
        let settable = self.kind != Kind::Table && !self.path.contains('[');
        settable.then(|| format!("TRUEHIT_{}", self.path.to_uppercase().replace('.', "__")))
    }

    /// The flag, if there is one.
    pub(super) fn flag(&self) -> Option<&'static str> {
        FLAGS.iter().find(|(_, path)| *path == self.path).map(|(flag, _)| *flag)
    }
}

/// Every key, in the order of its declaration; a table comes before its keys.
pub(super) fn all() -> &'static [Key] {
    static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
        let mut keys = Vec::new();
        collect(&schema(), "", &mut keys);
        keys
    });
    &KEYS
}

/// The key of a path, for `route[2].verify` that of `route[].verify`; an element of a list has the key of the list.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    let general = super::path::general(path);
    let path = general.strip_suffix("[]").unwrap_or(&general);
    all().iter().find(|key| key.path == path)
}

/// The JSON Schema of a configuration file (draft 2020-12).
///
/// It knows names, types and bounds. What must agree with other keys, and what text must look like in detail, is only
/// known to [`load`](super::load()). `x-allowed` repeats what is allowed as prose.
#[must_use]
pub fn schema() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    relax(&mut schema);
    if let Some(route) = schema.pointer_mut("/properties/route/items").and_then(Value::as_object_mut) {
        route.insert("required".to_owned(), serde_json::json!(["name"]));
    }
    // In a route a key that is left out is taken from `[defaults]`: it has no default of its own.
    if let Some(Value::Object(keys)) = schema.pointer_mut("/properties/route/items/properties") {
        for key in keys.values_mut().filter_map(Value::as_object_mut) {
            key.shift_remove("default");
        }
    }
    schema
}

/// Takes away `required`: the layer of defaults fills in what a file leaves out.
fn relax(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            map.shift_remove("required");
            map.values_mut().for_each(relax);
        }
        Value::Array(list) => list.iter_mut().for_each(relax),
        _ => {}
    }
}

/// Adds the keys of a table's schema.
fn collect(table: &Value, prefix: &str, keys: &mut Vec<Key>) {
    let Some(properties) = table.get("properties").and_then(Value::as_object) else { return };
    for (name, schema) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let kind = kind(schema);
        let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let (line, paragraph) = match description.split_once("\n\n") {
            Some((line, rest)) => (line, Some(rest)),
            None => (description, None),
        };
        let joined = |text: &str| text.replace("\n\n", "\u{0}").replace('\n', " ").replace('\u{0}', "\n\n");
        keys.push(Key {
            path: path.clone(),
            kind,
            default: schema.get("default").cloned(),
            example: schema.pointer("/examples/0").cloned(),
            required: schema.get("x-required").is_some(),
            allowed: allowed(schema),
            words: words(schema),
            line: joined(line),
            paragraph: paragraph.map(joined),
        });
        match kind {
            Kind::Table => collect(schema, &path, keys),
            Kind::Tables => collect(&schema["items"], &format!("{path}[]"), keys),
            _ => {}
        }
    }
}

/// What kind of value a schema takes. Text that may be a bare integer too is text.
fn kind(schema: &Value) -> Kind {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => Kind::Table,
        Some("array") if schema.pointer("/items/properties").is_some() => Kind::Tables,
        Some("array") => Kind::List,
        Some("boolean") => Kind::Bool,
        Some("integer") => Kind::Integer,
        Some("number") => Kind::Number,
        _ => Kind::Text,
    }
}

/// What is allowed, as prose.
fn allowed(schema: &Value) -> String {
    if let Some(prose) = schema.get("x-allowed").and_then(Value::as_str) {
        return prose.to_owned();
    }
    if kind(schema) == Kind::List {
        return format!("{LIST_OF}{}", allowed(&schema["items"]));
    }
    let words: Vec<_> = words(schema).into_iter().map(|(word, _)| format!("{word:?}")).collect();
    if let Some((last, rest)) = words.split_last() {
        return if rest.is_empty() { last.clone() } else { format!("{} or {last}", rest.join(", ")) };
    }
    let bounds = || format!("from {} to {}", schema["minimum"], schema["maximum"]);
    match kind(schema) {
        Kind::Table => "a table".to_owned(),
        Kind::Tables => "a list of tables".to_owned(),
        Kind::List => "a list".to_owned(),
        Kind::Bool => "true or false".to_owned(),
        Kind::Integer => format!("an integer {}", bounds()),
        Kind::Number => format!("a number {}", bounds()),
        Kind::Text => "the path of a file".to_owned(),
    }
}

/// The words of an enumeration, and what they mean.
fn words(schema: &Value) -> Vec<(String, String)> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
    let variants = ["oneOf", "anyOf"].iter().filter_map(|word| schema.get(word)?.as_array()).flatten();
    let of_variants = variants.flat_map(|variant| match variant.get("const") {
        Some(word) => vec![(text(Some(word)), text(variant.get("description")))],
        None => words(variant),
    });
    let plain = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
    let of_items = schema.get("items").map(words).into_iter().flatten();
    plain.map(|word| (text(Some(word)), String::new())).chain(of_variants).chain(of_items).collect()
}
