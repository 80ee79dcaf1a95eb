//! A private Postgres for when no database is configured: a real server as a child process.
//!
//! [`Embedded::start`] finds the programs (`binaries`, `release`), decides where the cluster lives and who
//! owns it (`place`, `account`), makes the cluster once and runs the server under a guard (`cluster`).
//!
//! What holds: only a unix socket is opened, in a directory nobody else may enter. One process owns a data
//! directory at a time. Writes are synced to disk unless `durable` is off. However our process ends, `kill -9`
//! included, the server shuts down by itself; whatever it could not finish, the next start recovers.
//! What does not: the server is never upgraded across major versions, and no data is ever removed.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection};

use account::Account;
use cluster::Guard;
use place::Place;

/// Who the server runs as.
mod account;
/// Where the `postgres` and `initdb` programs are.
pub mod binaries;
/// Making the cluster, and running the server under its guard.
mod cluster;
/// Where the cluster, its lock and its socket live.
mod place;
/// Fetching the programs when none are installed.
pub mod release;

/// A fast shutdown ends with a checkpoint, which a slow disk may stretch.
const STOP_ALLOWANCE: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster lives in `data_dir/postgres`.
    pub data_dir: PathBuf,
    /// Off only in tests: then nothing waits for the disk, and a power cut may lose everything.
    pub durable: bool,
    /// How many connections the service opens; the server allows a few more for people.
    pub max_connections: u32,
    /// Further server settings, by name and value; they win over ours.
    pub extra: Vec<(String, String)>,
    /// For the server process, such as a preloaded library in a benchmark.
    pub environment: Vec<(String, String)>,
}

impl Settings {
    pub fn new(data_dir: impl Into<PathBuf>, max_connections: u32) -> Self {
        Self {
            data_dir: data_dir.into(),
            durable: true,
            max_connections,
            extra: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// A running server. Dropping it stops the server too, but does not wait.
pub struct Embedded {
    guard: Guard,
    place: Place,
}

impl Embedded {
    /// Starts the server, making the cluster first if there is none. `progress` hears what takes time.
    ///
    /// # Errors
    /// Says what is wrong and what to do about it, and shows the end of the server's log where that helps.
    pub async fn start(settings: &Settings, progress: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let place = Place::prepare(&settings.data_dir, progress)?;
        let sources = binaries::Sources::from_environment();
        let made_by = cluster::version(&place)?;
        let run_as = place.account.changed_to();
        let binaries = binaries::find(&sources, made_by, run_as, progress).await?;
        cluster::clear_leftovers(&place, progress).await?;
        if made_by.is_none() {
            cluster::initialise(&place, &binaries, settings.durable, progress).await?;
        }
        let guard = cluster::run(&place, &binaries, settings, progress).await?;
        let server = Self { guard, place };
        let checked = if settings.durable {
            server.check_durable().await
        } else {
            Ok(())
        };
        match checked {
            Ok(()) => Ok(server),
            Err(error) => {
                let _ = server.stop().await;
                Err(error)
            }
        }
    }

    pub fn options(&self, database: &str) -> PgConnectOptions {
        // Everything the environment (PGPORT, PGSSLMODE) could have set is set again.
        PgConnectOptions::new_without_pgpass()
            .socket(self.socket_dir())
            .port(cluster::PORT)
            .username(cluster::SUPERUSER)
            .database(database)
            .ssl_mode(PgSslMode::Disable)
    }

    /// For people: `psql` takes it as it is.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgresql:///{database}?host={}&user={}",
            self.socket_dir().display(),
            cluster::SUPERUSER
        )
    }

    pub fn socket_dir(&self) -> &Path {
        &self.place.sockets
    }

    /// Where the cluster and its `server.log` are.
    pub fn home(&self) -> &Path {
        &self.place.home
    }

    /// The process id of the postmaster.
    pub fn pid(&self) -> u32 {
        self.guard.postmaster
    }

    /// Resolves when the server has ended, whatever ended it.
    pub async fn exited(&self) {
        self.guard.exited().await;
    }

    /// Ends open transactions, writes a checkpoint and waits for the end. Close the pools before.
    ///
    /// # Errors
    /// If the server had to be forced; nothing is lost then, the next start recovers.
    pub async fn stop(mut self) -> Result<()> {
        self.guard.request_stop();
        if tokio::time::timeout(STOP_ALLOWANCE, self.exited())
            .await
            .is_err()
        {
            self.guard.force_stop();
            self.exited().await;
            bail!(
                "the embedded Postgres did not stop within {} s and was forced; its next start recovers",
                STOP_ALLOWANCE.as_secs()
            );
        }
        let end = self.guard.end().unwrap_or_default();
        ensure!(
            end == "exit status: 0",
            "the embedded Postgres stopped with {end}:\n{}",
            self.place.log_tail(0)
        );
        Ok(())
    }

    /// A configuration file in the cluster could have turned syncing off; better no service than a lossy one.
    async fn check_durable(&self) -> Result<()> {
        let mut connection = self
            .options("postgres")
            .connect()
            .await
            .context("the embedded Postgres started but does not answer")?;
        for name in ["fsync", "full_page_writes"] {
            let value: String = sqlx::query_scalar("SELECT current_setting($1)")
                .bind(name)
                .fetch_one(&mut connection)
                .await?;
            ensure!(
                value == "on",
                "`{name}` is {value} in the embedded Postgres at {}, so events could be lost; turn it on",
                self.place.data.display()
            );
        }
        connection.close().await?;
        Ok(())
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Embedded")
            .field("pid", &self.pid())
            .field("home", &self.place.home)
            .finish_non_exhaustive()
    }
}
