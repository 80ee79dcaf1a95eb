//! The promise and what became of it, for people.

use std::fmt::{self, Write as _};

use super::injected::{Class, DELTAS, RADII};
use super::trial::{Found, Quiet, STRESS_DAYS, Stressed, Trial, real};
use super::{Evaluation, Target};

/// What no single frame can show, whoever looks at it.
const BLIND: &str = "\
What it cannot see: a single frame of a pump that has stopped, or of a machine or pipe that runs somewhat too hot, looks
like a normal state, and no threshold on single frames will find it. Watch for it in time: how long a label lasts, whether
`hot` is ever reached, and limits that you set yourself. A lens that is wholly covered can look like a panel at rest.
";

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.setting)?;
        scenes(f, self)?;
        spots(f, &self.faults)?;
        others(f, &self.faults)?;
        stresses(f, &self.stress)?;
        targets(f, &self.targets)?;
        write!(f, "\n{BLIND}")
    }
}

fn scenes(f: &mut fmt::Formatter<'_>, evaluation: &Evaluation) -> fmt::Result {
    writeln!(
        f,
        "Nothing wrong                    thresholds          false   false     episodes in 30 days  largest  label\n\
         scene                   K     noise  record °C   frames    rate     1 frame    2 of 3     ratio  right"
    )?;
    for trial in &evaluation.trials {
        let (noise, record) = (trial.threshold_residual, trial.threshold_envelope);
        let fitted = format!(
            "{:>3}  {:>8.2}  {:>9.2}",
            trial.k, noise.clamped, record.clamped
        );
        quiet_row(f, &trial.scene, &fitted, &trial.normal)?;
    }
    quiet_row(f, "all", "", &evaluation.normal)?;
    writeln!(f)
}

fn quiet_row(f: &mut fmt::Formatter<'_>, name: &str, fitted: &str, quiet: &Quiet) -> fmt::Result {
    writeln!(
        f,
        "{name:<20}  {fitted:<24}  {:>7}  {:>6}  {:>10.2}  {:>8.2}  {:>8.2}  {:>5}",
        quiet.false_frames,
        rate(quiet.false_rate()),
        quiet.in_30_days(quiet.false_episodes),
        quiet.in_30_days(quiet.false_episodes_two_of_three),
        quiet.largest_ratio,
        share(quiet.labels_right, quiet.frames),
    )
}

fn spots(f: &mut fmt::Formatter<'_>, faults: &[Found]) -> fmt::Result {
    write!(f, "Hot spots found  ")?;
    for radius in RADII {
        write!(f, "  r {radius} px")?;
    }
    writeln!(f)?;
    for delta_t in DELTAS {
        write!(f, "{:<17}", format!("{delta_t} °C"))?;
        for radius in RADII {
            let found = Found::of(faults, Class::HotSpot { radius, delta_t });
            let text = found.map_or_else(String::new, |found| share(found.alarms, found.frames));
            write!(f, "{text:>8}")?;
        }
        writeln!(f)?;
    }
    writeln!(f)
}

fn others(f: &mut fmt::Formatter<'_>, faults: &[Found]) -> fmt::Result {
    writeln!(
        f,
        "Other faults                           frames   found  sensor fault"
    )?;
    for found in faults {
        if matches!(found.class, Class::HotSpot { .. }) || found.frames == 0 {
            continue;
        }
        let broken = match found.sensor_faults {
            0 => String::new(),
            count => share(count, found.frames),
        };
        writeln!(
            f,
            "{:<38} {:>6}  {:>6}  {broken:>12}",
            found.class.to_string(),
            found.frames,
            share(found.alarms, found.frames)
        )?;
    }
    writeln!(f)
}

fn stresses(f: &mut fmt::Formatter<'_>, stresses: &[Stressed]) -> fmt::Result {
    if stresses.is_empty() {
        return Ok(());
    }
    writeln!(
        f,
        "Nothing wrong, but unusual, {STRESS_DAYS} days each    false rate  largest ratio  movement, px"
    )?;
    for Stressed { stress, quiet } in stresses {
        writeln!(
            f,
            "{stress:<40} {:>12}  {:>13.2}  {:>12.3}",
            rate(quiet.false_rate()),
            quiet.largest_ratio,
            quiet.median_shift
        )?;
    }
    writeln!(f)
}

fn targets(f: &mut fmt::Formatter<'_>, targets: &[Target]) -> fmt::Result {
    writeln!(f, "The promise")?;
    for target in targets {
        let sign = if target.met { '✓' } else { '✗' };
        let mut line = format!("{sign} {:<48} {:>8}", target.name, number(target.measured));
        let bound = if target.at_most {
            "at most"
        } else {
            "at least"
        };
        write!(line, "  ({bound} {})", number(target.limit))?;
        writeln!(f, "{line}")?;
    }
    Ok(())
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HotSpot { radius, delta_t } => {
                write!(f, "hot spot of {radius} px, +{delta_t} °C")
            }
            Self::HotPart { delta_t } => write!(f, "pipe or breaker too hot, +{delta_t} °C"),
            Self::ReliefPipe { delta_t } => write!(f, "relief pipe warm, +{delta_t} °C"),
            Self::MissingHeat { delta_t } => write!(f, "heat missing, -{delta_t} °C"),
            Self::Overheating { delta_t } => write!(f, "set point or load too high, +{delta_t}"),
            Self::FlowFailure => write!(f, "pump or fan stopped"),
            Self::BlockedLens => write!(f, "lens blocked"),
            Self::HalfBlockedLens => write!(f, "lens half blocked"),
            Self::Person => write!(f, "person or hand in view"),
            Self::DeadPixels { pixels } => {
                write!(f, "dead pixels: {pixels} (mended, no alarm due)")
            }
        }
    }
}

impl Trial {
    /// What was spent on it, for people.
    pub fn cost(&self) -> String {
        format!(
            "learned in {:.2} s, one frame judged in {:.0} µs",
            self.train_seconds, self.classify_microseconds
        )
    }
}

fn share(part: usize, whole: usize) -> String {
    if whole == 0 {
        return String::new();
    }
    // Cut and not rounded: 1.00 is all of them.
    format!("{:.2}", (100.0 * real(part) / real(whole)).floor() / 100.0)
}

fn rate(rate: f64) -> String {
    if rate == 0.0 {
        "0".to_owned()
    } else {
        format!("{rate:.1e}")
    }
}

fn number(value: f64) -> String {
    if value != 0.0 && value < 0.005 {
        format!("{value:.1e}")
    } else {
        format!("{value:.3}")
    }
}
