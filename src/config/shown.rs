//! A value as it would be written in TOML, to show it in an error, in `explain` and in the documents.

use figment::value::{Num, Value};

/// A value of a layer.
pub(super) fn value(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Char(_, c) => format!("{:?}", c.to_string()),
        Value::Bool(_, boolean) => boolean.to_string(),
        Value::Num(_, number) => num(*number),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(_, table) => {
            let entries: Vec<_> =
                table.iter().map(|(name, inner)| format!("{name} = {}", self::value(inner))).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Array(_, list) => format!("[{}]", list.iter().map(self::value).collect::<Vec<_>>().join(", ")),
    }
}

/// A value of a layer in an error, cut where it is longer than a line should be.
pub(super) fn found(found: &Value) -> String {
    const LONGEST: usize = 100;
    let text = value(found);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A number of a layer.
fn num(number: Num) -> String {
    match (number.to_u128(), number.to_i128(), number.to_f64()) {
        (Some(n), _, _) => n.to_string(),
        (_, Some(n), _) => n.to_string(),
        (_, _, Some(n)) => n.to_string(),
        (None, None, None) => "a number".to_owned(),
    }
}

/// A value of the JSON Schema: a default or an example.
pub(super) fn json(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Array(list) => format!("[{}]", list.iter().map(json).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}
