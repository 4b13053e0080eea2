//! What changed among origins: told once each time, and counted.

use wayside_balance::{breaker::State, failback::STEPS, fleet::attempt::Transition};

use super::Shared;

/// How often what changed, since the start.
#[derive(Debug, Clone)]
pub(super) struct Transitions {
    /// Of each origin: closed, open, half-open.
    breakers: Vec<[u64; 3]>,
    /// Of each region: 0 %, and each step.
    shares: Vec<[u64; STEPS.len() + 1]>,
    panics: u64,
}

impl Transitions {
    pub(super) fn new(origins: usize, regions: usize) -> Self {
        Self {
            breakers: vec![[0; 3]; origins],
            shares: vec![[0; STEPS.len() + 1]; regions],
            panics: 0,
        }
    }

    pub(super) fn count(&mut self, changed: &[Transition]) {
        for transition in changed {
            match transition {
                Transition::Breaker { origin, to, .. } => self.breakers[origin.0][breaker_place(*to)] += 1,
                Transition::Share { region, change } => self.shares[region.0][share_place(change.to)] += 1,
                Transition::Panic { is_on } => self.panics += u64::from(*is_on),
            }
        }
    }

    pub(super) fn breaker(&self, origin: usize, to: State) -> u64 {
        self.breakers[origin][breaker_place(to)]
    }

    pub(super) fn share(&self, region: usize, to: u8) -> u64 {
        self.shares[region][share_place(to)]
    }

    pub(super) const fn panics(&self) -> u64 {
        self.panics
    }
}

const fn breaker_place(state: State) -> usize {
    match state {
        State::Closed => 0,
        State::Open => 1,
        State::HalfOpen => 2,
    }
}

fn share_place(percent: u8) -> usize {
    STEPS
        .iter()
        .position(|step| *step == percent)
        .map_or(0, |place| place + 1)
}

/// Writes a line about something that changed. That a probe failed is no news of an origin that failed before.
pub(super) fn log(shared: &Shared, transition: &Transition) {
    match *transition {
        Transition::Breaker { origin, from, to, wait } => {
            let region = shared.region_of(origin).map_or("", |region| &region.name);
            let origin = shared.url(origin);
            let wait_s = wait.unwrap_or_default().as_secs_f64();
            match (from, to) {
                (State::Closed, State::Open) => {
                    tracing::warn!(
                        origin,
                        region,
                        wait_s,
                        "an origin failed again and again; it is not asked for a while"
                    );
                }
                (_, State::Open) => tracing::debug!(origin, region, wait_s, "an origin still fails"),
                (_, State::HalfOpen) => tracing::debug!(origin, region, "probing an origin"),
                (_, State::Closed) => tracing::info!(origin, region, "an origin answers again"),
            }
        }
        Transition::Share { region, change } => {
            let region = &*shared.regions[region.0].name;
            let (from, to) = (change.from, change.to);
            match to {
                0 if from == 100 => tracing::warn!(region, "left a region: most of its origins fail"),
                0 => tracing::warn!(region, from, "left a region again on its way back"),
                100 => tracing::info!(region, "a region has all of its traffic again"),
                _ => tracing::info!(region, from, to, "a region gets traffic back, in percent"),
            }
        }
        Transition::Panic { is_on: true } => {
            tracing::error!("most origins of every region fail; asking all of them alike");
        }
        Transition::Panic { is_on: false } => {
            tracing::info!("some origins answer again; asking only those that do")
        }
    }
}
