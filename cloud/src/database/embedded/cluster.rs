//! The cluster and its server: made once, started under a guard, stopped by closing a pipe.
//!
//! The guard is a few lines of shell between us and the server. It holds the reading end of a pipe whose
//! writing end is ours. When our end closes, because we ask for a stop or because we died in whatever way, it
//! asks the server for a fast shutdown. So no server outlives its owner, on any Unix, without unsafe code.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, ErrorKind};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};

use super::Settings;
use super::binaries::Binaries;
use super::place::{LOG_NAME, Place};

pub(super) const SUPERUSER: &str = "postgres";

/// Only part of the socket's name: nothing listens on the network.
pub(super) const PORT: u16 = 5432;

/// Recovery after a crash reads the log since the last checkpoint and syncs the whole cluster.
const START_ALLOWANCE: Duration = Duration::from_mins(1);

/// How long a server of an earlier run may take to end.
const LEFTOVER_ALLOWANCE: Duration = Duration::from_mins(1);

/// A server whose owner has just died is already stopping; only after this do we ask it ourselves.
const LEFTOVER_PATIENCE: Duration = Duration::from_secs(2);

const POLL: Duration = Duration::from_millis(5);

/// Connections for people and for the server's own needs, beyond those of the service.
const SPARE_CONNECTIONS: u32 = 10;

/// Signals meant for a whole group of processes must not end the guard before the server. The server sets its
/// own handlers for them. The reader is killed before it could signal an id that is no longer the server's.
const GUARD: &str = r#"
trap '' HUP INT QUIT TERM
exec 3<&0 </dev/null 2>>"$0" || exit 1
"$@" >&2 3<&- &
postmaster=$!
echo "$postmaster"
exec >&2
(while read -r _; do :; done; kill -INT "$postmaster") <&3 &
reader=$!
exec 3<&-
wait "$postmaster"
status=$?
kill -KILL "$reader" 2>/dev/null
exit "$status"
"#;

