//! The two wire formats, read into a [`Turn`] and written from an [`Answer`].

use serde_json::{Map, Value, json};

use super::Step;

/// A tool the agent offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Name as the agent declared it.
    pub name: String,
    /// Names of its parameters.
    pub parameters: Vec<String>,
}

/// What a tool gave back.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolResult {
    /// Name of the tool; empty where the format does not repeat it.
    pub name: String,
    /// Its output as text.
    pub text: String,
}

/// The conversation as a script sees it.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Text of the newest user message.
    pub prompt: String,
    /// The machine-readable block at the end of the prompt, `null` when there is none.
    pub block: Value,
    /// Blocks of earlier turns that the agent still remembers, oldest first.
    pub remembered: Vec<Value>,
    /// Results of the tools called since the prompt, oldest first.
    pub results: Vec<ToolResult>,
    /// Tools on offer.
    pub tools: Vec<Tool>,
}

impl Turn {
    /// A request beside the turn: a title, a summary, a question who speaks next.
    pub(super) fn is_aside(&self) -> bool {
        self.tools.is_empty()
    }

    fn tool(&self, wanted: &[&str]) -> Option<&Tool> {
        let find = |hit: &dyn Fn(&str, &str) -> bool| {
            wanted
                .iter()
                .find_map(|name| self.tools.iter().find(|tool| hit(&tool.name, name)))
        };
        find(&|tool, name| tool == name).or_else(|| find(&|tool, name| tool.contains(name)))
    }

    /// Translates a step to what this agent offers; a step it has no tool for is said instead, so
    /// that a test sees the reason in the transcript.
    pub(super) fn resolve(&self, step: Step) -> Answer {
        let (names, values): (&[&str], Vec<(&[&str], String)>) = match step {
            Step::Say(text) => return Answer::Say(text),
            Step::Stall => return Answer::Stall,
            Step::Fail(status) => return Answer::Fail(status),
            Step::Call { tool, args } => {
                return self.tool(&[&tool]).map_or_else(
                    || self.missing(&tool),
                    |tool| Answer::Call(tool.name.clone(), args),
                );
            }
            Step::Write { path, content } => (
                &["write_file", "write"],
                vec![(PATHS, path), (&["content"], content)],
            ),
            Step::Edit { path, old, new } => (
                &["replace", "edit"],
                vec![(PATHS, path), (OLDS, old), (NEWS, new)],
            ),
            Step::Read { path } => (&["read_file", "read"], vec![(PATHS, path)]),
            Step::Shell { command } => (
                &["run_shell_command", "bash", "shell"],
                vec![(&["command"], command)],
            ),
        };
        let Some(tool) = self.tool(names) else {
            return self.missing(names[0]);
        };
        let mut args = Map::new();
        for (spellings, value) in values {
            let declared = |name: &&&str| tool.parameters.iter().any(|p| p == **name);
            let name = spellings.iter().find(declared).unwrap_or(&spellings[0]);
            args.insert((*name).to_owned(), Value::String(value));
        }
        // Tools that want to know why are told.
        for why in ["description", "instruction"] {
            if tool.parameters.iter().any(|p| p == why) {
                args.insert(why.to_owned(), json!("As the script says"));
            }
        }
        Answer::Call(tool.name.clone(), Value::Object(args))
    }

    fn missing(&self, tool: &str) -> Answer {
        let names: Vec<_> = self.tools.iter().map(|t| t.name.as_str()).collect();
        Answer::Say(format!(
            "No tool {tool} on offer, only {}",
            names.join(", ")
        ))
    }

    fn user_text(&mut self, text: &str) {
        if !self.block.is_null() {
            self.remembered.push(self.block.take());
        }
        self.block = block(text).unwrap_or(Value::Null);
        text.clone_into(&mut self.prompt);
        self.results.clear();
    }
}

const PATHS: &[&str] = &["file_path", "filePath", "absolute_path", "path"];
const OLDS: &[&str] = &["old_string", "oldString"];
const NEWS: &[&str] = &["new_string", "newString"];

/// The last ` ```spectask ` block of a prompt.
fn block(text: &str) -> Option<Value> {
    let (_, tail) = text.rsplit_once("```spectask")?;
    let (json, _) = tail.split_once("```")?;
    serde_json::from_str(json.trim()).ok()
}

pub(super) enum Answer {
    Say(String),
    Call(String, Value),
    Stall,
    Fail(u16),
}

impl Answer {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Say(_) => "say",
            Self::Call(tool, _) => tool,
            Self::Stall => "stall",
            Self::Fail(_) => "fail",
        }
    }
}

/// Wire format of a request, told by its path.
pub(super) enum Dialect {
    Gemini { streams: bool },
    OpenAi,
}

