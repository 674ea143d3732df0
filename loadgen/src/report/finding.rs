//! What was found out, in words.

use super::number::{count, millis};
use super::schema::{DeathBlock, Report};
use crate::death::Death;

impl Report {
    /// The finding, as it stands under the title.
    pub(super) fn say(&self) -> String {
        let mut sentences = vec![self.say_opened()];
        sentences.extend(self.say_deaths());
        sentences.extend(self.say_unpredicted());
        sentences.extend(self.say_spared());
        sentences.extend(self.say_living());
        sentences.extend(self.say_cost());
        sentences.join(" ")
    }

    fn say_opened(&self) -> String {
        let connections = &self.figures.connections;
        let opened = count(connections.opened);
        let heartbeat = match (self.ping_ms(), self.pings_are_off()) {
            (Some((interval, timeout)), _) => {
                let (interval, timeout) = (millis(interval), millis(timeout));
                format!(", pinged every {interval} with a timeout of {timeout}")
            }
            (None, true) => ", without any heartbeat".to_owned(),
            (None, false) => String::new(),
        };
        let failed: u64 = connections.failed.values().sum();
        let failed = if failed > 0 { format!("; {} failed", count(failed)) } else { String::new() };
        let over = if self.is_over_tls() { " over TLS" } else { "" };
        format!("{opened} connections{over} on {}{heartbeat}{failed}.", self.env.label())
    }

    fn say_deaths(&self) -> Option<String> {
        // Who came back was watched for as long as it was away, and is told of by itself.
        let stayed =
            |death: &Death, block: &DeathBlock| death.is_silent() && block.revivals.is_empty();
        let deaths = self.figures.deaths.iter();
        let silent: Vec<(&Death, &DeathBlock)> =
            deaths.filter(|(death, block)| stayed(death, block)).collect();
        let sum =
            |figure: fn(&DeathBlock) -> u64| silent.iter().map(|(_, block)| figure(block)).sum();
        let (killed, detected): (u64, u64) =
            (sum(|block| block.killed), sum(|block| block.detected));
        if killed == 0 {
            return None;
        }
        let names: Vec<_> = silent.iter().map(|(death, _)| death.name()).collect();
        let who = format!("{} silent deaths ({})", count(killed), names.join(", "));
        let watched = silent.iter().map(|(_, block)| block.watched_s).fold(f64::MAX, f64::min);
        let times: Vec<_> =
            silent.iter().filter_map(|(name, block)| say_times(name, block)).collect();
        let times =
            if times.is_empty() { String::new() } else { format!(": {}", times.join("; ")) };
        Some(match detected {
            0 if self.pings_are_off() => format!(
                "The server sent no ping; it has no means to notice. None of {who} was found in \
                 the {watched:.0} s that they were watched."
            ),
            0 => format!("None of {who} was found in {watched:.0} s."),
            _ if detected == killed => format!("All {who} were found{times}."),
            _ => format!("{} of {who} were found in {watched:.0} s{times}.", count(detected)),
        })
    }

    /// A silent death without a prediction, though the server pings.
    fn say_unpredicted(&self) -> Option<String> {
        self.ping_ms()?;
        let silent = self.figures.deaths.iter().filter(|(death, _)| death.is_silent());
        let (death, _) = silent.into_iter().find(|(_, block)| block.predicted.is_none())?;
        let name = death.name();
        Some(format!(
            "The server's kernel watched its hosts as well and may have found {name} before the \
             heartbeat, so nothing is predicted of it."
        ))
    }

    /// Those who are not dead, or came back.
    fn say_spared(&self) -> Option<String> {
        let known = self.figures.deaths.iter();
        let known = known.filter_map(|(death, block)| Some((death, block, block.outcomes?)));
        let words = known.map(|(death, block, fates)| {
            let given_up = fates.reset + fates.closed;
            let name = if death.spares() { death.name() } else { "revived" };
            let wrongly = match block.false_kills {
                Some(n) if n > 0 => format!(", {} of them too soon", count(n)),
                _ => String::new(),
            };
            let killed = count(block.killed);
            format!("of {killed} {name} the server had given up {}{wrongly}", count(given_up))
        });
        let words: Vec<_> = words.collect();
        let sentence = words.join("; ");
        let rest = sentence.get(1..)?;
        Some(format!("O{rest}."))
    }

    fn say_living(&self) -> Option<String> {
        let lost = &self.figures.living.lost;
        let closed: u64 = lost.closed.values().sum();
        let all = lost.heartbeat + lost.reset + closed;
        let living = self.figures.living.at_end + all;
        match all {
            _ if living == 0 => None,
            0 => Some(format!("None of the {} living was lost.", count(living))),
            _ => Some(format!(
                "Of {} living {} were lost, {} of them to the heartbeat.",
                count(living),
                count(all),
                count(lost.heartbeat)
            )),
        }
    }

    fn say_cost(&self) -> Option<String> {
        let cost = self.figures.cost.both_ends_cpu_us_per_heartbeat.as_ref()?;
        let interval = match (cost.low, cost.high) {
            (Some(low), Some(high)) => format!(" ({low:.1} to {high:.1})"),
            _ => String::new(),
        };
        Some(format!("A heartbeat cost {:.1} µs of CPU{interval}, both ends together.", cost.value))
    }

    /// The server's interval and timeout, where it is known to ping.
    pub(super) fn ping_ms(&self) -> Option<(f64, f64)> {
        let setting = |name: &str| self.plan.get(name).and_then(serde_json::Value::as_f64);
        Some((setting("ping_interval_ms")?, setting("ping_timeout_ms")?))
    }

    fn is_over_tls(&self) -> bool {
        self.plan.get("tls").is_some_and(|value| value == true)
    }

    /// Whether the server is known not to ping.
    pub(super) fn pings_are_off(&self) -> bool {
        self.plan.get("ping_interval_ms").is_some_and(|value| value == "off")
    }
}

fn say_times(death: &Death, block: &DeathBlock) -> Option<String> {
    let name = death.name();
    match (block.detection_ms.p50?, block.detection_ms.p99) {
        (p50, Some(p99)) => {
            Some(format!("{name} half within {} and 99 % within {}", millis(p50), millis(p99)))
        }
        (p50, None) => Some(format!("{name} half within {}", millis(p50))),
    }
}

/// What was found out about several servers, in words.
impl Report {
    pub(super) fn say_servers(&self) -> String {
        let mut sentences = vec![self.say_how_many()];
        for server in &self.servers {
            let alone =
                Self { plan: server.plan.clone(), figures: server.figures.clone(), ..self.clone() };
            let said: Vec<String> =
                [alone.say_deaths(), alone.say_lost()].into_iter().flatten().collect();
            if !said.is_empty() {
                sentences.push(format!("{}: {}", server.name, said.join(" ")));
            }
        }
        sentences.join(" ")
    }

    fn say_how_many(&self) -> String {
        let servers = self.servers.len() as u64;
        let runs: usize = self.servers.iter().map(|server| server.runs.len()).sum();
        let plural = |n: u64, word: &str| match n {
            1 => format!("{} {word}", count(n)),
            _ => format!("{} {word}s", count(n)),
        };
        let (servers, runs) = (plural(servers, "server"), plural(runs as u64, "run"));
        format!("{servers} at the same work in {runs} on {}.", self.env.label())
    }

    /// Only where somebody was.
    fn say_lost(&self) -> Option<String> {
        let lost = &self.figures.living.lost;
        let any = lost.heartbeat + lost.reset + lost.closed.values().sum::<u64>() > 0;
        any.then(|| self.say_living()).flatten()
    }
}
