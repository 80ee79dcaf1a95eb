//! A database of its own for every test, on one throw-away server per test process.
//!
//! `TEST_DATABASE_URL` names another server to use, whose user may create databases. Else the embedded one is
//! started with syncing off. Its cluster is one of a few numbered slots in the temporary directory: a process
//! takes the first that is free and keeps it while it runs, so a cluster is made once and used again.
//!
//! A template database is migrated once per set of migrations, and each test gets a copy of it. The database of
//! a test that passed is dropped, best effort; that of a failed test stays until the slot is used again.

use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use cloud::database::MIGRATOR;
use cloud::database::embedded::{Embedded, Settings};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

/// Tests run side by side, each with a pool or two.
const MAX_CONNECTIONS: u32 = 250;

/// Any number that nothing else locks.
const TEMPLATE_LOCK: i64 = 7_391_846_021;

pub struct TestDatabase {
    pub pool: PgPool,
    pub options: PgConnectOptions,
    pub url: String,
    pub name: String,
}

/// A migrated and otherwise empty database.
pub async fn database() -> TestDatabase {
    create(Some(&server().template)).await
}

/// A database without any table, for tests of the migrations themselves.
pub async fn unmigrated_database() -> TestDatabase {
    create(None).await
}

/// A server of its own with syncing on, for tests that crash it.
pub struct DurableServer {
    pub server: Embedded,
    pub settings: Settings,
    directory: TempDir,
}

pub async fn durable_server() -> DurableServer {
    let directory = open_directory();
    let settings = Settings::new(directory.path().join("data"), MAX_CONNECTIONS);
    let server = Embedded::start(&settings, &|_| {})
        .await
        .expect("a server starts");
    DurableServer {
        server,
        settings,
        directory,
    }
}

/// A temporary directory for a data directory: root runs the server as another user, who must be let in.
pub fn open_directory() -> TempDir {
    let open = Permissions::from_mode(0o755);
    let mut builder = tempfile::Builder::new();
    builder
        .permissions(open)
        .tempdir()
        .expect("a temporary directory")
}

impl DurableServer {
    /// Kills the postmaster as the kernel would when memory runs out, and waits until it is gone.
    pub async fn kill(&self) {
        let pid = i32::try_from(self.server.pid()).expect("a process id");
        let pid = rustix::process::Pid::from_raw(pid).expect("a process id");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
        self.server.exited().await;
    }

    /// Starts the server again on the same data, after it was killed; stops it before if it was not.
    pub async fn restart(self) -> Self {
        let Self {
            server,
            settings,
            directory,
        } = self;
        // After a kill there is nothing left to stop well.
        let _ = server.stop().await;
        let server = Embedded::start(&settings, &|_| {})
            .await
            .expect("a server starts again");
        Self {
            server,
            settings,
            directory,
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the database of this test is kept: {}", self.url);
        } else {
            let _ = server().dropped.send(self.name.clone());
        }
    }
}

async fn create(template: Option<&str>) -> TestDatabase {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = server();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    let template = template.unwrap_or("template0");
    let mut connection = server.admin.connect().await.expect("the server answers");
    let statement = format!("CREATE DATABASE {name} TEMPLATE {template}");
    sqlx::query(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .expect("a database is created");
    connection.close().await.expect("the connection closes");
    let options = server.admin.clone().database(&name);
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(10))
        .connect_lazy_with(options.clone());
    TestDatabase {
        pool,
        options,
        url: server.url(&name),
        name,
    }
}

/// Lives until the process ends; the embedded server then ends by itself.
struct Server {
    admin: PgConnectOptions,
    template: String,
    running: Running,
    dropped: mpsc::Sender<String>,
}

enum Running {
    Elsewhere { url: String },
    Here { server: Embedded, _slot: File },
}

impl Server {
    fn url(&self, database: &str) -> String {
        match &self.running {
            Running::Here { server, .. } => server.url(database),
            Running::Elsewhere { url } => {
                let mut url = PgConnectOptions::from_str(url)
                    .expect("checked at start")
                    .to_url_lossy();
                url.set_path(database);
                url.into()
            }
        }
    }
}

/// Starts on a thread with a runtime of its own: that of the first test ends with that test.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let start = || runtime().block_on(start());
        let thread = std::thread::spawn(start);
        thread
            .join()
            .expect("the database server of the tests starts")
    })
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().expect("a runtime")
}

async fn start() -> Server {
    let (running, admin) = if let Ok(url) = std::env::var("TEST_DATABASE_URL") {
        let options = PgConnectOptions::from_str(&url).expect("TEST_DATABASE_URL is a URL");
        (Running::Elsewhere { url }, options)
    } else {
        let (data_dir, slot) = free_slot();
        let mut settings = Settings::new(data_dir, MAX_CONNECTIONS);
        settings.durable = false;
        let server = start_throw_away(&settings).await;
        let options = server.options("postgres");
        let running = Running::Here {
            server,
            _slot: slot,
        };
        (running, options)
    };
    let mut connection = admin
        .connect()
        .await
        .expect("the database server of the tests answers");
    let template = template_name();
    let ours = matches!(running, Running::Here { .. });
    drop_leftovers(&mut connection, &template, ours).await;
    make_template(&mut connection, &admin, &template).await;
    let (dropped, names) = mpsc::channel();
    let options = admin.clone();
    std::thread::spawn(move || runtime().block_on(drop_databases(&options, &names)));
    Server {
        admin,
        template,
        running,
        dropped,
    }
}

