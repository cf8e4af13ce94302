//! The handler: one for stdio and HTTP.

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
        Implementation, ListPromptsResult, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::RequestContext,
};

use super::{
    caller::{Caller, Shape},
    prompts,
    tool::{TOOLS, find},
};

/// The MCP server for one caller.
#[derive(Debug, Clone)]
pub struct Server {
    caller: Caller,
}

impl Server {
    /// A server on behalf of that caller.
    #[must_use]
    pub const fn new(caller: Caller) -> Self {
        Self { caller }
    }

    fn instructions(&self) -> String {
        let mut text = "SpecTask turns a prompt into requirements, a design and tasks, which a \
                        person approves, and works the tasks in parallel sessions, each an agent \
                        in a git worktree of its own. These tools read that state, report, and \
                        pass messages between sessions; approving, finishing and cancelling are \
                        for persons."
            .to_owned();
        let place = match (&self.caller.session, &self.caller.cwd) {
            (Some(session), _) => format!(
                " You are the agent of work session {session}: tools without `task` or `session` \
                 are about it. Call get_messages now and then, and answer_message where another \
                 session asks you."
            ),
            (None, Some(cwd)) => format!(
                " Tools without `task` are about the SpecTasks of the repository at {cwd}; \
                 `project` names another folder."
            ),
            (None, None) => " This server was not started in a project's folder and knows none: \
                             name a SpecTask by `task`, or its folder by `project`."
                .to_owned(),
        };
        text.push_str(&place);
        text
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = match self.caller.shape {
            Shape::Injected => ServerCapabilities::builder().enable_tools().build(),
            Shape::Standalone => ServerCapabilities::builder()
                .enable_tools()
                .enable_prompts()
                .build(),
        };
        let about =
            Implementation::new("spectask", env!("CARGO_PKG_VERSION")).with_title("SpecTask");
        ServerConfig::new(capabilities)
            .with_server_info(about)
            .with_instructions(self.instructions())
    }

    async fn list_tools(
        &self,
        _params: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = TOOLS.iter().map(|entry| entry.description.clone());
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        find(name).map(|entry| entry.description.clone())
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(entry) = find(&params.name) else {
            return Err(ErrorData::invalid_params(
                format!("there is no tool {:?}", params.name),
                None,
            ));
        };
        let arguments = params.arguments.unwrap_or_default();
        Ok((entry.call)(&self.caller, arguments).await.into())
    }

    async fn list_prompts(
        &self,
        _params: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        if self.caller.shape == Shape::Injected {
            return Ok(ListPromptsResult::default());
        }
        let prompts = prompts::list(&self.caller).await?;
        Ok(ListPromptsResult::with_all_items(prompts))
    }

    async fn get_prompt(
        &self,
        params: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        if self.caller.shape == Shape::Injected {
            return Err(ErrorData::invalid_request(
                "slash commands are for persons; this server runs inside an agent's session and \
                 has tools only",
                None,
            ));
        }
        Ok(prompts::get(&self.caller, params).await?.into())
    }
}
