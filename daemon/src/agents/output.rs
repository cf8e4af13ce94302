//! The end of a stream of bytes, bounded.

/// Keeps the last `limit` bytes of what is appended.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
    cut: bool,
}

impl Tail {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::new(),
            limit,
            cut: false,
        }
    }

    pub(super) fn append(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
        // Cut only when twice as much has gathered, so that each byte is moved once on average.
        if self.bytes.len() > self.limit.saturating_mul(2).max(8 * 1024) {
            self.cut_to_limit();
        }
    }

    fn cut_to_limit(&mut self) {
        if self.bytes.len() > self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
            self.cut = true;
        }
    }

    /// The text, at most `limit` bytes from a character boundary on, and whether something before
    /// it was cut. While `open`, a character of which only the first bytes came is held back.
    pub(super) fn text(&mut self, open: bool) -> (String, bool) {
        self.cut_to_limit();
        let mut bytes = self.bytes.as_slice();
        if self.cut {
            // A cut may have left the rest of a character at the front.
            let rest = bytes
                .iter()
                .take(3)
                .take_while(|&&byte| byte & 0xC0 == 0x80)
                .count();
            bytes = &bytes[rest..];
        }
        if open {
            bytes = &bytes[..bytes.len() - unfinished(bytes)];
        }
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        let mut cut = self.cut;
        if text.len() > self.limit {
            // Bytes that are no text become three each.
            let start = text.len() - self.limit;
            let start = (start..text.len()).find(|&at| text.is_char_boundary(at));
            text.drain(..start.unwrap_or(text.len()));
            cut = true;
        }
        (text, cut)
    }
}

/// How many bytes at the end begin a character that has not ended.
fn unfinished(bytes: &[u8]) -> usize {
    for (back, &byte) in bytes.iter().rev().take(4).enumerate() {
        let needed = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            0x80..=0xBF => continue,
            _ => return 0,
        };
        return if back + 1 < needed { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_from_a_character_on() {
        let mut tail = Tail::new(5);
        tail.append("abcé".as_bytes());
        assert_eq!(tail.text(false), ("abcé".to_owned(), false));
        tail.append("é".as_bytes());
        assert_eq!(tail.text(false), ("céé".to_owned(), true));
        tail.append(b"z");
        assert_eq!(tail.text(false), ("ééz".to_owned(), true));
        tail.append(b"z");
        assert_eq!(tail.text(false), ("ézz".to_owned(), true));
    }

    #[test]
    fn half_a_character_waits_for_its_rest() {
        let mut tail = Tail::new(100);
        tail.append(b"a\xe2\x82");
        assert_eq!(tail.text(true).0, "a");
        tail.append(b"\xac");
        assert_eq!(tail.text(true).0, "a\u{20ac}");
        tail.append(b"\xff");
        assert_eq!(tail.text(true).0, "a\u{20ac}\u{fffd}");
    }

    proptest::proptest! {
        #[test]
        fn never_more_than_the_limit(
            chunks in proptest::collection::vec(proptest::collection::vec(0u8..=255, 0..40), 0..20),
            limit in 0usize..50,
        ) {
            let mut tail = Tail::new(limit);
            let mut all = Vec::new();
            for chunk in &chunks {
                tail.append(chunk);
                all.extend_from_slice(chunk);
                let (text, cut) = tail.text(true);
                proptest::prop_assert!(text.len() <= limit);
                proptest::prop_assert!(cut || all.len() <= limit);
            }
        }

        #[test]
        fn text_that_fits_is_whole(text in "\\PC{0,30}") {
            let mut tail = Tail::new(text.len());
            for byte in text.as_bytes() {
                tail.append(&[*byte]);
            }
            proptest::prop_assert_eq!(tail.text(false), (text, false));
        }
    }
}
