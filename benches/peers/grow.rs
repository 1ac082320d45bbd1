//! The rows of growth, truehit alone: with more connections, stored responses, variants and worker threads.

use crate::client;
use crate::contest::{Contender, Contest, Row};
use crate::folder::Folder;
use crate::load::Load;
use crate::options::Options;
use crate::origin::Origin;
use crate::statistic::{Spread, figure};
use crate::target::{Program, Settings, Target, WHEN_STALE};

pub const IDS: [&str; 4] = [CONNECTIONS, ENTRIES, VARIANTS, WORKERS];

const CONNECTIONS: &str = "GROW-connections";
const ENTRIES: &str = "GROW-entries";
const VARIANTS: &str = "GROW-variants";
const WORKERS: &str = "GROW-workers";

const HOT: &str = "/fresh/1024/hot";

/// One size of what grows.
struct Step {
    name: String,
    settings: Settings,
    load: Load,
    fill: Fill,
}

/// What is stored before the first round.
enum Fill {
    Hot,
    Entries(u64),
    Variants(u64),
}

pub fn row(id: &str, options: &Options, folder: &Folder) -> Row {
    let (title, steps) = steps(id, options);
    let origin = Origin::start(folder.path(), 0);
    // One process serves all numbers of connections; where something is stored or set, each step has its own.
    let targets: Vec<Target> = if id == CONNECTIONS {
        vec![Target::start(Program::Truehit, &WHEN_STALE, &origin, folder)]
    } else {
        steps.iter().map(|step| Target::start(Program::Truehit, &step.settings, &origin, folder)).collect()
    };
    let target = |place: usize| targets.get(place).unwrap_or(&targets[0]);
    let mut facts = Vec::new();
    let mut contenders = Vec::new();
    for (place, step) in steps.iter().enumerate() {
        let target = target(place);
        let asked = origin.requests();
        step.fill(target);
        if matches!(step.fill, Fill::Entries(_) | Fill::Variants(_)) {
            facts.push(format!("{}: {} fetched before the first round", step.name, origin.requests() - asked));
        }
        contenders.push(Contender { name: step.name.clone(), target, load: step.load.clone() });
    }
    let contest = Contest { origin: &origin, body: 1024, direct: None };
    let measured = contest.run(&contenders, options, folder);
    for one in &measured {
        let rss = Spread::of(one.samples.iter().filter_map(|sample| sample.rss_kib).map(figure));
        let rss = rss.map_or_else(|| "not readable".to_owned(), |rss| format!("{:.1} MiB", rss.median / 1024.0));
        facts.push(format!("{}: RSS {rss}", one.name));
    }
    Row { id: id.to_owned(), title: title.to_owned(), base: None, measured, facts, verdicts: Vec::new() }
}

fn steps(id: &str, options: &Options) -> (&'static str, Vec<Step>) {
    match id {
        CONNECTIONS => ("truehit, hit, 1 KiB, by connections", [1, 64, 512, 2000].map(connections).into()),
        ENTRIES => {
            let most = if options.quick { 5 } else { 6 };
            let counts = (3..=most).map(|power| 10_u64.pow(power));
            ("truehit, hit, 1 KiB, each stored response as likely, by stored responses", counts.map(entries).collect())
        }
        VARIANTS => ("truehit, hit, 1 KiB, by variants of one resource", [1, 4, 16, 64].map(variants).into()),
        _ => ("truehit, hit, 1 KiB, by worker threads", [1, 2].map(workers).into()),
    }
}

fn connections(count: usize) -> Step {
    let load = Load::of(count, HOT.to_owned());
    Step { name: counted(count as u64, "connection"), settings: WHEN_STALE, load, fill: Fill::Hot }
}

fn entries(count: u64) -> Step {
    let load = Load::scripted(64, "uniform.lua", &["/fresh/1024/?n=", &count.to_string(), "{round}"]);
    let settings = Settings { space: Some(4 << 30), ..WHEN_STALE };
    Step { name: counted(count, "response"), settings, load, fill: Fill::Entries(count) }
}

fn variants(count: u32) -> Step {
    let load = Load::scripted(64, "variants.lua", &["/variants/1024/hot", &count.to_string(), "{round}"]);
    let settings = Settings { variants: Some(64), ..WHEN_STALE };
    Step { name: counted(count.into(), "variant"), settings, load, fill: Fill::Variants(count.into()) }
}

fn workers(count: u32) -> Step {
    let settings = Settings { workers: Some(count), ..WHEN_STALE };
    Step { name: counted(count.into(), "worker"), settings, load: Load::of(64, HOT.to_owned()), fill: Fill::Hot }
}

fn counted(count: u64, of: &str) -> String {
    if count == 1 { format!("1 {of}") } else { format!("{count} {of}s") }
}

impl Step {
    fn fill(&self, target: &Target) {
        let address = target.address();
        match self.fill {
            Fill::Hot => client::get_each(address, 2_000, |_| HOT.to_owned()),
            Fill::Entries(count) => client::get_each(address, count, |key| format!("/fresh/1024/?n={key}")),
            Fill::Variants(count) => client::get_each_with(address, count, |variant| {
                ("/variants/1024/hot".to_owned(), format!("X-Variant: {variant}\r\n"))
            }),
        }
    }
}
