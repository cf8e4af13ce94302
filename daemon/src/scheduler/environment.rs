//! The environment of agents and commands: what the person's commands brought, in memory only; after
//! a restart the daemon's own, and the login shell's for what is missing.

use std::{
    collections::{BTreeMap, HashMap},
    env,
    process::Stdio,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use spectask_protocol::{Environment, ProjectId};
use tokio::{process::Command, sync::OnceCell, time::timeout};

/// A login shell that takes longer has a profile that waits for a person.
const SHELL_LIMIT: Duration = Duration::from_secs(10);

/// More is no environment.
const SIZE_LIMIT: usize = 1024 * 1024;

/// What is known of the person's environment, by project.
pub struct Environments {
    own: Environment,
    brought: Mutex<HashMap<ProjectId, Environment>>,
    shell: OnceCell<Environment>,
}

impl Environments {
    /// Starts with the daemon's own environment.
    #[must_use]
    pub fn new() -> Self {
        let own = env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            own,
            brought: Mutex::default(),
            shell: OnceCell::new(),
        }
    }

    /// Takes what a person's command brought; empty or oversized ones are passed over.
    pub fn bring(&self, project: &ProjectId, mut environment: Environment) {
        environment.retain(|name, value| {
            let plain = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
            plain && !name.starts_with("SPECTASK_")
        });
        let size: usize = environment
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        if environment.is_empty() || size > SIZE_LIMIT {
            return;
        }
        self.lock().insert(project.clone(), environment);
    }

    /// The environment for a project's agents and commands, with those of `needed` that only the
    /// login shell knows.
    pub async fn of(&self, project: &ProjectId, needed: &[String]) -> Environment {
        let brought = self.lock().get(project).cloned();
        let mut environment = match brought {
            Some(mut brought) => {
                // The daemon's own settings stay in force, such as the pace of the example agent.
                let own = self
                    .own
                    .iter()
                    .filter(|(name, _)| name.starts_with("SPECTASK_"));
                brought.extend(own.map(|(name, value)| (name.clone(), value.clone())));
                brought
            }
            None => self.own.clone(),
        };
        let missing = |environment: &Environment, name: &String| {
            environment.get(name).is_none_or(String::is_empty)
        };
        if needed.iter().any(|name| missing(&environment, name)) {
            let shell = self.shell.get_or_init(login_shell).await;
            for name in needed {
                if missing(&environment, name)
                    && let Some(value) = shell.get(name)
                {
                    environment.insert(name.clone(), value.clone());
                }
            }
        }
        environment
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ProjectId, Environment>> {
        self.brought.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Environments {
    fn default() -> Self {
        Self::new()
    }
}

/// What the person's login shell exports.
async fn login_shell() -> Environment {
    if cfg!(windows) {
        return BTreeMap::new();
    }
    let shell = env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let run = Command::new(shell)
        .args(["-l", "-c", "env -0"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .output();
    match timeout(SHELL_LIMIT, run).await {
        Ok(Ok(output)) => parse(&output.stdout),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the login shell could not be asked for its environment");
            BTreeMap::new()
        }
        Err(_) => {
            tracing::warn!("the login shell did not tell its environment in time");
            BTreeMap::new()
        }
    }
}

fn parse(output: &[u8]) -> Environment {
    output
        .split(|byte| *byte == 0)
        .filter_map(|entry| {
            let (name, value) = std::str::from_utf8(entry).ok()?.split_once('=')?;
            // A profile may print before `env` does.
            let name = name.rsplit('\n').next()?;
            (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_profile_prints_before_is_no_part_of_a_name() {
        let parsed = parse(b"welcome!\nA=1\0B=x\ny=z\0=odd\0");
        assert_eq!(
            parsed,
            BTreeMap::from([("A".into(), "1".into()), ("B".into(), "x\ny=z".into())])
        );
    }

    #[tokio::test]
    async fn what_a_person_brought_is_used_for_that_project_only() {
        let environments = Environments::new();
        let id = |n: u32| {
            format!("01890a5d-ac96-774b-bcce-b30209{n:06}")
                .parse::<ProjectId>()
                .unwrap()
        };
        let brought = BTreeMap::from([
            ("KEY".to_owned(), "1".to_owned()),
            ("SPECTASK_DATA_DIR".to_owned(), "/elsewhere".to_owned()),
            ("BAD=NAME".to_owned(), "1".to_owned()),
        ]);
        environments.bring(&id(1), brought);
        let one = environments.of(&id(1), &[]).await;
        assert_eq!(one.get("KEY").map(String::as_str), Some("1"));
        assert_ne!(
            one.get("SPECTASK_DATA_DIR").map(String::as_str),
            Some("/elsewhere")
        );
        assert!(!one.contains_key("BAD=NAME"));
        assert_ne!(
            environments
                .of(&id(2), &[])
                .await
                .get("KEY")
                .map(String::as_str),
            Some("1")
        );
    }
}
