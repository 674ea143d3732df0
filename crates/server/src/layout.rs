use crate::{DriverKind, ServerError};

/// Descriptors that are not connections: the listener, the rings, the wakers, the standard streams,
/// and what the program around the server has open.
const RESERVE: u64 = 128;

/// The most direct descriptors that the kernel lets a ring have (IORING_MAX_FIXED_FILES).
const TABLE_MAX: u64 = 1 << 20;

/// How connections are spread over shards.
///
/// A table of direct descriptors is bounded by RLIMIT_NOFILE, but each ring has its own, so more
/// shards hold more connections. The limit is an administrator's word: by default all tables
/// together stay under it, and only a number that was asked for goes above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// How many shards.
    pub shards: u16,
    /// The most connections over all of them.
    pub connections_max: u32,
    /// The most connections of each.
    pub connections_max_each: u32,
    /// RLIMIT_NOFILE.
    pub descriptors: u64,
}

/// What a layout is made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) driver: DriverKind,
    /// Each shard has a table of descriptors of its own, beside the process's.
    pub(crate) own_tables: bool,
    pub(crate) cores: u16,
    pub(crate) shards: Option<u16>,
    pub(crate) connections_max: Option<u32>,
    /// Connections of each shard that are only told that the server is full.
    pub(crate) refusals_max: u32,
}

impl Layout {
    /// Whether there are more connections than descriptors are allowed to a process.
    pub fn exceeds_descriptor_limit(&self) -> bool {
        u64::from(self.connections_max) > self.descriptors
    }

    pub(crate) fn new(wish: &Wish, descriptors: u64) -> Result<Self, ServerError> {
        let all = descriptors.saturating_sub(RESERVE);
        let shards = wish.shards.unwrap_or(wish.cores).max(1);
        let share = (all / u64::from(shards)).min(TABLE_MAX);
        match wish.connections_max {
            None => Self::under_the_limit(wish, descriptors, shards, share),
            Some(wanted) if wish.own_tables => {
                Self::as_asked(wish, descriptors, wanted, all.min(TABLE_MAX))
            }
            Some(wanted) => Self::in_descriptors(wish, descriptors, shards, wanted, all),
        }
    }

    /// All that the descriptor limit holds, in equal shares.
    fn under_the_limit(
        wish: &Wish,
        descriptors: u64,
        shards: u16,
        share: u64,
    ) -> Result<Self, ServerError> {
        let each = share.saturating_sub(wish.refusals_max.into()) as u32;
        if each == 0 {
            let wanted = u64::from(shards) * u64::from(wish.refusals_max + 1) + RESERVE;
            return Err(ServerError::Descriptors { wanted, limit: descriptors });
        }
        let connections_max = each.saturating_mul(shards.into());
        Ok(Self { shards, connections_max, connections_max_each: each, descriptors })
    }

    /// `wanted` connections that are descriptors of the process: more shards hold no more of them.
    fn in_descriptors(
        wish: &Wish,
        descriptors: u64,
        shards: u16,
        wanted: u32,
        all: u64,
    ) -> Result<Self, ServerError> {
        let room = all.saturating_sub(u64::from(wish.refusals_max) * u64::from(shards));
        if u64::from(wanted) > room {
            let driver = wish.driver.name();
            return Err(ServerError::Plain { driver, wanted, room, limit: descriptors });
        }
        let connections_max_each = wanted.div_ceil(shards.into());
        Ok(Self { shards, connections_max: wanted, connections_max_each, descriptors })
    }

    /// `wanted` connections, in as many shards as tables of at most `table` entries need.
    fn as_asked(
        wish: &Wish,
        descriptors: u64,
        wanted: u32,
        table: u64,
    ) -> Result<Self, ServerError> {
        let room = table.saturating_sub(wish.refusals_max.into()).max(1);
        let needed = u64::from(wanted).div_ceil(room);
        let shards = wish.shards.map_or(needed.max(wish.cores.into()), u64::from).max(1);
        if shards < needed || shards > u64::from(u16::MAX) || table <= wish.refusals_max.into() {
            let wanted = u64::from(wanted).div_ceil(shards) + u64::from(wish.refusals_max);
            return Err(ServerError::Table { wanted, room: table, limit: descriptors });
        }
        let shards = shards as u16;
        let connections_max_each = wanted.div_ceil(shards.into());
        Ok(Self { shards, connections_max: wanted, connections_max_each, descriptors })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WISH: Wish = Wish {
        driver: DriverKind::IoUring,
        own_tables: true,
        cores: 2,
        shards: None,
        connections_max: None,
        refusals_max: 64,
    };

    #[test]
    fn by_default_all_tables_together_stay_under_the_descriptor_limit() {
        for descriptors in [1024, 20_000, 1 << 30, u64::MAX] {
            let layout = Layout::new(&WISH, descriptors).unwrap();
            let tables = u64::from(layout.shards) * u64::from(layout.connections_max_each + 64);
            assert!(tables < descriptors && !layout.exceeds_descriptor_limit(), "{layout:?}");
            assert!(u64::from(layout.connections_max) > (descriptors / 2).min(500));
        }
    }

    #[test]
    fn a_number_that_was_asked_for_gets_as_many_shards_as_its_tables_need() {
        let wish = Wish { connections_max: Some(50_000), ..WISH };
        let layout = Layout::new(&wish, 20_000).unwrap();
        assert_eq!((layout.shards, layout.connections_max), (3, 50_000));
        assert!(layout.connections_max_each * 3 >= 50_000);
        assert!(u64::from(layout.connections_max_each + 64) < 20_000);
        assert!(layout.exceeds_descriptor_limit());

        let few = Wish { connections_max: Some(100), ..WISH };
        assert_eq!(Layout::new(&few, 20_000).unwrap().shards, 2);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let one_shard = Wish { connections_max: Some(50_000), shards: Some(1), ..WISH };
        for (wish, descriptors) in [(one_shard, 20_000), (WISH, 200)] {
            assert!(Layout::new(&wish, descriptors).is_err(), "{wish:?}");
        }
    }

    #[test]
    fn where_connections_are_descriptors_the_limit_bounds_them_all_together() {
        for driver in [DriverKind::TokioUring, DriverKind::Epoll] {
            let plain = Wish { driver, own_tables: false, connections_max: Some(15_000), ..WISH };
            let layout = Layout::new(&plain, 20_000).unwrap();
            assert_eq!((layout.shards, layout.connections_max_each), (2, 7_500));
            for shards in [None, Some(1), Some(64)] {
                let wish = Wish { connections_max: Some(50_000), shards, ..plain };
                let error = Layout::new(&wish, 20_000).unwrap_err().to_string();
                assert!(error.contains(driver.name()) && error.contains("20000"), "{error}");
                assert!(error.contains("ulimit -n") && error.contains("io-uring"), "{error}");
            }
        }
    }
}
