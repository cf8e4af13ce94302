//! A criterion as words and keywords.

use std::ops::Range;

use super::ears::EarsPattern;
use super::vague::is_vague;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    // In the order in which EARS wants them.
    Where,
    While,
    When,
    If,
    Then,
    The,
    Shall,
    Modal,
}

impl Keyword {
    fn of(word: &str) -> Option<Self> {
        const WORDS: [(&str, Keyword); 11] = [
            ("where", Keyword::Where),
            ("while", Keyword::While),
            ("when", Keyword::When),
            ("if", Keyword::If),
            ("then", Keyword::Then),
            ("the", Keyword::The),
            ("shall", Keyword::Shall),
            ("must", Keyword::Modal),
            ("should", Keyword::Modal),
            ("will", Keyword::Modal),
            ("may", Keyword::Modal),
        ];
        WORDS
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map(|(_, kind)| kind)
    }

    pub(super) fn is_condition(self) -> bool {
        matches!(self, Self::Where | Self::While | Self::When | Self::If)
    }

    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Where => 0,
            Self::While => 1,
            _ => 2,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) keyword: Keyword,
    pub(super) range: Range<usize>,
    pub(super) upper: bool,
    /// First word of the criterion, or after a comma.
    starts_clause: bool,
    pub(super) first: bool,
}

/// A criterion taken apart.
pub(super) struct Sentence<'a> {
    pub(super) text: &'a str,
    /// Whether its keywords are the ones in capitals.
    pub(super) capitals: bool,
    pub(super) tokens: Vec<Token>,
    pub(super) vague: Vec<Range<usize>>,
    pub(super) shall: Option<usize>,
}

impl<'a> Sentence<'a> {
    pub(super) fn read(text: &'a str) -> Self {
        let mut tokens: Vec<Token> = Vec::new();
        let mut vague = Vec::new();
        let mut first = true;
        for range in Words::new(text) {
            let word = &text[range.clone()];
            if let Some(keyword) = Keyword::of(word) {
                let before =
                    text[..range.start].trim_end_matches([' ', '*', '_', '\n', '\r', '\t']);
                tokens.push(Token {
                    keyword,
                    upper: word.bytes().all(|byte| byte.is_ascii_uppercase()),
                    starts_clause: first || before.ends_with([',', '，', '、', ';', '；']),
                    first,
                    range,
                });
            } else if is_vague(word) {
                vague.push(range);
            }
            first = false;
        }
        let capitals = tokens.iter().any(|token| {
            token.upper
                && (token.keyword == Keyword::Shall || token.first && token.keyword.is_condition())
        });
        let is_shall = |token: &Token| token.keyword == Keyword::Shall;
        let shall = tokens
            .iter()
            .position(|token| is_shall(token) && token.upper == capitals)
            .or_else(|| tokens.iter().position(is_shall));
        Self {
            text,
            capitals,
            tokens,
            vague,
            shall,
        }
    }

    /// What stands before SHALL.
    pub(super) fn before(&self) -> &[Token] {
        &self.tokens[..self.shall.unwrap_or(self.tokens.len())]
    }

    pub(super) fn conditions(&self) -> impl DoubleEndedIterator<Item = &Token> {
        self.before().iter().filter(|token| {
            token.keyword.is_condition()
                && (token.first
                    || if self.capitals {
                        token.upper
                    } else {
                        token.starts_clause
                    })
        })
    }

    pub(super) fn pattern(&self) -> EarsPattern {
        if self.shall.is_none() && !obliges(self.text) {
            return EarsPattern::None;
        }
        let mut pattern = EarsPattern::Ubiquitous;
        for token in self.conditions() {
            let this = match token.keyword {
                Keyword::Where => EarsPattern::OptionalFeature,
                Keyword::While => EarsPattern::StateDriven,
                Keyword::If => EarsPattern::UnwantedBehaviour,
                _ => EarsPattern::EventDriven,
            };
            pattern = if pattern == EarsPattern::Ubiquitous || pattern == this {
                this
            } else {
                EarsPattern::Complex
            };
        }
        pattern
    }

    /// THEN before SHALL, as a keyword.
    pub(super) fn then(&self) -> Option<&Token> {
        let mut found = self
            .before()
            .iter()
            .filter(|token| token.keyword == Keyword::Then);
        if self.capitals {
            // Kiro's own documents also have "WHEN …, then THE x SHALL".
            found.rfind(|token| token.upper || token.starts_clause)
        } else {
            found.next_back()
        }
    }
}

/// Chinese and Japanese words of obligation, for documents without the English keyword.
fn obliges(text: &str) -> bool {
    !text.is_ascii()
        && [
            "必须",
            "應該",
            "应当",
            "应该",
            "必須",
            "しなければならない",
            "すること",
            "ものとする",
        ]
        .iter()
        .any(|word| text.contains(word))
}

/// The words of a text outside `code` and "quotes", as byte ranges. A word is a run of ASCII
/// letters and digits, with `-`, `_`, `'` inside it.
struct Words<'a> {
    pub(super) text: &'a str,
    at: usize,
    /// For ` and ": whether a closing mark can still be found.
    closes: [bool; 2],
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            closes: [true; 2],
        }
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let bytes = self.text.as_bytes();
        loop {
            let byte = *bytes.get(self.at)?;
            match byte {
                b'`' | b'"' => {
                    let mark = usize::from(byte == b'"');
                    let rest = &bytes[self.at + 1..];
                    let close = self.closes[mark]
                        .then(|| rest.iter().position(|&b| b == byte))
                        .flatten();
                    self.closes[mark] = close.is_some();
                    self.at += close.map_or(1, |close| close + 2);
                }
                _ if byte.is_ascii_alphanumeric() => {
                    let start = self.at;
                    let inside =
                        |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'\'');
                    let end = start + bytes[start..].iter().take_while(|b| inside(b)).count();
                    self.at = end;
                    let word = self.text[start..end].trim_end_matches(['-', '_', '\'']);
                    return Some(start..start + word.len());
                }
                _ => self.at += 1,
            }
        }
    }
}
