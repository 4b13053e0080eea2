//! A world in which what happens is written down: to see how one outage goes at the settings that nodes have.

use std::{ops::Range, time::Duration};

use wayside_balance::fleet::settings::{RegionSpec, Settings};

use super::{Condition, Event, World};
use crate::observer::Seen;

/// How long a node waits for an origin.
const TIMEOUT: Duration = Duration::from_millis(750);

/// At some time these origins become so.
pub(crate) type Scripted = (Duration, Range<usize>, Condition);

impl World {
    /// A request each `pause` on average, for `length`.
    pub(crate) fn scripted(
        seed: u64,
        specs: &[RegionSpec],
        pause: Duration,
        script: &[Scripted],
        length: Duration,
    ) -> Seen {
        let mut world = Self::of(seed, specs, Settings::default());
        world.pause = pause;
        world.timeout = TIMEOUT;
        for (at, origins, condition) in script {
            for origin in origins.clone() {
                world.enter(
                    *at,
                    Event::Becomes {
                        origin,
                        condition: *condition,
                    },
                );
            }
        }
        world.enter(Duration::ZERO, Event::Arrival);
        let end = world.now + length;
        while let Some((at, event)) = world.next().filter(|(at, _)| *at < end) {
            world.now = at;
            world.happen(event);
        }
        world.observer.seen
    }
}
