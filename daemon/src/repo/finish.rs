//! Bringing a finished branch home: the one place that may change the user's checkout, for a user
//! who asked for it.

use std::path::{Path, PathBuf};

use super::changes::split;
use super::git::Git;
use super::names::branch_ref;
use super::{Author, ChangeKind, CommitMessage, Merge, RepoError, Repository, Result};

/// What came of [`Repository::finish_merge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FinishOutcome {
    /// The target branch has the work now.
    Merged {
        /// The merge commit.
        commit: String,
        /// The checkout whose files were brought up to date; `None` when the target was
        /// checked out nowhere.
        checkout: Option<PathBuf>,
    },
    /// The target branch had it already.
    AlreadyContained,
    /// Nothing was changed: both sides changed the same lines.
    Conflict {
        /// The files, sorted.
        paths: Vec<String>,
    },
    /// Nothing was changed: the target is checked out with uncommitted changes.
    Dirty {
        /// That checkout.
        checkout: PathBuf,
        /// The changed files.
        paths: Vec<String>,
    },
}

impl Repository {
    /// Merges `branch` into `target` (names without `refs/heads/`), always with a merge commit.
    ///
    /// Where `target` is checked out, `git merge` runs there, hooks included, if no tracked file is
    /// changed; a merge that fails is undone. Otherwise it happens in memory and the branch
    /// moves by compare-and-swap.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] for a branch that does not exist, [`RepoError::CommitRefused`]
    /// when git or a hook refused (untracked files in the way, for example), [`RepoError::InTheWay`]
    /// when another merge or rebase is unfinished there; nothing is changed then.
    pub fn finish_merge(
        &self,
        branch: &str,
        target: &str,
        message: &CommitMessage,
    ) -> Result<FinishOutcome> {
        let source = branch_ref(branch)?;
        let tip = self.existing_branch(branch)?;
        let base = self.existing_branch(target)?;
        if self.is_ancestor(&tip, &base)? {
            return Ok(FinishOutcome::AlreadyContained);
        }
        if let Some(checkout) = self.checked_out_at(target)? {
            return self.merge_in_checkout(&checkout, &source, target, message);
        }
        Ok(match self.merge(&base, &tip, message, &Author::User)? {
            Merge::AlreadyContained => FinishOutcome::AlreadyContained,
            Merge::Conflict { paths } => FinishOutcome::Conflict { paths },
            Merge::Merged { commit, .. } => {
                let reason = format!("merge {branch}");
                self.update_ref(&branch_ref(target)?, &commit, Some(&base), &reason, &[])?;
                FinishOutcome::Merged {
                    commit,
                    checkout: None,
                }
            }
        })
    }

    fn existing_branch(&self, branch: &str) -> Result<String> {
        self.branch_tip(branch)?
            .ok_or_else(|| RepoError::UnknownRevision {
                rev: branch.to_owned(),
                shallow: false,
            })
    }

