//! What the union is when two entries mean the same worker: an address that is written down goes
//! before one that a name resolved to, and the configuration before its file; among equals the
//! first. A pool holds each address and each worker's name once.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use super::entry::{At, Declared, Limits, OwnLimits};
use crate::address::Address;
use crate::discovery::dns::{Addresses, HostName};
use crate::settings::WorkerSpec;

/// The set, and who was left out of it, in words.
pub(super) fn union<'d>(
    declared: impl Iterator<Item = &'d Declared> + Clone,
    limits: Limits,
    found: &HashMap<HostName, Arc<Addresses>>,
) -> (Vec<WorkerSpec>, Vec<String>) {
    let mut union = Union::default();
    let written = declared.clone().filter_map(|entry| match &entry.at {
        At::Address { name, address } => Some((entry, union.admit(name, address, name))),
        At::Host { .. } => None,
    });
    // By place: the entry that was admitted, not its twin.
    let admitted: HashSet<*const Declared> = written
        .filter(|(_, admitted)| *admitted)
        .map(|(entry, _)| std::ptr::from_ref(entry))
        .collect();
    let mut set = Vec::new();
    for entry in declared {
        let mut push = |name: String, address: Address| {
            let Limits { slots, tunnels } = match entry.limits {
                OwnLimits::OfPool => limits,
                OwnLimits::Own(limits) => limits,
            };
            let Declared { weight, tier, .. } = *entry;
            let tls = entry.tls.clone();
            set.push(WorkerSpec { name, address, weight, slots, tunnels, tier, tls });
        };
        match &entry.at {
            At::Address { name, address } if admitted.contains(&std::ptr::from_ref(entry)) => {
                push(name.clone(), address.clone());
            }
            At::Address { .. } => {}
            At::Host { host, port } => {
                for ip in found.get(host).into_iter().flat_map(|found| found.iter()) {
                    let address = Address::Tcp(SocketAddr::new(*ip, *port));
                    let name = address.to_string();
                    if union.admit(&name, &address, &format!("{}:{port}", host.name)) {
                        push(name, address);
                    }
                }
            }
        }
    }
    (set, union.left_out)
}

#[derive(Default)]
struct Union {
    addresses: HashSet<Address>,
    names: HashSet<String>,
    left_out: Vec<String>,
}

impl Union {
    fn admit(&mut self, name: &str, address: &Address, said: &str) -> bool {
        let fresh = !self.addresses.contains(address) && !self.names.contains(name);
        if fresh {
            self.addresses.insert(address.clone());
            self.names.insert(name.to_owned());
        } else {
            self.left_out.push(match said == address.to_string() {
                true => said.to_owned(),
                false => format!("{address} ({said})"),
            });
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use std::num::NonZeroU32;

    use super::*;

    fn host(name: &str) -> HostName {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(30));
        HostName { name: name.to_owned(), min, max }
    }

    fn entry(at: At) -> Declared {
        Declared { at, weight: None, limits: OwnLimits::OfPool, tier: 0, tls: None }
    }

    fn at(name: &str, address: &str) -> Declared {
        let address = Address::Tcp(address.parse().expect("an address"));
        entry(At::Address { name: name.to_owned(), address })
    }

    fn named(name: &str) -> Declared {
        entry(At::Host { host: host(name), port: 80 })
    }

    fn found(of: &[(&str, &[&str])]) -> HashMap<HostName, Arc<Addresses>> {
        let ip = |ip: &&str| ip.parse::<IpAddr>().expect("an address");
        let found =
            |(name, ips): &(&str, &[&str])| (host(name), Arc::new(ips.iter().map(ip).collect()));
        of.iter().map(found).collect()
    }

    fn names(set: &[WorkerSpec]) -> Vec<&str> {
        set.iter().map(|spec| spec.name.as_str()).collect()
    }

    #[test]
    fn what_is_written_down_goes_before_what_was_resolved() {
        let declared = [named("a"), at("big", "10.0.0.1:80"), at("10.0.0.9:80", "10.0.0.9:80")];
        let (set, left_out) =
            union(declared.iter(), Limits::default(), &found(&[("a", &["10.0.0.1", "10.0.0.2"])]));
        assert_eq!(names(&set), ["10.0.0.2:80", "big", "10.0.0.9:80"]);
        assert_eq!(left_out, ["10.0.0.1:80 (a:80)"]);
    }

    #[test]
    fn among_equals_the_first_wins_and_every_port_is_another_worker() {
        let mut other_port = named("b");
        other_port.at = At::Host { host: host("b"), port: 81 };
        let declared = [
            at("one", "10.0.0.1:80"),
            at("one", "10.0.0.2:80"),
            at("two", "10.0.0.1:80"),
            named("a"),
            named("b"),
            other_port,
        ];
        let found = found(&[("a", &["10.0.0.5"]), ("b", &["10.0.0.5", "::1"])]);
        let (set, left_out) = union(declared.iter(), Limits::default(), &found);
        assert_eq!(names(&set), ["one", "10.0.0.5:80", "[::1]:80", "10.0.0.5:81", "[::1]:81"]);
        assert_eq!(left_out, ["10.0.0.2:80 (one)", "10.0.0.1:80 (two)", "10.0.0.5:80 (b:80)"]);
    }

    #[test]
    fn a_worker_that_says_nothing_has_the_pools_slots() {
        let two = Limits { slots: NonZeroU32::new(2), ..Limits::default() };
        let mut own = at("b", "10.0.0.2:80");
        own.limits = OwnLimits::Own(Limits { slots: Some(NonZeroU32::MIN), ..Limits::default() });
        let mut free = at("c", "10.0.0.3:80");
        free.limits = OwnLimits::Own(Limits::default());
        let declared = [named("a"), own, free, named("unknown")];
        let (set, _) = union(declared.iter(), two, &found(&[("a", &["10.0.0.1"])]));
        let slots: Vec<_> = set.iter().map(|spec| spec.slots).collect();
        assert_eq!(slots, [two.slots, Some(NonZeroU32::MIN), None]);
    }
}
