//! Times as people read them.

use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// A duration in at most two units: `4s`, `2m05s`, `3h10m`, `2d4h`.
pub(super) fn duration(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    if seconds < 60 {
        format!("{seconds}s")
    } else if minutes < 60 {
        format!("{minutes}m{:02}s", seconds % 60)
    } else if hours < 24 {
        format!("{hours}h{:02}m", minutes % 60)
    } else {
        format!("{days}d{}h", hours % 24)
    }
}

/// The time from one moment (RFC 3339) to another, else to now; empty when it is no time.
pub(super) fn elapsed(from: Option<&str>, to: Option<&str>, now: Timestamp) -> String {
    let parse = |text: &str| text.parse::<Timestamp>().ok();
    let Some(start) = from.and_then(parse) else {
        return String::new();
    };
    let end = to.and_then(parse).unwrap_or(now);
    duration(end.duration_since(start))
}

/// How long ago a moment was: `now`, `5m`, `3h`, `2d`.
pub(super) fn ago(at: &str, now: Timestamp) -> String {
    let Ok(at) = at.parse::<Timestamp>() else {
        return String::new();
    };
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => "now".to_owned(),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// The time of day of a moment in a time zone: `15:04:05`.
pub(super) fn clock(at: &str, zone: &TimeZone) -> String {
    match at.parse::<Timestamp>() {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%H:%M:%S").to_string(),
        Err(_) => "--:--:--".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        let show = |seconds| duration(SignedDuration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 125, 3599, 3600, 11_400, 86_400, 187_200, -5].map(show),
            [
                "0s", "59s", "1m00s", "2m05s", "59m59s", "1h00m", "3h10m", "1d0h", "2d4h", "0s"
            ]
        );
    }

    #[test]
    fn moments_that_are_none_show_nothing() {
        let now: Timestamp = "2026-01-02T10:00:00Z".parse().unwrap();
        assert_eq!(elapsed(Some("2026-01-02T09:59:00Z"), None, now), "1m00s");
        assert_eq!(elapsed(Some("x"), None, now), "");
        assert_eq!(elapsed(None, None, now), "");
        assert_eq!(ago("2026-01-01T09:00:00Z", now), "1d");
        assert_eq!(ago("2026-01-02T10:00:01Z", now), "now");
        assert_eq!(clock("2026-01-02T10:00:00Z", &TimeZone::UTC), "10:00:00");
        assert_eq!(clock("x", &TimeZone::UTC), "--:--:--");
    }
}
