//! A daemon of three SpecTasks for tests: answers from memory, keeps what it was asked to do.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use spectask_protocol::{
    Access, Client, DynTransport, Failure, FailureKind, METHODS, Transport, WorkSessionId,
};

use super::{Invocation, Reply, parse, run};

/// The project of the SpecTasks 7 and 8.
pub(super) const SHOP: &str = "/home/ada/shop";

pub(super) struct Fake {
    tasks: Vec<Value>,
    review: Value,
    /// What it was asked to do: method and parameters, without those that only read.
    pub(super) done: Mutex<Vec<(String, Value)>>,
    /// The methods that it refuses, and how.
    pub(super) refuses: Mutex<Vec<(&'static str, Failure)>>,
}

fn task_id(number: u64) -> String {
    format!("01890a5d-ac96-774b-bcce-b302099a{number:04}")
}

pub(super) fn session_id(number: u64) -> WorkSessionId {
    format!("01890a5d-ac96-774b-bcce-b302099b{number:04}")
        .parse()
        .unwrap()
}

fn task(number: u64, slug: &str, status: &str, project: &str, more: Value) -> Value {
    let name = format!("{number}-{slug}");
    let mut task = json!({
        "id": task_id(number), "number": number, "name": name, "project": project,
        "title": format!("Do {} | <b>now</b>", slug.replace('-', " ")), "prompt": "p", "status": status,
        "mode": "parallel", "planning_agent": "claude", "agent": "claude", "limit": 3,
        "paused": false, "archived": false, "branch": format!("specs/{name}"), "base": "0123",
        "progress": { "done": 0, "total": 0 }, "active": 0, "stuck": 0,
        "created_at": "2026-03-04T08:00:00Z", "updated_at": "2026-03-04T09:55:00Z",
    });
    merge(&mut task, more);
    task
}

fn session(number: u64, name: &str, status: &str, more: Value) -> Value {
    let title = name.rsplit(['-', '/']).next().unwrap();
    let mut session = json!({
        "id": session_id(number), "name": name, "task": task_id(8), "title": title,
        "phase": "implementation", "status": status, "stage": "turn", "method": "planned",
        "agent": "claude", "thread": "active", "turns": [],
    });
    merge(&mut session, more);
    session
}

fn merge(value: &mut Value, more: Value) {
    let (Value::Object(value), Value::Object(more)) = (value, more) else {
        panic!("objects");
    };
    value.extend(more);
}

fn running() -> Value {
    json!([{ "number": 1, "purpose": "implement", "status": "running" }])
}

fn overviews() -> Vec<Value> {
    let review = task(
        7,
        "user-auth",
        "spec_review",
        SHOP,
        json!({ "revision": 2 }),
    );
    let work = task(
        8,
        "search",
        "implementation",
        SHOP,
        json!({
            "revision": 1, "approved": 1, "progress": { "done": 1, "total": 3 },
            "active": 1, "stuck": 1,
        }),
    );
    let other = task(
        3,
        "other",
        "spec_review",
        "/home/ada/blog",
        json!({ "revision": 1 }),
    );
    let planning = session(
        20,
        "8-search/00-planning",
        "completed",
        json!({ "phase": "planning" }),
    );
    let index = session(
        21,
        "8-search/01-index",
        "completed",
        json!({ "merged": "abc", "verified": true }),
    );
    let api = session(
        22,
        "8-search/02-api",
        "active",
        json!({ "turns": running(), "step": "Edit `src/api.rs` | *x*" }),
    );
    let page = session(
        23,
        "8-search/03-page",
        "waiting",
        json!({ "waiting": {
            "kind": "trust", "text": "commands of <x>.spectask.toml",
            "hint": "`spectask trust`, then `spectask retry 8-search/03-page`",
        } }),
    );
    let planned = |number: &str, title: &str, status: &str, depends: Value, session: Value| {
        json!({
            "number": number, "title": title, "status": status, "optional": number == "4",
            "depends": depends, "requirements": [], "resources": [], "session": session,
        })
    };
    let overview = |task: Value, more: Value| {
        let mut overview = json!({
            "task": task, "tasks": [], "sessions": [], "permissions": [], "incidents": [],
            "seq": 40, "next": [],
        });
        merge(&mut overview, more);
        overview
    };
    let planning_of_7 = session(
        10,
        "7-user-auth/00-planning",
        "completed",
        json!({ "phase": "planning", "task": task_id(7) }),
    );
    vec![
        overview(
            work,
            json!({
                "tasks": [
                    planned("1", "Index", "completed", json!([]), json!(session_id(21))),
                    planned("2", "API", "in_progress", json!([]), json!(session_id(22))),
                    planned("3", "Page", "assigned", json!(["1"]), json!(session_id(23))),
                    planned("4", "Docs", "blocked", json!(["2", "3"]), Value::Null),
                ],
                "sessions": [planning, index, api, page],
                "permissions": [{
                    "id": "01890a5d-ac96-774b-bcce-b302099c0001", "session": session_id(22),
                    "session_name": "8-search/02-api", "title": "Run `rm -rf /`", "kind": "execute",
                    "options": [], "asked_at": "2026-03-04T09:55:00Z",
                }],
                "incidents": [{
                    "seq": 12, "at": "2026-03-04T09:55:00Z", "kind": "incident",
                    "data": { "incident": "escape", "text": "wrote to ../<b>" },
                }],
                "next": ["spectask permissions", "spectask trust", "spectask retry 8-search/03-page"],
            }),
        ),
        overview(
            review,
            json!({
                "sessions": [planning_of_7],
                "next": [
                    "spectask review 7-user-auth", "spectask approve 7-user-auth",
                    "spectask request-changes 7-user-auth", "spectask edit 7-user-auth",
                ],
            }),
        ),
        overview(other, json!({})),
    ]
}

fn review() -> Value {
    let finding = |severity: &str, document: &str, line: u32, message: &str| {
        json!({
            "rule": "r", "severity": severity, "document": document, "message": message,
            "span": { "start": 0, "end": 1, "line": line, "column": 1 },
        })
    };
    json!({
        "task": overviews()[1]["task"], "revision": 2, "author": "agent", "digest": "0123456789",
        "documents": [
            { "kind": "requirements", "text": "# Requirements\n\n```\n</details>\n" },
            { "kind": "design", "text": "# Design\n\nTokens.\n" },
            { "kind": "tasks", "text": "- [ ] 1. Schema\n- [ ] 2. API\n" },
        ],
        "findings": [
            finding("warning", "design", 3, "vague: `fast`"),
            finding("error", "requirements", 3, "no SHALL in <criterion> 1.1"),
        ],
        "diff": "--- requirements.md\n+++ requirements.md\n@@ -1 +1 @@\n-old\n+# Requirements\n",
        "reviews": [{
            "revision": 1, "decision": "request_changes", "comment": "Tokens must *expire*",
            "comments": [{ "document": "tasks", "line": 2, "text": "too big" }],
            "at": "2026-03-04T10:00:00Z",
        }],
        "plan": [
            { "tasks": [{ "number": "1", "title": "Schema", "depends": [], "optional": false }] },
            { "tasks": [
                { "number": "2", "title": "API", "depends": ["1"], "optional": false },
                { "number": "3", "title": "Page", "depends": ["1"], "optional": true },
            ] },
        ],
    })
}

impl Fake {
    fn new() -> Self {
        Self {
            tasks: overviews(),
            review: review(),
            done: Mutex::default(),
            refuses: Mutex::default(),
        }
    }

