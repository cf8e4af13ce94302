//! Which commit each line of a file came of, as `git blame` tells it.

use std::collections::HashMap;
use std::path::Path;

use super::git::Git;
use super::{RepoError, Repository, Result};

/// A commit as `git blame` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlamedCommit {
    /// Its id; none for lines that are not committed.
    pub id: Option<String>,
    /// Its author's name.
    pub author: String,
    /// When it was written, in seconds since 1970 UTC.
    pub at: i64,
    /// When it was made as it is: later, when it was amended or rebased.
    pub committed_at: i64,
    /// Its first line.
    pub subject: String,
    /// The path of the file there.
    pub path: String,
    /// For a commit of another branch: the commit of the file's own history that has its lines.
    pub within: Option<String>,
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlamedLine {
    /// The place of its commit in [`Blame::commits`].
    pub commit: usize,
    /// Its number in the file of that commit, from 1.
    pub origin: u32,
    /// Its number in the file, from 1.
    pub line: u32,
    /// Its text without the line break; what is not UTF-8 is replaced.
    pub text: String,
}

/// What `git blame` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blame {
    /// The commits, each with the path of the file there.
    pub commits: Vec<BlamedCommit>,
    /// The lines, in order.
    pub lines: Vec<BlamedLine>,
}

impl Repository {
    /// Tells which commits the lines of a file (its path in the worktree, with `/`) came of: of the
    /// file as it lies in the worktree, or of one revision. `lines` are the first and the last, from 1.
    ///
    /// # Errors
    /// [`RepoError::Git`] with what git said: no such file, a file that is not committed, a line that
    /// it does not have.
    pub fn blame(&self, path: &str, lines: Option<(u32, u32)>, rev: Option<&str>) -> Result<Blame> {
        let rev = rev.map(|rev| self.resolve(rev)).transpose()?;
        let mut git = Git::read(&self.environment, self.worktree(), "blame", path)
            .args(["blame", "--porcelain"]);
        if let Some((first, last)) = lines {
            git = git.arg(format!("-L{first},{last}"));
        }
        if let Some(rev) = rev {
            git = git.arg(rev);
        }
        let output = git.arg("--").arg(path).run()?;
        parse(&output).ok_or_else(|| RepoError::Git {
            operation: "blame",
            subject: path.to_owned(),
            stderr: "(what git printed cannot be read)".to_owned(),
        })
    }

    /// The path of a file in the worktree, with `/`; the file need not be there.
    ///
    /// # Errors
    /// [`RepoError::InvalidPath`] when it lies elsewhere or is not UTF-8.
    pub fn path_in_worktree(&self, file: &Path) -> Result<String> {
        let invalid = |why| RepoError::InvalidPath {
            path: file.display().to_string(),
            why,
        };
        let folder = file.parent().unwrap_or(file);
        let folder = super::repository::canonical(folder).unwrap_or_else(|_| folder.to_path_buf());
        let name = file
            .file_name()
            .ok_or_else(|| invalid("it names no file"))?;
        let full = folder.join(name);
        let inside = full
            .strip_prefix(self.worktree())
            .map_err(|_| invalid("it is not in the repository"))?;
        let text = inside.to_str().ok_or_else(|| invalid("it is not UTF-8"))?;
        Ok(text.replace(std::path::MAIN_SEPARATOR, "/"))
    }
}

