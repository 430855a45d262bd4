//! What `tero top` knows: the figures of the last minute, the latest requests, the origins.

use std::collections::VecDeque;

use tero_admin_api::{
    LiveEvent, LiveFigures, OriginReport, OutcomeCounts, RequestReport, TrafficReport,
};

/// Seconds of figures that are kept.
const KEPT_FIGURES: usize = 121;
/// Requests that are kept.
const KEPT_REQUESTS: usize = 60;
/// Rates are those of the last seconds.
const RATE_MS: i64 = 10_000;
/// Shares are those of the last minute.
const SHARE_MS: i64 = 60_000;

/// Something that has come from the edge.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all news are events")]
pub(super) enum TopNews {
    Event(LiveEvent),
    Origins(Vec<OriginReport>),
    Trouble(String),
}

/// What is known.
#[derive(Debug)]
pub(super) struct TopState {
    pub(super) edge: String,
    figures: VecDeque<LiveFigures>,
    pub(super) requests: VecDeque<RequestReport>,
    pub(super) origins: Vec<OriginReport>,
    pub(super) trouble: Option<String>,
    /// The site that is shown; all if `None`.
    pub(super) site: Option<String>,
    pub(super) is_paused: bool,
}

/// The traffic between two moments.
#[derive(Debug)]
pub(super) struct Interval {
    pub(super) secs: f64,
    pub(super) traffic: TrafficReport,
    /// CPU time of the process.
    pub(super) cpu_seconds: f64,
}

impl TopState {
    pub(super) fn new(edge: String, site: Option<String>) -> TopState {
        TopState {
            edge,
            figures: VecDeque::new(),
            requests: VecDeque::new(),
            origins: Vec::new(),
            trouble: None,
            site,
            is_paused: false,
        }
    }

    /// Takes something in. While paused, only troubles are.
    pub(super) fn take(&mut self, news: TopNews) {
        match news {
            TopNews::Trouble(trouble) => self.trouble = Some(trouble),
            _ if self.is_paused => {}
            TopNews::Origins(origins) => self.origins = origins,
            TopNews::Event(LiveEvent::Request(request)) => {
                self.requests.push_front(request);
                self.requests.truncate(KEPT_REQUESTS);
            }
            TopNews::Event(LiveEvent::Figures(figures)) => {
                self.trouble = None;
                let is_another =
                    |last: &LiveFigures| last.started_unix_secs != figures.started_unix_secs;
                if self.figures.back().is_some_and(is_another) {
                    self.figures.clear();
                }
                self.figures.push_back(figures);
                if self.figures.len() > KEPT_FIGURES {
                    self.figures.pop_front();
                }
            }
        }
    }

    /// Pauses, or goes on.
    pub(super) fn pause(&mut self) {
        self.is_paused = !self.is_paused;
    }

    /// Shows the next site or the one before; all sites come first.
    pub(super) fn choose(&mut self, next: bool) {
        let Some(latest) = self.latest() else { return };
        let names: Vec<String> = latest.sites.iter().map(|site| site.site.clone()).collect();
        let at = self.site.as_ref();
        let at = at.and_then(|site| names.iter().position(|name| name == site));
        let place = at.map_or(0, |at| at + 1);
        let place = match next {
            true => (place + 1) % (names.len() + 1),
            false => place.checked_sub(1).unwrap_or(names.len()),
        };
        self.site = place.checked_sub(1).map(|place| names[place].clone());
    }

    pub(super) fn latest(&self) -> Option<&LiveFigures> {
        self.figures.back()
    }

    /// The traffic of the last seconds, of this site or all.
    pub(super) fn rate(&self, site: Option<&str>) -> Option<Interval> {
        self.recent(site, RATE_MS)
    }

    /// The traffic of the last minute.
    pub(super) fn minute(&self, site: Option<&str>) -> Option<Interval> {
        self.recent(site, SHARE_MS)
    }

