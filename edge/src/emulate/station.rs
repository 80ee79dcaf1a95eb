//! A station in a simulated world: the real agent, drivers and spool included, on emulated hardware, for as many days as
//! wanted, posting routed events as Notehub does.
//!
//! `plan` is what happens, `radio` carries what the Notecard has to Notehub, `ledger` compares what the agent made with
//! what arrived. A thread of the scenario switches things on and off at their times; everything else happens by itself.
//! The same seed gives the same days, whatever machine they are played on and however fast.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::{DateTime, TimeDelta, Timelike as _, Utc};
use rand::SeedableRng as _;
use rand::rngs::ChaCha8Rng;
use serde_json::Value;

use super::bus::Bus;
use super::mlx90640::{self, Camera, Faults, Make, Seen, Source};
use super::notecard::{self, Network, Notecard};
use super::notehub::{self, Notehub, Route};
use super::scene::{self, Scene};
use super::time::{PowerCut, World};
use crate::agent::{Agent, Setup, Stop};
use crate::classify::{Classifier, Runtime};
use crate::clock::{Clock, Task};
use crate::config::Config;
use crate::hardware::{Emulated, Station};
use crate::health::{Supervisor, Told};
use crate::model::training;

mod ledger;
mod plan;
mod radio;

pub use ledger::{Ledger, Start};
pub use plan::{Happening, Plan, What};

/// Both hang on one bus at this rate, which is what the Notecard bears.
const BITS_PER_SECOND: f64 = 100_000.0;
/// What loses power together.
const STATION: u64 = 1;
/// The frames that the scene is learned from, over so many days, and which course of the scene those took.
const LESSONS: usize = 240;
const LESSON_DAYS: f64 = 14.0;
const LESSON_COURSE: u64 = 1;
/// The course that the days of the simulation take.
const COURSE: u64 = 2;
/// When all that was switched off is on again, the last notes have this long to arrive.
const GRACE: Duration = Duration::from_hours(4);

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Options {
    pub kind: scene::Kind,
    pub seed: u64,
    pub days: f64,
    /// The wall-clock time at which it begins.
    pub start: DateTime<Utc>,
    /// How many times faster than the machine's time; None is as fast as the work allows.
    pub pace: Option<f64>,
    pub plan: Plan,
    pub route: Route,
    pub config: Config,
    pub state_dir: PathBuf,
    /// The Notecard hangs on a serial line, and not on the camera's bus.
    pub serial: bool,
}

/// How far it is.
#[derive(Debug, Clone)]
pub struct Progress {
    pub elapsed: Duration,
    pub now: DateTime<Utc>,
    /// What has just been switched.
    pub happened: Option<What>,
    pub events: usize,
}

/// A station with power, or without.
struct Site {
    world: World,
    clock: Clock,
    options: Options,
    onnx: Vec<u8>,
    scene: &'static Scene,
    camera: Faults,
    notecard: Notecard,
    notehub: Notehub,
    hardware: Emulated,
    hot_spots: Arc<Mutex<Vec<scene::Fault>>>,
    running: Option<Running>,
    /// Since when the camera has power.
    powered_since: Duration,
    /// Somebody has taken an event, or was not meant to.
    is_reached: bool,
    is_route_down: bool,
    starts: Vec<Start>,
    skews: u64,
}

struct Running {
    agent: Task<()>,
    stop: Stop,
}

/// Plays it, and says what became of every note.
pub fn simulate(options: Options, progress: &mut dyn FnMut(&Progress)) -> anyhow::Result<Ledger> {
    Ok(play(options, progress)?.0)
}

