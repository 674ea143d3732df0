//! The page of several runs over each other, and of what may be said of those beside a baseline.

use super::{Line, drawn, frame, table};
use crate::report::compare::{Comparison, Judgement, Row};
use crate::report::number::{or_dash, significant};
use crate::report::picture::{Curves, overlays};
use crate::report::schema::Report;
use maud::{Markup, html};

/// `runs` by their names, in the order in which their lines are drawn; `comparisons` by the names of
/// their servers, or without one.
///
/// # Panics
/// If there is no run.
pub fn beside(
    runs: &[(&str, &Report, &Curves)],
    comparisons: &[(Option<&str>, &Comparison)],
) -> String {
    let (_, first, _) = runs[0];
    let title = format!("{} runs beside each other ({})", runs.len(), first.env.label());
    let head = html! { @for (name, comparison) in comparisons { (verdict(*name, comparison)) } };
    let main = html! {
        section {
            h2 { "Pictures (" (first.env.label()) ")" }
            (drawn(&overlays(runs)))
        }
        @for (name, comparison) in comparisons { (figures(*name, comparison)) }
        section {
            h2 { "The runs" }
            @for (name, report, _) in runs {
                h3 { (name) }
                p { (report.finding) }
                p.note { (report.started) ", " (report.env.label()) }
                pre { code { (super::command(&report.argv)) } }
            }
        }
    };
    frame(&title, first, &head, &main)
}

fn class(judgement: Judgement) -> &'static str {
    match judgement {
        Judgement::Better | Judgement::Same => "good",
        Judgement::Worse => "bad",
        Judgement::NoVerdict => "doubtful",
    }
}

fn verdict(name: Option<&str>, comparison: &Comparison) -> Markup {
    let name = name.map_or(String::new(), |name| format!("{name}: "));
    html! {
        p.finding { (name) (comparison.sentence()) }
        @if !comparison.reasons.is_empty() {
            ul { @for reason in &comparison.reasons { li { (reason) } } }
        }
        p {
            span class=(format!("badge {}", class(comparison.judgement))) {
                (name) (comparison.judgement.name())
            }
        }
    }
}

fn figures(name: Option<&str>, comparison: &Comparison) -> Markup {
    let name = name.map_or(String::new(), |name| format!("{name} "));
    let rows: Vec<Line> = comparison.rows.iter().filter_map(row).collect();
    html! {
        section {
            h2 { (name) "beside the baseline" }
            p.note {
                "Medians of the runs of either side, and their ratio. The interval holds it 95 times "
                "in 100, for all figures at once."
            }
            (table(&["figure", "verdict", "baseline", "this", "ratio", "interval"], &rows))
        }
    }
}

/// None: it is not judged.
fn row(row: &Row) -> Option<Line> {
    let interval = row.interval.map_or_else(
        || "–".into(),
        |[low, high]| format!("{} to {}", significant(low), significant(high)),
    );
    let cells = [
        row.judgement?.name().into(),
        or_dash(row.baseline),
        or_dash(row.value),
        or_dash(row.ratio),
        interval,
    ];
    Some(Line { name: row.figure.clone(), note: String::new(), cells: cells.to_vec() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::compare::{Terms, compare};
    use crate::report::sample_run::sample;

    #[test]
    fn the_page_names_the_runs_and_what_may_be_said_and_needs_nothing_else() {
        let (report, histograms) = sample();
        let curves = histograms.curves();
        let runs = [("before", &report, &curves), ("after", &report, &curves)];
        let comparison = compare(&[&report; 3], &[&report; 3], &Terms::default());
        let page = beside(&runs, &[(None, &comparison)]);
        for words in ["2 runs beside each other", "before", "after", "The same, as far as 3 runs"] {
            assert!(page.contains(words), "{words}");
        }
        for outside in ["<script", "<link", "src=", "url(", "@import", "href=\"http"] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
