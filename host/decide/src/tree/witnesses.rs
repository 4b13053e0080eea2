//! A few of the requests that ended at each leaf, kept so that another decider can be asked about them later.
//!
//! In: requests that ended at a leaf, offered when [`super::Hit::wanted`] says so, and randomness. Out: for each
//! leaf a uniform sample of its requests (a reservoir). All leaves share one bound on count and bytes; when it is
//! reached, leaves whose witnesses stand for few requests give some up. It must not know what a request is.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, Weak,
    atomic::{AtomicBool, Ordering},
};

use super::{Leaf, Tree, meter::Meter};

/// Among how many leaves one is looked for that gives a witness up.
const ASKED_FOR_ROOM: usize = 16;

/// How many witnesses are kept.
#[derive(Debug, Clone, Copy)]
pub struct WitnessLimits {
    /// Of one leaf.
    pub leaf_max: usize,
    /// Of all leaves.
    pub count_max: usize,
    /// Memory of all, in bytes.
    pub bytes_max: usize,
}

impl Default for WitnessLimits {
    fn default() -> Self {
        Self {
            leaf_max: 64,
            count_max: 1_024,
            bytes_max: 1024 * 1024,
        }
    }
}

/// The witnesses of one tree's leaves. Those of a leaf that was thrown away are no longer found.
#[derive(Debug)]
pub struct Witnesses<W> {
    kept: Mutex<Kept<W>>,
    /// Whether there was no room for the last that came for the first time.
    is_full: AtomicBool,
    limits: WitnessLimits,
    meter: Meter,
}

#[derive(Debug)]
struct Kept<W> {
    samples: Vec<Sample<W>>,
    count: usize,
    bytes: usize,
    /// What the meter knows of.
    bytes_metered: usize,
}

/// The witnesses of one leaf: a uniform sample of the requests that have ended there.
#[derive(Debug)]
struct Sample<W> {
    leaf: Weak<Leaf>,
    /// How many it may hold. Once it has given one up it never grows again, or the later requests would be more than
    /// their share.
    size: usize,
    witnesses: Vec<Witness<W>>,
}

#[derive(Debug)]
struct Witness<W> {
    request: Arc<W>,
    bytes: usize,
}

impl<W> Default for Witnesses<W> {
    fn default() -> Self {
        Self::new(WitnessLimits::default())
    }
}

impl<W> Witnesses<W> {
    /// Keeps nothing yet.
    #[must_use]
    pub fn new(limits: WitnessLimits) -> Self {
        Self::metered(limits, Meter::default())
    }

    /// Keeps nothing yet. What it takes is part of what `meter` says.
    #[must_use]
    pub const fn metered(limits: WitnessLimits, meter: Meter) -> Self {
        let kept = Kept {
            samples: Vec::new(),
            count: 0,
            bytes: 0,
            bytes_metered: 0,
        };
        Self {
            kept: Mutex::new(kept),
            is_full: AtomicBool::new(false),
            limits,
            meter,
        }
    }

    /// Whether it would be in vain to offer the `nth` request of a leaf: the first of a leaf that nobody may ever come to
    /// again, where there was no room for another such. Quicker than making one to offer.
    pub fn is_in_vain(&self, nth: u64) -> bool {
        nth == 1 && self.is_full.load(Ordering::Relaxed)
    }

    /// Takes the `nth` request that ended at `leaf` for a witness, or does not, where another was quicker or there is
    /// no room. `bytes` is the memory it takes; `random` must be random.
    pub fn offer(&self, leaf: &Arc<Leaf>, nth: u64, request: W, bytes: usize, random: u64) {
        let mut random = Random(random);
        let mut kept = self.kept();
        if nth < leaf.next_witness.load(Ordering::Relaxed) {
            return;
        }
        let witness = Witness {
            request: Arc::new(request),
            bytes,
        };
        let taken = kept.take(leaf, witness, &self.limits, &mut random);
        self.is_full.store(taken.is_none(), Ordering::Relaxed);
        let next = match taken {
            Some(sample) if sample.witnesses.len() < sample.size => nth + 1,
            Some(sample) => next_taken(nth, sample.size, random.fraction()),
            // Perhaps there is room when twice as many have come.
            None => nth.saturating_mul(2),
        };
        leaf.next_witness.store(next, Ordering::Relaxed);
        self.tell(&mut kept);
    }

    /// Forgets the witnesses of leaves that are no more, and half of those of each other leaf, as if there was too much;
    /// the last of a leaf stays. `random` must be random.
    pub fn shrink(&self, random: u64) {
        let (mut kept, mut random) = (self.kept(), Random(random));
        kept.sweep();
        for at in 0..kept.samples.len() {
            for _ in 0..kept.samples[at].witnesses.len() / 2 {
                kept.remove_one(at, &mut random);
            }
            kept.samples[at].shrink();
        }
        self.tell(&mut kept);
    }

