//! A row of the catalogue: something bad that comes in, what becomes of it, and whether that is held or declined.

use std::fmt::Write as _;

/// A row. Its id is a section's letter and a number.
pub struct Row {
    pub number: u8,
    /// What comes in, or goes wrong.
    pub input: &'static str,
    pub verdict: Verdict,
}

/// What becomes of it.
pub enum Verdict {
    /// The behaviour, which the tests named for the row show.
    Held(&'static str),
    /// Why it is not held. The same is in SECURITY.md.
    Declined(&'static str),
}

/// A file of rows, and a folder of its name where their tests are many.
pub struct Section {
    pub letter: char,
    pub title: &'static str,
    pub rows: &'static [Row],
    /// The sources.
    pub tests: &'static [&'static str],
}

/// A row that is held.
pub const fn held(number: u8, input: &'static str, behaviour: &'static str) -> Row {
    Row { number, input, verdict: Verdict::Held(behaviour) }
}

/// A row that is declined.
#[allow(dead_code, reason = "there may be none")]
pub const fn declined(number: u8, input: &'static str, why: &'static str) -> Row {
    Row { number, input, verdict: Verdict::Declined(why) }
}

impl Section {
    /// The tests of a row: the functions whose names begin with its id.
    fn tests_of(&self, row: &Row) -> Vec<&'static str> {
        let start = format!("{}{}_", self.letter.to_ascii_lowercase(), row.number);
        let lines = self.tests.iter().flat_map(|source| source.lines());
        let names = lines.filter_map(|line| line.trim().trim_start_matches("async ").strip_prefix("fn "));
        names.filter(|name| name.starts_with(&start)).filter_map(|name| name.split('(').next()).collect()
    }

    pub fn check(&self) {
        for (at, row) in self.rows.iter().enumerate() {
            let id = format!("{}{}", self.letter, row.number);
            assert_eq!(usize::from(row.number), at + 1, "{id} is out of order");
            let tests = self.tests_of(row);
            match row.verdict {
                Verdict::Held(_) => assert!(!tests.is_empty(), "{id} is held and no test says so"),
                Verdict::Declined(_) => {
                    assert!(tests.is_empty(), "{id} is declined and has tests");
                    let security = include_str!("../../SECURITY.md");
                    assert!(security.contains(&format!("**{id}**")), "SECURITY.md has no word on {id}");
                }
            }
        }
    }

    fn held(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.verdict, Verdict::Held(_))).count()
    }
}

/// `docs/catalogue.md`.
pub fn page(sections: &[Section]) -> String {
    let mut page = String::from(
        "# What is survived, row by row\n\n\
         <!-- Made by `make generate` from tests/catalogue; do not edit. -->\n\n\
         Bad input, poisoning, origins that misbehave, exhaustion, time and process faults, and what becomes of each by \
         default. Every row that is held is shown by tests named for it, over real sockets (`cargo test --test \
         catalogue`); one that is declined has its reason in [SECURITY.md](../SECURITY.md).\n\n\
         | section | held | declined | rows |\n| --- | ---: | ---: | ---: |\n",
    );
    let (mut all_held, mut all) = (0, 0);
    for section in sections {
        let (held, rows) = (section.held(), section.rows.len());
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(page, "| {} {} | {held} | {} | {rows} |", section.letter, section.title, rows - held);
        all_held += held;
        all += rows;
    }
    let _ = writeln!(page, "| all | {all_held} | {} | {all} |", all - all_held);
    for section in sections {
        let _ = writeln!(
            page,
            "\n## {} {}\n\n| row | what comes | what becomes of it | shown by |\n| --- | --- | --- | --- |",
            section.letter, section.title
        );
        for row in section.rows {
            let (verdict, tests) = match row.verdict {
                Verdict::Held(behaviour) => (behaviour.to_owned(), section.tests_of(row)),
                Verdict::Declined(why) => (format!("Declined: {why}"), Vec::new()),
            };
            let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
            let _ = writeln!(
                page,
                "| {}{} | {} | {verdict} | {} |",
                section.letter,
                row.number,
                row.input,
                tests.join(", ")
            );
        }
    }
    page
}