/// An answer to any address beside the two formats.
pub(super) fn other(path: &str) -> Value {
    if path.ends_with(":countTokens") {
        return json!({"totalTokens": 1});
    }
    if path.contains("models") {
        return json!({"object": "list", "data": [{"id": "scripted", "object": "model"}], "models": []});
    }
    json!({})
}

impl Dialect {
    pub(super) fn of(path: &str) -> Option<Self> {
        if path.ends_with(":generateContent") {
            return Some(Self::Gemini { streams: false });
        }
        if path.ends_with(":streamGenerateContent") {
            return Some(Self::Gemini { streams: true });
        }
        path.ends_with("/chat/completions").then_some(Self::OpenAi)
    }

    pub(super) fn streams(&self, body: &Value) -> bool {
        match self {
            Self::Gemini { streams } => *streams,
            Self::OpenAi => body["stream"] == true,
        }
    }

    pub(super) fn turn(&self, body: &Value) -> Turn {
        let mut turn = Turn::default();
        match self {
            Self::Gemini { .. } => gemini_turn(body, &mut turn),
            Self::OpenAi => openai_turn(body, &mut turn),
        }
        turn
    }

    /// Answers a side request: JSON where JSON was asked for, else a short text.
    pub(super) fn aside(&self, body: &Value) -> Answer {
        let config = &body["generationConfig"];
        let wants_json = config["responseMimeType"] == "application/json";
        if matches!(self, Self::Gemini { .. }) && wants_json {
            // The fields of Gemini's "who speaks next", loop and routing questions, all harmless.
            let answer = json!({
                "reasoning": "The script is at its end.",
                "next_speaker": "user",
                "unproductive_state_analysis": "none",
                "unproductive_state_confidence": 0.0,
                "complexity_reasoning": "simple",
                "complexity_score": 1,
                "model_choice": "flash",
            });
            return Answer::Say(answer.to_string());
        }
        Answer::Say("Scripted title".to_owned())
    }

