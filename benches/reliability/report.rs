//! `Report`: what a row found, as Markdown.

use std::fmt::Write as _;

/// A row that ran.
pub struct Report {
    id: &'static str,
    title: &'static str,
    /// How much of it was run.
    size: String,
    figures: Vec<Figure>,
    ran: bool,
}

/// A figure, and the goal that it is held against, if there is one.
struct Figure {
    what: String,
    value: String,
    goal: Option<(String, bool)>,
}

impl Report {
    pub const fn new(id: &'static str, title: &'static str, size: String) -> Self {
        Self { id, title, size, figures: Vec::new(), ran: true }
    }

    /// A figure that is only told.
    pub fn tell(&mut self, what: impl Into<String>, value: impl ToString) {
        self.figures.push(Figure { what: what.into(), value: value.to_string(), goal: None });
    }

    /// A figure with a goal.
    pub fn hold(&mut self, what: impl Into<String>, value: impl ToString, goal: impl Into<String>, met: bool) {
        let goal = Some((goal.into(), met));
        self.figures.push(Figure { what: what.into(), value: value.to_string(), goal });
    }

    /// Something that must not have happened.
    pub fn none(&mut self, what: impl Into<String>, count: u64) {
        self.hold(what, count, "0", count == 0);
    }

    /// A figure that may not be above its goal.
    pub fn at_most(&mut self, what: impl Into<String>, value: f64, goal: f64, unit: &str) {
        self.hold(what, format!("{value:.1} {unit}"), format!("at most {goal:.1} {unit}"), value <= goal);
    }

    /// What the row needs is missing.
    pub fn not_run(&mut self, missing: &str) {
        self.tell(missing, "not at hand: nothing was run");
        self.ran = false;
    }

    /// Whether all goals were met.
    pub fn passed(&self) -> bool {
        self.figures.iter().all(|figure| figure.goal.as_ref().is_none_or(|(_, met)| *met))
    }

    /// A line of the table of all rows.
    pub fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} |",
            self.id,
            self.title,
            self.size,
            match (self.ran, self.passed()) {
                (false, _) => "not run",
                (true, true) => "met",
                (true, false) => "**not met**",
            }
        )
    }

    /// The row's own section.
    pub fn section(&self) -> String {
        let mut text = format!(
            "### {}: {}\n\n{}\n\n| | found | goal | |\n| --- | ---: | ---: | --- |\n",
            self.id, self.title, self.size
        );
        for figure in &self.figures {
            let (goal, met) = match &figure.goal {
                None => ("", ""),
                Some((goal, true)) => (&**goal, "met"),
                Some((goal, false)) => (&**goal, "**not met**"),
            };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "| {} | {} | {goal} | {met} |", figure.what, figure.value);
        }
        text
    }
}

/// A count as a figure to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
pub const fn figure(count: u64) -> f64 {
    count as f64
}

/// KiB as MB (1,000,000 bytes), in which the goals are.
pub fn megabytes(kib: u64) -> f64 {
    figure(kib) * 1024.0 / 1e6
}
