//! The command line as clap sees it: every command, its options and its examples.

mod acp;
mod admin;
mod coordinate;
mod history;
mod task;
mod zed;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(super) use acp::*;
pub(super) use admin::*;
pub(super) use coordinate::*;
pub(super) use history::*;
pub(super) use task::*;
pub(super) use zed::*;

use super::error::EXIT_CODES;

/// One prompt becomes validated specs, then parallel agent work, then one merged branch.
///
/// Start with `spectask demo`. The real job: `spectask new "what you want"` in a git repository,
/// then `spectask review`, `spectask approve --wait` and `spectask finish --merge`.
#[derive(Debug, Parser)]
#[command(
    name = "spectask",
    version,
    disable_help_subcommand = true,
    after_help = EXIT_CODES,
    max_term_width = 100
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct Global {
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub(super) json: bool,
    /// When to use colours: auto, always or never
    #[arg(
        hide_possible_values = true,
        hide_default_value = true,
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(super) color: ColorChoice,
    /// Act as if started in this folder
    #[arg(
        short = 'C',
        long,
        global = true,
        value_name = "DIR",
        help_heading = "Global options"
    )]
    pub(super) project: Option<PathBuf>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a SpecTask from a prompt: an agent writes requirements, design and tasks
    #[command(after_help = "Examples:
  spectask new \"Add rate limiting to the public API\"
  spectask new --agent gemini --limit 2 - < wish.md
  spectask new                      # opens $EDITOR
  spectask new --later \"Try the new parser\"   # only notes it

`spectask review` shows what the agent wrote.")]
    New(NewArgs),
    /// List SpecTasks
    #[command(
        visible_alias = "ls",
        after_help = "Examples:
  spectask list             # of this repository
  spectask list --all       # of every repository
  spectask list --json | jq '.tasks[].name'"
    )]
    List(ListArgs),
    /// Show a SpecTask: progress, sessions, what waits, what to do next
    #[command(after_help = "Examples:
  spectask show
  spectask show 7
  spectask show 7-user-auth --json")]
    Show(TaskArgs),
    /// Follow a SpecTask live until a person has to act or it is finished
    #[command(after_help = "Examples:
  spectask watch
  spectask watch 7 | tee log.txt     # plain lines
  spectask watch 7 --json            # one event per line

Ends with 0 when the documents or the work can be reviewed, 1 when it failed, 7 when something
waits for a person.")]
    Watch(WatchArgs),
    /// Check spec documents; needs no daemon
    #[command(after_help = "Examples:
  spectask lint                      # .kiro/specs, else specs, else this folder
  spectask lint specs/7-user-auth
  spectask lint --format json docs/spec | jq .

Exit codes: 0 no errors, 1 errors found, 2 nothing to check or unreadable.")]
    Lint(LintArgs),
    /// Read the documents, the findings and the plan
    #[command(after_help = "Examples:
  spectask review
  spectask review 7 --document tasks
  spectask review 7 --findings
  spectask review 7 --diff           # what changed since the revision before

