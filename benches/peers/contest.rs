//! A contest: targets that are already warm are loaded one after the other, round after round, each time beginning with
//! another one. What a round measured is a `Sample`.

use serde::Serialize;
use tokio::time::Instant;

use crate::folder::Folder;
use crate::goal::Verdict;
use crate::interrupt;
use crate::load::{Figures, Load};
use crate::machine;
use crate::options::Options;
use crate::origin::Origin;
use crate::statistic::{Spread, figure, median};
use crate::target::Target;
use crate::usage;

/// One that takes part.
pub struct Contender<'a> {
    pub name: String,
    pub target: &'a Target,
    pub load: Load,
}

/// What holds for all of a contest.
pub struct Contest<'a> {
    pub origin: &'a Origin,
    /// The length of each body: a response that is shorter is a fault.
    pub body: usize,
    /// Measured in each round, straight at the origin with one connection: a round trip.
    pub direct: Option<Load>,
}

/// What one round of one contender measured.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    pub round: usize,
    pub requests: u64,
    pub seconds: f64,
    /// CPU time of the target's process tree.
    pub cpu_seconds: f64,
    pub per_second: f64,
    pub per_cpu_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub origin_requests: u64,
    pub origin_per_read: f64,
    /// Of the machine's CPU time: what neither the target nor the origin, the load generator and the harness used.
    pub others: f64,
    pub pss_kib: Option<u64>,
    pub rss_kib: Option<u64>,
    /// The median of the direct round trips of this round, if they were measured.
    pub direct_p50_ms: Option<f64>,
    /// What went wrong; empty if nothing did.
    pub errors: Vec<String>,
}

/// All samples of a contender.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub name: String,
    pub samples: Vec<Sample>,
}

/// What a row of the report shows.
#[derive(Debug, Serialize)]
pub struct Row {
    pub id: String,
    pub title: String,
    /// The contender that the others are compared with, if any.
    pub base: Option<String>,
    pub measured: Vec<Measured>,
    /// What was measured beside the rounds.
    pub facts: Vec<String>,
    pub verdicts: Vec<Verdict>,
}

impl Contest<'_> {
    /// Loads each contender as often as the options say.
    pub fn run(&self, contenders: &[Contender<'_>], options: &Options, folder: &Folder) -> Vec<Measured> {
        let mut measured: Vec<Measured> =
            contenders.iter().map(|one| Measured { name: one.name.clone(), samples: Vec::new() }).collect();
        for round in 0..options.rounds {
            let direct = self.direct.as_ref().map(|load| load.run(self.origin.address(), 1, round, folder.path()));
            for place in 0..contenders.len() {
                let turn = (place + round) % contenders.len();
                if interrupt::came() {
                    return measured;
                }
                let mut sample = self.sample(&contenders[turn], options.seconds, round, folder);
                sample.direct_p50_ms = direct.as_ref().map(|direct| direct.p50_ms);
                measured[turn].samples.push(sample);
            }
        }
        measured
    }

    fn sample(&self, contender: &Contender<'_>, seconds: u64, round: usize, folder: &Folder) -> Sample {
        let (target, origin) = (contender.target, self.origin);
        let read = || (usage::cpu_seconds(target.id()), usage::cpu_seconds(origin.id()), usage::own_cpu_seconds());
        let asked = origin.requests();
        let (begun, machine, before) = (Instant::now(), usage::machine_cpu_seconds(), read());
        let figures = contender.load.run(target.address(), seconds, round, folder.path());
        let (after, machine) = (read(), usage::machine_cpu_seconds() - machine);
        let all = begun.elapsed().as_secs_f64() * figure(machine::cores() as u64);
        let cpu_seconds = after.0 - before.0;
        let ours = cpu_seconds + (after.1 - before.1) + (after.2 - before.2);
        let origin_requests = origin.requests() - asked;
        Sample {
            round,
            cpu_seconds,
            per_second: figure(figures.requests) / figures.seconds,
            per_cpu_second: figure(figures.requests) / cpu_seconds,
            origin_requests,
            origin_per_read: figure(origin_requests) / figure(figures.requests),
            others: ((machine - ours) / all).max(0.0),
            pss_kib: usage::pss_kib(target.id()),
            rss_kib: usage::rss_kib(target.id()),
            direct_p50_ms: None,
            errors: self.faults(&figures),
            requests: figures.requests,
            seconds: figures.seconds,
            p50_ms: figures.p50_ms,
            p99_ms: figures.p99_ms,
        }
    }

    /// What the load generator said went wrong, and what its figures say did.
    fn faults(&self, figures: &Figures) -> Vec<String> {
        let mut faults = figures.errors.clone();
        if figures.requests == 0 {
            faults.push("no request was answered".to_owned());
        } else if figures.bytes / figures.requests < self.body as u64 * 98 / 100 {
            // Requests under way at the end have sent bytes, or not yet: so not exactly.
            faults.push(format!("{} bytes a response", figures.bytes / figures.requests));
        }
        faults
    }
}

impl Measured {
    pub fn median(&self, of: impl Fn(&Sample) -> f64) -> f64 {
        median(self.samples.iter().map(of))
    }

    /// How many times as many requests per second of CPU this one answered as `other` did, round by round.
    pub fn ratio_to(&self, other: &Self) -> Option<Spread> {
        let pairs = self.samples.iter().filter_map(|sample| {
            let theirs = other.samples.iter().find(|theirs| theirs.round == sample.round)?;
            Some(sample.per_cpu_second / theirs.per_cpu_second)
        });
        Spread::of(pairs)
    }

    /// All that went wrong, with the rounds.
    pub fn errors(&self) -> Vec<String> {
        let of = |sample: &Sample| {
            sample.errors.iter().map(|error| format!("{error} (round {})", sample.round + 1)).collect::<Vec<_>>()
        };
        self.samples.iter().flat_map(of).collect()
    }
}

impl Row {
    pub fn find(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|one| one.name == name)
    }

    /// The contender that the others are compared with, and the others.
    pub fn compared(&self) -> Option<(&Measured, Vec<&Measured>)> {
        let base = self.find(self.base.as_deref()?)?;
        let others = self.measured.iter().filter(|one| one.name != base.name && !one.name.starts_with("truehit"));
        Some((base, others.collect()))
    }
}
