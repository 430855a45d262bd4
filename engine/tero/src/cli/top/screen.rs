//! Draws what `tero top` knows. It fits a terminal of 80 columns and 24 lines.

use chrono::DateTime;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, Paragraph, Row, Sparkline, Table};

use super::state::{Interval, TopState, hit_rate, quantile_ms, total, traffic};
use crate::cli::shown;
use tero_admin_api::{LiveFigures, OriginState, OutcomeCounts};

/// Draws it all.
pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState) {
    let [head, tiles, chart, tables, requests, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(4),
        Constraint::Length(10),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(header(state), head);
    if let Some(figures) = state.latest() {
        frame.render_widget(summary(state, figures), tiles);
        draw_chart(frame, state, chart);
        let [left, right] =
            Layout::horizontal([Constraint::Length(36), Constraint::Min(20)]).areas(tables);
        frame.render_widget(outcomes(state, figures), left);
        let sites_height = u16::try_from(figures.sites.len())
            .unwrap_or(u16::MAX)
            .saturating_add(2);
        let [upper, lower] =
            Layout::vertical([Constraint::Max(sites_height.min(6)), Constraint::Min(2)])
                .areas(right);
        frame.render_widget(sites(state, figures), upper);
        frame.render_widget(origins(state), lower);
    }
    frame.render_widget(latest_requests(state), requests);
    let keys = " q quits  ↑↓ choose a site  p pauses";
    frame.render_widget(Paragraph::new(keys).style(dim()), foot);
}

fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn header(state: &TopState) -> Paragraph<'static> {
    let site = state.site.as_deref().unwrap_or("all sites");
    let mut line = vec![
        Span::styled(" tero ", bold()),
        Span::raw(format!("{}  {site}", state.edge)),
    ];
    if let Some(figures) = state.latest() {
        let up = (figures.at_unix_ms / 1_000 - figures.started_unix_secs).max(0);
        let at = utc(figures.at_unix_ms);
        line.push(Span::raw(format!(
            "  {at}  up {}",
            shown::time(up.unsigned_abs())
        )));
    }
    if state.is_paused {
        line.push(Span::styled("  paused", bold()));
    }
    if let Some(trouble) = &state.trouble {
        line.push(Span::styled(format!("  {trouble}"), bold().fg(Color::Red)));
    }
    Paragraph::new(Line::from(line))
}

/// A time of the day, in UTC.
fn utc(unix_ms: i64) -> String {
    let at = DateTime::from_timestamp_millis(unix_ms).unwrap_or_default();
    at.format("%H:%M:%SZ").to_string()
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn millis(value: Option<f64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0} ms"),
        Some(value) => format!("{value:.1} ms"),
    }
}

#[allow(clippy::cast_precision_loss)] // Rates with one digit.
fn per_second(count: u64, interval: Option<&Interval>) -> String {
    interval.map_or_else(
        || "–".to_owned(),
        |interval| format!("{:.1}/s", count as f64 / interval.secs),
    )
}

/// The most important figures, in three lines.
#[allow(clippy::cast_precision_loss)] // Shares with one digit.
fn summary(state: &TopState, figures: &LiveFigures) -> Paragraph<'static> {
    let site = state.site.as_deref();
    let (rate, minute) = (state.rate(site), state.minute(site));
    let rate = rate.as_ref();
    let of_minute = minute.as_ref().map(|minute| &minute.traffic);
    let quantile = |share| {
        of_minute.and_then(|traffic| quantile_ms(&traffic.latency, &figures.latency_bounds, share))
    };
    let rate_of = |count: &dyn Fn(&Interval) -> u64| per_second(rate.map_or(0, count), rate);
    let spared = of_minute.and_then(|traffic| {
        let all = total(&traffic.requests);
        (all > 0).then(|| (1.0 - traffic.origin_requests as f64 / all as f64).max(0.0))
    });
    let cpu = rate.map(|rate| rate.cpu_seconds / rate.secs / (figures.workers.max(1) as f64));
    let lines = [
        [
            ("requests", rate_of(&|rate| total(&rate.traffic.requests))),
            (
                "hit rate",
                percent(of_minute.and_then(|traffic| hit_rate(&traffic.requests))),
            ),
            (
                "of bytes",
                percent(of_minute.and_then(|traffic| hit_rate(&traffic.bytes))),
            ),
            ("spared", percent(spared)),
        ],
        [
            ("median", millis(quantile(0.5))),
            ("95 %", millis(quantile(0.95))),
            ("99 %", millis(quantile(0.99))),
            ("errors", rate_of(&|rate| rate.traffic.requests.error)),
        ],
        [
            ("origins", rate_of(&|rate| rate.traffic.origin_requests)),
            ("stored", shown::size(figures.cache.bytes)),
            ("memory", shown::size(figures.resident_bytes)),
            ("CPU", percent(cpu)),
        ],
    ];
    let line = |tiles: [(&'static str, String); 4]| {
        let spans = tiles.into_iter().flat_map(|(name, value)| {
            [
                Span::styled(format!(" {name} "), dim()),
                Span::styled(format!("{value:<12}"), bold()),
            ]
        });
        Line::from(spans.collect::<Vec<_>>())
    };
    Paragraph::new(lines.map(line).to_vec())
}

