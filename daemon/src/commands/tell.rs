//! `/spec-tell` and `/spec-decide`.

use spectask_protocol::{
    DecideParams, Failure, FailureKind, SessionRef, TellParams,
    method::{CoordinationTell, DecisionRecord},
};

use super::{
    choose::{self, Behind, OPEN, first_word},
    invocation::{Invocation, Reply},
    markdown::code,
};

/// Where `/spec-decide` says that a decision was said.
const SOURCE: &str = "slash_command";

pub(super) async fn tell(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    let (word, text) = first_word(&args);
    if word.is_empty() {
        return Ok(Reply::Help);
    }
    let session = choose::session(&invocation, word).await?;
    if text.is_empty() {
        return Ok(Reply::Help);
    }
    let params = TellParams {
        session: session.id.into(),
        text: text.to_owned(),
        kind: None,
        from: None,
        answers: None,
    };
    let message = invocation.client.call(CoordinationTell, params).await?;
    let when = if message.delivered {
        "it has read it"
    } else {
        "it reads it between its turns"
    };
    Ok(Reply::Text(format!(
        "Told {}; {when}.\n",
        code(&message.to)
    )))
}

pub(super) async fn decide(invocation: Invocation, args: String) -> Result<Reply, Failure> {
    if args.trim().is_empty() {
        return Ok(Reply::Help);
    }
    let (word, rest) = first_word(&args);
    let named = choose::named(&invocation, &args, Behind::Text).await?;
    let mut remark = String::new();
    let (target, name, text) = match named {
        Some(_) if rest.is_empty() => return Ok(Reply::Help),
        Some(_) if word.contains('/') => {
            let session = choose::session(&invocation, word).await?;
            (session.id.into(), session.name, rest)
        }
        Some((task, _)) => (task.id.into(), task.name, rest),
        None => {
            let (target, name) = place(&invocation).await?;
            // "2 retries are enough" is a decision, "99 Tokens last an hour" was meant for a SpecTask.
            if word.parse::<u32>().is_ok() {
                let word = code(word);
                remark = format!(
                    " {word} is the number of no SpecTask of this project, so it is part of the text."
                );
            }
            (target, name, args.trim())
        }
    };
    let params = DecideParams {
        target: Some(target),
        text: text.to_owned(),
        source: SOURCE.to_owned(),
    };
    invocation.client.call(DecisionRecord, params).await?;
    Ok(Reply::Text(format!(
        "Recorded for {}.{remark}\n",
        code(&name)
    )))
}

/// What a decision belongs to when nothing is named: the thread's session, else a SpecTask.
async fn place(invocation: &Invocation) -> Result<(SessionRef, String), Failure> {
    if let Some(session) = &invocation.session {
        match choose::session(invocation, session.as_str()).await {
            Ok(session) => return Ok((session.id.into(), session.name)),
            // A draft is no session yet.
            Err(failure) if failure.kind == FailureKind::NotFound => {}
            Err(failure) => return Err(failure),
        }
    }
    let task = choose::meant(invocation, "spec-decide", &OPEN).await?;
    Ok((task.id.into(), task.name))
}
