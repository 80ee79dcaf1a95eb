//! The Postgres under test: the service's own embedded one, with every write synced to disk.
//!
//! Each measurement gets a new database, and a checkpoint before it, so that none pays for what another wrote.
//! For the slow disk the same server is restarted with a small library that delays each sync by 2 ms.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use cloud::database::embedded::{Embedded, Settings};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection};
use tempfile::TempDir;

const SLOW_SYNC: &str = include_str!("slow_sync.c");
/// The service's pool, ten for the comparison, and ours.
const MAX_CONNECTIONS: u32 = 40;
/// What the library adds, less what sleeping may fall short.
const LEAST_LAG: Duration = Duration::from_micros(1_900);
const PROBES: u32 = 20;

/// As much of an events table as is needed to compare: what the service's own keeps, under one index.
const MINIMAL_TABLE: &str = "CREATE TABLE events (
    uid text PRIMARY KEY,
    device text NOT NULL,
    file text NOT NULL,
    captured_at timestamptz NOT NULL,
    received_at timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT now(),
    raw jsonb NOT NULL
)";

#[derive(Debug)]
pub(crate) struct Server {
    embedded: Embedded,
    admin: PgConnection,
    databases: u32,
    /// Removed with everything in it when the benchmark ends.
    folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Database {
    name: String,
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn start() -> anyhow::Result<Self> {
        // Below the build's folder rather than /tmp, which is often memory, where a sync costs nothing.
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot make the folder {}", parent.display()))?;
        let folder = tempfile::Builder::new()
            .prefix("throughput-")
            // Started by root, Postgres runs as another user and must reach its data.
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir_in(parent)?;
        let (embedded, admin) = open(folder.path(), Vec::new()).await?;
        let mut server = Self {
            embedded,
            admin,
            databases: 0,
            folder,
        };
        server.age().await?;
        Ok(server)
    }

    /// Writes as much log as a measurement may need. A new server makes and zeroes each file of its log when it
    /// first comes to it; one that has run for an hour uses old files again, and that is what is to be measured.
    async fn age(&mut self) -> anyhow::Result<()> {
        for statement in [
            "CREATE TABLE filler (text text)",
            "INSERT INTO filler SELECT repeat(md5(n::text), 32) FROM generate_series(1, 400000) AS n",
            "DROP TABLE filler",
            "CHECKPOINT",
        ] {
            self.execute(statement.to_owned()).await?;
        }
        Ok(())
    }

    /// Restarts the server on the same data with slow syncs; `Err` says why that is not possible here.
    pub(crate) async fn restart_slow(self) -> anyhow::Result<(Self, Result<(), String>)> {
        let library = self.embedded.home().join("slow_sync.so");
        if let Err(why) = compile(self.folder.path(), &library) {
            return Ok((self, Err(format!("{why:#}"))));
        }
        let Self {
            embedded,
            admin,
            databases,
            folder,
        } = self;
        admin.close().await?;
        embedded.stop().await?;
        let preload = ("LD_PRELOAD".to_owned(), library.display().to_string());
        let (embedded, admin) = open(folder.path(), vec![preload]).await?;
        let mut server = Self {
            embedded,
            admin,
            databases,
            folder,
        };
        let lag = server.commit_time().await?;
        let slow = if lag < LEAST_LAG {
            Err(format!(
                "a commit still takes only {lag:.1?} with the library preloaded"
            ))
        } else {
            Ok(())
        };
        Ok((server, slow))
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let home = self.embedded.home().to_owned();
        self.admin.close().await?;
        self.embedded.stop().await?;
        // Elsewhere than in our folder if the server's user could not reach that.
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))
    }

    /// A new, empty database.
    pub(crate) async fn create(&mut self) -> anyhow::Result<Database> {
        self.databases += 1;
        let name = format!("bench_{}", self.databases);
        self.execute(format!("CREATE DATABASE {name}")).await?;
        self.execute("CHECKPOINT".to_owned()).await?;
        let url = self.embedded.url(&name);
        Ok(Database { name, url })
    }

    pub(crate) async fn create_with_minimal_table(&mut self) -> anyhow::Result<Database> {
        let database = self.create().await?;
        let mut connection = self.connect(&database).await?;
        connection.execute(MINIMAL_TABLE).await?;
        connection.close().await?;
        Ok(database)
    }

    pub(crate) async fn connect(&self, database: &Database) -> anyhow::Result<PgConnection> {
        Ok(self.embedded.options(&database.name).connect().await?)
    }

    pub(crate) async fn count(&self, database: &Database, of: &'static str) -> anyhow::Result<u64> {
        let mut connection = self.connect(database).await?;
        let count: i64 = sqlx::query_scalar(of).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(u64::try_from(count)?)
    }

    pub(crate) async fn discard(&mut self, database: Database) -> anyhow::Result<()> {
        self.execute(format!("DROP DATABASE {} WITH (FORCE)", database.name))
            .await
    }

    pub(crate) async fn version(&mut self) -> anyhow::Result<String> {
        Ok(sqlx::query_scalar("SHOW server_version")
            .fetch_one(&mut self.admin)
            .await?)
    }

    /// Where files of one run may lie.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// How often a second this disk can sync: what tells real disks from memory and from each other.
    pub(crate) fn syncs_per_second(&self) -> anyhow::Result<f64> {
        let path = self.folder.path().join("sync");
        let mut file = fs::File::create(&path)?;
        let start = Instant::now();
        for _ in 0..PROBES * 10 {
            file.write_all(&[0; 8192])?;
            file.sync_data()?;
        }
        let rate = f64::from(PROBES * 10) / start.elapsed().as_secs_f64();
        fs::remove_file(path)?;
        Ok(rate)
    }

    /// The mean time of a small durable commit, one after the other.
    async fn commit_time(&mut self) -> anyhow::Result<Duration> {
        self.execute("CREATE TABLE IF NOT EXISTS probe (n int)".to_owned())
            .await?;
        let start = Instant::now();
        for _ in 0..PROBES {
            self.execute("INSERT INTO probe VALUES (1)".to_owned())
                .await?;
        }
        Ok(start.elapsed() / PROBES)
    }

    async fn execute(&mut self, sql: String) -> anyhow::Result<()> {
        self.admin.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }
}

async fn open(
    folder: &Path,
    environment: Vec<(String, String)>,
) -> anyhow::Result<(Embedded, PgConnection)> {
    let mut settings = Settings::new(folder.join("data"), MAX_CONNECTIONS);
    settings.environment = environment;
    // Keeps the files made by `age` for use again.
    settings.extra = vec![("min_wal_size".to_owned(), "768MB".to_owned())];
    let embedded = Embedded::start(&settings, &|_: &str| {}).await?;
    let mut admin = embedded.options("postgres").connect().await?;
    let synced: bool = sqlx::query_scalar(
        "SELECT current_setting('fsync') = 'on' AND current_setting('synchronous_commit') = 'on'",
    )
    .fetch_one(&mut admin)
    .await?;
    ensure!(
        synced,
        "Postgres does not sync its commits to disk, so nothing here would be durable"
    );
    Ok((embedded, admin))
}

fn compile(folder: &Path, library: &Path) -> anyhow::Result<()> {
    let source: PathBuf = folder.join("slow_sync.c");
    fs::write(&source, SLOW_SYNC)?;
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-o"])
        .arg(library)
        .arg(&source)
        .arg("-ldl")
        .output()
        .context("no C compiler `cc` to build the library that slows syncs down")?;
    if !output.status.success() {
        bail!(
            "`cc` cannot build the library that slows syncs down: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
