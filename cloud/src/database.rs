//! The database: the one that is configured, or, where none is, a private Postgres that lives and dies with the service.
//!
//! Migrations are in the program and run at every start, forward only. Services that start at once wait for each other on
//! an advisory lock.

#[cfg(feature = "embedded-postgres")]
pub mod embedded;

use std::time::Duration;

use anyhow::Context;
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgPool, Postgres, Transaction};

use crate::config;

pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// The name of the database in the embedded server.
#[cfg(feature = "embedded-postgres")]
const EMBEDDED_DATABASE: &str = "thermal_watch";

/// A pool, and the server behind it if that is ours.
#[derive(Debug)]
pub struct Database {
    pub pool: PgPool,
    #[cfg(feature = "embedded-postgres")]
    server: Option<embedded::Embedded>,
}

/// Connects, starting the embedded server if no database is configured, and migrates.
pub async fn open(config: &config::Database) -> anyhow::Result<Database> {
    let database = connect(config).await?;
    migrate(&database.pool)
        .await
        .context("migrating the database")?;
    Ok(database)
}

/// A transaction for what may rightly take long, such as processing a year again.
pub async fn unhurried(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut transaction = pool.begin().await?;
    sqlx::query("SET LOCAL statement_timeout = 0")
        .execute(&mut *transaction)
        .await?;
    Ok(transaction)
}

/// Takes as long as it takes, with waiting for another service that migrates.
async fn migrate(pool: &PgPool) -> anyhow::Result<()> {
    let mut connection = pool.acquire().await?;
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut *connection)
        .await?;
    MIGRATOR.run(&mut *connection).await?;
    sqlx::query("RESET statement_timeout")
        .execute(&mut *connection)
        .await?;
    Ok(())
}

async fn connect(config: &config::Database) -> anyhow::Result<Database> {
    if let Some(url) = &config.url {
        let options: PgConnectOptions = url
            .expose_secret()
            .parse()
            // The parser's own message may repeat the URL, and with it the password.
            .map_err(|_| anyhow::anyhow!("database.url is no Postgres URL; it looks like postgres://user:password@host:5432/database"))?;
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let pool = pool(config, options).await.with_context(|| {
            format!("connecting to the database at {place} (database.url or DATABASE_URL)")
        })?;
        return Ok(Database {
            pool,
            #[cfg(feature = "embedded-postgres")]
            server: None,
        });
    }
    embedded(config).await
}

#[cfg(feature = "embedded-postgres")]
async fn embedded(config: &config::Database) -> anyhow::Result<Database> {
    let settings = embedded::Settings {
        data_dir: config.data_dir.clone(),
        durable: true,
        extra: Vec::new(),
        environment: Vec::new(),
        max_connections: config.max_connections,
    };
    let server =
        embedded::Embedded::start(&settings, &|progress: &str| tracing::info!("{progress}"))
            .await
            .context("starting the embedded Postgres")?;
    let administration = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(server.options("postgres"))
        .await?;
    let exists = sqlx::query_scalar!(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS \"exists!\"",
        EMBEDDED_DATABASE
    )
    .fetch_one(&administration)
    .await?;
    if !exists {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "CREATE DATABASE {EMBEDDED_DATABASE}"
        )))
        .execute(&administration)
        .await?;
    }
    administration.close().await;
    let pool = pool(config, server.options(EMBEDDED_DATABASE)).await?;
    tracing::info!(
        psql = format!("psql '{}'", server.url(EMBEDDED_DATABASE)),
        "embedded Postgres runs"
    );
    Ok(Database {
        pool,
        server: Some(server),
    })
}

#[cfg(not(feature = "embedded-postgres"))]
#[expect(
    clippy::unused_async,
    reason = "its twin, which starts a server, has to wait"
)]
async fn embedded(_: &config::Database) -> anyhow::Result<Database> {
    anyhow::bail!(
        "no database: set DATABASE_URL or database.url (this program was built without the embedded Postgres)"
    )
}

async fn pool(config: &config::Database, options: PgConnectOptions) -> sqlx::Result<PgPool> {
    let options = options.application_name("thermal-watch").options([
        // The same few statements run thousands of times a second: planning each time would cost more than running them.
        ("plan_cache_mode", "force_generic_plan"),
        // Plans are kept, and some are made while tables are still empty. None of ours may settle on reading a whole table.
        ("enable_seqscan", "off"),
        ("jit", "off"),
        ("statement_timeout", LONGEST_STATEMENT),
    ]);
    // Once without the pool, which would say no more than that it took too long.
    let first = tokio::time::timeout(FIRST_CONNECTION, options.connect()).await;
    first
        .map_err(|_| sqlx::Error::PoolTimedOut)??
        .close()
        .await?;
    PgPoolOptions::new()
        .max_connections(config.max_connections)
        // Made before they are needed: a new connection costs as much as a hundred events.
        .min_connections(config.max_connections.min(READY_CONNECTIONS))
        .acquire_timeout(Duration::from_secs(5))
        // A ping before every use would cost up to a quarter of the throughput; a dead connection shows itself on use.
        .test_before_acquire(false)
        .connect_with(options)
        .await
}

/// A statement that takes longer has gone wrong, and would hold its connection and its locks for ever. Everything of ours
/// works in pieces of seconds, downloads too; this is what a busy disk may make of one. What is larger is `unhurried`.
const LONGEST_STATEMENT: &str = "5min";
/// How long the first connection may take.
const FIRST_CONNECTION: Duration = Duration::from_secs(10);
/// How many connections are held ready: two that store, two that process, some that deliver, one that watches.
const READY_CONNECTIONS: u32 = 8;
/// How long connections may take to close.
const CLOSING: Duration = Duration::from_secs(1);

impl Database {
    /// Closes the connections, and stops the server if it is ours.
    pub async fn close(self) -> anyhow::Result<()> {
        // A connection that is in use by now belongs to a task that was given up.
        if tokio::time::timeout(CLOSING, self.pool.close())
            .await
            .is_err()
        {
            tracing::warn!("connections to the database left open: it does not answer");
        }
        #[cfg(feature = "embedded-postgres")]
        if let Some(server) = self.server {
            server.stop().await?;
        }
        Ok(())
    }

    /// Resolves if the embedded server ends by itself; never for a configured database, which may come back.
    pub async fn lost(&self) {
        #[cfg(feature = "embedded-postgres")]
        if let Some(server) = &self.server {
            server.exited().await;
            return;
        }
        std::future::pending::<()>().await;
    }
}