The pager is $SPECTASK_PAGER, else $PAGER, else less.")]
    Review(ReviewArgs),
    /// Approve the documents: commit them and start the work
    #[command(after_help = "Examples:
  spectask approve
  spectask approve 7 --yes --wait
  spectask approve 7 --revision 3     # only if 3 is still the newest
  spectask approve 7 --no-start       # commit now, `spectask start 7` later")]
    Approve(ApproveArgs),
    /// Send the documents back to the agent with comments
    #[command(after_help = "Examples:
  spectask request-changes -m \"Tokens must expire after an hour\"
  spectask request-changes 7 --line requirements:12:\"Which users?\" --line tasks:30:\"Too big\"
  spectask request-changes 7          # opens $EDITOR")]
    RequestChanges(RequestChangesArgs),
    /// Reject the documents and give the SpecTask up
    #[command(after_help = "Example:
  spectask reject 7 -m \"We buy this instead\"")]
    Reject(RejectArgs),
    /// Edit the documents yourself; what you save becomes a revision
    #[command(after_help = "Examples:
  spectask edit
  spectask edit 7 --document tasks")]
    Edit(EditArgs),
    /// Start what is next: planning from the backlog, or the approved work
    #[command(after_help = "Example:
  spectask start 7 --wait")]
    Start(WaitingTaskArgs),
    /// Hold new sessions and turns back; running turns end
    #[command(after_help = "Example:
  spectask pause 7")]
    Pause(TaskArgs),
    /// Go on after a pause
    #[command(after_help = "Example:
  spectask resume 7 --wait")]
    Resume(WaitingTaskArgs),
    /// Try again what failed, is blocked or waits
    #[command(after_help = "Examples:
  spectask retry 7        # all of it
  spectask retry 7/2      # one session")]
    Retry(RetryArgs),
    /// End a SpecTask or one of its sessions
    #[command(after_help = "Examples:
  spectask cancel 7/2
  spectask cancel 7 --yes")]
    Cancel(CancelArgs),
    /// Start another session beside the planned ones
    #[command(after_help = "Examples:
  spectask spawn 7 \"Security audit of the login\"
  spectask spawn 7/2 \"Speed up the queries\" -m \"Login takes 900 ms with 10,000 users\"")]
    Spawn(SpawnArgs),
    /// Accept that a session's turn changed nothing
    #[command(after_help = "Example:
  spectask accept-empty 7/3")]
    AcceptEmpty(SessionArgs),
    /// List sessions, show one, or read its transcript
    #[command(after_help = "Examples:
  spectask sessions
  spectask sessions show 7/2
  spectask sessions log 7/2
  spectask sessions log 7/2 --json | jq .frame")]
    Sessions(SessionsArgs),
    /// Tell a session something; it hears it between its turns
    #[command(after_help = "Examples:
  spectask tell 7/2 \"The table is called accounts, not users\"
  spectask tell threads/3 \"Stop before the migration\"
  spectask tell 7 --broadcast \"The API moved to /v2\"

A session that is blocked or waits does not go on by that: `spectask retry` makes it.")]
    Tell(TellArgs),
    /// Stop a session's turn; `retry` goes on
    #[command(after_help = "Examples:
  spectask stop 7/2
  spectask retry 7/2      # goes on")]
    Stop(SessionArgs),
    /// List what sessions and persons told each other
    #[command(after_help = "Examples:
  spectask messages 7
  spectask messages 7/2 --json | jq '.messages[].text'")]
    Messages(MessagesArgs),
    /// Bind a thread from an editor to a SpecTask, or to none
    #[command(after_help = "Examples:
  spectask attach threads/3 7
  spectask attach 7/4           # to none")]
    Attach(AttachArgs),
    /// Record a decision of a SpecTask or session
    #[command(after_help = "Example:
  spectask decide 7 \"Tokens expire after an hour: the audit asked for it\"")]
    Decide(DecideArgs),
    /// Search what was said and done in the transcripts
    #[command(after_help = "Examples:
  spectask search \"rate limit\"            # in this repository, newest first
  spectask search migration --task 7/2
  spectask search token --all --limit 50")]
    Search(SearchArgs),
    /// Look back: search, turns, conversations, why a line is as it is, what became of a requirement; to and from others
    #[command(after_help = "Examples:
  spectask history search \"rate limit\" --since 2d --file src/api.rs
  spectask history log 7
  spectask history show 7/2 --turn 1
  spectask history blame src/api.rs:42
  spectask history trace 7-user-auth#2.3
  spectask history replay 7/2 --speed 4
  spectask history export 7 --zip user-auth.zip
  spectask history import 7-user-auth --from origin
  spectask history push --dry-run

