//! Names in paths: a worker may be called `unix:/run/app.sock`, so names are percent-encoded and a
//! path is taken apart before it is decoded. Used by the server and by the commands.

/// The path of one pool.
pub(crate) fn pool(pool: &str) -> String {
    format!("/v1/pools/{}", encode(pool))
}

/// The path of one worker.
pub(crate) fn worker(pool: &str, worker: &str) -> String {
    format!("/v1/pools/{}/workers/{}", encode(pool), encode(worker))
}

fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The path's parts, decoded; `None` if one of them is not text.
pub(crate) fn segments(path: &str) -> Option<Vec<String>> {
    path.split('/').skip(1).map(decode).collect()
}

fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return None;
            }
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_survives() {
        let path = worker("app", "unix:/run/ü%2F.sock");
        assert_eq!(
            segments(&path).unwrap(),
            ["v1", "pools", "app", "workers", "unix:/run/ü%2F.sock"]
        );
    }

    #[test]
    fn what_is_no_text_is_no_path() {
        for path in ["/%", "/%4", "/%zz", "/%+1", "/%ff"] {
            assert_eq!(segments(path), None, "{path}");
        }
    }
}
