//! What of Zed's API is used, as a trait.

use zed_extension_api::{
    Os, current_platform,
    http_client::{HttpMethod, HttpRequest, RedirectPolicy},
    process::Command,
};

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Its exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// Standard output.
    pub(crate) stdout: Vec<u8>,
    /// Standard error.
    pub(crate) stderr: Vec<u8>,
}

/// The editor around the extension.
pub(crate) trait Editor: Sync {
    /// Runs a program to its end. Zed has no time limit here.
    ///
    /// # Errors
    /// When it cannot be started, or Zed's settings forbid it.
    fn run(&self, program: &str, args: &[&str], env: &[(String, String)]) -> Result<Ended, String>;

    /// Posts JSON and returns the body of the answer.
    ///
    /// # Errors
    /// When there is no answer, or one whose status is not good.
    fn post(&self, url: &str, token: &str, body: Vec<u8>) -> Result<Vec<u8>, String>;

    /// Whether programs end in `.exe`.
    fn is_windows(&self) -> bool;
}

/// Zed itself.
pub(crate) struct Zed;

impl Editor for Zed {
    fn run(&self, program: &str, args: &[&str], env: &[(String, String)]) -> Result<Ended, String> {
        let mut command = Command::new(program)
            .args(args.iter().copied())
            .envs(env.iter().cloned());
        let output = command.output()?;
        Ok(Ended {
            code: output.status,
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    fn post(&self, url: &str, token: &str, body: Vec<u8>) -> Result<Vec<u8>, String> {
        let request = HttpRequest {
            method: HttpMethod::Post,
            url: url.to_owned(),
            headers: vec![
                ("Authorization".to_owned(), format!("Bearer {token}")),
                ("Content-Type".to_owned(), "application/json".to_owned()),
            ],
            body: Some(body),
            // The token goes nowhere else.
            redirect_policy: RedirectPolicy::NoFollow,
        };
        Ok(request.fetch()?.body)
    }

    fn is_windows(&self) -> bool {
        current_platform().0 == Os::Windows
    }
}