/// A cluster of another version, or one a power cut spoiled, is worth nothing here: it is made again.
async fn start_throw_away(settings: &Settings) -> Embedded {
    let progress = |text: &str| eprintln!("{text}");
    if let Ok(server) = Embedded::start(settings, &progress).await {
        return server;
    }
    // If there is nothing to remove, the second try tells what is wrong.
    let _ = fs::remove_dir_all(&settings.data_dir);
    let server = Embedded::start(settings, &progress).await;
    server.expect("the embedded Postgres starts")
}

/// The lock on the slot goes with the process, in whatever way that ends.
fn free_slot() -> (PathBuf, File) {
    let user = rustix::process::geteuid().as_raw();
    let base = std::env::temp_dir().join(format!("thermal-watch-tests-{user}"));
    fs::create_dir_all(&base).expect("a directory for the clusters of the tests");
    for slot in 0.. {
        let path = base.join(format!("slot-{slot}.lock"));
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path);
        let file = file.expect("the lock file of a slot");
        if file.try_lock().is_ok() {
            return (base.join(format!("slot-{slot}")), file);
        }
    }
    unreachable!("there is always a further slot")
}

/// Changes with every change of a migration.
fn template_name() -> String {
    let mut hash = Sha256::new();
    for migration in MIGRATOR.iter() {
        hash.update(migration.version.to_be_bytes());
        hash.update(&migration.checksum);
    }
    let mut name = "template_".to_owned();
    for byte in &hash.finalize()[..8] {
        write!(name, "{byte:02x}").expect("a string takes everything");
    }
    name
}

/// On our own server all is left over but the template; elsewhere, what processes made that have ended.
async fn drop_leftovers(connection: &mut PgConnection, template: &str, ours: bool) {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT datname FROM pg_database WHERE datname ~ '^(test|template)_[0-9a-f]+(_|$)'",
    )
    .fetch_all(&mut *connection)
    .await
    .expect("databases are listed");
    for name in names {
        let of_the_dead = || name.split('_').nth(1).is_some_and(is_dead);
        if name != template && (ours || name.starts_with("test_") && of_the_dead()) {
            drop_database(connection, &name).await;
        }
    }
}

fn is_dead(pid: &str) -> bool {
    let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH))
}

/// Made under a lock, as other processes may use the same server. That it is marked as a template says that it
/// is complete; that nobody can connect to it makes it safe to copy at any time.
async fn make_template(connection: &mut PgConnection, admin: &PgConnectOptions, name: &str) {
    let lock = "SELECT pg_advisory_lock($1)";
    sqlx::query(lock)
        .bind(TEMPLATE_LOCK)
        .execute(&mut *connection)
        .await
        .expect("the lock");
    let complete = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)";
    let complete: bool = sqlx::query_scalar(complete)
        .bind(name)
        .fetch_one(&mut *connection)
        .await
        .expect("the template is looked up");
    if !complete {
        execute(
            connection,
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        )
        .await;
        execute(
            connection,
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        )
        .await;
        let mut inside = admin
            .clone()
            .database(name)
            .connect()
            .await
            .expect("the template opens");
        MIGRATOR.run(&mut inside).await.expect("the migrations run");
        inside.close().await.expect("the connection closes");
        let finish = format!("ALTER DATABASE {name} IS_TEMPLATE true ALLOW_CONNECTIONS false");
        execute(connection, finish).await;
    }
    let unlock = "SELECT pg_advisory_unlock($1)";
    sqlx::query(unlock)
        .bind(TEMPLATE_LOCK)
        .execute(&mut *connection)
        .await
        .expect("the lock");
}

/// Off the way of the tests, which only send a name.
async fn drop_databases(options: &PgConnectOptions, names: &mpsc::Receiver<String>) {
    while let Ok(name) = names.recv() {
        if let Ok(mut connection) = options.connect().await {
            drop_database(&mut connection, &name).await;
        }
    }
}

async fn drop_database(connection: &mut PgConnection, name: &str) {
    // Only where it is marked: one whose dropping was interrupted is not, and to alter that one ends the connection.
    let marked = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)";
    let marked = sqlx::query_scalar(marked).bind(name);
    if marked.fetch_one(&mut *connection).await.unwrap_or(false) {
        let unmark = format!("ALTER DATABASE {name} IS_TEMPLATE false");
        let _ = sqlx::query(AssertSqlSafe(unmark))
            .execute(&mut *connection)
            .await;
    }
    let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
    let _ = sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await;
}

async fn execute(connection: &mut PgConnection, statement: String) {
    let result = sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await;
    result.expect("the statement succeeds");
}
