//! What is generated from the declarations of the keys: the default file, the reference, the JSON Schema.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use truehit::config;

use crate::support::nothing;

/// The text of a file of the repository.
fn committed(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap_or_default()
}

#[test]
fn the_committed_documents_are_up_to_date() {
    for (path, text) in [("config/truehit.toml", config::default_file()), ("docs/config.md", config::reference())] {
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), &text).unwrap();
        }
        assert!(committed(path) == text, "{path} is out of date: run `make generate`");
    }
}

#[test]
fn the_default_file_loads_and_says_nothing_but_the_defaults() {
    let from_file = nothing().toml(&config::default_file()).load().unwrap().config;
    let mut written = nothing();
    written.flags.origin = Some("http://127.0.0.1:8000".to_owned());
    assert_eq!(format!("{from_file:?}"), format!("{:?}", written.load().unwrap().config));
}

#[test]
fn the_default_file_is_true_to_its_word_when_every_comment_is_taken_away() {
    // Each line `# key = value` uncommented: the defaults and examples must all be allowed. The files that the
    // examples name do not exist, and nothing else may be wrong.
    let uncommented = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.contains(" = ") && !rest.contains('`') => rest.to_owned(),
        Some(rest) if rest.starts_with("[[") => rest.to_owned(),
        _ => line.to_owned(),
    };
    let text: Vec<_> = config::default_file().lines().map(uncommented).collect();
    let error = nothing().toml(&text.join("\n")).error();
    let unexpected: Vec<_> = error.lines().filter(|line| !line.contains("cannot be read")).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert_eq!(error.lines().count(), 6, "{error}");
}

#[test]
fn the_schema_takes_the_default_file_and_the_documents_examples() {
    let schema = jsonschema::validator_for(&config::schema()).unwrap();
    let file: Value = toml::from_str(&config::default_file()).unwrap();
    assert!(schema.is_valid(&file));
    for good in [
        json!({}),
        json!({ "cache": { "memory": 1024 }, "defaults": { "object_max": "8MiB" } }),
        json!({ "defaults": { "verify": "off" }, "route": [{ "name": "a", "verify": "1.5s", "trust": ["weak-etag"] }] }),
    ] {
        assert!(schema.is_valid(&good), "{good}");
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = jsonschema::validator_for(&config::schema()).unwrap();
    for bad in [
        json!({ "orign": {} }),
        json!({ "origin": { "ulr": "http://a" } }),
        json!({ "origin": { "url": "ftp://a" } }),
        json!({ "route": [{ "name": "a", "verfy": "off" }] }),
        json!({ "route": [{ "verify": "off" }] }),
        json!({ "defaults": { "verify": "sometimes" } }),
        json!({ "defaults": { "overlap": 0 } }),
        json!({ "defaults": { "gather": 1.1 } }),
        json!({ "defaults": { "name": "x" } }),
        json!({ "log": { "access": "yes" } }),
        json!({ "cache": { "memory": "64 MiB" } }),
    ] {
        assert!(!schema.is_valid(&bad), "{bad}");
    }
}

#[test]
fn every_key_has_a_line_of_prose_and_a_value_to_show() {
    fn walk(table: &Value, path: &str) {
        for (name, key) in table["properties"].as_object().unwrap() {
            let path = format!("{path}.{name}");
            assert!(key["description"].is_string(), "{path} has no prose");
            if key.get("properties").is_some() {
                walk(key, &path);
            } else if !path.starts_with(".route") {
                assert!(key.get("default").is_some() || key.get("examples").is_some(), "{path} has nothing to show");
            }
        }
    }
    walk(&config::schema(), "");
}
