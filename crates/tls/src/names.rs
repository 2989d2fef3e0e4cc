//! Host names, and names with a star for one label in front (RFC 6125 §6.4.3).

use std::collections::HashMap;

/// What belongs to which host name.
#[derive(Debug)]
pub struct Names<T> {
    exact: HashMap<Box<str>, T>,
    /// By what is behind the star and its point.
    starred: HashMap<Box<str>, T>,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), starred: HashMap::new() }
    }
}

impl<T> Names<T> {
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a name, which is made if there is none.
    pub fn entry(&mut self, name: &str, first: impl FnOnce() -> T) -> &mut T {
        let name = plain(name);
        match name.strip_prefix("*.") {
            Some(rest) => self.starred.entry(rest.into()).or_insert_with(first),
            None => self.exact.entry(name.into()).or_insert_with(first),
        }
    }

    pub fn find(&self, name: &str) -> Option<&T> {
        let name = plain(name);
        self.exact.get(&*name).or_else(|| {
            let (_, rest) = name.split_once('.')?;
            self.starred.get(rest)
        })
    }
}

/// In lower case, without the point of a name that is written to its end.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_label_and_a_name_goes_before_it() {
        let mut names = Names::new();
        for (name, value) in [("a.test", 1), ("*.A.test", 2), ("b.a.test", 3), ("*.test", 4)] {
            *names.entry(name, || 0) = value;
        }
        for (name, found) in [
            ("a.test", Some(1)),
            ("A.Test.", Some(1)),
            ("x.a.test", Some(2)),
            ("b.a.test", Some(3)),
            ("c.test", Some(4)),
            ("x.y.a.test", None),
            ("test", None),
            ("", None),
        ] {
            assert_eq!(names.find(name).copied(), found, "{name}");
        }
    }
}
