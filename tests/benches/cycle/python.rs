//! The tutorial's cycle, in a Python process that has its packages from an environment of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::de::DeserializeOwned;

use crate::recording::FRAMES;
use crate::spent;

pub const PARTS: [&str; 6] = [
    "words to deg C",
    "colours, 640 x 480",
    "JPEG, quality 75",
    "JPEG read again, shrunk",
    "network",
    "body as JSON",
];
/// ONNX Runtime is not 1.21.0, which dies on a Raspberry Pi, and not 1.29 or later, which reports to its maker.
const PACKAGES: [&str; 4] = [
    "adafruit-circuitpython-mlx90640==1.3.9",
    "numpy",
    "onnxruntime==1.24.4",
    "pillow",
];
const PROGRAM: &str = include_str!("tutorial.py");

/// A process that does it when it is asked.
pub struct Python {
    process: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
    /// Of everything that it uses.
    pub versions: String,
}

impl Python {
    /// `folder` holds the recording; the networks are ONNX files.
    pub fn start(folder: &Path, networks: &[&[u8]]) -> anyhow::Result<Self> {
        let python = environment()?;
        fs::write(folder.join("tutorial.py"), PROGRAM)?;
        let mut command = Command::new(python);
        command
            .arg(folder.join("tutorial.py"))
            .arg(folder)
            // Two sub-pages are a frame, and the first one of each moment is taken.
            .arg((2 * FRAMES).to_string());
        for (at, network) in networks.iter().enumerate() {
            let path = folder.join(format!("network{at}.onnx"));
            fs::write(&path, network)?;
            command.arg(path);
        }
        let log = fs::File::create(folder.join("python.log"))?;
        let mut process = command
            .env("ORT_DISABLE_TELEMETRY", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("starting Python")?;
        let ask = process.stdin.take().context("a pipe to Python")?;
        let answers = process.stdout.take().context("a pipe from Python")?;
        let mut python = Self {
            process,
            ask,
            answers: BufReader::new(answers),
            versions: String::new(),
        };
        python.versions = python.answer().with_context(|| {
            let log = fs::read_to_string(folder.join("python.log")).unwrap_or_default();
            format!("Python: {}", log.lines().last().unwrap_or_default())
        })?;
        Ok(python)
    }

    /// Each moment's first frame, deg C.
    pub fn temperatures(&mut self) -> anyhow::Result<Vec<Vec<f64>>> {
        self.asked("temperatures")
    }

    /// Looks at each moment with each network: the time of each part.
    pub fn round(&mut self) -> anyhow::Result<Vec<Vec<[Duration; PARTS.len()]>>> {
        let rounds: Vec<Vec<[u64; PARTS.len()]>> = self.asked("round")?;
        let in_time = |cycle: [u64; PARTS.len()]| cycle.map(Duration::from_nanos);
        Ok(rounds
            .into_iter()
            .map(|cycles| cycles.into_iter().map(in_time).collect())
            .collect())
    }

    /// MB.
    pub fn peak_memory(&self) -> anyhow::Result<f64> {
        spent::peak_memory(&self.process.id().to_string())
    }

    fn asked<T: DeserializeOwned>(&mut self, what: &str) -> anyhow::Result<T> {
        writeln!(self.ask, "{what}")?;
        self.answer()
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the Python process has ended");
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The Python of an environment beside what is built, with all packages; made when there is none.
fn environment() -> anyhow::Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    let folder = target.context("no target folder")?.join("python-cycle");
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    }
    let complete = folder.join("complete");
    let wanted = PACKAGES.join("\n");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .args(PACKAGES);
    run(&mut pip)?;
    fs::write(complete, wanted)?;
    Ok(python)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        said.lines().last().unwrap_or("it failed")
    );
    Ok(())
}
