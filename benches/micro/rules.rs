//! The rules: a fresh hit's way through them.

use std::hint::black_box;

use divan::Bencher;
use truehit::rules::key::CacheKey;

use crate::hit::Hit;

/// What the responses vary by.
const VARY: [Option<&str>; 2] = [None, Some("accept-encoding")];

#[divan::bench]
fn key() -> CacheKey {
    CacheKey::new(black_box("http"), black_box(b"api.test"), black_box("/products/17?view=full"), &[])
}

#[divan::bench]
fn key_hash(bencher: Bencher<'_, '_>) {
    use std::hash::BuildHasher;
    let (key, hasher) = (key(), foldhash::fast::RandomState::default());
    bencher.bench_local(|| hasher.hash_one(black_box(&key)));
}

#[divan::bench]
fn ask_read(bencher: Bencher<'_, '_>) {
    let hit = Hit::new(None);
    bencher.with_inputs(|| hit.request()).bench_local_values(|request| hit.read(request));
}

#[divan::bench(args = VARY)]
fn lookup(bencher: Bencher<'_, '_>, vary: Option<&str>) {
    let hit = Hit::new(vary);
    let ask = hit.ask();
    bencher.bench_local(|| hit.lookup(black_box(&ask)));
}

#[divan::bench(args = VARY)]
fn decide(bencher: Bencher<'_, '_>, vary: Option<&str>) {
    let hit = Hit::new(vary);
    let ask = hit.ask();
    let lookup = hit.lookup(&ask);
    bencher.bench_local(|| hit.decide(black_box(&ask), black_box(&lookup)));
}

/// Reading, finding, deciding.
#[divan::bench(args = VARY)]
fn all_three(bencher: Bencher<'_, '_>, vary: Option<&str>) {
    let hit = Hit::new(vary);
    bencher.with_inputs(|| hit.request()).bench_local_values(|request| {
        let ask = hit.read(request);
        let lookup = hit.lookup(&ask);
        hit.decide(&ask, &lookup)
    });
}
