//! Frames from the camera itself, one every period, until there are enough or somebody stops it.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::place::{self, Format};
use crate::capture::eeprom::Kept;
use crate::capture::mlx90640::Mlx90640;
use crate::capture::replay::{self, Recorded, Source};
use crate::clock::{Clock, Signal};
use crate::config::Camera;
use crate::frame::statistics;
use crate::hardware::{I2cBus, Station};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    pub out: &'a Path,
    pub label: Option<String>,
    pub every: Duration,
    /// How many frames; None is without end.
    pub limit: Option<u32>,
    pub format: Format,
}

/// Collects frames; `tell` is told of each frame and of each failure. Returns how many frames were written.
///
/// The first frame waits until the camera is warm. A camera that fails is opened anew for the next frame: this runs for
/// days with nobody near.
pub fn collect(
    wanted: &Wanted<'_>,
    config: &Camera,
    state_dir: &Path,
    station: &Station,
    clock: &Clock,
    stop: &Signal,
    tell: &mut dyn FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<u32> {
    let kept = Kept::new(state_dir);
    let mut camera = Some(open(config, &kept, station, clock)?);
    let warming = config.warm_up.get().saturating_sub(station.powered(clock));
    if !warming.is_zero() {
        tell(format!("the camera warms up for {} s", warming.as_secs()))?;
        if stop.wait(warming) {
            return Ok(0);
        }
    }
    let mut written = 0;
    let begun = clock.uptime();
    for cycle in 1_u32.. {
        match look(&mut camera, config, &kept, station, clock) {
            Ok(frame) => {
                let seen = statistics(&frame.repaired(&[]).pixels);
                let place = store(wanted, frame)?;
                written += 1;
                tell(format!(
                    "{}  {:.1} to {:.1} deg C",
                    place.display(),
                    seen.min,
                    seen.max
                ))?;
            }
            Err(error) => {
                camera = None;
                tell(format!("no frame: {error:#}"))?;
            }
        }
        if wanted.limit.is_some_and(|limit| written >= limit) {
            break;
        }
        let next = begun + wanted.every.saturating_mul(cycle);
        if stop.wait(next.saturating_sub(clock.uptime())) {
            break;
        }
    }
    Ok(written)
}

fn open(
    config: &Camera,
    kept: &Kept,
    station: &Station,
    clock: &Clock,
) -> anyhow::Result<Mlx90640<I2cBus>> {
    let bus = station.camera_bus(config, clock)?;
    let camera = Mlx90640::open(bus, clock.clone(), config.settings(), kept)?;
    Ok(camera)
}

fn look(
    camera: &mut Option<Mlx90640<I2cBus>>,
    config: &Camera,
    kept: &Kept,
    station: &Station,
    clock: &Clock,
) -> anyhow::Result<crate::frame::Frame> {
    let camera = match camera {
        Some(camera) => camera,
        none => none.insert(open(config, kept, station, clock)?),
    };
    let mut frame = camera.capture()?.frame;
    if let Some(name) = &config.name {
        frame.camera = Some(name.clone());
    }
    Ok(frame)
}

fn store(wanted: &Wanted<'_>, frame: crate::frame::Frame) -> anyhow::Result<std::path::PathBuf> {
    let recorded = Recorded {
        frame,
        label: wanted.label.clone(),
        source: Source {
            path: "camera".into(),
            index: None,
        },
        adopted: None,
    };
    let mut places = place::places(std::slice::from_ref(&recorded), wanted.out, wanted.format)?;
    let place = places.pop().context("a frame has a place")?;
    // A clock that was set back would have a frame take another one's name.
    let files = place::written(&place, &recorded, wanted.format)?;
    for (path, bytes) in &files {
        anyhow::ensure!(
            place::there(path, bytes)? != place::There::Other,
            "{} is there already and differs; the machine's clock may have been set back",
            path.display()
        );
    }
    replay::store(&files)?;
    Ok(place)
}
