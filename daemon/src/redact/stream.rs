//! Redaction of text that arrives in pieces.

use std::collections::VecDeque;

use memchr::memmem;
use regex_automata::hybrid::dfa::Cache;
use regex_automata::{Anchored, Input};

use super::blob::{self, Content};
use super::engine::{Redactor, each_literal};
use super::entropy::{self, LOOK_BACK};
use super::rules::RULES;
use super::user::UserRules;

/// The most text that is held back. A private key of 16384 bits has less than half of it.
pub(super) const MAX_HELD: usize = 32 * 1024;
/// What has already gone out but is kept, because a rule looks at what stands before it.
const CONTEXT: usize = LOOK_BACK + 8;
/// So much of a long piece is taken at a time.
const PART: usize = 16 * 1024;
/// The last line of a private key begins so, and the longest that is one.
const KEY_END: &str = "-----END ";
const MARK_LIMIT: usize = 80;
/// Up to this much held text is looked at again with every piece.
const ALWAYS_SCAN: usize = 1024;

/// Redacts a stream: a secret that is split across pieces is caught, because text that may still
/// become one is held back, and nothing else is.
///
/// At most 32 KiB are held; a token that is longer is no known secret and goes out. Large pieces of
/// base64 are not held: they are digested as they come.
pub struct StreamRedactor {
    redactor: Redactor,
    /// What went out and is still looked at, then what is held.
    buffer: String,
    sent: usize,
    scanned: usize,
    /// Where the line of `sent` begins, for the rules of a person.
    anchor: usize,
    content: Option<Content>,
    /// Whether a private key that was too long to be held goes on.
    in_key: bool,
    caches: Vec<Option<Cache>>,
    /// Held bytes of each piece that is not complete, the oldest first.
    pieces: VecDeque<usize>,
    /// What has come out of the oldest piece.
    done: String,
    /// Whole pieces that came out.
    ready: Vec<String>,
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
            anchor: 0,
            content: None,
            in_key: false,
            caches: Vec::new(),
            pieces: VecDeque::new(),
            done: String::new(),
            ready: Vec::new(),
        }
    }

    /// Bytes that are held back at the moment.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.len() - self.sent
    }

    /// Takes a piece and returns what is safe to pass on, possibly nothing.
    pub fn push(&mut self, piece: &str) -> String {
        self.take(piece);
        let mut out = self.ready.concat();
        self.ready.clear();
        out.push_str(&std::mem::take(&mut self.done));
        out
    }

    /// Ends the stream and returns what was held back, redacted.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.end();
        let mut out = self.ready.concat();
        out.push_str(&self.done);
        out
    }

    /// Takes a piece and returns the pieces that are complete now, redacted, in their order: each
    /// piece that goes in comes out once. A placeholder stands in the piece in which its secret
    /// begins. Not to be mixed with [`StreamRedactor::push`].
    pub fn push_piece(&mut self, piece: &str) -> Vec<String> {
        self.take(piece);
        std::mem::take(&mut self.ready)
    }

    /// Ends the stream and returns the pieces that were not complete.
    #[must_use]
    pub fn finish_pieces(mut self) -> Vec<String> {
        self.end();
        self.ready
    }

    fn take(&mut self, mut piece: &str) {
        self.pieces.push_back(piece.len());
        if piece.is_empty() {
            self.close_pieces();
        }
        // What is taken out of the buffer moves the rest of it: that is not to be long.
        while !piece.is_empty() {
            let (part, rest) = piece.split_at(piece.floor_char_boundary(PART.min(piece.len())));
            self.feed(part);
            piece = rest;
        }
    }

    fn feed(&mut self, part: &str) {
        self.buffer.push_str(part);
        if !self.swallow_key() {
            return;
        }
        loop {
            if !self.swallow() {
                return;
            }
            // Looking at a long held text for every small piece would be quadratic.
            let grown = self.buffer.len() - self.scanned.max(self.sent);
            if self.held() > ALWAYS_SCAN && grown < self.held() / 8 && self.held() <= MAX_HELD {
                return;
            }
            if !self.begin_content() {
                break;
            }
        }
        let mut until = self.safe_end();
        if self.buffer.len() - until > MAX_HELD {
            self.in_key = is_private_key(&self.buffer[until..]);
            // A line that is cut off would not be seen to be of the key.
            let line = self
                .buffer
                .rfind('\n')
                .filter(|at| self.in_key && *at >= until);
            until = line.map_or(self.buffer.len(), |at| at + 1);
        }
        self.scanned = self.buffer.len();
        self.release(until);
    }

    /// Drops what is left of a private key that was too long to be held, up to its end or to what can be
    /// none of it. False: it may go on in the next piece.
    fn swallow_key(&mut self) -> bool {
        if !self.in_key {
            return true;
        }
        let is_body = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b'\r' | b'\n')
        };
        let rest = self.buffer[self.sent..].bytes();
        self.drop_held(rest.take_while(is_body).count());
        let rest = &self.buffer[self.sent..];
        if rest.is_empty() {
            return false;
        }
        let mark = rest.strip_prefix(KEY_END);
        let length = match mark.map(|mark| mark.find("-----")) {
            Some(Some(at)) => KEY_END.len() + at + 5,
            Some(None) if rest.len() < MARK_LIMIT => return false,
            None if KEY_END.starts_with(rest) => return false,
            _ => 0,
        };
        self.drop_held(length);
        self.in_key = false;
        true
    }

    /// Takes so many bytes out of what is held.
    fn drop_held(&mut self, length: usize) {
        self.emit(length, "");
        self.buffer.drain(self.sent..self.sent + length);
        self.scanned = self.scanned.min(self.sent);
    }

    fn end(&mut self) {
        self.swallow_key();
        while self.swallow() && self.begin_content() {}
        if let Some(content) = self.content.take() {
            self.emit(0, &content.placeholder());
        }
        self.release(self.buffer.len());
        if !self.pieces.is_empty() {
            self.ready.push(std::mem::take(&mut self.done));
            self.ready
                .extend(self.pieces.drain(1..).map(|_| String::new()));
            self.pieces.clear();
        }
    }

    /// Digests the content under way. False: it may go on in the next piece.
    fn swallow(&mut self) -> bool {
        let Some(mut content) = self.content.take() else {
            return true;
        };
        let taken = content.take(&self.buffer);
        self.pass(taken, "");
        if taken == self.buffer.len() {
            self.buffer.clear();
            self.content = Some(content);
            return false;
        }
        self.emit(0, &content.placeholder());
        self.buffer.drain(..taken);
        true
    }

    /// Looks for binary content and begins to digest it; what stands before goes out. What comes
    /// after is looked at as if nothing stood before it.
    fn begin_content(&mut self) -> bool {
        let Some(start) = blob::first(&self.buffer, self.sent) else {
            return false;
        };
        let rest = self.buffer.split_off(start.at);
        self.release(start.at);
        self.buffer = rest;
        (self.sent, self.scanned, self.anchor) = (0, 0, 0);
        self.content = Some(Content::new(start.mime));
        true
    }

    /// The first byte that may belong to a secret or content that is not complete.
    fn safe_end(&mut self) -> usize {
        let end = self.buffer.len();
        let mut open = self.redactor.cut_literal(&self.buffer, self.sent);
        if let Some(run) = entropy::open_run(&self.buffer, self.sent)
            && end - run < blob::LARGE
        {
            open = open.min(run);
        }
        if self.redactor.user().has_rules() {
            open = open.min(UserRules::open_line(&self.buffer, self.anchor));
        }
        let (buffer, caches) = (&self.buffer, &mut self.caches);
        caches.resize_with(RULES.len(), || None);
        each_literal(buffer, self.sent, |start, rule| {
            if start < open && may_go_on(rule, buffer, start, &mut caches[rule]) {
                open = start;
            }
        });
        // Not between a literal and the end of its secret: one of the two would be lost. From the
        // last to the first, for moving back may reach into the one before.
        let hits = self.redactor.hits(&self.buffer, self.sent, self.anchor);
        for hit in hits.iter().rev() {
            if hit.literal < open && hit.end > open {
                open = hit.literal;
            }
        }
        open.min(end).max(self.sent)
    }

    fn release(&mut self, until: usize) {
        let mut from = self.sent;
        for hit in self.redactor.hits(&self.buffer, self.sent, self.anchor) {
            if hit.start >= until {
                break;
            }
            self.literal(from, hit.start);
            let placeholder = self
                .redactor
                .placeholder(hit.finder, &self.buffer[hit.start..hit.end]);
            self.emit(hit.end - hit.start, &placeholder);
            from = hit.end;
        }
        // A match never reaches over `until`: `safe_end` moved it to the match's start.
        if from < until {
            self.literal(from, until);
        }
        self.sent = until.max(from);
        let mut keep = self.sent.saturating_sub(CONTEXT);
        if self.redactor.user().has_rules() {
            self.anchor = UserRules::open_line(&self.buffer[..self.sent], self.anchor);
            keep = keep.min(self.anchor);
        } else {
            self.anchor = self.sent;
        }
        let drop = self.buffer.floor_char_boundary(keep);
        self.buffer.drain(..drop);
        self.sent -= drop;
        self.anchor -= drop;
        self.scanned = self.scanned.saturating_sub(drop);
        self.close_pieces();
    }

    /// Lets a part of the buffer out as it is, each byte with its piece.
    fn literal(&mut self, mut from: usize, until: usize) {
        while from < until {
            self.close_pieces();
            let length = self
                .pieces
                .front()
                .map_or(until - from, |left| (*left).min(until - from));
            self.done.push_str(&self.buffer[from..from + length]);
            if let Some(left) = self.pieces.front_mut() {
                *left -= length;
            }
            from += length;
        }
    }

    /// Puts a placeholder in the place of so many bytes, into the piece in which they begin.
    fn emit(&mut self, length: usize, placeholder: &str) {
        if length > 0 {
            self.close_pieces();
        }
        self.pass(length, placeholder);
    }

    fn pass(&mut self, mut length: usize, placeholder: &str) {
        self.done.push_str(placeholder);
        while length > 0 {
            let Some(left) = self.pieces.front_mut() else {
                return;
            };
            let part = (*left).min(length);
            *left -= part;
            length -= part;
            if length > 0 {
                self.pieces.pop_front();
                self.ready.push(std::mem::take(&mut self.done));
            }
        }
    }

    /// Puts the pieces of which nothing is held to those that are ready.
    fn close_pieces(&mut self) {
        if self.content.is_some() {
            // The placeholder has no piece yet.
            return;
        }
        while self.pieces.front() == Some(&0) {
            self.pieces.pop_front();
            self.ready.push(std::mem::take(&mut self.done));
        }
    }
}

/// Whether a private key in PEM is open at the end of a text.
fn is_private_key(text: &str) -> bool {
    let Some(at) = text.rfind("-----BEGIN ") else {
        return false;
    };
    let line = &text.as_bytes()[at..text.len().min(at + MARK_LIMIT)];
    memmem::find(line, b"PRIVATE KEY").is_some() && !text[at..].contains(KEY_END)
}

/// Whether more text could make or lengthen a match of the rule that starts here.
fn may_go_on(rule: usize, text: &str, start: usize, cache: &mut Option<Cache>) -> bool {
    let Some(dfa) = RULES[rule].partial() else {
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
