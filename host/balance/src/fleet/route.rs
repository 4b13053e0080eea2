//! Whom to ask: the order of regions, and the choice within one.

use super::{Fleet, OriginIndex, Region, RegionIndex};
use crate::{moment::Moment, panic::is_mostly_bad, random::Random, two_choices};

/// How many origins of one region are tried before another region's turn.
const TRIED_OF_REGION_MAX: usize = 2;

impl Fleet {
    /// Who is to be probed: of the most preferred region first.
    pub(super) fn due_probe(&self, now: Moment) -> Option<OriginIndex> {
        let origins = self
            .order
            .iter()
            .flat_map(|region| self.regions[region.0].origins.clone());
        let due = |index: &usize| self.origins[*index].breaker.is_probe_due(now);
        origins.into_iter().find(due).map(OriginIndex)
    }

    /// An origin of a region that is to be checked: because it is at a step of its way back and was not asked, or because
    /// nobody asked it for long.
    pub(super) fn due_check(&self, now: Moment, random: &mut Random) -> Option<OriginIndex> {
        let is_due = |region: &Region| {
            let is_idle = now.since(region.asked_at) >= self.settings.check_interval;
            region.share.percent() > 0 && (region.share.wants_check() || is_idle)
        };
        let mut regions = self.order.iter().filter(|region| is_due(&self.regions[region.0]));
        regions.find_map(|region| self.of_region(*region, &[], now, random))
    }

    /// Who takes a new request.
    pub(super) fn route(&self, now: Moment, random: &mut Random) -> OriginIndex {
        let region = if self.panic.is_on() { None } else { self.region(random) };
        let origin = region.and_then(|region| self.of_region(region, &[], now, random));
        // A region that is not bad has an origin that is well; were it not so, everybody would do.
        origin.or_else(|| self.anybody(&[], now)).unwrap_or(OriginIndex(0))
    }

    /// Who takes a request that `tried` failed.
    pub(super) fn another(&self, tried: &[OriginIndex], now: Moment, random: &mut Random) -> Option<OriginIndex> {
        if tried.len() >= self.settings.attempts_max {
            return None;
        }
        if self.panic.is_on() {
            return self.anybody(tried, now);
        }
        let tried_of = |region: RegionIndex| {
            tried
                .iter()
                .filter(|origin| self.origins[origin.0].region == region)
                .count()
        };
        let is_fresh = |region: RegionIndex| tried_of(region) < TRIED_OF_REGION_MAX;
        // Regions on their way back come later: a retry is no part of their share.
        let is_whole = |region: RegionIndex| self.regions[region.0].share.percent() == 100 && is_fresh(region);
        let is_part = |region: RegionIndex| self.regions[region.0].share.percent() > 0 && is_fresh(region);
        let is_left = |region: RegionIndex| !self.is_bad(region);
        let preferences: [&dyn Fn(RegionIndex) -> bool; 4] = [&is_whole, &is_part, &is_left, &|_| true];
        preferences.iter().find_map(|is_wanted| {
            let mut regions = self.order.iter().filter(|region| is_wanted(**region));
            regions.find_map(|region| self.of_region(*region, tried, now, random))
        })
    }

    /// The region that takes a new request: one with the largest share carries what those before it, on their way back,
    /// do not take yet.
    fn region(&self, random: &mut Random) -> Option<RegionIndex> {
        let percent = |region: &RegionIndex| self.regions[region.0].share.percent();
        let largest = self.order.iter().map(percent).max()?;
        if largest == 0 {
            // All rest after a lost step, or are bad.
            return self.order.iter().copied().find(|region| !self.is_bad(*region));
        }
        let carrier = self.order.iter().position(|region| percent(region) == largest)?;
        let mut back = self.order[..carrier].iter().filter(|region| percent(region) > 0);
        let taken = back.find(|region| random.below(100) < usize::from(percent(region)));
        Some(taken.copied().unwrap_or(self.order[carrier]))
    }

    /// The cheaper of two origins of a region that are well and not `tried`.
    fn of_region(
        &self,
        region: RegionIndex,
        tried: &[OriginIndex],
        now: Moment,
        random: &mut Random,
    ) -> Option<OriginIndex> {
        let members = self.regions[region.0].origins.clone();
        let index = |place: usize| members.start + place;
        let cost = |place: usize| self.cost(index(place), now);
        let is_able =
            |place: usize| self.origins[index(place)].is_well() && !tried.contains(&OriginIndex(index(place)));
        two_choices::pick(members.len(), |place| u32::from(is_able(place)), cost, random)
            .map(|place| OriginIndex(index(place)))
    }

    /// The cheapest of all that are not `tried`, well or not.
    fn anybody(&self, tried: &[OriginIndex], now: Moment) -> Option<OriginIndex> {
        (0..self.origins.len())
            .map(OriginIndex)
            .filter(|origin| !tried.contains(origin))
            .min_by(|one, other| self.cost(one.0, now).total_cmp(&self.cost(other.0, now)))
    }

    fn cost(&self, index: usize, now: Moment) -> f64 {
        self.origins[index].latency.cost(self.origins[index].open, now)
    }

    fn is_bad(&self, region: RegionIndex) -> bool {
        let (bad, all) = super::bad_of(&self.origins[self.regions[region.0].origins.clone()]);
        is_mostly_bad(bad, all)
    }
}
