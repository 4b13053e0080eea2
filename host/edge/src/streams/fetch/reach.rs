//! Which addresses a node connects to for a tenant.
//!
//! Tenants choose the URLs, so that a URL must not lead to what only the node can reach: itself, its network, the
//! cloud's metadata. In: an address. Out: whether it is public (IANA's registries of special-purpose addresses), or in a
//! network that the operator has named.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::turns::{Most, Turns};

/// IPv4 networks that are not the public's.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    // Carriers' NAT, RFC 6598.
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    // Relays of 6to4, RFC 7526.
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];
/// What of IPv6 is given to the public at all.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);
/// What of that is not the public's: protocols' own (Teredo among them), documentation.
const SPECIAL_V6: [Ipv6Net; 3] = [v6([0x2001, 0], 23), v6([0x2001, 0xdb8], 32), v6([0x3fff, 0], 20)];
/// Translation to IPv4, RFC 6052: the address is in the last 32 bits.
const NAT64: Ipv6Net = v6([0x64, 0xff9b], 96);
/// 6to4, RFC 3056: the address is behind the first 16 bits.
const SIX_TO_FOUR: Ipv6Net = v6([0x2002, 0], 16);

/// Names that are looked up at the same time. Each takes a thread until the system has an answer, however long that is, and
/// whoever asked for it: so a tenant has few of them, and names of its that nobody answers for fewer.
const LOOKUPS: Most = Most {
    of_host: 2,
    of_tenant: 16,
    of_all: 256,
};

tokio::task_local! {
    /// For whom something is connected to: the client does not tell whoever resolves names.
    pub(super) static TENANT: Box<str>;
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b]: [u16; 2], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), prefix)
}

/// What may be connected to.
#[derive(Debug, Clone)]
pub(super) struct Reach {
    private: Vec<IpNet>,
    pub(super) lookups: Turns,
}

/// No address of a host may be connected to.
#[derive(Debug, thiserror::Error)]
#[error("{host}: found {found}, expected an address that is public, or in a network of `streams.private_networks`")]
pub(super) struct Private {
    host: String,
    found: String,
}

impl Reach {
    /// The public's, and these networks.
    pub(super) fn new(private: Vec<IpNet>) -> Self {
        Self {
            private,
            lookups: Turns::new(LOOKUPS),
        }
    }

    /// Whether an address may be connected to.
    fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.private.iter().any(|network| network.contains(&address)) || is_public(address)
    }

    /// Checks a host that is an address itself, which nothing resolves.
    ///
    /// # Errors
    /// [`Private`] when it may not be connected to.
    pub(super) fn check_literal(&self, host: &str) -> Result<(), Private> {
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(host);
        match bare.parse() {
            Ok(address) if !self.allows(address) => Err(Private::new(host, &[address])),
            _ => Ok(()),
        }
    }

    /// Of the addresses of a host those that may be connected to.
    fn filter(&self, host: &str, addresses: impl Iterator<Item = SocketAddr>) -> Result<Vec<SocketAddr>, Private> {
        let mut refused = Vec::new();
        let allowed: Vec<SocketAddr> = addresses
            .filter(|address| {
                let is_allowed = self.allows(address.ip());
                if !is_allowed {
                    refused.push(address.ip());
                }
                is_allowed
            })
            .collect();
        if allowed.is_empty() {
            return Err(Private::new(host, &refused));
        }
        Ok(allowed)
    }
}

impl Private {
    fn new(host: &str, found: &[IpAddr]) -> Self {
        const SHOWN: usize = 4;
        let shown: Vec<String> = found.iter().take(SHOWN).map(ToString::to_string).collect();
        Self {
            host: host.to_owned(),
            found: if shown.is_empty() {
                "no address".to_owned()
            } else {
                shown.join(", ")
            },
        }
    }
}