fn parse(output: &[u8]) -> Option<Blame> {
    let mut blame = Blame::default();
    // A commit has another entry for each name that the file had in it.
    let mut known: HashMap<(String, String), usize> = HashMap::new();
    let mut about: HashMap<String, BlamedCommit> = HashMap::new();
    let mut lines = output.split(|byte| *byte == b'\n');
    while let Some(head) = lines.next() {
        if head.is_empty() {
            continue;
        }
        let head = std::str::from_utf8(head).ok()?;
        let mut fields = head.split(' ');
        let (id, origin, line) = (fields.next()?, fields.next()?, fields.next()?);
        if id.len() < 40 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let commit = about.entry(id.to_owned()).or_insert_with(|| BlamedCommit {
            id: id.bytes().any(|byte| byte != b'0').then(|| id.to_owned()),
            author: String::new(),
            at: 0,
            committed_at: 0,
            subject: String::new(),
            path: String::new(),
            within: None,
        });
        let text = loop {
            let field = lines.next()?;
            if let Some(text) = field.strip_prefix(b"\t") {
                break String::from_utf8_lossy(text).into_owned();
            }
            let field = String::from_utf8_lossy(field);
            let (key, value) = field.split_once(' ').unwrap_or((&field, ""));
            match key {
                "author" => commit.author = value.to_owned(),
                "author-time" => commit.at = value.parse().unwrap_or(0),
                "committer-time" => commit.committed_at = value.parse().unwrap_or(0),
                "summary" => commit.subject = value.to_owned(),
                "filename" => commit.path = unquoted(value),
                _ => {}
            }
        };
        let key = (id.to_owned(), commit.path.clone());
        let place = *known.entry(key).or_insert_with(|| {
            blame.commits.push(commit.clone());
            blame.commits.len() - 1
        });
        blame.lines.push(BlamedLine {
            commit: place,
            origin: origin.parse().ok()?,
            line: line.parse().ok()?,
            text,
        });
    }
    Some(blame)
}

/// A name as git writes it: in quotes, with escapes, when it holds quotes or control characters.
fn unquoted(text: &str) -> String {
    let Some(inner) = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return text.to_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = inner.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(first @ b'0'..=b'3') => {
                let digits = [Some(first), rest.next(), rest.next()];
                let value = digits.iter().flatten().fold(0_u32, |sum, digit| {
                    sum * 8 + u32::from(digit.saturating_sub(b'0'))
                });
                bytes.push(u8::try_from(value).unwrap_or(b'?'));
            }
            Some(other) => bytes.push(other),
            None => {}
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn lines_know_their_commits_through_renames_and_before_a_commit() {
        let fixture = Fixture::new();
        let first = fixture.commit("one", &[("a b.txt", "one\ntwo\nthree\nfour\nfive\n")]);
        fixture.git(fixture.repo_dir(), &["mv", "a b.txt", "ü \"c\".txt"]);
        fixture.git(fixture.repo_dir(), &["commit", "-qm", "rename"]);
        let text = "one\nTWO\nthree\nfour\nfive\n";
        let second = fixture.commit("second", &[("ü \"c\".txt", text)]);
        let file = fixture.repo_dir().join("ü \"c\".txt");
        fs::write(&file, format!("{text}six\n")).unwrap();
        let repository = fixture.repository();
        let path = repository.path_in_worktree(&file).unwrap();
        let blame = repository.blame(&path, None, None).unwrap();
        let told: Vec<_> = blame
            .lines
            .iter()
            .map(|line| {
                let commit = &blame.commits[line.commit];
                let id = commit.id.clone();
                (line.line, line.text.as_str(), id, commit.path.as_str())
            })
            .collect();
        let (one, two) = (Some(first), Some(second));
        assert_eq!(told[0], (1, "one", one.clone(), "a b.txt"));
        assert_eq!(told[1], (2, "TWO", two, "ü \"c\".txt"));
        assert_eq!(told[4], (5, "five", one, "a b.txt"));
        assert_eq!(told[5], (6, "six", None, "ü \"c\".txt"));
        assert_eq!(
            repository
                .blame(&path, Some((2, 2)), None)
                .unwrap()
                .lines
                .len(),
            1
        );
        assert_eq!(
            repository
                .blame(&path, None, Some("HEAD"))
                .unwrap()
                .lines
                .len(),
            5
        );
        for (path, lines) in [
            (path.as_str(), Some((90, 91))),
            ("absent", None),
            ("-L1", None),
        ] {
            let error = repository.blame(path, lines, None).unwrap_err();
            assert!(matches!(error, RepoError::Git { .. }), "{error}");
        }
        let outside = fixture.dir().join("x.txt");
        assert!(repository.path_in_worktree(&outside).is_err());
    }

    #[test]
    fn what_is_no_blame_is_not_taken_for_one() {
        assert_eq!(parse(b""), Some(Blame::default()));
        for bad in [&b"x"[..], b"0000 1 1\n\tx", &[0xff; 50], b"\n\n\t\n"] {
            assert_eq!(parse(bad), None);
        }
        assert_eq!(unquoted("\"a\\303\\274\\t\\\"\\\\\""), "aü\t\"\\");
        assert_eq!(unquoted("\"\\9\\"), "\"\\9\\");
    }
}