/// The major version that made the cluster, or none if there is no cluster yet.
pub(super) fn version(place: &Place) -> Result<Option<u32>> {
    let path = place.data.join("PG_VERSION");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let major = text.trim().parse();
            let major = major.with_context(|| format!("{} is damaged", path.display()))?;
            Ok(Some(major))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            ensure!(
                !place.data.exists(),
                "{} is not a Postgres cluster; move it away",
                place.data.display()
            );
            Ok(None)
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Makes the cluster under another name first, so that a start that is killed leaves no half cluster.
pub(super) async fn initialise(
    place: &Place,
    binaries: &Binaries,
    durable: bool,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<()> {
    progress(&format!(
        "making a new database with PostgreSQL {} in {}",
        binaries.version,
        place.home.display()
    ));
    for entry in fs::read_dir(&place.home)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("data.new-") {
            fs::remove_dir_all(&path)?;
        }
    }
    let unfinished = place.home.join(format!("data.new-{}", std::process::id()));
    let mut command = command(&binaries.program("initdb"), place);
    command.arg("-D").arg(&unfinished);
    command.args(["-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]);
    command.args(["--data-checksums", "--no-instructions", "--locale=C"]);
    if binaries.version.major >= 17 {
        // Sorts by code point like C, but knows the letters of all scripts.
        command.args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]);
    }
    if !durable {
        command.arg("--no-sync");
    }
    let mut command = tokio::process::Command::from(command);
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = output.await.context("cannot run initdb")?;
    ensure!(
        output.status.success(),
        "cannot make a database in {} ({}):\n{}{}",
        place.home.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&unfinished, &place.data)?;
    File::open(&place.home)?.sync_all()?;
    Ok(())
}

/// Waits for a server that an earlier run left behind, and stops it if it does not end by itself.
/// We hold the lock, so no living owner is robbed of it.
pub(super) async fn clear_leftovers(place: &Place, progress: &(dyn Fn(&str) + Sync)) -> Result<()> {
    let Some(pid) = recorded_postmaster(&place.data) else {
        return place.clear_sockets();
    };
    let ended = async {
        while is_postmaster_of(pid, &place.data) {
            sleep(POLL).await;
        }
    };
    let ending = async {
        tokio::pin!(ended);
        if timeout(LEFTOVER_PATIENCE, &mut ended).await.is_err() {
            progress(&format!(
                "stopping the Postgres with pid {pid} that an earlier run left behind"
            ));
            signal(pid, Signal::INT);
            ended.await;
        }
    };
    if timeout(LEFTOVER_ALLOWANCE, ending).await.is_err() {
        bail!(
            "a Postgres with pid {pid} still runs on {} and does not stop; stop it by hand",
            place.data.display()
        );
    }
    place.clear_sockets()
}

/// Starts the server and waits until it takes connections.
pub(super) async fn run(
    place: &Place,
    binaries: &Binaries,
    settings: &Settings,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<Guard> {
    let log_start = place.log_length();
    let starting = async {
        loop {
            let log_start = place.log_length();
            let guard = Guard::spawn(place, binaries, settings).await?;
            tokio::select! {
                () = guard.ready(&place.data) => return Ok(guard),
                () = guard.exited() => {}
            }
            let log = place.log_tail(log_start);
            // Backends of a server that was killed notice its end only after their current statement.
            if !log.contains("pre-existing shared memory block") {
                let end = guard.end().unwrap_or_default();
                bail!(
                    "the embedded Postgres ended at start with {end}; its log {} ends:\n{log}",
                    place.log().display()
                );
            }
            sleep(50 * POLL).await;
        }
    };
    tokio::pin!(starting);
    let Ok(early) = timeout(Duration::from_secs(3), &mut starting).await else {
        progress("the embedded Postgres is recovering, this may take a minute");
        return timeout(START_ALLOWANCE, starting)
            .await
            .unwrap_or_else(|_| {
                bail!(
                    "the embedded Postgres is not ready after {} s; its log {} ends:\n{}",
                    START_ALLOWANCE.as_secs(),
                    place.log().display(),
                    place.log_tail(log_start)
                )
            });
    };
    early
}

/// The guard process and, under it, the server.
pub(super) struct Guard {
    pub(super) postmaster: u32,
    /// The server lives as long as this end of the pipe is open.
    lifeline: Option<ChildStdin>,
    end: watch::Receiver<Option<String>>,
}

impl Guard {
    async fn spawn(place: &Place, binaries: &Binaries, settings: &Settings) -> Result<Self> {
        let mut command = command(Path::new("/bin/sh"), place);
        command.arg("-c").arg(GUARD).arg(LOG_NAME);
        command.arg(binaries.program("postgres"));
        command.arg("-D").arg(&place.data);
        for (name, value) in server_settings(place, settings) {
            let mut setting = OsString::from(name);
            setting.push("=");
            setting.push(value);
            command.arg("-c").arg(setting);
        }
        if let Some(stale) = recorded_postmaster(&place.data) {
            // Its id may by now be another program's, and Postgres would take that for a running server.
            // We know better, and this is how a parent may say so.
            command.env("PG_GRANDPARENT_PID", stale.to_string());
        }
        command.envs(
            settings
                .environment
                .iter()
                .map(|(name, value)| (name, value)),
        );
        // Its own group, so that Ctrl-C reaches only us, and we end our transactions first.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command
            .spawn()
            .context("cannot start the embedded Postgres")?;
        let lifeline = child.stdin.take();
        let stdout = child.stdout.take().context("the guard has no output")?;
        let (started, postmaster) = oneshot::channel();
        let (ended, end) = watch::channel(None);
        // A thread and not a task: the server may outlive the runtime that started it.
        std::thread::Builder::new()
            .name("postgres-guard".to_owned())
            .spawn(move || attend(child, stdout, started, &ended))?;
        let postmaster = postmaster.await.with_context(|| {
            format!(
                "cannot start the embedded Postgres in {}",
                place.home.display()
            )
        })?;
        Ok(Self {
            postmaster,
            lifeline,
            end,
        })
    }

    /// Resolves when the server takes connections, never if it does not.
    async fn ready(&self, data: &Path) {
        let ready = || {
            let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
            let line = |number| file.lines().nth(number).map(str::trim);
            line(0) == Some(&self.postmaster.to_string()) && line(7) == Some("ready")
        };
        while !ready() {
            sleep(POLL).await;
        }
    }

    pub(super) async fn exited(&self) {
        // An error means that the thread is gone, and it goes only after the guard.
        let _ = self.end.clone().wait_for(Option::is_some).await;
    }

    /// How the server ended, in words.
    pub(super) fn end(&self) -> Option<String> {
        self.end.borrow().clone()
    }

    pub(super) fn request_stop(&mut self) {
        self.lifeline = None;
    }

    /// Every process of the server ends at once, as after a power cut.
    pub(super) fn force_stop(&self) {
        if let Ok(pid) = i32::try_from(self.postmaster) {
            signal(pid, Signal::QUIT);
        }
    }
}

fn attend(
    mut child: Child,
    stdout: ChildStdout,
    started: oneshot::Sender<u32>,
    ended: &watch::Sender<Option<String>>,
) {
    let mut line = String::new();
    let read = BufReader::new(stdout).read_line(&mut line);
    if let (Ok(_), Ok(pid)) = (read, line.trim().parse()) {
        let _ = started.send(pid);
    }
    let end = child.wait();
    ended.send_replace(Some(
        end.map_or_else(|error| error.to_string(), |status| status.to_string()),
    ));
}

fn server_settings(place: &Place, settings: &Settings) -> Vec<(String, OsString)> {
    let connections = (settings.max_connections + SPARE_CONNECTIONS).to_string();
    let port = PORT.to_string();
    let mut ours = vec![
        ("listen_addresses", ""),
        ("port", &port),
        ("unix_socket_permissions", "0700"),
        ("logging_collector", "off"),
        ("log_checkpoints", "off"),
        ("log_timezone", "UTC"),
        ("timezone", "UTC"),
        ("max_connections", &connections),
        // No replicas and no archive, so the log need not serve them.
        ("wal_level", "minimal"),
        ("max_wal_senders", "0"),
    ];
    if !settings.durable {
        ours.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("autovacuum", "off"),
        ]);
    }
    let sockets = (
        "unix_socket_directories".to_owned(),
        place.sockets.clone().into(),
    );
    let ours = ours
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into()));
    let extra = settings.extra.iter().cloned();
    std::iter::once(sockets)
        .chain(ours)
        .chain(extra.map(|(name, value)| (name, value.into())))
        .collect()
}

