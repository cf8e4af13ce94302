//! SpecTask's entries in the text of Zed's `settings.json`. Pure.
//!
//! The file is a person's: it is read with the places of its tokens, and what changes are pieces of
//! text at those places. Whatever is between them is copied, comments, order and line ends included.
//! [`merge`] puts entries in, [`remove`] takes them out; both compare the values before and after, and
//! refuse when anything but SpecTask's entries would differ.

use std::path::Path;

use jsonc_parser::{
    CollectOptions, CommentCollectionStrategy, ParseOptions,
    ast::{Object, ObjectProp, Value as Node},
    common::Ranged as _,
    errors::ParseError,
    parse_to_ast,
    tokens::{Token, TokenAndRange},
};
use serde_json::{Map, Value, json};

use crate::zed_paths::EXTENSION;

/// The setting that names agents.
pub(super) const AGENTS: &str = "agent_servers";
/// The setting that names context servers.
pub(super) const SERVERS: &str = "context_servers";
/// The entry in which agent and SpecTask are chosen in the thread.
pub(super) const OWN: &str = "SpecTask";
/// How the entries of single agents end.
const SUFFIX: &str = " via SpecTask";
/// What is SpecTask's in its entries; the rest is the person's.
const FIELDS: [&str; 3] = ["type", "command", "args"];
const BOM: char = '\u{feff}';

/// Why settings are not touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SettingsError {
    /// They cannot be read, or something is there that entries cannot be put into.
    #[error("line {line}, column {column}: {what}")]
    Broken {
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong there.
        what: String,
    },
    /// The result would say something else than it should.
    #[error("the change would touch more than SpecTask's entries")]
    Unsafe,
}

/// An entry of `agent_servers`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name, which Zed shows.
    pub(super) key: String,
    /// The program, an absolute path.
    pub(super) command: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
}

impl Entry {
    /// The entry without an agent.
    pub(super) fn own(command: &str) -> Self {
        Self {
            key: OWN.to_owned(),
            command: command.to_owned(),
            args: vec!["acp".to_owned()],
        }
    }

    /// The entry of one agent.
    pub(super) fn of(agent: &str, command: &str) -> Self {
        Self {
            key: format!("{agent}{SUFFIX}"),
            command: command.to_owned(),
            args: vec!["acp".into(), "--agent".into(), agent.to_owned()],
        }
    }

    fn fields(&self) -> [(&'static str, Value); 3] {
        let [kind, command, args] = FIELDS;
        [
            (kind, json!("custom")),
            (command, json!(self.command)),
            (args, json!(self.args)),
        ]
    }
}

/// What happens to an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// It comes in.
    Added,
    /// Its program or arguments change.
    Updated,
    /// It is as it should be, or a person's own.
    Kept,
    /// Something else has its name and stays.
    Foreign,
    /// It goes.
    Removed,
}

impl What {
    /// The word for programs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Updated => "updated",
            Self::Kept => "kept",
            Self::Foreign => "foreign",
            Self::Removed => "removed",
        }
    }
}

/// One entry and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The setting it is in.
    pub(super) list: &'static str,
    /// Its name.
    pub(super) key: String,
    /// What happens.
    pub(super) what: What,
}

/// The settings as they would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    /// The whole text.
    pub(super) text: String,
    /// Every entry that was looked at.
    pub(super) changes: Vec<Change>,
}

/// An entry of `agent_servers` that starts SpecTask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Present {
    /// Its name.
    pub(super) key: String,
    /// The program that it starts.
    pub(super) command: String,
    /// Its arguments.
    pub(super) args: Vec<String>,
}

/// Puts these entries and the context server into the settings. An entry that is there keeps all that a
/// person changed but program and arguments; what is not SpecTask's is left.
///
/// # Errors
/// When the text is broken, or has something else where the entries belong.
pub(super) fn merge(text: &str, wanted: &[Entry]) -> Result<Merged, SettingsError> {
    let mut edit = Edit::new(text)?;
    edit.ensure_root()?;
    for entry in wanted {
        edit.put_agent(entry)?;
    }
    edit.put_server()?;
    edit.finish()
}