    fn merge_in_checkout(
        &self,
        checkout: &Path,
        source: &str,
        target: &str,
        message: &CommitMessage,
    ) -> Result<FinishOutcome> {
        let entry = self.entry(checkout)?;
        let unfinished = [
            "MERGE_HEAD",
            "CHERRY_PICK_HEAD",
            "REVERT_HEAD",
            "rebase-merge",
            "rebase-apply",
        ]
        .iter()
        .any(|name| entry.admin.join(name).exists());
        if unfinished || entry.branch.as_deref() != Some(target) {
            return Err(RepoError::InTheWay {
                path: entry.path,
                why: "a merge, rebase or cherry-pick is unfinished there".to_owned(),
            });
        }
        let paths: Vec<String> = self
            .changes(&entry.path)?
            .into_iter()
            .filter(|change| {
                !matches!(
                    change.kind,
                    ChangeKind::Untracked | ChangeKind::InnerRepository
                )
            })
            .map(|change| change.path)
            .collect();
        if !paths.is_empty() {
            return Ok(FinishOutcome::Dirty {
                checkout: entry.path,
                paths,
            });
        }
        let (name, email) = self.identity()?;
        let text = message.text();
        let answer = Git::write(&self.environment, &entry.path, "merge into", target)
            .variable("GIT_AUTHOR_NAME", &name)
            .variable("GIT_AUTHOR_EMAIL", &email)
            .variable("GIT_COMMITTER_NAME", &name)
            .variable("GIT_COMMITTER_EMAIL", &email)
            // `branch.<name>.mergeOptions` may say otherwise.
            .args([
                "merge",
                "-q",
                "--no-ff",
                "--commit",
                "--no-squash",
                "--no-edit",
                "--no-stat",
            ])
            .args([
                "--no-autostash",
                "--cleanup=whitespace",
                "-m",
                text.trim_end(),
                source,
            ])
            .answer();
        let conflicts = match &answer {
            Ok(answer) if answer.code == Some(0) => {
                let commit = self.head_of(&entry.path)?.commit;
                return Ok(FinishOutcome::Merged {
                    commit,
                    checkout: Some(entry.path),
                });
            }
            // Another command is at work there; there is no merge of ours to undo.
            Err(RepoError::Locked { .. }) => Vec::new(),
            _ => {
                let unmerged = Git::read(&self.environment, &entry.path, "look at", target)
                    .args([
                        "diff",
                        "--name-only",
                        "--no-renames",
                        "--diff-filter=U",
                        "-z",
                    ])
                    .run()?;
                if entry.admin.join("MERGE_HEAD").exists() {
                    Git::write(
                        &self.environment,
                        &entry.path,
                        "undo the merge into",
                        target,
                    )
                    .args(["merge", "--abort"])
                    .run()?;
                }
                split(&unmerged)
            }
        };
        let answer = answer?;
        if conflicts.is_empty() {
            return Err(RepoError::CommitRefused {
                path: entry.path,
                stderr: answer.stderr,
            });
        }
        Ok(FinishOutcome::Conflict { paths: conflicts })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::*;

    fn prepared(fixture: &Fixture, path: &str, text: &str) {
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        let files = [(path.to_owned(), text.as_bytes().to_vec())];
        let commit = repository
            .commit_files(&base, &files, &CommitMessage::new("work"), &Author::User)
            .unwrap();
        repository
            .update_ref("refs/heads/specs/7-x", &commit, None, "work", &[])
            .unwrap();
    }

    fn message() -> CommitMessage {
        CommitMessage::new("Merge specs/7-x").trailer("Spec-Task", "7-x")
    }

    #[test]
    fn a_clean_checkout_is_brought_up_to_date_and_untracked_files_stay() {
        let fixture = Fixture::new();
        prepared(&fixture, "new.txt", "x");
        fs::write(fixture.repo_dir().join("notes"), "mine").unwrap();
        fixture.git(
            fixture.repo_dir(),
            &["config", "branch.main.mergeOptions", "--squash --no-commit"],
        );
        let repository = fixture.repository();
        let outcome = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap();
        let FinishOutcome::Merged { commit, checkout } = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(checkout.as_deref(), Some(repository.root()));
        let info = &repository.commits(None, &commit).unwrap()[0];
        assert_eq!(
            (info.parents.len(), info.trailer("Spec-Task")),
            (2, Some("7-x"))
        );
        assert!(fixture.repo_dir().join("new.txt").exists());
        assert_eq!(
            fixture.git(fixture.repo_dir(), &["status", "--porcelain"]),
            "?? notes"
        );
        let again = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap();
        assert_eq!(again, FinishOutcome::AlreadyContained);
    }

    #[test]
    fn changes_of_the_user_are_never_mixed_in() {
        let fixture = Fixture::new();
        prepared(&fixture, "new.txt", "x");
        fs::write(fixture.repo_dir().join("README.md"), "mine").unwrap();
        let repository = fixture.repository();
        let before = repository.snapshot().unwrap();
        let outcome = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap();
        assert!(
            matches!(&outcome, FinishOutcome::Dirty { paths, .. } if paths == &["README.md"]),
            "{outcome:?}"
        );
        assert_eq!(repository.snapshot().unwrap(), before);
        assert_eq!(
            fs::read_to_string(fixture.repo_dir().join("README.md")).unwrap(),
            "mine"
        );
    }

    #[test]
    fn a_conflict_leaves_everything_as_it_was() {
        let fixture = Fixture::new();
        prepared(&fixture, "README.md", "theirs\n");
        fixture.commit("ours", &[("README.md", "ours\n")]);
        let repository = fixture.repository();
        let before = repository.snapshot().unwrap();
        let conflict = FinishOutcome::Conflict {
            paths: vec!["README.md".into()],
        };
        assert_eq!(
            repository
                .finish_merge("specs/7-x", "main", &message())
                .unwrap(),
            conflict
        );
        assert_eq!(
            fixture.git(fixture.repo_dir(), &["status", "--porcelain"]),
            ""
        );
        assert_eq!(
            repository
                .snapshot()
                .unwrap()
                .foreign_changes(&before, &|_| false),
            []
        );

        fixture.git(fixture.repo_dir(), &["checkout", "-q", "--detach"]);
        assert_eq!(
            repository
                .finish_merge("specs/7-x", "main", &message())
                .unwrap(),
            conflict
        );
    }

    #[test]
    fn a_target_that_is_not_checked_out_moves_without_a_checkout() {
        let fixture = Fixture::new();
        prepared(&fixture, "new.txt", "x");
        fixture.git(fixture.repo_dir(), &["checkout", "-q", "-b", "elsewhere"]);
        fs::write(fixture.repo_dir().join("README.md"), "mine").unwrap();
        let repository = fixture.repository();
        let outcome = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap();
        let FinishOutcome::Merged {
            commit,
            checkout: None,
        } = outcome
        else {
            panic!("{outcome:?}")
        };
        assert_eq!(repository.branch_tip("main").unwrap(), Some(commit));
        assert_eq!(
            fixture.git(fixture.repo_dir(), &["status", "--porcelain"]),
            "M README.md"
        );
    }

    #[test]
    fn an_untracked_file_or_a_hook_in_the_way_undoes_the_merge() {
        let fixture = Fixture::new();
        prepared(&fixture, "new.txt", "x");
        let user = fixture.repo_dir().to_path_buf();
        fs::write(user.join("new.txt"), "mine").unwrap();
        let repository = fixture.repository();
        let error = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap_err();
        assert!(error.to_string().contains("new.txt"), "{error}");
        assert_eq!(fs::read_to_string(user.join("new.txt")).unwrap(), "mine");
        fs::remove_file(user.join("new.txt")).unwrap();
        fixture.hook("pre-merge-commit", "echo not today >&2; exit 1");
        let error = repository
            .finish_merge("specs/7-x", "main", &message())
            .unwrap_err();
        assert!(error.to_string().contains("not today"), "{error}");
        assert_eq!(fixture.git(&user, &["status", "--porcelain"]), "");
        assert!(!user.join(".git/MERGE_HEAD").exists());
    }

    #[test]
    fn missing_branches_are_named() {
        let fixture = Fixture::new();
        let error = fixture
            .repository()
            .finish_merge("specs/none", "main", &message())
            .unwrap_err();
        assert!(error.to_string().contains("specs/none"), "{error}");
    }
}
