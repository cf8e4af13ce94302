//! Every command, against a daemon of three SpecTasks.

use spectask_protocol::{Failure, FailureKind};

use super::{
    Reply, review_summary,
    testing::{Person, session_id},
};

#[tokio::test]
async fn spec_plans() {
    let person = Person::new();
    let reply = person
        .reply("/spec --agent gemini --name login Users log in\n\n- fast\n")
        .await
        .unwrap();
    assert!(matches!(&reply, Reply::Plan { task } if task.name == "9-new"));
    insta::assert_snapshot!(reply.text(), @r"
    Planning of `9-new` started: Users log in - fast

    Next: `/spec-status 9` shows how it goes, then `/spec-review 9`
    ");
    insta::assert_snapshot!(person.done().join("\n"), @r#"specTask.create {"cwd":"/home/ada/shop","prompt":"Users log in\n\n- fast","name":"login","agent":"gemini","later":false}"#);
    insta::assert_snapshot!(person.types("/spec --later Users log in").await, @r"
    Noted `9-new`: Users log in

    Next: `/spec-start 9`
    ");
    insta::assert_snapshot!(person.types("/spec").await, @r"
    `/spec what you want`

    Plan a change: an agent writes requirements, design and tasks for your review.

    Everything after it is what you want, as many lines as you like. An agent writes `requirements.md`, `design.md` and `tasks.md`; nothing is built before you approve them.

    Flags may stand before the text: `--agent NAME` (who plans and works), `--name NAME` (what it is called), `--later` (only note it).

    Example: `/spec --agent claude Users can reset their password by mail`
    ");
    insta::assert_snapshot!(person.types("/spec --quick x").await, @r"
    **Not understood:** \--quick is no flag of `/spec`

    What to do: `--agent NAME`, `--name NAME` and `--later` may stand before the text; `--` ends them
    ");
}

#[tokio::test]
async fn status_of_all_and_of_one() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-status").await, @r"
    |  | SpecTask | State | Tasks |
    | --- | --- | --- | --- |
    | `8` | Do search \| \<b\>now\</b\> | at work, 1 stuck | 1/3 |
    | `7` | Do user auth \| \<b\>now\</b\> | in review |  |

    Next: `/spec-status 8`
    ");
    insta::assert_snapshot!(person.types("/spec-status 8/2").await, @r"
    `8-search` Do search \| \<b\>now\</b\>

    **at work** · 1 of 3 tasks done · revision 1 approved · branch `specs/8-search` · agent `claude`

    |  | What | State |
    | --- | --- | --- |
    | `8/1` | 1. Index | merged |
    | `8/2` | 2. API | agent at work: Edit \`src/api.rs\` \| \*x\* |
    | `8/3` | 3. Page | needs trust |
    |  | 4. Docs (optional) | after 2, 3 |

    Waiting:

    - `8/3` needs trust: commands of \<x\>.spectask.toml (`spectask trust`, then `/spec-start 8/3`)

    Agents ask:

    - `8/2` wants: Run \`rm -rf /\` (`/spec-open 8/2` shows it; `spectask permissions answer 01890a5d-ac96-774b-bcce-b302099c0001 allow` in a terminal)

    Incidents:

    - escape: wrote to ../\<b\>

    Next: `/spec-start 8/3`

    In a terminal: `spectask permissions`, `spectask trust`
    ");
    person.invocation.task = Some("7".parse().unwrap());
    insta::assert_snapshot!(person.types("/spec-status").await, @r"
    `7-user-auth` Do user auth \| \<b\>now\</b\>

    **in review** · revision 2 · agent `claude`

    Next: `/spec-review 7`, `/spec-approve 7`, `/spec-changes 7 TEXT`

    In a terminal: `spectask edit 7-user-auth`
    ");
    insta::assert_snapshot!(person.types("/spec-status nine").await, @r"
    **Not found:** there is no SpecTask nine:

    - `8-search` Do search \| \<b\>now\</b\> (at work)
    - `7-user-auth` Do user auth \| \<b\>now\</b\> (in review)

    What to do: `/spec-status` shows SpecTasks; name one by its number or its name
    ");
    person.invocation.task = None;
    person.invocation.cwd = "/home/ada/empty".to_owned();
    insta::assert_snapshot!(person.types("/spec-status").await, @r"
    There is no SpecTask in this project yet.

    Next: `/spec` and what you want
    ");
    assert!(person.done().is_empty(), "it only reads");
}

#[tokio::test]
async fn review_shows_all_or_a_part() {
    let person = Person::new();
    // The only one in review in this project.
    insta::assert_snapshot!(person.types("/spec-review").await, @r"
    `7-user-auth` Do user auth \| \<b\>now\</b\>

    **in review** · revision 2 · agent `claude`

    Revision 2 by the agent: 1 error, 1 warning.

    - **error** `requirements.md:3` no SHALL in \<criterion\> 1.1
    - warning `design.md:3` vague: \`fast\`

    Earlier:

    - revision 1 changes requested: Tokens must \*expire\*
      - `tasks.md:2` too big

    **requirements.md**

    ````text
    1  # Requirements
    2
    3  ```
    4  </details>
    ````

    **design.md**

    ```text
    1  # Design
    2
    3  Tokens.
    ```

    **tasks.md**

    ```text
    1  - [ ] 1. Schema
    2  - [ ] 2. API
    ```

    Changes since revision 1:

    ```diff
    --- requirements.md
    +++ requirements.md
    @@ -1 +1 @@
    -old
    +# Requirements
    ```

    Plan:

    - wave 1: 1. Schema
    - wave 2: 2. API, after 1
    - wave 2: 3. Page (optional), after 1

    Next: `/spec-changes 7 TEXT`, `/spec-review 7`, `/spec-approve 7 --accept-findings`
    ");
    insta::assert_snapshot!(person.types("/spec-review 7 design.md").await, @r"
    **design.md** of `7-user-auth`, revision 2

    ```text
    1  # Design
    2
    3  Tokens.
    ```

    - warning `design.md:3` vague: \`fast\`

    Next: `/spec-changes 7 TEXT`, `/spec-review 7`, `/spec-approve 7 --accept-findings`
    ");
    insta::assert_snapshot!(person.types("/spec-review diff 7").await, @r"
    Changes since revision 1:

    ```diff
    --- requirements.md
    +++ requirements.md
    @@ -1 +1 @@
    -old
    +# Requirements
    ```
    ");
    insta::assert_snapshot!(person.types("/spec-review 8").await, @r"
    **Not found:** there is no revision 1

    What to do: `/spec-status` shows what there is
    ");
    assert!(person.done().is_empty(), "it only reads");
}

#[tokio::test]
async fn a_planning_ends_with_a_summary() {
    let person = Person::new();
    let client = &person.invocation.client;
    let summary = review_summary(client, &"7".parse().unwrap()).await.unwrap();
    insta::assert_snapshot!(summary, @r"
    `7-user-auth` Do user auth \| \<b\>now\</b\>

    **in review** · revision 2 · agent `claude`

    Revision 2 by the agent: 1 error, 1 warning.

    - **error** `requirements.md:3` no SHALL in \<criterion\> 1.1
    - warning `design.md:3` vague: \`fast\`

    Earlier:

    - revision 1 changes requested: Tokens must \*expire\*
      - `tasks.md:2` too big

    Plan:

    - wave 1: 1. Schema
    - wave 2: 2. API, after 1
    - wave 2: 3. Page (optional), after 1

    Next: `/spec-changes 7 TEXT`, `/spec-review 7`, `/spec-approve 7 --accept-findings`
    ");
    let summary = review_summary(client, &"3".parse().unwrap()).await.unwrap();
    insta::assert_snapshot!(summary, @r"
    `3-other` Do other \| \<b\>now\</b\>

    **in review** · revision 1 · agent `claude`

    There are no documents yet.
    ");
    let failure = review_summary(client, &"99".parse().unwrap()).await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn approval_names_what_was_read() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-approve").await, @r"
    Approved `7-user-auth`, revision 2. 3 sessions run in 2 waves, at most 3 at a time.

    Plan:

    - wave 1: 1. Schema
    - wave 2: 2. API, after 1
    - wave 2: 3. Page (optional), after 1

    Next: `/spec-status 7`
    ");
    insta::assert_snapshot!(person.done().join("\n"), @r#"review.approve {"task":"01890a5d-ac96-774b-bcce-b302099a0007","revision":2,"digest":"0123456789","accept_findings":false,"start":true}"#);
    person
        .types("/spec-approve 7 --accept-findings --no-start 3 tasks are fine")
        .await;
    insta::assert_snapshot!(person.done().join("\n"), @r#"review.approve {"task":"01890a5d-ac96-774b-bcce-b302099a0007","revision":2,"digest":"0123456789","comment":"3 tasks are fine","accept_findings":true,"start":false}"#);
    insta::assert_snapshot!(person.types("/spec-approve --revision 1").await, @r"
    **It changed meanwhile:** revision 1 of 7-user-auth is not the newest: that is 2

    What to do: look again with `/spec-review 7`
    ");
    let failure = Failure::new(FailureKind::InvalidState, "requirements.md:3: no SHALL")
        .hint("`spectask approve 7-user-auth --accept-findings` accepts them");
    assert!(person.done().is_empty());
    person.refuses("review.approve", failure);
    insta::assert_snapshot!(person.types("/spec-approve 7").await, @r"
    **Not now:** requirements.md:3: no SHALL

    What to do: `/spec-approve 7 --accept-findings` accepts them
    ");
}

#[tokio::test]
async fn changes_go_back_with_comments_on_lines() {
    let person = Person::new();
    let text = "/spec-changes 3 tasks are too many.\ndesign.md:3: Which?\nrequirements: vague";
    insta::assert_snapshot!(person.types(text).await, @r"
    Sent `7-user-auth` back to `claude`: revision 2, 2 comments on its lines. The agent writes revision 3.

    Next: `/spec-status 7`, then `/spec-review 7 diff`
    ");
    insta::assert_snapshot!(person.done().join("\n"), @r#"review.requestChanges {"task":"01890a5d-ac96-774b-bcce-b302099a0007","revision":2,"comment":"3 tasks are too many.","comments":[{"document":"design","line":3,"text":"Which?"},{"document":"requirements","text":"vague"}]}"#);
    insta::assert_snapshot!(person.types("/spec-changes 7 tasks:9: split").await, @r"
    **Not understood:** tasks.md has 2 lines and no line 9

    What to do: `/spec-review 7 tasks` shows them
    ");
    assert!(
        person
            .types("/spec-changes 7")
            .await
            .starts_with("`/spec-changes ")
    );
    assert!(
        person
            .types("/spec-changes")
            .await
            .starts_with("`/spec-changes ")
    );
    assert!(person.done().is_empty());
}

#[tokio::test]
async fn start_and_stop() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-stop").await, @r"
    Stopped `8-search`: ended the turns of `8/2`; no new session starts.

    Next: `/spec-start 8`
    ");
    insta::assert_snapshot!(person.done().join("\n"), @r#"
    specTask.pause {"task":"01890a5d-ac96-774b-bcce-b302099a0008"}
    workSession.stop {"session":"01890a5d-ac96-774b-bcce-b302099b0022"}
    "#);
    insta::assert_snapshot!(person.types("/spec-stop 8/2").await, @r"
    Stopped `8-search/02-api`.

    Next: `/spec-start 8/2`
    ");
    insta::assert_snapshot!(person.done().join("\n"), @r#"workSession.stop {"session":"01890a5d-ac96-774b-bcce-b302099b0022"}"#);
    // In the thread of a session that runs, that one.
    person.invocation.session = Some(session_id(22));
    person.invocation.task = Some("8".parse().unwrap());
    assert!(
        person
            .types("/spec-stop")
            .await
            .contains("`8-search/02-api`")
    );
    assert_eq!(person.done().len(), 1);
    // In a draft, or where nothing runs, the SpecTask.
    for quiet in [session_id(99), session_id(21)] {
        person.invocation.session = Some(quiet);
        assert!(
            person
                .types("/spec-stop")
                .await
                .starts_with("Stopped `8-search`")
        );
        assert_eq!(person.done().len(), 2);
    }
    person.invocation.task = None;
    insta::assert_snapshot!(person.types("/spec-start").await, @r"`8-search` is tried again. `/spec-status 8` shows how it goes.");
    insta::assert_snapshot!(person.types("/spec-start 8/3").await, @"`8-search/03-page` is tried again.");
    insta::assert_snapshot!(person.done().join("\n"), @r#"
    specTask.retry {"target":"01890a5d-ac96-774b-bcce-b302099a0008"}
    specTask.retry {"target":"01890a5d-ac96-774b-bcce-b302099b0023"}
    "#);
    insta::assert_snapshot!(person.types("/spec-start 7 now").await, @r#"
    **Not understood:** "now" is too much: only a SpecTask can be named

    What to do: `/spec-help` explains the commands
    "#);
}

#[tokio::test]
async fn spawn_takes_a_title_and_what_to_do() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-spawn Load test: Measure it\nand write it down").await, @r"
    Spawned `8-search/04-load-test`: Load test

    Next: `/spec-open 8/4` in a fresh thread, `/spec-tell 8/4 TEXT`
    ");
    person.types("/spec-spawn 8/2 Fix").await;
    insta::assert_snapshot!(person.done().join("\n"), @r#"
    workSession.spawn {"target":"01890a5d-ac96-774b-bcce-b302099a0008","title":"Load test","description":"Measure it\nand write it down"}
    workSession.spawn {"target":"01890a5d-ac96-774b-bcce-b302099b0022","title":"Fix","description":"Fix"}
    "#);
    assert!(
        person
            .types("/spec-spawn 8")
            .await
            .starts_with("`/spec-spawn ")
    );
    assert!(person.done().is_empty());
}

#[tokio::test]
async fn where_nothing_fits_it_is_said() {
    let mut person = Person::new();
    person.invocation.cwd = "/home/ada/blog".to_owned();
    insta::assert_snapshot!(person.types("/spec-spawn Load test").await, @r"
    **Not now:** no SpecTask of this project is being implemented:

    - `3-other` Do other \| \<b\>now\</b\> (in review)

    What to do: `/spec-status` shows what each of them needs
    ");
    person.invocation.cwd = "/home/ada/empty".to_owned();
    insta::assert_snapshot!(person.types("/spec-approve").await, @r"
    **Not found:** no SpecTask of this project is in review

    What to do: `/spec` and what you want plans the first
    ");
    assert!(person.done().is_empty());
}

#[tokio::test]
async fn attach_binds_the_thread() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-attach").await, @r"
    **Not now:** this is no thread of the daemon, so there is nothing to attach

    What to do: type it in an agent thread that runs through SpecTask
    ");
    person.invocation.session = Some(session_id(50));
    person.invocation.task = Some("7".parse().unwrap());
    insta::assert_snapshot!(person.types("/spec-attach").await, @r"
    This thread belongs to `8-search` now and is called `8-search/05-fix`.

    Next: `/spec-status 8`
    ");
    insta::assert_snapshot!(person.types("/spec-attach none").await, @r"This thread belongs to no SpecTask now and is called `threads/4-fix`.");
    insta::assert_snapshot!(person.done().join("\n"), @r#"
    workSession.attach {"session":"01890a5d-ac96-774b-bcce-b302099b0050","task":"01890a5d-ac96-774b-bcce-b302099a0008"}
    workSession.attach {"session":"01890a5d-ac96-774b-bcce-b302099b0050"}
    "#);
}

#[tokio::test]
async fn open_finds_the_session() {
    let person = Person::new();
    let opened = |reply: Reply| match reply {
        Reply::Open { session } => session.name,
        other => panic!("{other:?}"),
    };
    for (line, name) in [
        ("/spec-open 8/2", "8-search/02-api"),
        ("/spec-open 8-search/03-page", "8-search/03-page"),
        (
            "/spec-open 01890a5d-ac96-774b-bcce-b302099b0021",
            "8-search/01-index",
        ),
        // The only one that runs; the planning while there is nothing else.
        ("/spec-open 8", "8-search/02-api"),
        ("/spec-open 7-user-auth", "7-user-auth/00-planning"),
    ] {
        assert_eq!(opened(person.reply(line).await.unwrap()), name, "{line}");
    }
    insta::assert_snapshot!(person.types("/spec-open 8/2").await, @r"
    `8-search/02-api` api (agent at work)

    In Zed: `/spec-open 8/2` in a fresh thread. In a terminal: `spectask sessions show 8/2`
    ");
    insta::assert_snapshot!(person.types("/spec-open").await, @r"
    **Not understood:** a work session has to be named:

    - `8/3` page (needs trust)
    - `8/2` api (agent at work)
    - `8/1` index (merged)
    - `8/0` planning (completed)
    - `7/0` planning (completed)

    What to do: `/spec-sessions` lists them; name one as `7/2`, `threads/12` or by its id
    ");
    insta::assert_snapshot!(person.types("/spec-open `<b>/9").await, @r"
    **Not found:** there is no work session '\<b\>/9:

    - `8/3` page (needs trust)
    - `8/2` api (agent at work)
    - `8/1` index (merged)
    - `8/0` planning (completed)
    - `7/0` planning (completed)

    What to do: `/spec-sessions` lists them; name one as `7/2`, `threads/12` or by its id
    ");
}

#[tokio::test]
async fn sessions_of_the_project_or_a_spec_task() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-sessions").await, @r"
    5 sessions

    |  | What | State | Agent |
    | --- | --- | --- | --- |
    | `8/3` | page | needs trust | claude |
    | `8/2` | api | agent at work: Edit \`src/api.rs\` \| \*x\* | claude |
    | `8/1` | index | merged | claude |
    | `8/0` | planning | completed | claude |
    | `7/0` | planning | completed | claude |

    Next: `/spec-open 8/3` in a fresh thread, `/spec-tell 8/3 TEXT`
    ");
    insta::assert_snapshot!(person.types("/spec-sessions 7").await, @r"
    1 session

    |  | What | State | Agent |
    | --- | --- | --- | --- |
    | `7/0` | planning | completed | claude |

    Next: `/spec-open 7/0` in a fresh thread, `/spec-tell 7/0 TEXT`
    ");
}

#[tokio::test]
async fn tell_and_decide() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-tell 8/2 It is 404,\nnot 400").await, @r"Told `8-search/02-api`; it reads it between its turns.");
    insta::assert_snapshot!(person.types("/spec-decide Tokens last an hour").await, @r"
    **Not understood:** more than one SpecTask is open:

    - `8-search` Do search \| \<b\>now\</b\> (at work)
    - `7-user-auth` Do user auth \| \<b\>now\</b\> (in review)

    What to do: name the one you mean, for example `/spec-decide 8`
    ");
    insta::assert_snapshot!(person.types("/spec-decide 8 Tokens last an hour").await, @r"Recorded for `8-search`.");
    person.invocation.session = Some(session_id(22));
    insta::assert_snapshot!(person.types("/spec-decide 2 retries are enough").await, @r"Recorded for `8-search/02-api`. `2` is the number of no SpecTask of this project, so it is part of the text.");
    insta::assert_snapshot!(person.done().join("\n"), @r#"
    coordination.tell {"session":"01890a5d-ac96-774b-bcce-b302099b0022","text":"It is 404,\nnot 400"}
    decision.record {"target":"01890a5d-ac96-774b-bcce-b302099a0008","text":"Tokens last an hour","source":"slash_command"}
    decision.record {"target":"01890a5d-ac96-774b-bcce-b302099b0022","text":"2 retries are enough","source":"slash_command"}
    "#);
    assert!(
        person
            .types("/spec-tell 8/2")
            .await
            .starts_with("`/spec-tell ")
    );
    assert!(
        person
            .types("/spec-decide 8")
            .await
            .starts_with("`/spec-decide ")
    );
    assert!(person.done().is_empty());
}

#[tokio::test]
async fn help_explains_all_and_one() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-help").await, @r"
    | Command | What it does |
    | --- | --- |
    | `/spec` | Plan a change: an agent writes requirements, design and tasks for your review |
    | `/spec-status` | Show how far SpecTasks are and what waits for you |
    | `/spec-review` | Read the documents, the validator's findings and what changed |
    | `/spec-approve` | Approve the newest documents and start the work |
    | `/spec-changes` | Send the documents back to the agent with what should be different |
    | `/spec-start` | Start or go on: planning, approved work, what was stopped or failed |
    | `/spec-stop` | Stop running turns; /spec-start goes on |
    | `/spec-spawn` | Start one more work session beside the planned ones |
    | `/spec-attach` | Bind this thread to a SpecTask |
    | `/spec-open` | Show a work session in this fresh thread |
    | `/spec-sessions` | List work sessions |
    | `/spec-tell` | Say something to a work session; it reads it between its turns |
    | `/spec-decide` | Record a decision |
    | `/spec-help` | Explain these commands |

    Without a name a command takes the SpecTask of this thread, or the only one that fits. A SpecTask is named `7` or `7-user-auth`, a session `7/2`. `/spec-help COMMAND` says more.
    ");
    insta::assert_snapshot!(person.types("/spec-help /spec-changes").await, @r"
    `/spec-changes [SpecTask] what should be different`

    Send the documents back to the agent with what should be different.

    Everything after it is what should be different. A line such as `design.md:12: Which database?` is a comment on that line; `design: Too vague` one on the whole document.
    ");
    assert_eq!(
        person.types("/spec-help changes").await,
        person.types("/spec-help spec-changes").await
    );
    insta::assert_snapshot!(person.types("/spec-help dance").await, @r"
    **Not found:** there is no command dance

    What to do: `/spec-help` lists them
    ");
}

#[tokio::test]
async fn a_refusal_of_the_daemon_reaches_the_person_from_every_command() {
    let person = Person::new();
    let failure = Failure::new(FailureKind::Unavailable, "the daemon is stopping");
    for method in [
        "specTask.get",
        "specTask.list",
        "specTask.create",
        "workSession.list",
        "workSession.get",
    ] {
        person.refuses(method, failure.clone());
    }
    for command in super::COMMANDS {
        // Those that need a text or a thread say so first.
        let line = match command.name {
            "spec-help" | "spec-attach" => continue,
            "spec-open" | "spec-tell" => format!("/{} 8/2 x", command.name),
            name => format!("/{name} x"),
        };
        let line = if command.name == "spec-open" {
            "/spec-open 8/2".to_owned()
        } else {
            line
        };
        let failure = person.reply(&line).await.unwrap_err();
        let asked = failure.kind == FailureKind::Unavailable;
        assert!(
            asked || failure.message.contains("there is no SpecTask x"),
            "{line}: {failure:?}"
        );
    }
}
