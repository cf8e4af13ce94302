//! Lines out of a stream, and lines into one: bounded, in batches, safe to be interrupted.

use std::{
    io::{self, BufRead},
    mem,
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a buffer keeps when it is empty; more was for one long line.
const KEPT: usize = 64 << 10;
/// How much is read at a time.
const READ: usize = 16 << 10;

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// Its bytes.
    Whole(&'a [u8]),
    /// It was longer than the limit; it is gone.
    TooLong,
}

/// Reads lines.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: Vec<u8>,
    /// Where the first line begins that was not taken.
    start: usize,
    /// Up to where there is no line end.
    searched: usize,
    limit: usize,
    /// Whether the rest of a line that was too long is still to come.
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Reads lines up to that length, first from what was read before.
    pub(super) fn new(reader: R, read: Vec<u8>, limit: usize) -> Self {
        Self {
            reader,
            buffer: read,
            start: 0,
            searched: 0,
            limit,
            skipping: false,
        }
    }

    /// Waits for more bytes; 0 is the end. Nothing is lost when it is dropped while it waits.
    ///
    /// # Errors
    /// When the stream fails.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        self.make_room();
        self.reader.read_buf(&mut self.buffer).await
    }

    /// The next line of what was read; none when it is not complete.
    pub(super) fn take(&mut self) -> Option<Line<'_>> {
        loop {
            let from = self.searched.max(self.start);
            let Some(end) = line_end(self.buffer.get(from..)?).map(|at| from + at) else {
                self.searched = self.buffer.len();
                let open = self.searched - self.start;
                if self.skipping {
                    self.start = self.searched;
                } else if open > self.limit {
                    self.skipping = true;
                    self.start = self.searched;
                    return Some(Line::TooLong);
                }
                return None;
            };
            let begin = mem::replace(&mut self.start, end + 1);
            self.searched = self.start;
            if mem::take(&mut self.skipping) {
                continue;
            }
            if end - begin > self.limit {
                return Some(Line::TooLong);
            }
            return self.buffer.get(begin..end).map(Line::Whole);
        }
    }

    /// The last line, when the stream ended without an end of line.
    pub(super) fn rest(&self) -> &[u8] {
        if self.skipping {
            return &[];
        }
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn make_room(&mut self) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.buffer.shrink_to(KEPT);
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
        }
        self.searched -= self.start.min(self.searched);
        self.start = 0;
        // Grows by doubling, so that a long line is copied few times.
        self.buffer.reserve(READ);
    }
}

/// Where the first line ends; the search of the standard library is many bytes at a time.
fn line_end(mut bytes: &[u8]) -> Option<usize> {
    let all = bytes;
    let passed = bytes.skip_until(b'\n').ok()?;
    let last = passed.checked_sub(1)?;
    (all.get(last) == Some(&b'\n')).then_some(last)
}

/// Writes lines: one batch is under way while the next is collected.
#[derive(Debug)]
pub(super) struct Batches<W, M> {
    writer: W,
    next: Vec<u8>,
    current: Vec<u8>,
    /// How much of the current batch was written.
    at: usize,
    flushed: bool,
    next_marks: Vec<M>,
    marks: Vec<M>,
}

impl<W: AsyncWrite + Unpin, M> Batches<W, M> {
    /// Writes to that.
    pub(super) const fn new(writer: W) -> Self {
        Self {
            writer,
            next: Vec::new(),
            current: Vec::new(),
            at: 0,
            flushed: true,
            next_marks: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Puts a line at the end; its parts come without an end of line. The mark comes back when it
    /// was written.
    pub(super) fn put(&mut self, parts: &[&str], mark: Option<M>) {
        for part in parts {
            self.next.extend_from_slice(part.as_bytes());
        }
        self.next.push(b'\n');
        self.next_marks.extend(mark);
    }

    /// How many bytes wait.
    pub(super) fn waiting(&self) -> usize {
        self.next.len() + (self.current.len() - self.at)
    }

    /// Whether there is nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.flushed && self.waiting() == 0
    }

    /// Writes a piece; the marks of what was written completely. Nothing is lost or written twice
    /// when it is dropped while it waits.
    ///
    /// # Errors
    /// When the stream fails.
    pub(super) async fn write(&mut self) -> io::Result<Vec<M>> {
        if self.at == self.current.len() {
            if self.next.is_empty() {
                self.writer.flush().await?;
                self.flushed = true;
                return Ok(Vec::new());
            }
            self.current.clear();
            self.current.shrink_to(KEPT);
            mem::swap(&mut self.current, &mut self.next);
            mem::swap(&mut self.marks, &mut self.next_marks);
            self.at = 0;
            self.flushed = false;
        }
        let left = self.current.get(self.at..).unwrap_or_default();
        let written = self.writer.write(left).await?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.at += written;
        if self.at == self.current.len() {
            return Ok(mem::take(&mut self.marks));
        }
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(line: Option<Line<'_>>) -> Option<String> {
        match line? {
            Line::Whole(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            Line::TooLong => Some("(too long)".to_owned()),
        }
    }

    #[tokio::test]
    async fn long_lines_are_skipped_and_the_rest_is_read() {
        for chunk in [1, 3, 7, 100] {
            let text = "one\n\n".to_owned() + &"x".repeat(20) + "\ntwo\n0123456789\nend";
            let reader = tokio_test_chunks(text.into_bytes(), chunk);
            let mut lines = Lines::new(reader, Vec::new(), 10);
            let mut seen = Vec::new();
            while lines.fill().await.unwrap() > 0 {
                while let Some(line) = whole(lines.take()) {
                    seen.push(line);
                }
            }
            assert_eq!(
                seen,
                ["one", "", "(too long)", "two", "0123456789"],
                "{chunk}"
            );
            assert_eq!(lines.rest(), b"end");
        }
    }

    /// A reader that gives so many bytes at a time.
    fn tokio_test_chunks(bytes: Vec<u8>, chunk: usize) -> impl AsyncRead + Unpin {
        let (mut near, far) = tokio::io::duplex(chunk);
        tokio::spawn(async move { near.write_all(&bytes).await });
        far
    }

    #[tokio::test]
    async fn batches_keep_order_and_give_marks_when_all_is_written() {
        let (near, mut far) = tokio::io::duplex(4);
        let mut out = Batches::new(near);
        let reading = tokio::spawn(async move {
            let mut text = String::new();
            far.read_to_string(&mut text).await.map(|_| text)
        });
        let mut marks = Vec::new();
        for n in 0..50 {
            out.put(&["line ", &n.to_string()], Some(n));
            if n % 7 == 0 {
                // Interrupted: as when something else happened first.
                tokio::select! {
                    biased;
                    written = out.write() => marks.extend(written.unwrap()),
                    () = std::future::ready(()) => {}
                }
            }
        }
        while !out.is_idle() {
            marks.extend(out.write().await.unwrap());
        }
        drop(out);
        let text = reading.await.unwrap().unwrap();
        let expected: String = (0..50).map(|n| format!("line {n}\n")).collect();
        assert_eq!(text, expected);
        assert_eq!(marks, (0..50).collect::<Vec<_>>());
    }
}
