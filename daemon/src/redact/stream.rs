//! Redaction of text that arrives in pieces.

use regex_automata::hybrid::dfa::Cache;
use regex_automata::{Anchored, Input};

use super::engine::{Owner, Redactor};
use super::rules::COMPILED;

/// The most text that is held back. A private key of 16384 bits has less than half of it.
pub(super) const MAX_HELD: usize = 32 * 1024;
/// What has already gone out but is kept, because a rule looks at what stands before it.
const CONTEXT: usize = 16;
/// Up to this much held text is looked at again with every piece.
const ALWAYS_SCAN: usize = 1024;

/// Redacts a stream: a secret that is split across pieces is caught, because text that may still
/// become one is held back, and nothing else is.
///
/// At most 32 KiB are held; a token that is longer is no known secret and goes out.
pub struct StreamRedactor {
    redactor: Redactor,
    /// Up to `CONTEXT` bytes that went out, then what is held.
    buffer: String,
    sent: usize,
    scanned: usize,
    caches: Vec<Option<Cache>>,
}

impl std::fmt::Debug for StreamRedactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the text: it may be the start of a secret.
        f.debug_struct("StreamRedactor")
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

impl StreamRedactor {
    /// Starts a stream.
    #[must_use]
    pub fn new(redactor: Redactor) -> Self {
        Self {
            redactor,
            buffer: String::new(),
            sent: 0,
            scanned: 0,
            caches: Vec::new(),
        }
    }

    /// Bytes that are held back at the moment.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Takes a piece and returns what is safe to pass on, possibly nothing.
    pub fn push(&mut self, piece: &str) -> String {
        self.buffer.push_str(piece);
        // Looking at a long held text for every small piece would be quadratic.
        let grown = self.buffer.len() - self.scanned.max(self.sent);
        if self.held() > ALWAYS_SCAN && grown < self.held() / 8 && self.held() <= MAX_HELD {
            return String::new();
        }
        let mut until = self.safe_end();
        if self.buffer.len() - until > MAX_HELD {
            until = self.buffer.len();
        }
        self.scanned = self.buffer.len();
        self.release(until)
    }

    /// Ends the stream and returns what was held back, redacted.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.release(self.buffer.len())
    }

    /// The first byte that may belong to a secret that is not complete.
    fn safe_end(&mut self) -> usize {
        let end = self.buffer.len();
        let mut open = self.redactor.cut_literal(&self.buffer, self.sent);
        let (buffer, caches) = (&self.buffer, &mut self.caches);
        caches.resize_with(COMPILED.len(), || None);
        self.redactor
            .each_literal(buffer, self.sent, |start, _, _, owner| {
                if let Owner::Rule(rule) = owner
                    && start < open
                    && may_go_on(rule, buffer, start, &mut caches[rule])
                {
                    open = start;
                }
            });
        // Not between a literal and the end of its secret: one of the two would be lost. From the
        // last to the first, for moving back may reach into the one before.
        let located = self.redactor.located_from(&self.buffer, self.sent);
        for (literal, found) in located.iter().rev() {
            if *literal < open && found.end > open {
                open = *literal;
            }
        }
        open.min(end)
    }

    fn release(&mut self, until: usize) -> String {
        let mut out = String::new();
        let mut from = self.sent;
        for found in self.redactor.find_from(&self.buffer, self.sent) {
            if found.start >= until {
                break;
            }
            out.push_str(&self.buffer[from..found.start]);
            let secret = &self.buffer[found.start..found.end];
            self.redactor.placeholder(&found.rule, secret, &mut out);
            from = found.end;
        }
        // A match never reaches over `until`: `safe_end` moved it to the match's start.
        if from < until {
            out.push_str(&self.buffer[from..until]);
        }
        self.sent = until.max(from);
        let drop = self
            .buffer
            .floor_char_boundary(self.sent.saturating_sub(CONTEXT));
        self.buffer.drain(..drop);
        self.sent -= drop;
        self.scanned = self.scanned.saturating_sub(drop);
        out
    }
}

/// Whether more text could make or lengthen a match of the rule that starts here.
fn may_go_on(rule: usize, text: &str, start: usize, cache: &mut Option<Cache>) -> bool {
    let Some(dfa) = COMPILED[rule].partial() else {
        return false;
    };
    let cache = cache.get_or_insert_with(|| dfa.create_cache());
    let input = Input::new(text).range(start..).anchored(Anchored::Yes);
    let Ok(mut state) = dfa.start_state_forward(cache, &input) else {
        return true;
    };
    for &byte in &text.as_bytes()[start..] {
        match dfa.next_state(cache, state, byte) {
            Ok(next) if next.is_dead() => return false,
            Ok(next) if next.is_quit() => return true,
            Ok(next) => state = next,
            Err(_) => return true,
        }
    }
    true
}
