//! truehit beside nginx, HAProxy and Varnish, each in front of the same origin, in requests per second of CPU.
//!
//! `make bench` measures every row, `make bench-quick` some of them in under three minutes, and
//! `cargo bench --bench peers -- H-1k V-hot-5` the rows that are named. benches/peers/README.md says how the figures
//! are made, how each program is configured and why. The programs are processes of their own, and so are the origin and
//! the bare server: this executable, started again with another argument.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

mod certificate;
mod client;
mod contest;
mod folder;
mod goal;
mod grow;
mod interrupt;
mod load;
mod machine;
mod memory;
mod options;
mod origin;
mod plot;
mod process;
mod report;
mod roles;
mod statistic;
mod target;
mod usage;
mod workload;
mod zipf;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::contest::Row;
use crate::folder::Folder;
use crate::options::Options;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if roles::play(&arguments) {
        return;
    }
    // `cargo bench` says `--bench`; `cargo test --all-targets` does not, and wants to know only that this starts.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let options = match Options::parse(&arguments, &all_ids()) {
        Ok(options) => options,
        Err(said) => {
            eprintln!("{said}");
            std::process::exit(2);
        }
    };
    let missing = machine::missing();
    if !missing.is_empty() {
        eprintln!("missing: {}. `.ci/packages bench` installs it", missing.join(", "));
        std::process::exit(1);
    }
    interrupt::listen();
    std::process::exit(i32::from(!measure(&options)));
}

/// The ids of all rows, in the order in which they are measured.
fn all_ids() -> Vec<&'static str> {
    let ids = workload::ALL.iter().map(|workload| workload.id);
    ids.chain([memory::ID, zipf::ID]).chain(grow::IDS).collect()
}

/// Measures what is asked for and writes the report; whether every row could be measured.
fn measure(options: &Options) -> bool {
    let machine = machine::describe();
    println!("{}", report::heading(&machine, options));
    let (mut rows, mut failed) = (Vec::new(), Vec::new());
    for id in all_ids().into_iter().filter(|id| options.wants(id)) {
        if interrupt::came() {
            break;
        }
        eprintln!("{id}");
        // A program that cannot be started, or that ends, costs its row and not the others.
        match catch_unwind(AssertUnwindSafe(|| row(id, options))) {
            Ok(row) => {
                println!("{}", report::row(&row));
                rows.push(row);
            }
            Err(_) => {
                println!("### {id}\n\n**Not measured**: the reason is on standard error.\n");
                failed.push(id);
            }
        }
    }
    println!("{}", report::verdicts(&rows));
    let folder = target_folder();
    report::write(&folder, &machine, options, &rows, &failed);
    let drawn = plot::draw(&folder, &rows);
    println!("Written: {0}/peers.md, {0}/peers.json{1}", folder.display(), if drawn { ", peers.svg" } else { "" });
    if interrupt::came() {
        println!("Interrupted: rows are missing, and the last one has fewer rounds.");
    }
    failed.is_empty() && !interrupt::came()
}

fn row(id: &str, options: &Options) -> Row {
    let folder = Folder::new();
    match id {
        memory::ID => memory::row(options, &folder),
        zipf::ID => zipf::row(options, &folder),
        _ => match workload::ALL.iter().find(|workload| workload.id == id) {
            Some(workload) => workload.row(options, &folder),
            None => grow::row(id, options, &folder),
        },
    }
}

/// `target/bench`, made if it is not there.
fn target_folder() -> std::path::PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(std::path::PathBuf::from);
    let folder = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target")).join("bench");
    std::fs::create_dir_all(&folder).expect("a folder for the results");
    folder
}
