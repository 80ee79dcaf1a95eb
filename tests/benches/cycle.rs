//! How much work is a cycle, from the camera's raw words to the body of a note, and how much is it in Python, as the
//! tutorial does it? And how much does the whole agent take?
//!
//! `cargo bench -p tests --bench cycle`; with `-- --quick`, a look at it. Both drivers are shown the same words on a bus
//! that plays a recording back, in turns, and must come to the same temperatures. What is compared is time of the
//! processor, waits left out, so that what else the machine does changes little. Python and its packages are optional:
//! what cannot be had is left out, with the reason.

#[path = "cycle/agent.rs"]
mod agent;
#[path = "classification/networks.rs"]
mod networks;
#[path = "cycle/ours.rs"]
mod ours;
#[path = "cycle/python.rs"]
mod python;
#[path = "cycle/recording.rs"]
mod recording;
#[path = "cycle/spent.rs"]
mod spent;

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};

use edge::frame::PIXELS;
use ours::Ours;
use python::Python;
use recording::{FRAMES, MOMENTS, Recording};

/// The same words mean the same to both drivers within this, deg C.
const TOLERANCE: f64 = 0.05;
/// Two networks for pictures; nobody knows the tutorial's, which every user trains.
const NETWORKS: [&str; 2] = ["network of 64 x 48", "network of 96 x 96"];

/// What a capture is the mean of; the first is what the agent does by itself.
const OURS: [&str; 2] = ["mean of 4 frames", "1 frame"];

/// How much is measured.
struct Extent {
    rounds: usize,
    /// Of the whole agent.
    days: f64,
    /// Of `edge run`.
    run: Duration,
}

/// Times of a cycle's parts, cycle by cycle, and the medians of whole rounds.
#[derive(Default)]
struct Measured {
    parts: Vec<Vec<Duration>>,
    rounds: Vec<Duration>,
}

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // With nowhere left to complain to, the exit code still tells.
            let _ = writeln!(std::io::stderr(), "cycle: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [role, folder, state, days] = &arguments[..]
        && role == agent::ROLE
    {
        let took = agent::work(Path::new(folder), Path::new(state), days.parse()?)?;
        return say(&serde_json::to_string(&took)?);
    }
    let extent = if arguments.iter().any(|argument| argument == "--quick") {
        Extent {
            rounds: 3,
            days: 0.25,
            run: Duration::from_secs(10),
        }
    } else {
        Extent {
            rounds: 21,
            days: 1.0,
            run: Duration::from_secs(30),
        }
    };
    // In memory where that can be had: a spool is filled, and what is measured waits for no disk.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?;
    Recording::make()?.save(folder.path())?;
    cycles(folder.path(), extent.rounds)?;
    whole_agent(folder.path(), &extent)
}

/// One cycle of ours and of the tutorial's.
fn cycles(folder: &Path, rounds: usize) -> anyhow::Result<()> {
    let mean = &mut Ours::new(Recording::load(folder)?, FRAMES)?;
    let single = &mut Ours::new(Recording::load(folder)?, 1)?;
    let small = networks::small();
    let mobile = networks::mobile();
    let mut python = Python::start(folder, &[&small, &mobile]);
    if let Ok(python) = &mut python {
        compare(single, python)?;
    }
    let mut ours: [Measured; 2] = Default::default();
    let mut tutorial: [Measured; 2] = Default::default();
    // The first round warms up and is not counted.
    for round in 0..=rounds {
        for (agent, measured) in [&mut *mean, &mut *single].into_iter().zip(&mut ours) {
            let cycles = (0..MOMENTS).map(|moment| Ok(agent.cycle(moment)?.parts.to_vec()));
            let cycles = cycles.collect::<anyhow::Result<Vec<_>>>()?;
            measured.add(round, cycles);
        }
        if let Ok(python) = &mut python {
            for (cycles, measured) in python.round()?.into_iter().zip(&mut tutorial) {
                measured.add(round, cycles.iter().map(|cycle| cycle.to_vec()).collect());
            }
        }
    }
    say(&format!(
        "One cycle, from raw words to a note's body: ms of processor time, median (10th to 90th percentile) of \
         {rounds} rounds\n\
         of {MOMENTS} cycles, in turns\n\nedge, {}\n{}",
        mean.runtime(),
        table(&ours::PARTS, &OURS, &ours)
    ))?;
    let python = match python {
        Ok(python) => python,
        Err(error) => {
            return say(&format!(
                "\nThe tutorial's way in Python is left out: {error:#}"
            ));
        }
    };
    say(&format!(
        "\nThe tutorial's way, 1 frame\n{}; {:.0} MB of memory\n{}",
        python.versions,
        python.peak_memory()?,
        table(&python::PARTS, &NETWORKS, &tutorial)
    ))?;
    for (name, ours) in OURS.iter().zip(&ours) {
        let mut line = format!("  {:<34}", format!("times edge, {name}"));
        for tutorial in &tutorial {
            let _ = write!(line, "{:>24}", tutorial.over(ours));
        }
        say(&line)?;
    }
    Ok(())
}

