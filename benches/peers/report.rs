//! The report: Markdown on standard output and in a file, and all figures of all rounds as JSON.

use std::fmt::Write;
use std::path::Path;

use crate::contest::{Measured, Row};
use crate::machine::Machine;
use crate::options::Options;
use crate::statistic::{Spread, figure};

/// What stands before all rows: where and how they were measured.
pub fn heading(machine: &Machine, options: &Options) -> String {
    let Machine { processor, cores, kernel, versions, commit } = machine;
    format!(
        "# truehit beside its peers\n\n\
         truehit {commit}; {}.\n\
         {processor}, {cores} cores, {kernel}. Everything runs on this machine and talks over loopback.\n\n\
         {} rounds of {} s for each target, interleaved. Figures are medians of the rounds, in brackets the lowest and\n\
         the highest. `req/CPU-s`: requests per second of CPU, user and system, of all processes of the target.\n\
         `truehit is`: how many times as many truehit answered, round by round. `origin/read`: requests to the origin\n\
         for each read. `others`: the share of the machine's CPU time taken by what is no part of the measurement,\n\
         steal included and interrupts left out. `PSS`: of all processes of the target, after each round; nginx keeps\n\
         bodies in files, which are not in it.\n",
        versions.join("; "),
        options.rounds,
        options.seconds,
    )
}

/// A row: its table, what else was measured, and what went wrong.
pub fn row(row: &Row) -> String {
    let mut text = format!("### {}: {}\n\n", row.id, row.title);
    if !row.measured.is_empty() {
        table(&mut text, row);
    }
    for fact in &row.facts {
        let _ = writeln!(text, "- {fact}");
    }
    for one in &row.measured {
        let errors = one.errors();
        if !errors.is_empty() {
            let _ = writeln!(text, "- **{}: errors**: {}", one.name, errors.join(", "));
        }
        if one.samples.is_empty() {
            let _ = writeln!(text, "- **{}: not measured**", one.name);
        }
    }
    for verdict in row.verdicts.iter().filter(|verdict| !verdict.met) {
        let _ = writeln!(text, "- **misses the goal**: {}; measured {}", verdict.goal, verdict.measured);
    }
    text
}

fn table(text: &mut String, row: &Row) {
    text.push_str(
        "| target | RPS | req/CPU-s | truehit is | p50 ms | p99 ms | origin/read | PSS MiB | others | errors |\n",
    );
    text.push_str("| --- | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
    let base = row.base.as_deref().and_then(|base| row.find(base));
    for one in row.measured.iter().filter(|one| !one.samples.is_empty()) {
        let ratio = base.filter(|base| base.name != one.name).and_then(|base| base.ratio_to(one));
        let pss = Spread::of(one.samples.iter().filter_map(|sample| sample.pss_kib).map(figure));
        let _ = writeln!(
            text,
            "| {} | {:.0} | {:.0} | {} | {:.2} | {:.2} | {:.3} | {} | {:.0} % | {} |",
            one.name,
            one.median(|sample| sample.per_second),
            one.median(|sample| sample.per_cpu_second),
            ratio.map_or_else(String::new, |ratio| bold(&ratio)),
            one.median(|sample| sample.p50_ms),
            one.median(|sample| sample.p99_ms),
            one.median(|sample| sample.origin_per_read),
            pss.map_or_else(|| "not readable".to_owned(), |pss| format!("{:.0}", pss.median / 1024.0)),
            100.0 * one.median(|sample| sample.others),
            errors(one),
        );
    }
    text.push('\n');
}

fn bold(ratio: &Spread) -> String {
    format!("**{:.2}** [{:.2}..{:.2}]", ratio.median, ratio.min, ratio.max)
}

/// How many kinds of errors; the list is below the table.
fn errors(measured: &Measured) -> &'static str {
    if measured.errors().is_empty() { "none" } else { "**yes**" }
}

/// All goals, and what was reached.
pub fn verdicts(rows: &[Row]) -> String {
    let mut text = "## Goals\n\n| row | goal | measured | |\n| --- | --- | --- | --- |\n".to_owned();
    for row in rows {
        for verdict in &row.verdicts {
            let said = if verdict.met { "met" } else { "**missed**" };
            let _ = writeln!(text, "| {} | {} | {} | {said} |", row.id, verdict.goal, verdict.measured);
        }
    }
    let all = rows.iter().flat_map(|row| &row.verdicts);
    let _ = writeln!(text, "\n{} of {} goals missed.\n", all.clone().filter(|one| !one.met).count(), all.count());
    text
}

/// Writes both files into the folder.
pub fn write(folder: &Path, machine: &Machine, options: &Options, rows: &[Row], failed: &[&str]) {
    let mut text = heading(machine, options);
    for one in rows {
        let _ = write!(text, "\n{}", row(one));
    }
    for id in failed {
        let _ = write!(text, "\n### {id}\n\n**Not measured.**\n");
    }
    let _ = write!(text, "\n{}", verdicts(rows));
    std::fs::write(folder.join("peers.md"), text).expect("the report can be written");
    let all = serde_json::json!({ "machine": machine, "options": options, "rows": rows, "not_measured": failed });
    let json = serde_json::to_string_pretty(&all).expect("plain data");
    std::fs::write(folder.join("peers.json"), json).expect("the report can be written");
}