    pub(super) fn whole(&self, body: &Value, answer: &Answer) -> Value {
        match self {
            Self::Gemini { .. } => gemini_answer(answer),
            Self::OpenAi => {
                let (message, reason) = match answer {
                    Answer::Call(tool, args) => (
                        json!({"role": "assistant", "content": null, "tool_calls": [openai_call(body, tool, args)]}),
                        "tool_calls",
                    ),
                    Answer::Say(text) => (json!({"role": "assistant", "content": text}), "stop"),
                    Answer::Stall | Answer::Fail(_) => (Value::Null, "stop"),
                };
                json!({"id": "c", "object": "chat.completion", "created": 1, "model": body["model"],
                    "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage()})
            }
        }
    }

    pub(super) fn events(&self, body: &Value, answer: &Answer) -> Vec<String> {
        match self {
            Self::Gemini { .. } => vec![gemini_answer(answer).to_string()],
            Self::OpenAi => openai_events(body, answer),
        }
    }
}

fn texts(parts: &Value) -> Option<String> {
    if let Some(text) = parts.as_str() {
        return Some(text.to_owned());
    }
    let texts: Vec<_> = parts
        .as_array()?
        .iter()
        .filter_map(|part| part["text"].as_str())
        .collect();
    (!texts.is_empty()).then(|| texts.join("\n"))
}

fn parameters(schema: &Value) -> Vec<String> {
    schema["properties"]
        .as_object()
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn gemini_turn(body: &Value, turn: &mut Turn) {
    for declaration in array(&body["tools"])
        .iter()
        .flat_map(|tools| array(&tools["functionDeclarations"]))
    {
        let schema = [
            &declaration["parametersJsonSchema"],
            &declaration["parameters"],
        ];
        turn.tools.push(Tool {
            name: declaration["name"].as_str().unwrap_or_default().to_owned(),
            parameters: schema.into_iter().flat_map(parameters).collect(),
        });
    }
    for content in array(&body["contents"]) {
        if content["role"] == "model" {
            continue;
        }
        let parts = &content["parts"];
        let results: Vec<_> = array(parts)
            .iter()
            .filter(|part| part["functionResponse"].is_object())
            .collect();
        // Text beside tool results is the agent's own reminder, not a new prompt.
        if results.is_empty()
            && let Some(text) = texts(parts)
        {
            turn.user_text(&text);
        }
        for part in results {
            let response = &part["functionResponse"];
            turn.results.push(ToolResult {
                name: response["name"].as_str().unwrap_or_default().to_owned(),
                text: response["response"]["output"]
                    .as_str()
                    .map_or_else(|| response["response"].to_string(), str::to_owned),
            });
        }
    }
}

fn gemini_answer(answer: &Answer) -> Value {
    let part = match answer {
        Answer::Call(tool, args) => json!({"functionCall": {"name": tool, "args": args}}),
        Answer::Say(text) => json!({"text": text}),
        Answer::Stall | Answer::Fail(_) => json!({"text": ""}),
    };
    json!({
        "candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        "modelVersion": "scripted",
    })
}

fn openai_turn(body: &Value, turn: &mut Turn) {
    for tool in array(&body["tools"]) {
        let function = &tool["function"];
        turn.tools.push(Tool {
            name: function["name"].as_str().unwrap_or_default().to_owned(),
            parameters: parameters(&function["parameters"]),
        });
    }
    for message in array(&body["messages"]) {
        let text = texts(&message["content"]);
        match message["role"].as_str() {
            Some("user") => turn.user_text(&text.unwrap_or_default()),
            Some("tool") => turn.results.push(ToolResult {
                name: String::new(),
                text: text.unwrap_or_default(),
            }),
            _ => {}
        }
    }
}

fn usage() -> Value {
    json!({"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2})
}

fn openai_call(body: &Value, tool: &str, args: &Value) -> Value {
    // Ids must differ within a conversation; its length does.
    let id = format!("call_{}", array(&body["messages"]).len());
    json!({"index": 0, "id": id, "type": "function", "function": {"name": tool, "arguments": args.to_string()}})
}

fn openai_events(body: &Value, answer: &Answer) -> Vec<String> {
    let chunk = |delta: Value, finish: Value| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
        .to_string()
    };
    let (delta, reason) = match answer {
        Answer::Call(tool, args) => (
            json!({"role": "assistant", "content": null, "tool_calls": [openai_call(body, tool, args)]}),
            "tool_calls",
        ),
        Answer::Say(text) => (json!({"role": "assistant", "content": text}), "stop"),
        Answer::Stall | Answer::Fail(_) => (json!({}), "stop"),
    };
    let last = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
        "choices": [], "usage": usage()});
    vec![
        chunk(delta, Value::Null),
        chunk(json!({}), json!(reason)),
        last.to_string(),
        "[DONE]".to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "Do it.\n```spectask\n{\"kind\":\"plan\",\"task\":\"1-a\"}\n```\n";

    #[test]
    fn gemini_conversation_is_read_to_its_newest_turn() {
        let body = json!({
            "contents": [
                {"role": "user", "parts": [{"text": "context"}]},
                {"role": "user", "parts": [{"text": PROMPT}]},
                {"role": "model", "parts": [{"functionCall": {"name": "write_file", "args": {}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "write_file", "response": {"output": "ok"}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "write_file", "parametersJsonSchema": {"properties": {"file_path": {}, "content": {}}}}]}],
        });
        let turn = Dialect::Gemini { streams: true }.turn(&body);
        assert_eq!(turn.block["kind"], "plan");
        assert_eq!(
            turn.results,
            [ToolResult {
                name: "write_file".into(),
                text: "ok".into()
            }]
        );
        let step = Step::Write {
            path: "/r/a".into(),
            content: "x".into(),
        };
        let Answer::Call(tool, args) = turn.resolve(step) else {
            panic!("expected a call");
        };
        assert_eq!(
            (tool.as_str(), args),
            ("write_file", json!({"file_path": "/r/a", "content": "x"}))
        );
    }

    #[test]
    fn openai_conversation_keeps_earlier_blocks_as_remembered() {
        let body = json!({
            "messages": [
                {"role": "system", "content": "be good"},
                {"role": "user", "content": PROMPT},
                {"role": "assistant", "content": "done"},
                {"role": "user", "content": [{"type": "text", "text": "```spectask\n{\"kind\":\"fix\"}\n```"}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "ok"},
            ],
            "tools": [{"type": "function", "function": {"name": "edit", "parameters": {"properties": {"filePath": {}, "oldString": {}, "newString": {}}}}}],
        });
        let turn = Dialect::OpenAi.turn(&body);
        assert_eq!(turn.block["kind"], "fix");
        assert_eq!(turn.remembered, [json!({"kind": "plan", "task": "1-a"})]);
        assert_eq!(turn.results.len(), 1);
        let step = Step::Edit {
            path: "p".into(),
            old: "o".into(),
            new: "n".into(),
        };
        let Answer::Call(_, args) = turn.resolve(step) else {
            panic!("expected a call");
        };
        assert_eq!(
            args,
            json!({"filePath": "p", "oldString": "o", "newString": "n"})
        );
    }

    #[test]
    fn a_missing_tool_is_said_and_a_request_without_tools_is_aside() {
        let turn = Turn::default();
        assert!(turn.is_aside());
        let Answer::Say(text) = turn.resolve(Step::Shell {
            command: "ls".into(),
        }) else {
            panic!("expected text");
        };
        assert!(text.contains("run_shell_command"), "{text}");
    }
}
