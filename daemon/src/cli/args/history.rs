//! Arguments of the commands about what was said and done before.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};
use spectask_protocol::{SessionRef, TaskRef};

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: HistoryCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HistoryCommand {
    /// Search what was said and done
    #[command(after_help = "Examples:
  spectask history search \"rate limit\"
  spectask history search migration --task 7/2 --since 2d
  spectask history search expires --file src/token.rs
  spectask history search expires --requirement 7-user-auth#2.3

Any text is only a text: no character means anything. Case does not matter, parts of words are found,
and one blank stands for any.")]
    Search(SearchArgs),
    /// List turns, newest first
    #[command(after_help = "Examples:
  spectask history log
  spectask history log 7 --limit 100
  spectask history log 7/2 --json | jq '.turns[].commits'")]
    Log {
        /// Only those of this SpecTask or session, such as 7 or 7/2
        target: Option<SessionRef>,
        /// Of every repository, not only this one
        #[arg(short, long)]
        all: bool,
        /// At most so many turns
        #[arg(short, long, value_name = "N", default_value_t = 50,
            value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
    /// Read a recorded conversation
    #[command(after_help = "Examples:
  spectask history show 7/2
  spectask history show 7/2 --turn 1
  spectask history show 7 --no-pager > all.txt

A session that only a ref of this repository knows is read from there.")]
    Show {
        /// A session, such as 7/2, or all of a SpecTask, such as 7
        target: SessionRef,
        /// Only this turn
        #[arg(long, value_name = "N")]
        turn: Option<u32>,
        /// Do not use a pager
        #[arg(long)]
        no_pager: bool,
    },
    /// Tell why lines are as they are: commit, turn, task, requirement, prompt
    #[command(after_help = "Examples:
  spectask history blame src/api.rs          # the whole file, line by line together
  spectask history blame src/api.rs:42       # one line, with the prompt behind it
  spectask history blame src/api.rs:40-60 --json
  spectask history blame src/api.rs --rev v1.0

A rebase, squash or rename does not lose the turn.")]
    Blame {
        /// The file, with a line or lines: FILE, FILE:LINE or FILE:FIRST-LAST
        #[arg(value_name = "FILE[:LINE]")]
        place: String,
        /// As of this revision
        #[arg(long, value_name = "REV")]
        rev: Option<String>,
        /// Print the lines, too
        #[arg(short, long)]
        text: bool,
    },
    /// Tell what became of a requirement: tasks, turns, commits, verify results, what is missing
    #[command(after_help = "Examples:
  spectask history trace 7-user-auth#2.3
  spectask history trace 7#2             # all criteria of requirement 2
  spectask history trace 2.3             # where there is only one SpecTask
  spectask history trace 7               # everything
  spectask history trace 7 --check       # exit code 1 when something is missing")]
    Trace {
        /// NUMBER, TASK#NUMBER, or TASK for all; without TASK, of the only SpecTask here
        #[arg(value_name = "REQUIREMENT")]
        requirement: Option<String>,
        /// The SpecTask
        #[arg(short, long)]
        task: Option<TaskRef>,
        /// End with 1 when something is missing
        #[arg(long)]
        check: bool,
    },
    /// Play a recorded conversation at the pace at which it was recorded
    #[command(after_help = "Examples:
  spectask history replay 7/2
  spectask history replay 7/2 --speed 10
  spectask history replay 7/2 --turn 3 --instant")]
    Replay {
        /// The session, such as 7/2
        session: SessionRef,
        /// Only this turn
        #[arg(long, value_name = "N")]
        turn: Option<u32>,
        /// So many times as fast
        #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = speed)]
        speed: f64,
        /// Without any pause
        #[arg(long, conflicts_with = "speed")]
        instant: bool,
    },
    /// Take the history of a SpecTask over that was recorded on another machine
    #[command(after_help = "Examples:
  spectask history import 7-user-auth --from origin
  spectask history import 7              # what was fetched already (spectask history fetch)

What comes is to be read: nothing works on it. When its number is taken here, it gets another.")]
    Import {
        /// The SpecTask there, such as 7-user-auth or 7
        #[arg(value_name = "TASK")]
        task: String,
        /// A remote to fetch it from; without, it is taken from what this repository has already
        #[arg(long, value_name = "REMOTE")]
        from: Option<String>,
    },
    /// Export the history of a SpecTask: folders, a package, git-ai notes, agent-trace records
    #[command(after_help = "Examples:
  spectask history export 7                      # specs/ and sessions/ on branch history/7-user-auth
  spectask history export 7 --to-branch docs
  spectask history export 7 --to ./user-auth     # in a new folder
  spectask history export 7 --zip user-auth.zip
  spectask history export 7 --git-ai             # notes in refs/notes/ai
  spectask history export 7 --agent-trace > trace.jsonl")]
    Export(ExportArgs),
    /// Push recorded history to the remote that was named for it
    ///
    /// Only refs below refs/spectask/sessions and refs/spectask/tasks leave, at the commits that were
    /// looked at, never by force. A remote that everybody can read is refused, and one of which that
    /// cannot be found out.
    #[command(after_help = "Examples:
  spectask history push --dry-run          # what would leave this machine
  spectask history push
  spectask history push archive            # this time to another remote")]
    Push(HistoryPushArgs),
    /// Fetch the recorded history of another machine; nothing of this one is moved
    #[command(after_help = "Examples:
  spectask history fetch
  spectask history fetch archive
  git log refs/spectask/remotes/archive/sessions/7-user-auth/02-api")]
    Fetch(HistoryFetchArgs),
    /// Tell or name the one remote that recorded history may go to
    #[command(after_help = "Examples:
  spectask history remote
  spectask history remote archive
  spectask history remote --none")]
    Remote(HistoryRemoteArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExportArgs {
    /// The SpecTask; `threads` for what belongs to none, as folders
    pub(in crate::cli) task: TaskRef,
    #[command(flatten)]
    pub(in crate::cli) form: ExportTo,
    /// With the machine-readable records and frames
    #[arg(long, conflicts_with_all = ["git_ai", "agent_trace"])]
    pub(in crate::cli) records: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
pub(in crate::cli) struct ExportTo {
    /// Commit specs and sessions on this branch [default: history/{task}]
    #[arg(long, value_name = "BRANCH")]
    pub(in crate::cli) to_branch: Option<String>,
    /// Write specs and sessions into a new folder
    #[arg(long, value_name = "FOLDER")]
    pub(in crate::cli) to: Option<PathBuf>,
    /// Write specs and sessions into a zip file
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) zip: Option<PathBuf>,
    /// Attach git-ai notes to the commits that came of it
    #[arg(long)]
    pub(in crate::cli) git_ai: bool,
    /// Print agent-trace records, one a line
    #[arg(long)]
    pub(in crate::cli) agent_trace: bool,
}

/// How many times as fast.
fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        _ => Err("a number above 0".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryPushArgs {
    /// The remote; the one that was named for history when absent
    pub(in crate::cli) remote: Option<String>,
    /// Only show what would leave
    #[arg(short = 'n', long)]
    pub(in crate::cli) dry_run: bool,
    /// Push even where everybody can read it
    #[arg(long)]
    pub(in crate::cli) allow_public: bool,
    /// Push even if it cannot be found out who can read it
    #[arg(long)]
    pub(in crate::cli) allow_unknown: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryFetchArgs {
    /// The remote; the one that was named for history when absent
    pub(in crate::cli) remote: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryRemoteArgs {
    /// The remote from now on
    pub(in crate::cli) name: Option<String>,
    /// None: nothing is pushed unless a remote is named on the command line
    #[arg(long, conflicts_with = "name")]
    pub(in crate::cli) none: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SearchArgs {
    /// The text, in any case; 2 to 200 characters
    pub(in crate::cli) text: String,
    /// Only this SpecTask or session, such as 7 or 7/2
    #[arg(short, long, visible_alias = "session", value_name = "TARGET")]
    pub(in crate::cli) task: Option<SessionRef>,
    /// Only turns that read or wrote this file: its path, or the end of it
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) file: Option<String>,
    /// Only sessions that serve this criterion, such as 2.3, or all of 2
    #[arg(short, long, value_name = "NUMBER")]
    pub(in crate::cli) requirement: Option<String>,
    /// Not before: 2d, 3h, 2026-03-04 or 2026-03-04T10:00
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(in crate::cli) since: Option<Timestamp>,
    /// Before: 2d, 3h, 2026-03-04 or 2026-03-04T10:00
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Of every repository, not only this one
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// At most so many hits, up to 100
    #[arg(short, long, value_name = "N", default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(in crate::cli) limit: u32,
}

/// A moment as people write it: how long ago, a date, a date and a time of day, or RFC 3339.
fn moment(text: &str) -> Result<Timestamp, String> {
    moment_before(text, &Zoned::now())
}

fn moment_before(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let zone: &TimeZone = now.time_zone();
    let local = |at: civil::DateTime| at.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    let found = if let Ok(span) = text.parse::<Span>() {
        now.checked_sub(span.abs()).ok().map(|at| at.timestamp())
    } else if let Ok(at) = text.replacen(' ', "T", 1).parse::<civil::DateTime>() {
        local(at)
    } else {
        text.parse::<civil::Date>()
            .ok()
            .and_then(|day| local(day.to_datetime(civil::Time::midnight())))
    };
    found.ok_or_else(|| "write 2d, 3h, 2026-03-04 or 2026-03-04T10:00".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ages_dates_and_times() {
        let now: Zoned = "2026-03-04T10:00:00+01:00[+01:00]".parse().unwrap();
        let at = |text: &str| moment_before(text, &now).map(|at| at.to_string());
        assert_eq!(at("2d").unwrap(), "2026-03-02T09:00:00Z");
        assert_eq!(at("90m").unwrap(), "2026-03-04T07:30:00Z");
        assert_eq!(at("1 week").unwrap(), "2026-02-25T09:00:00Z");
        assert_eq!(at("2026-03-01").unwrap(), "2026-02-28T23:00:00Z");
        assert_eq!(at("2026-03-01 12:30").unwrap(), "2026-03-01T11:30:00Z");
        assert_eq!(at("2026-03-01T12:30:00Z").unwrap(), "2026-03-01T12:30:00Z");
        for bad in ["", "yesterday-ish", "2026-13-01", "99999999999999y"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
