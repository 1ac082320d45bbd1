//! What the source keeps to, read from the files themselves.

use std::fs;
use std::path::{Path, PathBuf};

/// Every source file under `src/`, and its text.
fn sources() -> Vec<(String, String)> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                into.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files.sort();
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
    files.into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

fn is_test(file: &str) -> bool {
    file.ends_with("/tests.rs") || file.contains("/tests/") || file == "rules/testing.rs"
}

/// The code of a file: without its tests, which are last, and without comments.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Whether `code` has `door` as a name of its own, not as the end of another's or a variant of an enum.
fn names(code: &str, door: &str) -> bool {
    let part = |before: char| before.is_alphanumeric() || before == '_' || before == ':';
    code.match_indices(door).any(|(at, _)| door.starts_with('.') || !code[..at].ends_with(part))
}

#[test]
fn a_stored_response_leaves_as_checked_or_excused_and_by_no_other_door() {
    let doors: [(&str, &[&str]); 7] = [
        // A proof is made of a confirmation, by the request that may use it.
        ("Checked {", &["rules/promise.rs"]),
        ("Excused<R> {", &["rules/promise.rs"]),
        ("Excused::new", &["rules/decide.rs"]),
        // Only the judge confirms.
        ("Confirmation::new", &["rules/judge/part.rs", "rules/judge.rs"]),
        // Only the promise opens the store; only a comparison takes what the origin has just sent, and only a completion
        // what it has just confirmed.
        (".content(", &["rules/promise.rs"]),
        ("kept_bytes", &["rules/completion.rs", "rules/partial.rs"]),
        ("agreed_prefix", &["rules/judge.rs", "rules/stored.rs"]),
    ];
    for (door, allowed) in doors {
        let found: Vec<_> = sources()
            .into_iter()
            .filter(|(file, text)| !is_test(file) && names(&code(text), door))
            .map(|(file, _)| file)
            .collect();
        assert_eq!(found, allowed, "{door}");
    }
}

#[test]
fn the_rules_do_no_io_and_read_no_clock() {
    let banned = [
        "tokio",
        "hyper",
        "Instant",
        "SystemTime::now",
        "crate::clock",
        "crate::store",
        "crate::proxy",
        "crate::origin",
        "crate::flight",
        "crate::fill",
        "std::io",
        "std::fs",
        "Mutex",
        "RwLock",
        "async ",
    ];
    for (file, text) in sources().iter().filter(|(file, _)| file.starts_with("rules/") && !is_test(file)) {
        for word in banned {
            assert!(!code(text).contains(word), "src/{file} speaks of {word}");
        }
    }
}

#[test]
fn every_file_says_what_it_is_for_and_is_read_over_one_coffee() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "src/{file} begins with no paragraph");
        let lines = text.lines().count();
        assert!(lines <= 500, "src/{file} has {lines} lines");
    }
}

/// The variants of an enum, as its source declares them.
fn variants(file: &str, name: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(file)).unwrap();
    let declared = text.split(&format!("pub enum {name} {{")).nth(1).unwrap().split("\n}").next().unwrap();
    let lines = declared.lines().filter_map(|line| line.strip_prefix("    "));
    let mut variants: Vec<_> = lines
        .filter(|line| line.starts_with(char::is_uppercase))
        .map(|line| line.split(|end: char| !end.is_alphanumeric()).next().unwrap().to_owned())
        .collect();
    variants.sort();
    variants
}

/// The labels of the edges that leave `node` in the diagram of ARCHITECTURE.md.
fn edges(node: &str) -> Vec<String> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let diagram = text.split("```mermaid").nth(1).unwrap().split("```").next().unwrap().to_owned();
    let leaving = format!("{node} -- ");
    let labels = diagram.lines().filter_map(|line| line.trim().strip_prefix(&leaving)?.split(" --> ").next());
    let mut labels: Vec<_> =
        labels.flat_map(|label| label.trim_matches('"').split(", ")).map(ToOwned::to_owned).collect();
    labels.sort();
    labels
}

#[test]
fn the_diagram_has_an_edge_for_every_answer_to_every_question() {
    for (node, file, name) in [
        ("decide", "rules/decide.rs", "Decision"),
        ("question", "rules/question.rs", "Question"),
        ("judge", "rules/judge.rs", "Verdict"),
    ] {
        assert_eq!(edges(node), variants(file, name), "{name} and what leaves `{node}` in ARCHITECTURE.md");
    }
}
