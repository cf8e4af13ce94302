//! Remotes: pushing a branch, and the page of a forge where a pull request starts.

use super::error::object;
use super::git::Git;
use super::names::branch_ref;
use super::{RepoError, Repository, Result};

/// A remote of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its name, such as `origin`.
    pub name: String,
    /// Its URL as configured; may carry credentials.
    pub url: String,
}

impl Repository {
    /// All remotes, by name.
    ///
    /// # Errors
    /// When the configuration cannot be read.
    pub fn remotes(&self) -> Result<Vec<Remote>> {
        let opened = self.open()?;
        let config = opened
            .config()
            .map_err(object("read", "the configuration"))?;
        let mut remotes = Vec::new();
        let mut entries = config
            .entries(Some(r"^remote\..*\.url$"))
            .map_err(object("read", "the remotes"))?;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(object("read", "the remotes"))?;
            let key = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let name = key
                .strip_prefix("remote.")
                .and_then(|key| key.strip_suffix(".url"));
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                let url = String::from_utf8_lossy(entry.value_bytes()).into_owned();
                remotes.push(Remote {
                    name: name.to_owned(),
                    url,
                });
            }
        }
        remotes.sort_by(|a, b| a.name.cmp(&b.name));
        remotes.dedup_by(|a, b| a.name == b.name);
        Ok(remotes)
    }

    /// Refuses a name that is none of a configured remote, such as an address.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`]; when the configuration cannot be read.
    pub(super) fn check_remote(&self, name: &str) -> Result<()> {
        if name.starts_with('-') || !self.remotes()?.iter().any(|known| known.name == name) {
            let name = name.escape_debug().to_string();
            return Err(RepoError::NoRemote { name });
        }
        Ok(())
    }

    /// Pushes one branch (name without `refs/heads/`) to a configured remote, and nothing else;
    /// never by force, never asking for a password.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`] for a remote that is not configured, [`RepoError::Git`] with what
    /// git and the remote said.
    pub fn push(&self, remote: &str, branch: &str) -> Result<()> {
        let full = branch_ref(branch)?;
        self.check_remote(remote)?;
        let mut git = Git::network(
            &self.environment,
            self.root(),
            "push",
            format!("{branch} to {remote}"),
        )
        .setting("push.followTags=false")
        .setting("push.recurseSubmodules=no");
        // ssh asks at the terminal by itself, past what git is told.
        let opened = self.open()?;
        let configured = opened
            .config()
            .is_ok_and(|c| c.get_entry("core.sshcommand").is_ok());
        if !configured
            && !self.environment.has("GIT_SSH_COMMAND")
            && !self.environment.has("GIT_SSH")
        {
            git = git.variable("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
        }
        git.args(["push", "--porcelain", "--no-force", "--", remote])
            .arg(format!("{full}:{full}"))
            .run()
            .map(drop)
    }
}

/// A URL without the credentials that it may carry.
#[must_use]
pub fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let host = rest[..end].rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{}", &rest[end..])
        }
        None => url.to_owned(),
    }
}

/// The page where a pull or merge request from `branch` into `target` starts, for GitHub, GitLab,
/// Bitbucket, Codeberg and hosts with one of these words in their name; `None` for others and for
/// what is no URL of a forge. Credentials in the URL are left out.
#[must_use]
pub fn web_compare_url(remote_url: &str, branch: &str, target: &str) -> Option<String> {
    let (host, path) = host_and_path(remote_url.trim())?;
    let path = path.trim_matches('/');
    let path = path
        .strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/');
    if path.split('/').filter(|part| !part.is_empty()).count() < 2 {
        return None;
    }
    let path = encode(path, "/~");
    let (from, into) = (encode(branch, "/"), encode(target, "/"));
    let name = host.to_ascii_lowercase();
    let has = |word: &str| name.contains(word);
    if has("github") {
        Some(format!(
            "https://{host}/{path}/compare/{into}...{from}?expand=1"
        ))
    } else if has("gitlab") {
        Some(format!(
            "https://{host}/{path}/-/merge_requests/new?merge_request%5Bsource_branch%5D={from}&merge_request%5Btarget_branch%5D={into}"
        ))
    } else if has("bitbucket") {
        Some(format!(
            "https://{host}/{path}/pull-requests/new?source={from}&dest={into}"
        ))
    } else if has("codeberg") || has("gitea") || has("forgejo") {
        Some(format!("https://{host}/{path}/compare/{into}...{from}"))
    } else {
        None
    }
}

