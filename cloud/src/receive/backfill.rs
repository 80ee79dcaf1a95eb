//! What Notehub could not deliver, fetched afterwards.
//!
//! Notehub repeats an event for some minutes and then gives it up, but it keeps it. So after every start, and every few
//! minutes, Notehub is asked what it took since all was known to be stored, and each event goes the way of those that are
//! posted: through `Intake`, once by its uid. `window` decides which stretch of time is asked for (pure), `ask` makes one
//! request, `keep` hands over what came, `progress` remembers how far it is and owns `backfill_progress`.
//!
//! Time, and not a cursor, is the position: Notehub's cursor is an event's uid, and one that it does not know is silently
//! taken for none, which begins anew with the first event there ever was. A time cannot become unknown, says by itself how
//! far behind we are, and is by Notehub's own clock. What is asked twice costs nothing, for an event is stored once.
//!
//! A turn makes one request at most, and says when the next may be: the pace and Notehub's own pauses are kept in the
//! database, so that replicas and the command share them. Whoever stops in the middle leaves a position from which the
//! next goes on. What cannot be read goes into `rejected` once, and holds up nothing.

mod ask;
mod keep;
mod pass;
pub mod progress;
mod window;

use std::fmt;
use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::store::Intake;
use crate::clock::Clock;
use crate::config::{self, Config};
use ask::{Asker, Page, Reply};
use pass::Pass;
use progress::{LONGEST_PAUSE, Progress};
use window::{Asked, Follows, Showed, Stretch, Windows};

pub use pass::{Summary, Tally};

/// A lease outlasts the slowest request by this much.
const LEASE_MARGIN: TimeDelta = TimeDelta::minutes(2);
/// The pauses after failures begin with the one and double up to the other, which is also the pause after a refusal.
const SHORTEST_REST: TimeDelta = TimeDelta::seconds(30);
const LONGEST_REST: TimeDelta = TimeDelta::minutes(15);
/// A wish, or the end of another's lease, is seen so soon.
const POLL: TimeDelta = TimeDelta::seconds(10);
/// A clock at Notehub that differs by more is not believed.
const LARGEST_SKEW: TimeDelta = TimeDelta::days(1);

/// One project of Notehub, and how the fetching stands in this process.
pub struct Backfill {
    pool: PgPool,
    intake: Intake,
    asker: Asker,
    project: String,
    config: config::Notehub,
    kept: Duration,
    body_limit: usize,
    state: Mutex<State>,
}

