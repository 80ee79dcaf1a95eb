//! Which time a station's page shows, and how one gets to other times (pure).

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;

use crate::error::Error;
use crate::web::series;

/// What people choose from: in the address, on the page, in hours.
pub const RANGES: [(&str, &str, i64); 5] = [
    ("6h", "6 hours", 6),
    ("24h", "24 hours", 24),
    ("7d", "7 days", 7 * 24),
    ("30d", "30 days", 30 * 24),
    ("1y", "1 year", 365 * 24),
];
const USUAL: &str = "24h";
/// Nothing is closer together than this, so nobody zooms further in.
const SHORTEST: TimeDelta = TimeDelta::minutes(2);

/// What the address says.
#[derive(Debug, Default, Deserialize)]
pub struct View {
    pub range: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub frame: Option<String>,
}

#[derive(Debug)]
pub struct Range {
    /// Which of `RANGES`, or `all`; none of a range with ends of its own.
    pub name: Option<&'static str>,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    now: DateTime<Utc>,
}

impl Range {
    /// Of an address that does not ask for all.
    pub fn of(view: &View, now: DateTime<Utc>) -> Result<Self, Error> {
        let given = |end: &Option<String>| end.as_deref().is_some_and(|end| !end.is_empty());
        if given(&view.from) || given(&view.to) {
            let (from, to) = series::range(view.from.as_deref(), view.to.as_deref(), now)?;
            return Ok(Self {
                name: None,
                from,
                to,
                now,
            });
        }
        let asked = view.range.as_deref().unwrap_or(USUAL);
        let known = RANGES.iter().find(|(name, ..)| *name == asked);
        let (name, _, hours) = known.ok_or_else(|| {
            let names: Vec<_> = RANGES.iter().map(|(name, ..)| *name).collect();
            Error::Unprocessable(format!("`range` is one of {}, all", names.join(", ")))
        })?;
        Ok(Self {
            name: Some(name),
            from: now - TimeDelta::hours(*hours),
            to: now,
            now,
        })
    }

    pub fn all(earliest: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        Self {
            name: Some("all"),
            from: earliest
                .min(now - TimeDelta::hours(1))
                .max(now - TimeDelta::days(36_500)),
            to: now,
            now,
        }
    }

    /// Leads to this page again; a range with a name goes on with the time.
    pub fn same(&self) -> String {
        match self.name {
            Some(name) => format!("range={name}"),
            None => self.query(),
        }
    }

    /// Exactly this time.
    pub fn query(&self) -> String {
        format!("from={}&to={}", text(self.from), text(self.to))
    }

    fn span(&self) -> TimeDelta {
        self.to - self.from
    }

    fn moved(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<String> {
        let ahead = from >= self.now;
        (!ahead && to > from).then(|| format!("from={}&to={}", text(from), text(to)))
    }

    pub fn earlier(&self) -> Option<String> {
        self.moved(self.from - self.span(), self.from)
    }

    pub fn later(&self) -> Option<String> {
        self.moved(self.to, self.to + self.span())
    }

    pub fn closer(&self) -> Option<String> {
        let quarter = self.span() / 4;
        (quarter * 2 >= SHORTEST)
            .then(|| self.moved(self.from + quarter, self.to - quarter))
            .flatten()
    }

    pub fn wider(&self) -> Option<String> {
        let half = self.span() / 2;
        if self.span() > TimeDelta::days(3_650) {
            return None;
        }
        self.moved(
            self.from - half,
            (self.to + half).min(self.now.max(self.to)),
        )
    }

    /// For the fields of a form, which know no zone.
    pub fn field(at: &DateTime<Utc>) -> String {
        at.format("%Y-%m-%dT%H:%M").to_string()
    }
}

/// The day that ends just after a moment.
pub fn day_before(at: DateTime<Utc>) -> String {
    let end = at + TimeDelta::minutes(30);
    format!("from={}&to={}", text(end - TimeDelta::days(1)), text(end))
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    fn view(range: Option<&str>, from: Option<&str>, to: Option<&str>) -> View {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        View {
            range: owned(range),
            from: owned(from),
            to: owned(to),
            frame: None,
        }
    }

    #[test]
    fn an_address_says_which_time() {
        let check = |view: View, expected: &str| {
            let range = Range::of(&view, now()).expect("a range");
            assert_eq!(range.query(), expected);
        };
        check(
            view(None, None, None),
            "from=2026-02-28T12:00:00Z&to=2026-03-01T12:00:00Z",
        );
        check(
            view(Some("6h"), None, None),
            "from=2026-03-01T06:00:00Z&to=2026-03-01T12:00:00Z",
        );
        check(
            view(Some("6h"), Some("2026-01-01"), Some("")),
            "from=2026-01-01T00:00:00Z&to=2026-03-01T12:00:00Z",
        );
        for bad in [
            view(Some("5h"), None, None),
            view(None, Some("soon"), None),
            view(None, Some("2026-03-02"), None),
            view(None, Some("2026-02-02"), Some("2026-02-02")),
        ] {
            assert!(Range::of(&bad, now()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn one_gets_to_other_times_but_not_into_the_future() {
        let range =
            Range::of(&view(None, Some("2026-02-01"), Some("2026-02-03")), now()).expect("a range");
        assert_eq!(
            range.earlier().as_deref(),
            Some("from=2026-01-30T00:00:00Z&to=2026-02-01T00:00:00Z")
        );
        assert_eq!(
            range.later().as_deref(),
            Some("from=2026-02-03T00:00:00Z&to=2026-02-05T00:00:00Z")
        );
        assert_eq!(
            range.closer().as_deref(),
            Some("from=2026-02-01T12:00:00Z&to=2026-02-02T12:00:00Z")
        );
        assert_eq!(
            range.wider().as_deref(),
            Some("from=2026-01-31T00:00:00Z&to=2026-02-04T00:00:00Z")
        );
        let today = Range::of(&View::default(), now()).expect("a range");
        assert_eq!(today.later(), None);
        assert_eq!(
            today.wider().as_deref(),
            Some("from=2026-02-28T00:00:00Z&to=2026-03-01T12:00:00Z")
        );
        let short = Range::of(
            &view(None, Some("2026-02-01T00:00"), Some("2026-02-01T00:03")),
            now(),
        )
        .expect("a range");
        assert_eq!(short.closer(), None);
    }

    #[test]
    fn all_is_at_least_an_hour() {
        let all = Range::all(now(), now());
        assert_eq!(all.to - all.from, TimeDelta::hours(1));
    }
}
