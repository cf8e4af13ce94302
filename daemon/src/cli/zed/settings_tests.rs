//! Settings as people have them: whatever is there stays, byte for byte.

use proptest::prelude::*;

use super::*;

const BIN: &str = "/usr/local/bin/spectask";

fn wanted() -> Vec<Entry> {
    vec![
        Entry::own(BIN),
        Entry::of("claude", BIN),
        Entry::of("gemini", BIN),
    ]
}

fn value(text: &str) -> Value {
    let (_, body) = split(text);
    Parsed::new(body).unwrap().value().unwrap()
}

/// How far taking the entries out leads back.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Back {
    /// To the same bytes.
    Same,
    /// To the same values: what was empty is gone, or an object came to a file without one.
    Alike,
}
use Back::{Alike, Same};

/// Settings that entries go into.
const GOOD: &[(&str, Back, &str)] = &[
    ("no file", Alike, ""),
    ("blank lines only", Alike, "\n\n  \n"),
    ("an empty object", Alike, "{}"),
    ("an empty object and a line end", Alike, "{}\n"),
    ("an empty object over two lines", Same, "{\n}\n"),
    (
        "comments only",
        Alike,
        "// Zed settings\n// see the documentation\n",
    ),
    (
        "a block comment without a line end",
        Alike,
        "/* nothing yet */",
    ),
    (
        "Zed's own first file",
        Same,
        "// Zed settings\n//\n// For information on how to configure Zed, see the Zed\n// documentation: https://zed.dev/docs/configuring-zed\n//\n// To see all of Zed's default settings without changing your\n// custom settings, run `zed: open default settings` from the\n// command palette\n{\n  \"ui_font_size\": 16,\n  \"buffer_font_size\": 15,\n  \"theme\": {\n    \"mode\": \"system\",\n    \"light\": \"One Light\",\n    \"dark\": \"One Dark\",\n  },\n}\n",
    ),
    ("one setting", Same, "{\n  \"vim_mode\": true\n}\n"),
    ("no line end at the end", Same, "{\n  \"vim_mode\": true\n}"),
    ("a trailing comma", Same, "{\n  \"vim_mode\": true,\n}\n"),
    (
        "four blanks",
        Same,
        "{\n    \"vim_mode\": true,\n    \"tabs\": {\n        \"git_status\": true\n    }\n}\n",
    ),
    (
        "tabs",
        Same,
        "{\n\t\"vim_mode\": true,\n\t\"languages\": {\n\t\t\"Go\": { \"tab_size\": 8 }\n\t}\n}\n",
    ),
    (
        "carriage returns",
        Same,
        "{\r\n  \"vim_mode\": true,\r\n  \"telemetry\": {\r\n    \"metrics\": false\r\n  }\r\n}\r\n",
    ),
    (
        "carriage returns and a trailing comma",
        Same,
        "{\r\n\t\"vim_mode\": true, // yes\r\n}\r\n",
    ),
    (
        "mixed line ends",
        Same,
        "{\n  \"a\": 1,\r\n  \"b\": 2\n}\r\n",
    ),
    (
        "a byte order mark",
        Same,
        "\u{feff}{\n  \"vim_mode\": true\n}\n",
    ),
    ("a byte order mark alone", Alike, "\u{feff}"),
    (
        "all on one line",
        Same,
        "{\"vim_mode\":true,\"theme\":\"One Dark\"}",
    ),
    ("one line with blanks", Same, "{ \"vim_mode\": true }\n"),
    (
        "one line with a trailing comma",
        Same,
        "{ \"vim_mode\": true, }\n",
    ),
    (
        "a comment after the last setting",
        Same,
        "{\n  \"vim_mode\": true // I like it\n}\n",
    ),
    (
        "comments after the last setting",
        Same,
        "{\n  \"vim_mode\": true // I like it\n  // \"theme\": \"Ayu\"\n  /* more\n     later */\n}\n",
    ),
    (
        "a comment between value and comma",
        Same,
        "{\n  \"vim_mode\": true /* why */ , // so\n}\n",
    ),
    (
        "blanks at the ends of lines",
        Same,
        "{  \n  \"vim_mode\": true  \n}  \n",
    ),
    (
        "a comment after the end",
        Same,
        "{\n  \"vim_mode\": true\n}\n// the end",
    ),
    (
        "an agent of one's own",
        Same,
        "{\n  \"agent_servers\": {\n    \"My Agent\": {\n      \"type\": \"custom\",\n      \"command\": \"/opt/agent\",\n      \"args\": [\"--acp\"],\n      \"env\": { \"KEY\": \"// no comment\" }\n    }\n  },\n  \"vim_mode\": true\n}\n",
    ),
    (
        "comments nested in agent_servers",
        Same,
        "{\n  // agents\n  \"agent_servers\": { // mine\n    /* first */ \"a\": { // note\n      \"command\": \"a\", /* { \"b\": {} */\n    }, // after a\n    // \"old\": { \"command\": \"x\" },\n  }, // after agents\n  \"context_servers\": {\n    \"db\": { \"command\": \"db-mcp\", \"args\": [] } // database\n  }\n}\n",
    ),
    (
        "empty agent_servers",
        Alike,
        "{\n  \"agent_servers\": {},\n  \"vim_mode\": true\n}\n",
    ),
    (
        "agent_servers with a comment alone",
        Same,
        "{\n  \"agent_servers\": {\n    // none yet\n  },\n  \"vim_mode\": true\n}\n",
    ),
    (
        "agent_servers with a block comment",
        Alike,
        "{\n  \"agent_servers\": { /* none */ }\n}\n",
    ),
    (
        "agent_servers on one line",
        Same,
        "{\n  \"agent_servers\": { \"a\": { \"command\": \"a\" } },\n  \"vim_mode\": true\n}\n",
    ),
    (
        "agent_servers last",
        Same,
        "{\n  \"vim_mode\": true,\n  \"agent_servers\": {\n    \"a\": { \"type\": \"registry\" }\n  }\n}\n",
    ),
    (
        "odd indentation",
        Same,
        "{\n \"a\": 1,\n     \"agent_servers\": {\n  \"x\": {\"command\": \"x\"}\n         }\n}\n",
    ),
    (
        "values begin on the next line",
        Same,
        "{\n  \"agent_servers\":\n  {\n    \"a\":\n      { \"command\": \"a\" }\n  }\n}\n",
    ),
    (
        "several members on a line",
        Same,
        "{ \"a\": {\n    \"b\": 1\n  } }\n",
    ),
    (
        "escapes and other scripts",
        Same,
        "{\n  \"a\": \"\\u00e9\\n\\\"{}\\\\ // \",\n  \"ключ\": \"日本語\",\n  \"buffer_font_family\": \"Zed Plex Mono\"\n}\n",
    ),
    (
        "escaped names",
        Same,
        "{\n  \"agent\\u005fservers\": {\n    \"a\": { \"command\": \"a\" }\n  }\n}\n",
    ),
    (
        "the same name twice elsewhere",
        Same,
        "{\n  \"tab_size\": 2,\n  \"tab_size\": 4,\n  \"languages\": { \"C\": {}, \"C\": { \"tab_size\": 8 } }\n}\n",
    ),
    (
        "numbers as they are",
        Same,
        "{\n  \"a\": 1e3,\n  \"b\": 1.50,\n  \"c\": -0\n}\n",
    ),
    (
        "a large one",
        Same,
        "{\n  \"base_keymap\": \"VSCode\",\n  \"assistant\": { \"version\": \"2\", \"default_model\": { \"provider\": \"zed.dev\", \"model\": \"claude\" } },\n  \"lsp\": {\n    \"rust-analyzer\": {\n      \"initialization_options\": {\n        \"check\": { \"command\": \"clippy\" }, // slow\n        \"cargo\": { \"features\": [\"all\",], },\n      },\n    },\n  },\n  \"context_servers\": {\n    \"mcp-server-github\": {\n      \"source\": \"extension\",\n      \"enabled\": true,\n      \"settings\": { \"token\": \"x\" },\n    },\n  },\n  \"file_types\": { \"Dockerfile\": [\"Dockerfile*\"] }, \"auto_update\": false,\n}\n",
    ),
];