    /// Every leaf of `tree`, with its witnesses.
    #[must_use]
    pub fn by_leaf(&self, tree: &Tree) -> Vec<(Arc<Leaf>, Vec<Arc<W>>)> {
        let mut kept = self.kept();
        kept.sweep();
        let mut samples: Vec<_> = kept.samples.iter().collect();
        samples.sort_unstable_by_key(|sample| sample.leaf.as_ptr());
        let leaves = tree.leaves().map(|leaf| {
            let at = samples.binary_search_by_key(&Arc::as_ptr(leaf), |sample| sample.leaf.as_ptr());
            let sample = at.ok().and_then(|at| samples.get(at));
            let witnesses = sample.into_iter().flat_map(|sample| &sample.witnesses);
            let requests = witnesses.map(|witness| Arc::clone(&witness.request));
            (Arc::clone(leaf), requests.collect())
        });
        leaves.collect()
    }

    /// How many are kept, and their memory in bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let mut kept = self.kept();
        kept.sweep();
        self.tell(&mut kept);
        (kept.count, kept.bytes)
    }

    fn tell(&self, kept: &mut Kept<W>) {
        self.meter.change(kept.bytes_metered, kept.bytes);
        kept.bytes_metered = kept.bytes;
    }

    fn kept(&self) -> MutexGuard<'_, Kept<W>> {
        // Nothing is left half done behind this lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W> Drop for Witnesses<W> {
    fn drop(&mut self) {
        self.meter.change(self.kept().bytes_metered, 0);
    }
}

impl<W> Kept<W> {
    /// The leaf's sample with the witness in it; none when there is no room.
    fn take(
        &mut self,
        leaf: &Arc<Leaf>,
        witness: Witness<W>,
        limits: &WitnessLimits,
        random: &mut Random,
    ) -> Option<&Sample<W>> {
        let at = self.sample_of(leaf, limits);
        // One of its own gives way when it is full.
        if self.samples[at].witnesses.len() >= self.samples[at].size {
            self.remove_one(at, random);
        }
        while self.count >= limits.count_max || self.bytes + witness.bytes > limits.bytes_max {
            let Some(other) = self.who_gives_up(at, leaf.uses(), random) else {
                self.samples[at].shrink();
                return None;
            };
            self.remove_one(other, random);
            self.samples[other].shrink();
        }
        self.count += 1;
        self.bytes += witness.bytes;
        self.samples[at].witnesses.push(witness);
        self.samples.get(at)
    }

    /// The place of the leaf's sample, which is made when there is none.
    fn sample_of(&mut self, leaf: &Arc<Leaf>, limits: &WitnessLimits) -> usize {
        let own = |sample: &Sample<W>| sample.leaf.as_ptr() == Arc::as_ptr(leaf);
        if let Some(at) = self.samples.iter().position(own) {
            return at;
        }
        if self.samples.len() >= limits.count_max {
            self.sweep();
        }
        self.samples.push(Sample {
            leaf: Arc::downgrade(leaf),
            size: limits.leaf_max.max(1),
            witnesses: Vec::new(),
        });
        self.samples.len() - 1
    }

    /// Among a few, the sample that loses least by giving one up for the sample at `at`, whose leaf has `uses`: one of a
    /// leaf that is no more; else one with more than one witness, each of which stands for fewer requests than the
    /// newcomer; else, where `at` has none yet, the only one of a leaf that is used less.
    fn who_gives_up(&self, at: usize, uses: u64, random: &mut Random) -> Option<usize> {
        let stands_for = |uses: u64, count: usize| uses / u64::try_from(count.max(1)).unwrap_or(1);
        let newcomer = &self.samples[at].witnesses;
        let own = stands_for(uses, newcomer.len() + 1);
        let picked = (0..ASKED_FOR_ROOM).map(|_| random.below(self.samples.len()));
        let losses = picked.filter_map(|other| {
            let sample = &self.samples[other];
            let count = sample.witnesses.len();
            let uses = sample.leaf.upgrade().map_or(0, |leaf| leaf.uses());
            let loss = (count == 1 && uses > 0, stands_for(uses, count));
            let may = match count {
                0 => false,
                1 => newcomer.is_empty() && loss.1 < own,
                _ => newcomer.is_empty() || loss.1 < own,
            };
            (other != at && (may || (count > 0 && uses == 0))).then_some((loss, other))
        });
        losses.min().map(|(_, other)| other)
    }

