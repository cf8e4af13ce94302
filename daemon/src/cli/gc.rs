//! `spectask gc`: removes what nobody needs any more, and says where the rest is.

use spectask_protocol::{GcItem, GcParams, GcView, method::DaemonGc};

use super::{
    context::Context,
    error::{CliError, Exit},
    sheet::{Sheet, Tone},
    table::{Cell, table},
};

pub(super) async fn run(ctx: &Context, dry_run: bool) -> Result<Exit, CliError> {
    let daemon = ctx.daemon().await?;
    let done = daemon.call(DaemonGc, GcParams { dry_run }).await?;
    ctx.show(&done, |sheet| render(sheet, &done, ctx.width()))?;
    Ok(Exit::Good)
}

fn render(sheet: &mut Sheet, done: &GcView, width: Option<usize>) {
    let gone = |item: &&GcItem| item.outcome != "kept";
    if done.items.is_empty() {
        sheet.line(Tone::Plain, "There is nothing to remove.");
        return;
    }
    let rows: Vec<Vec<Cell>> = done
        .items
        .iter()
        .map(|item| {
            let (tone, outcome) = match (item.outcome.as_str(), done.dry_run) {
                ("kept", _) => (Tone::Faint, "stays"),
                (_, true) => (Tone::Warn, "would go"),
                (_, false) => (Tone::Good, "gone"),
            };
            vec![
                Cell::new(tone, outcome),
                Cell::plain(&item.kind),
                Cell::plain(&bytes(item.bytes)),
                Cell::plain(&item.name),
            ]
        })
        .collect();
    table(sheet, &["", "WHAT", "SIZE", "WHICH"], &rows, width);
    let saved: Vec<(&GcItem, &String)> = done
        .items
        .iter()
        .filter_map(|item| Some((item, item.saved.as_ref()?)))
        .collect();
    if !saved.is_empty() {
        let head = if done.dry_run {
            "Would be saved first"
        } else {
            "Saved first; `git show REF` shows it"
        };
        sheet.end().line(Tone::Strong, head);
        for (item, reference) in saved {
            sheet.plain("  ").put(Tone::Name, reference);
            if let Some(commit) = &item.saved_commit {
                sheet.plain(" at ").put(Tone::Plain, commit);
            }
            sheet.end();
        }
    }
    let kept: Vec<(&str, &str)> = done
        .items
        .iter()
        .filter_map(|item| Some((item.name.as_str(), item.reason.as_deref()?)))
        .collect();
    if !kept.is_empty() {
        sheet.end().line(Tone::Strong, "Stays");
        for (name, reason) in kept {
            sheet.plain("  ").put(Tone::Plain, name).plain(": ");
            sheet.line(Tone::Faint, reason);
        }
    }
    let count = done.items.iter().filter(gone).count();
    let verb = if done.dry_run { "would go" } else { "gone" };
    let text = format!("{count} {verb}, {}", bytes(done.bytes));
    sheet.end().line(Tone::Plain, &text);
}

/// Bytes as people read them.
fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1024.0, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(kind: &str, name: &str, outcome: &str) -> GcItem {
        GcItem {
            kind: kind.into(),
            name: name.into(),
            outcome: outcome.into(),
            bytes: 3 << 20,
            saved: None,
            saved_commit: None,
            reason: None,
        }
    }

    fn shown(done: &GcView) -> String {
        let mut sheet = Sheet::new(false);
        render(&mut sheet, done, None);
        sheet.into_text()
    }

    #[test]
    fn it_says_what_went_and_where_the_rest_is() {
        let saved = GcItem {
            saved: Some("refs/spectask/wip/7-auth/02-api".into()),
            saved_commit: Some("0123abcd".into()),
            ..item("worktree", "/w/7-auth/02-api", "removed")
        };
        let kept = GcItem {
            bytes: 0,
            reason: Some("it is not merged".into()),
            ..item("branch", "spectask/7-auth/02-api", "kept")
        };
        let mut done = GcView {
            dry_run: false,
            items: vec![saved, kept],
            bytes: 3 << 20,
        };
        insta::assert_snapshot!(shown(&done), @r"
               WHAT      SIZE     WHICH
        gone   worktree  3.0 MiB  /w/7-auth/02-api
        stays  branch    0 B      spectask/7-auth/02-api

        Saved first; `git show REF` shows it
          refs/spectask/wip/7-auth/02-api at 0123abcd

        Stays
          spectask/7-auth/02-api: it is not merged

        1 gone, 3.0 MiB
        ");
        done.dry_run = true;
        assert!(shown(&done).contains("would go"));
        done.items.clear();
        assert_eq!(shown(&done), "There is nothing to remove.\n");
    }

    #[test]
    fn sizes_are_read_by_people() {
        let all = [0, 1023, 1024, 5_000_000, u64::MAX].map(bytes);
        assert_eq!(
            all,
            ["0 B", "1023 B", "1.0 KiB", "4.8 MiB", "16777216.0 TiB"]
        );
    }
}
