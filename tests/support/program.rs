//! The program as a process: started, asked, stopped, killed.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::app::program;
use super::database::open_directory;

/// A running `cloud serve`.
pub struct Program {
    child: Child,
    /// `http://127.0.0.1:…`
    pub url: String,
    /// What it said before it was ready.
    pub welcome: String,
}

/// A directory with a `cloud.toml` in it.
pub struct Home(TempDir);

impl Home {
    pub fn new(config: &str) -> Self {
        let directory = open_directory();
        std::fs::write(directory.path().join("cloud.toml"), config)
            .expect("the configuration is written");
        Self(directory)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The command line `cloud …`, run in this directory with nothing of the tests' own environment that would matter.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(self.path())
            .env_remove("DATABASE_URL")
            .env_remove("RUST_LOG")
            .env_remove("CLOUD_CONFIG");
        command.kill_on_drop(true);
        command
    }

    pub async fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .expect("the program runs")
    }

    pub fn logs(&self) -> PathBuf {
        self.path().join("serve.log")
    }

    /// Starts `cloud serve` and waits until it answers.
    pub async fn serve(&self) -> Program {
        self.serve_with(&[]).await
    }

    pub async fn serve_with(&self, environment: &[(&str, &str)]) -> Program {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.logs())
            .expect("the log opens");
        let mut command = self.command(&["serve", "--print-ready"]);
        command
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log);
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let mut welcome = String::new();
        loop {
            let line = lines.next_line().await.expect("its output is read");
            let Some(line) = line else {
                let log = std::fs::read_to_string(self.logs()).unwrap_or_default();
                panic!("the service ended before it was ready:\n{welcome}\n{log}");
            };
            if let Some(url) = line.strip_prefix("ready ") {
                // Whatever it says from now on must not fill the pipe.
                tokio::spawn(async move { lines.into_inner().read_to_end(&mut Vec::new()).await });
                return Program {
                    child,
                    url: url.to_owned(),
                    welcome,
                };
            }
            welcome.push_str(&line);
            welcome.push('\n');
        }
    }
}

impl Program {
    fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
            .expect("it runs");
        kill_process(pid, signal).expect("it can be signalled");
    }

    /// As the kernel would when memory runs out.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.child.wait().await.expect("it ends");
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Asks it to stop, and returns whether it ended well.
    pub async fn stop(self) -> bool {
        self.terminate();
        self.ended().await
    }

    /// Waits for its end and returns whether it was a success.
    pub async fn ended(mut self) -> bool {
        self.child.wait().await.expect("it ends").success()
    }
}
