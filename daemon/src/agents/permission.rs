//! Decides permission requests by the profile's policy.

use std::path::Path;

use serde_json::Value;

use super::observer::{Decision, PermissionAsk, PermissionOption};
use super::profile::Policy;
use super::root::Root;
use super::toolcall::ToolFacts;

/// What `policy` says about a tool call with these facts, by an agent working in `root`.
pub(super) fn decide(policy: Policy, facts: &ToolFacts, root: &Root) -> Decision {
    let kind = facts.kind.as_deref().unwrap_or("other");
    // A change that calls itself something harmless is still a change.
    let kind = if facts.diff && !matches!(kind, "delete" | "move") {
        "edit"
    } else {
        kind
    };
    match (policy, kind) {
        (Policy::Ask, _) => Decision::Ask(String::new()),
        (Policy::Deny, _) => Decision::Deny,
        (Policy::AllowReads | Policy::AllowInRoot, "read" | "search" | "think") => Decision::Allow,
        (Policy::AllowReads, _) => ask(&format!("`allow-reads` does not cover {kind}")),
        (Policy::AllowInRoot, "fetch") => Decision::Allow,
        (Policy::AllowInRoot, "execute") => match &facts.folder {
            Some(folder) if root.resolve(folder).is_err() => {
                ask("the command's folder is outside the session's folder")
            }
            _ => Decision::Allow,
        },
        (Policy::AllowInRoot, "edit" | "delete" | "move") => all_inside(facts, root),
        // A tool of no known kind is judged by the files it names, if it names any.
        (Policy::AllowInRoot, "other") if !facts.paths.is_empty() => all_inside(facts, root),
        (Policy::AllowInRoot, _) => ask(&format!("`allow-in-root` does not cover {kind}")),
    }
}

fn ask(reason: &str) -> Decision {
    Decision::Ask(reason.to_owned())
}

fn all_inside(facts: &ToolFacts, root: &Root) -> Decision {
    if facts.too_many {
        return ask("it names too many files to check");
    }
    if facts.paths.is_empty() {
        return ask("it does not say which files it changes");
    }
    for path in &facts.paths {
        if let Some(reason) = outside(path, root) {
            return ask(&reason);
        }
    }
    Decision::Allow
}

/// Why `path` is not one to change freely, if it is not.
fn outside(path: &Path, root: &Root) -> Option<String> {
    if path.starts_with("~") {
        return Some(format!(
            "`{}` is outside the session's folder",
            path.display()
        ));
    }
    root.resolve_for_write(path)
        .err()
        .map(|refusal| refusal.to_string())
}

/// The option to answer with: the narrowest that allows, or that rejects.
pub(super) fn choose(options: &[PermissionOption], allow: bool) -> Option<String> {
    let wanted = if allow {
        ["allow_once", "allow_always"]
    } else {
        ["reject_once", "reject_always"]
    };
    wanted
        .iter()
        .find_map(|&kind| options.iter().find(|option| option.kind == kind))
        .map(|option| option.id.clone())
}