`spectask history COMMAND --help` tells more.")]
    History(HistoryArgs),
    /// List or answer what agents ask for
    #[command(after_help = "Examples:
  spectask permissions                  # on a terminal: asks what to answer
  spectask permissions list
  spectask permissions answer 0190… allow
  spectask permissions answer 0190… reject")]
    Permissions(PermissionsArgs),
    /// List, add, try or log in to agents
    #[command(after_help = "Examples:
  spectask agents
  spectask agents add gemini --default -- gemini --acp
  spectask agents test gemini
  spectask agents login gemini")]
    Agents(AgentsArgs),
    /// Show the prompt templates, or copy one to change it
    #[command(after_help = "Examples:
  spectask prompts
  spectask prompts show plan
  spectask prompts copy plan")]
    Prompts(PromptsArgs),
    /// Show and trust the commands in a repository's .spectask.toml
    #[command(after_help = "Examples:
  spectask trust
  spectask trust --yes
  spectask trust --revoke")]
    Trust(TrustArgs),
    /// Show what changed on the branch of a SpecTask or a session
    #[command(after_help = "Examples:
  spectask diff
  spectask diff 7 --stat
  spectask diff 7/2")]
    Diff(DiffArgs),
    /// Merge the branch, hand it over as a pull request, or keep it
    #[command(after_help = "Examples:
  spectask finish 7 --merge
  spectask finish 7 --merge --into develop
  spectask finish 7 --pr
  spectask finish 7 --keep")]
    Finish(FinishArgs),
    /// Read or set the configuration
    #[command(after_help = "Examples:
  spectask config
  spectask config get session_limit
  spectask config set limit 5
  spectask config schema > schema.json")]
    Config(ConfigArgs),
    /// Check the set-up and say what is missing
    #[command(after_help = "Example:
  spectask doctor")]
    Doctor,
    /// Run, start, stop or look at the daemon (it starts by itself)
    #[command(after_help = "Examples:
  spectask daemon status
  spectask daemon restart
  spectask daemon log --follow")]
    Daemon(DaemonArgs),
    /// See the whole job on a small sample repository
    #[command(after_help = "Examples:
  spectask demo                    # no account and no network needed
  spectask demo --agent claude     # with a real agent
  spectask demo --dir ~/try-it")]
    Demo(DemoArgs),
    /// Print completions for a shell
    #[command(after_help = "Examples:
  spectask completions bash > ~/.local/share/bash-completion/completions/spectask
  spectask completions fish > ~/.config/fish/completions/spectask.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Connect an editor, such as Zed, to the daemon's agents (ACP over stdio)
    #[command(after_help = "Examples:
  spectask acp                      # agent and SpecTask are chosen in the thread
  spectask acp --agent claude       # threads of one agent
  spectask acp -- my-agent --acp    # an agent that is not configured

An editor runs it. `spectask zed setup --write` puts it into Zed's settings.json:
  \"agent_servers\": {
    \"SpecTask\": { \"type\": \"custom\", \"command\": \"spectask\", \"args\": [\"acp\"] }
  }

It ends when the editor closes its input. While the daemon is away it waits, and starts it.")]
    Acp(AcpArgs),
    /// Run the built-in example agent (ACP over stdio, no model)
    #[command(after_help = "Example, in an editor that speaks ACP:
  { \"command\": \"spectask\", \"args\": [\"example-agent\"] }")]
    ExampleAgent,
    /// Serve MCP on standard streams: tools for agents, slash commands as prompts for editors
    #[command(after_help = "Examples:
  spectask mcp                     # a program that speaks MCP runs this, in the project's folder
  { \"command\": \"spectask\", \"args\": [\"mcp\"] }     # in its settings

Started in a folder of the repository, it is about that repository's SpecTasks. The daemon is
started when none runs.")]
    Mcp,
    /// Set Zed up, open work in it, see which editors are attached and what threads they show
    #[command(after_help = "Examples:
  spectask zed setup                # shows what Zed's settings need; --write writes it
  spectask zed doctor
  spectask zed open 7/2
  spectask zed list
  spectask zed threads
  spectask zed threads 0190a2       # of one editor, by the beginning of its id
  spectask zed detach 0190a2")]
    Zed(ZedArgs),
    /// Print the OpenRPC description of the daemon's API
    #[command(hide = true)]
    Openrpc,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_a_person_sees_has_an_example() {
        for command in Cli::command()
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
        {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let name = command.get_name();
            assert!(help.contains("Example"), "{name}");
            assert!(
                help.contains(&format!("spectask {name}")) || name == "example-agent",
                "{name}"
            );
        }
    }

    #[test]
    fn the_examples_are_commands_that_exist() {
        for command in Cli::command().get_subcommands() {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            for line in help
                .lines()
                .map(str::trim)
                .filter(|line| line.starts_with("spectask "))
            {
                let line = line.split(['|', '<', '>']).next().unwrap_or_default();
                let line = line.split("  #").next().unwrap_or_default();
                let words = super::super::words::split(line);
                // An abbreviated id is no id; everything else must parse.
                let words = words.iter().map(|word| match word.as_str() {
                    "0190…" => "01890a5d-ac96-774b-bcce-b302099a8057",
                    word => word,
                });
                if let Err(error) = Cli::try_parse_from(words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }
}
