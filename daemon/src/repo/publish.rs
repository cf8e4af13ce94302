//! Recorded history to and from a remote: only refs of it, only those that were looked at before.
//!
//! What would leave is worked out first ([`Repository::outgoing`]); exactly that is pushed, commit by
//! commit ([`Repository::push_outgoing`]). What comes from elsewhere lands below
//! `refs/spectask/remotes/` and moves no ref of this machine ([`Repository::fetch_history`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::error::{io, object};
use super::git::{Environment, Git};
use super::names::check_ref;
use super::remote::host_and_path;
use super::{RepoError, Repository, Result};

/// Where refs of recorded history begin; nothing else is pushed.
const RECORDED: [&str; 2] = ["refs/spectask/sessions/", "refs/spectask/tasks/"];
/// Where the history of other machines is kept, below the name of the remote.
const ELSEWHERE: &str = "refs/spectask/remotes/";
/// Refs in one command line; Windows takes 32 KB.
const BATCH: usize = 150;
/// File names that are told at most.
const FILES: usize = 10_000;
/// How long a stranger's question may take.
const PROBE: Duration = Duration::from_secs(20);

/// A ref of recorded history that a remote has not, or has older.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRef {
    /// Its full name, here and there.
    pub name: String,
    /// The commit that would be there.
    pub id: String,
    /// The commit that is there.
    pub old: Option<String>,
    /// How many commits it brings.
    pub commits: u64,
}

/// What would leave this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// The refs, by name.
    pub refs: Vec<OutgoingRef>,
    /// Refs that the remote has already as they are here.
    pub same: usize,
    /// Bytes of the objects as they are stored here, compressed.
    pub bytes: u64,
    /// Names of the files in the commits, the first 10,000 by name.
    pub files: Vec<String>,
}

/// A ref that a fetch brought or moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedRef {
    /// Its full name here.
    pub name: String,
    /// Its commit.
    pub id: String,
    /// Whether it was not there before.
    pub new: bool,
}

/// Who can read a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Nobody without a password or key, or it is on this machine.
    Closed,
    /// Everybody.
    Public,
    /// It could not be found out, and why.
    Unknown(String),
}

impl Repository {
    /// The one address that a remote pushes to, as git's settings rewrite it; may carry credentials.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`] for a remote that is not configured, [`RepoError::InvalidName`] for one that
    /// pushes to several places.
    pub fn push_url(&self, remote: &str) -> Result<String> {
        let invalid = |why| RepoError::InvalidName {
            what: "a remote",
            name: remote.escape_debug().to_string(),
            why,
        };
        self.check_remote(remote)?;
        let text = Git::read(&self.environment, self.root(), "ask for", remote)
            .args(["remote", "get-url", "--push", "--all", "--", remote])
            .run()?;
        let text = String::from_utf8_lossy(&text);
        match text.lines().collect::<Vec<_>>().as_slice() {
            [url] => Ok((*url).to_owned()),
            _ => Err(invalid(
                "it pushes to several addresses; name one that has one",
            )),
        }
    }

