//! `spectask diff`: what changed on a branch.

use spectask_protocol::{DiffParams, DiffView, method::SpecTaskDiff};

use super::{
    args::DiffArgs,
    choose,
    context::Context,
    error::{CliError, Exit},
    pager, review,
    sheet::{Sheet, Tone},
};

/// The widest a bar of plus and minus gets.
const BAR: u64 = 40;

pub(super) async fn run(ctx: &Context, args: DiffArgs) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let target = choose::target(ctx, &daemon, args.target, &choose::WITH_BRANCH).await?;
    let view = daemon
        .call(
            SpecTaskDiff,
            DiffParams {
                target,
                stat: args.stat,
            },
        )
        .await?;
    if ctx.json {
        ctx.print_json(&view)?;
        return Ok(Exit::Good);
    }
    let mut sheet = ctx.sheet();
    if args.stat || ctx.terminal {
        stat(&mut sheet, &view);
    }
    if !args.stat {
        // A patch that is piped is applied, not read.
        if ctx.terminal {
            sheet.end();
            review::diff(&mut sheet, &view.patch);
        } else {
            sheet.trusted(&view.patch);
        }
    }
    pager::show(ctx, sheet, !args.no_pager)?;
    Ok(Exit::Good)
}

/// Writes how much changed in each file.
pub(super) fn stat(sheet: &mut Sheet, view: &DiffView) {
    let width = |path: &str| console::measure_text_width(&super::sheet::one_line(path));
    let paths = view
        .files
        .iter()
        .map(|file| width(&file.path))
        .max()
        .unwrap_or(0)
        .min(60);
    let most = view
        .files
        .iter()
        .map(|file| file.added + file.removed)
        .max()
        .unwrap_or(0);
    for file in &view.files {
        sheet
            .plain(" ")
            .cell(Tone::Plain, &file.path, paths)
            .plain(" | ");
        if file.binary {
            sheet.line(Tone::Faint, "binary");
            continue;
        }
        let total = file.added + file.removed;
        let scale = |lines: u64| {
            if most > BAR {
                lines * BAR / most
            } else {
                lines
            }
        };
        let repeat = |sign: &str, lines: u64| {
            sign.repeat(usize::try_from(scale(lines).max(u64::from(lines > 0))).unwrap_or(0))
        };
        sheet
            .plain(&format!("{total:>5} "))
            .put(Tone::Good, &repeat("+", file.added))
            .put(Tone::Bad, &repeat("-", file.removed))
            .end();
    }
    let added: u64 = view.files.iter().map(|file| file.added).sum();
    let removed: u64 = view.files.iter().map(|file| file.removed).sum();
    let files = view.files.len();
    let noun = if files == 1 { "file" } else { "files" };
    sheet.line(
        Tone::Plain,
        &format!(" {files} {noun} changed, {added} lines added, {removed} removed"),
    );
}

#[cfg(test)]
mod tests {
    use spectask_protocol::FileStat;

    use super::*;

    #[test]
    fn bars_keep_their_proportions() {
        let file = |path: &str, added, removed, binary| FileStat {
            path: path.into(),
            added,
            removed,
            binary,
        };
        let view = DiffView {
            from: "a".into(),
            to: "b".into(),
            files: vec![
                file("src/a.rs", 200, 0, false),
                file("b\u{1b}[2J", 1, 20, false),
                file("logo.png", 0, 0, true),
            ],
            patch: String::new(),
        };
        let mut sheet = Sheet::new(false);
        stat(&mut sheet, &view);
        insta::assert_snapshot!(sheet.into_text(), @r"
        src/a.rs |   200 ++++++++++++++++++++++++++++++++++++++++
        b␛[2J    |    21 +----
        logo.png | binary
        3 files changed, 201 lines added, 20 removed
        ");
    }
}