    fn overview(&self, name: &str) -> Result<Value, Failure> {
        let name = name.split('/').next().unwrap_or_default();
        let found = self.tasks.iter().find(|overview| {
            let task = &overview["task"];
            task["id"] == name
                || task["name"] == name
                || task["number"].as_u64() == name.parse().ok()
        });
        found.cloned().ok_or_else(|| gone("SpecTask", name))
    }

    fn session(&self, name: &str) -> Result<Value, Failure> {
        let sessions = self.tasks.iter().flat_map(|overview| {
            let sessions = overview["sessions"].as_array();
            sessions.into_iter().flatten()
        });
        let found = sessions.into_iter().find(|session| {
            let full = session["name"].as_str().unwrap();
            session["id"] == name || full == name || super::words::brief(full) == name
        });
        found.cloned().ok_or_else(|| gone("session", name))
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, Failure> {
        let text = |key: &str| params[key].as_str().unwrap_or_default().to_owned();
        let here = |overview: &&Value| {
            params["cwd"].is_null() || overview["task"]["project"] == params["cwd"]
        };
        Ok(match method {
            "specTask.get" => self.overview(&text("task"))?,
            "specTask.list" => {
                let tasks = self.tasks.iter().filter(here);
                json!({ "tasks": tasks.map(|overview| overview["task"].clone()).collect::<Vec<_>>() })
            }
            "workSession.list" => {
                let sessions = self.tasks.iter().filter(here);
                let sessions =
                    sessions.flat_map(|overview| overview["sessions"].as_array().unwrap());
                json!({ "sessions": sessions.collect::<Vec<_>>() })
            }
            "workSession.get" | "workSession.stop" => self.session(&text("session"))?,
            "workSession.attach" => {
                let name = if params["task"].is_null() {
                    "threads/4-fix"
                } else {
                    "8-search/05-fix"
                };
                session(50, name, "active", json!({ "method": "ad_hoc" }))
            }
            "workSession.spawn" => session(
                24,
                "8-search/04-load-test",
                "pending",
                json!({ "title": params["title"], "method": "spawned" }),
            ),
            "specTask.create" => task(
                9,
                "new",
                "queued_spec_generation",
                SHOP,
                json!({ "title": params["prompt"] }),
            ),
            "specTask.start" | "specTask.pause" | "specTask.resume" => {
                self.overview(&text("task"))?["task"].clone()
            }
            "specTask.retry" => {
                let target = text("target");
                let task = match self.session(&target) {
                    Ok(session) => session["task"].as_str().unwrap().to_owned(),
                    Err(_) => target,
                };
                self.overview(&task)?["task"].clone()
            }
            "review.get" => match text("task") {
                task if task == task_id(7) || task == "7" => self.review.clone(),
                _ => return Err(gone("revision", "1")),
            },
            "review.approve" | "review.requestChanges" => self.review["task"].clone(),
            "coordination.tell" => json!({
                "id": "01890a5d-ac96-774b-bcce-b302099d0001", "to": "8-search/02-api",
                "kind": "notification", "text": params["text"], "delivered": false,
                "at": "2026-03-04T10:00:00Z",
            }),
            "decision.record" => json!({}),
            _ => return Err(Failure::new(FailureKind::MethodNotFound, method)),
        })
    }
}

fn gone(what: &str, name: &str) -> Failure {
    Failure::new(FailureKind::NotFound, format!("there is no {what} {name}"))
}

impl Transport for Fake {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        let known = METHODS.iter().find(|known| known.name == method).unwrap();
        if known.access == Access::Person
            || method == "workSession.spawn"
            || method == "coordination.tell"
            || method == "decision.record"
        {
            let done = (method.to_owned(), params.clone());
            self.done.lock().unwrap().push(done);
        }
        let refused = self
            .refuses
            .lock()
            .unwrap()
            .iter()
            .find_map(|(name, failure)| (*name == method).then(|| failure.clone()));
        match refused {
            Some(failure) => Err(failure),
            None => self.answer(method, &params),
        }
    }
}

/// Someone who types slash commands.
pub(super) struct Person {
    pub(super) fake: Arc<Fake>,
    pub(super) invocation: Invocation,
}

impl Person {
    /// A person in the project with SpecTask 7 in review and 8 at work.
    pub(super) fn new() -> Self {
        let fake = Arc::new(Fake::new());
        let transport: Arc<dyn DynTransport> = Arc::new(Shared(Arc::clone(&fake)));
        let invocation = Invocation {
            client: Client::new(transport),
            cwd: SHOP.to_owned(),
            session: None,
            task: None,
            agent: None,
            environment: [("KEY".to_owned(), "value".to_owned())].into(),
        };
        Self { fake, invocation }
    }

    pub(super) async fn reply(&self, line: &str) -> Result<Reply, Failure> {
        let (command, args) = parse(line).unwrap();
        run(self.invocation.clone(), command, args).await
    }

    /// What the person reads.
    pub(super) async fn types(&self, line: &str) -> String {
        match self.reply(line).await {
            Ok(reply) => reply.text(),
            Err(failure) => super::failure_text(&failure),
        }
    }

    /// What the daemon was asked to do since the last look, one line each, without environments.
    pub(super) fn done(&self) -> Vec<String> {
        let done = std::mem::take(&mut *self.fake.done.lock().unwrap());
        done.into_iter()
            .map(|(method, mut params)| {
                if let Some(params) = params.as_object_mut() {
                    params.retain(|name, value| name != "environment" && !value.is_null());
                }
                format!("{method} {params}")
            })
            .collect()
    }

    pub(super) fn refuses(&self, method: &'static str, failure: Failure) {
        self.fake.refuses.lock().unwrap().push((method, failure));
    }
}

struct Shared(Arc<Fake>);

impl Transport for Shared {
    async fn call(&self, method: &'static str, params: Value) -> Result<Value, Failure> {
        self.0.call(method, params).await
    }
}
