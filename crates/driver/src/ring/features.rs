//! What the driver uses of io_uring where the kernel has it, and can do without.

use std::fmt;
use std::str::FromStr;

/// A part of io_uring that the driver uses if it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Feature {
    /// Deferred work is done when completions are asked for, and at no other time
    /// (IORING_SETUP_DEFER_TASKRUN, Linux 6.1).
    DeferTaskrun,
    /// Deferred work interrupts nobody, and is done with the next system call
    /// (IORING_SETUP_COOP_TASKRUN, Linux 5.19).
    CoopTaskrun,
    /// One request receives again and again (Linux 6.0).
    Multishot,
    /// A socket's options are set and its queue is asked for by the ring
    /// (IORING_OP_URING_CMD on sockets, Linux 6.7).
    SocketCommands,
    /// Sockets in a table of the ring's own, which take no descriptors of the process's
    /// (Linux 6.8 for all that is done with them here). Without [`Feature::SocketCommands`] there is
    /// no other way to ask something of them, so then this is done without, too.
    Direct,
    /// A wait for several completions that is content with one after a while (Linux 6.12).
    MinWait,
}

impl Feature {
    /// Each of them.
    pub const ALL: [Self; 6] = [
        Self::DeferTaskrun,
        Self::CoopTaskrun,
        Self::Multishot,
        Self::SocketCommands,
        Self::Direct,
        Self::MinWait,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeferTaskrun => "defer-taskrun",
            Self::CoopTaskrun => "coop-taskrun",
            Self::Multishot => "multishot",
            Self::SocketCommands => "socket-commands",
            Self::Direct => "direct",
            Self::MinWait => "min-wait",
        }
    }

    /// What stands in its place.
    pub const fn instead(self) -> &'static str {
        match self {
            Self::DeferTaskrun => "coop-taskrun",
            Self::CoopTaskrun => "a plain ring",
            Self::Multishot => "one-shot receives",
            Self::SocketCommands => "system calls for each socket",
            Self::Direct => "plain descriptors",
            Self::MinWait => "short waits for several completions",
        }
    }
}

impl FromStr for Feature {
    type Err = String;

    /// By [`Feature::name`]; the error says which are allowed.
    fn from_str(name: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|feature| feature.name() == name);
        named.ok_or_else(|| format!("allowed are {}", Self::ALL.map(Self::name).join(" ")))
    }
}

/// A set of [`Feature`]s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(u8);

impl Features {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of these.
    pub const fn of(features: &[Feature]) -> Self {
        let (mut set, mut at) = (Self::NONE, 0);
        while at < features.len() {
            set = set.with(features[at]);
            at += 1;
        }
        set
    }

    /// Whether this one is in it.
    pub const fn has(self, feature: Feature) -> bool {
        self.0 & (1 << feature as u8) != 0
    }

    /// It, and this one.
    pub const fn with(self, feature: Feature) -> Self {
        Self(self.0 | 1 << feature as u8)
    }

    /// What is in it and not in `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl FromIterator<Feature> for Features {
    fn from_iter<I: IntoIterator<Item = Feature>>(features: I) -> Self {
        features.into_iter().fold(Self::NONE, Self::with)
    }
}

/// Something that is done without, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// What is missing.
    pub feature: Feature,
    /// Why.
    pub why: Lack,
}

/// Why a feature is done without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// [`Config::without`](crate::Config::without) names it.
    Asked,
    /// The kernel does not have it; its `errno` value when it was tried.
    Kernel(i32),
}

impl fmt::Display for Fallback {
    /// `coop-taskrun in place of defer-taskrun (asked for)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in place of {} (", self.feature.instead(), self.feature.name())?;
        match self.why {
            Lack::Asked => f.write_str("asked for)"),
            Lack::Kernel(errno) => {
                write!(f, "the kernel: {})", std::io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// Fall-backs in words, one behind the other.
pub fn list(fallbacks: &[Fallback]) -> String {
    let words: Vec<_> = fallbacks.iter().map(Fallback::to_string).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_by_their_names_and_kept_apart() {
        for feature in Feature::ALL {
            assert_eq!(feature.name().parse(), Ok(feature));
            let set = Features::of(&[feature]);
            assert_eq!(set, [feature].into_iter().collect());
            assert_eq!(
                Feature::ALL.map(|other| set.has(other)),
                Feature::ALL.map(|o| o == feature)
            );
        }
        let all: Features = Feature::ALL.into_iter().collect();
        assert!(!all.without(Features::of(&[Feature::Direct])).has(Feature::Direct));
        assert!("sqpoll".parse::<Feature>().unwrap_err().contains("defer-taskrun"));
    }

    #[test]
    fn a_fallback_says_what_is_used_instead_and_why() {
        let asked = Fallback { feature: Feature::Direct, why: Lack::Asked };
        assert_eq!(asked.to_string(), "plain descriptors in place of direct (asked for)");
        let lacking = Fallback { feature: Feature::Multishot, why: Lack::Kernel(libc::EINVAL) };
        assert!(lacking.to_string().contains("(the kernel: Invalid argument"));
    }
}
