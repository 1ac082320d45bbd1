//! docs/conformance.md: the rows as a table.

use std::fmt::Write;

use crate::row::{Mode, Row, Topic};

const HEAD: &str = "\
# Conformance

What truehit keeps to, sentence by sentence, with the clause that decides it. Every line is a row that is played against
the proxy by `cargo test --test conformance`, in both modes of checking unless it names one. `must` and `should` are the
RFC's words or follow from them; `observe` says what truehit does where the RFC leaves it open.

The rows themselves are in `tests/conformance/rows`. Made by `make generate`; do not edit.
";

/// The document.
pub(crate) fn render(topics: &[Topic]) -> String {
    let mut text = HEAD.to_owned();
    for topic in topics {
        let _ = write!(text, "\n## {}\n\n| | | clause | mode |\n| --- | --- | --- | --- |\n", topic.name);
        // The rows of one `each` are one line: the first one's sentence, and what else stands in its place.
        for alike in topic.rows.chunk_by(|one, two| one.line == two.line) {
            let row = &alike[0];
            let mut others: Vec<_> = alike.iter().map(|row| format!("`{}`", row.value.replace('|', "\\|"))).collect();
            others.dedup();
            others.remove(0);
            let also = if others.is_empty() { String::new() } else { format!(" Also: {}.", others.join(", ")) };
            let sentence = row.sentence.replace('|', "\\|").replace('*', "\\*").replace('<', "\\<");
            let _ = writeln!(text, "| {sentence}{also} | {} | {} | {} |", row.kind.as_str(), row.clause, mode(row));
        }
    }
    let rows = topics.iter().map(|topic| topic.rows.len()).sum::<usize>();
    let _ = write!(text, "\n{rows} rows.\n");
    text
}

fn mode(row: &Row) -> &'static str {
    let modes: Vec<_> = row.modes().collect();
    match modes[..] {
        [only] => only.as_str(),
        _ if modes.len() == Mode::ALL.len() => "both",
        _ => "none",
    }
}