fn draw_chart(frame: &mut Frame<'_>, state: &TopState, area: Rect) {
    let block = Block::new()
        .borders(Borders::TOP)
        .title(" requests per second ");
    let width = usize::from(area.width);
    let all = state.requests_per_second();
    let latest = &all[all.len().saturating_sub(width)..];
    let line = Sparkline::default()
        .block(block)
        .data(latest)
        .style(Color::Green);
    frame.render_widget(line, area);
}

/// Outcomes with their colours.
fn outcome_rows(counts: &OutcomeCounts) -> [(&'static str, u64); 8] {
    [
        ("hit", counts.hit),
        ("stale", counts.stale),
        ("revalidated", counts.revalidated),
        ("collapsed", counts.collapsed),
        ("miss", counts.miss),
        ("pass", counts.pass),
        ("error", counts.error),
        ("rule", counts.rule),
    ]
}

fn colour(outcome: &str) -> Color {
    match outcome {
        "hit" => Color::Green,
        "stale" | "miss" => Color::Yellow,
        "revalidated" | "collapsed" => Color::Blue,
        "error" => Color::Red,
        _ => Color::Reset,
    }
}

fn outcomes(state: &TopState, figures: &LiveFigures) -> Table<'static> {
    let site = state.site.as_deref();
    let since = traffic(figures, site)
        .map(|traffic| traffic.requests)
        .unwrap_or_default();
    let rate = state.rate(site);
    let recent = rate
        .as_ref()
        .map(|rate| outcome_rows(&rate.traffic.requests));
    let rows = outcome_rows(&since).into_iter().enumerate();
    let rows = rows.map(|(place, (name, count))| {
        let recent = recent.map_or(0, |recent| recent[place].1);
        Row::new([
            Cell::new(name).style(colour(name)),
            Cell::new(format!("{count:>11}")),
            Cell::new(format!("{:>9}", per_second(recent, rate.as_ref()))),
        ])
    });
    let widths = [
        Constraint::Length(12),
        Constraint::Length(11),
        Constraint::Length(9),
    ];
    let header = Row::new(["", "      since", "      now"]).style(dim());
    let block = Block::new().borders(Borders::TOP).title(" by outcome ");
    Table::new(rows, widths).header(header).block(block)
}

fn sites(state: &TopState, figures: &LiveFigures) -> Table<'static> {
    let rows = figures.sites.iter().map(|site| {
        let rate = state.rate(Some(&site.site));
        let minute = state.minute(Some(&site.site));
        let requests = rate
            .as_ref()
            .map_or(0, |rate| total(&rate.traffic.requests));
        let hits = minute.and_then(|minute| hit_rate(&minute.traffic.requests));
        let row = Row::new([
            site.site.clone(),
            site.local.get(11..16).unwrap_or_default().to_owned(),
            per_second(requests, rate.as_ref()),
            percent(hits),
        ]);
        let is_chosen = state.site.as_deref() == Some(&*site.site);
        row.style(if is_chosen { bold() } else { Style::new() })
    });
    let widths = [
        Constraint::Min(10),
        Constraint::Length(6),
        Constraint::Length(9),
        Constraint::Length(8),
    ];
    let block = Block::new().borders(Borders::TOP).title(" sites ");
    let header = Row::new(["", "local", "requests", "hits"]).style(dim());
    Table::new(rows, widths).header(header).block(block)
}

