//! The embedded Postgres: it keeps what it acknowledged however its owner ends, leaves no process behind,
//! and says plainly why it cannot start.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use cloud::database::embedded::{Embedded, Settings};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use sqlx::postgres::PgConnection;
use sqlx::{ConnectOptions, Connection};

use crate::support::chaos::Chaos;
use crate::support::database::{database, durable_server, open_directory};

mod programs;

/// Names the data directory to the process that plays the owner.
const OWNER_DATA_DIR: &str = "EMBEDDED_TEST_OWNER_DATA_DIR";

#[tokio::test]
async fn the_second_start_finds_what_the_first_stored() {
    let directory = open_directory();
    let settings = settings(directory.path());
    let (server, said) = start_listening(&settings).await;
    assert!(said[0].starts_with("making a new database"), "{said:?}");
    let mut connection = connect(&server).await;
    execute(&mut connection, "CREATE TABLE kept (id int)").await;
    execute(&mut connection, "INSERT INTO kept VALUES (7)").await;
    connection.close().await.unwrap();
    let (pid, sockets) = (server.pid(), server.socket_dir().to_owned());
    server.stop().await.unwrap();
    assert!(is_gone(pid), "the server has ended");
    assert!(!sockets.exists(), "its socket is gone");

    let (server, said) = start_listening(&settings).await;
    assert_eq!(said, [""; 0], "nothing to tell when all goes well");
    let mut connection = connect(&server).await;
    assert_eq!(ids(&mut connection, "kept").await, [7]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_is_durable_private_and_keeps_off_the_network() {
    let durable = durable_server().await;
    let server = &durable.server;
    let mut connection = connect(server).await;
    for (name, expected) in [
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("data_checksums", "on"),
        ("listen_addresses", ""),
        ("server_encoding", "UTF8"),
    ] {
        let value: String = sqlx::query_scalar("SELECT current_setting($1)")
            .bind(name)
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(value, expected, "{name}");
    }
    let mode = fs::metadata(server.socket_dir()).unwrap().mode();
    assert_eq!(
        mode & 0o777,
        0o700,
        "nobody else may enter the directory of the socket"
    );
    durable.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_with_syncing_off_is_refused() {
    let directory = open_directory();
    let mut settings = settings(directory.path());
    settings.durable = true;
    settings.extra = vec![("fsync".to_owned(), "off".to_owned())];
    check_refused(&settings, &["`fsync` is off", "turn it on"]).await;
}

#[tokio::test]
async fn a_second_owner_is_told_who_is_the_first() {
    let first = durable_server().await;
    let pid = std::process::id().to_string();
    check_refused(
        &first.settings,
        &["already in use by pid", &pid, "data_dir"],
    )
    .await;
    let mut connection = connect(&first.server).await;
    connection.ping().await.expect("the first is not disturbed");
    first.server.stop().await.unwrap();
}

#[tokio::test]
async fn an_owner_killed_under_load_loses_nothing_it_acknowledged() {
    let directory = open_directory();
    let settings = settings(directory.path());
    let mut acknowledged: Vec<i32> = Vec::new();
    for _ in 0..3 {
        let mut owner = spawn_owner(directory.path());
        let output = BufReader::new(owner.stdout.take().unwrap());
        let numbers = output.lines().map_while(Result::ok);
        let mut numbers =
            numbers.filter_map(|line| line.strip_prefix("stored ")?.parse::<i32>().ok());
        acknowledged.extend(numbers.by_ref().take(50));
        owner.kill().unwrap();
        owner.wait().unwrap();
        acknowledged.extend(numbers);
    }
    let (server, _) = start_listening(&settings).await;
    let mut connection = connect(&server).await;
    let stored = ids(&mut connection, "stored").await;
    let lost: Vec<_> = acknowledged
        .iter()
        .filter(|id| !stored.contains(id))
        .collect();
    assert_eq!(lost, [&0; 0], "of {} acknowledged", acknowledged.len());
    assert!(acknowledged.len() >= 150);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn no_process_outlives_a_killed_owner() {
    let directory = open_directory();
    let mut owner = spawn_owner(directory.path());
    let output = BufReader::new(owner.stdout.take().unwrap());
    let mut pids = output
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| line.strip_prefix("server ")?.parse().ok());
    let pid: u32 = pids.next().expect("the owner says the id of its server");
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The server and its guard hold the other end of this pipe, so it ends when they have.
    assert_eq!(pids.count(), 0);
    until_gone(pid).await;
    let (server, _) = start_listening(&settings(directory.path())).await;
    server.stop().await.unwrap();
}

/// Not a test by itself: the process that the tests above kill.
#[tokio::test]
#[ignore = "played by a child process of other tests"]
async fn owner() {
    let Some(data_dir) = std::env::var_os(OWNER_DATA_DIR) else {
        return;
    };
    let server = Embedded::start(&settings(Path::new(&data_dir)), &|_| {})
        .await
        .unwrap();
    let mut connection = connect(&server).await;
    println!("server {}", server.pid());
    execute(
        &mut connection,
        "CREATE TABLE IF NOT EXISTS stored (id int GENERATED ALWAYS AS IDENTITY)",
    )
    .await;
    loop {
        let id: i32 = sqlx::query_scalar("INSERT INTO stored DEFAULT VALUES RETURNING id")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        println!("stored {id}");
    }
}

#[tokio::test]
async fn a_killed_server_recovers_and_its_owner_notices() {
    let server = durable_server().await;
    let mut connection = connect(&server.server).await;
    execute(
        &mut connection,
        "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS id",
    )
    .await;
    // `kill` waits until `exited` resolves.
    server.kill().await;
    let server = server.restart().await;
    let mut connection = connect(&server.server).await;
    assert_eq!(ids(&mut connection, "kept").await.len(), 1000);
    server.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_lock_file_does_not_keep_it_from_starting() {
    let directory = open_directory();
    let settings = settings(directory.path());
    let (server, _) = start_listening(&settings).await;
    let lock_file = server.home().join("data/postmaster.pid");
    let content = fs::read_to_string(&lock_file).unwrap();
    server.stop().await.unwrap();
    // First the id of a living process that is no Postgres, then one of no process at all.
    for pid in [std::process::id(), i32::MAX.unsigned_abs()] {
        let (_, rest) = content.split_once('\n').unwrap();
        fs::write(&lock_file, format!("{pid}\n{rest}")).unwrap();
        let (server, _) = start_listening(&settings).await;
        connect(&server).await.ping().await.unwrap();
        server.stop().await.unwrap();
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_left_without_its_guard_is_stopped_by_the_next_start() {
    let directory = open_directory();
    let settings = settings(directory.path());
    let (server, _) = start_listening(&settings).await;
    let orphan = server.pid();
    let group = process_group(orphan).unwrap();
    for entry in fs::read_dir("/proc").unwrap() {
        let name = entry.unwrap().file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        if pid != orphan && process_group(pid).as_ref() == Some(&group) {
            kill(pid);
        }
    }
    server.exited().await;
    assert!(!is_gone(orphan), "it runs on, and nobody watches it");
    drop(server);
    let (server, said) = start_listening(&settings).await;
    assert!(
        said[0].contains(&format!("pid {orphan} that an earlier run left")),
        "{said:?}"
    );
    until_gone(orphan).await;
    connect(&server).await.ping().await.unwrap();
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_first_start_that_was_killed_leaves_nothing_in_the_way() {
    let directory = open_directory();
    let settings = settings(directory.path());
    let (server, _) = start_listening(&settings).await;
    let home = server.home().to_owned();
    server.stop().await.unwrap();
    fs::rename(home.join("data"), home.join("data.new-1")).unwrap();
    let (server, said) = start_listening(&settings).await;
    assert!(said[0].starts_with("making a new database"), "{said:?}");
    assert!(!home.join("data.new-1").exists());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn it_says_what_to_do_when_it_cannot_start() {
    let directory = open_directory();
    let mut settings = settings(directory.path());
    let (server, _) = start_listening(&settings).await;
    let data = server.home().join("data");
    server.stop().await.unwrap();

    let version = fs::read_to_string(data.join("PG_VERSION")).unwrap();
    fs::write(data.join("PG_VERSION"), "12\n").unwrap();
    let told = [
        "made by PostgreSQL 12",
        "found only",
        "Install PostgreSQL 12",
        "POSTGRES_BIN_DIR",
    ];
    check_refused(&settings, &told).await;

    fs::write(data.join("PG_VERSION"), version).unwrap();
    settings.extra = vec![("no_such_setting".to_owned(), "1".to_owned())];
    check_refused(
        &settings,
        &["unrecognized configuration parameter", "server.log"],
    )
    .await;

    settings.extra.clear();
    fs::remove_file(data.join("PG_VERSION")).unwrap();
    check_refused(&settings, &["is not a Postgres cluster", "move it away"]).await;
}

#[tokio::test]
async fn the_proxy_cuts_stalls_and_restores() {
    let database = database().await;
    let chaos = Chaos::before(&database.options).await;
    let url = chaos.url();
    let connect = || PgConnection::connect(&url);
    let mut connection = connect().await.unwrap();
    connection.ping().await.unwrap();

    chaos.cut();
    chaos.restore();
    assert!(
        connection.ping().await.is_err(),
        "a cut connection stays cut"
    );
    let mut connection = connect().await.unwrap();

    chaos.stall();
    let ping = connection.ping();
    tokio::pin!(ping);
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), &mut ping).await;
    assert!(waiting.is_err(), "nothing passes");
    chaos.restore();
    ping.await.expect("it goes on");

    chaos.cut();
    assert!(connect().await.is_err(), "no way in");
    chaos.restore();
    connect().await.unwrap().ping().await.unwrap();
}

/// A killed process leaves its writes to the kernel, so only the tests of syncing itself need it.
fn settings(directory: &Path) -> Settings {
    let mut settings = Settings::new(directory.join("data"), 8);
    settings.durable = false;
    settings
}

async fn start_listening(settings: &Settings) -> (Embedded, Vec<String>) {
    let said = Mutex::new(Vec::new());
    let server =
        Embedded::start(settings, &|text| said.lock().unwrap().push(text.to_owned())).await;
    (server.unwrap(), said.into_inner().unwrap())
}

async fn check_refused(settings: &Settings, told: &[&str]) {
    let error = Embedded::start(settings, &|_| {}).await.unwrap_err();
    let error = format!("{error:#}");
    for part in told {
        assert!(error.contains(part), "{part:?} is missing in {error:?}");
    }
}

async fn connect(server: &Embedded) -> PgConnection {
    server.options("postgres").connect().await.unwrap()
}

async fn execute(connection: &mut PgConnection, statement: &'static str) {
    sqlx::query(statement).execute(connection).await.unwrap();
}

async fn ids(connection: &mut PgConnection, table: &str) -> Vec<i32> {
    let statement = format!("SELECT id FROM {table} ORDER BY id");
    let query = sqlx::query_scalar(sqlx::AssertSqlSafe(statement));
    query.fetch_all(connection).await.unwrap()
}

/// Runs `owner` above in a process of its own.
fn spawn_owner(directory: &Path) -> Child {
    let (_, path) = module_path!().split_once("::").unwrap();
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{path}::owner"), "--ignored"])
        .arg("--nocapture")
        .env(OWNER_DATA_DIR, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn is_gone(pid: u32) -> bool {
    test_kill_process(Pid::from_raw(pid.cast_signed()).unwrap()) == Err(Errno::SRCH)
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    // It may have ended by itself.
    let _ = kill_process(pid, Signal::KILL);
}

/// The guard leads the group it shares with the server.
#[cfg(target_os = "linux")]
fn process_group(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(2).map(str::to_owned)
}

async fn until_gone(pid: u32) {
    while !is_gone(pid) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
