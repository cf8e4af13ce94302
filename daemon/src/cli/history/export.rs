//! `history export`: the history of a SpecTask in other forms.

use spectask_protocol::{
    ExportForm, ExportParams, LayOutParams,
    method::{HistoryExport, HistoryLayOut},
};

use crate::cli::{
    args::ExportArgs,
    context::Context,
    error::{CliError, Exit},
    sheet::Tone,
};

pub(super) async fn export(ctx: &Context, args: ExportArgs) -> Result<Exit, CliError> {
    if args.form.zip.is_none() && !args.form.git_ai && !args.form.agent_trace {
        return lay_out(ctx, args).await;
    }
    let daemon = ctx.daemon().await?;
    let form = if args.form.git_ai {
        ExportForm::GitAi
    } else if args.form.agent_trace {
        ExportForm::AgentTrace
    } else {
        ExportForm::Zip
    };
    let file = match &args.form.zip {
        Some(file) => {
            let file = ctx.folder()?.join(file);
            let file = file.to_str().map(str::to_owned);
            Some(file.ok_or_else(|| CliError::usage("the name of the file is not UTF-8"))?)
        }
        None => None,
    };
    let params = ExportParams {
        task: args.task,
        form,
        file,
    };
    let done = daemon.call(HistoryExport, params).await?;
    if form == ExportForm::AgentTrace {
        for record in &done.records {
            ctx.print_json_line(record)?;
        }
        return Ok(Exit::Good);
    }
    ctx.show(&done, |sheet| {
        let place = done.place.as_deref().unwrap_or_default();
        let what = match form {
            ExportForm::GitAi => "notes in ",
            _ => "files in ",
        };
        sheet
            .plain(&format!("{} {what}", done.count))
            .line(Tone::Name, place);
        if done.skipped > 0 {
            let text = format!(
                "{} commits were left out: they have a note, add no line, or are not here.",
                done.skipped
            );
            sheet.line(Tone::Plain, &text);
        }
    })?;
    Ok(Exit::Good)
}

/// As folders, on a branch or in a folder.
async fn lay_out(ctx: &Context, args: ExportArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let folder = match &args.form.to {
        Some(folder) => {
            let folder = ctx.folder()?.join(folder);
            let folder = folder.to_str().map(str::to_owned);
            Some(folder.ok_or_else(|| CliError::usage("the name of the folder is not UTF-8"))?)
        }
        None => None,
    };
    let params = LayOutParams {
        task: args.task,
        repository: ctx.folder()?.to_str().map(str::to_owned),
        branch: args.form.to_branch,
        folder,
        records: args.records,
    };
    let done = daemon.call(HistoryLayOut, params).await?;
    ctx.show(&done, |sheet| {
        let place = if done.commit.is_some() {
            "on branch "
        } else {
            "in "
        };
        sheet
            .plain(&format!(
                "{} files of {} sessions {place}",
                done.files, done.sessions
            ))
            .line(Tone::Name, &done.place);
    })?;
    Ok(Exit::Good)
}
