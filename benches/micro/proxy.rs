//! The whole proxy, without sockets: a read of 1 KiB, from the request as a value to the end of the response's body.

use divan::Bencher;
use truehit::rules::policy::Verify;

use crate::reads::Reads;

/// Fresh, and served unasked.
#[divan::bench]
fn hit(bencher: Bencher<'_, '_>) {
    read(bencher, &Reads::new(Verify::WhenStale, "truehit; hit"));
}

/// Checked with an origin in memory, whose part is in the figure.
#[divan::bench]
fn checked(bencher: Bencher<'_, '_>) {
    read(bencher, &Reads::new(Verify::EveryHit, "truehit; fwd=stale; fwd-status=304; detail=checked"));
}

fn read(bencher: Bencher<'_, '_>, reads: &Reads) {
    bencher.with_inputs(Reads::request).bench_local_values(|request| reads.read(request));
}
