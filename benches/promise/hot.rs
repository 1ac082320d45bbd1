//! One hot key: what collapsing saves the origin, and what it costs the reader.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use truehit::rules::policy::Collapse;

use crate::Options;
use crate::client::Client;
use crate::site::{Delay, Manners, Site};
use crate::stand;

const CLIENTS: usize = 64;

/// How long the origin takes.
const DELAY: Duration = Duration::from_millis(5);

/// However slow the machine, a round ends.
const ROUND_LONGEST: Duration = Duration::from_secs(30);

/// A way to run the proxy, and what was measured of it in each round.
struct Way {
    name: &'static str,
    site: Arc<Site>,
    address: SocketAddr,
    per_read: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Way {
    async fn open(name: &'static str, adjust: impl Fn(&mut Collapse)) -> Self {
        let manners = Manners { keys: 1, size: 1_000, tags: true, delay: Delay::Fixed(DELAY), logs: false };
        let (site, origin) = Site::open(manners).await;
        let address = stand::serve(origin, |policy| adjust(&mut policy.collapse));
        Self { name, site, address, per_read: Vec::new(), p50: Vec::new(), p99: Vec::new() }
    }

    async fn round(&mut self, reads_each: usize, trip: Duration) {
        Client::connect(self.address).await.get("/k/0").await;
        let before = self.site.requests();
        let waits = readers(self.address, CLIENTS, reads_each).await;
        let asked = self.site.requests() - before;
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        self.per_read.push(asked as f64 / waits.len() as f64);
        self.p50.push(quantile(&waits, 50).div_duration_f64(trip));
        self.p99.push(quantile(&waits, 99).div_duration_f64(trip));
    }
}

pub async fn figure(options: Options) {
    let (rounds, reads_each) = if options.quick { (2, 50) } else { (7, 200) };
    let mut ways = vec![
        Way::open("the defaults (k = 2, gathering)", |_| {}).await,
        Way::open("k = 2, gather = 0", |collapse| collapse.gather = 0.0).await,
        Way::open("k = 1, gathering", |collapse| collapse.overlap = 1).await,
        Way::open("k = 1, gather = 0", |collapse| (collapse.overlap, collapse.gather) = (1, 0.0)).await,
        Way::open("collapsing off", |collapse| collapse.enabled = false).await,
    ];
    let manners = Manners { keys: 1, size: 1_000, tags: true, delay: Delay::Fixed(DELAY), logs: false };
    let (_site, origin) = Site::open(manners).await;
    let mut trips = Vec::new();
    let mut crowded = Vec::new();
    for _ in 0..rounds {
        // One client alone, straight to the origin, is what a round trip is.
        let trip = quantile(&readers(origin, 1, reads_each).await, 50);
        trips.push(trip.as_secs_f64() * 1e3);
        crowded.push(quantile(&readers(origin, CLIENTS, reads_each).await, 50).div_duration_f64(trip));
        for way in &mut ways {
            way.round(reads_each, trip).await;
        }
    }
    println!("\n### {CLIENTS} clients on one hot key\n");
    println!(
        "The origin answers after {} ms; a round trip is what one client takes straight to it, {:.2} ms. Medians of \
         {rounds} interleaved rounds of {} reads each. Straight to the origin, {CLIENTS} clients at once take {:.2} \
         round trips.\n",
        DELAY.as_millis(),
        median(&trips),
        CLIENTS * reads_each,
        median(&crowded),
    );
    println!("| | origin requests per read | median, round trips | p99, round trips |\n| --- | ---: | ---: | ---: |");
    for way in &ways {
        println!("| {} | {:.3} | {:.2} | {:.2} |", way.name, median(&way.per_read), median(&way.p50), median(&way.p99));
    }
    let verdict = |met| if met { "met" } else { "**not met**" };
    let (per_read, p50) = (median(&ways[0].per_read), median(&ways[0].p50));
    println!(
        "\nGoals, with the defaults: at most 0.08 requests per read, {}; median at most 1.6 round trips, {}.",
        verdict(per_read <= 0.08),
        verdict(p50 <= 1.6)
    );
}

/// Clients that read on and on, and how long each read took; sorted.
async fn readers(address: SocketAddr, clients: usize, reads_each: usize) -> Vec<Duration> {
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            tokio::spawn(timeout(ROUND_LONGEST, async move {
                let mut client = Client::connect(address).await;
                client.get("/k/0").await;
                let mut waits = Vec::with_capacity(reads_each);
                for _ in 0..reads_each {
                    let asked = Instant::now();
                    client.get("/k/0").await;
                    waits.push(asked.elapsed());
                }
                waits
            }))
        })
        .collect();
    let mut waits = Vec::new();
    for client in clients {
        waits.extend(client.await.unwrap().expect("a round ends in time"));
    }
    waits.sort_unstable();
    waits
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
