//! Text as a search sees it: without regard to case and to how blanks are written, in pairs and triples
//! of letters. Those work for every script, for parts of words, and for any character.

/// What stands for the third letter of a pair; no character has that number.
const NONE: u64 = 0x1f_ffff;

/// Words that a query is looked up by, at most; the text is compared afterwards.
const WANTED: usize = 48;

/// Letters in lower case with the byte at which each begins; blanks and control characters are one
/// blank, however many there are.
pub(super) fn fold(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut blank = false;
    text.char_indices()
        .filter_map(move |(at, letter)| {
            let is_blank = letter.is_whitespace() || letter.is_control();
            let again = is_blank && blank;
            blank = is_blank;
            (!again).then_some((at, if is_blank { ' ' } else { letter }))
        })
        .flat_map(|(at, letter)| letter.to_lowercase().map(move |letter| (at, letter)))
}

/// The letters of a query.
pub(super) fn wanted(text: &str) -> Vec<char> {
    fold(text.trim()).map(|(_, letter)| letter).collect()
}

/// Where a text holds the letters of a query: the byte at which they begin.
pub(super) fn find(text: &str, wanted: &[char]) -> Option<usize> {
    let (first, rest) = wanted.split_first()?;
    let mut letters = fold(text);
    while let Some((at, letter)) = letters.next() {
        if letter != *first {
            continue;
        }
        // What follows, read from the same place on; a letter may have become several.
        let mut ahead = fold(text.get(at..)?).map(|(_, letter)| letter);
        ahead.find(|letter| letter == first)?;
        if rest.iter().all(|letter| ahead.next() == Some(*letter)) {
            return Some(at);
        }
    }
    None
}

fn pack(a: char, b: char, c: Option<char>) -> u64 {
    let third = c.map_or(NONE, |c| u64::from(u32::from(c)));
    u64::from(u32::from(a)) << 42 | u64::from(u32::from(b)) << 21 | third
}

fn word(packed: u64) -> String {
    format!("{packed:x}")
}

/// Collects the words by which a stretch of text is found.
#[derive(Debug, Default)]
pub(super) struct Grams(Vec<u64>);

impl Grams {
    /// Adds a text; nothing is found across its ends.
    pub(super) fn add(&mut self, text: &str) {
        let mut before: (Option<char>, Option<char>) = (None, None);
        for (_, letter) in fold(text) {
            if let Some(last) = before.1 {
                self.0.push(pack(last, letter, None));
                if let Some(first) = before.0 {
                    self.0.push(pack(first, last, Some(letter)));
                }
            }
            before = (before.1, Some(letter));
        }
        if self.0.len() > 1 << 16 {
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        self.0.sort_unstable();
        self.0.dedup();
    }

    /// The words, each once, with blanks between.
    pub(super) fn into_words(mut self) -> String {
        self.tidy();
        let words: Vec<String> = self.0.into_iter().map(word).collect();
        words.join(" ")
    }
}

/// The words that a text with those letters has in the index.
pub(super) fn lookup(wanted: &[char]) -> Vec<String> {
    let mut packed: Vec<u64> = match wanted {
        [a, b] => vec![pack(*a, *b, None)],
        _ => wanted
            .windows(3)
            .filter_map(|three| match three {
                [a, b, c] => Some(pack(*a, *b, Some(*c))),
                _ => None,
            })
            .collect(),
    };
    packed.sort_unstable();
    packed.dedup();
    packed.truncate(WANTED);
    packed.into_iter().map(word).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str, query: &str) -> Option<usize> {
        find(text, &wanted(query))
    }

    #[test]
    fn case_and_the_kind_of_blank_do_not_matter_in_any_script() {
        assert_eq!(found("über GRÖSSE und İx", "größe"), None);
        assert_eq!(found("über GRÖßE", "Größe"), Some(6));
        assert_eq!(found("aab", "AB"), Some(1));
        assert_eq!(found("日本語ABC", "c"), Some(11));
        assert_eq!(found("日本語ABC", "本語"), Some(3));
        assert_eq!(found("ab", "abc"), None);
        assert_eq!(found("rate\r\n\t limit", " Rate LIMIT "), Some(0));
        assert_eq!(found("a\0b", "a\0b"), Some(0));
        assert_eq!(found("x İx", "i\u{307}x"), Some(2));
    }

    proptest! {
        #[test]
        fn what_is_in_a_text_is_found_and_has_its_words(
            before in "\\PC{0,12}", query in "[\\PC\n\0]{2,20}", after in "\\PC{0,12}",
        ) {
            let wanted = wanted(&query);
            prop_assume!(wanted.len() >= 2);
            let text = format!("{before}{}{after}", query.trim());
            prop_assert!(find(&text, &wanted).is_some());
            let mut grams = Grams::default();
            grams.add(&text);
            let words = grams.into_words();
            let words: Vec<&str> = words.split(' ').collect();
            for word in lookup(&wanted) {
                prop_assert!(words.contains(&word.as_str()), "{word}");
                prop_assert!(word.bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }
    }
}
