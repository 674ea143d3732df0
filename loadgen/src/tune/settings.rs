//! The same heartbeat as others spell it.

use super::ceiling::{Ceiling, Kind};
use super::document::{Policy, Row, Setting};

/// Of a row, for servers and for what stands before them.
pub(super) fn of(row: &Row, ceilings: &[&Ceiling]) -> Vec<Setting> {
    let (interval, timeout) = (row.interval_ms / 1e3, row.timeout_ms / 1e3);
    let latest_s = interval + timeout;
    let idle = if row.policy == Policy::Idle { " --ping-policy=idle" } else { "" };
    let sweep_ms = (latest_s * 500.0).floor();
    // µWebSockets looks every 4 s, and pings 16 s before the end.
    let uws = ((latest_s / 4.0).floor() * 4.0).max(8.0);
    let mut settings = vec![
        setting("halfopen", format!("--ping-interval={interval}s --ping-timeout={timeout}s{idle}")),
        setting("uvicorn", format!("--ws-ping-interval {interval} --ws-ping-timeout {timeout}")),
        setting(
            "websockets",
            format!("serve(…, ping_interval={interval}, ping_timeout={timeout})"),
        ),
        setting("ws (two sweeps)", format!("setInterval(sweep, {sweep_ms})")),
        setting(
            "Socket.IO",
            format!("pingInterval: {}, pingTimeout: {}", row.interval_ms, row.timeout_ms),
        ),
        setting("uWebSockets", format!("idleTimeout: {uws}, sendPingsAutomatically: true")),
    ];
    // Whoever stands before them must not be the first to lose patience.
    let longest = (latest_s + 1.0).ceil();
    for ceiling in ceilings.iter().filter(|ceiling| ceiling.kind == Kind::Silence) {
        if let Some(text) = ceiling.setting {
            let value =
                if text.contains("Minutes") { (longest / 60.0).ceil().max(4.0) } else { longest };
            settings.push(setting(ceiling.name, text.replace("{}", &value.to_string())));
        }
    }
    settings
}

fn setting(server: &str, text: String) -> Setting {
    Setting { server: server.into(), text }
}
