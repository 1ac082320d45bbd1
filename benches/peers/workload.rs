//! The rows that are contests between programs, as data: what is asked for, who takes part, and what truehit is
//! to reach.

use crate::client;
use crate::contest::{Contender, Contest, Row};
use crate::folder::Folder;
use crate::goal::{Goal, round_trips};
use crate::load::Load;
use crate::options::Options;
use crate::origin::Origin;
use crate::statistic::Spread;
use crate::target::{DEFAULT, Program, Settings, Target, WHEN_STALE};

const KIB: usize = 1024;

/// Connections of every row over HTTP/1.1, and requests under way at a time over HTTP/2.
const CLIENTS: usize = 64;

/// Requests to a hot resource before the first round: connections to the origin are open then, and code is warm.
const WARM_UP: u64 = 2_000;

pub struct Workload {
    pub id: &'static str,
    title: &'static str,
    kind: Kind,
    /// The length of each body, in bytes.
    body: usize,
    peers: &'static [Peer],
    goals: &'static [Goal],
}

/// What is asked for, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One fresh resource.
    Hit,
    /// One resource that is checked on each read, at an origin that takes some milliseconds.
    Verified { delay_ms: u64 },
    /// So many resources that are checked on each read, each as likely.
    VerifiedKeys(u64),
    /// One resource that is not stored.
    Pass,
    /// A resource that nobody has asked for before, stored.
    Miss,
    /// One fresh resource over TLS.
    Tls,
    /// One fresh resource over TLS and HTTP/2.
    Http2,
}

/// Who stands beside truehit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Peer {
    Nginx,
    Haproxy,
    Varnish,
    Bare,
}

use Peer::{Bare, Haproxy, Nginx, Varnish};

pub const ALL: [Workload; 12] = [
    Workload {
        id: "H-1k",
        title: "hit, 1 KiB",
        kind: Kind::Hit,
        body: KIB,
        peers: &[Nginx, Haproxy, Varnish, Bare],
        goals: &[
            Goal::Ratio("nginx", 1.30),
            Goal::Ratio("haproxy", 1.10),
            Goal::Ratio("varnish", 2.8),
            Goal::Ratio("bare", 0.80),
        ],
    },
    Workload {
        id: "H-16k",
        title: "hit, 16 KiB",
        kind: Kind::Hit,
        body: 16 * KIB,
        peers: &[Nginx, Haproxy, Varnish, Bare],
        goals: &[Goal::Ratio("nginx", 1.25), Goal::Ratio("haproxy", 1.30), Goal::Ratio("varnish", 2.5)],
    },
    Workload {
        id: "H-256k",
        title: "hit, 256 KiB",
        kind: Kind::Hit,
        body: 256 * KIB,
        peers: &[Nginx, Haproxy, Varnish, Bare],
        goals: &[Goal::Ratio("nginx", 1.00), Goal::Ratio("haproxy", 1.8), Goal::Ratio("varnish", 1.5)],
    },
    Workload {
        id: "V-hot-0",
        title: "one resource checked on each read, 1 KiB, origin without delay",
        kind: Kind::Verified { delay_ms: 0 },
        body: KIB,
        peers: &[Nginx, Varnish],
        goals: &[Goal::Ratio("nginx", 2.0), Goal::Ratio("varnish", 50.0), Goal::OriginPerRead(0.05)],
    },
    Workload {
        id: "V-hot-5",
        title: "one resource checked on each read, 1 KiB, origin takes 5 ms",
        kind: Kind::Verified { delay_ms: 5 },
        body: KIB,
        peers: &[Nginx, Varnish],
        goals: &[
            Goal::Ratio("nginx", 1.7),
            Goal::Ratio("varnish", 50.0),
            Goal::RoundTrips(1.6),
            Goal::OriginPerRead(0.08),
        ],
    },
    Workload {
        id: "V-10k",
        title: "10,000 resources checked on each read, each as likely, 1 KiB, origin without delay",
        kind: Kind::VerifiedKeys(10_000),
        body: KIB,
        peers: &[Nginx, Varnish],
        goals: &[Goal::Ratio("nginx", 1.15), Goal::Ratio("varnish", 5.0), Goal::P99("nginx")],
    },
    Workload {
        id: "M-pass-1k",
        title: "`no-store`, 1 KiB",
        kind: Kind::Pass,
        body: KIB,
        peers: &[Nginx, Haproxy, Varnish],
        goals: SMALL_THROUGH,
    },
    Workload {
        id: "M-pass-256k",
        title: "`no-store`, 256 KiB",
        kind: Kind::Pass,
        body: 256 * KIB,
        peers: &[Nginx, Haproxy, Varnish],
        goals: LARGE_THROUGH,
    },
    Workload {
        id: "M-miss-1k",
        title: "each request for another resource, 1 KiB, stored",
        kind: Kind::Miss,
        body: KIB,
        peers: &[Nginx, Haproxy, Varnish],
        goals: SMALL_THROUGH,
    },
    Workload {
        id: "M-miss-256k",
        title: "each request for another resource, 256 KiB, stored",
        kind: Kind::Miss,
        body: 256 * KIB,
        peers: &[Nginx, Haproxy, Varnish],
        goals: LARGE_THROUGH,
    },
    Workload {
        id: "TLS-1k",
        title: "hit over TLS and HTTP/1.1, 1 KiB",
        kind: Kind::Tls,
        body: KIB,
        peers: &[Nginx, Haproxy],
        goals: OVER_TLS,
    },
    Workload {
        id: "H2-1k",
        title: "hit over TLS and HTTP/2, 1 KiB",
        kind: Kind::Http2,
        body: KIB,
        peers: &[Nginx, Haproxy],
        goals: OVER_TLS,
    },
];

