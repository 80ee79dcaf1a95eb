//! A pass: from a position to the present, with what came of its events so far (pure but for its one log line).

use std::collections::HashSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};

use super::window::{Asked, Windows};

/// From a position to the present.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) windows: Windows,
    pub(super) wish: Option<DateTime<Utc>>,
    pub(super) summary: Summary,
    /// Hashes of the present window's events, to tell whether pages repeat themselves.
    seen: HashSet<u64>,
    /// And of those that were stored since the position last moved: what comes again in a smaller window is left alone.
    pub(super) stored: HashSet<u64>,
}

/// What became of events that were fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub new: u32,
    pub known: u32,
    /// No events, or none that the database takes.
    pub rejected: u32,
    /// Of Notehub's own notefiles, which are not wanted.
    pub skipped: u32,
}

/// A pass as far as it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    pub from: DateTime<Utc>,
    /// Until when all is stored.
    pub until: DateTime<Utc>,
    pub end: DateTime<Utc>,
    pub began: DateTime<Utc>,
    pub requests: u32,
    pub tally: Tally,
}

impl Pass {
    pub(super) fn new(
        windows: Windows,
        wish: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
        [from, end]: [DateTime<Utc>; 2],
    ) -> Self {
        Self {
            windows,
            wish,
            summary: Summary {
                from,
                until: from,
                end,
                began: now,
                requests: 0,
                tally: Tally::default(),
            },
            seen: HashSet::new(),
            stored: HashSet::new(),
        }
    }

    /// Those events that are to be stored; and whether any of all was not on an earlier page of the same window.
    pub(super) fn not_stored(
        &mut self,
        asked: Asked,
        mut events: Vec<String>,
    ) -> (bool, Vec<String>) {
        if asked.page == 1 {
            self.seen.clear();
        }
        let mut fresh = false;
        events.retain(|event| {
            let mut hasher = DefaultHasher::new();
            event.hash(&mut hasher);
            let hash = hasher.finish();
            fresh |= self.seen.insert(hash);
            self.stored.insert(hash)
        });
        (fresh, events)
    }
}

impl Tally {
    pub fn sum(&self) -> u32 {
        self.new + self.known + self.rejected + self.skipped
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.new += other.new;
        self.known += other.known;
        self.rejected += other.rejected;
        self.skipped += other.skipped;
    }

    pub(super) fn count(&self) {
        for (status, count) in [
            ("new", self.new),
            ("known", self.known),
            ("rejected", self.rejected),
            ("skipped", self.skipped),
        ] {
            metrics::counter!("cloud_backfill_events_total", "status" => status)
                .increment(count.into());
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            new,
            known,
            rejected,
            skipped,
        } = self;
        write!(
            f,
            "{new} new, {known} known, {rejected} rejected, {skipped} skipped"
        )
    }
}

impl Summary {
    /// The one line of a pass.
    pub(super) fn tell(&self, project: &str, now: DateTime<Utc>) {
        let Tally {
            new,
            known,
            rejected,
            skipped,
        } = self.tally;
        let duration_ms = (now - self.began).num_milliseconds();
        tracing::info!(
            project,
            from = %self.from,
            until = %self.until,
            requests = self.requests,
            new,
            known,
            rejected,
            skipped,
            duration_ms,
            "backfill"
        );
    }
}