/// Takes SpecTask's entries out, with what becomes empty by that.
///
/// # Errors
/// When the text is broken.
pub(super) fn remove(text: &str) -> Result<Merged, SettingsError> {
    let mut edit = Edit::new(text)?;
    edit.take_agents()?;
    edit.take_server()?;
    edit.finish()
}

/// The entries that start SpecTask.
///
/// # Errors
/// When the text is broken.
pub(super) fn present(text: &str) -> Result<Vec<Present>, SettingsError> {
    let (_, body) = split(text);
    let parsed = Parsed::new(body)?;
    let Some(agents) = parsed.list(AGENTS)? else {
        return Ok(Vec::new());
    };
    Ok(agents.properties.iter().filter_map(own_entry).collect())
}

/// Whether the context server is there: nothing, switched off, or as Zed needs it.
///
/// # Errors
/// When the text is broken.
pub(super) fn server(text: &str) -> Result<Option<bool>, SettingsError> {
    let (_, body) = split(text);
    let value = Parsed::new(body)?.value()?;
    let server = value
        .get(SERVERS)
        .and_then(|servers| servers.get(EXTENSION));
    Ok(server.map(|server| server.get("enabled") != Some(&Value::Bool(false))))
}

/// Whether a name is one that SpecTask gives.
fn is_own_name(key: &str) -> bool {
    key == OWN || key.ends_with(SUFFIX)
}

fn own_entry(property: &ObjectProp<'_>) -> Option<Present> {
    let object = property.value.as_object()?;
    let command = object.get_string("command")?.value.to_string();
    let args = object.get_array("args").into_iter();
    let args = args.flat_map(|args| &args.elements);
    let args = args.filter_map(|word| Some(word.as_string_lit()?.value.to_string()));
    is_spectask(&command).then(|| Present {
        key: property.name.as_str().to_owned(),
        args: args.collect(),
        command,
    })
}

/// Whether a command is SpecTask, wherever it is; Windows' paths count everywhere.
fn is_spectask(command: &str) -> bool {
    let name = command.rsplit(['/', '\\']).next().unwrap_or(command);
    Path::new(name)
        .file_stem()
        .is_some_and(|stem| stem.eq_ignore_ascii_case("spectask"))
}

fn split(text: &str) -> (&str, &str) {
    match text.strip_prefix(BOM) {
        Some(body) => (&text[..BOM.len_utf8()], body),
        None => ("", text),
    }
}

const fn options() -> ParseOptions {
    // As Zed reads them: JSON with comments and trailing commas, nothing looser.
    ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

fn broken(error: &ParseError) -> SettingsError {
    SettingsError::Broken {
        line: error.line_display(),
        column: error.column_display(),
        what: error.kind().to_string(),
    }
}

/// A text with the places of its tokens.
struct Parsed<'a> {
    text: &'a str,
    root: Option<Node<'a>>,
    tokens: Vec<TokenAndRange<'a>>,
}

impl<'a> Parsed<'a> {
    fn new(text: &'a str) -> Result<Self, SettingsError> {
        let collect = CollectOptions {
            comments: CommentCollectionStrategy::AsTokens,
            tokens: true,
        };
        let parsed = parse_to_ast(text, &collect, &options()).map_err(|error| broken(&error))?;
        let parsed = Self {
            text,
            root: parsed.value,
            tokens: parsed.tokens.unwrap_or_default(),
        };
        match &parsed.root {
            None | Some(Node::Object(_)) => Ok(parsed),
            Some(other) => {
                Err(parsed.error(other.start(), "the settings must be an object, { … }"))
            }
        }
    }

    fn error(&self, at: usize, what: impl Into<String>) -> SettingsError {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        SettingsError::Broken {
            line: before.matches('\n').count() + 1,
            column: line.chars().count() + 1,
            what: what.into(),
        }
    }