const SMALL_THROUGH: &[Goal] = &[Goal::Ratio("nginx", 1.10), Goal::Ratio("haproxy", 1.2), Goal::Ratio("varnish", 5.0)];
const LARGE_THROUGH: &[Goal] = &[Goal::Ratio("nginx", 1.10), Goal::Ratio("haproxy", 1.1), Goal::Ratio("varnish", 1.8)];
const OVER_TLS: &[Goal] = &[Goal::Ratio("nginx", 1.0), Goal::Ratio("haproxy", 1.0)];

impl Workload {
    /// Starts all that take part, warms them, and measures.
    pub fn row(&self, options: &Options, folder: &Folder) -> Row {
        let origin = Origin::start(folder.path(), self.kind.delay_ms());
        let targets = self.start_all(&origin, folder);
        for (_, target) in &targets {
            self.warm(target, folder);
        }
        let contenders: Vec<Contender<'_>> =
            targets.iter().map(|(name, target)| Contender { name: name.clone(), target, load: self.load() }).collect();
        let direct = (self.kind.delay_ms() > 0).then(|| Load::of(1, self.path()));
        let contest = Contest { origin: &origin, body: self.body, direct };
        let measured = contest.run(&contenders, options, folder);
        let base = Some(Program::Truehit.name().to_owned());
        let (id, title) = (self.id.to_owned(), self.title.to_owned());
        let mut row = Row { id, title, base, measured, facts: Vec::new(), verdicts: Vec::new() };
        row.facts = facts(&row);
        row.verdicts = self.goals.iter().filter_map(|goal| goal.judge(&row)).collect();
        row
    }

    /// Starts all that take part, all at once: Varnish takes seconds.
    fn start_all(&self, origin: &Origin, folder: &Folder) -> Vec<(String, Target)> {
        std::thread::scope(|scope| {
            let starting: Vec<_> = self
                .taking_part()
                .into_iter()
                .map(|(name, program, settings)| {
                    (name, scope.spawn(move || Target::start(program, &settings, origin, folder)))
                })
                .collect();
            let started = starting.into_iter().map(|(name, target)| (name, target.join()));
            started.map(|(name, target)| (name, target.expect("the target starts"))).collect()
        })
    }