/// Names are resolved anew for each connection, and what comes is looked at before it is used: an answer that changes
/// leads nowhere else.
impl Resolve for Reach {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.clone();
        let tenant = TENANT.try_with(Clone::clone).unwrap_or_default();
        Box::pin(async move {
            let (turn, host) = (
                reach.lookups.take(&tenant, name.as_str()).await,
                name.as_str().to_owned(),
            );
            // Whoever waits may give up; the thread is there until the system has answered, and so is its turn.
            let looking_up = tokio::spawn(async move {
                let found = tokio::net::lookup_host((host, 0)).await?;
                drop(turn);
                Ok::<_, io::Error>(found.collect::<Vec<_>>())
            });
            let found = looking_up.await??.into_iter();
            let allowed: Addrs = Box::new(reach.filter(name.as_str(), found)?.into_iter());
            Ok(allowed)
        })
    }
}

/// Whether an address is the public's. One that stands for another counts as that.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !SPECIAL_V4.iter().any(|network| network.contains(&v4)),
        IpAddr::V6(v6) => match embedded(v6) {
            Some(v4) => is_public(IpAddr::V4(v4)),
            None => GLOBAL_V6.contains(&v6) && !SPECIAL_V6.iter().any(|network| network.contains(&v6)),
        },
    }
}

/// The IPv4 address that an IPv6 address leads to.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let octets = address.octets();
    let at = |start: usize| Ipv4Addr::new(octets[start], octets[start + 1], octets[start + 2], octets[start + 3]);
    if NAT64.contains(&address) {
        return Some(at(12));
    }
    if SIX_TO_FOUR.contains(&address) {
        return Some(at(2));
    }
    address.to_ipv4_mapped()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::Reach;

    fn reach(private: &[&str]) -> Reach {
        Reach::new(
            private
                .iter()
                .map(|network| network.parse().expect("a network"))
                .collect(),
        )
    }

    #[test]
    fn only_the_public_is_reached() {
        let reach = reach(&[]);
        let public = [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ];
        let other = [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:0:1.1.1.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:10::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::1",
            "3fff::1",
            "4000::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ];
        let allows = |text: &&str| reach.allows(text.parse::<IpAddr>().expect(text));
        assert_eq!(public.iter().filter(|text| !allows(text)).collect::<Vec<_>>(), [&""; 0]);
        assert_eq!(other.iter().filter(|text| allows(text)).collect::<Vec<_>>(), [&""; 0]);
    }

    #[test]
    fn what_the_operator_names_is_reached_in_each_of_its_forms() {
        let reach = reach(&["10.1.0.0/16", "fd00::/8"]);
        for (text, is_allowed) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("10.2.0.1", false),
            ("fd00::1", true),
            ("127.0.0.1", false),
        ] {
            assert_eq!(reach.allows(text.parse().expect(text)), is_allowed, "{text}");
        }
    }

    #[test]
    fn an_answer_keeps_what_may_be_reached_and_names_what_may_not() {
        let reach = reach(&[]);
        let socket = |text: &str| SocketAddr::new(text.parse().expect(text), 0);
        let mixed = [socket("127.0.0.1"), socket("1.1.1.1"), socket("::1")];
        assert_eq!(
            reach.filter("a.example", mixed.into_iter()).expect("one"),
            [socket("1.1.1.1")]
        );
        let private = [socket("127.0.0.1"), socket("fe80::1")];
        let refused = reach
            .filter("a.example", private.into_iter())
            .expect_err("none")
            .to_string();
        assert_eq!(
            refused,
            "a.example: found 127.0.0.1, fe80::1, expected an address that is public, or in a network of \
             `streams.private_networks`"
        );
        for host in ["127.0.0.1", "[::1]", "[::ffff:10.0.0.1]"] {
            reach.check_literal(host).expect_err(host);
        }
        for host in ["1.1.1.1", "a.example", "[2606:4700::1111]"] {
            reach.check_literal(host).expect(host);
        }
    }
}
