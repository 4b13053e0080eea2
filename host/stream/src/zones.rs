//! Coverage zones: to which group of targets an address belongs, by what the operator knows of networks.
//!
//! In: groups with their networks. Out: the group of the longest network that holds an address. It must not know how zones
//! are written, nor which targets are of a group.
//!
//! Networks that lie in each other are cut into ranges that do not, once; a look-up is a search among their starts. A range
//! takes 6 bytes for IPv4 and 18 for IPv6, and a network makes two at most.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use wayside_decide::name::Name;

/// What sharing a name takes beside it: two counts and who points at it.
const ARC_BYTES: usize = 3 * size_of::<usize>();
/// No group.
const NOBODY: u16 = u16::MAX;

/// The zones of a tenant.
#[derive(Debug, Clone, Default)]
pub struct Zones {
    /// Shared with all who ask of a visitor.
    groups: Vec<Arc<Name>>,
    four: Ranges<u32>,
    six: Ranges<u128>,
}

impl Zones {
    /// Zones of these groups. Of a network that two groups have, the later one gets it; groups past 65,535 are left out.
    #[must_use]
    pub fn new(groups: Vec<(Name, Vec<IpNet>)>) -> Self {
        let (mut names, mut four, mut six) = (Vec::new(), Vec::new(), Vec::new());
        for ((name, networks), group) in groups.into_iter().zip(0..NOBODY) {
            names.push(Arc::new(name));
            for network in networks {
                match network.trunc() {
                    IpNet::V4(network) => four.push(Network {
                        first: u32::from(network.network()),
                        last: u32::from(network.broadcast()),
                        group,
                    }),
                    IpNet::V6(network) => six.push(Network {
                        first: u128::from(network.network()),
                        last: u128::from(network.broadcast()),
                        group,
                    }),
                }
            }
        }
        Self {
            groups: names,
            four: Ranges::of(four, |last| last.checked_add(1)),
            six: Ranges::of(six, |last| last.checked_add(1)),
        }
    }

    /// The group of the longest network that holds the address; none when no network does.
    #[must_use]
    pub fn group_of(&self, address: IpAddr) -> Option<&Arc<Name>> {
        // A visitor who came over a socket of both families is of the network that the address stands for.
        let group = match address.to_canonical() {
            IpAddr::V4(address) => self.four.group_of(u32::from(address)),
            IpAddr::V6(address) => self.six.group_of(u128::from(address)),
        };
        self.groups.get(usize::from(group))
    }

    /// What they take in memory, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let groups: usize = self
            .groups
            .iter()
            .map(|name| name.as_str().len() + size_of::<Name>() + ARC_BYTES)
            .sum();
        groups + self.four.bytes() + self.six.bytes()
    }
}

struct Network<A> {
    first: A,
    last: A,
    group: u16,
}

/// Where ranges begin, in order, and whose each is. Below the first nobody's begins.
#[derive(Debug, Clone, Default)]
struct Ranges<A> {
    starts: Vec<A>,
    groups: Vec<u16>,
}

impl<A: Copy + Ord> Ranges<A> {
    /// Cuts networks, of which any two lie in each other or apart, into ranges.
    fn of(mut networks: Vec<Network<A>>, after: impl Fn(A) -> Option<A>) -> Self {
        // What holds others before what it holds; the sort keeps the order of equals.
        networks.sort_by(|one, other| one.first.cmp(&other.first).then(other.last.cmp(&one.last)));
        let mut ranges = Self {
            starts: Vec::new(),
            groups: Vec::new(),
        };
        let mut around: Vec<Network<A>> = Vec::new();
        for network in networks {
            while let Some(ended) = around.pop_if(|held| held.last < network.first) {
                ranges.go_on_after(&ended, &around, &after);
            }
            ranges.begin(network.first, network.group);
            around.push(network);
        }
        while let Some(ended) = around.pop() {
            ranges.go_on_after(&ended, &around, &after);
        }
        ranges.starts.shrink_to_fit();
        ranges.groups.shrink_to_fit();
        ranges
    }

    /// Behind a network goes on what it lies in.
    fn go_on_after(&mut self, ended: &Network<A>, around: &[Network<A>], after: &impl Fn(A) -> Option<A>) {
        if let Some(next) = after(ended.last) {
            self.begin(next, around.last().map_or(NOBODY, |held| held.group));
        }
    }

    fn begin(&mut self, start: A, group: u16) {
        if self.starts.last() == Some(&start) {
            // A network without a first part of its own.
            self.starts.pop();
            self.groups.pop();
        }
        if self.groups.last().copied().unwrap_or(NOBODY) != group {
            self.starts.push(start);
            self.groups.push(group);
        }
    }

    fn group_of(&self, address: A) -> u16 {
        let begun = self.starts.partition_point(|start| *start <= address);
        let place = begun.checked_sub(1);
        place
            .and_then(|place| self.groups.get(place))
            .copied()
            .unwrap_or(NOBODY)
    }

