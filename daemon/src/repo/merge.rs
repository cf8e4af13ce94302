//! Merges in memory.

use std::collections::BTreeSet;

use super::error::object;
use super::{Author, CommitMessage, RepoError, Repository, Result};

/// Files looked at for renames; more than libgit2's 200, as a refactoring moves many.
const RENAME_LIMIT: u32 = 1000;

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// A commit with two parents was made; no ref moved.
    Merged {
        /// The merge commit.
        commit: String,
        /// Its tree.
        tree: String,
    },
    /// There was nothing to merge.
    AlreadyContained,
    /// Both sides changed the same lines; nothing was made.
    Conflict {
        /// The files, sorted.
        paths: Vec<String>,
    },
}

impl Repository {
    /// Merges `theirs` into `ours_tip` without a working tree, following renames. The result
    /// always has two parents, `ours_tip` first, also where a fast-forward would do. No ref moves.
    ///
    /// Merge drivers of the user's configuration do not run.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`] and [`RepoError::NoCommonHistory`].
    pub fn merge(
        &self,
        ours_tip: &str,
        theirs: &str,
        message: &CommitMessage,
        author: &Author,
    ) -> Result<Merge> {
        let opened = self.open()?;
        let ours = self.commit(&opened, ours_tip)?;
        let theirs = self.commit(&opened, theirs)?;
        let about = || format!("{} into {}", theirs.id(), ours.id());
        match opened.merge_base(ours.id(), theirs.id()) {
            Ok(base) if base == theirs.id() => return Ok(Merge::AlreadyContained),
            Ok(_) => {}
            Err(error) if error.code() == git2::ErrorCode::NotFound => {
                return Err(RepoError::NoCommonHistory {
                    ours: ours.id().to_string(),
                    theirs: theirs.id().to_string(),
                    shallow: opened.is_shallow(),
                });
            }
            Err(error) => return Err(object("merge", about())(error)),
        }
        let mut options = git2::MergeOptions::new();
        options.find_renames(true).target_limit(RENAME_LIMIT);
        let mut index = opened
            .merge_commits(&ours, &theirs, Some(&options))
            .map_err(object("merge", about()))?;
        if index.has_conflicts() {
            let mut paths = BTreeSet::new();
            for conflict in index.conflicts().map_err(object("merge", about()))? {
                let conflict = conflict.map_err(object("merge", about()))?;
                for side in [conflict.our, conflict.their, conflict.ancestor]
                    .into_iter()
                    .flatten()
                {
                    paths.insert(String::from_utf8_lossy(&side.path).into_owned());
                }
            }
            return Ok(Merge::Conflict {
                paths: paths.into_iter().collect(),
            });
        }
        let tree = index
            .write_tree_to(&opened)
            .and_then(|id| opened.find_tree(id))
            .map_err(object("merge", about()))?;
        let author = self.signature(author)?;
        let committer = self.signature(&Author::User)?;
        let commit = opened
            .commit(
                None,
                &author,
                &committer,
                &message.text(),
                &tree,
                &[&ours, &theirs],
            )
            .map_err(object("merge", about()))?;
        Ok(Merge::Merged {
            commit: commit.to_string(),
            tree: tree.id().to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    fn commit(repository: &Repository, parent: &str, path: &str, text: &str) -> String {
        let files = [(path.to_owned(), text.as_bytes().to_vec())];
        repository
            .commit_files(parent, &files, &CommitMessage::new(path), &Author::User)
            .unwrap()
    }

    #[test]
    fn a_merge_has_two_parents_even_where_a_fast_forward_would_do() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        let next = commit(&repository, &base, "new", "x");
        let message = CommitMessage::new("Merge").trailer("Spec-Task", "7");
        let merged = repository
            .merge(&base, &next, &message, &Author::User)
            .unwrap();
        let Merge::Merged { commit: merge, .. } = merged else {
            panic!("{merged:?}")
        };
        let info = &repository.commits(Some(&next), &merge).unwrap()[0];
        assert_eq!(info.parents, [base.clone(), next.clone()]);
        assert_eq!(info.trailer("Spec-Task"), Some("7"));
        let again = repository
            .merge(&merge, &next, &message, &Author::User)
            .unwrap();
        assert_eq!(again, Merge::AlreadyContained);
        assert_eq!(
            fixture.git(fixture.repo_dir(), &["status", "--porcelain"]),
            ""
        );
    }

    #[test]
    fn a_conflict_names_its_files_and_makes_nothing() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = fixture.commit("two", &[("a b\n", "1\n"), ("other", "1\n")]);
        let ours = commit(&repository, &base, "a b\n", "2\n");
        let theirs = commit(&repository, &base, "a b\n", "3\n");
        let theirs = commit(&repository, &theirs, "other", "2\n");
        let merged = repository
            .merge(&ours, &theirs, &CommitMessage::new("x"), &Author::User)
            .unwrap();
        assert_eq!(
            merged,
            Merge::Conflict {
                paths: vec!["a b\n".into()]
            }
        );
    }

    #[test]
    fn a_change_follows_a_rename() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let text: String = (0..50).map(|line| format!("line {line}\n")).collect();
        let base = fixture.commit("file", &[("old.txt", &text)]);
        fixture.git(fixture.repo_dir(), &["mv", "old.txt", "new.txt"]);
        fixture.git(fixture.repo_dir(), &["commit", "-qm", "rename"]);
        let ours = repository.head().unwrap().commit;
        let theirs = commit(
            &repository,
            &base,
            "old.txt",
            &text.replace("line 25", "changed"),
        );
        let merged = repository
            .merge(&ours, &theirs, &CommitMessage::new("x"), &Author::User)
            .unwrap();
        let Merge::Merged { commit, .. } = merged else {
            panic!("{merged:?}")
        };
        let content = repository.read_file(&commit, "new.txt").unwrap().unwrap();
        assert!(String::from_utf8(content).unwrap().contains("changed"));
        assert_eq!(repository.read_file(&commit, "old.txt").unwrap(), None);
    }

    #[test]
    fn unrelated_histories_are_told() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let ours = repository.head().unwrap().commit;
        fixture.git(fixture.repo_dir(), &["checkout", "-q", "--orphan", "other"]);
        let theirs = fixture.commit("orphan", &[("z", "z")]);
        let error = repository
            .merge(&ours, &theirs, &CommitMessage::new("x"), &Author::User)
            .unwrap_err();
        assert!(
            matches!(error, RepoError::NoCommonHistory { shallow: false, .. }),
            "{error}"
        );
    }
}
