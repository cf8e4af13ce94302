//! Merges in memory.

use std::collections::BTreeSet;

use super::error::object;
use super::names::check_tree_path;
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
        self.merge_but(ours_tip, theirs, None, message, author)
    }

    /// Merges as [`Repository::merge`] does, but for the folder `kept`, which stays as it is at
    /// `ours_tip` whatever the histories did with it.
    ///
    /// # Errors
    /// As [`Repository::merge`]; [`RepoError::InvalidPath`] for the folder.
    pub fn merge_but(
        &self,
        ours_tip: &str,
        theirs: &str,
        kept: Option<&str>,
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
        if let Some(folder) = kept {
            check_tree_path(folder)?;
            put_back(&mut index, &ours, folder).map_err(object("merge", about()))?;
        }
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

/// Makes a folder of the index what it is in a commit.
fn put_back(
    index: &mut git2::Index,
    commit: &git2::Commit<'_>,
    folder: &str,
) -> std::result::Result<(), git2::Error> {
    // Stages 1 to 3 are the sides of conflicts.
    for stage in 0..=3 {
        index.remove_dir(folder.as_ref(), stage)?;
    }
    let mut wanted = Vec::new();
    let start = format!("{folder}/").into_bytes();
    commit
        .tree()?
        .walk(git2::TreeWalkMode::PreOrder, |parent, entry| {
            let path = [parent.as_bytes(), entry.name_bytes()].concat();
            let is_tree = entry.kind() == Some(git2::ObjectType::Tree);
            let inside = path.starts_with(&start);
            if inside && !is_tree {
                wanted.push((path, entry.id(), entry.filemode()));
                return git2::TreeWalkResult::Ok;
            }
            let leads_there = start.starts_with(&[&path[..], b"/"].concat());
            if inside || leads_there || !is_tree {
                git2::TreeWalkResult::Ok
            } else {
                git2::TreeWalkResult::Skip
            }
        })?;
    for (path, id, mode) in wanted {
        index.add(&git2::IndexEntry {
            ctime: git2::IndexTime::new(0, 0),
            mtime: git2::IndexTime::new(0, 0),
            dev: 0,
            ino: 0,
            mode: u32::try_from(mode).unwrap_or(0o100_644),
            uid: 0,
            gid: 0,
            file_size: 0,
            id,
            flags: 0,
            flags_extended: 0,
            path,
        })?;
    }
    Ok(())
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
    fn a_kept_folder_stays_whatever_the_histories_did() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = fixture.commit("specs", &[("specs/7/tasks.md", "[ ]\n"), ("x", "1\n")]);
        // Both sides share a commit that ticked; one took it back, the other ticks again.
        let forged = commit(&repository, &base, "specs/7/tasks.md", "[x]\n");
        let ours = commit(&repository, &base, "specs/7/tasks.md", "[x] mine\n");
        let theirs = commit(&repository, &forged, "specs/7/tasks.md", "[ ]\n");
        let theirs = commit(&repository, &theirs, "specs/7/more.md", "more\n");
        let theirs = commit(&repository, &theirs, "specs/70/other.md", "other\n");
        let theirs = commit(&repository, &theirs, "x", "2\n");
        let merged = repository
            .merge_but(
                &ours,
                &theirs,
                Some("specs/7"),
                &CommitMessage::new("x"),
                &Author::User,
            )
            .unwrap();
        let Merge::Merged { commit, .. } = merged else {
            panic!("{merged:?}")
        };
        let read = |path: &str| {
            let bytes = repository.read_file(&commit, path).unwrap()?;
            Some(String::from_utf8(bytes).unwrap())
        };
        assert_eq!(read("specs/7/tasks.md").as_deref(), Some("[x] mine\n"));
        assert_eq!(read("specs/7/more.md"), None);
        assert_eq!(read("specs/70/other.md").as_deref(), Some("other\n"));
        assert_eq!(read("x").as_deref(), Some("2\n"));
        repository.fsck().unwrap();
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
