//! `history export`: the history of a SpecTask in other forms.

use std::path::PathBuf;

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
    if !args.form.git_ai && !args.form.agent_trace {
        return lay_out(ctx, args).await;
    }
    let daemon = ctx.daemon().await?;
    let form = if args.form.git_ai {
        ExportForm::GitAi
    } else {
        ExportForm::AgentTrace
    };
    let params = ExportParams {
        task: args.task,
        form,
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
        sheet
            .plain(&format!("{} notes in ", done.count))
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

/// As folders, on a branch, in a folder or in a zip file.
async fn lay_out(ctx: &Context, args: ExportArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let here = ctx.folder()?;
    let whole = |path: PathBuf| {
        let path = here.join(path);
        let text = path.to_str().map(str::to_owned);
        text.ok_or_else(|| CliError::usage(format!("{} is not UTF-8", path.display())))
    };
    let params = LayOutParams {
        task: args.task,
        repository: here.to_str().map(str::to_owned),
        branch: args.form.to_branch,
        folder: args.form.to.map(whole).transpose()?,
        zip: args.form.zip.map(whole).transpose()?,
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
