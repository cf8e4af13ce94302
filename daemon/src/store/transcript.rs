//! The transcript: what agents and people said and did, append-only, redacted before it comes here.

use std::ops::Range;

use rusqlite::{OptionalExtension, params};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use spectask_protocol::{TranscriptEntry, WorkSessionId};

use super::{Read, StoreError, Write, event::rfc3339};

/// Strings of a frame that are longer go to content-addressed blobs.
const BLOB_FROM: usize = 64 * 1024;

/// The member of an object that stands for a string kept as a blob.
pub(super) const BLOB_KEY: &str = "$blob";

/// Cheap and near the best ratio for short JSON.
const ZSTD_LEVEL: i32 = 3;

/// A frame of the transcript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Milliseconds since the Unix epoch.
    pub at: i64,
    /// `to_agent`, `from_agent` or `daemon`.
    pub direction: String,
    /// The redacted frame.
    pub frame: Value,
}

impl Read<'_> {
    /// Entries of a session's transcript from an index on, at most `limit`.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub fn transcript(
        &self,
        session: &WorkSessionId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        self.entries(session, from..u64::MAX, limit as usize, usize::MAX)
    }

    /// Entries of a session's transcript whose indexes are in a range: whole batches, until their
    /// text is longer than `bytes`. Nothing means that the range holds nothing more.
    ///
    /// # Errors
    /// When the database fails or a row is damaged.
    pub fn transcript_page(
        &self,
        session: &WorkSessionId,
        range: Range<u64>,
        bytes: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        self.entries(session, range, usize::MAX, bytes)
    }

    /// The index after the newest recorded entry of a session.
    ///
    /// # Errors
    /// When the database fails.
    pub fn transcript_next(&self, session: &WorkSessionId) -> Result<u64, StoreError> {
        let mut statement = self.0.prepare_cached(
            "SELECT coalesce(max(first_index + count), 0) FROM transcript
             WHERE session = ?1 AND first_index =
                 (SELECT max(first_index) FROM transcript WHERE session = ?1)",
        )?;
        Ok(statement.query_row([session.as_str()], |row| row.get(0))?)
    }

    fn entries(
        &self,
        session: &WorkSessionId,
        range: Range<u64>,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<TranscriptEntry>, StoreError> {
        // SQLite's integers end there.
        let last = i64::MAX as u64;
        let (from, until) = (range.start.min(last), range.end.min(last));
        let start: u64 = self
            .0
            .query_row(
                "SELECT first_index FROM transcript WHERE session = ?1 AND first_index <= ?2
                 ORDER BY first_index DESC LIMIT 1",
                params![session.as_str(), from],
                |row| row.get(0),
            )
            .optional()?
            .unwrap_or(0);
        let mut statement = self.0.prepare_cached(
            "SELECT first_index, frames FROM transcript
             WHERE session = ?1 AND first_index >= ?2 AND first_index < ?3 ORDER BY first_index",
        )?;
        let mut rows = statement.query(params![session.as_str(), start, until])?;
        let mut entries = Vec::new();
        let mut size = 0;
        while size < bytes
            && let Some(row) = rows.next()?
        {
            let first: u64 = row.get(0)?;
            let text = unpack(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            for (index, mut frame) in (first..).zip(decode(&text)?) {
                if index < from || index >= until {
                    continue;
                }
                if entries.len() == limit {
                    return Ok(entries);
                }
                size += self.restore_blobs(&mut frame.frame)?;
                entries.push(TranscriptEntry {
                    index,
                    at: rfc3339(frame.at),
                    direction: frame.direction,
                    frame: frame.frame,
                });
            }
            if !entries.is_empty() {
                size += text.len();
            }
        }
        Ok(entries)
    }

    /// Puts blobs back into a frame; returns the length of their text.
    fn restore_blobs(&self, value: &mut Value) -> Result<usize, StoreError> {
        match value {
            Value::Object(fields) => {
                if let Some((key, escaped)) = only(fields)
                    && key.len() > BLOB_KEY.len()
                {
                    let mut inner = escaped.take();
                    let length = self.restore_blobs(&mut inner)?;
                    *value = serde_json::json!({ &key[1..]: inner });
                    return Ok(length);
                }
                if fields.len() == 1
                    && let Some(Value::String(digest)) = fields.get(BLOB_KEY)
                {
                    let Some(text) = self.blob(digest)? else {
                        return Ok(0);
                    };
                    let length = text.len();
                    *value = Value::String(text);
                    return Ok(length);
                }
                fields
                    .values_mut()
                    .try_fold(0, |sum, field| Ok(sum + self.restore_blobs(field)?))
            }
            Value::Array(items) => items
                .iter_mut()
                .try_fold(0, |sum, item| Ok(sum + self.restore_blobs(item)?)),
            _ => Ok(0),
        }
    }

    fn blob(&self, digest: &str) -> Result<Option<String>, StoreError> {
        let packed: Option<Vec<u8>> = self
            .0
            .query_row("SELECT data FROM blob WHERE digest = ?1", [digest], |row| {
                row.get(0)
            })
            .optional()?;
        packed
            .map(|packed| {
                let text = zstd::decode_all(packed.as_slice())
                    .map_err(|error| StoreError::during("unpack a blob", &error))?;
                Ok(String::from_utf8_lossy(&text).into_owned())
            })
            .transpose()
    }
}

impl Write<'_> {
    /// Appends a batch of frames to a session's transcript as one row; `first` is the index of the
    /// first, the others follow it. Indexes may be left out between batches.
    ///
    /// # Errors
    /// [`StoreError::Overlap`] when an index from `first` on is taken; when the database fails.
    pub fn append_transcript(
        &self,
        session: &WorkSessionId,
        first: u64,
        mut frames: Vec<Frame>,
    ) -> Result<(), StoreError> {
        if frames.is_empty() {
            return Ok(());
        }
        let next = self.transcript_next(session)?;
        if first < next {
            return Err(StoreError::Overlap {
                session: session.clone(),
                first,
                next,
            });
        }
        for frame in &mut frames {
            self.take_blobs(&mut frame.frame)?;
        }
        let text = serde_json::to_vec(&frames)
            .map_err(|error| StoreError::during("encode the transcript", &error))?;
        let packed = zstd::encode_all(text.as_slice(), ZSTD_LEVEL)
            .map_err(|error| StoreError::during("pack the transcript", &error))?;
        self.run(
            "INSERT INTO transcript (session, first_index, count, frames)
             VALUES (?1, ?2, ?3, ?4)",
            params![
                session.as_str(),
                first,
                i64::try_from(frames.len()).unwrap_or(i64::MAX),
                packed
            ],
        )?;
        Ok(())
    }

    fn take_blobs(&self, value: &mut Value) -> Result<(), StoreError> {
        match value {
            Value::String(text) if text.len() > BLOB_FROM => {
                let digest: String = Sha256::digest(text.as_bytes())
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect();
                let packed = zstd::encode_all(text.as_bytes(), ZSTD_LEVEL)
                    .map_err(|error| StoreError::during("pack a blob", &error))?;
                self.run(
                    "INSERT OR IGNORE INTO blob (digest, size, data) VALUES (?1, ?2, ?3)",
                    params![
                        digest,
                        i64::try_from(text.len()).unwrap_or(i64::MAX),
                        packed
                    ],
                )?;
                *value = serde_json::json!({ BLOB_KEY: digest });
                Ok(())
            }
            Value::Object(fields) => {
                if let Some((key, inner)) = only(fields) {
                    let mut inner = inner.take();
                    self.take_blobs(&mut inner)?;
                    *value = serde_json::json!({ format!("${key}"): inner });
                    return Ok(());
                }
                fields
                    .values_mut()
                    .try_for_each(|field| self.take_blobs(field))
            }
            Value::Array(items) => items.iter_mut().try_for_each(|item| self.take_blobs(item)),
            _ => Ok(()),
        }
    }
}

/// The field of an object that looks as if a blob had been taken out of it. One that an agent sends is no
/// such object: it is kept with one more `$`.
fn only(fields: &mut serde_json::Map<String, Value>) -> Option<(String, &mut Value)> {
    if fields.len() != 1 {
        return None;
    }
    let (key, value) = fields.iter_mut().next()?;
    let start = key.strip_suffix(BLOB_KEY)?;
    start
        .bytes()
        .all(|byte| byte == b'$')
        .then(|| (key.clone(), value))
}

/// The frames of a row, with blobs as they are named in it.
pub(super) fn frames(packed: &[u8]) -> Result<Vec<Frame>, StoreError> {
    decode(&unpack(packed)?)
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    zstd::decode_all(packed).map_err(|error| StoreError::during("unpack the transcript", &error))
}

fn decode(text: &[u8]) -> Result<Vec<Frame>, StoreError> {
    serde_json::from_slice(text)
        .map_err(|error| StoreError::during("decode the transcript", &error))
}
