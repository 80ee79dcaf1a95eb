//! What there is to see comes back, within a step of the ADC.

use std::time::Duration;

use chrono::TimeDelta;
use edge::capture::calibration::{Pattern, Resolution};
use edge::capture::mlx90640::{Rate, Settings};
use edge::emulate::mlx90640::{Kind, Make, Ranges, synthetic};
use edge::frame::{PIXELS, Pixels, statistics};
use embedded_hal::i2c::I2c as _;

use super::rig::{KHZ_100, Rig, boiler, room, wide};

fn one_frame() -> Settings {
    Settings {
        frames: 1,
        ..Settings::default()
    }
}

#[test]
fn temperatures_come_back_within_half_a_step() {
    for seed in 1..=4 {
        for emissivity in [1.0, 0.95] {
            let make = Make {
                emissivity: f64::from(emissivity),
                ..Make::new(super::rig::eeprom(seed))
            };
            let rig = Rig::of(make, KHZ_100);
            let settings = Settings {
                emissivity,
                ..one_frame()
            };
            let mut camera = rig.open(settings).expect("a camera");
            for (name, scene, most) in [
                ("room", room(), 0.085),
                ("boiler", boiler(), 0.085),
                ("wide", wide(), 0.13),
            ] {
                rig.show(scene);
                let captured = camera.capture().expect("a picture");
                let (worst, rms) = rig.errors(&captured);
                assert!(
                    worst < most && rms < 0.04,
                    "seed {seed}, {name}: {worst}, rms {rms}"
                );
                assert_eq!(captured.rejected, 0);
                assert!((captured.vdd - 3.3).abs() < 0.001, "{}", captured.vdd);
                let means = [0, 1].map(|number| {
                    let pixels = Pattern::Chess.pixels(number);
                    pixels
                        .map(|pixel| f64::from(captured.frame.pixels[pixel]))
                        .sum::<f64>()
                        / 384.0
                });
                let gap = f64::from(captured.subpage_gap);
                assert!(((means[0] - means[1]).abs() - gap).abs() < 1e-4, "{gap}");
            }
            rig.check_accesses();
        }
    }
}

#[test]
fn every_resolution_is_right_whatever_the_camera_was_calibrated_with() {
    for (seed, calibrated) in [(5, Resolution::Bits18), (6, Resolution::Bits19)] {
        let kind = Kind {
            resolution: calibrated,
            ..Kind::new(seed)
        };
        for resolution in Resolution::ALL {
            let make = Make {
                gain: 1.0,
                ..Make::new(synthetic(&kind))
            };
            let rig = Rig::of(make, KHZ_100);
            let settings = Settings {
                resolution,
                ..one_frame()
            };
            let mut camera = rig.open(settings).expect("a camera");
            // A step is half as large with each bit, counted from what the camera was calibrated with.
            let step = calibrated.over(resolution);
            for (scene, most) in [(room(), 0.17), (wide(), 0.27)] {
                rig.show(scene);
                let captured = camera.capture().expect("a picture");
                let (worst, _) = rig.errors(&captured);
                assert!(
                    (0.25 * most * step..most * step).contains(&worst),
                    "{calibrated:?} {resolution:?}: {worst}"
                );
                rig.check(&captured, most * step);
                assert!((captured.vdd - 3.3).abs() < 0.003, "{}", captured.vdd);
            }
        }
    }
}

#[test]
fn both_patterns_are_right_whatever_the_camera_was_calibrated_in() {
    for calibrated in [Pattern::Chess, Pattern::Interleaved] {
        for pattern in [Pattern::Chess, Pattern::Interleaved] {
            for tgc in [0, 32, -20] {
                let kind = Kind {
                    pattern: calibrated,
                    tgc,
                    ranges: Ranges::Early,
                    ..Kind::new(7)
                };
                let rig = Rig::of(Make::new(synthetic(&kind)), KHZ_100);
                let settings = Settings {
                    pattern,
                    ..one_frame()
                };
                let mut camera = rig.open(settings).expect("a camera");
                assert_eq!(camera.calibration().pattern, calibrated);
                for (scene, most) in [(room(), 0.09), (wide(), 0.15)] {
                    rig.show(scene);
                    let captured = camera.capture().expect("a picture");
                    rig.check(&captured, most);
                }
            }
        }
    }
}

#[test]
fn every_rate_that_the_bus_can_carry_is_right() {
    for (rate, bits_per_second) in [
        (Rate::Half, KHZ_100),
        (Rate::One, KHZ_100),
        (Rate::Four, KHZ_100),
        // The clock of an idle Pi: 5/8 of what was set.
        (Rate::Two, 62_500.0),
        (Rate::Eight, 400_000.0),
        (Rate::Sixteen, 400_000.0),
        (Rate::SixtyFour, 4_000_000.0),
    ] {
        let rig = Rig::of(Make::new(super::rig::eeprom(8)), bits_per_second);
        let settings = Settings {
            rate,
            ..Settings::default()
        };
        let mut camera = rig.open(settings).expect("a camera");
        camera.capture().expect("the first picture");
        let (captured, time) = rig.time(|| camera.capture().expect("a picture"));
        rig.check(&captured, 0.09);
        assert_eq!(captured.rejected, 0, "{rate:?}");
        assert!(time < camera.settings().duration(), "{rate:?}: {time:?}");
        // Eight sub-pages, and the begin of one.
        let periods = time.as_secs_f64() / rate.period().as_secs_f64();
        assert!((7.0..10.0).contains(&periods), "{rate:?}: {periods}");
    }
}

