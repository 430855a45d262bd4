//! Writes families of metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::exemplar::Exemplar;

use tero_edge::request::site::Site;
use tero_edge::telemetry::counters::{BUCKETS, HistogramSnapshot};

/// One value of a family, with its labels.
pub(super) type Sample<V> = (Vec<(&'static str, String)>, V);

/// The label of a site.
pub(super) fn site_label(site: &Site) -> (&'static str, String) {
    ("site", site.settings.name.to_string())
}

/// A sample of each site.
pub(super) fn per_site<V>(sites: &[Arc<Site>], value: impl Fn(&Site) -> V) -> Vec<Sample<V>> {
    sites
        .iter()
        .map(|site| (vec![site_label(site)], value(site)))
        .collect()
}

/// Writes a family of counters. `name` is without `_total`, which the encoder adds.
pub(super) fn counters(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: Vec<Sample<u64>>,
) -> fmt::Result {
    family(
        encoder,
        name,
        help,
        MetricType::Counter,
        samples,
        |metric, value| metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
    )
}

/// Writes a family of gauges.
pub(super) fn gauges<V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: Vec<Sample<V>>,
) -> fmt::Result {
    family(
        encoder,
        name,
        help,
        MetricType::Gauge,
        samples,
        |metric, value| metric.encode_gauge(&value),
    )
}

fn family<V>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    kind: MetricType,
    samples: Vec<Sample<V>>,
    write: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in samples {
        // An empty family would be written as `{}`.
        if labels.is_empty() {
            write(&mut metric, value)?;
        } else {
            write(&mut metric.encode_family(&labels)?, value)?;
        }
    }
    Ok(())
}

/// Writes a family of histograms of latencies.
pub(super) fn histograms(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: Vec<Sample<HistogramSnapshot>>,
) -> fmt::Result {
    family(
        encoder,
        name,
        help,
        MetricType::Histogram,
        samples,
        |metric, snapshot| {
            let bounds = BUCKETS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(snapshot.buckets).collect();
            let exemplars: Option<&std::collections::HashMap<usize, Exemplar<NoLabelSet, f64>>> =
                None;
            metric.encode_histogram(
                snapshot.sum_secs,
                snapshot.buckets.iter().sum(),
                &buckets,
                exemplars,
            )
        },
    )
}

/// Writes a family of counters of seconds. `name` is as in [`counters`].
pub(super) fn seconds(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    samples: Vec<Sample<f64>>,
) -> fmt::Result {
    family(
        encoder,
        name,
        help,
        MetricType::Counter,
        samples,
        |metric, value| metric.encode_counter::<NoLabelSet, _, f64>(&value, None),
    )
}
