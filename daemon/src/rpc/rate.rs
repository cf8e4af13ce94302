//! How fast requests may come over loopback.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

/// A token bucket: so many requests a second on average, so many at once.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    burst: f64,
    left: Mutex<(f64, Instant)>,
}

impl Bucket {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        Self {
            per_second: per_second.into(),
            burst: burst.into(),
            left: Mutex::new((burst.into(), Instant::now())),
        }
    }

    /// Takes one request out, if one is left.
    pub(super) fn take(&self) -> bool {
        self.take_at(Instant::now())
    }

    fn take_at(&self, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(left.1).as_secs_f64();
        *left = (
            (left.0 + passed * self.per_second).min(self.burst),
            now.max(left.1),
        );
        if left.0 < 1.0 {
            return false;
        }
        left.0 -= 1.0;
        true
    }
}

/// The buckets that the calls of one WebSocket draw from.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    pub(super) own: Arc<Bucket>,
    pub(super) all: Arc<Bucket>,
}

impl Pace {
    /// Takes one call out of each.
    pub(super) fn take(&self) -> bool {
        self.own.take() && self.all.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_average() {
        let bucket = Bucket::new(10, 3);
        let start = bucket.left.lock().unwrap().1;
        let taken = |at: u64| bucket.take_at(start + Duration::from_millis(at));
        assert_eq!([0, 0, 0, 0].map(taken), [true, true, true, false]);
        assert_eq!([50, 100, 100].map(taken), [false, true, false]);
        // A long rest fills it, and no more than that.
        assert_eq!([9_000; 4].map(taken), [true, true, true, false]);
        // A clock that goes back gives nothing.
        assert!(!taken(0));
    }
}
