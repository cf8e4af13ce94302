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
    insta::assert_snapshot!(reply.text(), @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
    insta::assert_snapshot!(person.types("/spec --later Users log in").await, @"");
    insta::assert_snapshot!(person.types("/spec").await, @"");
    insta::assert_snapshot!(person.types("/spec --quick x").await, @"");
}

#[tokio::test]
async fn status_of_all_and_of_one() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-status").await, @"");
    insta::assert_snapshot!(person.types("/spec-status 8/2").await, @"");
    person.invocation.task = Some("7".parse().unwrap());
    insta::assert_snapshot!(person.types("/spec-status").await, @"");
    insta::assert_snapshot!(person.types("/spec-status nine").await, @"");
    person.invocation.task = None;
    person.invocation.cwd = "/home/ada/empty".to_owned();
    insta::assert_snapshot!(person.types("/spec-status").await, @"");
    assert!(person.done().is_empty(), "it only reads");
}

#[tokio::test]
async fn review_shows_all_or_a_part() {
    let person = Person::new();
    // The only one in review in this project.
    insta::assert_snapshot!(person.types("/spec-review").await, @"");
    insta::assert_snapshot!(person.types("/spec-review 7 design.md").await, @"");
    insta::assert_snapshot!(person.types("/spec-review diff 7").await, @"");
    insta::assert_snapshot!(person.types("/spec-review 8").await, @"");
    assert!(person.done().is_empty(), "it only reads");
}

#[tokio::test]
async fn a_planning_ends_with_a_summary() {
    let person = Person::new();
    let client = &person.invocation.client;
    let summary = review_summary(client, &"7".parse().unwrap()).await.unwrap();
    insta::assert_snapshot!(summary, @"");
    let summary = review_summary(client, &"3".parse().unwrap()).await.unwrap();
    insta::assert_snapshot!(summary, @"");
    let failure = review_summary(client, &"99".parse().unwrap()).await;
    assert_eq!(failure.unwrap_err().kind, FailureKind::NotFound);
}

#[tokio::test]
async fn approval_names_what_was_read() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-approve").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
    person
        .types("/spec-approve 7 --accept-findings --no-start 3 tasks are fine")
        .await;
    insta::assert_snapshot!(person.done().join("\n"), @"");
    insta::assert_snapshot!(person.types("/spec-approve --revision 1").await, @"");
    let failure = Failure::new(FailureKind::InvalidState, "requirements.md:3: no SHALL")
        .hint("`spectask approve 7-user-auth --accept-findings` accepts them");
    assert!(person.done().is_empty());
    person.refuses("review.approve", failure);
    insta::assert_snapshot!(person.types("/spec-approve 7").await, @"");
}

#[tokio::test]
async fn changes_go_back_with_comments_on_lines() {
    let person = Person::new();
    let text = "/spec-changes 3 tasks are too many.\ndesign.md:3: Which?\nrequirements: vague";
    insta::assert_snapshot!(person.types(text).await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
    insta::assert_snapshot!(person.types("/spec-changes 7 tasks:9: split").await, @"");
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
    insta::assert_snapshot!(person.types("/spec-stop").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
    insta::assert_snapshot!(person.types("/spec-stop 8/2").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
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
    insta::assert_snapshot!(person.types("/spec-start").await, @"");
    insta::assert_snapshot!(person.types("/spec-start 8/3").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
    insta::assert_snapshot!(person.types("/spec-start 7 now").await, @"");
}

#[tokio::test]
async fn spawn_takes_a_title_and_what_to_do() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-spawn Load test: Measure it\nand write it down").await, @"");
    person.types("/spec-spawn 8/2 Fix").await;
    insta::assert_snapshot!(person.done().join("\n"), @"");
    assert!(
        person
            .types("/spec-spawn 8")
            .await
            .starts_with("`/spec-spawn ")
    );
    assert!(person.done().is_empty());
}

#[tokio::test]
async fn attach_binds_the_thread() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-attach").await, @"");
    person.invocation.session = Some(session_id(50));
    person.invocation.task = Some("7".parse().unwrap());
    insta::assert_snapshot!(person.types("/spec-attach").await, @"");
    insta::assert_snapshot!(person.types("/spec-attach none").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
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
    insta::assert_snapshot!(person.types("/spec-open 8/2").await, @"");
    insta::assert_snapshot!(person.types("/spec-open").await, @"");
    insta::assert_snapshot!(person.types("/spec-open `<b>/9").await, @"");
}

#[tokio::test]
async fn sessions_of_the_project_or_a_spec_task() {
    let person = Person::new();
    insta::assert_snapshot!(person.types("/spec-sessions").await, @"");
    insta::assert_snapshot!(person.types("/spec-sessions 7").await, @"");
}

#[tokio::test]
async fn tell_and_decide() {
    let mut person = Person::new();
    insta::assert_snapshot!(person.types("/spec-tell 8/2 It is 404,\nnot 400").await, @"");
    insta::assert_snapshot!(person.types("/spec-decide Tokens last an hour").await, @"");
    insta::assert_snapshot!(person.types("/spec-decide 8 Tokens last an hour").await, @"");
    person.invocation.session = Some(session_id(22));
    insta::assert_snapshot!(person.types("/spec-decide 2 retries are enough").await, @"");
    insta::assert_snapshot!(person.done().join("\n"), @"");
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
    insta::assert_snapshot!(person.types("/spec-help").await, @"");
    insta::assert_snapshot!(person.types("/spec-help /spec-changes").await, @"");
    assert_eq!(
        person.types("/spec-help changes").await,
        person.types("/spec-help spec-changes").await
    );
    insta::assert_snapshot!(person.types("/spec-help dance").await, @"");
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
