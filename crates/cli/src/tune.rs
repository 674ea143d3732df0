//! `tune`: which interval?

mod verify;
mod words;

use crate::args::Tune;
use crate::exit::{Exit, Failure, Outcome};
use crate::publish::{check_out, print};
use halfopen_loadgen::report::folder;
use halfopen_loadgen::tune::{Question, tune};
use std::time::SystemTime;

/// Answers.
pub(crate) fn run(flags: &Tune, json: bool, quiet: bool) -> Outcome {
    if let Some(out) = &flags.out {
        check_out(out)?;
    }
    let git = option_env!("HALFOPEN_GIT").map(str::to_owned);
    let mut document = tune(asked(flags)?, SystemTime::now(), git);
    let best = document.recommended.as_ref().filter(|_| flags.verify);
    if let Some(best) = best {
        let all = u32::try_from(flags.connections).unwrap_or(u32::MAX);
        let connections = flags.scale.unwrap_or(SCALE).min(all);
        document.verified = verify::verify(best, connections, quiet)?;
    }
    print(&if json { document.json() } else { words::text(&document) })?;
    if let Some(out) = &flags.out {
        let name = flags.name.as_deref().unwrap_or("tune");
        let path = folder::write_files(&document.files(), &document.started, out, name)
            .map_err(|error| Failure::run(format!("the answer is not kept: {error}")))?;
        if !json {
            print(&format!("document: {}/tune.json", path.display()))?;
        }
    }
    Ok(match (&document.recommended, &document.verified) {
        (None, _) => Exit::NoVerdict,
        (Some(_), None) if flags.verify => Exit::Interrupted,
        _ => Exit::Done,
    })
}

/// So many connections fit on every machine.
const SCALE: u32 = 10_000;

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
