//! A run on a terminal: who is open, what passes, how long it takes, who is dead.
//!
//! It is drawn into memory and written as plain lines. The terminal's modes are never changed (no
//! raw mode, no other screen, no hidden cursor), so however the program ends there is nothing to
//! put back.

use console::{Color as Ink, Style as Pen};
use halfopen_loadgen::record::Tag;
use halfopen_loadgen::report::number::{count, millis};
use halfopen_loadgen::run::Progress;
use halfopen_loadgen::swarm::Snapshot;
use hdrhistogram::Histogram;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Sparkline, Widget};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the dashboard remembers of a run.
pub(crate) struct Dashboard {
    began: Instant,
    looked: Option<(Instant, Snapshot)>,
    rates: Vec<Rate>,
    times: Vec<Times>,
}

/// How many a second of something, second by second.
struct Rate {
    name: &'static str,
    of: fn(&Snapshot) -> u64,
    seconds: VecDeque<u64>,
}

/// How long something has taken so far.
struct Times {
    name: &'static str,
    ns: Histogram<u64>,
}

/// A run at one moment, in words and numbers.
pub(crate) struct Now<'a> {
    /// What it is doing.
    pub(crate) phase: String,
    /// How many connections there are to be.
    pub(crate) wanted: u64,
    /// What is counted.
    pub(crate) shown: &'a Snapshot,
    /// Of the dead, those detected and those reclaimed, where they are watched.
    pub(crate) found: Option<(usize, usize)>,
}

impl Dashboard {
    /// Of a run that begins now.
    pub(crate) fn new() -> Self {
        let rate = |name, of| Rate { name, of, seconds: VecDeque::new() };
        let rates = vec![
            rate("messages/s", |shown| shown.messages_received),
            rate("server's pings/s", |shown| shown.pings_seen),
            rate("own pings/s", |shown| shown.client_pings_answered),
            rate("opened/s", |shown| shown.opened + shown.came_back),
        ];
        Self { began: Instant::now(), looked: None, rates, times: Vec::new() }
    }

    /// Looks at the run; what costs something is read once a second.
    pub(crate) fn look(&mut self, run: &Progress, shown: &Snapshot) {
        if self.count(Instant::now(), shown) {
            let names = [
                (Tag::MessageLatency, "latency"),
                (Tag::PingRtt, "round trip"),
                (Tag::MessageService, "service time"),
                (Tag::Connect, "connect"),
            ];
            let read = names.map(|(tag, name)| Times { name, ns: run.times(tag) });
            self.times = read.into_iter().filter(|times| !times.ns.is_empty()).collect();
        }
    }

    /// Counts what has happened since a second ago; whether a second has passed.
    fn count(&mut self, now: Instant, shown: &Snapshot) -> bool {
        let Some((at, before)) = &self.looked else {
            self.looked = Some((now, *shown));
            return false;
        };
        let passed = now.saturating_duration_since(*at);
        if passed < SECOND {
            return false;
        }
        for rate in &mut self.rates {
            let happened = (rate.of)(shown).saturating_sub((rate.of)(before));
            rate.seconds.push_front((happened as f64 / passed.as_secs_f64()).round() as u64);
            rate.seconds.truncate(SECONDS_KEPT);
        }
        self.looked = Some((now, *shown));
        true
    }

    /// The picture, in lines of at most `width` columns.
    pub(crate) fn lines(&self, now: &Now<'_>, width: u16) -> Vec<String> {
        let moving: Vec<&Rate> =
            self.rates.iter().filter(|rate| rate.seconds.iter().any(|&n| n > 0)).take(3).collect();
        let times: Vec<&Times> = self.times.iter().take(2).collect();
        let rows = |is_there: bool, rows: u16| if is_there { rows } else { 0 };
        let heights = [
            1,
            1,
            rows(now.shown.killed > 0, 1),
            rows(!moving.is_empty(), 1 + RATE_ROWS),
            rows(!times.is_empty(), 2 + TIMES_ROWS),
            1,
        ];
        let area = Rect::new(0, 0, width, heights.iter().sum());
        let mut buffer = Buffer::empty(area);
        let [head, open, dead, rates, curves, own] =
            Layout::vertical(heights.map(Constraint::Length)).areas(area);
        self.head(now).render(head, &mut buffer);
        connections(now).render(open, &mut buffer);
        deaths(now).render(dead, &mut buffer);
        for (rate, area) in beside(&moving, rates) {
            rate.render(area, &mut buffer);
        }
        for (times, area) in beside(&times, curves) {
            times.render(area, &mut buffer);
        }
        own_lateness(now.shown).render(own, &mut buffer);
        written(&buffer)
    }

