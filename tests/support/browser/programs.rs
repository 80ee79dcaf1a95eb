//! Chromium and chromedriver: where they are, and the process that drives.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Once;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// Where the programs are.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) chromium: PathBuf,
    chromedriver: PathBuf,
}

impl Programs {
    /// Named in the environment, else on the `PATH`.
    pub(super) fn find() -> Option<Self> {
        let chromium = named("THERMAL_WATCH_CHROMIUM").or_else(|| {
            on_path(&[
                "chromium",
                "chromium-browser",
                "google-chrome",
                "google-chrome-stable",
            ])
        });
        let chromedriver =
            named("THERMAL_WATCH_CHROMEDRIVER").or_else(|| on_path(&["chromedriver"]));
        if let (Some(chromium), Some(chromedriver)) = (chromium, chromedriver) {
            return Some(Self {
                chromium,
                chromedriver,
            });
        }
        let how = "Chromium and chromedriver are not both on the PATH, nor named by THERMAL_WATCH_CHROMIUM and \
                   THERMAL_WATCH_CHROMEDRIVER; on Debian: apt-get install chromium chromium-driver";
        assert!(
            std::env::var_os("THERMAL_WATCH_BROWSER").is_none_or(|value| value != "required"),
            "{how}"
        );
        say_once(&format!("left out: the tests in a browser ({how})"));
        None
    }
}

/// Past the capture of the test harness, which would hide it in a test that passes.
pub(super) fn say(text: &str) {
    // With nowhere to say it there is nobody to hear it.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn say_once(text: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| say(text));
}

fn named(variable: &str) -> Option<PathBuf> {
    let path = PathBuf::from(std::env::var_os(variable)?);
    assert!(
        path.is_file(),
        "{variable} names {}, which is no file",
        path.display()
    );
    Some(path)
}

fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let places = names.iter().flat_map(|name| {
        std::env::split_paths(&path).map(move |folder| folder.join(OsStr::new(name)))
    });
    places.into_iter().find(|place| place.is_file())
}

/// A running chromedriver with a folder of its own; both end with it, and so does every Chromium that it started.
#[derive(Debug)]
pub(super) struct Chromedriver {
    child: Child,
    port: u16,
    // Removed when all that writes into it is gone.
    folder: TempDir,
}

impl Chromedriver {
    pub(super) async fn start(programs: &Programs) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(&programs.chromedriver)
            .arg("--port=0")
            // Chromium is a child of chromedriver and stays in its group.
            .process_group(0)
            .env("TMPDIR", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .env("XDG_CACHE_HOME", folder.path())
            .env("TZ", "UTC")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("its output is read");
            let line = line.expect("chromedriver says its port before it ends");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').parse().expect("a port");
            }
        };
        // Whatever it says from now on must not fill the pipe.
        tokio::spawn(async move { lines.into_inner().read_to_end(&mut Vec::new()).await });
        Self {
            child,
            port,
            folder,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where Chromium keeps what it remembers.
    pub(super) fn profile(&self) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join("profile")
    }
}

impl Drop for Chromedriver {
    fn drop(&mut self) {
        let pid = self
            .child
            .id()
            .and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let Some(pid) = pid {
            // Gone already is as good.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}
