//! Which names are tried for one, in the order of resolv.conf(5).

use hickory_resolver::proto::rr::Name;

pub(super) struct Search {
    pub(super) domains: Vec<Name>,
    /// A name with at least so many dots is tried as it is before the domains.
    pub(super) dots: usize,
}

impl Search {
    /// Fully qualified.
    pub(super) fn candidates(&self, name: &Name) -> Vec<Name> {
        let mut absolute = name.clone();
        absolute.set_fqdn(true);
        if name.is_fqdn() {
            return vec![absolute];
        }
        let searched = self.domains.iter().filter_map(|domain| {
            let mut full = name.clone().append_domain(domain).ok()?;
            full.set_fqdn(true);
            Some(full)
        });
        let mut all: Vec<Name> = searched.collect();
        let dots = usize::from(name.num_labels()).saturating_sub(1);
        let place = if dots >= self.dots { 0 } else { all.len() };
        all.insert(place, absolute);
        let mut seen = Vec::new();
        all.retain(|name| {
            let fresh = !seen.contains(name);
            seen.push(name.clone());
            fresh
        });
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(domains: &[&str], dots: usize, name: &str) -> Vec<String> {
        let parse = |name: &&str| Name::from_str_relaxed(name).expect("a name");
        let search = Search { domains: domains.iter().map(parse).collect(), dots };
        search.candidates(&parse(&name)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn names_are_searched_as_resolv_conf_says() {
        let of = candidates;
        assert_eq!(
            of(&["lan", "corp.example"], 1, "app"),
            ["app.lan.", "app.corp.example.", "app."]
        );
        assert_eq!(of(&["lan"], 1, "app.internal"), ["app.internal.", "app.internal.lan."]);
        assert_eq!(of(&["lan"], 5, "app.internal"), ["app.internal.lan.", "app.internal."]);
        // Docker's: `options ndots:0`.
        assert_eq!(of(&["lan"], 0, "app"), ["app.", "app.lan."]);
        assert_eq!(of(&["lan"], 1, "app.internal."), ["app.internal."]);
        assert_eq!(of(&["lan", "lan"], 1, "app"), ["app.lan.", "app."]);
        assert_eq!(of(&[], 1, "app"), ["app."]);
    }
}