/// Both drivers were shown the same words.
fn compare(ours: &mut Ours, python: &mut Python) -> anyhow::Result<()> {
    let mut largest: f64 = 0.0;
    let theirs = python.temperatures()?;
    ensure!(theirs.len() == MOMENTS, "Python has seen other frames");
    let mut bodies = Vec::new();
    for (moment, theirs) in theirs.iter().enumerate() {
        let cycle = ours.cycle(moment)?;
        ensure!(theirs.len() == PIXELS, "Python's frames have other pixels");
        for (ours, theirs) in cycle.pixels.iter().zip(theirs) {
            let apart = (f64::from(*ours) - theirs).abs();
            // What is not a number is not within it either.
            ensure!(
                apart <= TOLERANCE,
                "one driver says {ours} deg C, the other {theirs}: this is not the same work"
            );
            largest = largest.max(apart);
        }
        bodies.push(cycle.body);
    }
    say(&format!(
        "From the same words of {MOMENTS} frames, both drivers get the same temperatures within {largest:.4} deg C.\n\
         A body: {}\n",
        bodies.last().context("no body")?
    ))
}

fn whole_agent(folder: &Path, extent: &Extent) -> anyhow::Result<()> {
    let Extent { days, run, .. } = *extent;
    say("\nThe whole agent, by process: peak memory (VmHWM), and processor time\n")?;
    let running = agent::run(folder, run)?;
    let on_tape = agent::on_tape(folder, days, true)?;
    let full = agent::on_tape(folder, days, false)?;
    let simulated = agent::simulate(folder, days)?;
    let seconds = run.as_secs();
    for (name, took) in [
        (
            format!("`edge run` for {seconds} s: a Notecard on a serial line, no camera"),
            &running,
        ),
        (
            "the agent on recorded words, with an emulated Notecard".to_owned(),
            &on_tape,
        ),
        (
            "the same without a Notecard, on a spool that is full".to_owned(),
            &full,
        ),
        (
            "`edge simulate`: the agent, its scene, all emulators".to_owned(),
            &simulated,
        ),
    ] {
        let processor = match took.cycles {
            // The kernel counts in steps of 10 ms.
            0 if took.processor < 0.01 => "under 10 ms in all".to_owned(),
            0 => format!("{:.0} ms in all", took.processor * 1e3),
            cycles => format!("{:.2} ms for each of {cycles} cycles", took.per_cycle()),
        };
        say(&format!("  {name:<66}{:5.1} MB   {processor}", took.memory))?;
    }
    let agent = [&running, &on_tape, &full];
    let agent = agent.iter().map(|took| took.memory).fold(0.0, f64::max);
    ensure!(
        agent < agent::MEMORY,
        "the agent takes {agent:.1} MB, and is to take less than {} MB",
        agent::MEMORY
    );
    Ok(())
}

impl Measured {
    fn add(&mut self, round: usize, cycles: Vec<Vec<Duration>>) {
        if round == 0 {
            return;
        }
        let mut all: Vec<Duration> = cycles.iter().map(|parts| parts.iter().sum()).collect();
        self.rounds.push(percentile(&mut all, 50));
        self.parts.extend(cycles);
    }

    fn part(&self, part: usize) -> Vec<Duration> {
        self.parts.iter().map(|parts| parts[part]).collect()
    }

    fn all(&self) -> Vec<Duration> {
        self.parts.iter().map(|parts| parts.iter().sum()).collect()
    }

    /// How many times as long as the other, and how that spreads over the rounds.
    fn over(&self, other: &Self) -> String {
        let ratio = |ours: Duration, theirs: Duration| ours.as_secs_f64() / theirs.as_secs_f64();
        let all = ratio(
            percentile(&mut self.all(), 50),
            percentile(&mut other.all(), 50),
        );
        let rounds = self.rounds.iter().zip(&other.rounds);
        let mut ratios: Vec<f64> = rounds.map(|(ours, theirs)| ratio(*ours, *theirs)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let (least, most) = (ratios.first(), ratios.last());
        format!(
            "{all:.1} ({:.1} to {:.1})",
            least.copied().unwrap_or(f64::NAN),
            most.copied().unwrap_or(f64::NAN)
        )
    }
}

fn table(parts: &[&str], columns: &[&str; 2], measured: &[Measured; 2]) -> String {
    let mut text = format!("  {:<34}{:>24}{:>24}\n", "", columns[0], columns[1]);
    let mut line = |name: &str, times: [Vec<Duration>; 2]| {
        let _ = write!(text, "  {name:<34}");
        for mut times in times {
            let [middle, low, high] =
                [50, 10, 90].map(|percent| percentile(&mut times, percent).as_secs_f64() * 1e3);
            let _ = write!(
                text,
                "{:>24}",
                format!("{middle:.3} ({low:.3} to {high:.3})")
            );
        }
        text.push('\n');
    };
    for (part, name) in parts.iter().enumerate() {
        line(name, [0, 1].map(|column| measured[column].part(part)));
    }
    line("all", [0, 1].map(|column| measured[column].all()));
    text.trim_end().to_owned()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn say(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}