    fn remove_one(&mut self, at: usize, random: &mut Random) {
        let witnesses = &mut self.samples[at].witnesses;
        if witnesses.is_empty() {
            return;
        }
        let gone = witnesses.swap_remove(random.below(witnesses.len()));
        self.count -= 1;
        self.bytes -= gone.bytes;
    }

    /// Forgets the witnesses of leaves that are no more.
    fn sweep(&mut self) {
        self.samples
            .retain(|sample| sample.leaf.strong_count() > 0 && !sample.witnesses.is_empty());
        self.count = self.samples.iter().map(|sample| sample.witnesses.len()).sum();
        let witnesses = self.samples.iter().flat_map(|sample| &sample.witnesses);
        self.bytes = witnesses.map(|witness| witness.bytes).sum();
    }
}

impl<W> Sample<W> {
    /// Holds no more than it does now.
    fn shrink(&mut self) {
        // One that has nothing begins anew.
        self.size = self.witnesses.len().max(1);
    }
}

/// Which request a full sample of `size` takes next, after the `nth`. Each is taken with the probability `size / n`
/// (reservoir sampling, algorithm R); the probability that none up to the m-th is, is close to
/// `((nth - c) / (m - c)) ^ size` with `c = (size - 1) / 2`, and that is solved for m.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sample needs no more than 53 bits of precision; the result is positive"
)]
fn next_taken(nth: u64, size: usize, fraction: f64) -> u64 {
    let (nth, size) = (nth as f64, size as f64);
    let shift = (size - 1.0) / 2.0;
    let next = (nth - shift) * fraction.powf(-1.0 / size) + shift;
    // The cast saturates.
    (next.floor() as u64).max(nth as u64) + 1
}