/// Reads a permission request; `earlier` is what is known of its tool call.
///
/// Read by hand, so that one option of a kind newer than the schema does not spoil the others.
pub(super) fn read(
    params: &Value,
    earlier: Option<ToolFacts>,
) -> Option<(PermissionAsk, ToolFacts)> {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let call = params.get("toolCall")?;
    let mut facts = earlier.unwrap_or_default();
    facts.absorb(call);
    let options: Vec<PermissionOption> = params
        .get("options")?
        .as_array()?
        .iter()
        .filter_map(|option| {
            let id = text(option, "optionId")?;
            let name = super::update::one_line(&text(option, "name").unwrap_or_default(), 100);
            let kind = text(option, "kind").unwrap_or_default();
            Some(PermissionOption {
                name: if name.is_empty() { id.clone() } else { name },
                id,
                kind,
            })
        })
        .collect();
    let ask = PermissionAsk {
        session: text(params, "sessionId")?,
        tool_call: text(call, "toolCallId")?,
        title: facts
            .title
            .clone()
            .or_else(|| facts.command.clone())
            .unwrap_or_else(|| "a tool".to_owned()),
        step: String::new(),
        kind: facts.kind.clone().unwrap_or_else(|| "other".to_owned()),
        locations: facts.paths.clone(),
        command: facts.command.clone(),
        options,
        reason: String::new(),
        raw: params.clone(),
    };
    Some((ask, facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("root")).unwrap();
        let root = Root::new(&dir.path().join("root")).unwrap();
        (dir, root)
    }

    fn verdict(policy: Policy, call: &Value, root: &Root) -> String {
        let mut facts = ToolFacts::default();
        facts.absorb(call);
        match decide(policy, &facts, root) {
            Decision::Allow => "allow".to_owned(),
            Decision::Deny => "deny".to_owned(),
            Decision::Ask(reason) => format!("ask: {reason}"),
        }
    }

    #[test]
    fn every_policy_and_kind() {
        let (_dir, root) = place();
        let inside = root.path().join("a.rs");
        let mut table = String::new();
        for kind in [
            "read",
            "search",
            "think",
            "fetch",
            "execute",
            "edit",
            "delete",
            "move",
            "switch_mode",
            "other",
            "novel",
        ] {
            let call = json!({"kind": kind, "locations": [{"path": inside}]});
            let says = |policy| {
                let verdict = verdict(policy, &call, &root);
                verdict.split(':').next().unwrap().to_owned()
            };
            table += &format!(
                "{kind}: {} {} {} {}\n",
                says(Policy::Ask),
                says(Policy::AllowReads),
                says(Policy::AllowInRoot),
                says(Policy::Deny)
            );
        }
        insta::assert_snapshot!(table, @r"
        read: ask allow allow deny
        search: ask allow allow deny
        think: ask allow allow deny
        fetch: ask ask allow deny
        execute: ask ask allow deny
        edit: ask ask allow deny
        delete: ask ask allow deny
        move: ask ask allow deny
        switch_mode: ask ask ask deny
        other: ask ask allow deny
        novel: ask ask ask deny
        ");
    }

    #[test]
    fn a_change_outside_is_never_allowed() {
        let (dir, root) = place();
        let inside = root.path().join("a.rs");
        let outside = dir.path().join("b.rs");
        let says = |call: Value| verdict(Policy::AllowInRoot, &call, &root);
        let both = json!([{"path": inside}, {"path": outside}]);
        assert!(says(json!({"kind": "edit", "locations": both})).contains("is outside"));
        assert!(
            says(json!({"kind": "read", "content": [{"type": "diff", "path": outside}]}))
                .contains("is outside")
        );
        assert!(says(json!({"kind": "edit", "locations": [{"path": inside}], "rawInput": {"path": outside}})).contains("is outside"));
        assert!(
            says(json!({"kind": "edit", "locations": [{"path": "../b.rs"}]}))
                .contains("has a `..`")
        );
        assert!(
            says(json!({"kind": "edit", "locations": [{"path": "~/.bashrc"}]}))
                .contains("is outside")
        );
        assert!(
            says(json!({"kind": "edit", "locations": [{"path": ".git/hooks/x"}]}))
                .contains("belongs to git")
        );
        assert_eq!(
            says(json!({"kind": "edit"})),
            "ask: it does not say which files it changes"
        );
        assert!(
            says(json!({"kind": "execute", "rawInput": {"cwd": dir.path()}}))
                .contains("folder is outside")
        );
        assert_eq!(
            says(json!({"kind": "edit", "locations": [{"path": "new/a.rs"}]})),
            "allow"
        );
    }

    #[test]
    fn the_narrowest_option_is_chosen() {
        let option = |id: &str, kind: &str| PermissionOption {
            id: id.into(),
            name: id.into(),
            kind: kind.into(),
        };
        let all = [
            option("A", "allow_always"),
            option("a", "allow_once"),
            option("R", "reject_always"),
            option("r", "reject_once"),
        ];
        assert_eq!(choose(&all, true).as_deref(), Some("a"));
        assert_eq!(choose(&all, false).as_deref(), Some("r"));
        assert_eq!(choose(&all[..1], true).as_deref(), Some("A"));
        assert_eq!(choose(&all[2..], true), None);
    }

    #[test]
    fn requests_are_read_leniently() {
        let params = json!({
            "sessionId": "s", "toolCall": {"toolCallId": "t"},
            "options": [{"optionId": "x", "name": "", "kind": "novel"}, {"broken": 1}],
        });
        let earlier = ToolFacts {
            title: Some("Write a".into()),
            kind: Some("edit".into()),
            ..ToolFacts::default()
        };
        let (ask, facts) = read(&params, Some(earlier)).unwrap();
        assert_eq!((ask.title.as_str(), ask.kind.as_str()), ("Write a", "edit"));
        assert_eq!(
            ask.options,
            [PermissionOption {
                id: "x".into(),
                name: "x".into(),
                kind: "novel".into()
            }]
        );
        assert_eq!(facts.kind.as_deref(), Some("edit"));
        assert!(read(&json!({"sessionId": "s", "options": []}), None).is_none());
        assert!(read(&json!({"toolCall": {}, "options": []}), None).is_none());
    }
}
