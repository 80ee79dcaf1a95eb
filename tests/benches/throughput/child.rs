//! The benchmark's own processes: started from this binary in a role, asked, measured, ended.
//!
//! A child is ended when its handle is dropped. It is killed rather than stopped: what it measured is known by
//! then, and its database is thrown away.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::arguments::Role;
use crate::connection;

/// Migrating a new database on a slow disk is most of it.
const START_ALLOWANCE: Duration = Duration::from_mins(1);
/// Several times what any one load takes: only a server that hangs gets that far.
const ASK_ALLOWANCE: Duration = Duration::from_mins(2);
/// Linux reports processor time in hundredths of a second, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server that answers.
#[derive(Debug)]
pub(crate) struct Child {
    process: tokio::process::Child,
    pub(crate) address: SocketAddr,
}

/// What a process has used since it started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss_mb: f64,
}

impl Child {
    /// Starts a server role with its input and waits for its `ready` line.
    pub(crate) async fn start(
        role: Role,
        input: &impl Serialize,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut command = command(role, log)?;
        command.arg("--input").arg(serde_json::to_string(input)?);
        Self::ready(command, log).await
    }

    /// Starts the service and waits until it says that it is ready for events.
    pub(crate) async fn cloud(config: &Path, log: &Path) -> anyhow::Result<Self> {
        let mut command = command(Role::Cloud, log)?;
        command
            .args(["--", "serve", "--print-ready", "--config"])
            .arg(config);
        let child = Self::ready(command, log).await?;
        let start = Instant::now();
        loop {
            let (status, _) = connection::get(child.address, "/readyz").await?;
            if status == 200 {
                return Ok(child);
            }
            ensure!(
                start.elapsed() < START_ALLOWANCE,
                "the service is still not ready, /readyz answers {status}:\n{}",
                tail(log)
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn ready(mut command: Command, log: &Path) -> anyhow::Result<Self> {
        let mut process = command
            .spawn()
            .context("cannot start another process of this binary")?;
        let stdout = process.stdout.take().context("stdout is piped")?;
        let mut lines = BufReader::new(stdout).lines();
        let Ok(line) = timeout(START_ALLOWANCE, lines.next_line()).await else {
            bail!("a server did not get ready in time:\n{}", tail(log));
        };
        let line = line?.unwrap_or_default();
        let Some(address) = line.strip_prefix("ready http://") else {
            bail!(
                "a server ended before it was ready ({line}):\n{}",
                tail(log)
            );
        };
        let address = address
            .trim_end_matches('/')
            .parse()
            .with_context(|| format!("no address in `{line}`"))?;
        // Whatever else it prints must not fill the pipe and stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { process, address })
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        usage(
            self.process
                .id()
                .context("the process has ended by itself")?,
        )
    }

    pub(crate) async fn end(mut self) -> anyhow::Result<()> {
        self.process
            .kill()
            .await
            .context("cannot end a process of ours")
    }
}

/// Runs a role to its end and returns its last word.
pub(crate) async fn ask<O: DeserializeOwned>(
    role: Role,
    input: &impl Serialize,
    log: &Path,
) -> anyhow::Result<O> {
    let mut command = command(role, log)?;
    command.arg("--input").arg(serde_json::to_string(input)?);
    let Ok(output) = timeout(ASK_ALLOWANCE, command.output()).await else {
        bail!("`{}` did not come to an end:\n{}", role.name(), tail(log));
    };
    let output = output.context("cannot start another process of this binary")?;
    ensure!(
        output.status.success(),
        "`{}` failed with {}:\n{}",
        role.name(),
        output.status,
        tail(log)
    );
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("`{}` printed no result", role.name()))
}

/// Called by a server role once it listens.
pub(crate) fn announce(address: SocketAddr) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "ready http://{address}")?;
    stdout.flush()?;
    Ok(())
}

/// Reads the kernel's account of a process, all its threads together.
pub(crate) fn usage(pid: u32) -> anyhow::Result<Usage> {
    let read = |name: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{name}")).with_context(|| {
            format!("cannot read {name} of process {pid}; this benchmark needs Linux")
        })
    };
    let stat = read("stat")?;
    // The second field is the name in brackets and may hold blanks; utime and stime are fields 14 and 15.
    let (_, fields) = stat
        .rsplit_once(')')
        .context("unexpected format of /proc/PID/stat")?;
    let ticks: f64 = fields
        .split_ascii_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    let status = read("status")?;
    let peak_kb: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|line| line.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok())
        .context("no VmHWM in /proc/PID/status")?;
    Ok(Usage {
        cpu_seconds: ticks / TICKS_PER_SECOND,
        peak_rss_mb: peak_kb / 1024.0,
    })
}

fn command(role: Role, log: &Path) -> anyhow::Result<Command> {
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot write {}", log.display()))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["--role", role.name()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .kill_on_drop(true);
    // The service under test is configured by its file alone, not by the shell it was started from.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CLOUD_") || text == "DATABASE_URL" || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    Ok(command)
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
