//! Paths of keys as the operator sees them: `origin.url`, `route[2].verify`, `listen.trusted_proxies[0]`.

use figment::value::Value;

/// The path without positions: `route[].verify`.
pub(super) fn general(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = (inside || c == '[') && c != ']';
        if !inside || c == '[' {
            out.push(c);
        }
    }
    out
}

/// The path of `name` within the table at `table`.
pub(super) fn child(table: &str, name: &str) -> String {
    if table.is_empty() { name.to_owned() } else { format!("{table}.{name}") }
}

/// The path that figment's segments make; a segment of digits is a position.
pub(super) fn join<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    segments.into_iter().fold(String::new(), |path, segment| {
        let position = !path.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
        if position { format!("{path}[{segment}]") } else { child(&path, segment) }
    })
}

/// The parts of a path, a position being its digits.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[']).map(|part| part.trim_end_matches(']'))
}

/// The value at a path.
pub(super) fn get<'a>(root: &'a Value, path: &str) -> Option<&'a Value> {
    segments(path).try_fold(root, |value, part| match value {
        Value::Dict(_, table) => table.get(part),
        Value::Array(_, list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// The place of a value, to change it.
fn get_mut<'a>(root: &'a mut Value, path: &str) -> Option<&'a mut Value> {
    segments(path).try_fold(root, |value, part| match value {
        Value::Dict(_, table) => table.get_mut(part),
        Value::Array(_, list) => list.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Puts `value` in the place of the one at a path, or takes that away; says whether there was one.
pub(super) fn replace(root: &mut Value, path: &str, value: Option<Value>) -> bool {
    let (table, name) = path.rsplit_once('.').unwrap_or(("", path));
    let table = if table.is_empty() { Some(root) } else { get_mut(root, table) };
    let Some(Value::Dict(_, table)) = table else { return false };
    let found = table.remove(name).is_some();
    if let (true, Some(value)) = (found, value) {
        table.insert(name.to_owned(), value);
    }
    found
}

/// The position of a route, for `route[2]`.
pub(super) fn position(table: &str) -> Option<usize> {
    table.strip_prefix("route[")?.strip_suffix(']')?.parse().ok()
}