    const fn bytes(&self) -> usize {
        self.starts.capacity() * size_of::<A>() + self.groups.capacity() * size_of::<u16>()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use ipnet::{IpNet, Ipv4Net, Ipv6Net};
    use proptest::prelude::{Strategy, any, prop_assert_eq, prop_oneof, proptest};
    use wayside_balance::random::Random;
    use wayside_decide::name::Name;

    use super::Zones;

    fn group(name: &str, networks: &[&str]) -> (Name, Vec<IpNet>) {
        let networks = networks.iter().map(|network| network.parse().expect("a network"));
        (Name::parse("group", name).expect("a name"), networks.collect())
    }

    fn found(zones: &Zones, address: &str) -> String {
        let address = address.parse().expect("an address");
        zones
            .group_of(address)
            .map_or_else(|| "nobody".to_owned(), ToString::to_string)
    }

    #[test]
    fn the_longest_network_wins() {
        let zones = Zones::new(vec![
            group("all", &["10.0.0.0/8", "2001:db8::/32"]),
            group("north", &["10.1.0.0/16", "255.255.255.0/24", "2001:db8:1::/48"]),
            group("desk", &["10.1.2.3/32", "10.1.0.0/24"]),
        ]);
        for (address, expected) in [
            ("9.255.255.255", "nobody"),
            ("10.0.0.0", "all"),
            ("10.1.0.0", "desk"),
            ("10.1.0.255", "desk"),
            ("10.1.1.0", "north"),
            ("10.1.2.2", "north"),
            ("10.1.2.3", "desk"),
            ("10.1.2.4", "north"),
            ("10.2.0.0", "all"),
            ("11.0.0.0", "nobody"),
            ("255.255.255.255", "north"),
            ("::ffff:10.1.2.3", "desk"),
            ("2001:db8:1::1", "north"),
            ("2001:db8:2::1", "all"),
            ("2001:db9::", "nobody"),
            ("::", "nobody"),
        ] {
            assert_eq!(found(&zones, address), expected, "{address}");
        }
        assert_eq!(found(&Zones::default(), "10.0.0.1"), "nobody");
        let whole = Zones::new(vec![group("all", &["0.0.0.0/0", "::/0"])]);
        assert_eq!(
            (found(&whole, "0.0.0.0"), found(&whole, "ffff::")),
            ("all".into(), "all".into())
        );
    }

    #[test]
    fn a_hundred_thousand_networks_take_two_megabytes_at_most() {
        let mut random = Random::new(7);
        let network = |bits: u64| {
            let address = Ipv4Addr::from((bits >> 32) as u32);
            IpNet::V4(Ipv4Net::new(address, 16 + (bits % 17) as u8).expect("a network"))
        };
        let groups = (0..100).map(|number| {
            let networks = (0..1_000).map(|_| network(random.bits())).collect();
            (Name::parse("group", &format!("g{number}")).expect("a name"), networks)
        });
        let groups: Vec<(Name, Vec<IpNet>)> = groups.collect();
        let zones = Zones::new(groups.clone());
        assert!(zones.bytes() < 2_000_000, "{}", zones.bytes());
        for _ in 0..50 {
            let address = IpAddr::V4(Ipv4Addr::from((random.bits() >> 32) as u32));
            assert_eq!(
                zones.group_of(address).map(|group| &**group),
                searched(&groups, address),
                "{address}"
            );
        }
    }

    /// The same by looking at every network.
    fn searched(groups: &[(Name, Vec<IpNet>)], address: IpAddr) -> Option<&Name> {
        let networks = groups
            .iter()
            .flat_map(|(name, networks)| networks.iter().map(move |network| (name, network)));
        let holding = networks.filter(|(_, network)| network.contains(&address));
        holding
            .max_by_key(|(_, network)| network.prefix_len())
            .map(|(name, _)| name)
    }

    /// Networks and addresses near each other, so that they lie in each other often, and at both ends.
    fn near() -> impl Strategy<Value = (bool, u32)> {
        let bits = prop_oneof![0_u32..64, any::<u32>(), (u32::MAX - 64)..=u32::MAX];
        (any::<bool>(), bits)
    }

    fn address(is_six: bool, bits: u32) -> IpAddr {
        if is_six {
            // Both halves, so that the ends of the whole space are met.
            let wide = u128::from(bits) << 96 | u128::from(bits);
            IpAddr::V6(Ipv6Addr::from(wide))
        } else {
            IpAddr::V4(Ipv4Addr::from(bits))
        }
    }

    proptest! {
        #[test]
        fn a_look_up_finds_what_looking_at_all_finds(
            networks in proptest::collection::vec((near(), 0_u8..=128, 0_usize..5), 0..60),
            asked in proptest::collection::vec(near(), 1..60),
        ) {
            let mut groups: Vec<(Name, Vec<IpNet>)> = (0..5)
                .map(|number| (Name::parse("group", &format!("g{number}")).expect("a name"), Vec::new()))
                .collect();
            for ((is_six, bits), length, group) in networks {
                let network = match address(is_six, bits) {
                    IpAddr::V4(address) => IpNet::V4(Ipv4Net::new(address, length % 33).expect("a network").trunc()),
                    IpAddr::V6(address) => IpNet::V6(Ipv6Net::new(address, length).expect("a network").trunc()),
                };
                groups[group].1.push(network);
            }
            let zones = Zones::new(groups.clone());
            let edges = groups.iter().flat_map(|(_, networks)| networks).flat_map(|network| [network.network(), network.broadcast()]);
            for address in edges.chain(asked.into_iter().map(|(is_six, bits)| address(is_six, bits))) {
                // What stands for an IPv4 address is looked up as one.
                if address == address.to_canonical() {
                    prop_assert_eq!(zones.group_of(address).map(|group| &**group), searched(&groups, address), "{}", address);
                }
            }
        }
    }
}