#[test]
fn supply_and_temperature_of_the_camera_change_nothing() {
    for (vdd, die) in [(3.05, -10.0), (3.25, 5.0), (3.4, 60.0), (3.55, 80.0)] {
        let make = Make {
            vdd,
            ..Make::new(super::rig::eeprom(9))
        };
        let rig = Rig::of(make, KHZ_100);
        rig.seen.lock().expect("a lock").die = die;
        let mut camera = rig.open(one_frame()).expect("a camera");
        let captured = camera.capture().expect("a picture");
        rig.check(&captured, 0.09);
        assert!((f64::from(captured.vdd) - vdd).abs() < 0.001);
        assert!((f64::from(captured.frame.ambient.expect("it knows")) - die).abs() < 0.05);
    }
}

#[test]
fn what_the_target_mirrors_can_be_told() {
    let make = Make {
        emissivity: 0.6,
        reflected: Some(55.0),
        ..Make::new(super::rig::eeprom(10))
    };
    let rig = Rig::of(make, KHZ_100);
    rig.show(boiler());
    let told = Settings {
        emissivity: 0.6,
        reflected: Some(55.0),
        ..one_frame()
    };
    let mut camera = rig.open(told.clone()).expect("a camera");
    rig.check(&camera.capture().expect("a picture"), 0.15);
    let untold = Settings {
        reflected: None,
        ..told
    };
    let mut camera = rig.open(untold).expect("a camera");
    let (worst, _) = rig.errors(&camera.capture().expect("a picture"));
    assert!(worst > 5.0, "it should matter: {worst}");
}

#[test]
fn the_mean_of_more_frames_is_quieter() {
    let make = Make {
        gain: 1.0,
        noise: 1.0,
        ..Make::new(super::rig::eeprom(11))
    };
    let rig = Rig::of(make, KHZ_100);
    let noise = |frames: u32| {
        let settings = Settings {
            frames,
            ..Settings::default()
        };
        let mut camera = rig.open(settings).expect("a camera");
        rig.errors(&camera.capture().expect("a picture")).1
    };
    let (one, four, sixteen) = (noise(1), noise(4), noise(16));
    assert!((0.15..0.3).contains(&one), "{one}");
    assert!((1.7..2.4).contains(&(one / four)), "{one} to {four}");
    assert!(
        (1.6..2.4).contains(&(four / sixteen)),
        "{four} to {sixteen}"
    );
}

#[test]
fn a_picture_is_of_now_and_says_when_and_by_which_camera() {
    let rig = Rig::new(12);
    let mut camera = rig.open(one_frame()).expect("a camera");
    rig.check(&camera.capture().expect("a picture"), 0.09);
    // Nobody looks for a while; then everything is different, and a sub-page of before still lies in the camera.
    rig.clock.sleep(Duration::from_hours(1));
    let mut status = [0; 2];
    let mut bus = rig.bus.clone();
    bus.write_read(0x33, &[0x80, 0x00], &mut status)
        .expect("it answers");
    assert_ne!(status[1] & 8, 0, "it is new");
    rig.show(boiler());
    let captured = camera.capture().expect("a picture");
    rig.check(&captured, 0.09);
    assert_eq!(captured.rejected, 0);
    let at = captured.frame.captured_at.expect("it says when");
    assert_eq!(at.timestamp_subsec_nanos(), 0);
    let age = rig.clock.now() - at;
    assert!(
        (TimeDelta::zero()..TimeDelta::seconds(1)).contains(&age),
        "{age}"
    );
    let words = super::rig::eeprom(12);
    let id = format!("{:04x}{:04x}{:04x}", words[7], words[8], words[9]);
    assert_eq!(captured.frame.camera, Some(id));
}

#[test]
fn something_that_moves_is_somewhere_in_between() {
    let rig = Rig::new(13);
    let mut camera = rig.opened();
    camera.capture().expect("a picture");
    let (shown, clock) = (rig.seen.clone(), rig.clock.clone());
    let visitor = rig.clock.spawn("visitor", move || {
        clock.sleep(Duration::from_secs(2));
        *shown.lock().expect("a lock").pixels = [60.0; PIXELS];
    });
    rig.show(Box::new([20.0; PIXELS]));
    let captured = camera.capture().expect("a picture");
    visitor.join().expect("it ends");
    let within = |pixels: &Pixels| pixels.iter().all(|celsius| (19.9..60.1).contains(celsius));
    assert!(within(&captured.frame.pixels));
    let found = statistics(&captured.frame.pixels);
    assert!((25.0..55.0).contains(&found.mean), "{found:?}");
    assert_eq!(captured.rejected, 0);
}

#[test]
fn listed_pixels_are_mended_from_their_own_subpage() {
    let bad = [0, 31, 400, 767];
    let kind = Kind {
        broken: vec![bad[0], bad[2]],
        outliers: vec![bad[1], bad[3]],
        ..Kind::new(14)
    };
    for pattern in [Pattern::Chess, Pattern::Interleaved] {
        let rig = Rig::of(Make::new(synthetic(&kind)), KHZ_100);
        for pixel in bad {
            let lost = edge::emulate::mlx90640::WordFault::Stuck(0x8000);
            rig.faults.set_word(pixel, Some(lost));
        }
        let settings = Settings {
            pattern,
            ..one_frame()
        };
        let mut camera = rig.open(settings).expect("a camera");
        let captured = camera.capture().expect("a picture");
        assert_eq!(captured.known_bad, bad);
        assert_eq!(captured.rejected, 0);
        let pixels = &captured.frame.pixels;
        let truth = room();
        for pixel in 0..PIXELS {
            // The scene is smooth: neighbours are a degree or two apart.
            let most = if bad.contains(&pixel) { 2.5 } else { 0.09 };
            let error = (pixels[pixel] - truth[pixel]).abs();
            assert!(error < most, "{pattern:?}, pixel {pixel}: {error}");
        }
        assert!(captured.frame.repaired(&[]).bad.is_empty());
    }
}
