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
            Some(wanted) if wish.driver == DriverKind::IoUring => {
                Self::as_asked(wish, descriptors, wanted, all.min(TABLE_MAX))
            }
            Some(wanted) => {
                let wish = Wish { shards: Some(shards), ..*wish };
                Self::as_asked(&wish, descriptors, wanted, share)
            }
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
        let no_rings =
            Wish { connections_max: Some(50_000), driver: DriverKind::TokioUring, ..WISH };
        for (wish, descriptors) in [(one_shard, 20_000), (no_rings, 20_000), (WISH, 200)] {
            assert!(Layout::new(&wish, descriptors).is_err(), "{wish:?}");
        }
    }
}
