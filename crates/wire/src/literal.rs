//! Numbers and strings as JSON writes them.

/// The fewest digits that are read back as the same number; a whole one without `.0`.
pub(crate) fn number(number: f64, out: &mut Vec<u8>) {
    let mut buffer = zmij::Buffer::new();
    let digits = buffer.format(number);
    out.extend_from_slice(digits.strip_suffix(".0").unwrap_or(digits).as_bytes());
}

/// RFC 8259, section 7: quotes, backslashes and control characters are escaped, all else stays UTF-8.
pub(crate) fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest[..end]);
        match rest[end] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            control => {
                let hex = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[hex[usize::from(control >> 4)], hex[usize::from(control & 0xf)]]);
            }
        }
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}
