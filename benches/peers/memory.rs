//! The row MEM: what a stored response costs in memory, above the process that stores nothing.

use crate::client;
use crate::contest::Row;
use crate::folder::Folder;
use crate::goal::at_most;
use crate::options::Options;
use crate::origin::Origin;
use crate::statistic::figure;
use crate::target::{Program, Settings, Target, WHEN_STALE};
use crate::usage;

pub const ID: &str = "MEM";

const RESPONSES: u64 = 100_000;
const RESPONSES_QUICK: u64 = 20_000;

/// KiB per response of 1 KiB, its head and its key included.
const GOAL: f64 = 2.0;

/// Room for all responses, whatever they cost.
const SPACE: u64 = 1 << 30;

pub fn row(options: &Options, folder: &Folder) -> Row {
    let count = if options.quick { RESPONSES_QUICK } else { RESPONSES };
    let origin = Origin::start(folder.path(), 0);
    let settings = Settings { space: Some(SPACE), ..WHEN_STALE };
    let mut facts = Vec::new();
    let mut verdicts = Vec::new();
    for program in [Program::Truehit, Program::Varnish] {
        let target = Target::start(program, &settings, &origin, folder);
        // Threads, connections and what the first requests set up are no cost of a stored response.
        client::get_each(target.address(), 100, |_| "/private/1024/idle".to_owned());
        let idle = used(&target);
        let asked = origin.requests();
        client::get_each(target.address(), count, |key| format!("/fresh/1024/?n={key}"));
        let full = used(&target);
        let fetched = origin.requests() - asked;
        let per_response =
            idle.zip(full).map(|(idle, full)| ((full.0 - idle.0) / figure(count), (full.1 - idle.1) / figure(count)));
        let Some((rss, pss)) = per_response else {
            facts.push(format!("{}: its memory may not be read by this user", program.name()));
            continue;
        };
        facts.push(format!(
            "{}: {rss:.2} KiB of RSS, {pss:.2} KiB of PSS above idle for each of {count} responses of 1 KiB; the \
             origin was asked {fetched} times",
            program.name()
        ));
        if program == Program::Truehit {
            let (entries, bytes) = (target.metric("truehit_store_entries"), target.metric("truehit_store_bytes"));
            facts.push(format!("truehit itself counts {entries} responses, {:.0} bytes each", bytes / entries));
            verdicts.push(at_most("KiB of RSS per response".to_owned(), rss, format!("{rss:.2}"), GOAL));
        }
    }
    facts.push(
        "nginx keeps bodies in files, of one page or more each, and only keys in its memory: left out".to_owned(),
    );
    facts.push("HAProxy takes the memory of its cache at the start: left out".to_owned());
    let title = format!("memory of {count} stored responses of 1 KiB");
    Row { id: ID.to_owned(), title, base: None, measured: Vec::new(), facts, verdicts }
}

/// RSS and PSS, in KiB.
fn used(target: &Target) -> Option<(f64, f64)> {
    Some((figure(usage::rss_kib(target.id())?), figure(usage::pss_kib(target.id())?)))
}
