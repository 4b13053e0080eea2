//! What Prometheus reads of a node's origins: breakers, shares, latencies and what was sent.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric as _},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};
use wayside_upstream::origins::{
    Origins,
    shown::{OriginShown, RegionShown, Shown},
};

/// Asks the origins' client when somebody reads.
pub(super) struct UpstreamMetrics(pub(super) Origins);

impl fmt::Debug for UpstreamMetrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("UpstreamMetrics")
    }
}

impl Collector for UpstreamMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let shown = self.0.shown();
        requests(&mut encoder, &shown)?;
        let help = "1 while most origins of every region fail, so that all are asked";
        let panic = ConstGauge::new(u64::from(shown.panic));
        let kind = panic.metric_type();
        panic.encode(encoder.encode_descriptor("wayside_upstream_panic", help, None, kind)?)?;
        let panics = ConstCounter::new(shown.panics);
        let kind = panics.metric_type();
        panics.encode(encoder.encode_descriptor("wayside_upstream_panics", "How often that began", None, kind)?)?;
        regions(&mut encoder, &shown)?;
        origins(&mut encoder, &shown)
    }
}

fn requests(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> Result<(), fmt::Error> {
    let help =
        "Requests to origins by why they were sent: first, retry, hedge; of these probe and panic; and refused retries";
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("wayside_upstream_requests", help, None, kind)?;
    for (why, count) in &shown.requests {
        ConstCounter::new(*count).encode(family.encode_family(&[("kind", *why)])?)?;
    }
    Ok(())
}

fn regions(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> Result<(), fmt::Error> {
    let help = "Share of its traffic that a region gets, in percent";
    of_regions(
        encoder,
        shown,
        "wayside_upstream_region_share_percent",
        help,
        |region| Some(f64::from(region.share_percent)),
    )?;
    let help = "What answers of a region took lately, in seconds";
    of_regions(
        encoder,
        shown,
        "wayside_upstream_region_latency_seconds",
        help,
        |region| region.latency_ms.map(|ms| ms / 1_000.0),
    )?;
    let help = "How often a region's share became so many percent";
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("wayside_upstream_region_transitions", help, None, kind)?;
    for (name, region) in &shown.regions {
        for (percent, count) in &region.became {
            let labels = [("region", name.clone()), ("to_percent", percent.to_string())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn of_regions<N: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    shown: &Shown,
    name: &str,
    help: &str,
    value: impl Fn(&RegionShown) -> Option<N>,
) -> Result<(), fmt::Error> {
    let kind = ConstGauge::new(0.0).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (name, region) in &shown.regions {
        if let Some(value) = value(region) {
            ConstGauge::new(value).encode(family.encode_family(&[("region", name.clone())])?)?;
        }
    }
    Ok(())
}

fn origins(encoder: &mut DescriptorEncoder<'_>, shown: &Shown) -> Result<(), fmt::Error> {
    let help = "1 for the state that an origin's breaker is in";
    let kind = ConstGauge::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("wayside_upstream_breaker", help, None, kind)?;
    for (labels, origin) in each_origin(shown) {
        // Those that it is not in are 0, so that each is a series from the start.
        for (state, _) in &origin.became {
            let labels = [labels[0].clone(), labels[1].clone(), ("state", (*state).to_owned())];
            ConstGauge::new(u64::from(origin.breaker == *state)).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "How often an origin's breaker entered a state";
    let kind = ConstCounter::new(0_u64).metric_type();
    let mut family = encoder.encode_descriptor("wayside_upstream_breaker_transitions", help, None, kind)?;
    for (labels, origin) in each_origin(shown) {
        for (state, count) in &origin.became {
            let labels = [labels[0].clone(), labels[1].clone(), ("to", (*state).to_owned())];
            ConstCounter::new(*count).encode(family.encode_family(&labels)?)?;
        }
    }
    let help = "What answers of an origin took lately, with a bias for the worst, in seconds";
    of_origins(encoder, shown, "wayside_upstream_latency_seconds", help, |_, origin| {
        origin.latency_ms / 1_000.0
    })?;
    let help = "Requests to an origin under way";
    of_origins(encoder, shown, "wayside_upstream_open_requests", help, |_, origin| {
        f64::from(origin.requests)
    })?;
    let help = "1 for the origin whose changes are followed";
    of_origins(encoder, shown, "wayside_upstream_followed", help, |url, _| {
        f64::from(u8::from(shown.followed.as_deref() == Some(url)))
    })
}

fn of_origins(
    encoder: &mut DescriptorEncoder<'_>,
    shown: &Shown,
    name: &str,
    help: &str,
    value: impl Fn(&str, &OriginShown) -> f64,
) -> Result<(), fmt::Error> {
    let kind = ConstGauge::new(0.0).metric_type();
    let mut family = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, origin) in each_origin(shown) {
        ConstGauge::new(value(&labels[1].1, origin)).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

type Labels = [(&'static str, String); 2];

fn each_origin(shown: &Shown) -> impl Iterator<Item = (Labels, &OriginShown)> {
    shown.regions.iter().flat_map(|(region, of_region)| {
        let labels = move |url: &String| [("region", region.clone()), ("origin", url.clone())];
        of_region.origins.iter().map(move |(url, origin)| (labels(url), origin))
    })
}