    fn taking_part(&self) -> Vec<(String, Program, Settings)> {
        let truehit = self.kind.settings();
        let mut all: Vec<_> = self
            .peers
            .iter()
            .map(|peer| match peer {
                Nginx => Program::Nginx,
                Haproxy => Program::Haproxy,
                Varnish => Program::Varnish,
                Bare => Program::Bare(self.body),
            })
            .chain([Program::Truehit])
            .map(|program| (program.name().to_owned(), program, truehit))
            .collect();
        if matches!(self.kind, Kind::Verified { .. }) {
            let settings = Settings { busy_wait: false, ..truehit };
            all.push(("varnish, not waiting".to_owned(), Program::Varnish, settings));
        }
        if self.kind == Kind::Miss {
            let settings = Settings { verify: None, ..truehit };
            all.push(("truehit, every-hit".to_owned(), Program::Truehit, settings));
        }
        all
    }

    fn warm(&self, target: &Target, folder: &Folder) {
        match self.kind {
            Kind::Tls | Kind::Http2 => {
                self.load().run(target.address(), 1, 0, folder.path());
            }
            Kind::VerifiedKeys(count) => {
                client::get_each(target.address(), count, |key| format!("{}{key}", self.path()))
            }
            Kind::Miss => client::get_each(target.address(), WARM_UP, |key| format!("{}warm-{key}", self.path())),
            _ => client::get_each(target.address(), self.kind.warm_up(), |_| self.path()),
        }
    }

    fn path(&self) -> String {
        let Self { body, .. } = self;
        match self.kind {
            Kind::Hit | Kind::Tls | Kind::Http2 => format!("/fresh/{body}/hot"),
            Kind::Verified { .. } => format!("/checked/{body}/hot"),
            Kind::VerifiedKeys(_) => format!("/checked/{body}/?n="),
            Kind::Pass => format!("/private/{body}/hot"),
            Kind::Miss => format!("/fresh/{body}/?n="),
        }
    }

    fn load(&self) -> Load {
        let path = self.path();
        match self.kind {
            Kind::Hit | Kind::Verified { .. } | Kind::Pass => Load::of(CLIENTS, path),
            Kind::VerifiedKeys(count) => {
                Load::scripted(CLIENTS, "uniform.lua", &[&path, &count.to_string(), "{round}"])
            }
            Kind::Miss => Load::scripted(CLIENTS, "next.lua", &[&path, "{round}000000000"]),
            Kind::Tls => Load::over_tls(CLIENTS, path),
            Kind::Http2 => Load::H2load { connections: 8, streams: CLIENTS / 8, path },
        }
    }
}

impl Kind {
    const fn delay_ms(self) -> u64 {
        match self {
            Self::Verified { delay_ms } => delay_ms,
            _ => 0,
        }
    }

    /// Fewer where each takes long, which is what the delay does to Varnish.
    const fn warm_up(self) -> u64 {
        match self {
            Self::Verified { delay_ms: 1.. } => WARM_UP / 20,
            _ => WARM_UP,
        }
    }

    /// truehit's, and the size of all stores where a row fills them.
    const fn settings(self) -> Settings {
        match self {
            Self::Hit => WHEN_STALE,
            Self::Miss => Settings { space: Some(1 << 30), ..WHEN_STALE },
            Self::Tls | Self::Http2 => Settings { tls: true, ..WHEN_STALE },
            Self::Verified { .. } | Self::VerifiedKeys(_) | Self::Pass => DEFAULT,
        }
    }
}

/// What the table has no column for: direct round trips.
fn facts(row: &Row) -> Vec<String> {
    let Some(base) = row.find(Program::Truehit.name()) else { return Vec::new() };
    let direct = Spread::of(base.samples.iter().filter_map(|sample| sample.direct_p50_ms));
    let Some(direct) = direct else { return Vec::new() };
    let mut facts = vec![format!(
        "A direct round trip to the origin, one connection: p50 {:.2} ms [{:.2}..{:.2}]",
        direct.median, direct.min, direct.max
    )];
    facts.extend(
        row.measured.iter().map(|one| format!("{}: p50 is {:.2} direct round trips", one.name, round_trips(one))),
    );
    facts
}
