//! What clients control is written so that it cannot end a line, leave its string or speak to a
//! terminal (AD-07).

/// As a JSON string, with its quotes. What is not UTF-8 becomes U+FFFD.
pub(super) fn json(value: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    if value.iter().all(|&byte| is_plain(byte)) {
        out.extend_from_slice(value);
    } else {
        for chunk in value.utf8_chunks() {
            chunk.valid().chars().for_each(|char| json_char(char, out));
            if !chunk.invalid().is_empty() {
                out.extend_from_slice(b"\\ufffd");
            }
        }
    }
    out.push(b'"');
}

fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\'
}

fn json_char(char: char, out: &mut Vec<u8>) {
    match char {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        // Some readers take the last two for ends of lines.
        char if char.is_control() || matches!(char, '\u{2028}' | '\u{2029}') => {
            let code = u32::from(char);
            out.extend_from_slice(b"\\u");
            [12, 8, 4, 0].into_iter().for_each(|shift| out.push(hex(code >> shift)));
        }
        char => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// As nginx escapes in its own formats: `\xNN` for all that is not plain ASCII.
pub(super) fn escaped(value: &[u8], out: &mut Vec<u8>) {
    for &byte in value {
        if is_plain(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(b"\\x");
            [4, 0].into_iter().for_each(|shift| out.push(hex(u32::from(byte) >> shift)));
        }
    }
}

fn hex(digit: u32) -> u8 {
    b"0123456789abcdef"[(digit & 15) as usize]
}

pub(super) fn number(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