    /// Requests per second, one value for each second, the latest last.
    pub(super) fn requests_per_second(&self) -> Vec<u64> {
        let site = self.site.as_deref();
        let pairs = self.figures.iter().zip(self.figures.iter().skip(1));
        let rates = pairs.filter_map(|(from, to)| interval(from, to, site));
        rates
            .map(|interval| {
                (total(&interval.traffic.requests) as f64 / interval.secs).round() as u64
            })
            .collect()
    }

    fn recent(&self, site: Option<&str>, millis: i64) -> Option<Interval> {
        let to = self.latest()?;
        let is_within = |from: &&LiveFigures| to.at_unix_ms - from.at_unix_ms <= millis + 100;
        interval(self.figures.iter().find(is_within)?, to, site)
    }
}

/// The traffic of a site, or of all, at a moment.
pub(super) fn traffic<'f>(
    figures: &'f LiveFigures,
    site: Option<&str>,
) -> Option<&'f TrafficReport> {
    let Some(name) = site else {
        return Some(&figures.total);
    };
    let site = figures.sites.iter().find(|site| site.site == name);
    site.map(|site| &site.traffic)
}

#[allow(clippy::cast_precision_loss)] // Rates with one digit.
fn interval(from: &LiveFigures, to: &LiveFigures, site: Option<&str>) -> Option<Interval> {
    let millis = to.at_unix_ms - from.at_unix_ms;
    if millis <= 0 {
        return None;
    }
    let (one, other) = (traffic(from, site)?, traffic(to, site)?);
    let latency = other.latency.iter().enumerate();
    let latency = latency
        .map(|(class, count)| count.saturating_sub(one.latency.get(class).copied().unwrap_or(0)));
    Some(Interval {
        secs: millis as f64 / 1_000.0,
        traffic: TrafficReport {
            requests: less(&other.requests, &one.requests),
            bytes: less(&other.bytes, &one.bytes),
            latency: latency.collect(),
            origin_requests: other.origin_requests.saturating_sub(one.origin_requests),
            origin_failed: other.origin_failed.saturating_sub(one.origin_failed),
            origin_seconds: other.origin_seconds - one.origin_seconds,
        },
        cpu_seconds: to.cpu_seconds - from.cpu_seconds,
    })
}

fn less(one: &OutcomeCounts, other: &OutcomeCounts) -> OutcomeCounts {
    OutcomeCounts {
        hit: one.hit.saturating_sub(other.hit),
        stale: one.stale.saturating_sub(other.stale),
        revalidated: one.revalidated.saturating_sub(other.revalidated),
        collapsed: one.collapsed.saturating_sub(other.collapsed),
        miss: one.miss.saturating_sub(other.miss),
        pass: one.pass.saturating_sub(other.pass),
        error: one.error.saturating_sub(other.error),
        rule: one.rule.saturating_sub(other.rule),
    }
}

/// All requests, or bytes.
pub(super) fn total(counts: &OutcomeCounts) -> u64 {
    looked_up(counts) + counts.pass + counts.error + counts.rule
}

fn looked_up(counts: &OutcomeCounts) -> u64 {
    counts.hit + counts.stale + counts.revalidated + counts.collapsed + counts.miss
}

/// Hits of all kinds over all that was looked up; `None` if nothing was.
#[allow(clippy::cast_precision_loss)] // A share with one digit.
pub(super) fn hit_rate(counts: &OutcomeCounts) -> Option<f64> {
    let all = looked_up(counts);
    (all > 0).then(|| (all - counts.miss) as f64 / all as f64)
}

