//! Reading a configuration file, TOML or YAML by its name, into figment's values and the line of every key.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use figment::value::{Dict, Tag, Value};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};
use super::path::child;

/// The line of each key and list element, by path.
pub(super) type Lines = BTreeMap<String, usize>;

/// Reads the file at `path`.
pub(super) fn read(path: &Arc<Path>) -> Result<(Dict, Lines), Vec<Problem>> {
    let problem = |line: Option<usize>, message: String| Problem {
        place: Place::File { path: Arc::clone(path), line },
        key: String::new(),
        message,
    };
    let parse = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => toml,
        Some("yaml" | "yml") => yaml,
        _ => {
            let message = "found a file of unknown format; allowed: a name that ends in .toml, .yaml or .yml";
            return Err(vec![problem(None, message.to_owned())]);
        }
    };
    let text =
        std::fs::read_to_string(&**path).map_err(|error| vec![problem(None, format!("cannot be read: {error}"))])?;
    let mut lines = Lines::new();
    let dict = parse(&text, &mut lines)
        .map_err(|errors| errors.into_iter().map(|(line, message)| problem(line, message)).collect::<Vec<_>>())?;
    Ok((dict, lines))
}

/// Errors of a parser, with their lines.
type SyntaxErrors = Vec<(Option<usize>, String)>;

/// A value as TOML writes it after the `=`, as `["a", "b"]`; `None` where it is not TOML.
pub(super) fn toml_value(text: &str) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    Some(from_toml(value.get_ref(), "", &|_| 0, &mut Lines::new()))
}

/// Reads TOML.
fn toml(text: &str, lines: &mut Lines) -> Result<Dict, SyntaxErrors> {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let errors = errors.iter();
        return Err(errors
            .map(|e| (e.span().map(|span| line_of(span.start)), e.message().replace('\n', ", ")))
            .collect());
    }
    Ok(from_toml_table(table.get_ref(), "", &line_of, lines))
}

/// Takes over a table of TOML.
fn from_toml_table(table: &DeTable<'_>, path: &str, line_of: &dyn Fn(usize) -> usize, lines: &mut Lines) -> Dict {
    let take = |(name, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name_text: &std::borrow::Cow<'_, str> = name.get_ref();
        let path = child(path, name_text);
        lines.insert(path.clone(), line_of(name.span().start));
        (name_text.to_string(), from_toml(value.get_ref(), &path, line_of, lines))
    };
    table.iter().map(take).collect()
}

/// Takes over a value of TOML.
fn from_toml(value: &DeValue<'_>, path: &str, line_of: &dyn Fn(usize) -> usize, lines: &mut Lines) -> Value {
    match value {
        DeValue::String(text) => Value::from(text.as_ref()),
        DeValue::Boolean(boolean) => Value::from(*boolean),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(number.to_string()),
        },
        DeValue::Float(number) => match number.as_str().parse::<f64>() {
            Ok(number) => Value::from(number),
            Err(_) => Value::from(number.to_string()),
        },
        DeValue::Datetime(date) => Value::from(date.to_string()),
        DeValue::Array(list) => {
            let take = |(index, value): (usize, &toml::Spanned<DeValue<'_>>)| {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), line_of(value.span().start));
                from_toml(value.get_ref(), &path, line_of, lines)
            };
            Value::Array(Tag::Default, list.iter().enumerate().map(take).collect())
        }
        DeValue::Table(table) => Value::Dict(Tag::Default, from_toml_table(table, path, line_of, lines)),
    }
}

/// Reads YAML. Only `true` and `false` are booleans, so that `verify: off` is the word.
fn yaml(text: &str, lines: &mut Lines) -> Result<Dict, SyntaxErrors> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        // Then they are refused where they stand, with what is allowed there.
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::AsString,
    };
    let node = serde_saphyr::from_str_with_options::<Option<Node>>(text, options).map_err(|error| {
        let line = error.location().and_then(|location| usize::try_from(location.line()).ok());
        let message = error.without_snippet().to_string();
        // Behind these come the place, which we name ourselves, and advice on calls of the parser.
        let end = [" at line ", ";"].into_iter().filter_map(|mark| message.find(mark)).min().unwrap_or(message.len());
        let message = message[..end].replace('\n', " ");
        vec![(line, message)]
    })?;
    match node {
        None | Some(Node::Null) => Ok(Dict::new()),
        Some(Node::Table(entries)) => Ok(from_yaml_table(entries, "", lines)),
        Some(_) => Err(vec![(Some(1), "found a file that is no table; allowed: keys and values".to_owned())]),
    }
}

/// A node of a YAML file.
enum Node {
    Null,
    Plain(Value),
    List(Vec<Spanned<Self>>),
    Table(Vec<(Spanned<String>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
                Ok(Node::Plain(value.into()))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
                Ok(Node::Plain(value.into()))
            }
            fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
                Ok(Node::Plain(value.into()))
            }
            fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
                Ok(Node::Plain(value.into()))
            }
            fn visit_str<E>(self, value: &str) -> Result<Node, E> {
                Ok(Node::Plain(value.into()))
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Node::List(nodes))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Node, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = table.next_entry()? {
                    entries.push(entry);
                }
                Ok(Node::Table(entries))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

/// Takes over a table of YAML. A key without a value counts as not written: its lines may all be commented out.
fn from_yaml_table(entries: Vec<(Spanned<String>, Spanned<Node>)>, path: &str, lines: &mut Lines) -> Dict {
    let take = |(name, node): (Spanned<String>, Spanned<Node>)| {
        let path = child(path, &name.value);
        lines.insert(path.clone(), usize::try_from(name.referenced.line()).unwrap_or_default());
        from_yaml(node.value, &path, lines).map(|value| (name.value, value))
    };
    entries.into_iter().filter_map(take).collect()
}

/// Takes over a node of YAML.
fn from_yaml(node: Node, path: &str, lines: &mut Lines) -> Option<Value> {
    match node {
        Node::Null => None,
        Node::Plain(value) => Some(value),
        Node::Table(entries) => Some(Value::Dict(Tag::Default, from_yaml_table(entries, path, lines))),
        Node::List(nodes) => {
            let take = |(index, node): (usize, Spanned<Node>)| {
                let path = format!("{path}[{index}]");
                lines.insert(path.clone(), usize::try_from(node.referenced.line()).unwrap_or_default());
                // A position may not vanish, or the ones behind it would get other names.
                from_yaml(node.value, &path, lines).unwrap_or_else(|| Value::from(""))
            };
            Some(Value::Array(Tag::Default, nodes.into_iter().enumerate().map(take).collect()))
        }
    }
}