pub(super) fn host_and_path(url: &str) -> Option<(String, &str)> {
    let (authority, path) = if let Some((scheme, rest)) = url.split_once("://") {
        if !matches!(
            scheme,
            "https" | "http" | "ssh" | "git" | "git+ssh" | "ssh+git"
        ) {
            return None;
        }
        let (authority, path) = rest.split_once('/')?;
        // The port of a web page stays, that of ssh does not.
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = if scheme.starts_with("http") {
            host
        } else {
            host.split_once(':').map_or(host, |(host, _)| host)
        };
        (host, path)
    } else {
        // user@host:path, which is no path of this machine when no slash comes before the colon.
        let (authority, path) = url.split_once(':')?;
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        (host, path)
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || "-.:".contains(c);
    (authority.len() > 1 && authority.chars().all(valid)).then(|| (authority.to_owned(), path))
}

fn encode(text: &str, also: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) || also.as_bytes().contains(&byte)
        {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    #[test]
    fn forges_are_known_by_their_urls() {
        let urls = [
            "git@github.com:owner/repo.git",
            "https://user:secret@github.com/owner/repo",
            "ssh://git@gitlab.example.com:2222/group/sub/repo.git",
            "https://bitbucket.org/owner/repo.git/",
            "https://codeberg.org/owner/repo",
            "https://git.example.com/owner/repo",
            "/srv/git/repo.git",
            "C:\\repos\\x",
            "file:///srv/github/owner/repo",
            "https://github.com/only",
        ]
        .map(|url| web_compare_url(url, "specs/7-ü&x", "main").unwrap_or_else(|| "-".into()));
        insta::assert_snapshot!(urls.join("\n"), @r"
        https://github.com/owner/repo/compare/main...specs/7-%C3%BC%26x?expand=1
        https://github.com/owner/repo/compare/main...specs/7-%C3%BC%26x?expand=1
        https://gitlab.example.com/group/sub/repo/-/merge_requests/new?merge_request%5Bsource_branch%5D=specs/7-%C3%BC%26x&merge_request%5Btarget_branch%5D=main
        https://bitbucket.org/owner/repo/pull-requests/new?source=specs/7-%C3%BC%26x&dest=main
        https://codeberg.org/owner/repo/compare/main...specs/7-%C3%BC%26x
        -
        -
        -
        -
        -
        ");
    }

    #[test]
    fn one_branch_is_pushed_and_nothing_else() {
        let fixture = Fixture::new();
        let user = fixture.repo_dir();
        let remote = fixture.dir().join("remote.git");
        fixture.git(fixture.dir(), &["init", "-q", "--bare", "remote.git"]);
        fixture.git(user, &["remote", "add", "origin", remote.to_str().unwrap()]);
        fixture.git(user, &["config", "remote.origin.push", "refs/*:refs/*"]);
        fixture.git(user, &["tag", "-a", "-m", "t", "v1"]);
        fixture.git(user, &["branch", "specs/7-x"]);
        let repository = fixture.repository();
        assert_eq!(repository.remotes().unwrap()[0].name, "origin");
        repository.push("origin", "specs/7-x").unwrap();
        let refs = fixture.git(&remote, &["for-each-ref", "--format=%(refname)"]);
        assert_eq!(refs, "refs/heads/specs/7-x");
        let error = repository.push("--mirror", "specs/7-x").unwrap_err();
        assert!(matches!(error, RepoError::NoRemote { .. }), "{error}");
        let error = repository.push("origin", "absent").unwrap_err();
        assert!(matches!(error, RepoError::Git { .. }), "{error}");
    }
}
