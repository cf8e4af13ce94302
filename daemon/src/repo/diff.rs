//! Differences as people read them.

use super::error::object;
use super::names::check_tree_path;
use super::{Repository, Result};

/// A longer patch is of no use to a reader and costs memory in every face.
const PATCH_LIMIT: usize = 16 << 20;

/// How much one file changed between two commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStat {
    /// Its path afterwards, or before when it is gone.
    pub path: String,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// Whether it has no lines to count.
    pub binary: bool,
}

impl Repository {
    /// The difference between two commits as a unified patch, with renames; of all files, or of
    /// those at or below `paths`. One over 16 MiB ends with a line that says it was cut.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`](super::RepoError::UnknownRevision), or when an object cannot
    /// be read.
    pub fn diff(&self, from: &str, to: &str, paths: &[&str]) -> Result<String> {
        let opened = self.open()?;
        let diff = self.compare(&opened, from, to, paths)?;
        let mut patch = Vec::new();
        let printed = diff.print(git2::DiffFormat::Patch, |_, _, line| {
            if matches!(line.origin(), ' ' | '+' | '-') {
                patch.push(line.origin() as u8);
            }
            patch.extend_from_slice(line.content());
            patch.len() <= PATCH_LIMIT
        });
        let mut text = String::from_utf8_lossy(&patch).into_owned();
        match printed {
            Ok(()) => {}
            Err(error) if error.code() == git2::ErrorCode::User => {
                text.push_str("\n[the rest of the difference is too long to show]\n");
            }
            Err(error) => return Err(object("compare", format!("{from} and {to}"))(error)),
        }
        Ok(text)
    }

    /// How much each file changed between two commits, sorted by path.
    ///
    /// # Errors
    /// As [`Repository::diff`].
    pub fn diff_stat(&self, from: &str, to: &str) -> Result<Vec<FileStat>> {
        let opened = self.open()?;
        let about = || format!("{from} and {to}");
        let diff = self.compare(&opened, from, to, &[])?;
        let mut stats = Vec::new();
        for number in 0..diff.deltas().len() {
            let patch =
                git2::Patch::from_diff(&diff, number).map_err(object("compare", about()))?;
            let Some(delta) = diff.get_delta(number) else {
                continue;
            };
            let path = delta
                .new_file()
                .path_bytes()
                .or_else(|| delta.old_file().path_bytes());
            let (added, removed) = match &patch {
                Some(patch) => {
                    let (_, added, removed) =
                        patch.line_stats().map_err(object("compare", about()))?;
                    (added, removed)
                }
                None => (0, 0),
            };
            let binary = patch
                .as_ref()
                .is_none_or(|patch| patch.delta().flags().is_binary());
            let path = String::from_utf8_lossy(path.unwrap_or_default()).into_owned();
            stats.push(FileStat {
                path,
                added,
                removed,
                binary,
            });
        }
        stats.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(stats)
    }

    fn compare<'r>(
        &self,
        opened: &'r git2::Repository,
        from: &str,
        to: &str,
        paths: &[&str],
    ) -> Result<git2::Diff<'r>> {
        let about = || format!("{from} and {to}");
        let tree = |id: &str| {
            self.commit(opened, id)?
                .tree()
                .map_err(object("compare", about()))
        };
        let mut options = options();
        // Paths are names, not patterns.
        options.disable_pathspec_match(true);
        for path in paths {
            check_tree_path(path)?;
            options.pathspec(*path);
        }
        let mut diff = opened
            .diff_tree_to_tree(Some(&tree(from)?), Some(&tree(to)?), Some(&mut options))
            .map_err(object("compare", about()))?;
        diff.find_similar(Some(git2::DiffFindOptions::new().renames(true)))
            .map_err(object("compare", about()))?;
        Ok(diff)
    }
}

/// The difference between two texts as a unified patch of the file `name`; empty when they are
/// equal.
#[must_use]
pub fn text_diff(old: &str, new: &str, name: &str) -> String {
    if old == new {
        return String::new();
    }
    let path = std::path::Path::new(name);
    let patch = git2::Patch::from_buffers(
        old.as_bytes(),
        Some(path),
        new.as_bytes(),
        Some(path),
        Some(options().force_text(true)),
    )
    .and_then(|mut patch| Ok(patch.to_buf()?.to_vec()));
    match patch {
        Ok(patch) => String::from_utf8_lossy(&patch).into_owned(),
        Err(error) => {
            tracing::warn!(%error, name, "cannot compare two texts");
            format!("{name} changed\n")
        }
    }
}

/// The same for everybody: users' `diff.*` settings would change what is stored and shown.
fn options() -> git2::DiffOptions {
    let mut options = git2::DiffOptions::new();
    options
        .old_prefix("a")
        .new_prefix("b")
        .context_lines(3)
        .interhunk_lines(0)
        .id_abbrev(7);
    options
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn texts_are_compared() {
        insta::assert_snapshot!(text_diff("a\nb\nc\n", "a\nB\nc\nd", "design.md"), @r"
        diff --git a/design.md b/design.md
        index de98044..f8f7a32 100644
        --- a/design.md
        +++ b/design.md
        @@ -1,3 +1,4 @@
         a
        -b
        +B
         c
        +d
        \ No newline at end of file
        ");
        assert_eq!(text_diff("same", "same", "x"), "");
        assert!(text_diff("", "new\n", "x").contains("+new"));
        assert!(text_diff("a\0b\n", "a\0c\n", "x").contains("+a\0c"));
    }

    #[test]
    fn commits_are_compared_by_path_name() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let from = fixture.commit(
            "one",
            &[("src/*", "star\n"), ("src/a", "1\n2\n"), ("bin", "\0\u{1}")],
        );
        let to = fixture.commit(
            "two",
            &[
                ("src/*", "STAR\n"),
                ("src/a", "1\n3\n4\n"),
                ("bin", "\0\u{2}"),
            ],
        );
        let diff = repository.diff(&from, &to, &["src/*"]).unwrap();
        assert!(diff.contains("+STAR") && !diff.contains("src/a"), "{diff}");
        let diff = repository.diff(&from, &to, &["src"]).unwrap();
        assert!(
            diff.contains("+STAR") && diff.contains("+4") && !diff.contains("bin"),
            "{diff}"
        );
        let stats = repository.diff_stat(&from, &to).unwrap();
        let found: Vec<_> = stats
            .iter()
            .map(|s| (s.path.as_str(), s.added, s.removed, s.binary))
            .collect();
        assert_eq!(
            found,
            [
                ("bin", 0, 0, true),
                ("src/*", 1, 1, false),
                ("src/a", 2, 1, false)
            ]
        );
        assert_eq!(repository.diff(&to, &to, &[]).unwrap(), "");
    }
}