#[test]
fn whatever_is_there_stays_as_it_is() {
    assert!(GOOD.len() >= 30);
    for (name, back, text) in GOOD {
        let merged = merge(text, &wanted()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let new = &merged.text;
        // The old text is there in one piece after another: only insertions were made.
        let mut rest = new.as_str();
        for char in text.chars() {
            let at = rest
                .find(char)
                .unwrap_or_else(|| panic!("{name}: {char:?} in\n{new}"));
            rest = &rest[at + char.len_utf8()..];
        }
        let mut expected = value(text);
        for entry in wanted() {
            expected[AGENTS][&entry.key] =
                json!({"type": "custom", "command": BIN, "args": entry.args});
        }
        expected[SERVERS][EXTENSION] =
            json!({"source": "extension", "enabled": true, "settings": {}});
        assert_eq!(value(new), expected, "{name}:\n{new}");
        assert_eq!(new.contains("\r\n"), text.contains("\r\n"), "{name}");
        if text.contains("\r\n") && !text.replace("\r\n", "").contains('\n') {
            assert!(!new.replace("\r\n", "").contains('\n'), "{name}:\n{new:?}");
        }
        assert_eq!(merge(new, &wanted()).unwrap().text, *new, "{name}: twice");
        let gone = remove(new)
            .unwrap_or_else(|error| panic!("{name}: {error}\n{new}"))
            .text;
        if *back == Same {
            assert_eq!(gone, *text, "{name}, back from\n{new}");
        }
        let plain = |text: &str| {
            let mut value = value(text);
            let object = value.as_object_mut().unwrap();
            object.retain(|name, value| {
                ![AGENTS, SERVERS].contains(&name.as_str()) || *value != json!({})
            });
            value
        };
        assert_eq!(plain(&gone), plain(text), "{name}");
        assert_eq!(remove(&gone).unwrap().text, gone, "{name}: removed twice");
    }
}

#[test]
fn what_is_broken_is_refused_with_its_place() {
    let broken: &[(&str, &str)] = &[
        ("{", "1:1 Unterminated object"),
        ("{\n  \"a\": 1\n", "1:1 Unterminated object"),
        (
            "{\n  \"a\" 1\n}",
            "2:7 Expected colon after the string or word in object property",
        ),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", "2:9 Expected comma"),
        ("{\n  \"a\": tru\n}", "2:8 Unexpected word"),
        ("{ 'a': 1 }", "1:3 Single-quoted strings are not allowed"),
        ("{ a: 1 }", "1:3 Expected string for object property"),
        (
            "{ \"a\": 1 } { }",
            "1:12 Text cannot contain more than one JSON value",
        ),
        ("{ \"a\": \"b }", "1:8 Unterminated string literal"),
        ("{ /* never closed }", "1:3 Unterminated comment block"),
        ("[1]", "1:1 the settings must be an object, { … }"),
        ("\u{feff}\n7", "2:1 the settings must be an object, { … }"),
        (
            "{\n  \"agent_servers\": []\n}",
            "2:20 \"agent_servers\" must be an object, { … }",
        ),
        (
            "{\"agent_servers\": null}",
            "1:19 \"agent_servers\" must be an object, { … }",
        ),
        (
            "{ \"context_servers\": 5 }",
            "1:22 \"context_servers\" must be an object, { … }",
        ),
        (
            "{\n  \"agent_servers\": {},\n  \"agent_servers\": {}\n}",
            "3:3 \"agent_servers\" is there a second time; keep one of the two",
        ),
        (
            "{ \"agent_servers\": { \"SpecTask\": {}, \"SpecTask\": {} } }",
            "1:38 \"SpecTask\" is there a second time; keep one of the two",
        ),
        (
            "{ \"agent_servers\": { \"SpecTask\": { \"command\": \"spectask\", \"args\": [], \"args\": [] } } }",
            "1:71 \"args\" is there a second time; keep one of the two",
        ),
    ];
    for (text, expected) in broken {
        match merge(text, &wanted()) {
            Err(SettingsError::Broken { line, column, what }) => {
                assert_eq!(format!("{line}:{column} {what}"), *expected, "{text}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let deep = format!("{}{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    assert!(merge(&deep, &wanted()).is_err());
}

#[test]
fn entries_look_as_a_person_would_write_them() {
    let text = "// mine\n{\n    \"vim_mode\": true,\n    \"agent_servers\": {\n        \"a\": { \"command\": \"a\" }, // first\n    },\n}\n";
    insta::assert_snapshot!(merge(text, &wanted()[..2]).unwrap().text, @r#"
    // mine
    {
        "vim_mode": true,
        "agent_servers": {
            "a": { "command": "a" }, // first
            "SpecTask": {
                "type": "custom",
                "command": "/usr/local/bin/spectask",
                "args": ["acp"]
            },
            "claude via SpecTask": {
                "type": "custom",
                "command": "/usr/local/bin/spectask",
                "args": ["acp", "--agent", "claude"]
            },
        },
        "context_servers": {
            "mcp-server-spectask": {
                "source": "extension",
                "enabled": true,
                "settings": {}
            }
        },
    }
    "#);
    insta::assert_snapshot!(merge("", &wanted()[..1]).unwrap().text, @r#"
    {
      "agent_servers": {
        "SpecTask": {
          "type": "custom",
          "command": "/usr/local/bin/spectask",
          "args": ["acp"]
        }
      },
      "context_servers": {
        "mcp-server-spectask": {
          "source": "extension",
          "enabled": true,
          "settings": {}
        }
      }
    }
    "#);
}

#[test]
fn what_a_person_changed_stays_but_program_and_arguments() {
    let text = r#"{
  "agent_servers": {
    "SpecTask": { "env": { "A": "1" }, "command": "spectask", "default_mode": "ask" /* keep */ },
    "Claude for me": {
      "type": "custom",
      "command": "C:\\tools\\spectask.exe", // old
      "args": ["acp", "--agent", "claude"]
    },
    "gemini via SpecTask": { "type": "custom", "command": "gemini", "args": ["--acp"] }
  },
  "context_servers": {
    "mcp-server-spectask": { "source": "extension", "enabled": false, "settings": { "x": 1 } }
  }
}
"#;
    let merged = merge(text, &wanted()).unwrap();
    insta::assert_snapshot!(merged.text, @r#"
    {
      "agent_servers": {
        "SpecTask": { "env": { "A": "1" }, "command": "/usr/local/bin/spectask", "default_mode": "ask", /* keep */ "type": "custom", "args": ["acp"] },
        "Claude for me": {
          "type": "custom",
          "command": "/usr/local/bin/spectask", // old
          "args": ["acp", "--agent", "claude"]
        },
        "gemini via SpecTask": { "type": "custom", "command": "gemini", "args": ["--acp"] }
      },
      "context_servers": {
        "mcp-server-spectask": { "source": "extension", "enabled": false, "settings": { "x": 1 } }
      }
    }
    "#);
    let told = merged.changes.iter();
    let told: Vec<_> = told
        .map(|c| format!("{}: {}", c.key, c.what.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            "SpecTask: updated",
            "Claude for me: updated",
            "gemini via SpecTask: foreign",
            "mcp-server-spectask: kept",
        ]
    );
    assert_eq!(merge(&merged.text, &wanted()).unwrap().text, merged.text);
    assert_eq!(server(&merged.text), Ok(Some(false)));
    let names: Vec<_> = present(&merged.text).unwrap();
    let names: Vec<_> = names.iter().map(|own| own.key.as_str()).collect();
    assert_eq!(names, ["SpecTask", "Claude for me"]);
    // What a person named, and what is not SpecTask's, is not taken out.
    let gone = remove(&merged.text).unwrap();
    insta::assert_snapshot!(gone.text, @r#"
    {
      "agent_servers": {
        "Claude for me": {
          "type": "custom",
          "command": "/usr/local/bin/spectask", // old
          "args": ["acp", "--agent", "claude"]
        },
        "gemini via SpecTask": { "type": "custom", "command": "gemini", "args": ["--acp"] }
      }
    }
    "#);
}

#[test]
fn entries_between_others_are_taken_out_alone() {
    let text = "{ \"agent_servers\": { \"a\": {}, // one\n \"SpecTask\": { \"command\": \"spectask\" }, \"b\": {} } }";
    assert_eq!(
        remove(text).unwrap().text,
        "{ \"agent_servers\": { \"a\": {}, // one\n \"b\": {} } }"
    );
    let foreign = r#"{ "context_servers": { "mcp-server-spectask": { "command": "x" } } }"#;
    let kept = remove(foreign).unwrap();
    assert_eq!(kept.text, foreign);
    assert_eq!(kept.changes[0].what, What::Foreign);
}

/// JSON with comments in any layout.
fn blanks() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => Just(String::new()),
        3 => Just(" ".to_owned()),
        2 => Just("\n\t ".to_owned()),
        1 => Just("\r\n".to_owned()),
        1 => Just(" /* c, } */ ".to_owned()),
        1 => Just(" // c, } \"\n".to_owned()),
    ]
}

fn members(inner: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    let member = ("[a-z]{1,3}", inner, blanks(), blanks(), blanks());
    (
        proptest::collection::vec(member, 0..4),
        blanks(),
        any::<bool>(),
    )
        .prop_map(|(members, last, trailing)| {
            let mut text = "{".to_owned();
            let count = members.len();
            for (index, (name, value, a, b, c)) in members.into_iter().enumerate() {
                let comma = if index + 1 < count || trailing {
                    ","
                } else {
                    ""
                };
                text += &format!("{a}\"{name}{index}\"{b}:{value}{c}{comma}");
            }
            text + &last + "}"
        })
}

fn settings() -> impl Strategy<Value = String> {
    let plain = prop_oneof![
        Just("1".to_owned()),
        Just("\"// {\"".to_owned()),
        Just("[1, {\"x\": null},]".to_owned()),
    ];
    let object = plain
        .clone()
        .prop_recursive(2, 8, 3, |inner| members(inner).boxed());
    let root = (
        members(object.clone()),
        members(members(object)),
        blanks(),
        0..3_u8,
    );
    root.prop_map(|(before, agents, gap, which)| {
        let text = match which {
            0 => before,
            1 => format!("{{{gap}\"agent_servers\":{gap}{agents}{gap}}}"),
            _ => format!("{{\"a\":{before}, {gap}\"agent_servers\":{agents},{gap} \"context_servers\":{agents}}}"),
        };
        format!("{gap}{text}{gap}")
    })
}

proptest! {
    #[test]
    fn any_settings_keep_all_that_is_theirs(text in settings()) {
        let merged = merge(&text, &wanted()).unwrap();
        prop_assert_eq!(&merge(&merged.text, &wanted()).unwrap().text, &merged.text);
        let mut expected = value(&text);
        for entry in wanted() {
            expected[AGENTS][&entry.key] = json!({"type": "custom", "command": BIN, "args": entry.args});
        }
        expected[SERVERS][EXTENSION] = json!({"source": "extension", "enabled": true, "settings": {}});
        prop_assert_eq!(value(&merged.text), expected);
        let gone = remove(&merged.text).unwrap().text;
        let empty = |list: &str| value(&text).get(list).is_none_or(|list| *list == json!({}));
        let root_empty = value(&text).as_object().is_some_and(Map::is_empty);
        let there = |list: &str| value(&text).get(list).is_some();
        // Where an empty object was, another layout may come back.
        if !root_empty && [AGENTS, SERVERS].iter().all(|list| !(there(list) && empty(list))) {
            prop_assert_eq!(gone, text);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\[\\]{}\":,/* \n\ta1\\\\\u{feff}é'-]{0,60}") {
        let _ = merge(&text, &wanted());
        let _ = remove(&text);
        let _ = present(&text);
        let _ = server(&text);
    }
}
