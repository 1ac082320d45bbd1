//! The exposition as it is put together, in the `prometheus` crate's model.

use prometheus::proto;

use super::declare::{Declaration, MetricType};
use super::instrument::{Family, Instrument};

/// Families in order. One without series is left out, as the format wants it.
#[derive(Default)]
pub(super) struct Page(Vec<proto::MetricFamily>);

impl Page {
    pub(super) fn family<M: Instrument>(&mut self, family: &Family<M>, others: &[&str]) {
        let mut metrics = Vec::new();
        family.write(others, &mut metrics);
        self.add(family.declaration(), metrics);
    }

    pub(super) fn add(&mut self, declaration: &Declaration, metrics: Vec<proto::Metric>) {
        if metrics.is_empty() {
            return;
        }
        let mut family = proto::MetricFamily::default();
        family.set_name(declaration.name.to_owned());
        family.set_help(declaration.help.to_owned());
        family.set_field_type(match declaration.kind {
            MetricType::Counter => proto::MetricType::COUNTER,
            MetricType::Gauge => proto::MetricType::GAUGE,
            MetricType::Histogram => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(metrics);
        self.0.push(family);
    }

    pub(super) fn extend(&mut self, families: Vec<proto::MetricFamily>) {
        self.0.extend(families);
    }

    pub(super) fn into_families(self) -> Vec<proto::MetricFamily> {
        self.0
    }
}
