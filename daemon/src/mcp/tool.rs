//! What a tool is, and how one is called.

use std::{pin::Pin, sync::LazyLock};

use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool as Description, ToolAnnotations};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use spectask_protocol::Failure;

use super::{
    caller::{Caller, invalid},
    schema, tools,
};

/// What a tool does to the state of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    Reads,
    /// Adds to it; a second call adds again.
    Adds,
}

/// A tool. Texts are for models: they see nothing else of it.
pub(super) trait Tool: 'static {
    /// Its name.
    const NAME: &'static str;
    /// What a person sees.
    const TITLE: &'static str;
    /// What it does and when to use it.
    const DESCRIPTION: &'static str;
    /// What it does to the daemon's state.
    const EFFECT: Effect;
    /// Its arguments.
    type Input: DeserializeOwned + JsonSchema + Send;
    /// Its structured result.
    type Output: Serialize + JsonSchema + Send;

    /// Does it. The text says the same as the output, for models that see only text.
    fn call(
        caller: &Caller,
        input: Self::Input,
    ) -> impl Future<Output = Result<(Self::Output, String), Failure>> + Send;
}

type Running<'a> = Pin<Box<dyn Future<Output = CallToolResult> + Send + 'a>>;

/// A tool whose types are not known.
pub(super) struct Entry {
    /// What clients are told.
    pub(super) description: Description,
    /// Calls it.
    pub(super) call: for<'a> fn(&'a Caller, JsonObject) -> Running<'a>,
}

/// Every tool, in the order in which they are listed.
pub(super) static TOOLS: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    vec![
        entry::<tools::GetTask>(),
        entry::<tools::GetDocuments>(),
        entry::<tools::ListSessions>(),
        entry::<tools::GetSession>(),
        entry::<tools::ReportProgress>(),
        entry::<tools::RecordDecision>(),
        entry::<tools::TellSession>(),
        entry::<tools::AskSession>(),
        entry::<tools::GetMessages>(),
        entry::<tools::AnswerMessage>(),
        entry::<tools::SpawnSession>(),
        entry::<tools::SearchHistory>(),
    ]
});

/// The tool of that name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    TOOLS.iter().find(|entry| entry.description.name == name)
}

fn entry<T: Tool>() -> Entry {
    let reads = T::EFFECT == Effect::Reads;
    let annotations = ToolAnnotations::with_title(T::TITLE)
        .read_only(reads)
        .destructive(false)
        .idempotent(reads)
        .open_world(false);
    Entry {
        description: Description::new(T::NAME, T::DESCRIPTION, schema::input::<T::Input>())
            .with_title(T::TITLE)
            .with_raw_output_schema(schema::output::<T::Output>())
            .with_annotations(annotations),
        call: |caller, arguments| Box::pin(run::<T>(caller, arguments)),
    }
}

async fn run<T: Tool>(caller: &Caller, arguments: JsonObject) -> CallToolResult {
    let answer = async {
        // A null stands for an absent argument, as some clients send it.
        let given = arguments.into_iter().filter(|(_, value)| !value.is_null());
        let input = serde_json::from_value(Value::Object(given.collect()))
            .map_err(|error| invalid(format!("{}: {error}", T::NAME)))?;
        let (output, text) = T::call(caller, input).await?;
        let output = serde_json::to_value(output)
            .map_err(|error| invalid(format!("{}: {error}", T::NAME)))?;
        Ok((output, text))
    };
    match answer.await {
        Ok((output, text)) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
            result.structured_content = Some(output);
            result
        }
        // Without structured content: clients check that against the schema of a success.
        Err(failure) => CallToolResult::error(vec![ContentBlock::text(told(&failure))]),
    }
}

/// A failure as a model reads it.
pub(super) fn told(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{}\nHint: {hint}", failure.message),
        None => failure.message.clone(),
    }
}
