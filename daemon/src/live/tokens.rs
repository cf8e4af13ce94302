//! Tokens by which an agent's MCP connection says which session it serves.

use std::{
    collections::HashMap,
    fmt::Write as _,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use spectask_protocol::WorkSessionId;
use subtle::ConstantTimeEq;
use uuid::Uuid;

/// The tokens of the sessions that have one. They live as long as the daemon.
#[derive(Default)]
pub struct Tokens {
    known: Mutex<HashMap<WorkSessionId, String>>,
}

impl Tokens {
    fn known(&self) -> MutexGuard<'_, HashMap<WorkSessionId, String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token of a session, made when it has none: 64 hexadecimal digits.
    #[must_use]
    pub fn issue(&self, session: &WorkSessionId) -> String {
        self.known()
            .entry(session.clone())
            .or_insert_with(fresh)
            .clone()
    }

    /// The session whose token this is; takes as long for a wrong one as for a right one.
    #[must_use]
    pub fn session(&self, token: &str) -> Option<WorkSessionId> {
        let mut found = None;
        for (session, known) in self.known().iter() {
            if bool::from(known.as_bytes().ct_eq(token.as_bytes())) {
                found = Some(session.clone());
            }
        }
        found
    }

    /// Makes a session's token worthless.
    pub fn revoke(&self, session: &WorkSessionId) {
        self.known().remove(session);
    }
}

fn fresh() -> String {
    let mut hash = Sha256::new();
    // Each brings 74 random bits of the system's.
    for _ in 0..4 {
        hash.update(Uuid::now_v7().as_bytes());
    }
    hash.finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}
