//! The instruments: a counter, a gauge and a histogram as plain atomics, and a [`Family`] of them in one array.
//!
//! A family has a cell for each combination of its label words, laid out at construction, so counting is an index and
//! an atomic addition: no lookup by label, no lock, no allocation. Cells that never counted are left out of the
//! exposition unless the declaration says otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::proto;

use super::declare::{Declaration, Label};

/// The upper bounds of every histogram, as nanoseconds and as the label says it in seconds. They begin at 100 µs as a
/// hit on the same host takes less than a millisecond, and end at 10 s as deadlines do.
pub(super) const BUCKETS: [(u64, f64); 16] = [
    (100_000, 0.0001),
    (250_000, 0.00025),
    (500_000, 0.0005),
    (1_000_000, 0.001),
    (2_500_000, 0.0025),
    (5_000_000, 0.005),
    (10_000_000, 0.01),
    (25_000_000, 0.025),
    (50_000_000, 0.05),
    (100_000_000, 0.1),
    (250_000_000, 0.25),
    (500_000_000, 0.5),
    (1_000_000_000, 1.0),
    (2_500_000_000, 2.5),
    (5_000_000_000, 5.0),
    (10_000_000_000, 10.0),
];

/// One cell: how it looks in the exposition.
pub(super) trait Instrument: Default {
    /// Whether it ever counted anything.
    fn used(&self) -> bool;
    /// Its value as the exposition's model has it.
    fn write(&self, metric: &mut proto::Metric);
}

/// Only ever grows.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes over a count that is kept elsewhere.
    pub(super) fn raise_to(&self, count: u64) {
        self.0.fetch_max(count, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Instrument for Counter {
    fn used(&self) -> bool {
        self.value() > 0
    }

    fn write(&self, metric: &mut proto::Metric) {
        let mut counter = proto::Counter::default();
        counter.set_value(as_float(self.value()));
        metric.set_counter(counter);
    }
}

/// A whole number that goes up and down.
#[derive(Debug, Default)]
pub(super) struct Gauge(AtomicU64);

impl Gauge {
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

impl Instrument for Gauge {
    fn used(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn write(&self, metric: &mut proto::Metric) {
        let mut gauge = proto::Gauge::default();
        gauge.set_value(as_float(self.0.load(Ordering::Relaxed)));
        metric.set_gauge(gauge);
    }
}

/// Durations, counted by upper bound. The last cell is `+Inf`.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    counts: [AtomicU64; BUCKETS.len() + 1],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn observe(&self, elapsed: Duration) {
        let nanos = u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let place = BUCKETS.partition_point(|(bound, _)| *bound < nanos);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

impl Instrument for Histogram {
    fn used(&self) -> bool {
        self.counts.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }

    fn write(&self, metric: &mut proto::Metric) {
        let mut so_far = 0;
        let mut buckets = Vec::with_capacity(BUCKETS.len());
        for ((_, bound), count) in BUCKETS.iter().zip(&self.counts) {
            so_far += count.load(Ordering::Relaxed);
            let mut bucket = proto::Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(so_far);
            buckets.push(bucket);
        }
        let beyond = self.counts[BUCKETS.len()].load(Ordering::Relaxed);
        let mut histogram = proto::Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(so_far + beyond);
        histogram.set_sample_sum(as_float(self.nanos.load(Ordering::Relaxed)) / 1e9);
        metric.set_histogram(histogram);
    }
}

#[expect(clippy::cast_precision_loss, reason = "the text format has only floats; exact up to 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}

/// One metric with a cell for each combination of its words, and the values of its other labels.
#[derive(Debug)]
pub(super) struct Family<M> {
    declaration: &'static Declaration,
    words: Vec<Vec<&'static str>>,
    cells: Box<[M]>,
}

impl<M: Instrument> Family<M> {
    pub(super) fn new(declaration: &'static Declaration) -> Self {
        let words: Vec<_> =
            declaration.labels.iter().filter(|label| matches!(label, Label::Words(..))).map(Label::words).collect();
        let cells = words.iter().map(Vec::len).product();
        Self { declaration, words, cells: std::iter::repeat_with(M::default).take(cells).collect() }
    }

    /// The cell for these places among the words of each label, in the order of the declaration.
    pub(super) fn at<const N: usize>(&self, places: [usize; N]) -> &M {
        debug_assert_eq!(N, self.words.len(), "{}", self.declaration.name);
        let index = places.iter().zip(&self.words).fold(0, |index, (place, words)| index * words.len() + place);
        &self.cells[index]
    }

    /// Every cell that is to be seen, labelled; `others` are the values of the labels that are not made of words.
    pub(super) fn write(&self, others: &[&str], into: &mut Vec<proto::Metric>) {
        for (index, cell) in self.cells.iter().enumerate() {
            if cell.used() || self.declaration.from_start {
                let mut metric = proto::Metric::from_label(self.labels(index, others));
                cell.write(&mut metric);
                into.push(metric);
            }
        }
    }

    fn labels(&self, index: usize, others: &[&str]) -> Vec<proto::LabelPair> {
        let mut stride: usize = self.cells.len();
        let mut words = self.words.iter().map(|words| {
            stride /= words.len();
            words[index / stride % words.len()]
        });
        let mut others = others.iter().copied();
        let labels = self.declaration.labels.iter();
        let pairs = labels.map(|label| {
            let value = match label {
                Label::Words(..) => words.next(),
                Label::Route | Label::Info(_) => others.next(),
            };
            let mut pair = proto::LabelPair::default();
            pair.set_name(label.name().to_owned());
            pair.set_value(value.unwrap_or_default().to_owned());
            pair
        });
        pairs.collect()
    }

    pub(super) const fn declaration(&self) -> &'static Declaration {
        self.declaration
    }
}