fn origins(state: &TopState) -> Table<'static> {
    let site = state.site.as_deref();
    let shown = state.origins.iter();
    let shown = shown.filter(|origin| site.is_none_or(|site| site == origin.site));
    let rows = shown.map(|origin| {
        let style = match origin.state {
            OriginState::Healthy => Style::new().fg(Color::Green),
            _ => bold().fg(Color::Red),
        };
        Row::new([
            Cell::new(origin.origin.clone()),
            Cell::new(origin.state.as_str()).style(style),
            Cell::new(format!("{} under way", origin.in_flight)),
            Cell::new(format!("{} failed", origin.failed)),
        ])
    });
    let widths = [
        Constraint::Min(10),
        Constraint::Length(8),
        Constraint::Length(12),
        Constraint::Length(11),
    ];
    let block = Block::new().borders(Borders::TOP).title(" origins ");
    Table::new(rows, widths).block(block)
}

fn latest_requests(state: &TopState) -> Paragraph<'static> {
    let site = state.site.as_deref();
    let shown = state.requests.iter();
    let shown = shown.filter(|request| site.is_none_or(|site| site == request.site));
    let lines = shown.map(|request| {
        Line::from(vec![
            Span::styled(format!(" {} ", utc(request.at_unix_ms)), dim()),
            Span::styled(
                format!("{:<11} ", request.outcome),
                colour(&request.outcome),
            ),
            Span::raw(format!("{} {}", request.status, request.url)),
            Span::styled(
                request
                    .reason
                    .as_ref()
                    .map_or_else(String::new, |reason| format!("  {reason}")),
                dim(),
            ),
        ])
    });
    let block = Block::new()
        .borders(Borders::TOP)
        .title(" latest requests ");
    Paragraph::new(lines.collect::<Vec<_>>()).block(block)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::state::TopNews;
    use super::super::state::tests::figures;
    use super::*;
    use tero_admin_api::{LiveEvent, OriginReport, RequestReport};

    fn screen(state: &TopState, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        terminal.backend().to_string()
    }

    fn state() -> TopState {
        let mut state = TopState::new("http://127.0.0.1:9090".to_owned(), None);
        for figures in [figures(0, 0, 0), figures(10, 90, 10)] {
            state.take(TopNews::Event(LiveEvent::Figures(figures)));
        }
        state.take(TopNews::Origins(vec![OriginReport {
            site: "shop".to_owned(),
            origin: "app-1".to_owned(),
            addresses: Vec::new(),
            state: OriginState::Resting,
            reason: "it failed".to_owned(),
            rests_for_ms: 500,
            in_flight: 3,
            requests: 30,
            failed: 2,
            mean_ms: None,
            connections: 1,
            certificate_ends: None,
            routes: Vec::new(),
            only_by_name: false,
            shield: false,
        }]));
        state.take(TopNews::Event(LiveEvent::Request(RequestReport {
            at_unix_ms: 1_795_608_000_000,
            took_ms: 0.5,
            site: "shop".to_owned(),
            method: "GET".to_owned(),
            url: "shop.example/prices".to_owned(),
            status: 200,
            outcome: "hit".to_owned(),
            forward: None,
            stored: false,
            not_stored: None,
            failure: None,
            reason: Some("hours: open".to_owned()),
            variant: None,
            device: None,
            route: None,
            age_secs: None,
            ttl_secs: None,
            origin: None,
        })));
        state
    }

    #[test]
    fn a_small_terminal_shows_what_matters() {
        let shown = screen(&state(), 80, 24);
        for part in [
            "http://127.0.0.1:9090",
            "all sites",
            "30.0/s",
            "90.0 %",
            "by outcome",
            "shop",
            "blog",
            "app-1",
            "resting",
            "shop.example/prices",
            "hours: open",
            "q quits",
        ] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }

    #[test]
    fn a_chosen_site_a_pause_and_a_trouble_are_shown() {
        let mut state = state();
        state.choose(true);
        state.pause();
        state.take(TopNews::Trouble("can't reach it".to_owned()));
        let shown = screen(&state, 120, 30);
        for part in ["20.0/s", "paused", "can't reach it"] {
            assert!(shown.contains(part), "{part} is not in\n{shown}");
        }
    }

    #[test]
    fn no_size_of_the_terminal_is_too_small() {
        for (width, height) in [(1, 1), (10, 3), (40, 12), (300, 100)] {
            screen(&state(), width, height);
            screen(&TopState::new(String::new(), None), width, height);
        }
    }
}
