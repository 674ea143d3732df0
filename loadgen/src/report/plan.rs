//! The plan as it stands in a report: every time in the unit that its name ends with.

use super::input::Input;
use crate::pacing::Share;
use crate::plan::{Between, Header, Herd, KillAt, Plan, Reply, ServerPing, Watch};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Everything that was to be done, the caller's settings included.
pub(super) fn settings(input: &Input<'_>) -> Map<String, Value> {
    let plan = input.plan;
    let kills: Map<String, Value> =
        plan.kills.iter().map(|kill| (kill.death.name().into(), kill.count.into())).collect();
    let mut settings = Map::new();
    let mut set = |name: &str, value: Value| settings.insert(name.into(), value);
    set("url", json!(plan.url));
    set("targets", json!(plan.targets));
    let headers = plan.headers.iter().map(Header::published);
    set("headers", headers.collect());
    set("tls", json!(plan.tls.is_some()));
    if let Some(tls) = &plan.tls {
        set("tls_name", json!(tls.name));
        set("tls_trust", json!(tls.trusts()));
        set("tls_seen", json!(input.tally.secured));
    }
    set("sources", json!(plan.sources));
    set("connections", json!(plan.connections));
    set("connect_rate_per_s", json!(plan.connect_rate));
    set("connect_timeout_ms", ms(plan.connect_timeout));
    set("duration_ms", ms(plan.duration));
    set("message_rate_per_s", json!(plan.message_rate));
    set("arrivals", json!(plan.arrivals));
    set("window", json!(plan.window));
    set("message_bytes", json!(plan.size));
    set("message_kind", json!(plan.kind));
    set("expect", json!(plan.expect));
    set("client_ping_ms", plan.client_ping.map_or(Value::Null, ms));
    set("hello", json!(plan.script.hello));
    set("reply", plan.script.replies.iter().map(Reply::to_string).collect());
    let beat = plan.script.beat.as_ref();
    set("beat_ms", beat.map_or(Value::Null, |beat| ms(beat.every)));
    set("beat", beat.map_or(Value::Null, |beat| json!(beat.text)));
    set("churn_per_s", json!(plan.churn));
    set("herd", plan.herd.map_or(Value::Null, herd));
    set("kill", kills.into());
    set("kill_at", kill_at(plan));
    set("kill_over_ms", ms(plan.kill_over));
    set("kill_times", json!(plan.kill_times));
    set("pong_delay_ms", between(plan.pong_delay));
    set("flap_for_ms", ms(plan.flap_for));
    set("revive_ms", plan.revive.map_or(Value::Null, between));
    set("watch", watch(plan));
    set("ping_interval_ms", ping_interval(plan.server_ping));
    set("ping_timeout_ms", plan.server_ping.map_or(Value::Null, |ping| ms(ping.timeout)));
    let slice = Some(plan.slice).filter(|&slice| slice != Share::WHOLE);
    set("slice", json!(slice.map(|slice| slice.to_string())));
    set("shards", json!(plan.shards));
    set("cpus", json!(plan.cpus));
    set("seed", json!(plan.seed));
    settings.extend(input.settings.clone());
    settings
}

fn ms(duration: Duration) -> Value {
    let ms = duration.as_secs_f64() * 1e3;
    if ms.fract() == 0.0 && ms < 1e15 { json!(ms as u64) } else { json!(ms) }
}

fn between(times: Between) -> Value {
    json!({ "from": ms(times.from), "to": ms(times.to) })
}

/// Null: not known.
fn ping_interval(ping: Option<ServerPing>) -> Value {
    match ping {
        None => Value::Null,
        Some(ServerPing { interval: None, .. }) => json!("off"),
        Some(ServerPing { interval: Some(interval), .. }) => ms(interval),
    }
}

fn herd(herd: Herd) -> Value {
    let backoff = herd.backoff.map(|b| json!({ "least_ms": ms(b.least), "most_ms": ms(b.most) }));
    json!({ "share": herd.share, "at_ms": ms(herd.at), "backoff": backoff })
}

fn kill_at(plan: &Plan) -> Value {
    match plan.kill_at {
        KillAt::Auto => json!("auto"),
        KillAt::After(after) => json!({ "after_ms": ms(after) }),
    }
}

fn watch(plan: &Plan) -> Value {
    match plan.watch {
        Watch::Auto => json!("auto"),
        Watch::AtMost(most) => json!({ "at_most_ms": ms(most) }),
        Watch::For(length) => json!({ "for_ms": ms(length) }),
    }
}
