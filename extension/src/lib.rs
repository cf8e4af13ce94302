//! SpecTask in Zed: the part that Zed loads.
//!
//! `program` finds `spectask` and asks it where the daemon is (`spectask zed endpoint`), which starts the
//! daemon when none runs. `server` answers what Zed asks for the context server, `slash` serves releases of
//! Zed that still have slash commands of extensions; both tell the daemon (`daemon`). What Zed offers is
//! behind `editor`, so that all of this is tested without Zed.

mod daemon;
mod editor;
mod json;
mod program;
mod server;
mod settings;
mod slash;
#[cfg(test)]
mod testing;

use std::sync::{Mutex, PoisonError};

use zed_extension_api::{
    self as zed, ContextServerConfiguration, ContextServerId, Project, SlashCommand,
    SlashCommandArgumentCompletion, SlashCommandOutput, SlashCommandOutputSection, Worktree,
    settings::ContextServerSettings,
};

use crate::{editor::Zed, settings::Settings};

/// The extension.
#[derive(Debug, Default)]
pub struct SpecTask {
    state: Mutex<State>,
}

/// What is known since Zed loaded the extension.
#[derive(Debug, Default, Clone)]
struct State {
    /// As of the last project that asked: a slash command comes without any.
    settings: Settings,
    /// Whether the daemon knows that the extension is there.
    announced: bool,
}

impl SpecTask {
    fn state(&self) -> State {
        let state = self.state.lock();
        state.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    fn settings(&self, server: &ContextServerId, project: &Project) -> Result<State, String> {
        let mut state = self.state();
        // A release that tells no settings has none.
        let told = ContextServerSettings::for_project(server.as_ref(), project).ok();
        state.settings = Settings::read(told)?;
        Ok(state)
    }
}

impl zed::Extension for SpecTask {
    fn new() -> Self {
        // Nothing is asked here: Zed waits for it when it starts, and the settings are not known.
        Self::default()
    }

    fn context_server_command(
        &mut self,
        server: &ContextServerId,
        project: &Project,
    ) -> Result<zed::Command, String> {
        let mut state = self.settings(server, project)?;
        let command = server::command(&Zed, &state.settings, &mut state.announced, server.as_ref());
        self.keep(state);
        command
    }

    fn context_server_configuration(
        &mut self,
        server: &ContextServerId,
        project: &Project,
    ) -> Result<Option<ContextServerConfiguration>, String> {
        // Settings that make no sense are repaired in what this brings up.
        let state = self.settings(server, project).unwrap_or_default();
        Ok(Some(server::configuration(&Zed, &state.settings)))
    }

    fn run_slash_command(
        &self,
        command: SlashCommand,
        args: Vec<String>,
        worktree: Option<&Worktree>,
    ) -> Result<SlashCommandOutput, String> {
        let mut state = self.state();
        let folder = worktree.map(|worktree| slash::Folder {
            path: worktree.root_path(),
            environment: worktree.shell_env(),
        });
        let text = slash::run(
            &Zed,
            &state.settings,
            &mut state.announced,
            &command.name,
            &args,
            folder,
        );
        self.keep(state);
        let text = text?;
        let section = SlashCommandOutputSection {
            range: (0..text.len()).into(),
            label: format!("/{}", command.name),
        };
        Ok(SlashCommandOutput {
            text,
            sections: vec![section],
        })
    }

    fn complete_slash_command_argument(
        &self,
        command: SlashCommand,
        args: Vec<String>,
    ) -> Result<Vec<SlashCommandArgumentCompletion>, String> {
        let state = self.state();
        let words = slash::complete(&Zed, &state.settings, &command.name, &args)?;
        let words = words
            .into_iter()
            .map(|word| SlashCommandArgumentCompletion {
                label: word.clone(),
                new_text: word,
                run_command: false,
            });
        Ok(words.collect())
    }
}

/// The registration, which is unsafe code of Zed's macro.
#[cfg(target_family = "wasm")]
#[allow(
    unsafe_code,
    unsafe_op_in_unsafe_fn,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::needless_return,
    reason = "written by Zed's macro"
)]
mod registration {
    use super::SpecTask;

    zed_extension_api::register_extension!(SpecTask);
}