    fn head(&self, now: &Now<'_>) -> Line<'static> {
        let seconds = self.began.elapsed().as_secs();
        let phase = Span::styled(now.phase.clone(), Modifier::BOLD);
        Line::from(vec![format!("{seconds:>5} s  ").into(), phase])
    }
}

/// One place for each, side by side.
fn beside<'a, T>(all: &[&'a T], area: Rect) -> Vec<(&'a T, Rect)> {
    let parts = Layout::horizontal(vec![Constraint::Fill(1); all.len()]).spacing(2).split(area);
    all.iter().copied().zip(parts.iter().copied()).collect()
}

fn connections(now: &Now<'_>) -> Line<'static> {
    let shown = now.shown;
    let counted = |n: u64, word: &str| {
        let style = if n > 0 { Style::new().fg(Color::Red) } else { Style::new() };
        Span::styled(format!(", {} {word}", count(n)), style)
    };
    let (open, all) = (shown.living(), now.wanted);
    let mut line = vec![label("connections"), bar(open, all, Color::Cyan)];
    line.push(format!(" {} of {} open", count(open), count(all)).into());
    line.extend([counted(shown.failed, "failed"), counted(shown.lost, "lost")]);
    Line::from(line)
}

fn deaths(now: &Now<'_>) -> Line<'static> {
    let killed = now.shown.killed;
    let (detected, words) = match now.found {
        Some((detected, reclaimed)) => {
            let (detected, reclaimed) = (detected as u64, reclaimed as u64);
            (detected, format!("{} detected, {} reclaimed", count(detected), count(reclaimed)))
        }
        None => (now.shown.ends_seen, format!("{} seen to end", count(now.shown.ends_seen))),
    };
    let told = format!(" {} killed, {words}", count(killed));
    Line::from(vec![label("dead"), bar(detected, killed, Color::Green), told.into()])
}

fn own_lateness(shown: &Snapshot) -> Line<'static> {
    let late = shown.send_late.as_secs_f64() * 1e3;
    let style = if shown.send_late > LATE { Style::new().fg(Color::Yellow) } else { DIM };
    let words = format!("own sends at most {} late in the last second", millis(late));
    Line::from(vec![label("generator"), Span::styled(words, style)])
}

fn label(name: &str) -> Span<'static> {
    Span::styled(format!("{name:>11}  "), DIM)
}

/// How much of something is there.
fn bar(part: u64, whole: u64, ink: Color) -> Span<'static> {
    let share = if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
    let full = (share.min(1.0) * BAR as f64) as usize;
    Span::styled("█".repeat(full) + &"░".repeat(BAR - full), Style::new().fg(ink))
}

impl Rate {
    fn render(&self, area: Rect, buffer: &mut Buffer) {
        let [title, curve] = title_and_rest(area);
        let last = self.seconds.front().copied().unwrap_or(0);
        Line::from(vec![Span::styled(self.name, DIM), format!(" {}", count(last)).into()])
            .render(title, buffer);
        // The newest second is at the right.
        let seconds = self.seconds.iter().take(curve.width.into()).rev().copied();
        let sparkline = Sparkline::default().data(seconds.collect::<Vec<_>>());
        sparkline.style(Style::new().fg(Color::Cyan)).render(curve, buffer);
    }
}

impl Times {
    /// A histogram: its columns are equal steps of the logarithm of time, its heights the logarithm
    /// of how many, so that a single late one shows.
    fn render(&self, area: Rect, buffer: &mut Buffer) {
        let [title, rest] = title_and_rest(area);
        let at = |q: f64| millis(self.ns.value_at_quantile(q) as f64 / 1e6);
        let told = format!(" p50 {}  p99 {}", at(0.5), at(0.99));
        Line::from(vec![Span::styled(self.name, DIM), told.into()]).render(title, buffer);
        let [curve, axis] =
            Layout::vertical([Constraint::Length(TIMES_ROWS), Constraint::Length(1)]).areas(rest);
        let (low, high) = (self.ns.min().max(1) as f64, self.ns.max().max(2) as f64);
        let columns = usize::from(curve.width);
        let edge = |column: usize| low * (high / low).powf(column as f64 / columns as f64);
        let heights = (0..columns).map(|column| {
            let from = edge(column) as u64;
            let to = (edge(column + 1) as u64).max(from + 1) - 1;
            let last = column + 1 == columns;
            let n = self.ns.count_between(from, if last { self.ns.max() } else { to.max(from) });
            ((n as f64).ln_1p() * 1e3) as u64
        });
        let sparkline = Sparkline::default().data(heights.collect::<Vec<_>>());
        sparkline.style(Style::new().fg(Color::Magenta)).render(curve, buffer);
        let (low, high) = (millis(low / 1e6), millis(high / 1e6));
        let gap = columns.saturating_sub(low.chars().count() + high.chars().count());
        Line::styled(format!("{low}{}{high}", " ".repeat(gap)), DIM).render(axis, buffer);
    }
}