/// The same, and leaves Notehub as it is in the end, with all events that it ever took.
pub fn play(
    options: Options,
    progress: &mut dyn FnMut(&Progress),
) -> anyhow::Result<(Ledger, Notehub)> {
    let plan = options.plan.clone();
    let length = Duration::from_secs_f64(options.days * 86_400.0);
    let mut site = Site::new(options)?;
    let radio = radio::start(&site.clock, &site.notecard, &site.notehub);
    site.power_on()?;
    for happening in plan.happenings() {
        site.pass(happening.at.min(length), progress)?;
        if happening.at >= length {
            break;
        }
        site.happen(&happening.what)?;
        progress(&site.progress(Some(happening.what.clone())));
    }
    site.pass(length, progress)?;
    site.heal()?;
    site.finish(progress)?;
    radio.stop();
    let notehub = site.notehub.clone();
    Ok((site.ledger(&plan), notehub))
}

impl Site {
    fn new(options: Options) -> anyhow::Result<Self> {
        // It lasts as long as the program: the camera looks at it from within the bus.
        let scene: &'static Scene = Box::leak(Box::new(Scene::new(options.kind, options.seed)));
        let onnx = learn(scene, options.start)?;
        let world = World::new(options.start, options.pace);
        let clock = Clock::simulated(world.local());
        let hot_spots = Arc::default();
        let bus = Bus::new(clock.clone(), BITS_PER_SECOND);
        let source = looking_at(scene, options.start, Arc::clone(&hot_spots));
        let eeprom = mlx90640::synthetic(&mlx90640::Kind::new(options.seed));
        let make = Make {
            noise: 0.5,
            seed: options.seed,
            emissivity: options.config.camera.emissivity,
            ..Make::new(eeprom)
        };
        let (camera, faults) = Camera::new(make, source, clock.clone())?;
        bus.attach(options.config.camera.address, camera);
        // Each scene is a station of its own.
        let kind = match options.kind {
            scene::Kind::Boiler => 0,
            scene::Kind::Panel => 1,
        };
        let device = format!("dev:86447{kind}{:09}", options.seed % 1_000_000_000);
        let notecard = Notecard::new(
            clock.clone(),
            notecard::Options {
                device: device.clone(),
                ..notecard::Options::default()
            },
        );
        if !options.serial {
            bus.attach(options.config.notecard.address, notecard.on_i2c());
        }
        let about = about(&options, scene, device);
        let notehub = Notehub::new(clock.clone(), options.seed, options.route.clone(), about);
        let hardware = Emulated {
            bus,
            serial: options.serial.then(|| notecard.clone()),
            synchronised: Arc::new(AtomicBool::new(false)),
            powered: Duration::ZERO,
        };
        Ok(Self {
            world,
            clock,
            onnx,
            scene,
            camera: faults,
            notecard,
            notehub,
            hardware,
            hot_spots,
            running: None,
            powered_since: Duration::ZERO,
            is_reached: false,
            is_route_down: false,
            starts: Vec::new(),
            skews: options.seed,
            options,
        })
    }

    /// The agent starts, on a machine whose clock stopped when the power went.
    fn power_on(&mut self) -> anyhow::Result<()> {
        let local = self.world.station(STATION);
        // Without a clock of its own, a machine believes what was written down last, or worse.
        self.skews = self
            .skews
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let hours = i64::try_from(self.skews >> 54).unwrap_or_default();
        local.set_skew(TimeDelta::hours(-hours));
        let clock = Clock::simulated(local);
        let hardware = Emulated {
            powered: self.world.elapsed().saturating_sub(self.powered_since),
            ..self.hardware.clone()
        };
        let agent = Agent::new(Setup {
            config: self.options.config.clone(),
            clock: clock.clone(),
            station: Station::Emulated(Box::new(hardware)),
            state_dir: self.options.state_dir.clone(),
            classifier: Classifier::load(&self.onnx, &Runtime::Embedded)?,
            supervisor: Supervisor::new(Told::Nobody),
            chance: ChaCha8Rng::seed_from_u64(self.options.seed),
        })?;
        self.starts.push(Start {
            boot: agent.boot(),
            at: self.world.elapsed(),
            made: agent.made(),
        });
        let stop = agent.stop();
        self.running = Some(Running {
            agent: clock.spawn("agent", move || agent.run()),
            stop,
        });
        Ok(())
    }

