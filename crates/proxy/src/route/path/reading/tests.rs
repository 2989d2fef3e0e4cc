use std::collections::BTreeSet;

use super::*;

fn readings(path: &str, slashes: Slashes) -> Result<BTreeSet<String>, PathError> {
    let normal = Normal::of(path.as_bytes(), slashes)?;
    let text = |read: Vec<u8>| String::from_utf8(read).expect("ascii");
    normal.readings().map(|read| read.map(text)).collect()
}

#[track_caller]
fn table(slashes: Slashes, rows: &[(&str, Result<&[&str], PathError>)]) {
    for (path, expected) in rows {
        let expected = expected.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
        assert_eq!(readings(path, slashes), expected, "{path}");
    }
}

#[test]
fn a_plain_path_has_one_reading() {
    for path in ["/", "/a/b.html?x=;%2F", "/a%20b", "/%252F", "/a%3Bb", "*", "/a;x/..", "/a//b"] {
        let normal = Normal::of(path.as_bytes(), Slashes::Merge).expect("a normal form");
        assert!(normal.is_plain() && normal.readings().next().is_none(), "{path}");
    }
    assert!(!Normal::of(b"/a//b", Slashes::Keep).expect("a normal form").is_plain());
}

#[test]
fn every_combination_is_a_reading_of_its_own() {
    table(
        Slashes::Merge,
        &[
            ("/@scope%2fname", Ok(&["/@scope/name"])),
            ("/vhost/%2F", Ok(&["/vhost/"])),
            ("/admin;x", Ok(&["/admin"])),
            ("/admin;x/;y/z?a;b", Ok(&["/admin/z?a;b"])),
            // Who decodes `%2F` need not take `%5C` for a slash, nor the other way round.
            ("/a%2Fb%5C..%5Cc", Ok(&["/a/b%5C..%5Cc", "/c", "/a/c"])),
            ("/a;%2Fb", Ok(&["/a;/b", "/a", "/a/b"])),
            ("/a/..;/b", Ok(&["/b"])),
            ("/a/.%2F..;x%2Fb", Ok(&["/a/..;x/b", "/a/.%2F..", "/b", "/"])),
            ("/..;/b", Err(PathError::AboveRoot)),
            ("/..%2fb", Err(PathError::AboveRoot)),
            ("/a%5c..%5C..%5cb", Err(PathError::AboveRoot)),
            // Neither of the two leaves the root alone.
            ("/x%2F..;%2F..;/b", Err(PathError::AboveRoot)),
        ],
    );
}

#[test]
fn kept_slashes_may_be_read_as_one() {
    table(
        Slashes::Keep,
        &[
            ("/a//b", Ok(&["/a/b"])),
            ("/a/;x/b", Ok(&["/a//b", "/a/b", "/a/;x/b"])),
            ("/a%2F/b", Ok(&["/a//b", "/a/b", "/a%2F/b"])),
        ],
    );
}

#[test]
fn the_full_reading_has_no_other() {
    for (path, slashes, expected) in [
        ("/a%2Fb;x%5Cc?q;%2F", Slashes::Merge, "/a/b/c?q;%2F"),
        ("/a//b%2F/c", Slashes::Keep, "/a/b/c"),
        ("/a;x%2Fb", Slashes::Merge, "/a/b"),
    ] {
        let read = Normal::of(path.as_bytes(), slashes).and_then(|normal| normal.fully_read());
        assert_eq!(read.as_deref(), Ok(expected.as_bytes()), "{path}");
        let again = Normal::of(expected.as_bytes(), slashes).expect("a normal form");
        assert!(again.is_plain(), "{path}");
    }
}

#[test]
fn hostile_paths_have_few_readings_and_each_is_one_walk() {
    let parts = [";", "%2F", "%5C", "%2F..;x", ";%5C", "//", "%2F;%5C//", ";a/"];
    for part in parts {
        let path = format!("/a{}", part.repeat((1 << 17) / part.len()));
        for slashes in [Slashes::Merge, Slashes::Keep] {
            let started = std::time::Instant::now();
            let normal = Normal::of(path.as_bytes(), slashes).expect("a normal form");
            assert!(normal.readings().count() <= MOST, "{part}");
            let took = started.elapsed();
            assert!(took < std::time::Duration::from_secs(5), "{part}: {took:?}");
        }
    }
}

#[test]
fn what_follows_a_prefix_stays_behind_it_or_does_not() {
    for (rest, stays) in [
        ("", true),
        ("/x;y/z%2F", true),
        ("/x/..;/y", true),
        ("/..;/x", false),
        ("/a%2F..%2F..%2Fb", false),
        ("/%5C..", false),
    ] {
        assert_eq!(stays_below(rest.as_bytes(), Slashes::Merge).is_ok(), stays, "{rest}");
    }
}
