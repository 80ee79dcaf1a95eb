//! `edge check`: goes through everything a station needs, in the order in which it needs it, and says what to mend.

use std::process::ExitCode;

use super::{say, station};
use crate::classify;
use crate::clock::Clock;
use crate::examine::{self, Finding, Mark};
use crate::hardware::Station;

/// Exit code when something is wrong.
const WRONG: u8 = 1;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at configuration, disk, model, camera, Notecard and clock, takes a picture, and estimates the data of a year. \
Nothing is sent; the Notecard's settings stay as they are. \
Stop a running agent before: `sudo systemctl stop thermal-watch-edge`. \
Exit code 1: something is wrong (✗).")]
pub struct Options {
    #[command(flatten)]
    station: station::Place,
    /// Print one JSON object a finding
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let configured = options.station.load()?;
    classify::prepare_environment(&configured.config.model.runtime())?;
    let mut wrong = false;
    let mut broken = None;
    examine::examine(
        &configured.config,
        &configured.state_dir,
        &Station::Machine,
        &Clock::system(),
        &mut |finding| {
            wrong |= finding.mark == Mark::Wrong;
            // Somebody waits in front of it: each one as it is found.
            if let Err(error) = say(&line(&finding, options.json)) {
                broken.get_or_insert(error);
            }
        },
    );
    if let Some(error) = broken {
        return Err(error);
    }
    Ok(if wrong {
        ExitCode::from(WRONG)
    } else {
        ExitCode::SUCCESS
    })
}

fn line(finding: &Finding, json: bool) -> String {
    if json {
        let line = serde_json::json!({
            "part": finding.part,
            "mark": finding.mark.name(),
            "found": finding.found,
            "advice": finding.advice,
        });
        return format!("{line}\n");
    }
    let found = finding.found.replace('\n', "\n            ");
    let advice = finding
        .advice
        .as_ref()
        .map_or_else(String::new, |advice| format!("            -> {advice}\n"));
    format!(
        "{} {:<9} {found}\n{advice}",
        finding.mark.sign(),
        finding.part
    )
}
