//! G19: an origin whose tags lie, and one whose tags do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::sleep;

use crate::Scale;
use crate::client::Kept;
use crate::report::Report;
use crate::site::{CHANGES_AFTER, KEYS};
use crate::stand::{Manners, Origin, Sidecar};

/// How many clients read.
const READERS: usize = 32;

/// G19.
pub async fn lies(scale: Scale) -> Report {
    let (hits, one_in) = (scale.of(40_000, 2_000_000), scale.of(40, 2_000));
    let size = format!(
        "{KEYS} resources, each another after {CHANGES_AFTER} requests; 1 % of the checks audited; at most {hits} reads"
    );
    let mut report = Report::new("G19", "tags that lie", size);
    let truthful = world(hits, 0).await;
    report.none("no tag lies: routes accused", truthful.mismatches);
    report.hold("no tag lies: audits that raced with a change", truthful.raced, "above 0", truthful.raced > 0);
    report.tell("no tag lies: audits upheld", truthful.upheld);
    report.none("no tag lies: failed requests", truthful.failed);
    let lying = world(hits, one_in).await;
    let name = format!("one change in {one_in} keeps its tag");
    report.hold(format!("{name}: mismatches found"), lying.mismatches, "at least 1", lying.mismatches >= 1);
    report.tell(format!("{name}: reads until then"), lying.reads);
    report.hold(format!("{name}: checked by body from then on"), lying.distrusted, "true", lying.distrusted);
    report.none(format!("{name}: failed requests"), lying.failed);
    report
}

/// What was found of an origin.
struct Found {
    reads: u64,
    failed: u64,
    mismatches: u64,
    raced: u64,
    upheld: u64,
    distrusted: bool,
}

/// Reads until an audit has found a lie, or so many times.
async fn world(hits: u64, one_in: u64) -> Found {
    let origin = Origin::start(Manners::default());
    let sidecar = Sidecar::start(origin.address, "defaults.audit = 0.01");
    let (next, found, failed) =
        (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let (next, found, failed) = (Arc::clone(&next), Arc::clone(&found), Arc::clone(&failed));
            let mut link = Kept::to(sidecar.address);
            tokio::spawn(async move {
                let mut key = number;
                while !found.load(Ordering::Relaxed) && next.fetch_add(1, Ordering::Relaxed) < hits {
                    key = (key + READERS + 1) % KEYS;
                    let reply = link.get(&format!("/lying/{one_in}/{key}")).await;
                    if !reply.is_ok_and(|reply| reply.status == 200) {
                        failed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        })
        .collect();
    let audits = async |result: &str| {
        let series = format!("truehit_audits_total{{route=\"default\",result=\"{result}\"}}");
        sidecar.metric(&series).await
    };
    while next.load(Ordering::Relaxed) < hits && audits("mismatch").await == 0.0 {
        sleep(Duration::from_millis(50)).await;
    }
    found.store(one_in > 0, Ordering::Relaxed);
    let reads = next.load(Ordering::Relaxed).min(hits);
    for reader in readers {
        reader.await.expect("a reader does not panic");
    }
    let by_body = "truehit_check_strategy_info{route=\"default\",strategy=\"body\",reason=\"distrusted\"}";
    // The next check says how the route is checked.
    let _ = Kept::to(sidecar.address).get(&format!("/lying/{one_in}/0")).await;
    Found {
        reads,
        failed: failed.load(Ordering::Relaxed),
        mismatches: super::odd::counted(audits("mismatch").await),
        raced: super::odd::counted(audits("raced").await),
        upheld: super::odd::counted(audits("upheld").await),
        distrusted: sidecar.metric(by_body).await == 1.0,
    }
}
