//! `cloud`: takes events from Notehub and never loses one.
//!
//! The way of an event, which is also the order in which to read: `receive` stores it and answers, `process` makes
//! measurements, deliveries and incidents of it, `deliver` brings the deliveries to their destinations. Between each two
//! stands a table, so a crash anywhere is only a delay. `watch` does what time alone brings about, `retention` forgets.

/// What people did.
pub mod audit;
/// The one place that reads the time.
pub mod clock;
/// The command line.
pub mod command;
/// One typed, validated value from file and environment.
pub mod config;
/// The configured Postgres, or the embedded one.
pub mod database;
/// Stage three: from due deliveries to a destination's answer.
pub mod deliver;
/// A recorded day, replayed against the real service with local stand-ins.
pub mod demo;
/// What a caller is told when a request fails.
pub mod error;
/// Changes, told to open pages.
pub mod live;
/// Logs and metrics.
pub mod observe;
/// Stage two: from events to measurements, deliveries and incidents.
pub mod process;
/// Stage one: `POST /notehub`, stored before it is answered.
pub mod receive;
/// What is too old, deleted.
pub mod retention;
/// What would become of an event.
pub mod try_out;
/// Reminders, held-back notices, silent stations, lost claims.
pub mod watch;
/// The routes, and the API for people and scripts.
pub mod web;

use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use clock::Clock;
use config::Config;
use deliver::Lane;
use live::Live;
use process::Processor;
use process::plan::{self, Plan};
use process::transform::Transforms;
use receive::auth::Tokens;
use receive::backfill::{self, Backfill};
use receive::store::Intake;
use retention::Retention;
use try_out::TryOuts;
use watch::Watch;
use web::account::Accounts;
use web::live::Seats;

/// A processor looks no more often than this while its batches are not full: ten small transactions cost ten times what
/// one larger does, and nobody misses a twentieth of a second.
const GATHER: Duration = Duration::from_millis(50);
/// With so many requests waiting to be stored, processing steps back: an event that is not stored may be lost, one that is
/// can wait.
const CROWDED: usize = 16;
/// It then rests so many times as long as it worked.
const YIELD: u32 = 4;
/// Polling is the truth; a wake-up only makes it sooner.
const POLL: Duration = Duration::from_secs(1);

/// What a request handler needs.
#[derive(Debug, Clone)]
pub struct App(Arc<AppParts>);

#[derive(Debug)]
pub struct AppParts {
    pub config: Config,
    pub pool: PgPool,
    pub clock: Clock,
    pub intake: Intake,
    pub notehub_tokens: Tokens,
    pub accounts: Accounts,
    pub live: Live,
    /// Of open pages.
    pub seats: Seats,
    pub try_outs: TryOuts,
    /// Set when the service stops: answers that would go on for ever end.
    pub closing: CancellationToken,
    pub processor: Processor,
    pub lanes: Vec<Lane>,
    pub wake_process: Arc<Notify>,
}

impl Deref for App {
    type Target = AppParts;
    fn deref(&self) -> &AppParts {
        &self.0
    }
}

/// The service with all its parts made and none of its loops running: a test turns them by hand.
#[derive(Debug)]
pub struct Service {
    pub app: App,
    pub watch: Watch,
    pub retention: Retention,
    /// None if no project of Notehub is configured.
    pub backfill: Option<Backfill>,
    /// The writers of `receive`, which stop after the last request.
    intake: (TaskTracker, CancellationToken),
}

impl Service {
    /// Needs a migrated database, tokens in the configuration, and this program's file to start transform workers from.
    pub fn new(
        config: Config,
        pool: PgPool,
        clock: Clock,
        worker_exe: PathBuf,
    ) -> anyhow::Result<Self> {
        let try_outs = TryOuts::new(&config.transform, worker_exe.clone());
        let transforms = Transforms::new(&config.transform, worker_exe);
        let plan = Arc::new(Plan::compile(&config, &transforms).map_err(|bad| {
            let lines: Vec<_> = bad.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("expressions that do not compile:\n{}", lines.join("\n"))
        })?);
        let lanes = config
            .destinations
            .iter()
            .map(|destination| Lane::new(destination, &pool, &clock))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let wake_process = Arc::new(Notify::new());
        let intake = (TaskTracker::new(), CancellationToken::new());
        let app = App(Arc::new(AppParts {
            intake: Intake::start(&pool, &clock, &wake_process, &intake.0, &intake.1),
            notehub_tokens: Tokens::new(&config.access.notehub_tokens),
            accounts: Accounts::new(&config),
            live: Live::default(),
            seats: Seats::default(),
            try_outs,
            closing: CancellationToken::new(),
            processor: Processor {
                pool: pool.clone(),
                plan: plan.clone(),
                transforms: transforms.clone(),
            },
            lanes,
            wake_process,
            config,
            pool: pool.clone(),
            clock,
        }));
        Ok(Self {
            backfill: Backfill::new(&app.config, &pool, &app.intake)?,
            retention: Retention::new(pool.clone(), app.config.retention.clone()),
            app,
            watch: Watch {
                pool,
                plan,
                transforms,
            },
            intake,
        })
    }