    /// What a remote lacks of the recorded history here.
    ///
    /// # Errors
    /// As [`Repository::push_url`]; [`RepoError::Git`] with what the remote said.
    pub fn outgoing(&self, remote: &str) -> Result<Outgoing> {
        let url = self.push_url(remote)?;
        let there = self.listed(&url)?;
        let opened = self.open()?;
        let mut outgoing = Outgoing::default();
        for prefix in RECORDED {
            for (name, id) in self.refs_below(prefix)? {
                match there.get(&name) {
                    Some(old) if *old == id => outgoing.same += 1,
                    old => outgoing.refs.push(OutgoingRef {
                        name,
                        id,
                        old: old.cloned(),
                        commits: 0,
                    }),
                }
            }
        }
        // What it has is left out as far as it is known here: history before branches.
        let is_here =
            |id: &&String| git2::Oid::from_str(id).is_ok_and(|id| opened.find_commit(id).is_ok());
        let is_history = |name: &str| RECORDED.iter().any(|prefix| name.starts_with(prefix));
        let (history, branches): (Vec<_>, Vec<_>) =
            there.iter().partition(|(name, _)| is_history(name));
        let there = history.into_iter().chain(branches).map(|(_, id)| id);
        let there: Vec<&String> = there.filter(is_here).collect();
        let mut files = BTreeSet::new();
        for batch in outgoing.refs.chunks_mut(BATCH) {
            let before = batch.iter().filter_map(|one| one.old.as_ref());
            let mut seen = BTreeSet::new();
            let known: Vec<String> = before
                .filter(is_here)
                .chain(there.iter().copied())
                .filter(|id| seen.insert(*id))
                .take(2 * BATCH)
                .map(|id| format!("^{id}"))
                .collect();
            for one in &mut *batch {
                let text = self.ask(&["rev-list", "--count", &one.id], &known)?;
                one.commits = text.trim().parse().unwrap_or(0);
            }
            let ids: Vec<&str> = batch.iter().map(|one| one.id.as_str()).collect();
            let size = ["rev-list", "--objects", "--disk-usage"];
            let text = self.ask(&[&size[..], &ids].concat(), &known)?;
            outgoing.bytes += text.trim().parse::<u64>().unwrap_or(0);
            let names = [
                "log",
                "--format=",
                "--name-only",
                "--no-renames",
                "--no-ext-diff",
                "--diff-filter=d",
                "-m",
                "-z",
            ];
            let text = self.ask(&[&names[..], &ids].concat(), &known)?;
            let found = text.split(['\0', '\n']).filter(|name| !name.is_empty());
            files.extend(found.map(str::to_owned));
            while files.len() > FILES {
                files.pop_last();
            }
        }
        outgoing.files = files.into_iter().collect();
        Ok(outgoing)
    }

    /// Pushes these refs at these commits, and nothing else: no tag, no submodule, nothing that a setting
    /// adds, never by force. `url` is the address that was looked at.
    ///
    /// # Errors
    /// [`RepoError::InvalidName`] when the remote has another address by now or a ref is none of recorded
    /// history, [`RepoError::Git`] with what git and the remote said.
    pub fn push_outgoing(&self, remote: &str, url: &str, refs: &[OutgoingRef]) -> Result<()> {
        if self.push_url(remote)? != url {
            return Err(RepoError::InvalidName {
                what: "a remote",
                name: remote.escape_debug().to_string(),
                why: "it got another address meanwhile",
            });
        }
        for one in refs {
            check_ref(&one.name)?;
            if !RECORDED.iter().any(|prefix| one.name.starts_with(prefix)) {
                return Err(RepoError::InvalidName {
                    what: "a ref of recorded history",
                    name: one.name.escape_debug().to_string(),
                    why: "it is none",
                });
            }
        }
        for batch in refs.chunks(BATCH) {
            let subject = format!("history to {remote}");
            // Hooks run: a person's `pre-push` may be there to keep things in.
            let git = Git::network(&self.environment, self.root(), "push", subject)
                .setting("push.followTags=false")
                .setting("push.recurseSubmodules=no")
                .setting("push.gpgSign=false")
                .setting(&format!("remote.{remote}.mirror=false"));
            self.silent(git)?
                .args(["push", "--porcelain", "--no-force", "--no-mirror"])
                .args(["--no-follow-tags", "--", remote])
                .args(batch.iter().map(|one| format!("{}:{}", one.id, one.name)))
                .run()?;
        }
        Ok(())
    }

    /// Brings the recorded history of a remote, below `refs/spectask/remotes/{remote}/`; refs of this
    /// machine stay, and history that was rewritten there is refused.
    ///
    /// # Errors
    /// [`RepoError::NoRemote`] for a remote that is not configured, [`RepoError::Git`] with what git and
    /// the remote said.
    pub fn fetch_history(&self, remote: &str) -> Result<Vec<FetchedRef>> {
        self.check_remote(remote)?;
        let folder = format!("{ELSEWHERE}{remote}/");
        check_ref(&format!("{folder}sessions"))?;
        let before: BTreeMap<_, _> = self.refs_below(&folder)?.into_iter().collect();
        let subject = format!("history from {remote}");
        let git = Git::network(&self.environment, self.root(), "fetch", subject);
        let specs = RECORDED.map(|prefix| {
            let rest = prefix.trim_start_matches("refs/spectask/");
            format!("{prefix}*:{folder}{rest}*")
        });
        self.fetching(git)?.arg(remote).args(specs).run()?;
        let after = self.refs_below(&folder)?;
        let changed = after
            .into_iter()
            .filter(|(name, id)| before.get(name) != Some(id));
        Ok(changed
            .map(|(name, id)| FetchedRef {
                new: !before.contains_key(&name),
                name,
                id,
            })
            .collect())
    }

