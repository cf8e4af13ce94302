//! `spectask permissions`: what agents ask for, and a person's answers.

use jiff::Timestamp;
use spectask_protocol::{
    Empty, FailureKind, PermissionAnswerParams, PermissionId, PermissionOption, PermissionView,
    method::{PermissionAnswer, PermissionListAll},
};

use super::{
    args::{PermissionsArgs, PermissionsCommand},
    connect::Daemon,
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    time,
};

pub(super) async fn run(ctx: &Context, args: PermissionsArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let list = daemon.call(PermissionListAll, Empty {}).await?;
    match args.command {
        Some(PermissionsCommand::Answer { id, answer }) => {
            let asked = list
                .permissions
                .iter()
                .find(|permission| permission.id == id);
            let asked = asked.ok_or_else(|| {
                CliError::new(FailureKind::NotFound, format!("no agent waits for {id}"))
                    .hint("`spectask permissions list` shows what is asked")
            })?;
            let option = match answer.as_str() {
                "cancel" => None,
                answer => Some(pick(asked, answer)?.id.clone()),
            };
            answer_permission(ctx, &daemon, &id, option).await
        }
        None if ctx.interactive && ctx.terminal && !list.permissions.is_empty() => {
            for permission in &list.permissions {
                ask(ctx, &daemon, permission).await?;
            }
            Ok(Exit::Good)
        }
        None | Some(PermissionsCommand::List) => {
            ctx.show(&list, |sheet| {
                if list.permissions.is_empty() {
                    sheet.line(Tone::Plain, "No agent asks for anything.");
                }
                for permission in &list.permissions {
                    permission_text(sheet, permission);
                    sheet.plain("  ").line(
                        Tone::Name,
                        &format!("spectask permissions answer {} allow", permission.id),
                    );
                }
            })?;
            Ok(Exit::Good)
        }
    }
}

fn permission_text(sheet: &mut Sheet, permission: &PermissionView) {
    sheet
        .put(Tone::Name, &permission.session_name)
        .put(Tone::Faint, &format!("  {}  ", permission.kind))
        .line(Tone::Strong, &permission.title);
    for (index, option) in permission.options.iter().enumerate() {
        sheet
            .plain(&format!("  {}. ", index + 1))
            .plain(&option.name)
            .line(Tone::Faint, &format!("  ({})", option.id));
    }
    let ago = time::ago(&permission.asked_at, Timestamp::now());
    sheet.plain("  ").line(
        Tone::Faint,
        &format!("asked {ago} ago, id {}", permission.id),
    );
}

async fn ask(ctx: &Context, daemon: &Daemon, permission: &PermissionView) -> Result<(), CliError> {
    let mut sheet = ctx.sheet();
    permission_text(&mut sheet, permission);
    ctx.print(sheet)?;
    let answer = ctx.ask("Number, allow, reject, or nothing to leave it: ")?;
    if answer.is_empty() {
        return Ok(());
    }
    let number = answer
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    let option = match number.and_then(|index| permission.options.get(index)) {
        Some(option) => option,
        None => pick(permission, &answer)?,
    };
    answer_permission(ctx, daemon, &permission.id, Some(option.id.clone())).await?;
    Ok(())
}

/// The option that a word means.
fn pick<'a>(asked: &'a PermissionView, word: &str) -> Result<&'a PermissionOption, CliError> {
    let of = |kinds: [&str; 2]| {
        kinds
            .iter()
            .find_map(|kind| asked.options.iter().find(|option| option.kind == *kind))
    };
    let found = match asked.options.iter().find(|option| option.id == word) {
        Some(option) => Some(option),
        // What is allowed for good is chosen by its own id only.
        None if word == "allow" => of(["allow_once", "allow_always"]),
        None if word == "reject" => of(["reject_once", "reject_always"]),
        None => None,
    };
    found.ok_or_else(|| {
        let ids: Vec<_> = asked
            .options
            .iter()
            .map(|option| option.id.as_str())
            .collect();
        CliError::usage(format!("{word:?} is no answer to it")).hint(format!(
            "allow, reject, cancel, or one of: {}",
            ids.join(", ")
        ))
    })
}

async fn answer_permission(
    ctx: &Context,
    daemon: &Daemon,
    id: &PermissionId,
    option: Option<String>,
) -> Result<Exit, CliError> {
    let params = PermissionAnswerParams {
        permission: id.clone(),
        option,
    };
    let left = daemon.call(PermissionAnswer, params).await?;
    ctx.show(&left, |sheet| {
        let count = left.permissions.len();
        sheet.line(Tone::Good, &format!("Answered; {count} left."));
    })?;
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures, *};

    fn asked(kinds: &[(&str, &str)]) -> PermissionView {
        PermissionView {
            id: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap(),
            session: fixtures::session_id(2),
            session_name: "7-user-auth/02-api".into(),
            title: "Run `make`".into(),
            kind: "execute".into(),
            options: kinds
                .iter()
                .map(|(id, kind)| PermissionOption {
                    id: (*id).into(),
                    name: (*id).into(),
                    kind: (*kind).into(),
                })
                .collect(),
            asked_at: "2026-03-04T10:00:00Z".into(),
        }
    }

    #[test]
    fn allow_prefers_once() {
        let both = asked(&[
            ("a", "allow_always"),
            ("o", "allow_once"),
            ("r", "reject_once"),
        ]);
        assert_eq!(pick(&both, "allow").unwrap().id, "o");
        assert_eq!(pick(&both, "a").unwrap().id, "a");
        assert_eq!(pick(&both, "reject").unwrap().id, "r");
        assert_eq!(pick(&both, "maybe").unwrap_err().code(), 2);
    }
}
