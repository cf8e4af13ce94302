//! The streams of all sessions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use spectask_protocol::WorkSessionId;
use tokio::{runtime::Handle, sync::Semaphore};

use super::{
    editors::Editors,
    stream::{Common, Limits, Stream},
    tokens::Tokens,
};
use crate::{
    redact::Redactor,
    store::{Store, StoreError},
};

/// A stream that nobody watches and nothing happens in is let go after this long.
const KEPT: Duration = Duration::from_secs(600);
/// Pages of transcripts that are read at once; each takes a database connection.
const READS: usize = 4;

/// What happens now: streams, tokens, editors.
pub struct Live {
    common: Arc<Common>,
    streams: Mutex<HashMap<WorkSessionId, Arc<Stream>>>,
    tokens: Tokens,
    editors: Editors,
}

impl Live {
    /// Starts with no streams, which will be recorded in a store.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self::with(store, Limits::default())
    }

    pub(super) fn with(store: Store, limits: Limits) -> Self {
        Self {
            common: Arc::new(Common {
                store,
                runtime: Handle::current(),
                limits,
                pages: Semaphore::new(READS),
            }),
            streams: Mutex::default(),
            tokens: Tokens::default(),
            editors: Editors::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn common_store(&self) -> &Store {
        &self.common.store
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<WorkSessionId, Arc<Stream>>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The stream of a session, made when there is none; `redactor` replaces the one before when
    /// given. Without any, the known formats of secrets are still found.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stream(
        &self,
        session: &WorkSessionId,
        redactor: Option<Redactor>,
    ) -> Result<Arc<Stream>, StoreError> {
        let mut streams = self.streams();
        if let Some(stream) = streams.get(session) {
            if let Some(redactor) = redactor {
                stream.queue.set_redactor(redactor);
            }
            return Ok(Arc::clone(stream));
        }
        let kept = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp::now().as_millisecond().saturating_sub(kept);
        streams.retain(|_, stream| Arc::strong_count(stream) > 1 || !stream.is_idle(since));
        let store = &self.common.store;
        let next = store.read(|read| read.transcript_next(session))?;
        let redactor = redactor.unwrap_or_else(|| Redactor::without_variables().clone());
        let stream = Stream::new(Arc::clone(&self.common), session.clone(), next, redactor);
        streams.insert(session.clone(), Arc::clone(&stream));
        Ok(stream)
    }

    /// The stream of a session, if there is one now.
    #[must_use]
    pub fn get(&self, session: &WorkSessionId) -> Option<Arc<Stream>> {
        self.streams().get(session).map(Arc::clone)
    }

    /// Waits until everything that came before is committed, in every stream.
    pub async fn flush(&self) {
        let streams: Vec<_> = self.streams().values().map(Arc::clone).collect();
        for stream in streams {
            stream.flush().await;
        }
    }

    /// The tokens of sessions.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The attached editors.
    #[must_use]
    pub fn editors(&self) -> &Editors {
        &self.editors
    }
}