    /// A fetch of named refs: settings of the remote, such as a mirror's or that refs are pruned, move
    /// nothing else.
    pub(super) fn fetching<'a>(&self, git: Git<'a>) -> Result<Git<'a>> {
        let git = git
            // Objects come from elsewhere.
            .setting("fetch.fsckObjects=true")
            .setting("fetch.prune=false")
            .setting("fetch.recurseSubmodules=no");
        Ok(self
            .silent(git)?
            .args(["fetch", "--quiet", "--no-tags", "--no-prune", "--refmap="])
            .args(["--no-write-fetch-head", "--no-auto-gc", "--"]))
    }

    /// Commits of refs below a folder, by full name.
    fn refs_below(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        let opened = self.open()?;
        let names = opened
            .references_glob(&format!("{prefix}*"))
            .map_err(object("list", prefix))?;
        let mut all = Vec::new();
        for reference in names {
            let reference = reference.map_err(object("list", prefix))?;
            // A symbolic ref could lead to anything.
            if let (Ok(name), Some(id)) = (reference.name(), reference.target())
                && name.starts_with(prefix)
            {
                all.push((name.to_owned(), id.to_string()));
            }
        }
        all.sort();
        Ok(all)
    }

    fn ask(&self, args: &[&str], without: &[String]) -> Result<String> {
        let text = Git::read(
            &self.environment,
            self.root(),
            "look at",
            "recorded history",
        )
        .setting("log.showRoot=true")
        .setting("log.showSignature=false")
        .args(args)
        .args(without)
        .arg("--")
        .run()?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Every ref at an address.
    fn listed(&self, url: &str) -> Result<BTreeMap<String, String>> {
        let subject = super::remote::without_password(url);
        let git = Git::network(&self.environment, self.root(), "look at", subject);
        let text = self.silent(git)?.args(["ls-remote", "--", url]).run()?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(lines
            .map(|(id, name)| (name.to_owned(), id.to_owned()))
            .collect())
    }

    /// A network command that asks for no password.
    fn silent<'a>(&self, git: Git<'a>) -> Result<Git<'a>> {
        let opened = self.open()?;
        // ssh asks at the terminal by itself, past what git is told.
        let configured = opened
            .config()
            .is_ok_and(|config| config.get_entry("core.sshcommand").is_ok());
        let told = ["GIT_SSH_COMMAND", "GIT_SSH"];
        if configured || told.iter().any(|name| self.environment.has(name)) {
            return Ok(git);
        }
        Ok(git.variable("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"))
    }
}

/// Whether a stranger can read what is at an address: asks there without any credentials, settings or
/// home folder. Addresses of this machine are closed.
///
/// # Errors
/// When no temporary folder can be made or git is missing.
pub fn audience(url: &str) -> Result<Audience> {
    let unknown = |why: &str| Ok(Audience::Unknown(why.to_owned()));
    let asked = match question(url) {
        Question::Local => return Ok(Audience::Closed),
        Question::None => return unknown("its address cannot be asked without credentials"),
        Question::Ask(asked) => asked,
    };
    let empty = tempfile::tempdir().map_err(io("create", Path::new("a temporary folder")))?;
    let null = if cfg!(windows) { "NUL" } else { "/dev/null" };
    let environment = Environment::default();
    let answer = Git::network(&environment, empty.path(), "ask at", asked.as_str())
        .within(PROBE)
        .setting("credential.helper=")
        .setting("http.followRedirects=true")
        .variable("HOME", empty.path())
        .variable("USERPROFILE", empty.path())
        .variable("XDG_CONFIG_HOME", empty.path())
        .variable("GIT_CONFIG_GLOBAL", null)
        .variable("GIT_CONFIG_NOSYSTEM", "1")
        .variable("GIT_CONFIG_COUNT", "0")
        .variable("GIT_CEILING_DIRECTORIES", empty.path())
        .variable("GIT_ALLOW_PROTOCOL", "http:https:git")
        .variable("GIT_ASKPASS", "")
        .variable("SSH_ASKPASS", "")
        .args(["ls-remote", "--quiet", "--", &asked, "HEAD"])
        .answer();
    let answer = match answer {
        Ok(answer) => answer,
        Err(RepoError::TimedOut { .. }) => return unknown("it does not answer"),
        Err(error) => return Err(error),
    };
    if answer.code == Some(0) {
        return Ok(Audience::Public);
    }
    let refused = [
        "could not read Username",
        "could not read Password",
        "Authentication failed",
        "error: 401",
        "error: 403",
    ];
    if refused.iter().any(|words| answer.stderr.contains(words)) {
        return Ok(Audience::Closed);
    }
    unknown(answer.stderr.lines().last().unwrap_or("it does not answer"))
}

