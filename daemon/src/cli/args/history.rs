//! Arguments of the commands about what was said and done before.

use clap::Args;
use jiff::{Span, Timestamp, Zoned, civil, tz::TimeZone};
use spectask_protocol::SessionRef;

#[derive(Debug, Args)]
pub(in crate::cli) struct SearchArgs {
    /// The text, in any case; 2 to 200 characters
    pub(in crate::cli) text: String,
    /// Only this SpecTask or session, such as 7 or 7/2
    #[arg(short, long, visible_alias = "session", value_name = "TARGET")]
    pub(in crate::cli) task: Option<SessionRef>,
    /// Only turns that read or wrote this file: its path, or the end of it
    #[arg(short, long, value_name = "PATH")]
    pub(in crate::cli) file: Option<String>,
    /// Only sessions that serve this criterion, such as 2.3, or all of 2
    #[arg(short, long, value_name = "NUMBER")]
    pub(in crate::cli) requirement: Option<String>,
    /// Not before: 2d, 3h, 2026-03-04 or 2026-03-04T10:00
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(in crate::cli) since: Option<Timestamp>,
    /// Before: 2d, 3h, 2026-03-04 or 2026-03-04T10:00
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    pub(in crate::cli) until: Option<Timestamp>,
    /// Of every repository, not only this one
    #[arg(short, long)]
    pub(in crate::cli) all: bool,
    /// At most so many hits, up to 100
    #[arg(short, long, value_name = "N", default_value_t = 20)]
    pub(in crate::cli) limit: u32,
}

/// A moment as people write it: how long ago, a date, a date and a time of day, or RFC 3339.
fn moment(text: &str) -> Result<Timestamp, String> {
    moment_before(text, &Zoned::now())
}

fn moment_before(text: &str, now: &Zoned) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at);
    }
    let zone: &TimeZone = now.time_zone();
    let local = |at: civil::DateTime| at.to_zoned(zone.clone()).ok().map(|at| at.timestamp());
    let found = if let Ok(span) = text.parse::<Span>() {
        now.checked_sub(span.abs()).ok().map(|at| at.timestamp())
    } else if let Ok(at) = text.replacen(' ', "T", 1).parse::<civil::DateTime>() {
        local(at)
    } else {
        text.parse::<civil::Date>()
            .ok()
            .and_then(|day| local(day.to_datetime(civil::Time::midnight())))
    };
    found.ok_or_else(|| "write 2d, 3h, 2026-03-04 or 2026-03-04T10:00".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ages_dates_and_times() {
        let now: Zoned = "2026-03-04T10:00:00+01:00[+01:00]".parse().unwrap();
        let at = |text: &str| moment_before(text, &now).map(|at| at.to_string());
        assert_eq!(at("2d").unwrap(), "2026-03-02T09:00:00Z");
        assert_eq!(at("90m").unwrap(), "2026-03-04T07:30:00Z");
        assert_eq!(at("1 week").unwrap(), "2026-02-25T09:00:00Z");
        assert_eq!(at("2026-03-01").unwrap(), "2026-02-28T23:00:00Z");
        assert_eq!(at("2026-03-01 12:30").unwrap(), "2026-03-01T11:30:00Z");
        assert_eq!(at("2026-03-01T12:30:00Z").unwrap(), "2026-03-01T12:30:00Z");
        for bad in ["", "yesterday-ish", "2026-13-01", "99999999999999y"] {
            assert!(at(bad).is_err(), "{bad}");
        }
    }
}
