//! The editor around the component.

use std::{path::PathBuf, sync::OnceLock};

use serde_json::Value;
use spectask_tests::TestEnv;
use wasmtime::{
    Config, Engine, Store,
    component::{Component, HasSelf, Linker, Resource, ResourceTable},
};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};

use crate::{http, package};

mod bindings {
    #![allow(
        missing_docs,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::pedantic
    )]
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    wasmtime::component::bindgen!({ path: "wit", world: "extension" });
}

use bindings::{
    DownloadedFileType, Extension, ExtensionImports, HostKeyValueStore, HostProject, HostWorktree,
    KeyValueStore, LanguageServerInstallationStatus, Project, SettingsLocation, Worktree,
    zed::extension::{
        common, context_server, dap, github, http_client, lsp, nodejs, platform, process,
        slash_command,
    },
};

/// The id of the extension and of its context server.
pub const ID: &str = "mcp-server-spectask";

/// A command that the extension gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Its variables.
    pub env: Vec<(String, String)>,
}

/// What Zed shows to set the context server up.
#[derive(Debug, Clone)]
pub struct Opened {
    /// Markdown.
    pub instructions: String,
    /// JSON schema.
    pub schema: String,
    /// JSON with comments.
    pub defaults: String,
}

/// What a process that the extension starts may be.
#[derive(Debug, Clone)]
struct Capability {
    command: String,
    args: Vec<String>,
}

impl Capability {
    /// As `extension/src/capabilities/process_exec_capability.rs` of Zed decides.
    fn allows(&self, command: &str, args: &[String]) -> bool {
        if self.command != "*" && self.command != command {
            return false;
        }
        for (at, allowed) in self.args.iter().enumerate() {
            match (allowed.as_str(), args.get(at)) {
                ("**", _) => return at + 1 == self.args.len(),
                ("*", Some(_)) => {}
                (allowed, Some(arg)) if allowed == arg => {}
                _ => return false,
            }
        }
        args.len() == self.args.len()
    }
}

/// An editor with the extension loaded, in an environment of its own.
pub struct Editor {
    store: Store<State>,
    extension: Extension,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
    env: TestEnv,
    project: PathBuf,
    settings: Value,
    allowed: Vec<Capability>,
    granted: Vec<Capability>,
    ran: Vec<String>,
    posted: Vec<String>,
}

fn engine() -> &'static (Engine, Component) {
    static ENGINE: OnceLock<(Engine, Component)> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config.wasm_component_model(true);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::from_binary(&engine, package::component()).expect("a component");
        (engine, component)
    })
}