/// Where to ask whether strangers can read.
#[derive(Debug, PartialEq, Eq)]
enum Question {
    /// Nowhere: it is on this machine.
    Local,
    /// Here.
    Ask(String),
    /// Nobody knows.
    None,
}

fn question(url: &str) -> Question {
    let lower = url.to_ascii_lowercase();
    let drive = url.as_bytes().get(1) == Some(&b':');
    if lower.starts_with("file://") || url.starts_with(['/', '.', '~']) || drive {
        // `\\server\share` and `//server/share` are no folders of this machine.
        return if url.starts_with("//") || lower.starts_with("file:////") {
            Question::None
        } else {
            Question::Local
        };
    }
    if lower.starts_with("git://") {
        return Question::Ask(url.to_owned());
    }
    if lower.starts_with("http://") || lower.starts_with("https://") {
        return Question::Ask(super::remote::without_password(url));
    }
    // The same place by HTTPS, as every forge has it.
    let ssh = lower.starts_with("ssh://") || !url.contains("://") && !url.contains("::");
    match host_and_path(url.trim()).filter(|_| ssh) {
        Some((host, path)) => Question::Ask(format!("https://{host}/{}", path.trim_matches('/'))),
        None => Question::None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Fixture;
    use super::*;

    fn history(fixture: &Fixture, name: &str, file: &str) -> String {
        let repo = fixture.repository();
        let old = repo.resolve(name).ok();
        let dir = fixture.repo_dir();
        let blob = {
            std::fs::write(dir.join("tmp-blob"), file).unwrap();
            let blob = fixture.git(dir, &["hash-object", "-w", "tmp-blob"]);
            std::fs::remove_file(dir.join("tmp-blob")).unwrap();
            blob.trim().to_owned()
        };
        let index = dir.join(".git/tmp-index").display().to_string();
        let git = git2::Repository::open(dir).unwrap();
        let mut builder = git.treebuilder(None).unwrap();
        builder
            .insert(file, git2::Oid::from_str(&blob).unwrap(), 0o100_644)
            .unwrap();
        let tree = git.find_tree(builder.write().unwrap()).unwrap();
        drop(index);
        let who = git2::Signature::now("S", "s@example.com").unwrap();
        let parent = old.map(|old| git.find_commit(git2::Oid::from_str(&old).unwrap()).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        let id = git.commit(None, &who, &who, file, &tree, &parents).unwrap();
        git.reference(name, id, true, "test").unwrap();
        id.to_string()
    }

    fn bare(fixture: &Fixture, name: &str) -> String {
        let path = fixture.dir().join(format!("{name}.git"));
        let shown = path.display().to_string();
        fixture.git(fixture.dir(), &["init", "-q", "--bare", &shown]);
        fixture.git(fixture.repo_dir(), &["remote", "add", name, &shown]);
        shown
    }

    fn refs_of(fixture: &Fixture, bare: &str) -> Vec<String> {
        let text = fixture.git(Path::new(bare), &["for-each-ref", "--format=%(refname)"]);
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn only_what_was_looked_at_leaves() {
        let fixture = Fixture::new();
        let there = bare(&fixture, "archive");
        let (session, task) = ("refs/spectask/sessions/1-a/01-b", "refs/spectask/tasks/1-a");
        let first = history(&fixture, session, "conversation.md");
        history(&fixture, task, "task.json");
        history(&fixture, "refs/spectask/wip/x", "secret.txt");
        let dir = fixture.repo_dir();
        for args in [
            &["tag", "-a", "v1", "-m", "v1", &first][..],
            &["config", "push.followTags", "true"],
            &["config", "remote.archive.push", "+refs/*:refs/*"],
            &["config", "remote.archive.mirror", "true"],
        ] {
            fixture.git(dir, args);
        }
        let repo = fixture.repository();
        let outgoing = repo.outgoing("archive").unwrap();
        let names: Vec<_> = outgoing.refs.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, [session, task]);
        assert_eq!(outgoing.files, ["conversation.md", "task.json"]);
        assert!(outgoing.bytes > 0 && outgoing.refs.iter().all(|one| one.commits == 1));
        assert_eq!(refs_of(&fixture, &there), [""; 0]);
        // What comes after the look stays here.
        history(&fixture, session, "later.md");
        let url = repo.push_url("archive").unwrap();
        repo.push_outgoing("archive", &url, &outgoing.refs).unwrap();
        assert_eq!(refs_of(&fixture, &there), [session, task]);
        let id = fixture.git(Path::new(&there), &["rev-parse", session]);
        assert_eq!(id.trim(), first);
        let rest = repo.outgoing("archive").unwrap();
        assert_eq!((rest.refs.len(), rest.same), (1, 1));
        assert_eq!(
            (rest.refs[0].commits, rest.files),
            (1, vec!["later.md".to_owned()])
        );
        // Another history under the same name is not overwritten.
        fixture.git(dir, &["update-ref", "-d", session]);
        history(&fixture, session, "other.md");
        let other = repo.outgoing("archive").unwrap();
        assert!(repo.push_outgoing("archive", &url, &other.refs).is_err());
        assert!(repo.push_outgoing("archive", "elsewhere", &[]).is_err());
        let branch = OutgoingRef {
            name: "refs/heads/main".into(),
            ..other.refs[0].clone()
        };
        assert!(repo.push_outgoing("archive", &url, &[branch]).is_err());
        assert_eq!(refs_of(&fixture, &there), [session, task]);
    }

    #[test]
    fn history_from_elsewhere_moves_nothing_here() {
        let fixture = Fixture::new();
        bare(&fixture, "archive");
        let session = "refs/spectask/sessions/1-a/01-b";
        history(&fixture, session, "conversation.md");
        let repo = fixture.repository();
        let url = repo.push_url("archive").unwrap();
        let all = repo.outgoing("archive").unwrap().refs;
        repo.push_outgoing("archive", &url, &all).unwrap();
        let own = history(&fixture, session, "later.md");
        let fetched = repo.fetch_history("archive").unwrap();
        assert_eq!(fetched.len(), 1);
        assert_eq!(
            fetched[0].name,
            "refs/spectask/remotes/archive/sessions/1-a/01-b"
        );
        assert!(fetched[0].new && fetched[0].id == all[0].id);
        assert_eq!(repo.resolve(session).unwrap(), own);
        assert_eq!(repo.fetch_history("archive").unwrap(), []);
        for unknown in ["nowhere", "--upload-pack=x", ""] {
            assert!(repo.fetch_history(unknown).is_err(), "{unknown}");
            assert!(repo.outgoing(unknown).is_err(), "{unknown}");
        }
        fixture.git(
            fixture.repo_dir(),
            &["remote", "set-url", "--add", "--push", "archive", "/a"],
        );
        fixture.git(
            fixture.repo_dir(),
            &["remote", "set-url", "--add", "--push", "archive", "/b"],
        );
        assert!(repo.push_url("archive").is_err(), "two addresses");
    }

    #[test]
    fn strangers_are_sent_to_the_same_place() {
        let ask = |url: &str| Question::Ask(url.to_owned());
        for (url, expected) in [
            ("/srv/a.git", Question::Local),
            ("../a", Question::Local),
            ("file:///srv/a.git", Question::Local),
            (r"C:\a", Question::Local),
            ("//server/share/a", Question::None),
            (
                "https://me:secret@example.org/a/b.git",
                ask("https://example.org/a/b.git"),
            ),
            ("git@github.com:a/b.git", ask("https://github.com/a/b.git")),
            (
                "ssh://git@example.org:2222/a/b",
                ask("https://example.org/a/b"),
            ),
            ("git://example.org/a", ask("git://example.org/a")),
            ("ext::sh -c true", Question::None),
            ("s3://bucket/a", Question::None),
        ] {
            assert_eq!(question(url), expected, "{url}");
        }
        assert_eq!(audience("/srv/a.git").unwrap(), Audience::Closed);
        // Nobody listens there.
        assert!(matches!(
            audience("http://127.0.0.1:1/a.git").unwrap(),
            Audience::Unknown(_)
        ));
    }
}