/// The time in milliseconds that a share of the responses did not exceed; `None` without responses.
#[allow(clippy::cast_precision_loss)] // Classes are coarser than that.
pub(super) fn quantile_ms(latency: &[u64], bounds: &[f64], share: f64) -> Option<f64> {
    let all: u64 = latency.iter().sum();
    let rank = share * all as f64;
    let (mut below, mut lower) = (0.0, 0.0);
    for (class, count) in latency.iter().enumerate() {
        let upper = bounds.get(class).copied().unwrap_or(lower);
        let count = *count as f64;
        if count > 0.0 && below + count >= rank {
            return Some(1_000.0 * (lower + (upper - lower) * ((rank - below) / count).max(0.0)));
        }
        (below, lower) = (below + count, upper);
    }
    None
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use tero_admin_api::{LiveSite, StoreStats};

    /// Figures of an edge with two sites, `secs` after its start.
    pub(crate) fn figures(secs: i64, hits: u64, misses: u64) -> LiveFigures {
        let traffic = |share: u64| TrafficReport {
            requests: OutcomeCounts {
                hit: hits * share,
                miss: misses * share,
                ..OutcomeCounts::default()
            },
            bytes: OutcomeCounts {
                hit: hits * share * 1_000,
                miss: misses * share * 1_000,
                ..OutcomeCounts::default()
            },
            latency: vec![hits * share, misses * share, 0],
            origin_requests: misses * share,
            origin_failed: 0,
            origin_seconds: 0.0,
        };
        let site = |name: &str, share| LiveSite {
            site: name.to_owned(),
            zone: "UTC".to_owned(),
            local: "2026-11-25T12:00:00+00:00".to_owned(),
            maintenance: false,
            traffic: traffic(share),
        };
        LiveFigures {
            at_unix_ms: (1_795_608_000 + secs) * 1_000,
            started_unix_secs: 1_795_608_000,
            latency_bounds: vec![0.001, 0.2],
            total: traffic(3),
            sites: vec![site("shop", 2), site("blog", 1)],
            cache: StoreStats {
                entries: 10,
                bytes: 1 << 20,
                fill_bytes: 0,
                newcomer_bytes: 0,
                evictions: 0,
                admitted: 0,
                refused: 0,
            },
            cache_limit_bytes: 64 << 20,
            resident_bytes: 80 << 20,
            cpu_seconds: secs as f64 / 2.0,
            workers: 2,
            connections: 4,
            max_connections: 1_000,
            waiting: 0,
        }
    }

    fn state(all: &[(i64, u64, u64)]) -> TopState {
        let mut state = TopState::new("http://127.0.0.1:9090".to_owned(), None);
        for (secs, hits, misses) in all {
            let figures = figures(*secs, *hits, *misses);
            state.take(TopNews::Event(LiveEvent::Figures(figures)));
        }
        state
    }

    #[test]
    fn rates_are_those_of_the_last_seconds_and_shares_those_of_the_last_minute() {
        let state = state(&[(0, 0, 0), (50, 500, 500), (60, 900, 500)]);
        let rate = state.rate(Some("blog")).unwrap();
        assert_eq!((rate.secs, rate.traffic.requests.hit), (10.0, 400));
        let minute = state.minute(None).unwrap();
        assert_eq!(hit_rate(&minute.traffic.requests), Some(2_700.0 / 4_200.0));
        assert_eq!(state.requests_per_second(), [60, 120]);
        assert_eq!(state.rate(Some("nowhere")).map(|rate| rate.secs), None);
    }

    #[test]
    fn an_edge_that_started_again_counts_anew() {
        let mut state = state(&[(0, 0, 0), (1, 500, 500)]);
        let mut figures = figures(5, 1, 1);
        figures.started_unix_secs += 4;
        state.take(TopNews::Trouble("gone".to_owned()));
        assert!(state.trouble.is_some());
        state.take(TopNews::Event(LiveEvent::Figures(figures)));
        assert!(state.trouble.is_none() && state.rate(None).is_none());
    }

    #[test]
    fn sites_are_chosen_in_a_circle() {
        let mut state = state(&[(0, 1, 1)]);
        let mut shown = Vec::new();
        for next in [true, true, true, false, false] {
            state.choose(next);
            shown.push(state.site.clone().unwrap_or_default());
        }
        assert_eq!(shown, ["shop", "blog", "", "blog", "shop"]);
    }

    #[test]
    fn a_quantile_lies_in_its_class() {
        let bounds = [0.001, 0.2];
        assert_eq!(quantile_ms(&[0, 0, 0], &bounds, 0.95), None);
        assert_eq!(quantile_ms(&[10, 0, 0], &bounds, 1.0), Some(1.0));
        assert_eq!(quantile_ms(&[0, 0, 3], &bounds, 0.5), Some(200.0));
    }
}
