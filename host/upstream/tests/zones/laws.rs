//! What holds for every file of coverage zones: asserted of the corpus that fuzzing has left, and by the fuzz target itself.

use std::collections::HashSet;

use ipnet::IpNet;
use wayside_decide::{limits::ZONE_NETWORKS_MAX, name::Name};

/// Of what was read each group stands once, each network once in all, without bits behind its length; as many as there may be.
pub(crate) fn zones(groups: &[(Name, Vec<IpNet>)]) {
    let names: HashSet<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), groups.len(), "a group twice: {groups:?}");
    let networks = || groups.iter().flat_map(|(_, networks)| networks);
    let distinct: HashSet<&IpNet> = networks().collect();
    assert_eq!(distinct.len(), networks().count(), "a network twice: {groups:?}");
    assert!(distinct.len() <= ZONE_NETWORKS_MAX, "{} networks", distinct.len());
    for network in networks() {
        assert_eq!(*network, network.trunc(), "bits behind the length");
    }
}