    fn root(&self) -> Option<&Object<'a>> {
        self.root.as_ref()?.as_object()
    }

    fn value(&self) -> Result<Value, SettingsError> {
        let value: Value = jsonc_parser::parse_to_serde_value(self.text, &options())
            .map_err(|error| broken(&error))?;
        Ok(match value {
            Value::Null => Value::Object(Map::new()),
            value => value,
        })
    }

    /// The only member of that name.
    fn member<'o>(
        &self,
        object: &'o Object<'a>,
        name: &str,
    ) -> Result<Option<&'o ObjectProp<'a>>, SettingsError> {
        let mut all = object
            .properties
            .iter()
            .filter(|property| property.name.as_str() == name);
        let first = all.next();
        match all.next() {
            None => Ok(first),
            Some(second) => Err(self.error(
                second.start(),
                format!("{name:?} is there a second time; keep one of the two"),
            )),
        }
    }

    /// The object of a setting.
    fn list(&self, name: &str) -> Result<Option<&Object<'a>>, SettingsError> {
        let Some(root) = self.root() else {
            return Ok(None);
        };
        let Some(property) = self.member(root, name)? else {
            return Ok(None);
        };
        match property.value.as_object() {
            Some(object) => Ok(Some(object)),
            None => Err(self.error(
                property.value.start(),
                format!("{name:?} must be an object, {{ … }}"),
            )),
        }
    }

    /// Whether everything that entries touch is there once at most.
    fn check(&self) -> Result<(), SettingsError> {
        if let Some(agents) = self.list(AGENTS)? {
            let ours = |property: &&ObjectProp<'_>| {
                is_own_name(property.name.as_str()) || own_entry(property).is_some()
            };
            for property in agents.properties.iter().filter(ours) {
                self.member(agents, property.name.as_str())?;
                if let Some(entry) = property.value.as_object() {
                    for name in FIELDS {
                        self.member(entry, name)?;
                    }
                }
            }
        }
        if let Some(servers) = self.list(SERVERS)? {
            self.member(servers, EXTENSION)?;
        }
        Ok(())
    }

    /// How the text ends its lines.
    fn newline(&self) -> &'static str {
        if self.text.contains("\r\n") {
            "\r\n"
        } else {
            "\n"
        }
    }

    /// The blanks before a place, if only blanks are before it on its line.
    fn own_line(&self, at: usize) -> Option<&'a str> {
        let before = self.text.get(..at)?;
        let line = before.rsplit('\n').next()?;
        line.bytes()
            .all(|byte| byte == b' ' || byte == b'\t')
            .then_some(line)
    }

    /// The blanks that the line of a place begins with.
    fn indent(&self, at: usize) -> &'a str {
        let before = self.text.get(..at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let blanks = line.len() - line.trim_start_matches([' ', '\t']).len();
        &line[..blanks]
    }

    /// One level of indentation.
    fn unit(&self) -> &'a str {
        let first = self.root().and_then(|root| root.properties.first());
        first
            .and_then(|first| self.own_line(first.start()))
            .filter(|blanks| !blanks.is_empty())
            .unwrap_or("  ")
    }

    fn comma_after(&self, at: usize) -> Option<usize> {
        let next = self
            .tokens
            .iter()
            .filter(|token| !is_comment(&token.token))
            .find(|token| token.range.start >= at)?;
        (next.token == Token::Comma).then_some(next.range.end)
    }

    /// The text with one more member at the end of an object.
    fn insert(&self, object: &Object<'a>, key: &str, content: &Content<'_>) -> String {
        let text = self.text;
        let newline = self.newline();
        let (open, close) = (object.start(), object.end() - 1);
        let inside = self
            .tokens
            .iter()
            .rev()
            .find(|token| token.range.start > open && token.range.end <= close);
        let anchor = inside.map_or(open + 1, |token| token.range.end);
        let last = object.properties.last();
        let key = Value::from(key);
        let mut piece;
        if last.is_none() || text[open..close].contains('\n') {
            let first = object.properties.first();
            let indent = match first.and_then(|first| self.own_line(first.start())) {
                Some(indent) => indent.to_owned(),
                None => format!("{}{}", self.indent(open), self.unit()),
            };
            let value = content.on_lines(newline, &indent, self.unit());
            piece = format!("{newline}{indent}{key}: {value}");
        } else {
            piece = format!(" {key}: {}", content.on_one_line());
        }
        let mut comma_at = None;
        if let Some(last) = last {
            match self.comma_after(last.end()) {
                // Who ends the last line with a comma wants one there.
                Some(_) => piece.push(','),
                None => comma_at = Some(last.end()),
            }
        } else if !text[anchor..close].contains('\n') {
            piece += newline;
            piece += self.indent(open);
        }
        match comma_at {
            Some(at) => format!(
                "{},{}{piece}{}",
                &text[..at],
                &text[at..anchor],
                &text[anchor..]
            ),
            None => format!("{}{piece}{}", &text[..anchor], &text[anchor..]),
        }
    }

    /// The text without a member: what [`Self::insert`] put there, and its comma.
    fn without(&self, object: &Object<'a>, property: &ObjectProp<'a>) -> String {
        let text = self.text;
        let before = self
            .tokens
            .iter()
            .rev()
            .find(|token| token.range.end <= property.start());
        let is_line = before.is_some_and(|token| matches!(token.token, Token::CommentLine(_)));
        let begin = before.map_or(object.start() + 1, |token| token.range.end);
        let comma = self.comma_after(property.end());
        let end = comma.unwrap_or(property.end());
        let position = object
            .properties
            .iter()
            .position(|other| other.start() == property.start());
        let previous = position
            .and_then(|position| position.checked_sub(1))
            .and_then(|position| object.properties.get(position));
        let mut kept = text[..begin].to_owned();
        if let (None, Some(previous)) = (comma, previous)
            && let Some(comma) = self.comma_after(previous.end())
        {
            // The comma before was needed for this member alone.
            kept.replace_range(comma - 1..comma, "");
        }
        let rest = &text[end..];
        let next = rest.trim_start_matches([' ', '\t']);
        // What follows must not become part of a comment.
        if is_line && !next.starts_with(['\n', '\r']) {
            kept += self.newline();
        }
        kept + rest
    }
}