    /// Serves until `shutdown` resolves; then answers what is in flight, finishes what is being sent, and returns.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        // One is enough: a batch holds many devices, and what limits it is Postgres. Other replicas have theirs.
        tasks.spawn(run_process(self.app.clone(), stop.clone()));
        for lane in &self.app.lanes {
            lane.start(&tasks, &stop);
        }
        tasks.spawn(watch::run(
            self.watch,
            self.app.lanes.clone(),
            self.app.clock.clone(),
            stop.clone(),
        ));
        tasks.spawn(retention::run(
            self.retention,
            self.app.intake.clone(),
            self.app.clock.clone(),
            stop.clone(),
        ));
        if let Some(backfill) = self.backfill {
            let clock = self.app.clock.clone();
            tasks.spawn(backfill::run(backfill, clock, stop.clone()));
        }

        tasks.spawn(live::run(self.app.clone(), stop.clone()));
        tasks.spawn(process::rollup::run(self.app.clone(), stop.clone()));
        let closing = self.app.closing.clone();
        let shutdown = async move {
            shutdown.await;
            closing.cancel();
        };

        let served = web::serve(web::router(self.app.clone()), listener, shutdown).await;
        tracing::info!("stopping: requests are answered, what is being sent is finished");
        stop.cancel();
        self.intake.1.cancel();
        tasks.close();
        self.intake.0.close();
        let patience = self.app.lanes.iter().map(Lane::claim_time).max();
        let ended = async {
            self.intake.0.wait().await;
            tasks.wait().await;
        };
        // A Postgres that hangs would keep us for ever. What is not written by then is as after a kill: nobody was told
        // that it is stored, and the claims run out.
        if tokio::time::timeout(patience.unwrap_or(deliver::LEASE_MARGIN), ended)
            .await
            .is_err()
        {
            tracing::warn!("stopping with work unfinished: the database does not answer");
        }
        served.context("serving HTTP")
    }
}

async fn run_process(app: App, stop: CancellationToken) {
    let mut started: Option<Instant> = None;
    let mut last = 0;
    while !stop.is_cancelled() {
        if last < process::FULL
            && let Some(early) = started.and_then(|then| GATHER.checked_sub(then.elapsed()))
        {
            tokio::time::sleep(early).await;
        }
        let now = Instant::now();
        started = Some(now);
        match app.processor.tick(app.clock.now()).await {
            Ok(0) => tokio::select! {
                () = app.wake_process.notified() => {}
                () = tokio::time::sleep(POLL) => {}
                () = stop.cancelled() => {}
            },
            Ok(count) => {
                last = count;
                app.lanes.iter().for_each(Lane::wake);
                if app.intake.waiting() >= CROWDED {
                    let pause = (now.elapsed() * YIELD).min(POLL);
                    tokio::select! { () = tokio::time::sleep(pause) => {}, () = stop.cancelled() => {} }
                }
            }
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "events not processed; they stay in the queue"
                );
                tokio::select! { () = tokio::time::sleep(POLL) => {}, () = stop.cancelled() => {} }
            }
        }
    }
}

/// A service on its database, ready to run.
#[derive(Debug)]
pub struct Started {
    database: database::Database,
    service: Service,
}

/// Opens the database, migrates it, and makes the service.
pub async fn start(config: Config) -> anyhow::Result<Started> {
    let database = database::open(&config.database).await?;
    let service = Service::new(
        config,
        database.pool.clone(),
        Clock::System,
        plan::worker_exe()?,
    )?;
    Ok(Started { database, service })
}

impl Started {
    pub fn app(&self) -> &App {
        &self.service.app
    }

    /// Serves on an already bound listener until `shutdown` resolves, and closes the database.
    pub async fn run(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let Self { database, service } = self;
        let served = tokio::select! {
            served = service.serve(listener, shutdown) => served,
            () = database.lost() => Err(anyhow::anyhow!("the embedded Postgres ended by itself; its log is in the data directory")),
        };
        database.close().await.context("closing the database")?;
        served
    }
}