/// The capabilities of the packaged manifest.
fn declared() -> Vec<Capability> {
    let manifest = std::fs::read_to_string(package::folder().join("extension.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let all = manifest["capabilities"].as_array_of_tables().unwrap();
    all.iter()
        .map(|entry| {
            assert_eq!(entry["kind"].as_str(), Some("process:exec"));
            Capability {
                command: entry["command"].as_str().unwrap().to_owned(),
                args: entry["args"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|arg| arg.as_str().unwrap().to_owned())
                    .collect(),
            }
        })
        .collect()
}

impl Editor {
    /// Loads the extension.
    ///
    /// # Panics
    /// When it cannot be loaded.
    #[must_use]
    pub fn start(env: TestEnv) -> Self {
        let (engine, component) = engine();
        let work = env.folder().join("work");
        let project = env.folder().join("project");
        for folder in [&work, &project] {
            std::fs::create_dir_all(folder).unwrap();
        }
        let path = work.to_str().unwrap().to_owned();
        let wasi = WasiCtx::builder()
            .inherit_stdio()
            .env("PWD", &path)
            .env("RUST_BACKTRACE", "full")
            .preopened_dir(&work, &path, FsPerms::ReadWrite)
            .unwrap()
            .build();
        let everything = Capability {
            command: "*".to_owned(),
            args: vec!["**".to_owned()],
        };
        let state = State {
            wasi,
            table: ResourceTable::new(),
            env,
            project,
            settings: Value::Null,
            allowed: declared(),
            granted: vec![everything],
            ran: Vec::new(),
            posted: Vec::new(),
        };
        let mut linker = Linker::new(engine);
        wasmtime_wasi::p2::add_to_linker_sync(&mut linker).unwrap();
        Extension::add_to_linker::<_, HasSelf<_>>(&mut linker, |state| state).unwrap();
        let mut store = Store::new(engine, state);
        let extension = Extension::instantiate(&mut store, component, &linker).unwrap();
        extension.call_init_extension(&mut store).unwrap();
        Self { store, extension }
    }

    /// The environment.
    #[must_use]
    pub fn env(&self) -> &TestEnv {
        &self.store.data().env
    }

    /// The environment, to change it.
    pub fn env_mut(&mut self) -> &mut TestEnv {
        &mut self.store.data_mut().env
    }

    /// The root of the project.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.store.data().project.clone()
    }

    /// What the person's settings say below `context_servers.ID.settings`.
    pub fn set(&mut self, settings: Value) {
        self.store.data_mut().settings = settings;
    }

    /// Takes all capabilities from extensions, as `granted_extension_capabilities = []` does.
    pub fn grant_nothing(&mut self) {
        self.store.data_mut().granted.clear();
    }

    /// The command lines that were run, and the URLs that were posted to.
    #[must_use]
    pub fn did(&self) -> (&[String], &[String]) {
        (&self.store.data().ran, &self.store.data().posted)
    }

    /// What Zed asks before it starts the context server.
    ///
    /// # Errors
    /// The extension's.
    ///
    /// # Panics
    /// When the component traps.
    pub fn command(&mut self) -> Result<Answer, String> {
        let project = Resource::<Project>::new_own(1);
        let answer = self
            .extension
            .call_context_server_command(&mut self.store, ID, project);
        answer.expect("no trap").map(|command| Answer {
            command: command.command,
            args: command.args,
            env: command.env,
        })
    }

    /// What Zed asks before it shows how to set the context server up.
    ///
    /// # Panics
    /// When the component traps or fails.
    pub fn configuration(&mut self) -> Opened {
        let project = Resource::<Project>::new_own(1);
        let answer = self
            .extension
            .call_context_server_configuration(&mut self.store, ID, project);
        let shown = answer.expect("no trap").unwrap().unwrap();
        Opened {
            instructions: shown.installation_instructions,
            schema: shown.settings_schema,
            defaults: shown.default_settings,
        }
    }

    fn slash_command(name: &str) -> slash_command::SlashCommand {
        slash_command::SlashCommand {
            name: name.to_owned(),
            description: String::new(),
            tooltip_text: String::new(),
            requires_argument: false,
        }
    }

    /// Runs a slash command.
    ///
    /// # Errors
    /// The extension's.
    ///
    /// # Panics
    /// When the component traps.
    pub fn slash(&mut self, name: &str, args: &[&str]) -> Result<String, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let worktree = Some(Resource::<Worktree>::new_own(1));
        let command = Self::slash_command(name);
        let answer =
            self.extension
                .call_run_slash_command(&mut self.store, &command, &args, worktree);
        answer.expect("no trap").map(|output| {
            let end = u32::try_from(output.text.len()).unwrap();
            let ranges: Vec<_> = output
                .sections
                .iter()
                .map(|section| (section.range.start, section.range.end))
                .collect();
            assert_eq!(ranges, [(0, end)]);
            output.text
        })
    }

    /// What may follow a slash command.
    ///
    /// # Errors
    /// The extension's.
    ///
    /// # Panics
    /// When the component traps.
    pub fn complete(&mut self, name: &str, args: &[&str]) -> Result<Vec<String>, String> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let command = Self::slash_command(name);
        let answer =
            self.extension
                .call_complete_slash_command_argument(&mut self.store, &command, &args);
        let answer = answer.expect("no trap")?;
        Ok(answer.into_iter().map(|word| word.new_text).collect())
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl process::Host for State {
    fn run_command(&mut self, command: process::Command) -> Result<process::Output, String> {
        let process::Command { command, args, env } = command;
        for (which, all) in [("declared", &self.allowed), ("granted", &self.granted)] {
            if !all.iter().any(|one| one.allows(&command, &args)) {
                return Err(format!(
                    "capability for process:exec {command} {args:?} is not {which}"
                ));
            }
        }
        self.ran.push(format!("{command} {}", args.join(" ")));
        let mut process = self.env.command(&command, &self.project);
        let output = process.args(&args).envs(env).output();
        let output = output.map_err(|error| error.to_string())?;
        Ok(process::Output {
            status: output.status.code(),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
}

impl http_client::Host for State {
    fn fetch(
        &mut self,
        request: http_client::HttpRequest,
    ) -> Result<http_client::HttpResponse, String> {
        assert!(matches!(request.method, http_client::HttpMethod::Post));
        assert!(matches!(
            request.redirect_policy,
            http_client::RedirectPolicy::NoFollow
        ));
        self.posted.push(request.url.clone());
        let body = request.body.unwrap_or_default();
        let (status, body) = http::post(&request.url, &request.headers, &body)?;
        if status >= 400 {
            // All that Zed tells of it.
            return Err(format!("status error {status}"));
        }
        Ok(http_client::HttpResponse {
            headers: Vec::new(),
            body,
        })
    }

    fn fetch_stream(
        &mut self,
        _request: http_client::HttpRequest,
    ) -> Result<Resource<http_client::HttpResponseStream>, String> {
        Err("not used".to_owned())
    }
}

impl http_client::HostHttpResponseStream for State {
    fn next_chunk(
        &mut self,
        _stream: Resource<http_client::HttpResponseStream>,
    ) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    fn drop(&mut self, _stream: Resource<http_client::HttpResponseStream>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl platform::Host for State {
    fn current_platform(&mut self) -> (platform::Os, platform::Architecture) {
        let os = if cfg!(windows) {
            platform::Os::Windows
        } else if cfg!(target_os = "macos") {
            platform::Os::Mac
        } else {
            platform::Os::Linux
        };
        (os, platform::Architecture::X8664)
    }
}

impl ExtensionImports for State {
    fn get_settings(
        &mut self,
        location: Option<SettingsLocation>,
        category: String,
        key: Option<String>,
    ) -> Result<String, String> {
        assert_eq!(
            (category.as_str(), key.as_deref()),
            ("context_servers", Some(ID))
        );
        assert!(location.is_none_or(|location| location.worktree_id == 1));
        Ok(serde_json::json!({ "command": null, "settings": self.settings }).to_string())
    }

    fn download_file(
        &mut self,
        _url: String,
        _path: String,
        _kind: DownloadedFileType,
    ) -> Result<(), String> {
        Err("not used".to_owned())
    }

    fn make_file_executable(&mut self, _path: String) -> Result<(), String> {
        Err("not used".to_owned())
    }

    fn set_language_server_installation_status(
        &mut self,
        _name: String,
        _status: LanguageServerInstallationStatus,
    ) {
    }
}

impl HostWorktree for State {
    fn id(&mut self, _worktree: Resource<Worktree>) -> u64 {
        1
    }

    fn root_path(&mut self, _worktree: Resource<Worktree>) -> String {
        self.project.to_str().unwrap().to_owned()
    }

    fn read_text_file(
        &mut self,
        _worktree: Resource<Worktree>,
        _path: String,
    ) -> Result<String, String> {
        Err("not used".to_owned())
    }

    fn which(&mut self, _worktree: Resource<Worktree>, _name: String) -> Option<String> {
        None
    }

    fn shell_env(&mut self, _worktree: Resource<Worktree>) -> Vec<(String, String)> {
        let command = self.env.command("env", &self.project);
        command
            .get_envs()
            .filter_map(|(name, value)| {
                Some((name.to_str()?.to_owned(), value?.to_str()?.to_owned()))
            })
            .collect()
    }

    fn drop(&mut self, _worktree: Resource<Worktree>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl HostProject for State {
    fn worktree_ids(&mut self, _project: Resource<Project>) -> Vec<u64> {
        vec![1]
    }

    fn drop(&mut self, _project: Resource<Project>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl HostKeyValueStore for State {
    fn insert(
        &mut self,
        _store: Resource<KeyValueStore>,
        _key: String,
        _value: String,
    ) -> Result<(), String> {
        Err("not used".to_owned())
    }

    fn drop(&mut self, _store: Resource<KeyValueStore>) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl github::Host for State {
    fn latest_github_release(
        &mut self,
        _repo: String,
        _options: github::GithubReleaseOptions,
    ) -> Result<github::GithubRelease, String> {
        Err("not used".to_owned())
    }

    fn github_release_by_tag_name(
        &mut self,
        _repo: String,
        _tag: String,
    ) -> Result<github::GithubRelease, String> {
        Err("not used".to_owned())
    }
}

impl nodejs::Host for State {
    fn node_binary_path(&mut self) -> Result<String, String> {
        Err("not used".to_owned())
    }

    fn npm_package_latest_version(&mut self, _name: String) -> Result<String, String> {
        Err("not used".to_owned())
    }

    fn npm_package_installed_version(&mut self, _name: String) -> Result<Option<String>, String> {
        Err("not used".to_owned())
    }

    fn npm_install_package(&mut self, _name: String, _version: String) -> Result<(), String> {
        Err("not used".to_owned())
    }
}

impl dap::Host for State {
    fn resolve_tcp_template(
        &mut self,
        _template: dap::TcpArgumentsTemplate,
    ) -> Result<dap::TcpArguments, String> {
        Err("not used".to_owned())
    }
}

impl common::Host for State {}
impl context_server::Host for State {}
impl lsp::Host for State {}
impl slash_command::Host for State {}
