//! The table of known secret formats.

use std::sync::{LazyLock, OnceLock};

use regex_automata::hybrid::dfa::DFA;
use regex_automata::meta::Regex;

/// One known format of a secret. The expression is tried where a literal was found and nowhere
/// else, so it must begin with each of its literals; group 1, where there is one, is the secret.
pub(super) struct Rule {
    /// Stable id, shown in placeholders and findings.
    pub(super) id: &'static str,
    /// Texts with which every match begins.
    pub(super) literals: &'static [&'static str],
    /// Expression, run anchored at a literal. Unbounded repetitions stop at a character that ends
    /// the token, which keeps the whole scan linear.
    pub(super) pattern: &'static str,
    /// Whether the character before the literal must not be a letter, digit or `_`.
    pub(super) boundary: bool,
}

const fn rule(
    id: &'static str,
    literals: &'static [&'static str],
    pattern: &'static str,
    boundary: bool,
) -> Rule {
    Rule {
        id,
        literals,
        pattern,
        boundary,
    }
}

const FREE: bool = false;
const WORD: bool = true;

/// The table. Specific rules stand before general ones that match the same text.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    // Clouds.
    rule("aws-access-key", &["AKIA", "ASIA", "ABIA", "ACCA"], r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?-u:\b)", WORD),
    rule("aws-secret-key", &["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "SecretAccessKey", "secretAccessKey"],
        r#"(?i:aws_secret_access_key|secretaccesskey)["'\\]{0,3}\s{0,4}[:=]{1,2}>?\s{0,4}["'\\]{0,3}([A-Za-z0-9/+]{40})"#, FREE),
    rule("google-api-key", &["AIza"], r"(AIza[A-Za-z0-9_-]{35})(?:[^A-Za-z0-9_-]|$)", WORD),
    rule("google-oauth-secret", &["GOCSPX-"], r"GOCSPX-[A-Za-z0-9_-]{28}", FREE),
    rule("google-oauth-token", &["ya29."], r"ya29\.[A-Za-z0-9_-]{20,}", WORD),
    rule("azure-storage-key", &["AccountKey="], r"AccountKey=([A-Za-z0-9+/]{86}==)", FREE),
    rule("digitalocean-token", &["dop_v1_", "doo_v1_", "dor_v1_"], r"do[opr]_v1_[a-f0-9]{64}", FREE),
    rule("alibaba-access-key", &["LTAI"], r"LTAI[A-Za-z0-9]{17,21}(?-u:\b)", WORD),
    // Forges and registries.
    rule("github-token", &["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"gh[pousr]_[A-Za-z0-9]{36,255}", FREE),
    rule("github-fine-grained-token", &["github_pat_"], r"github_pat_[A-Za-z0-9_]{22,255}", FREE),
    rule("gitlab-token", &["glpat-", "gldt-", "glrt-", "glcbt-", "glptt-", "glft-", "glimt-", "glagent-", "glsoat-", "gloas-"],
        r"gl(?:pat|dt|rt|cbt|ptt|ft|imt|agent|soat|oas)-[A-Za-z0-9_-]{20,}(?:\.[A-Za-z0-9_-]{2,}){0,3}", FREE),
    rule("npm-token", &["npm_"], r"npm_[A-Za-z0-9]{36}(?-u:\b)", WORD),
    rule("pypi-token", &["pypi-AgE"], r"pypi-AgE[A-Za-z0-9_-]{50,}", FREE),
    rule("crates-io-token", &["cio"], r"cio[A-Za-z0-9]{32}(?-u:\b)", WORD),
    rule("rubygems-token", &["rubygems_"], r"rubygems_[a-f0-9]{48}", FREE),
    rule("docker-token", &["dckr_pat_", "dckr_oat_"], r"dckr_[po]at_[A-Za-z0-9_-]{20,}", FREE),
    rule("atlassian-token", &["ATATT3"], r"ATATT3[A-Za-z0-9_=-]{100,}", FREE),
    // Models.
    rule("anthropic-key", &["sk-ant-"], r"sk-ant-[A-Za-z0-9_-]{20,}", WORD),
    rule("openai-key", &["sk-proj-", "sk-svcacct-", "sk-admin-", "sk-None-"], r"sk-(?:proj|svcacct|admin|None)-[A-Za-z0-9_-]{20,}", WORD),
    rule("openrouter-key", &["sk-or-"], r"sk-or-(?:v1-)?[A-Za-z0-9]{32,}", WORD),
    rule("sk-api-key", &["sk-"], r"sk-[A-Za-z0-9]{32,}", WORD),
    rule("huggingface-token", &["hf_", "api_org_"], r"(?:hf|api_org)_[A-Za-z]{34}(?-u:\b)", WORD),
    rule("groq-key", &["gsk_"], r"gsk_[A-Za-z0-9]{52}", WORD),
    rule("xai-key", &["xai-"], r"xai-[A-Za-z0-9]{70,}", WORD),
    rule("perplexity-key", &["pplx-"], r"pplx-[A-Za-z0-9]{48}", WORD),
    rule("replicate-token", &["r8_"], r"r8_[A-Za-z0-9]{37}(?-u:\b)", WORD),
    // Services.
    rule("slack-token", &["xoxb-", "xoxp-", "xoxa-", "xoxs-", "xoxr-", "xoxo-", "xoxe-", "xoxe.", "xapp-"],
        r"xoxe\.xox[bp]-[0-9]-[A-Za-z0-9-]{20,}|xox[abposre]-[A-Za-z0-9-]{10,}|xapp-[0-9]-[A-Za-z0-9-]{10,}", FREE),
    rule("slack-webhook", &["hooks.slack.com/"], r"hooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{20,})", FREE),
    rule("discord-webhook", &["/api/webhooks/"], r"/api/webhooks/[0-9]{10,20}/([A-Za-z0-9_-]{60,})", FREE),
    rule("telegram-bot-token", &[":AA"], r":(AA[A-Za-z0-9_-]{33})(?:[^A-Za-z0-9_-]|$)", FREE),
    rule("stripe-key", &["sk_live_", "rk_live_", "sk_test_", "rk_test_"], r"[sr]k_(?:live|test)_[A-Za-z0-9]{10,}", WORD),
    rule("webhook-secret", &["whsec_"], r"whsec_[A-Za-z0-9+/]{24,}={0,2}", WORD),
    rule("twilio-key", &["SK"], r"SK[a-f0-9]{32}(?-u:\b)", WORD),
    rule("sendgrid-key", &["SG."], r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}", WORD),
    rule("mailgun-key", &["key-"], r"key-[a-f0-9]{32}(?-u:\b)", WORD),
    rule("shopify-token", &["shpat_", "shpca_", "shppa_", "shpss_"], r"shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}", FREE),
    rule("linear-key", &["lin_api_"], r"lin_api_[A-Za-z0-9]{40}", FREE),
    rule("notion-token", &["ntn_", "secret_"], r"(?:ntn_[0-9]{11}[A-Za-z0-9]{35}|secret_[A-Za-z0-9]{43})(?-u:\b)", WORD),
    rule("databricks-token", &["dapi"], r"dapi[a-f0-9]{32}(?-u:\b)", WORD),
    rule("grafana-token", &["glsa_", "glc_"], r"glsa_[A-Za-z0-9]{32}_[A-Fa-f0-9]{8}|glc_[A-Za-z0-9+/]{32,}={0,3}", WORD),
    rule("postman-key", &["PMAK-"], r"PMAK-[a-f0-9]{24}-[a-f0-9]{34}", FREE),
    rule("new-relic-key", &["NRAK-"], r"NRAK-[A-Z0-9]{27}", FREE),
    rule("supabase-token", &["sbp_", "sb_secret_"], r"sbp_[a-f0-9]{40}|sb_secret_[A-Za-z0-9_-]{20,}", WORD),
    rule("tailscale-key", &["tskey-"], r"tskey-[a-z]+-[A-Za-z0-9]{8,}-[A-Za-z0-9]{8,}", FREE),
    rule("vault-token", &["hvs.", "hvb."], r"hv[sb]\.[A-Za-z0-9_-]{24,}", WORD),
    // Forms rather than issuers.
    rule("age-secret-key", &["AGE-SECRET-KEY-1"], r"AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}", FREE),
    rule("jwt", &["eyJ"], r"eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}", WORD),
    rule("authorization", &["uthorization", "UTHORIZATION"],
        r#"(?i:uthorization)["'\\]{0,3}\s{0,2}[:=]\s{0,2}["'\\]{0,3}(?i:basic|bearer|token|bot)\s{1,2}([A-Za-z0-9._~+/=-]{8,})"#, FREE),
    rule("bearer-token", &["Bearer ", "bearer ", "BEARER "], r"(?i:bearer) ([A-Za-z0-9._~+/-]{20,}={0,2})", WORD),
    // A value that starts with one of $ { < % * « is a template, not a password.
    rule("url-password", &["://"],
        r#"://[^\s/?#:@"'`<>«»]{0,256}:([^\s/?#@"'`<>«»${%*][^\s/?#"'`<>«»]{0,256})@[A-Za-z0-9\[_%$]"#, FREE),
    // Ends at its END line; a body that was cut off ends with its last line of base64.
    rule("private-key", &["-----BEGIN "],
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:(?:[A-Za-z0-9+/=\s\\:,.()]|-{1,4}[A-Za-z0-9+/=\s\\:,.()])*-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----|(?:[\s\\rn]*[A-Za-z0-9+/=]{40,})+(?:[\s\\rn]*[A-Za-z0-9+/]{1,76}={1,2})?)", FREE),
];

/// A rule whose expression is compiled at its first use.
pub(super) struct Compiled {
    pub(super) rule: &'static Rule,
    regex: OnceLock<Option<Regex>>,
    partial: OnceLock<Option<DFA>>,
}

impl Compiled {
    /// The expression; a test compiles every one, so `None` does not happen.
    pub(super) fn regex(&self) -> Option<&Regex> {
        self.regex
            .get_or_init(|| Regex::new(self.rule.pattern).ok())
            .as_ref()
    }

    /// The same expression as an automaton that can be walked byte by byte.
    pub(super) fn partial(&self) -> Option<&DFA> {
        self.partial
            .get_or_init(|| DFA::new(self.rule.pattern).ok())
            .as_ref()
    }
}

/// The table, ready to run.
pub(super) static COMPILED: LazyLock<Vec<Compiled>> = LazyLock::new(|| {
    RULES
        .iter()
        .map(|rule| Compiled {
            rule,
            regex: OnceLock::new(),
            partial: OnceLock::new(),
        })
        .collect()
});
