//! History: what a range of commits holds and who descends from whom.

use super::error::object;
use super::{Repository, Result};

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitInfo {
    /// Its id, 40 hex digits.
    pub id: String,
    /// First paragraph of its message, on one line.
    pub subject: String,
    /// Lines `Key: value` of its last paragraph, in order.
    pub trailers: Vec<(String, String)>,
    /// Its author as `Name <email>`.
    pub author: String,
    /// When it was committed, in seconds since 1970 UTC.
    pub time: i64,
    /// Its parents, the branch merged into first.
    pub parents: Vec<String>,
}

impl CommitInfo {
    /// The first value of a trailer; its key is compared without case, as git does.
    #[must_use]
    pub fn trailer(&self, key: &str) -> Option<&str> {
        self.trailers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(key))
            .map(|(_, value)| value.as_str())
    }
}

impl Repository {
    /// The commits that `to` has and `from` has not (all without `from`), children before parents.
    ///
    /// # Errors
    /// [`RepoError::UnknownRevision`](super::RepoError::UnknownRevision), or when history cannot
    /// be read.
    pub fn commits(&self, from: Option<&str>, to: &str) -> Result<Vec<CommitInfo>> {
        let opened = self.open()?;
        let about = || format!("the history of {to}");
        let mut walk = opened.revwalk().map_err(object("read", about()))?;
        walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME)
            .map_err(object("read", about()))?;
        walk.push(self.commit(&opened, to)?.id())
            .map_err(object("read", about()))?;
        if let Some(from) = from {
            walk.hide(self.commit(&opened, from)?.id())
                .map_err(object("read", about()))?;
        }
        walk.map(|id| {
            let commit = id
                .and_then(|id| opened.find_commit(id))
                .map_err(object("read", about()))?;
            let message = String::from_utf8_lossy(commit.message_bytes());
            let author = commit.author();
            Ok(CommitInfo {
                id: commit.id().to_string(),
                subject: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default())
                    .into_owned(),
                trailers: trailers(&message),
                author: format!(
                    "{} <{}>",
                    String::from_utf8_lossy(author.name_bytes()),
                    String::from_utf8_lossy(author.email_bytes())
                ),
                time: commit.time().seconds(),
                parents: commit.parent_ids().map(|id| id.to_string()).collect(),
            })
        })
        .collect()
    }

    /// The commits on the way from `from` to `to` by first parents, oldest first and `to` with them;
    /// no merges, and of more than `most` the newest. With `since` (seconds since the Unix epoch)
    /// only those that were written then or later, not those that were only moved.
    ///
    /// # Errors
    /// As [`Repository::commits`].
    pub fn line(
        &self,
        from: Option<&str>,
        to: &str,
        since: Option<i64>,
        most: usize,
    ) -> Result<Vec<String>> {
        let opened = self.open()?;
        let about = || format!("the history of {to}");
        let mut walk = opened.revwalk().map_err(object("read", about()))?;
        walk.simplify_first_parent()
            .and_then(|()| walk.set_sorting(git2::Sort::TOPOLOGICAL))
            .map_err(object("read", about()))?;
        walk.push(self.commit(&opened, to)?.id())
            .map_err(object("read", about()))?;
        if let Some(from) = from {
            walk.hide(self.commit(&opened, from)?.id())
                .map_err(object("read", about()))?;
        }
        let mut line = Vec::new();
        for id in walk.take(most) {
            let commit = id
                .and_then(|id| opened.find_commit(id))
                .map_err(object("read", about()))?;
            let written = commit.author().when().seconds();
            if commit.parent_count() < 2 && since.is_none_or(|since| written >= since) {
                line.push(commit.id().to_string());
            }
        }
        line.reverse();
        Ok(line)
    }

    /// Whether `ancestor` is `descendant` or lies in its history.
    ///
    /// # Errors
    /// As [`Repository::commits`].
    pub fn is_ancestor(&self, ancestor: &str, descendant: &str) -> Result<bool> {
        let opened = self.open()?;
        let ancestor = self.commit(&opened, ancestor)?.id();
        let descendant = self.commit(&opened, descendant)?.id();
        if ancestor == descendant {
            return Ok(true);
        }
        opened
            .graph_descendant_of(descendant, ancestor)
            .map_err(object("compare", format!("{ancestor} and {descendant}")))
    }

    /// The best common ancestor of two commits; `None` when they share no history.
    ///
    /// # Errors
    /// As [`Repository::commits`].
    pub fn merge_base(&self, a: &str, b: &str) -> Result<Option<String>> {
        let opened = self.open()?;
        let (a, b) = (self.commit(&opened, a)?.id(), self.commit(&opened, b)?.id());
        match opened.merge_base(a, b) {
            Ok(base) => Ok(Some(base.to_string())),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(object("compare", format!("{a} and {b}"))(error)),
        }
    }
}

