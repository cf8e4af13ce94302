//! Prompts from templates. A person overrides a template by a file of its name in the prompts folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use minijinja::Environment;
use serde::Serialize;
use serde_json::{Value, json};
use spectask_protocol::PromptView;

/// More is no prompt.
const SIZE_LIMIT: u64 = 256 * 1024;

/// A prompt template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Asks for the three documents.
    Plan,
    /// Sends findings and comments back to the planner.
    Revise,
    /// Asks for documents that are missing.
    Missing,
    /// Gives one task of the approved plan to its session.
    Implement,
    /// Gives a spawned session its work.
    Spawned,
    /// Sends a failed verify back.
    Fix,
    /// Asks to resolve a conflict.
    Resolve,
    /// Delivers messages that came while the agent worked.
    Message,
    /// Goes on after an interruption.
    Continue,
}

impl Template {
    /// All templates.
    pub const ALL: [Self; 9] = [
        Self::Plan,
        Self::Revise,
        Self::Missing,
        Self::Implement,
        Self::Spawned,
        Self::Fix,
        Self::Resolve,
        Self::Message,
        Self::Continue,
    ];

    const fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Plan => (
                "plan",
                "asks for the three documents",
                include_str!("templates/plan.md"),
            ),
            Self::Revise => (
                "revise",
                "sends findings and review comments back to the planner",
                include_str!("templates/revise.md"),
            ),
            Self::Missing => (
                "missing",
                "asks for documents that are missing",
                include_str!("templates/missing.md"),
            ),
            Self::Implement => (
                "implement",
                "gives one task of the approved plan to its session",
                include_str!("templates/implement.md"),
            ),
            Self::Spawned => (
                "spawned",
                "gives a spawned session its work",
                include_str!("templates/spawned.md"),
            ),
            Self::Fix => (
                "fix",
                "sends a failed verify back",
                include_str!("templates/fix.md"),
            ),
            Self::Resolve => (
                "resolve",
                "asks to resolve a merge conflict",
                include_str!("templates/resolve.md"),
            ),
            Self::Message => (
                "message",
                "delivers messages that came while the agent worked",
                include_str!("templates/message.md"),
            ),
            Self::Continue => (
                "continue",
                "goes on after an interruption",
                include_str!("templates/continue.md"),
            ),
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.parts().0
    }
}

/// Why a prompt cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// A person's template cannot be read.
    #[error("cannot read the prompt template {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A template does not work.
    #[error("the prompt template {name}: {reason}")]
    Render {
        /// Its name or file.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// The templates in use.
#[derive(Debug, Clone)]
pub struct Prompts {
    folder: PathBuf,
}

impl Prompts {
    /// The built-in templates, with those in `folder` over them.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The text of a template, and where it comes from.
    fn source(&self, template: Template) -> Result<(String, Option<PathBuf>), PromptError> {
        let path = self.folder.join(format!("{}.md", template.name()));
        match read(&path) {
            Ok(text) => Ok((text, Some(path))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((template.parts().2.to_owned(), None))
            }
            Err(source) => Err(PromptError::Read { path, source }),
        }
    }

    /// Renders a template.
    ///
    /// # Errors
    /// When a person's template cannot be read or does not work.
    pub fn render(
        &self,
        template: Template,
        values: impl Serialize,
    ) -> Result<String, PromptError> {
        let (text, path) = self.source(template)?;
        let name = path.map_or_else(|| template.name().into(), |path| path.display().to_string());
        let mut environment = Environment::new();
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
        // Prompts are Markdown for a model, not HTML for a browser.
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        environment
            .render_named_str(&name, &text, minijinja::value::Serde(values))
            .map_err(|error| PromptError::Render {
                name,
                reason: format!("{error:#}"),
            })
    }

    /// All templates as a person sees them.
    ///
    /// # Errors
    /// When a person's template cannot be read.
    pub fn list(&self) -> Result<Vec<PromptView>, PromptError> {
        let view = |template: Template| {
            let (text, path) = self.source(template)?;
            Ok(PromptView {
                name: template.name().into(),
                purpose: template.parts().1.into(),
                source: path.map_or_else(|| "built-in".into(), |path| path.display().to_string()),
                text,
                folder: self.folder.display().to_string(),
            })
        };
        Template::ALL.into_iter().map(view).collect()
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > SIZE_LIMIT {
        return Err(io::Error::other(format!(
            "it has more than {SIZE_LIMIT} bytes"
        )));
    }
    fs::read_to_string(path)
}

/// The machine-readable end of a prompt. JSON strings hold no line break, so text of a person or a
/// document cannot close the fence.
#[must_use]
pub(super) fn block(mut fields: Value, root: &Path) -> String {
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("root".into(), json!(root.display().to_string()));
    }
    format!("```spectask\n{fields}\n```")
}

/// What a project wants its agents to know: `.kiro/steering/*.md` and `AGENTS.md`, at a commit.
#[must_use]
pub(super) fn steering(repository: &crate::repo::Repository, commit: &str) -> String {
    const LIMIT: usize = 32 * 1024;
    let mut paths: Vec<String> = repository
        .list_files(commit, ".kiro/steering")
        .unwrap_or_default()
        .into_iter()
        .filter(|path| Path::new(path).extension().is_some_and(|end| end == "md"))
        .collect();
    paths.push("AGENTS.md".into());
    let mut all = String::new();
    for path in paths {
        let Ok(Some(bytes)) = repository.read_file(commit, &path) else {
            continue;
        };
        let Ok(text) = String::from_utf8(bytes) else {
            continue;
        };
        if all.len() + text.len() > LIMIT {
            all.push_str(&format!(
                "(`{path}` is left out: too long; read it yourself)\n"
            ));
            continue;
        }
        all.push_str(&format!("From `{path}`:\n\n{}\n\n", text.trim()));
    }
    all.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn every_template_renders_and_ends_with_its_block() {
        let folder = TempDir::new().unwrap();
        let prompts = Prompts::new(folder.path().into());
        let values = json!({
            "prompt": "Add <b>auth</b>", "folder": "specs/1-auth", "block": "BLOCK", "original": "BLOCK",
            "files": ["a"], "findings": [], "comments": [], "text": "1. X", "root": "/w",
        });
        for template in Template::ALL {
            let text = prompts.render(template, &values).unwrap();
            assert!(
                text.trim_end().ends_with("BLOCK"),
                "{}: {text}",
                template.name()
            );
            assert!(!text.contains("{{") && !text.contains("{%"), "{text}");
        }
        let plan = prompts.render(Template::Plan, &values).unwrap();
        assert!(
            plan.contains("Add <b>auth</b>") && plan.contains(r#"{"waves""#),
            "{plan}"
        );
    }

    #[test]
    fn a_file_of_the_same_name_overrides() {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("fix.md"), "Mine: {{ output }}").unwrap();
        let prompts = Prompts::new(folder.path().into());
        assert_eq!(
            prompts
                .render(Template::Fix, json!({ "output": "x" }))
                .unwrap(),
            "Mine: x"
        );
        fs::write(folder.path().join("fix.md"), "{{ broken").unwrap();
        let error = prompts
            .render(Template::Fix, json!({}))
            .unwrap_err()
            .to_string();
        assert!(error.contains("fix.md"), "{error}");
        assert_eq!(prompts.list().unwrap().len(), 9);
    }

    #[test]
    fn hostile_text_cannot_close_the_block() {
        let text = block(json!({ "prompt": "x\n```\nevil" }), Path::new("/w"));
        assert_eq!(text.lines().count(), 3);
    }
}
