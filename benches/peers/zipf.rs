//! The row ZIPF: many more resources than the stores hold, some asked for much more often than others.
//!
//! Every store is given the room of as many responses as every other. How much room a response takes is measured first,
//! by each program's own count, with a store that is large enough.

use std::path::Path;

use crate::client;
use crate::contest::{Contender, Contest, Measured, Row};
use crate::folder::Folder;
use crate::goal::{Goal, Verdict};
use crate::load::Load;
use crate::machine;
use crate::options::Options;
use crate::origin::Origin;
use crate::statistic::figure;
use crate::target::{Program, Settings, Target, WHEN_STALE};

pub const ID: &str = "ZIPF";

/// Stored by the first target of each program to find out what one response takes.
const PROBES: u64 = 5_000;

const PROGRAMS: [Program; 3] = [Program::Nginx, Program::Varnish, Program::Truehit];

/// How many resources there are, how many of them a store has room for, and how many requests warm it.
struct Scale {
    resources: u64,
    room: u64,
    warm_up: u64,
}

impl Scale {
    const fn of(options: &Options) -> Self {
        let resources = if options.quick { 100_000 } else { 1_000_000 };
        Self { resources, room: resources / 10, warm_up: resources }
    }
}

pub fn row(options: &Options, folder: &Folder) -> Row {
    let scale = Scale::of(options);
    let origin = Origin::start(folder.path(), 0);
    let mut facts = vec![format!(
        "{} resources of 1 KiB, rank k with the probability ln(1 + 1/k) / ln({} + 1): Zipf's law with s = 1 but for the \
         first ranks; {} requests before the first round",
        scale.resources, scale.resources, scale.warm_up
    )];
    let mut targets = Vec::new();
    for program in PROGRAMS {
        let each = bytes_each(program, &origin, folder);
        let space = each * scale.room;
        let target = Target::start(program, &Settings { space: Some(space), ..WHEN_STALE }, &origin, folder);
        warm(&target, &scale);
        facts.push(format!("{}: {each} bytes a response by its own count, so {} MiB", program.name(), space >> 20));
        targets.push((program, target));
    }
    let resources = scale.resources.to_string();
    let load = Load::scripted(64, "zipf.lua", &["/fresh/1024/?n=", &resources, "{round}"]);
    let contenders: Vec<Contender<'_>> = targets
        .iter()
        .map(|(program, target)| Contender { name: program.name().to_owned(), target, load: load.clone() })
        .collect();
    let contest = Contest { origin: &origin, body: 1024, direct: None };
    let measured = contest.run(&contenders, options, folder);
    for ((program, target), measured) in targets.iter().zip(&measured) {
        let ratio = 100.0 * hit_ratio(measured);
        let held = held(*program, target).0;
        facts.push(format!("{}: hit ratio {ratio:.1} %, {held} responses held at the end", program.name()));
    }
    let title = format!("{} resources by Zipf's law, room for a tenth, 1 KiB", scale.resources);
    let base = Some(Program::Truehit.name().to_owned());
    let mut row = Row { id: ID.to_owned(), title, base, measured, facts, verdicts: Vec::new() };
    row.verdicts = verdicts(&row);
    row
}

/// The requests of zipf.lua, from another seed, by the client that counts them.
fn warm(target: &Target, scale: &Scale) {
    let ranks = figure(scale.resources) + 1.0;
    client::get_each(target.address(), scale.warm_up, |number| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is a whole number")]
        let rank = ranks.powf(draw(number)) as u64 - 1;
        format!("/fresh/1024/?n={rank}")
    });
}

/// A number from 0 to just below 1 for each number: SplitMix64.
fn draw(number: u64) -> f64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    figure((mixed ^ (mixed >> 31)) >> 11) / figure(1 << 53)
}

/// What a stored response takes, by the program's own count.
fn bytes_each(program: Program, origin: &Origin, folder: &Folder) -> u64 {
    let settings = Settings { space: Some(1 << 30), ..WHEN_STALE };
    let target = Target::start(program, &settings, origin, folder);
    client::get_each(target.address(), PROBES, |key| format!("/fresh/1024/?n={key}"));
    let (count, bytes) = held(program, &target);
    assert!(count > 0, "{} stores nothing", program.name());
    bytes / count
}

/// How many responses the program holds, and how many bytes they are by the count that its limit is about.
fn held(program: Program, target: &Target) -> (u64, u64) {
    match program {
        Program::Truehit => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "gauges of counts")]
            let read = |name: &str| target.metric(name) as u64;
            (read("truehit_store_entries"), read("truehit_store_bytes"))
        }
        Program::Nginx => files(&target.folder().join("cache")),
        Program::Varnish => {
            let mut command = machine::system("varnishstat");
            command.arg("-n").arg(target.folder().join("varnish")).args(["-1", "-j"]);
            let output = command.output().expect("varnishstat is installed with varnishd");
            let counters: serde_json::Value = serde_json::from_slice(&output.stdout).expect("counters in JSON");
            let read = |name: &str| counters["counters"][name]["value"].as_u64().unwrap_or_default();
            (read("MAIN.n_object"), read("SMA.s0.g_bytes"))
        }
        Program::Haproxy | Program::Bare(_) => (0, 0),
    }
}

/// The files below a folder, and the whole blocks that they take, which is what nginx counts.
fn files(folder: &Path) -> (u64, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold((0, 0), |(count, bytes), entry| {
        let Ok(metadata) = entry.metadata() else { return (count, bytes) };
        let (more, more_bytes) = if metadata.is_dir() {
            files(&entry.path())
        } else {
            (1, std::os::unix::fs::MetadataExt::blocks(&metadata) * 512)
        };
        (count + more, bytes + more_bytes)
    })
}

fn hit_ratio(measured: &Measured) -> f64 {
    let (asked, read) = measured
        .samples
        .iter()
        .fold((0, 0), |(asked, read), sample| (asked + sample.origin_requests, read + sample.requests));
    1.0 - figure(asked) / figure(read)
}

fn verdicts(row: &Row) -> Vec<Verdict> {
    let peers = ["nginx", "varnish"];
    let Some(ours) = row.find("truehit").map(hit_ratio) else { return Vec::new() };
    let ratios = peers.iter().filter_map(|peer| {
        let theirs = hit_ratio(row.find(peer)?);
        Some(Verdict {
            goal: format!("hit ratio no lower than {peer}'s {:.1} %", 100.0 * theirs),
            measured: format!("{:.1} %", 100.0 * ours),
            met: ours >= theirs,
        })
    });
    ratios.chain(peers.iter().filter_map(|peer| Goal::P99(peer).judge(row))).collect()
}