/// The last paragraph of a message, when it is not the first and every line of it is `Key: value`
/// or continues one. Unlike git's own reading, a line `---` in the body hides nothing.
pub(super) fn trailers(message: &str) -> Vec<(String, String)> {
    let message = message.trim_end().replace("\r\n", "\n");
    let Some((_, last)) = message.rsplit_once("\n\n") else {
        return Vec::new();
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for line in last.lines() {
        if line.starts_with([' ', '\t'])
            && let Some((_, value)) = found.last_mut()
        {
            value.push(' ');
            value.push_str(line.trim());
            continue;
        }
        match line.split_once(':') {
            Some((key, value))
                if !key.is_empty()
                    && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') =>
            {
                found.push((key.to_owned(), value.trim().to_owned()));
            }
            _ => return Vec::new(),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::super::{Author, CommitMessage};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn trailers_are_the_last_paragraph_only() {
        let found =
            trailers("s\n\nSpec-Task: forged\n\n---\n\nSpec-Task: 7\nRequirements: 1.1,\n 1.2\n");
        assert_eq!(
            found,
            [
                ("Spec-Task".into(), "7".into()),
                ("Requirements".into(), "1.1, 1.2".to_owned())
            ]
        );
        assert_eq!(trailers("Fix: a subject alone"), []);
        assert_eq!(trailers("s\n\nKey: value\nand prose"), []);
    }

    #[test]
    fn a_range_tells_what_a_session_added() {
        let fixture = Fixture::new();
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        let message = CommitMessage::new("1.1 Work").trailer("Work-Session", "s1");
        let files = [("x".to_owned(), b"x".to_vec())];
        let next = repository
            .commit_files(&base, &files, &message, &Author::User)
            .unwrap();
        let range = repository.commits(Some(&base), &next).unwrap();
        assert_eq!(range.len(), 1);
        assert_eq!(range[0].subject, "1.1 Work");
        assert_eq!(range[0].trailer("work-session"), Some("s1"));
        assert_eq!(range[0].author, "User <user@example.com>");
        assert_eq!(range[0].parents, std::slice::from_ref(&base));
        assert_eq!(repository.commits(None, &next).unwrap().len(), 2);
        assert_eq!(repository.commits(Some(&next), &base).unwrap(), []);
        assert!(repository.is_ancestor(&base, &next).unwrap());
        assert!(repository.is_ancestor(&next, &next).unwrap());
        assert!(!repository.is_ancestor(&next, &base).unwrap());
        assert_eq!(repository.merge_base(&base, &next).unwrap(), Some(base));
    }

    #[test]
    fn a_line_of_commits_leaves_out_merges_what_they_brought_and_what_is_old() {
        let fixture = Fixture::new();
        let dir = fixture.repo_dir();
        let repository = fixture.repository();
        let base = repository.head().unwrap().commit;
        fixture.git(dir, &["checkout", "-q", "-b", "side"]);
        fixture.commit("of somebody else", &[("side", "x")]);
        fixture.git(dir, &["checkout", "-q", "-"]);
        let first = fixture.commit("first", &[("a", "1")]);
        fixture.git(dir, &["merge", "-q", "--no-ff", "-m", "merge", "side"]);
        let old = ["commit", "-q", "--allow-empty", "-m", "moved"];
        fixture.git(
            dir,
            &[&old[..], &["--date", "2001-01-01T00:00:00Z"]].concat(),
        );
        let moved = repository.head().unwrap().commit;
        let last = fixture.commit("last", &[("a", "2")]);
        let line = |from, since, most| repository.line(from, &last, since, most).unwrap();
        let all = [first.clone(), moved, last.clone()];
        assert_eq!(line(Some(&*base), None, 9), all);
        assert_eq!(
            line(Some(&*base), Some(1_000_000_000), 9),
            [first, last.clone()]
        );
        assert_eq!(line(Some(&*base), None, 1), std::slice::from_ref(&last));
        assert_eq!(line(Some(&*last), None, 9), Vec::<String>::new());
        assert_eq!(line(None, None, 9).first(), Some(&base));
    }

    proptest! {
        #[test]
        fn trailers_written_are_trailers_read(
            body in "[ -~\n]{0,80}",
            values in prop::collection::vec("[a-z0-9]([ -~\n]{0,20}[a-z])?", 1..4),
        ) {
            let mut message = CommitMessage { subject: "s".into(), body, trailers: vec![] };
            for value in &values {
                message = message.trailer("Key", value);
            }
            let read: Vec<String> =
                trailers(&message.text()).into_iter().map(|(_, value)| value).collect();
            let written: Vec<String> = values
                .iter()
                .map(|value| value.split_whitespace().collect::<Vec<_>>().join(" "))
                .collect();
            prop_assert_eq!(read, written);
        }
    }
}
