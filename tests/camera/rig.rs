//! A simulated world with one camera on one bus.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::capture::calibration::Words;
use edge::capture::eeprom::Kept;
use edge::capture::mlx90640::{CameraError, Captured, Mlx90640, Settings};
use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::mlx90640::{Camera, Faults, Kind, Make, Seen, synthetic};
use edge::emulate::time::World;
use edge::frame::{COLUMNS, PIXELS, Pixels};

pub const KHZ_100: f64 = 100_000.0;

pub struct Rig {
    pub world: World,
    pub clock: Clock,
    pub bus: Bus,
    pub faults: Faults,
    /// Where dumps are kept.
    pub folder: tempfile::TempDir,
    /// What the camera sees now.
    pub seen: Arc<Mutex<Seen>>,
}

pub fn eeprom(seed: u64) -> Box<Words> {
    synthetic(&Kind::new(seed))
}

impl Rig {
    pub fn new(seed: u64) -> Self {
        Self::of(Make::new(eeprom(seed)), KHZ_100)
    }

    pub fn of(make: Make, bits_per_second: f64) -> Self {
        let world = World::new("2026-03-01T12:00:00Z".parse().expect("a time"), None);
        let clock = Clock::simulated(world.local());
        let bus = Bus::new(clock.clone(), bits_per_second);
        let seen = Arc::new(Mutex::new(Seen {
            pixels: room(),
            die: 31.0,
        }));
        let faults = attach(&bus, &clock, make, &seen);
        Self {
            world,
            clock,
            bus,
            faults,
            folder: tempfile::tempdir().expect("a folder"),
            seen,
        }
    }

    /// Puts another camera into the place of this one.
    pub fn replace(&mut self, make: Make) {
        self.faults = attach(&self.bus, &self.clock, make, &self.seen);
    }

    pub fn show(&self, pixels: Box<Pixels>) {
        self.seen.lock().expect("a lock").pixels = pixels;
    }

    pub fn kept(&self) -> Kept {
        Kept::new(self.folder.path().join("camera"))
    }

    pub fn open(&self, settings: Settings) -> Result<Mlx90640<Bus>, CameraError> {
        Mlx90640::open(self.bus.clone(), self.clock.clone(), settings, &self.kept())
    }

    pub fn opened(&self) -> Mlx90640<Bus> {
        self.open(Settings::default()).expect("a camera")
    }

    /// The largest difference to what there is to see, and the root of the mean square, deg C.
    pub fn errors(&self, captured: &Captured) -> (f64, f64) {
        let seen = self.seen.lock().expect("a lock").clone();
        let pixels = captured.frame.repaired(&[]).pixels;
        differences(&pixels, &seen.pixels)
    }

    /// Fails unless the picture is of what there is to see, and was not paid for with a forbidden access.
    pub fn check(&self, captured: &Captured, most: f64) {
        let (worst, _) = self.errors(captured);
        assert!(worst <= most, "{worst} deg C wrong");
        let ambient = f64::from(captured.frame.ambient.expect("it knows"));
        let die = self.seen.lock().expect("a lock").die;
        assert!((ambient - die).abs() < 0.3, "{ambient} for {die}");
        self.check_accesses();
    }

    pub fn check_accesses(&self) {
        assert_eq!(self.faults.violations(), [""; 0]);
    }

    /// How long something takes in this world.
    pub fn time<T>(&self, work: impl FnOnce() -> T) -> (T, Duration) {
        let begin = self.world.elapsed();
        let result = work();
        (result, self.world.elapsed().saturating_sub(begin))
    }
}

fn attach(bus: &Bus, clock: &Clock, make: Make, seen: &Arc<Mutex<Seen>>) -> Faults {
    let seen = seen.clone();
    let source = Box::new(move |_: Duration| seen.lock().expect("a lock").clone());
    let (camera, faults) = Camera::new(make, source, clock.clone()).expect("a sound EEPROM");
    bus.attach(0x33, camera);
    faults
}

pub fn differences(one: &Pixels, other: &Pixels) -> (f64, f64) {
    let pairs = one.iter().zip(other.iter());
    let (mut worst, mut sum) = (0.0_f64, 0.0);
    for (one, other) in pairs {
        let difference = f64::from((one - other).abs());
        // Not a number is as wrong as can be.
        worst = if difference.is_nan() {
            f64::INFINITY
        } else {
            worst.max(difference)
        };
        sum += difference * difference;
    }
    (worst, (sum / 768.0).sqrt())
}

/// From the first temperature to the second, smoothly over the whole picture.
fn picture(from: f32, to: f32) -> Box<Pixels> {
    let mut pixels = Box::new([0.0; PIXELS]);
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let [row, column] = [index / COLUMNS, index % COLUMNS]
            .map(|at| f32::from(u16::try_from(at).expect("a pixel")));
        let wave = 0.5 - 0.25 * ((row * 0.3).cos() + (column * 0.2 + 0.5).cos());
        *pixel = from + (to - from) * wave;
    }
    pixels
}

pub fn room() -> Box<Pixels> {
    picture(18.0, 45.0)
}

pub fn boiler() -> Box<Pixels> {
    picture(20.0, 110.0)
}

pub fn wide() -> Box<Pixels> {
    picture(-30.0, 280.0)
}
