//! Stage three: from due deliveries to a destination's answer.
//!
//! Each destination has a lane of its own: its claims, its permits, its rate limit, its breaker. One that is down, slow or
//! hostile holds up nothing but itself. A tick of a lane claims due deliveries with a lease (a commit), sends them with no
//! transaction open, and writes every attempt with what follows from it, if the lease is still held. What to send was
//! decided before; here it is only sent.
//!
//! `retry` and `breaker` are pure decisions; `destination` (`ubidots`, `twilio`, `http`) makes one attempt and says what it
//! showed; `outbox` is the SQL. What Twilio reports of a text later on is kept by `text_status`.

pub mod breaker;
pub mod destination;
pub mod exchange;
pub mod guard;
pub mod http;
pub mod media;
pub mod outbox;
pub mod retry;
pub mod text_status;
pub mod twilio;
pub mod ubidots;

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config;
use crate::live::{self, Change};
use breaker::{Breaker, Permit, Recorded};
use destination::{Attempted, Destination, Outbound, Outcome, Preview};
use outbox::{Claim, Finished};
use retry::{Next, Schedule};

/// How many deliveries one tick claims where nothing limits their rate, and how many ticks of a lane may run at once.
const BATCH: usize = 64;
const WORKERS: usize = 2;
/// How many a limited lane claims: what cannot be sent at once is given back, but points of one device travel together.
const LIMITED_BATCH: usize = 200;
/// How many are risked while the destination fails: an outage should cost few deliveries an attempt.
const DOUBTFUL_BATCH: usize = 4;
/// A lease outlasts the slowest attempt by this much.
pub const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// A worker looks no more often than this while it finds less than a batch: each look is a transaction.
const GATHER: Duration = Duration::from_millis(10);
/// Polling is the truth; a wake-up only makes it sooner.
const POLL: Duration = Duration::from_secs(1);
const TELL_AGAIN_MS: i64 = 1_000;

/// One destination with all that is kept about it between deliveries.
#[derive(Debug, Clone)]
pub struct Lane(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    destination: Destination,
    limiter: Option<DefaultDirectRateLimiter>,
    breaker: Mutex<Breaker>,
    /// Whether the latest attempt failed.
    doubtful: AtomicBool,
    /// Whether something came of an attempt that open pages were not told of yet, and when they were told the last time.
    untold: AtomicBool,
    told_at: AtomicI64,
    events: Schedule,
    notices: Schedule,
    pool: PgPool,
    clock: Clock,
    wake: Notify,
}

/// What a tick did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    pub attempted: usize,
    /// Nothing can be sent before then: the breaker is open, or the rate limit is used up.
    pub not_before: Option<DateTime<Utc>>,
}

impl Lane {
    pub fn new(config: &config::Destination, pool: &PgPool, clock: &Clock) -> anyhow::Result<Self> {
        let destination = Destination::new(config)?;
        let limiter = destination.rate_limit.as_ref().map(limiter);
        Ok(Self(Arc::new(Inner {
            destination,
            limiter,
            breaker: Mutex::default(),
            doubtful: AtomicBool::new(false),
            untold: AtomicBool::new(false),
            told_at: AtomicI64::new(0),
            events: Schedule::events(),
            notices: Schedule::notices(),
            pool: pool.clone(),
            clock: clock.clone(),
            wake: Notify::new(),
        })))
    }

    pub fn name(&self) -> &str {
        &self.0.destination.name
    }

