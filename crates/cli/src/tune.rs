//! `tune`: which interval?

mod words;

use crate::args::Tune;
use crate::exit::{Exit, Failure, Outcome};
use crate::publish::{check_out, print};
use halfopen_loadgen::report::folder;
use halfopen_loadgen::tune::{Question, tune};
use std::time::SystemTime;

/// Answers.
pub(crate) fn run(flags: &Tune, json: bool) -> Outcome {
    if let Some(out) = &flags.out {
        check_out(out)?;
    }
    let git = option_env!("HALFOPEN_GIT").map(str::to_owned);
    let document = tune(asked(flags)?, SystemTime::now(), git);
    print(&if json { document.json() } else { words::text(&document) })?;
    if let Some(out) = &flags.out {
        let name = flags.name.as_deref().unwrap_or("tune");
        let path = folder::write_files(&document.files(), &document.started, out, name)
            .map_err(|error| Failure::run(format!("the answer is not kept: {error}")))?;
        if !json {
            print(&format!("document: {}/tune.json", path.display()))?;
        }
    }
    Ok(if document.recommended.is_some() { Exit::Done } else { Exit::NoVerdict })
}

fn asked(flags: &Tune) -> Result<Question, Failure> {
    let mut asked = Question {
        connections: flags.connections,
        detect_is_mean: flags.detect.is_mean,
        behind: flags.behind.clone(),
        inbound_per_s: flags.inbound.unwrap_or(0.0),
        deaths_per_s: flags.deaths,
        loss: flags.loss,
        rtt_ms: flags.rtt.as_secs_f64() * 1e3,
        ..Question::within_ms(flags.detect.time.as_secs_f64() * 1e3)
    };
    if let Some(dir) = &flags.measured {
        let (report, _) = folder::read(dir).map_err(|error| {
            Failure::usage(error.to_string()).next("name the folder of a run, see results/")
        })?;
        asked.learn(&report);
    }
    Ok(asked)
}