fn title_and_rest(area: Rect) -> [Rect; 2] {
    Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area)
}

/// The lines of a buffer, with the colours that the terminal is to show.
fn written(buffer: &Buffer) -> Vec<String> {
    let Rect { width, height, .. } = buffer.area;
    let row = |y| (0..width).map(move |x| &buffer[(x, y)]).collect::<Vec<_>>();
    (0..height).map(|y| line(&row(y))).collect()
}

fn line(cells: &[&Cell]) -> String {
    let ends = cells.iter().rposition(|cell| cell.symbol() != " ").map_or(0, |last| last + 1);
    let alike = |one: &&Cell, other: &&Cell| one.fg == other.fg && one.modifier == other.modifier;
    let inked = cells[..ends].chunk_by(alike).map(|run| {
        let words: String = run.iter().map(|cell| cell.symbol()).collect();
        pen(run[0]).apply_to(words).to_string()
    });
    inked.collect()
}

fn pen(cell: &Cell) -> Pen {
    let mut pen = Pen::new().for_stderr();
    let ink = match cell.fg {
        Color::Cyan => Some(Ink::Cyan),
        Color::Green => Some(Ink::Green),
        Color::Magenta => Some(Ink::Magenta),
        Color::Red => Some(Ink::Red),
        Color::Yellow => Some(Ink::Yellow),
        _ => None,
    };
    if let Some(ink) = ink {
        pen = pen.fg(ink);
    }
    if cell.modifier.contains(Modifier::BOLD) {
        pen = pen.bold();
    }
    if cell.modifier.contains(Modifier::DIM) {
        pen = pen.dim();
    }
    pen
}

const SECOND: Duration = Duration::from_secs(1);

/// More seconds than any terminal has columns for.
const SECONDS_KEPT: usize = 300;

const RATE_ROWS: u16 = 2;
const TIMES_ROWS: u16 = 3;

/// Columns of a bar.
const BAR: usize = 20;

/// Who sends later than this measures itself.
const LATE: Duration = Duration::from_millis(1);

const DIM: Style = Style::new().add_modifier(Modifier::DIM);

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(seconds: u64) -> Snapshot {
        Snapshot {
            opened: 10_000,
            lost: 3,
            killed: 1_000,
            messages_received: 500 * seconds,
            pings_seen: 2_000 * seconds,
            send_late: Duration::from_micros(1_500),
            ..Snapshot::default()
        }
    }

    fn drawn(width: u16) -> Vec<String> {
        let mut board = Dashboard::new();
        for seconds in 0..100 {
            board.count(board.began + SECOND * seconds, &snapshot(seconds.into()));
        }
        let mut ns = Histogram::new(3).unwrap();
        (1..=1_000).for_each(|n| ns.record(n * 10_000).unwrap());
        ns.record(500_000_000).unwrap();
        board.times.push(Times { name: "latency", ns });
        let shown = snapshot(99);
        let now = Now {
            phase: "watching the dead".into(),
            wanted: 10_000,
            shown: &shown,
            found: Some((623, 600)),
        };
        let lines = board.lines(&now, width);
        lines.iter().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
    }

    #[test]
    fn all_that_matters_fits_into_79_columns() {
        let lines = drawn(79);
        let text = lines.join("\n");
        for told in [
            "watching the dead",
            "8,997 of 10,000 open, 0 failed, 3 lost",
            "1,000 killed, 623 detected, 600 reclaimed",
            "messages/s 500",
            "server's pings/s 2,000",
            "latency p50 5.",
            "own sends at most 1.5 ms late",
        ] {
            assert!(text.contains(told), "no {told:?} in\n{text}");
        }
        for line in &lines {
            assert!(console::measure_text_width(line) <= 79, "too wide: {line}");
        }
        assert!(lines.len() <= 14, "{} lines", lines.len());
    }

    #[test]
    fn one_late_among_a_thousand_is_seen_in_the_last_column() {
        let lines = drawn(79);
        let axis = lines.iter().position(|line| line.ends_with("500 ms")).expect("an axis");
        let bottom = &lines[axis - 1];
        assert_eq!(bottom.chars().count(), 79, "{bottom:?}");
        assert!(bottom.chars().last().is_some_and(|last| last != ' '));
    }

    #[test]
    fn a_terminal_of_any_width_is_drawn_on() {
        for width in [1, 10, 40, 200] {
            for line in drawn(width) {
                assert!(console::measure_text_width(&line) <= width.into(), "{width}: {line}");
            }
        }
    }
}
