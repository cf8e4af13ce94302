//! Arguments of what editors run.

use clap::Args;
use spectask_protocol::AgentName;

#[derive(Debug, Args)]
pub(in crate::cli) struct AcpArgs {
    /// The agent of every thread
    #[arg(long, value_name = "NAME", conflicts_with = "command")]
    pub(in crate::cli) agent: Option<AgentName>,
    /// The command line of an agent that is not configured
    #[arg(last = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<String>,
}

impl AcpArgs {
    /// Reads the command lines that editors write, without the reader of all commands: a shim runs
    /// for each project that is open, and what it never touches it does not keep in memory. None for
    /// any other line, which the reader of all commands takes.
    pub(in crate::cli) fn quick(line: &[String]) -> Option<Self> {
        let (agent, command) = match line {
            [acp] if acp == "acp" => (None, Vec::new()),
            [acp, option, name] if acp == "acp" && option == "--agent" => {
                (Some(name.parse().ok()?), Vec::new())
            }
            [acp, dashes, program, rest @ ..] if acp == "acp" && dashes == "--" => {
                let mut command = vec![program.clone()];
                command.extend(rest.iter().cloned());
                (None, command)
            }
            _ => return None,
        };
        Some(Self { agent, command })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{Cli, Command};

    #[test]
    fn the_quick_way_reads_what_the_other_one_does() {
        let lines: &[&[&str]] = &[
            &["acp"],
            &["acp", "--agent", "claude"],
            &["acp", "--", "my-agent", "--acp", "--"],
        ];
        for line in lines {
            let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            let quick = AcpArgs::quick(&words).unwrap();
            let cli = Cli::try_parse_from([&["spectask"], *line].concat()).unwrap();
            let Command::Acp(args) = cli.command else {
                panic!("{line:?}");
            };
            assert_eq!((quick.agent, quick.command), (args.agent, args.command));
        }
        let others: &[&[&str]] = &[
            &[],
            &["acp", "--help"],
            &["acp", "--agent"],
            &["acp", "--agent", "No Name"],
            &["acp", "--"],
            &["acp", "--agent", "a", "--", "b"],
            &["list"],
        ];
        for line in others {
            let words: Vec<String> = line.iter().map(|&word| word.to_owned()).collect();
            assert!(AcpArgs::quick(&words).is_none(), "{line:?}");
        }
    }
}
