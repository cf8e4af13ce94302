//! Removes what nobody needs any more: `spectask gc`, and worktrees of finished SpecTasks by itself.
//!
//! `worktrees` and `branches` are of SpecTasks that are done or cancelled; `data` is the database and
//! the log. Each thing is looked at, then removed by itself, so that a crash leaves the rest to the next
//! time. Nothing goes that is in no branch and no ref: it is saved under `refs/spectask/wip/…` first,
//! and read back; and what cannot be judged stays, with the reason.

mod branches;
mod data;
#[cfg(test)]
mod tests;
mod worktrees;

use std::time::Duration;

use spectask_protocol::{GcItem, GcView};

pub use self::data::{DRAFT_LIFE, forget_drafts};
use super::context::Shared;
use crate::store::StoreError;

/// How long after a change finished SpecTasks are looked for.
const CALM: Duration = Duration::from_secs(60);

/// What is looked at, and whether it is removed.
struct Garbage {
    dry_run: bool,
    /// Whether a person reads it: sizes, and what is nobody's, are looked at for people only.
    told: bool,
    items: Vec<GcItem>,
}

impl Garbage {
    fn new(dry_run: bool, told: bool) -> Self {
        Self {
            dry_run,
            told,
            items: Vec::new(),
        }
    }

    fn removed(&mut self, kind: &str, name: impl Into<String>, bytes: u64) -> &mut GcItem {
        let outcome = if self.dry_run {
            "would_remove"
        } else {
            "removed"
        };
        self.item(kind, name.into(), outcome, bytes, None)
    }

    fn kept(&mut self, kind: &str, name: impl Into<String>, bytes: u64, reason: impl Into<String>) {
        self.item(kind, name.into(), "kept", bytes, Some(reason.into()));
    }

    fn item(
        &mut self,
        kind: &str,
        name: String,
        outcome: &str,
        bytes: u64,
        reason: Option<String>,
    ) -> &mut GcItem {
        self.items.push(GcItem {
            kind: kind.into(),
            name,
            outcome: outcome.into(),
            bytes,
            saved: None,
            saved_commit: None,
            reason,
        });
        let last = self.items.len() - 1;
        &mut self.items[last]
    }
}

/// Removes what nobody needs any more, or tells in a dry run what it would remove.
///
/// # Errors
/// When the database fails. What else fails is kept, with the reason.
pub async fn collect_garbage(ctx: &Shared, dry_run: bool) -> Result<GcView, StoreError> {
    let _alone = ctx.cleaning.lock().await;
    let mut garbage = Garbage::new(dry_run, true);
    worktrees::collect(ctx, &mut garbage).await?;
    branches::collect(ctx, &mut garbage).await?;
    data::collect(ctx, &mut garbage).await?;
    let gone = garbage.items.iter().filter(|item| item.outcome != "kept");
    Ok(GcView {
        dry_run,
        bytes: gone.map(|item| item.bytes).sum(),
        items: garbage.items,
    })
}

/// Removes the worktrees of SpecTasks some time after they are finished, until it is dropped.
pub async fn keep_tidy(ctx: Shared) {
    let mut committed = ctx.store.committed();
    loop {
        tokio::time::sleep(CALM).await;
        committed.mark_unchanged();
        let mut garbage = Garbage::new(false, false);
        let alone = ctx.cleaning.lock().await;
        if let Err(error) = worktrees::collect(&ctx, &mut garbage).await {
            tracing::warn!(%error, "worktrees of finished tasks were not looked for");
        }
        drop(alone);
        for item in garbage.items {
            match &item.reason {
                Some(reason) => tracing::debug!(worktree = item.name, reason, "kept"),
                None => tracing::info!(worktree = item.name, saved = item.saved, "removed"),
            }
        }
        if committed.changed().await.is_err() {
            return;
        }
    }
}