    /// Whatever it was at, it is not any more.
    fn power_off(&mut self) -> anyhow::Result<()> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        self.world.cut(STATION);
        match running.agent.join() {
            Err(end) if end.is::<PowerCut>() => Ok(()),
            Err(_) => bail!("the agent panicked"),
            Ok(()) => bail!("the agent ended by itself"),
        }
    }

    fn happen(&mut self, what: &What) -> anyhow::Result<()> {
        match what {
            What::PowerCut { off } => {
                self.power_off()?;
                self.camera.cut_power(*off);
                self.notecard.cut_power(*off);
                self.clock.sleep(*off);
                self.powered_since = self.world.elapsed();
                self.power_on()?;
            }
            What::Restart => {
                self.power_off()?;
                self.power_on()?;
            }
            What::NotecardFull { full } => self.notecard.set_full(*full),
            What::Network(network) => self.notecard.set_network(*network),
            What::Route { reachable } => {
                self.is_route_down = !reachable;
                self.notehub.set_faults(notehub::Faults {
                    down: !reachable,
                    ..notehub::Faults::default()
                });
            }
            What::NotecardRestart => self.notecard.cut_power(Duration::from_secs(5)),
            What::NotecardNoise { chance } => self.notecard.storm(self.options.seed, *chance),
            What::CameraSilent { time } => self.camera.silence(*time),
            What::CameraFrozen { time } => self.camera.freeze(*time),
            What::CameraGarbled { share, time } => self.camera.garble(*share, *time),
            What::CameraTorn { readings } => self.camera.interrupt(*readings),
            What::CameraUnready { time } => self.camera.unready(*time),
            What::HotSpot { delta_t } => {
                let place = self.scene.plain_places();
                let index = usize::try_from(self.options.seed).unwrap_or_default() % place.len();
                let place = place[index];
                let spot = scene::Fault::HotSpot {
                    row: place.row as f64,
                    column: place.column as f64,
                    radius: 1.5,
                    delta_t: *delta_t,
                };
                self.spots().push(spot);
            }
            What::HotSpotGone => self.spots().clear(),
            What::Command { body } => self
                .notehub
                .send_note("cmd.qi", Value::Object(body.clone()))?,
            What::Variable { name, value } => self.notehub.set_env(name, value),
        }
        Ok(())
    }

    fn spots(&self) -> std::sync::MutexGuard<'_, Vec<scene::Fault>> {
        self.hot_spots
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything works again.
    fn heal(&mut self) -> anyhow::Result<()> {
        self.notecard.set_network(Network::Up);
        self.notehub.set_faults(notehub::Faults::default());
        self.notecard.storm(0, 0.0);
        self.notecard.set_full(false);
        if self.running.is_none() {
            self.power_on()?;
        }
        Ok(())
    }

    /// Lets the agent hand over what waits, and the rest arrive.
    fn finish(&mut self, progress: &mut dyn FnMut(&Progress)) -> anyhow::Result<()> {
        let until = self.world.elapsed() + GRACE;
        // With the agent at work, until what had piled up is away.
        while self.world.elapsed() < until && !self.notecard.queued().is_empty() {
            self.clock.sleep(Duration::from_mins(1));
        }
        if let Some(Running { agent, stop }) = self.running.take() {
            stop.stop();
            if agent.join().is_err() {
                bail!("the agent panicked");
            }
        }
        self.notecard.sync_now();
        while self.world.elapsed() < until + GRACE
            && !(self.notecard.queued().is_empty() && self.notehub.next_due().is_none())
        {
            self.clock.sleep(Duration::from_mins(1));
            progress(&self.progress(None));
        }
        Ok(())
    }

    /// Until then, telling every now and then.
    fn pass(&mut self, until: Duration, progress: &mut dyn FnMut(&Progress)) -> anyhow::Result<()> {
        const OFTEN: Duration = Duration::from_mins(10);
        loop {
            self.see_whether_anybody_is_there()?;
            let left = until.saturating_sub(self.world.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            self.clock.sleep(left.min(OFTEN));
            progress(&self.progress(None));
        }
    }

    /// A week that is posted to nobody is not worth playing.
    fn see_whether_anybody_is_there(&mut self) -> anyhow::Result<()> {
        if self.is_reached {
            return Ok(());
        }
        let Some(attempt) = self.notehub.first_attempt() else {
            return Ok(());
        };
        self.is_reached = true;
        if !attempt.failed || self.is_route_down {
            return Ok(());
        }
        let url = &self.options.route.url;
        match attempt.status {
            Some(401 | 403) => bail!(
                "{url} does not take the token: it is the Notehub token of that `cloud`, in the file \
                 data/notehub-token where it runs"
            ),
            Some(status) => bail!(
                "{url} answers {status}: {}; is this the /notehub of a `cloud`?",
                attempt.text
            ),
            None => bail!("{url} is not to be reached: {}", attempt.text),
        }
    }

    fn progress(&self, happened: Option<What>) -> Progress {
        Progress {
            elapsed: self.world.elapsed(),
            now: self.world.now(),
            happened,
            events: self.notehub.events().len(),
        }
    }

    fn ledger(self, plan: &Plan) -> Ledger {
        let mut violations = self.camera.violations();
        let broken = self.notecard.violations();
        violations.extend(
            broken
                .iter()
                .map(|violation| format!("Notecard: {violation:?}")),
        );
        Ledger::new(
            &self.options,
            plan,
            &self.starts,
            &self.notehub,
            self.notecard.tally(),
            violations,
        )
    }
}