/// A command as the server's account, with little of our environment: it may hold secrets, and variables
/// such as PGDATA would mislead the server.
fn command(program: &Path, place: &Place) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LC_ALL", "C");
    for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command.current_dir(&place.home);
    place.account.run(&mut command);
    command
}

fn recorded_postmaster(data: &Path) -> Option<i32> {
    let file = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    file.lines().next()?.trim().parse().ok()
}

/// Whether the process is a living server of this cluster, and not some other program that got its id.
fn is_postmaster_of(pid: i32, data: &Path) -> bool {
    let Some(id) = Pid::from_raw(pid) else {
        return false;
    };
    if rustix::process::test_kill_process(id) == Err(rustix::io::Errno::SRCH) {
        return false;
    }
    if !Path::new("/proc/self/cwd").exists() {
        let output = Command::new("ps")
            .args(["-o", "comm=", "-p", &pid.to_string()])
            .output();
        return output
            .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("postgres"));
    }
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        // A server works in its data directory; one that has ended and is not yet collected works nowhere.
        Ok(place) => data.canonicalize().is_ok_and(|data| data == place),
        // Root in a container may not look at other users' processes that closely.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            state.contains("(postgres)") && !state.contains(") Z")
        }
        Err(_) => false,
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // An error means that it has ended meanwhile.
        let _ = rustix::process::kill_process(pid, signal);
    }
}
