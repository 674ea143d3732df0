//! What stands between server and client, and ends connections by itself.

/// What a ceiling counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The time since a byte went through: a heartbeat keeps it away.
    Silence,
    /// The time since the connection opened: nothing keeps it away.
    Age,
}

/// A limit on the way, as it is where nobody has changed it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ceiling {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name in a sentence.
    pub title: &'static str,
    /// What it counts.
    pub kind: Kind,
    /// The limit, s.
    pub limit_s: f64,
    /// How it is spelled where it is set, with room for the seconds; none where it cannot be.
    pub setting: Option<&'static str>,
    /// Where that is written.
    pub source: &'static str,
}

/// All that are known.
pub const CEILINGS: [Ceiling; 7] = [
    Ceiling {
        name: "nginx",
        title: "nginx",
        kind: Kind::Silence,
        limit_s: 60.0,
        setting: Some("proxy_read_timeout {}s; proxy_send_timeout {}s;"),
        source: "https://nginx.org/en/docs/http/websocket.html",
    },
    Ceiling {
        name: "alb",
        title: "AWS's Application Load Balancer",
        kind: Kind::Silence,
        limit_s: 60.0,
        setting: Some("idle_timeout.timeout_seconds = {}"),
        source: "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#connection-idle-timeout",
    },
    Ceiling {
        name: "api-gateway",
        title: "AWS's API Gateway",
        kind: Kind::Silence,
        limit_s: 600.0,
        setting: None,
        source: "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html",
    },
    Ceiling {
        name: "api-gateway",
        title: "AWS's API Gateway",
        kind: Kind::Age,
        limit_s: 7_200.0,
        setting: None,
        source: "https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html",
    },
    Ceiling {
        name: "cloudflare",
        title: "Cloudflare",
        kind: Kind::Silence,
        limit_s: 100.0,
        setting: None,
        source: "https://community.cloudflare.com/t/cloudflare-websocket-timeout/5865",
    },
    Ceiling {
        name: "gcp",
        title: "Google Cloud's HTTP load balancer",
        kind: Kind::Age,
        limit_s: 30.0,
        setting: Some("timeoutSec: {}"),
        source: "https://cloud.google.com/load-balancing/docs/https#timeout-bes",
    },
    Ceiling {
        name: "azure",
        title: "Azure's Load Balancer",
        kind: Kind::Silence,
        limit_s: 240.0,
        setting: Some("idleTimeoutInMinutes: {}"),
        source: "https://learn.microsoft.com/azure/load-balancer/load-balancer-tcp-idle-timeout",
    },
];

impl Ceiling {
    /// Those of these names; the first name that is none.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn named(names: &[String]) -> Result<Vec<&'static Self>, &str> {
        let known = |name: &&String| CEILINGS.iter().any(|ceiling| ceiling.name == **name);
        if let Some(unknown) = names.iter().find(|name| !known(name)) {
            return Err(unknown);
        }
        Ok(CEILINGS.iter().filter(|ceiling| names.iter().any(|n| n == ceiling.name)).collect())
    }

    /// What no heartbeat changes.
    pub(super) fn note(self: &&Self) -> Option<String> {
        if self.kind == Kind::Silence {
            return None;
        }
        let remedy = match self.setting {
            Some(_) => "raise it where it is set",
            None => "have clients come back, each at a moment of its own",
        };
        Some(format!(
            "{} ends every connection {} s after it opened, whatever is said: {remedy} ({})",
            self.title, self.limit_s, self.source
        ))
    }
}