const fn is_comment(token: &Token<'_>) -> bool {
    matches!(token, Token::CommentLine(_) | Token::CommentBlock(_))
}

/// The value of a member that comes in.
enum Content<'v> {
    /// An object of these fields.
    Fields(&'v [(&'v str, Value)]),
    /// Any value, on one line.
    Plain(&'v Value),
}

impl Content<'_> {
    fn on_lines(&self, newline: &str, indent: &str, unit: &str) -> String {
        match self {
            Self::Fields(fields) if !fields.is_empty() => {
                let lines = fields.iter().map(|(name, field)| {
                    let name = Value::from(*name);
                    format!("{newline}{indent}{unit}{name}: {}", compact(field))
                });
                let lines: Vec<_> = lines.collect();
                format!("{{{}{newline}{indent}}}", lines.join(","))
            }
            other => other.on_one_line(),
        }
    }

    fn on_one_line(&self) -> String {
        match self {
            Self::Plain(value) => compact(value),
            Self::Fields([]) => "{}".to_owned(),
            Self::Fields(fields) => {
                let members = fields
                    .iter()
                    .map(|(name, field)| format!("{}: {}", Value::from(*name), compact(field)));
                let members: Vec<_> = members.collect();
                format!("{{ {} }}", members.join(", "))
            }
        }
    }
}

/// JSON on one line as people write it.
fn compact(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(compact).collect();
            format!("[{}]", items.join(", "))
        }
        value => value.to_string(),
    }
}

/// A change under way.
struct Edit {
    bom: String,
    before: Value,
    body: String,
    changes: Vec<Change>,
}