/// What Notehub knows of the device.
fn about(options: &Options, scene: &Scene, device: String) -> notehub::Station {
    let config = &options.config.notecard;
    notehub::Station {
        device,
        sn: config.serial_number.clone().unwrap_or_else(|| scene.name()),
        product: config.product.clone().unwrap_or_default(),
        app: "app:00000000-0000-4000-8000-000000000000".to_owned(),
        fleets: Vec::new(),
        location: Some(notehub::Location {
            lat: 43.0766,
            lon: -89.4457,
            name: "Shorewood Hills WI".to_owned(),
            country: "US".to_owned(),
            timezone: "America/Chicago".to_owned(),
            tower: "310,410,17169,77315594".to_owned(),
        }),
        transport: "cell:emtc".to_owned(),
    }
}

/// The model of a scene, from frames of an ordinary fortnight before.
fn learn(scene: &Scene, start: DateTime<Utc>) -> anyhow::Result<Vec<u8>> {
    let before = start - TimeDelta::days(15);
    let frames = scene.recording(LESSON_DAYS, LESSONS, LESSON_COURSE, before);
    let training =
        training::train_frames(frames).with_context(|| format!("cannot learn {}", scene.name()))?;
    Ok(training.onnx)
}

/// What the camera sees: the scene as its days go on, with what is put into it.
fn looking_at(
    scene: &'static Scene,
    start: DateTime<Utc>,
    hot_spots: Arc<Mutex<Vec<scene::Fault>>>,
) -> Source {
    let mut course = scene.course(COURSE, start.num_seconds_from_midnight() / 60);
    let mut eye = scene.camera(COURSE);
    Box::new(move |uptime| {
        let minute = u32::try_from(uptime.as_secs() / 60).unwrap_or(u32::MAX);
        let passed = u64::from(minute).saturating_sub(course.moment().minute);
        course.advance(u32::try_from(passed).unwrap_or(u32::MAX));
        let moment = course.moment();
        let faults = hot_spots.lock().unwrap_or_else(PoisonError::into_inner);
        Seen {
            pixels: scene.render(&moment, &mut eye, &faults),
            die: moment.die,
        }
    })
}
