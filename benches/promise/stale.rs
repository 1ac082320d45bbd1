//! Stale reads, counted: many readers through the proxy, writers around it, and every read checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::time::{Instant, sleep};

use crate::Options;
use crate::client::Client;
use crate::history::{History, Read, Violation};
use crate::site::{Delay, Manners, Site, content};
use crate::stand;

const KEYS: usize = 16;
const READERS: usize = 256;
const WRITERS: usize = 8;
const SIZE: usize = 200;

/// The longest wait at the origin, in milliseconds, before a request takes effect, and again after it.
const WAIT_MS: u64 = 2;

/// However slow the machine, a run ends.
const LONGEST: Duration = Duration::from_secs(170);

pub async fn figure(options: Options) {
    let reads = match (options.quick, options.seed_fault) {
        (true, _) => 50_000,
        (false, true) => 200_000,
        (false, false) => 1_024_000,
    };
    let manners = Manners { keys: KEYS, size: SIZE, tags: true, delay: Delay::Random(WAIT_MS), logs: true };
    let (site, origin) = Site::open(manners).await;
    let proxy = stand::serve(origin, |_| {});
    let done = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            let (site, done) = (Arc::clone(&site), Arc::clone(&done));
            tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    sleep(Duration::from_millis(site.draw(6))).await;
                    site.write(pick(&site)).await;
                }
            })
        })
        .collect();
    let begun = Instant::now();
    let left = Arc::new(AtomicUsize::new(reads));
    let readers: Vec<_> = (0..READERS)
        .map(|reader| {
            let (site, left) = (Arc::clone(&site), Arc::clone(&left));
            tokio::spawn(async move {
                let mut client = Client::connect(proxy).await;
                let (mut reads, mut torn) = (Vec::new(), 0);
                while begun.elapsed() < LONGEST && take_one(&left) {
                    match read(&mut client, &site, reader).await {
                        Some(read) => reads.push(read),
                        None => torn += 1,
                    }
                }
                (reads, torn)
            })
        })
        .collect();
    let (mut reads, mut torn) = (Vec::new(), 0);
    for reader in readers {
        let (of_one, torn_by_one) = reader.await.unwrap();
        reads.extend(of_one);
        torn += torn_by_one;
    }
    let took = begun.elapsed();
    done.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let (writes, exchanges) = site.log();
    print(options, &History { reads, writes, exchanges }, torn, took);
}

fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

fn pick(site: &Site) -> usize {
    usize::try_from(site.draw(KEYS as u64)).unwrap()
}

/// A read, or `None` if what came back contradicts itself.
async fn read(client: &mut Client, site: &Site, reader: usize) -> Option<Read> {
    let key = pick(site);
    let sent = site.stamp();
    let response = client.open(&format!("/k/{key}")).await;
    let answered = site.stamp();
    let bytes = response.into_body().collect().await.expect("a whole body").to_bytes();
    let version = std::str::from_utf8(&bytes).ok()?.split(' ').nth(3)?.parse().ok()?;
    let agrees = bytes == content(key, version, SIZE) && client.tag() == Some(&*format!("\"v{version}\""));
    agrees.then_some(Read { reader, key, version, sent, answered })
}

fn print(options: Options, history: &History, torn: usize, took: Duration) {
    let violations = history.violations();
    let count = |of: fn(&Violation) -> bool| violations.iter().filter(|violation| of(violation)).count();
    let stale = count(|violation| matches!(violation, Violation::Stale { .. }));
    let unwritten = count(|violation| matches!(violation, Violation::Unwritten { .. }));
    let backwards = count(|violation| matches!(violation, Violation::Backwards { .. }));
    let rule = if options.seed_fault { "plain single-flight, seeded" } else { "the rule" };
    println!("\n### Stale reads ({rule})\n");
    println!(
        "{READERS} readers on {KEYS} keys through the proxy, {WRITERS} writers around it, the origin taking 0 to \
         {WAIT_MS} ms before and after each request takes effect; {:.0} s.\n",
        took.as_secs_f64()
    );
    println!("| | count |\n| --- | ---: |");
    println!("| reads checked | {} |", history.reads.len());
    println!("| writes | {} |", history.writes.len());
    println!("| exchanges with the origin | {} |", history.exchanges.len());
    println!("| **stale reads** (expected: {}) | **{stale}** |", if options.seed_fault { "some" } else { "0" });
    println!("| reads of what nobody had written | {unwritten} |");
    println!("| reads older than an earlier one | {backwards} |");
    println!("| replies that contradict themselves | {torn} |");
    println!("| replies without an exchange of their time | {} |", history.unasked().len());
}
