//! Networks, by address and length.

use serde_json::Value;

use crate::model::Cidr;
use crate::problem::Draft;
use crate::read::{Cx, OneOrMany, Read};
use crate::schema::{IPV4, IPV6, Shapes, any_of, called, list, text};
use crate::tree::{Kind, Node};
use crate::units;

/// A network, with a word about bits that mean nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network(pub(crate) Cidr);

impl Read for Network {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a network, like `10.0.0.0/8`")?;
        if &*scalar.text == "private" {
            cx.not_built(node.span, "`private`");
            return None;
        }
        let (cidr, spare) = units::cidr(&scalar.text).map_err(|bad| cx.wrong(node, bad)).ok()?;
        if spare {
            let message = format!("{} has bits behind its length", scalar.shown());
            let meant = format!("`{}/{}`", cidr.addr, cidr.len);
            cx.report(Draft::warning(node.span, message).expected(meant));
        }
        Some(Network(cidr))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("network", |_| {
            let network = format!("{IPV4}(?:/[0-9]{{1,2}})?|{IPV6}(?:/[0-9]{{1,3}})?");
            called("a network or an address, like `10.0.0.0/8`", text(&network))
        })
    }
}

/// At least one network; one may stand without the list.
#[derive(Debug, Clone)]
pub(crate) struct Networks(pub(crate) Vec<Cidr>);

impl Read for Networks {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let OneOrMany(all) = OneOrMany::<Network>::read(node, cx)?;
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            cx.mismatch(node, "at least one network");
            return None;
        }
        Some(Networks(all.into_iter().map(|network| network.value.0).collect()))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let network = Network::shape(shapes);
        let mut networks = list(network.clone());
        networks["minItems"] = 1.into();
        any_of([network, networks])
    }
}

/// A network of proxies, or `private`: all that are nobody's on the internet.
#[derive(Debug, Clone)]
pub(crate) struct ProxyNetworks(pub(crate) Vec<Cidr>);

/// RFC 1918, loopback, link-local, and the unique local addresses of IPv6.
const PRIVATE: [&str; 8] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "::1/128",
    "fe80::/10",
    "fc00::/7",
];

impl Read for ProxyNetworks {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a network, like `10.0.0.0/8`, or `private`";
        if &*cx.scalar(node, expected)?.text == "private" {
            let networks = PRIVATE.iter().filter_map(|text| units::cidr(text).ok());
            return Some(ProxyNetworks(networks.map(|(network, _)| network).collect()));
        }
        Network::read(node, cx).map(|network| ProxyNetworks(vec![network.0]))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([Network::shape(shapes), text("private")])
    }
}