/// SplitMix64: a stream of numbers from one random number.
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..count`; 0 where there is none.
    fn below(&mut self, count: usize) -> usize {
        let scaled = (u128::from(self.next()) * count as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }

    /// Above 0, and at most 1.
    #[allow(clippy::cast_precision_loss, reason = "53 bits are exact")]
    fn fraction(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{Random, WitnessLimits, Witnesses};
    use crate::{
        decision::Decision,
        facts::Facts,
        question::{Answer, Question},
        trace::Recorder,
        tree::{Hit, TreeLimits, Walk, memory::Memory},
    };

    /// A visitor from the country of this number.
    struct From(u64);

    impl Facts for From {
        fn answer(&self, _: &Question) -> Answer {
            Answer::Number(self.0)
        }

        fn now_s(&self) -> u64 {
            0
        }
    }

    /// Asks the memory, or a decider that reads the country and nothing else.
    fn ask(memory: &Memory, country: u64) -> Hit {
        if let Walk::Found(hit) = memory.walk(&From(country)) {
            return hit;
        }
        let mut recorder = Recorder::new(Arc::new(From(country)));
        recorder.ask(Question::Country).expect("an answer");
        let leaf = memory.graft(recorder.trace(), Ok(Decision::Proceed)).expect("a leaf");
        Hit::of_run(leaf, None)
    }

    fn offered(witnesses: &Witnesses<u64>, hit: &Hit, request: u64, random: &mut Random) -> bool {
        if let Some(nth) = hit.wanted {
            witnesses.offer(&hit.leaf, nth, request, 100, random.next());
        }
        hit.wanted.is_some()
    }

    fn limits(leaf_max: usize, count_max: usize) -> WitnessLimits {
        WitnessLimits {
            leaf_max,
            count_max,
            bytes_max: 1 << 20,
        }
    }

    #[test]
    fn every_request_of_a_leaf_is_as_likely_a_witness_as_any_other() {
        const RUNS: u64 = 3_000;
        let mut random = Random(1);
        let (mut tenths, mut wanted) = ([0_u64; 10], 0);
        for _ in 0..RUNS {
            let (memory, witnesses) = (Memory::default(), Witnesses::new(limits(8, 100)));
            for request in 0..500 {
                wanted += u64::from(offered(&witnesses, &ask(&memory, 0), request, &mut random));
            }
            let kept = witnesses.by_leaf(&memory.tree());
            assert_eq!((kept.len(), kept[0].1.len()), (1, 8));
            for request in &kept[0].1 {
                tenths[usize::try_from(**request / 50).expect("small")] += 1;
            }
        }
        // Eight of 500, in ten equal parts: 2,400 in each, with a standard deviation of 46.
        assert!(tenths.iter().all(|tenth| (2_170..2_630).contains(tenth)), "{tenths:?}");
        // The first eight, then eight in each e-fold: about 8 + 8 ln(500 / 8) = 41 of 500.
        assert!((35..50).contains(&(wanted / RUNS)), "{wanted}");
    }

    #[test]
    fn few_leaves_have_many_witnesses_and_many_leaves_few() {
        let mut random = Random(2);
        let (memory, witnesses) = (Memory::default(), Witnesses::new(limits(20, 100)));
        let of = |country: u64| {
            let kept = witnesses.by_leaf(&memory.tree());
            let leaf = ask(&memory, country).leaf;
            let own = kept.into_iter().find(|(known, _)| Arc::ptr_eq(known, &leaf));
            own.map_or(0, |(_, requests)| requests.len())
        };
        for request in 0..4_000 {
            offered(&witnesses, &ask(&memory, request % 4), request, &mut random);
        }
        assert_eq!([of(0), of(1), of(2), of(3)], [20; 4]);
        // Fifty others come, each seldom: all have one, and those in use keep the most.
        for request in 0..200 {
            offered(&witnesses, &ask(&memory, 100 + request % 50), request, &mut random);
        }
        assert!((100..150).all(|country| of(country) >= 1));
        assert!((0..4).all(|country| of(country) >= 5));
        assert_eq!(witnesses.size().0, 100);
        // More than there may be witnesses: the busiest have theirs.
        for request in 0..3_000 {
            offered(&witnesses, &ask(&memory, 200 + request % 300), request, &mut random);
        }
        assert!((0..4).all(|country| of(country) >= 1));
        assert_eq!(witnesses.size().0, 100);
    }

    #[test]
    fn what_has_no_place_in_the_tree_is_no_witness() {
        let tree = TreeLimits {
            answers_max: 2,
            answers_kept: 1,
            ..TreeLimits::default()
        };
        let memory = Memory::new(tree);
        let hits: Vec<_> = (0..50).map(|country| ask(&memory, country)).collect();
        let wanted = hits.iter().filter(|hit| hit.wanted.is_some()).count();
        assert!((3..20).contains(&wanted), "{wanted}");
    }

    #[test]
    fn where_there_is_no_room_first_comers_are_not_even_made_witnesses() {
        let (memory, witnesses) = (Memory::default(), Witnesses::new(limits(20, 10)));
        let mut random = Random(4);
        assert!(!witnesses.is_in_vain(1));
        for country in 0..20 {
            // Each twice, so that none gives way to a leaf that is used as much.
            ask(&memory, country);
            offered(&witnesses, &ask(&memory, country), country, &mut random);
        }
        assert!(witnesses.is_in_vain(1) && !witnesses.is_in_vain(2));
        assert_eq!(witnesses.size().0, 10);
    }

    #[test]
    fn there_are_never_more_than_may_be_and_none_of_leaves_that_are_no_more() {
        let limits = WitnessLimits {
            leaf_max: 8,
            count_max: 50,
            bytes_max: 3_000,
        };
        let tree = TreeLimits {
            leaves_max: 30,
            ..TreeLimits::default()
        };
        let (memory, witnesses) = (Memory::new(tree), Witnesses::new(limits));
        let mut random = Random(3);
        for request in 0..20_000 {
            // In the end only a few come.
            let countries = if request < 19_000 { 200 } else { 5 };
            let country = random.next() % (1 + random.next() % countries);
            let hit = ask(&memory, country);
            if let Some(nth) = hit.wanted {
                let bytes = 1 + random.below(200);
                witnesses.offer(&hit.leaf, nth, (country, bytes), bytes, random.next());
            }
            let (count, bytes) = witnesses.size();
            assert_eq!(witnesses.meter.bytes(), bytes);
            assert!(count <= 50 && bytes <= 3_000, "{count} {bytes} after {request}");
        }
        let before = witnesses.size();
        let of_each = witnesses.by_leaf(&memory.tree());
        // The last of a leaf stays: where each has one, nothing goes.
        let halved = of_each.iter().map(|(_, requests)| requests.len().div_ceil(2)).sum();
        drop(of_each);
        witnesses.shrink(random.next());
        let after = witnesses.size();
        assert_eq!(after.0, halved, "{before:?} {after:?}");
        assert_eq!(after.1 < before.1, after.0 < before.0, "{before:?} {after:?}");
        assert_eq!(witnesses.meter.bytes(), after.1);
        let kept = witnesses.by_leaf(&memory.tree());
        assert!(kept.len() <= 30 && kept.iter().filter(|(_, requests)| !requests.is_empty()).count() >= 5);
        for (leaf, requests) in kept {
            for request in requests {
                assert!(Arc::ptr_eq(&leaf, &ask(&memory, request.0).leaf), "of another leaf");
            }
        }
    }
}