impl Edit {
    fn new(text: &str) -> Result<Self, SettingsError> {
        let (bom, body) = split(text);
        let parsed = Parsed::new(body)?;
        // Later the places would be those of a text that nobody has seen.
        parsed.check()?;
        Ok(Self {
            bom: bom.to_owned(),
            before: parsed.value()?,
            body: body.to_owned(),
            changes: Vec::new(),
        })
    }

    fn note(&mut self, list: &'static str, key: &str, what: What) {
        self.changes.push(Change {
            list,
            key: key.to_owned(),
            what,
        });
    }

    /// An empty file, or one with comments alone, gets an object at its end.
    fn ensure_root(&mut self) -> Result<(), SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        if parsed.root.is_some() {
            return Ok(());
        }
        let newline = parsed.newline();
        let gap = if self.body.is_empty() || self.body.ends_with('\n') {
            ""
        } else {
            newline
        };
        self.body = format!("{}{gap}{{{newline}}}{newline}", self.body);
        Ok(())
    }

    fn ensure_list(&mut self, list: &'static str) -> Result<(), SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        if parsed.list(list)?.is_none()
            && let Some(root) = parsed.root()
        {
            self.body = parsed.insert(root, list, &Content::Fields(&[]));
        }
        Ok(())
    }

    fn add(
        &mut self,
        list: &'static str,
        key: &str,
        fields: &[(&str, Value)],
    ) -> Result<(), SettingsError> {
        self.ensure_list(list)?;
        let parsed = Parsed::new(&self.body)?;
        if let Some(object) = parsed.list(list)? {
            self.body = parsed.insert(object, key, &Content::Fields(fields));
        }
        self.note(list, key, What::Added);
        Ok(())
    }

    fn put_agent(&mut self, entry: &Entry) -> Result<(), SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        let agents = parsed.list(AGENTS)?;
        let same_name = match agents {
            Some(agents) => parsed.member(agents, &entry.key)?,
            None => None,
        };
        let key = match same_name {
            Some(property) if own_entry(property).is_none() => {
                self.note(AGENTS, &entry.key, What::Foreign);
                return Ok(());
            }
            Some(_) => Some(entry.key.clone()),
            // A person may have written the same under a name of their own.
            None => agents.and_then(|agents| {
                let own = agents.properties.iter().filter_map(own_entry);
                own.filter(|own| own.args == entry.args)
                    .map(|own| own.key)
                    .next()
            }),
        };
        let Some(key) = key else {
            return self.add(AGENTS, &entry.key, &entry.fields());
        };
        let mut what = What::Kept;
        for (name, value) in entry.fields() {
            if self.set(&key, name, &value)? {
                what = What::Updated;
            }
        }
        self.note(AGENTS, &key, what);
        Ok(())
    }

    /// Sets a field of an entry of `agent_servers`; false if it is so already.
    fn set(&mut self, key: &str, name: &str, value: &Value) -> Result<bool, SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        let entry = match parsed.list(AGENTS)? {
            Some(agents) => parsed.member(agents, key)?,
            None => None,
        };
        let Some(object) = entry.and_then(|entry| entry.value.as_object()) else {
            return Err(SettingsError::Unsafe);
        };
        let text = match parsed.member(object, name)? {
            Some(field) => {
                let range = field.value.start()..field.value.end();
                let now: Option<Value> =
                    jsonc_parser::parse_to_serde_value(&self.body[range.clone()], &options()).ok();
                if now.as_ref() == Some(value) {
                    return Ok(false);
                }
                let (before, after) = (&self.body[..range.start], &self.body[range.end..]);
                format!("{before}{}{after}", compact(value))
            }
            None => parsed.insert(object, name, &Content::Plain(value)),
        };
        self.body = text;
        Ok(true)
    }

    fn put_server(&mut self) -> Result<(), SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        let present = match parsed.list(SERVERS)? {
            Some(servers) => parsed.member(servers, EXTENSION)?.is_some(),
            None => false,
        };
        if present {
            // Switched off or given settings: that is the person's decision.
            self.note(SERVERS, EXTENSION, What::Kept);
            return Ok(());
        }
        self.add(
            SERVERS,
            EXTENSION,
            &[
                // Without it Zed asks to migrate the settings.
                ("source", json!("extension")),
                ("enabled", json!(true)),
                ("settings", json!({})),
            ],
        )
    }

    fn take_agents(&mut self) -> Result<(), SettingsError> {
        loop {
            let parsed = Parsed::new(&self.body)?;
            let Some(agents) = parsed.list(AGENTS)? else {
                return Ok(());
            };
            let own = agents.properties.iter().find(|property| {
                is_own_name(property.name.as_str()) && own_entry(property).is_some()
            });
            let Some(own) = own else {
                let others: Vec<_> = agents.properties.iter().filter_map(own_entry).collect();
                for other in others {
                    self.note(AGENTS, &other.key, What::Kept);
                }
                break;
            };
            let key = own.name.as_str().to_owned();
            self.body = parsed.without(agents, own);
            self.note(AGENTS, &key, What::Removed);
        }
        self.drop_empty(AGENTS)
    }

    fn take_server(&mut self) -> Result<(), SettingsError> {
        let parsed = Parsed::new(&self.body)?;
        let Some(servers) = parsed.list(SERVERS)? else {
            return Ok(());
        };
        let Some(own) = parsed.member(servers, EXTENSION)? else {
            return Ok(());
        };
        let object = own.value.as_object();
        let source = object.and_then(|object| object.get_string("source"));
        if source.is_none_or(|source| source.value != "extension") {
            self.note(SERVERS, EXTENSION, What::Foreign);
            return Ok(());
        }
        self.body = parsed.without(servers, own);
        self.note(SERVERS, EXTENSION, What::Removed);
        self.drop_empty(SERVERS)
    }

    /// Takes a setting out that has nothing left, not even a comment.
    fn drop_empty(&mut self, list: &'static str) -> Result<(), SettingsError> {
        let removed = self
            .changes
            .iter()
            .any(|change| change.list == list && change.what == What::Removed);
        let parsed = Parsed::new(&self.body)?;
        let (Some(root), Some(object)) = (parsed.root(), parsed.list(list)?) else {
            return Ok(());
        };
        let inside = &self.body[object.start() + 1..object.end() - 1];
        if removed
            && inside.trim().is_empty()
            && let Some(property) = parsed.member(root, list)?
        {
            self.body = parsed.without(root, property);
        }
        Ok(())
    }

    /// The result, if nothing but the entries that were named differs.
    fn finish(self) -> Result<Merged, SettingsError> {
        let after = Parsed::new(&self.body)
            .and_then(|parsed| parsed.value())
            .map_err(|_| SettingsError::Unsafe)?;
        let strip = |value: &Value| {
            let mut value = value.clone();
            for list in [AGENTS, SERVERS] {
                let Some(object) = value.get_mut(list).and_then(Value::as_object_mut) else {
                    continue;
                };
                for change in self.changes.iter().filter(|change| change.list == list) {
                    if let What::Added | What::Removed | What::Updated = change.what {
                        object.remove(&change.key);
                    }
                }
                if object.is_empty()
                    && let Some(root) = value.as_object_mut()
                {
                    root.remove(list);
                }
            }
            value
        };
        if strip(&self.before) != strip(&after) {
            return Err(SettingsError::Unsafe);
        }
        // Of an entry that was there only these three may differ.
        for change in self.changes.iter().filter(|c| c.what == What::Updated) {
            let rest = |value: &Value| {
                let mut entry = value[change.list][&change.key].clone();
                if let Some(entry) = entry.as_object_mut() {
                    entry.retain(|name, _| !FIELDS.contains(&name.as_str()));
                }
                entry
            };
            if rest(&self.before) != rest(&after) {
                return Err(SettingsError::Unsafe);
            }
        }
        Ok(Merged {
            text: self.bom + &self.body,
            changes: self.changes,
        })
    }
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
