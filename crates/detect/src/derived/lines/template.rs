//! Which line of a program wrote a message: its text without what changes from one time to the next.

/// A hash of what stays the same of a message: words with a digit, words of eight and more hexadecimal digits and what
/// is quoted count as one sign, and several of these with points between them as one. The same for ever: it is stored.
pub fn template(message: &str) -> u64 {
    let mut hash = Hash::default();
    let bytes = message.as_bytes();
    let mut at = 0;
    // Where a masked part ended, unless something followed it.
    let mut masked = false;
    while at < bytes.len() {
        let byte = bytes[at];
        if let Some(end) = quoted(bytes, at) {
            hash.mask(&mut masked);
            at = end;
        } else if in_word(byte) {
            let end = bytes[at..]
                .iter()
                .position(|byte| !in_word(*byte))
                .map_or(bytes.len(), |length| at + length);
            let word = &bytes[at..end];
            if changes(word) {
                hash.mask(&mut masked);
            } else {
                hash.plain(word);
                masked = false;
            }
            at = end;
        } else {
            let joins = masked && matches!(byte, b'.' | b',' | b':' | b'+' | b'%');
            let blank = byte.is_ascii_whitespace();
            let before_blank = at > 0 && bytes[at - 1].is_ascii_whitespace();
            if !(joins || blank && before_blank) {
                hash.plain(if blank { b" " } else { &bytes[at..=at] });
                masked = false;
            }
            at += 1;
        }
    }
    hash.finish()
}

/// A hash of a name. The same for ever: it is stored.
pub fn name(name: &str) -> u64 {
    let mut hash = Hash::default();
    hash.plain(name.as_bytes());
    hash.finish()
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || !byte.is_ascii()
}

fn changes(word: &[u8]) -> bool {
    let hexadecimal = word.len() >= 8 && word.iter().all(u8::is_ascii_hexdigit);
    hexadecimal || word.iter().any(u8::is_ascii_digit)
}

/// Where what is quoted from here on ends, where it does. Within a word a quote is an apostrophe.
fn quoted(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes[at];
    if !matches!(quote, b'"' | b'\'') || (at > 0 && in_word(bytes[at - 1])) {
        return None;
    }
    let length = bytes[at + 1..].iter().position(|byte| *byte == quote)?;
    Some(at + length + 2)
}

/// FNV-1a, its bits mixed as in SplitMix64 so that any of them can choose a place.
struct Hash(u64);

impl Default for Hash {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hash {
    fn plain(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn mask(&mut self, masked: &mut bool) {
        if !*masked {
            // No text has this byte.
            self.plain(&[0xff]);
        }
        *masked = true;
    }

    fn finish(self) -> u64 {
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_from_time_to_time_does_not_count() {
        for (one, other) in [
            ("GET /users/17/orders took 3 ms", "GET /users/4242/orders took 3.5 ms"),
            (
                "request 7f9c24e8-3b12-4fef-9d1e-aabbccddeeff done",
                "request 00000000-0000-0000-0000-000000000000 done",
            ),
            ("commit deadbeef pushed", "commit 0123456789abcdef pushed"),
            ("at 2024-05-01T10:00:00.123Z", "at 2025-12-31T23:59:59Z"),
            ("peer 10.0.0.1:443 gone", "peer 192.168.17.4 gone"),
            ("user \"alice\" logged in", "user \"bob smith\" logged in"),
            ("key 'a' is missing", "key 'b c' is missing"),
            ("cpu 93%", "cpu 7%"),
            ("a  b\tc", "a b c"),
            ("temperature -5", "temperature 21"),
        ] {
            assert_eq!(template(one), template(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn what_the_program_says_counts() {
        let messages = [
            "",
            "connected",
            "disconnected",
            "connected to 10.0.0.1",
            "it can't, we won't",
            "it can't, we will",
            "\"",
            "GET /users",
            "GET /orders",
            "POST /users",
            "größer",
            "kleiner",
            "user alice",
            "5",
            "5 5 x",
        ];
        for (place, one) in messages.iter().enumerate() {
            for other in &messages[..place] {
                assert_ne!(template(one), template(other), "{one:?} {other:?}");
            }
        }
        assert_ne!(name("a"), name("b"));
    }

    #[test]
    fn it_stays_what_it_was() {
        assert_eq!(name(""), 17_665_956_581_633_026_203);
    }
}