struct State {
    lease: Uuid,
    pass: Option<Pass>,
    /// A pass is due whenever the last one was: after the start, and by request.
    is_due: bool,
    wish: Option<DateTime<Utc>>,
    /// How far Notehub's clock is ahead of ours.
    skew: TimeDelta,
    failures: u32,
    /// After a failure or a refusal.
    rest_until: Option<DateTime<Utc>>,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub did: Did,
    /// Nothing can be done before then.
    pub next: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Did {
    /// Not a thing; why.
    Waited(&'static str),
    /// A request, and the pass goes on.
    Asked(Summary),
    /// A request, or what should have been one, after which a pause is due.
    Failed(Problem),
    /// The last request of a pass.
    Ended(Summary),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub text: String,
    /// It will be the same until somebody changes something.
    pub needs_somebody: bool,
}

impl Backfill {
    /// `None` if no project is configured.
    pub fn new(config: &Config, pool: &PgPool, intake: &Intake) -> anyhow::Result<Option<Self>> {
        let Some(project) = config.notehub.project.clone() else {
            return Ok(None);
        };
        Ok(Some(Self {
            pool: pool.clone(),
            intake: intake.clone(),
            asker: Asker::new(&config.notehub, &project)?,
            project,
            config: config.notehub.clone(),
            kept: config.retention.events,
            body_limit: config.server.body_limit,
            state: Mutex::new(State {
                lease: Uuid::now_v7(),
                pass: None,
                is_due: true,
                wish: None,
                skew: TimeDelta::zero(),
                failures: 0,
                rest_until: None,
            }),
        }))
    }

    pub fn project(&self) -> &str {
        &self.project
    }

    /// Makes the next pass begin there, once.
    pub async fn go_back_to(&self, from: DateTime<Utc>) {
        let mut state = self.state.lock().await;
        state.wish = Some(from);
        state.is_due = true;
    }

    /// Gives back what others wait for, if this ends before its pass does.
    pub async fn release(&self) -> sqlx::Result<()> {
        let state = self.state.lock().await;
        progress::release(&self.pool, &self.project, state.lease).await
    }

    /// Does what is due, which is one request at most.
    pub async fn turn(&self, now: DateTime<Utc>) -> anyhow::Result<Turn> {
        let mut state = self.state.lock().await;
        if let Some(until) = state.rest_until.filter(|until| *until > now) {
            return Ok(Turn::waited("after a failure", until));
        }
        let first = now - delta(self.config.first.min(self.kept));
        let progress = progress::read(&self.pool, &self.project, first)
            .await
            .context("reading how far the backfill is")?;
        if let Some(waited) = self.not_now(&mut state, &progress, now) {
            return Ok(waited);
        }
        let next = now + window::spacing(self.config.rate_limit);
        let until = now + delta(self.config.timeout) + LEASE_MARGIN;
        if !progress::claim(&self.pool, &self.project, state.lease, now, until, next).await? {
            return Ok(Turn::waited(
                "another was faster",
                now + TimeDelta::seconds(1),
            ));
        }
        let mut pass = match state.pass.take() {
            Some(pass) => pass,
            None => self.begin(&state, &progress, now).await?,
        };
        pass.summary.requests += 1;
        let asked = pass.windows.asked();
        // Dropped here, a pass begins again at its position, which is behind nothing that was not stored.
        let reply = self.asker.ask(asked, now).await;
        let turn = self
            .follow(&mut state, pass, asked, reply, now, next)
            .await?;
        if let Did::Failed(problem) = &turn.did {
            tracing::warn!(
                project = self.project,
                problem = problem.text,
                next = %turn.next,
                "backfill failed"
            );
        }
        Ok(turn)
    }

    /// Whether there is nothing to do, or another is at it, or it is too early for a request.
    fn not_now(&self, state: &mut State, progress: &Progress, now: DateTime<Utc>) -> Option<Turn> {
        let due = progress
            .caught_up_at
            .filter(|at| *at <= now)
            .map(|at| at + delta(self.config.every))
            .filter(|due| *due > now);
        let wanted = state.is_due || state.pass.is_some() || progress.again_from.is_some();
        if let Some(due) = due
            && !wanted
        {
            return Some(Turn::waited("not due yet", due.min(now + POLL)));
        }
        let others = progress.lease.is_some_and(|lease| lease != state.lease);
        if let Some(until) = progress.leased_until
            && others
            && until > now
            && until <= now + delta(self.config.timeout) + LEASE_MARGIN * 2
        {
            // The other may be further by now than this pass was.
            state.pass = None;
            return Some(Turn::waited("another fetches", until.min(now + POLL)));
        }
        let until = progress
            .not_before
            .filter(|until| *until > now && *until <= now + LONGEST_PAUSE)?;
        Some(Turn::waited("as Notehub allows", until))
    }

    async fn begin(
        &self,
        state: &State,
        progress: &Progress,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Pass> {
        let wish = state.wish.or(progress.again_from);
        let Stretch { from, end, reset } = window::stretch(
            progress.complete_until,
            wish,
            now + state.skew,
            self.config.first,
            self.kept,
        );
        let from_time = time(from);
        if reset {
            tracing::warn!(
                project = self.project,
                position = %progress.complete_until,
                from = %from_time,
                "the position of the backfill is of no use, so it begins anew"
            );
            progress::reset(&self.pool, &self.project, state.lease, from_time).await?;
        }
        Ok(Pass::new(
            Windows::new(from, end),
            wish,
            now,
            [from_time, time(end)],
        ))
    }

    /// What follows from an answer.
    async fn follow(
        &self,
        state: &mut State,
        mut pass: Pass,
        asked: Asked,
        reply: Reply,
        now: DateTime<Utc>,
        next: DateTime<Utc>,
    ) -> anyhow::Result<Turn> {
        count_request(&reply);
        match reply {
            Reply::Page(page) => self.took(state, pass, asked, page, now, next).await,
            Reply::Granted => {
                let summary = pass.summary.clone();
                state.pass = Some(pass);
                Ok(Turn {
                    did: Did::Asked(summary),
                    next,
                })
            }
            Reply::Slow(why) => match pass.windows.answered(Showed::Slow) {
                Follows::Stuck => {
                    let why = format!("even two seconds of events are too much for Notehub: {why}");
                    self.fail(state, why, None, now).await
                }
                Follows::Whole { .. } | Follows::Again => {
                    let summary = pass.summary.clone();
                    state.pass = Some(pass);
                    Ok(Turn {
                        did: Did::Asked(summary),
                        next,
                    })
                }
            },
            Reply::Limited(pause) => {
                state.pass = Some(pass);
                let until = (now + delta(pause).min(LONGEST_PAUSE)).max(next);
                let text = "Notehub allows no more requests for now (status 429)".to_owned();
                progress::failed(&self.pool, &self.project, state.lease, &text, Some(until))
                    .await?;
                Ok(Turn::failed(text, false, until))
            }
            Reply::Refused(why) => {
                let until = now + LONGEST_REST;
                state.rest_until = Some(until);
                progress::failed(&self.pool, &self.project, state.lease, &why, None).await?;
                progress::release(&self.pool, &self.project, state.lease).await?;
                Ok(Turn::failed(why, true, until))
            }
            Reply::Failed { why, after } => {
                state.pass = Some(pass);
                self.fail(state, why, after, now).await
            }
        }
    }

    /// Stores a page, and moves on.
    async fn took(
        &self,
        state: &mut State,
        mut pass: Pass,
        asked: Asked,
        page: Page,
        now: DateTime<Utc>,
        next: DateTime<Utc>,
    ) -> anyhow::Result<Turn> {
        state.skew = page
            .date
            .map(|date| date - now)
            .filter(|skew| skew.abs() <= LARGEST_SKEW)
            .unwrap_or(state.skew);
        let count = u32::try_from(page.events.len()).unwrap_or(u32::MAX);
        let (fresh, events) = pass.not_stored(asked, page.events);
        let mut tally = Tally::default();
        let stored = self.store(&events, &mut tally, now).await;
        tally.count();
        pass.summary.tally.add(&tally);
        if let Err(error) = stored {
            // What is stored of it stays, and the window is asked for again.
            pass.stored.clear();
            state.pass = Some(pass);
            let why = format!("events that were fetched cannot be stored: {error}");
            return self.fail(state, why, None, now).await;
        }
        let follows = pass.windows.answered(Showed::Events {
            count,
            more: page.more,
            fresh,
        });
        // Events that Notehub takes while it is asked may not be in the answer yet, wherever its clock stands.
        let visible = now + state.skew - window::SETTLE;
        let whole_until = time(asked.end).min(visible);
        let whole = matches!(follows, Follows::Whole { .. });
        let moved = whole.then(|| (time(asked.start), whole_until));
        let lease = state.lease;
        if !progress::took(&self.pool, &self.project, lease, &tally, moved).await? {
            return Ok(Turn::waited("another took over", now + POLL));
        }
        state.failures = 0;
        if whole {
            pass.stored.clear();
            pass.summary.until = whole_until;
        }
        let summary = pass.summary.clone();
        match follows {
            Follows::Whole { last } if last || whole_until < time(asked.end) => {
                progress::ended(&self.pool, &self.project, lease, pass.wish, now).await?;
                // Another wish may have come meanwhile.
                state.wish = state.wish.filter(|wish| Some(*wish) != pass.wish);
                state.is_due = state.wish.is_some();
                summary.tell(&self.project, now);
                Ok(Turn {
                    did: Did::Ended(summary),
                    next: (now + delta(self.config.every)).min(now + POLL),
                })
            }
            Follows::Whole { .. } | Follows::Again => {
                state.pass = Some(pass);
                Ok(Turn {
                    did: Did::Asked(summary),
                    next,
                })
            }
            Follows::Stuck => {
                let why = "Notehub lists the same events on every page".to_owned();
                self.fail(state, why, None, now).await
            }
        }
    }

    /// A pause that grows with the failures in a row.
    async fn fail(
        &self,
        state: &mut State,
        why: String,
        after: Option<Duration>,
        now: DateTime<Utc>,
    ) -> anyhow::Result<Turn> {
        let doubled = SHORTEST_REST * 2_i32.pow(state.failures.min(10));
        state.failures += 1;
        let rest = doubled
            .min(LONGEST_REST)
            .max(after.map_or(TimeDelta::zero(), delta).min(LONGEST_PAUSE));
        state.rest_until = Some(now + rest);
        progress::failed(&self.pool, &self.project, state.lease, &why, None).await?;
        Ok(Turn::failed(why, false, now + rest))
    }
}

/// Turns until it is told to stop.
pub async fn run(backfill: Backfill, clock: Clock, stop: CancellationToken) {
    loop {
        let now = clock.now();
        let turn = tokio::select! {
            turn = backfill.turn(now) => turn,
            () = stop.cancelled() => break,
        };
        let pause = match turn {
            Ok(turn) => (turn.next - clock.now()).to_std().unwrap_or_default(),
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "backfill failed");
                POLL.to_std().unwrap_or_default()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => break,
        }
    }
    // Another replica need not wait until the lease runs out; if the database is away, it has to.
    if let Err(error) = backfill.release().await {
        tracing::warn!(error = %error, "the lease of the backfill was not given back");
    }
}

impl Turn {
    fn waited(why: &'static str, next: DateTime<Utc>) -> Self {
        Self {
            did: Did::Waited(why),
            next,
        }
    }

    fn failed(text: String, needs_somebody: bool, next: DateTime<Utc>) -> Self {
        Self {
            did: Did::Failed(Problem {
                text,
                needs_somebody,
            }),
            next,
        }
    }
}

impl fmt::Debug for Backfill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backfill")
            .field("project", &self.project)
            .finish_non_exhaustive()
    }
}

fn count_request(reply: &Reply) {
    let outcome = match reply {
        Reply::Page(_) => "answered",
        Reply::Granted => "granted",
        Reply::Slow(_) => "slow",
        Reply::Limited(_) => "limited",
        Reply::Refused(_) => "refused",
        Reply::Failed { .. } => "failed",
    };
    metrics::counter!("cloud_backfill_requests_total", "outcome" => outcome).increment(1);
}

/// Of whole Unix seconds that came from a time.
fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default()
}

fn delta(time: Duration) -> TimeDelta {
    TimeDelta::from_std(time).unwrap_or(TimeDelta::MAX)
}
