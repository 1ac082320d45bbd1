//! Bytes from the origin per client read, for a large body that seldom changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use truehit::rules::policy::Verify;

use crate::Options;
use crate::client::Client;
use crate::site::{Delay, Manners, Site};
use crate::stand;

const SIZE: usize = 100_000;

/// After how many reads the content changes.
const CHANGES_EVERY: usize = 1_000;

/// However slow the machine, a row ends.
const ROW_LONGEST: Duration = Duration::from_secs(30);

/// Bytes from the origin per read, and requests to it per read.
async fn row(tags: bool, verify: Verify, clients: usize, reads: usize) -> (f64, f64) {
    let manners = Manners { keys: 1, size: SIZE, tags, delay: Delay::Fixed(Duration::ZERO), logs: false };
    let (site, origin) = Site::open(manners).await;
    let proxy = stand::serve(origin, |policy| policy.verify = verify);
    let (begun, asked) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (site, asked) = (Arc::clone(&site), Arc::clone(&asked));
            tokio::spawn(async move {
                let mut client = Client::connect(proxy).await;
                let mut done = 0;
                while begun.elapsed() < ROW_LONGEST {
                    let number = asked.fetch_add(1, Ordering::Relaxed);
                    if number >= reads {
                        break;
                    }
                    if number % CHANGES_EVERY == CHANGES_EVERY - 1 {
                        site.change(0);
                    }
                    assert!(client.get("/k/0").await.len() >= SIZE);
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut done: u32 = 0;
    for client in clients {
        done += client.await.unwrap();
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let (bytes, requests) = (site.sent_bytes() as f64, site.requests() as f64);
    (bytes / f64::from(done), requests / f64::from(done))
}

pub async fn figure(options: Options) {
    let reads = if options.quick { 2_000 } else { 20_000 };
    println!("\n### Bytes from the origin per client read\n");
    println!("A body of {SIZE} bytes that changes every {CHANGES_EVERY} reads; heads count; {reads} reads a row.\n");
    println!("| origin | clients | bytes per read | of pass-through | requests per read |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    for clients in [1, 64] {
        let (passed, _) = row(true, Verify::Off, clients, reads / 10).await;
        println!("| passed through | {clients} | {passed:.0} | 100 % | 1.000 |");
        for (name, tags) in [("strong tags", true), ("no validator: whole bodies, compared", false)] {
            let (bytes, requests) = row(tags, Verify::EveryHit, clients, reads).await;
            println!("| {name} | {clients} | {bytes:.0} | {:.2} % | {requests:.3} |", 100.0 * bytes / passed);
            if tags {
                let met = if bytes < passed / 100.0 { "met" } else { "**not met**" };
                println!("| (goal: under 1 %) | | | {met} | |");
            }
        }
    }
}
