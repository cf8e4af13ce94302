//! Third-party clients in front of the product, third-party agents behind it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spectask_tests::env::Run;
use spectask_tests::{
    AgentCommand, SampleRepo, ScriptedModel, TestEnv, agents, clients, spectask_bin,
};

use super::common::{finish, profile};

/// A client that asks for one turn with the official SDK, whose types judge every frame.
const PYTHON_CLIENT: &str = r#"
import asyncio, json, os, sys
import acp
from acp import PROTOCOL_VERSION, spawn_agent_process, text_block
from acp.schema import ClientCapabilities, FileSystemCapabilities, Implementation

class Client:
    def __init__(self):
        self.said = []
        self.kinds = []
        self.commands = []
    def on_connect(self, conn):
        pass
    async def session_update(self, session_id, update, **kwargs):
        self.kinds.append(update.session_update)
        if update.session_update == "agent_message_chunk":
            self.said.append(update.content.text)
        if update.session_update == "available_commands_update":
            self.commands = [command.name for command in update.available_commands]
    async def request_permission(self, options, session_id, tool_call, **kwargs):
        return {"outcome": {"outcome": "selected", "optionId": options[0].option_id}}
    async def read_text_file(self, path, session_id, **kwargs):
        return {"content": open(path).read()}
    async def write_text_file(self, content, path, session_id, **kwargs):
        open(path, "w").write(content)
        return {}
    async def ext_method(self, method, params):
        raise acp.RequestError.method_not_found(method)
    async def ext_notification(self, method, params):
        pass

async def main():
    project, prompt, *argv = sys.argv[1:]
    client = Client()
    async with spawn_agent_process(client, argv[0], *argv[1:], cwd=project, env=dict(os.environ), use_unstable_protocol=True) as (conn, process):
        about = await conn.initialize(protocol_version=PROTOCOL_VERSION,
            client_capabilities=ClientCapabilities(fs=FileSystemCapabilities(read_text_file=True, write_text_file=True)),
            client_info=Implementation(name="python-sdk", version="0"))
        session = await conn.new_session(cwd=project, mcp_servers=[])
        answer = await conn.prompt(prompt=[text_block(prompt)], session_id=session.session_id)
        help = await conn.prompt(prompt=[text_block("/spec-help")], session_id=session.session_id)
        await asyncio.sleep(0.2)
        listed = await conn.list_sessions()
        said = "".join(client.said)
        client.said.clear()
        await conn.load_session(cwd=project, session_id=session.session_id, mcp_servers=[])
        await asyncio.sleep(0.5)
        print(json.dumps({
            "load": about.agent_capabilities.load_session,
            "stop": answer.stop_reason,
            "help": help.stop_reason,
            "said": said,
            "again": "".join(client.said),
            "commands": client.commands,
            "kinds": sorted(set(client.kinds)),
            "listed": [listed.session_id == session.session_id for listed in listed.sessions],
        }))

asyncio.run(main())
"#;

fn prepared(agent: impl Fn(&Path) -> AgentCommand) -> (TestEnv, std::path::PathBuf) {
    let env = TestEnv::new();
    let repo = SampleRepo::new(&env, "project")
        .file("README.md", "# Project\n")
        .commit("Begin");
    let project = repo.path().to_owned();
    env.write_config(&profile("real", &agent(&env.home()), ""));
    (env, project)
}

fn run(command: Command) -> Run {
    let shown = format!("{command:?}");
    let (code, stdout, stderr) = finish(command);
    let run = Run {
        args: vec![shown],
        code,
        stdout,
        stderr,
    };
    run.ok()
}

fn through_python(env: &TestEnv, project: &Path, prompt: &str) -> Value {
    let script = env.folder().join("client.py");
    std::fs::write(&script, PYTHON_CLIENT).unwrap();
    let mut command = env.command(clients::python_with_sdk(), project);
    command.arg(&script).arg(project).arg(prompt);
    command.arg(spectask_bin()).args(["acp", "--agent", "real"]);
    let run = run(command);
    serde_json::from_str(run.stdout.trim()).unwrap_or_else(|error| panic!("{error}: {run:#?}"))
}

#[test]
fn the_official_python_sdk_talks_to_fast_agent_through_the_product() {
    let (env, project) = prepared(agents::fast_agent_passthrough);
    let seen = through_python(&env, &project, "Say the word swordfish");
    assert_eq!(seen["stop"], "end_turn", "{seen:#}");
    assert_eq!(seen["load"], true);
    assert_eq!(seen["help"], "end_turn");
    let said = seen["said"].as_str().unwrap();
    assert!(said.contains("swordfish"), "{seen:#}");
    assert!(said.contains("/spec-approve"), "{seen:#}");
    assert_eq!(seen["listed"], serde_json::json!([true]), "{seen:#}");
    let again = seen["again"].as_str().unwrap();
    assert!(again.contains("swordfish"), "{seen:#}");
    let commands = seen["commands"].as_array().unwrap();
    assert!(
        commands.iter().any(|name| name == "spec-status"),
        "{seen:#}"
    );
}

#[test]
fn the_official_python_sdk_talks_to_gemini_through_the_product() {
    let model = ScriptedModel::standard().unwrap();
    let url = model.url();
    let (env, project) = prepared(|home| agents::gemini(&url, home));
    let seen = through_python(&env, &project, "Say hello");
    assert_eq!(seen["stop"], "end_turn", "{seen:#}");
    assert_ne!(seen["said"], "", "{seen:#}");
    assert_eq!(seen["listed"], serde_json::json!([true]), "{seen:#}");
}

#[test]
fn acpx_talks_to_fast_agent_through_the_product() {
    let (env, project) = prepared(agents::fast_agent_passthrough);
    let [node, script] = clients::acpx();
    let mut command = env.command(node, &project);
    let agent = format!("'{}' acp --agent real", spectask_bin().display());
    command.arg(script).arg("--cwd").arg(&project);
    command.args(["--format", "json", "--json-strict", "--approve-all"]);
    command.args(["--agent", &agent, "exec", "Say the word swordfish"]);
    let run = run(command);
    let frames: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    let said: String = frames
        .iter()
        .filter(|frame| frame["params"]["update"]["sessionUpdate"] == "agent_message_chunk")
        .filter_map(|frame| frame["params"]["update"]["content"]["text"].as_str())
        .collect();
    assert!(said.contains("swordfish"), "{run:#?}");
    let ended = frames
        .iter()
        .any(|frame| frame["result"]["stopReason"] == "end_turn");
    assert!(ended, "{run:#?}");
}
