//! A tenant's targets as of one directory, and who is near which of them.

use std::{sync::Arc, time::Duration};

use wayside_balance::nearest::Place as Globe;
use wayside_decide::{
    name::Name,
    stream::target::{Country, StreamTarget},
};
use wayside_stream::{
    quality::Network,
    reports::Bases,
    select::{
        set::{TargetIndex, TargetSet},
        target::{NoPool, Pool, TargetSpec},
    },
};

/// Targets in their order, as of one directory.
#[derive(Debug)]
pub(crate) struct Targets {
    /// Differs from that of any other list of the same process.
    pub(in crate::streams) version: u64,
    list: Box<[StreamTarget]>,
    pub(crate) pool: Pool,
    /// By which a URL is known as a target's.
    pub(in crate::streams) bases: Bases,
    /// Those of the node's own region.
    near_node: TargetSet,
}

/// Who asks, as far as the node knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) country: Option<Country>,
    pub(crate) asn: Option<u32>,
    pub(crate) place: Option<Globe>,
    /// The region of the coverage zone that the visitor is in.
    pub(crate) zone: Option<Arc<Name>>,
}

impl Targets {
    /// These targets, on a node of this region. No other list of the process has the same `version`.
    ///
    /// # Errors
    /// [`NoPool`] when they cannot be chosen among.
    pub(super) fn new(version: u64, list: Vec<StreamTarget>, region: Option<&Name>) -> Result<Self, NoPool> {
        let pool = Pool::new(list.iter().map(spec).collect())?;
        let near_node = region.map(|region| pool.of_region(region));
        let bases = (0..).map_while(TargetIndex::new).zip(&list);
        let bases = bases.flat_map(|(index, target)| target.urls.iter().map(move |url| (index, url)));
        Ok(Self {
            version,
            bases: Bases::new(bases),
            pool,
            near_node: near_node.unwrap_or_default(),
            list: list.into(),
        })
    }

    /// In their order.
    pub(in crate::streams) const fn list(&self) -> &[StreamTarget] {
        &self.list
    }

    /// Each with its place.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (TargetIndex, &StreamTarget)> {
        let indices = self.list.iter().enumerate();
        indices.filter_map(|(place, target)| Some((TargetIndex::new(place)?, target)))
    }

    /// What is said of a target.
    pub(crate) fn get(&self, index: TargetIndex) -> Option<&StreamTarget> {
        self.list.get(index.place())
    }

    /// Those near a visitor: of its coverage zone, else of the region nearest to it, else of the node's own.
    pub(super) fn near(&self, who: &Who) -> TargetSet {
        let of_zone = who.zone.as_ref().map(|zone| self.pool.of_region(zone));
        let of_zone = of_zone.filter(|zone| !zone.is_empty());
        let nearest = || who.place.as_ref().and_then(|place| self.pool.nearest_region(place));
        of_zone.or_else(nearest).unwrap_or(self.near_node)
    }
}

impl Who {
    /// In which reports are alike, the narrowest first.
    pub(crate) fn networks(&self) -> Networks {
        let system = self.asn.map(Network::System);
        let country = self.country.map(Network::Country);
        match (system, country) {
            (Some(system), Some(country)) => Networks([system, country], 2),
            (Some(one), None) | (None, Some(one)) => Networks([one; 2], 1),
            (None, None) => Networks([Network::Elsewhere; 2], 1),
        }
    }
}

/// Networks of one visitor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Networks([Network; 2], usize);

impl Networks {
    pub(crate) fn as_slice(&self) -> &[Network] {
        &self.0[..self.1]
    }
}

fn spec(target: &StreamTarget) -> TargetSpec {
    let place = target.coordinates.and_then(|place| {
        let (latitude, longitude) = place.degrees();
        Globe::new(latitude, longitude).ok()
    });
    let late_ms = target.probe.as_ref().and_then(|probe| probe.degraded_ms);
    TargetSpec {
        name: target.name.clone(),
        region: target.region.clone(),
        place,
        weight: target.weight,
        sessions_max: target.sessions_max,
        kbit_s_max: target.kbit_s_max,
        kbit_s_commit: target.kbit_s_commit,
        cost: target.cost,
        countries: target.countries.as_ref().map(|countries| countries.to_vec()),
        is_probed: target.probe.is_some(),
        late_after: late_ms.map(|late_ms| Duration::from_millis(late_ms.into())),
    }
}