    /// `ubidots`, `twilio` or `http`.
    pub fn kind(&self) -> &'static str {
        self.0.destination.kind()
    }

    /// Such as `4/s`; none if nothing limits it.
    pub fn rate_limit(&self) -> Option<String> {
        let limit = self.0.destination.rate_limit;
        limit.map(|limit| config::show_rate(Some(limit)))
    }

    /// The breaker of this process: its state, and until when nothing is sent.
    pub fn breaker_state(&self) -> (&'static str, Option<DateTime<Utc>>) {
        let breaker = self.breaker();
        (breaker.state(), breaker.until())
    }

    /// What would be sent, with `***` for secrets.
    pub fn preview(&self, one: &Outbound) -> Preview {
        self.0.destination.preview(one)
    }

    /// How long a claim holds: whoever has not finished by then is taken for dead.
    pub fn claim_time(&self) -> Duration {
        self.0.destination.longest() + LEASE_MARGIN
    }

    /// Whether it sends: `closed` while all is well, `open` while nothing is tried, `half-open` while one attempt is.
    pub fn state(&self) -> &'static str {
        self.breaker().state()
    }

    /// Says that something may be due.
    pub fn wake(&self) {
        self.0.wake.notify_one();
    }

    /// Starts the lane's workers. They finish what they are sending once `stop` is cancelled.
    pub fn start(&self, tasks: &TaskTracker, stop: &CancellationToken) {
        let workers = if self.0.limiter.is_some() { 1 } else { WORKERS };
        for _ in 0..workers {
            tasks.spawn(run(self.clone(), stop.clone()));
        }
    }

    /// Claims what is due, makes one attempt at each, and writes what came of it.
    pub async fn tick(&self, now: DateTime<Utc>) -> anyhow::Result<Worked> {
        let lane = &*self.0;
        let most = match &lane.limiter {
            _ if lane.doubtful.load(Ordering::Relaxed) => DOUBTFUL_BATCH,
            Some(_) => LIMITED_BATCH,
            None => BATCH,
        };
        let until = now + TimeDelta::from_std(self.claim_time()).unwrap_or(TimeDelta::MAX);
        let Claim {
            lease,
            deliveries,
            tries,
        } = outbox::claim(&lane.pool, self.name(), most, now, until).await?;
        if deliveries.is_empty() {
            self.tell(now).await;
            return Ok(Worked::default());
        }
        let deliveries = self.drop_expired(lease, deliveries, now).await?;
        let (groups, unsent, not_before) = self.admit(deliveries, now);
        outbox::release(&lane.pool, lease, &unsent).await?;
        // If the database kept us waiting, the lease may run out while we send. Another would then ask Twilio for a text
        // that is not there yet, and send it too.
        if lane.clock.now() - now > TimeDelta::from_std(LEASE_MARGIN).unwrap_or(TimeDelta::MAX) {
            let late: Vec<_> = groups.iter().flatten().map(|one| one.id).collect();
            outbox::release(&lane.pool, lease, &late).await?;
            return Ok(Worked {
                attempted: 0,
                not_before,
            });
        }

        let attempts = join_all(groups.iter().map(|group| async move {
            let attempted = lane.destination.send(group, now).await;
            (group, attempted, lane.clock.now())
        }))
        .await;
        let mut finished = Vec::new();
        for (group, attempted, ended_at) in attempts {
            for (one, attempted) in group.iter().zip(attempted) {
                self.note(&attempted.outcome, ended_at);
                let tries = tries.get(&one.id).copied().unwrap_or(one.attempt);
                finished.push(self.judge(one, tries, attempted, now, ended_at));
            }
        }
        // In the order in which an all-clear locks them, so that the two cannot wait for each other.
        finished.sort_by_key(|one| one.id);
        let ours = outbox::finish(&lane.pool, lease, &finished).await?;
        for lost in finished.iter().filter(|one| !ours.contains(&one.id)) {
            tracing::warn!(delivery.id = %lost.id, destination = self.name(), outcome = lost.outcome, "lease lost before the attempt was recorded");
        }
        lane.untold.store(true, Ordering::Relaxed);
        self.tell(lane.clock.now()).await;
        Ok(Worked {
            attempted: finished.len(),
            not_before,
        })
    }

    /// Tells open pages, once a second at most: a notification takes a lock of the whole database. What is not told now is
    /// told by a later tick.
    async fn tell(&self, now: DateTime<Utc>) {
        let lane = &*self.0;
        let told_at = lane.told_at.load(Ordering::Relaxed);
        let early = (0..TELL_AGAIN_MS).contains(&(now.timestamp_millis() - told_at));
        if early || !lane.untold.swap(false, Ordering::Relaxed) {
            return;
        }
        lane.told_at
            .store(now.timestamp_millis(), Ordering::Relaxed);
        if let Ok(mut connection) = lane.pool.acquire().await {
            // A hint: pages also look by themselves.
            let _ = live::announce(&mut connection, &Change::Deliveries).await;
        }
    }

    fn schedule(&self, one: &Outbound) -> &Schedule {
        if one.incident_id.is_some() {
            &self.0.notices
        } else {
            &self.0.events
        }
    }

    /// Ends those that are too old to be sent.
    async fn drop_expired(
        &self,
        lease: uuid::Uuid,
        deliveries: Vec<Outbound>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Vec<Outbound>> {
        let mut fresh = Vec::with_capacity(deliveries.len());
        for one in deliveries {
            match self.schedule(&one).expired(one.created_at, now) {
                None => fresh.push(one),
                Some(why) => {
                    tracing::warn!(delivery.id = %one.id, destination = self.name(), reason = why, "delivery given up");
                    outbox::expire(&self.0.pool, lease, &[one.id], &why, now).await?;
                }
            }
        }
        Ok(fresh)
    }

    /// Chooses what may be sent now: groups for one request each, the ids of the rest, and when the rest may go.
    fn admit(
        &self,
        mut deliveries: Vec<Outbound>,
        now: DateTime<Utc>,
    ) -> (Vec<Vec<Outbound>>, Vec<uuid::Uuid>, Option<DateTime<Utc>>) {
        let ids = |rest: &[Outbound]| rest.iter().map(|one| one.id).collect::<Vec<_>>();
        let mut unsent = Vec::new();
        let mut not_before = None;
        let permit = if deliveries.is_empty() {
            Permit::Go
        } else {
            self.breaker().permit(now)
        };
        match permit {
            Permit::Go => {}
            Permit::Probe => unsent = ids(&deliveries.split_off(1)),
            Permit::Wait { until } => {
                not_before = Some(until);
                unsent = ids(&std::mem::take(&mut deliveries));
            }
        }
        let alone = |deliveries: Vec<Outbound>| {
            deliveries
                .into_iter()
                .map(|one| vec![one])
                .collect::<Vec<_>>()
        };
        let (Some(limiter), Some(limit)) = (&self.0.limiter, &self.0.destination.rate_limit) else {
            return (alone(deliveries), unsent, not_before);
        };
        // Points travel together only when there are more than the limit lets through at once.
        let backlog = deliveries.len() > usize::try_from(limit.count.get()).unwrap_or(usize::MAX);
        let mut groups = Vec::new();
        for group in if backlog {
            self.0.destination.group(deliveries)
        } else {
            alone(deliveries)
        } {
            match limiter.check() {
                Ok(()) => groups.push(group),
                Err(refused) => {
                    let wait = refused.wait_time_from(governor::clock::Clock::now(
                        &governor::clock::DefaultClock::default(),
                    ));
                    not_before = Some(now + TimeDelta::from_std(wait).unwrap_or_default());
                    unsent.extend(ids(&group));
                }
            }
        }
        (groups, unsent, not_before)
    }

    fn note(&self, outcome: &Outcome, now: DateTime<Utc>) {
        let recorded = Recorded::of(outcome);
        self.0
            .doubtful
            .store(recorded != Recorded::Alive, Ordering::Relaxed);
        let changed = self.breaker().record(recorded, now);
        if let Some(changed) = changed {
            tracing::warn!(destination = self.name(), ?changed, "breaker");
        }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.0
            .breaker
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// What follows from an attempt, logged as one wide line.
    fn judge(
        &self,
        one: &Outbound,
        tries: u32,
        attempted: Attempted,
        started_at: DateTime<Utc>,
        ended_at: DateTime<Utc>,
    ) -> Finished {
        let next = retry::next(
            self.schedule(one),
            one.created_at,
            tries,
            &attempted.outcome,
            ended_at,
            rand::random(),
        );
        let outcome = match attempted.outcome {
            Outcome::Delivered => "delivered",
            Outcome::Retry { .. } => "retry",
            Outcome::Refused { .. } => "refused",
        };
        let (state, due_at, reason) = match next {
            Next::Delivered => ("delivered", None, None),
            Next::Again { at, why } => ("due", Some(at), Some(why)),
            Next::Dead { why } => ("dead", None, Some(why)),
        };
        let duration_ms = (ended_at - started_at).num_milliseconds();
        metrics::counter!("cloud_deliver_attempts_total", "destination" => self.name().to_owned(), "outcome" => outcome).increment(1);
        tracing::info!(
            delivery.id = %one.id, destination = self.name(), event.uid = one.event_uid, incident.id = one.incident_id, device = one.device,
            attempt = one.attempt, outcome, status = attempted.status, state, due_at = due_at.map(tracing::field::display), reason, duration_ms, "attempt"
        );
        Finished {
            id: one.id,
            number: one.attempt,
            started_at,
            ended_at: ended_at.max(started_at),
            outcome,
            status: attempted.status,
            answer: attempted.answer,
            state,
            due_at,
            reason,
            ambiguous: matches!(
                attempted.outcome,
                Outcome::Retry {
                    ambiguous: true,
                    ..
                }
            ),
        }
    }
}

async fn run(lane: Lane, stop: CancellationToken) {
    let mut started: Option<Instant> = None;
    let mut last = 0;
    while !stop.is_cancelled() {
        if last < BATCH
            && let Some(early) = started.and_then(|then| GATHER.checked_sub(then.elapsed()))
        {
            tokio::time::sleep(early).await;
        }
        started = Some(Instant::now());
        let now = lane.0.clock.now();
        let pause = match lane.tick(now).await {
            Ok(Worked {
                not_before: Some(until),
                ..
            }) => (until - lane.0.clock.now())
                .to_std()
                .unwrap_or_default()
                .clamp(Duration::from_millis(5), POLL * 5),
            Ok(Worked { attempted: 0, .. }) => POLL,
            Ok(Worked { attempted, .. }) => {
                last = attempted;
                // There may be more than one worker's share.
                lane.wake();
                continue;
            }
            Err(error) => {
                tracing::error!(
                    destination = lane.name(),
                    error = format!("{error:#}"),
                    "deliveries not made"
                );
                tokio::select! { () = tokio::time::sleep(POLL) => {}, () = stop.cancelled() => {} }
                continue;
            }
        };
        tokio::select! {
            () = lane.0.wake.notified(), if pause == POLL => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn limiter(limit: &config::RateLimit) -> DefaultDirectRateLimiter {
    let each = limit.per / limit.count.get();
    let quota = Quota::with_period(each)
        .unwrap_or_else(|| Quota::per_second(NonZeroU32::MIN))
        .allow_burst(limit.count);
    RateLimiter::direct(quota)
}
