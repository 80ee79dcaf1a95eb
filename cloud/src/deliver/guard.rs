//! Keeps `http` destinations away from this machine's own network.
//!
//! The address of a webhook is often somebody else's choice, and a request from inside a network
//! reaches what nobody outside can: metadata services, databases, routers. So only globally routed
//! unicast addresses pass, and the decision falls where it cannot be evaded: on literal addresses
//! before anything is sent, and on names at the moment of connecting, on the very addresses the
//! connection will use. A name that pointed elsewhere a second ago gains nothing.
//!
//! Ubidots and Twilio are not guarded: their base URL is the operator's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

/// The networks that are not globally routed unicast, by prefix and its bits.
const SPECIAL_V4: [([u8; 3], u32); 15] = [
    ([0, 0, 0], 8),       // this network
    ([10, 0, 0], 8),      // private
    ([100, 64, 0], 10),   // carrier-grade NAT
    ([127, 0, 0], 8),     // loopback
    ([169, 254, 0], 16),  // link-local, where clouds keep their metadata
    ([172, 16, 0], 12),   // private
    ([192, 0, 0], 24),    // protocol assignments
    ([192, 0, 2], 24),    // documentation
    ([192, 88, 99], 24),  // relays of 6to4, withdrawn
    ([192, 168, 0], 16),  // private
    ([198, 18, 0], 15),   // benchmarks
    ([198, 51, 100], 24), // documentation
    ([203, 0, 113], 24),  // documentation
    ([224, 0, 0], 4),     // multicast
    ([240, 0, 0], 4),     // reserved, and broadcast
];

/// The error of a name that leads nowhere but to refused addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a public address")]
pub struct PrivateAddress(pub IpAddr);

/// The refused address which a URL names literally, if it does.
///
/// The `url` crate has already undone the disguises: `127.1`, `0x7f000001` and the like.
pub fn refused_literal(url: &Url) -> Option<IpAddr> {
    let address = match url.host()? {
        Host::Domain(_) => return None,
        Host::Ipv4(v4) => IpAddr::V4(v4),
        Host::Ipv6(v6) => IpAddr::V6(v6),
    };
    (!is_public(address)).then_some(address)
}

/// Whether an address is globally routed unicast, as far as the registries of special addresses go.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => is_public_v6(v6),
    }
}

/// The system's resolver, without the addresses that are not public.
#[derive(Debug, Clone, Copy)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (public, refused): (Vec<SocketAddr>, Vec<_>) =
                found.partition(|address| is_public(address.ip()));
            match refused.first() {
                Some(first) if public.is_empty() => Err(PrivateAddress(first.ip()).into()),
                _ => Ok(Box::new(public.into_iter()) as Addrs),
            }
        })
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let within = |&([a, b, c], bits): &([u8; 3], u32)| {
        let prefix = Ipv4Addr::new(a, b, c, 0).to_bits();
        (prefix ^ address.to_bits()) >> (32 - bits) == 0
    };
    !SPECIAL_V4.iter().any(within)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    match segments {
        // An IPv4 address in a wrapper is judged as what it is: mapped, compatible, NAT64.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            is_public_v4(embedded(high, low))
        }
        // 6to4 carries it behind the prefix.
        [0x2002, high, low, ..] => is_public_v4(embedded(high, low)),
        // Teredo and other protocol assignments; documentation.
        [0x2001, 0x0000..=0x01ff | 0x0db8, ..] | [0x3fff, 0x0000..=0x0fff, ..] => false,
        // The one block that is handed out; all others are local, multicast or unassigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_pass() {
        let refused = "0.0.0.0 0.1.2.3 10.0.0.5 100.64.0.1 100.127.255.255 127.0.0.1 127.9.9.9 \
             169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.8 192.0.2.1 192.88.99.1 192.168.1.1 \
             198.18.0.1 198.19.255.255 198.51.100.7 203.0.113.9 224.0.0.1 239.1.2.3 240.0.0.1 \
             255.255.255.255 :: ::1 ::ffff:127.0.0.1 ::ffff:10.1.2.3 ::10.0.0.1 fe80::1 febf::1 \
             fec0::1 fc00::1 fd12:3456::1 ff02::1 64:ff9b::7f00:1 64:ff9b:1::1 100::1 2001::1 \
             2001:db8::1 2002:7f00:1:: 2002:a00:1::1 3fff::1 4000::1";
        for text in refused.split_whitespace() {
            let address: IpAddr = text.parse().expect("an address");
            assert!(!is_public(address), "{text} must be refused");
        }
        let allowed = "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.0.0.1 \
             128.0.0.1 169.253.0.1 172.15.0.1 172.32.0.1 192.0.1.1 192.167.1.1 198.17.0.1 \
             198.20.0.1 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 2001:200::1 2002:808:808::1 \
             2606:4700::1111 2a00:1450::1";
        for text in allowed.split_whitespace() {
            let address: IpAddr = text.parse().expect("an address");
            assert!(is_public(address), "{text} must pass");
        }
    }

    #[test]
    fn disguised_literals_are_seen() {
        let check = |text: &str, refused: bool| {
            let url = Url::parse(text).expect("a URL");
            assert_eq!(refused_literal(&url).is_some(), refused, "{text}");
        };
        check("http://127.1/", true);
        check("http://0x7f000001/", true);
        check("http://2130706433/", true);
        check("http://0177.0.0.1/", true);
        check("http://[::ffff:7f00:1]:80/", true);
        check("http://8.8.8.8/", false);
        check("http://localhost/", false); // a name: decided after it is resolved
    }
}
