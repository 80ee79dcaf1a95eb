//! What goes wrong with a camera: it costs time or an error that says why, and never gives a wrong temperature.

use std::path::Path;
use std::time::Duration;

use edge::capture::calibration::{Doubt, Resolution};
use edge::capture::mlx90640::{
    CameraError, Captured, Mlx90640, Rate, Rejection, Settings, linux_bus,
};
use edge::clock::Task;
use edge::emulate::bus::Bus;
use edge::emulate::mlx90640::{Kind, Make, WordFault, synthetic};
use edge::frame::PIXELS;
use embedded_hal::i2c::{I2c, Operation};

use super::rig::{KHZ_100, Rig, boiler, eeprom};

const NEVER: Duration = Duration::from_secs(1_000_000);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn short() -> Settings {
    Settings {
        deadline: seconds(10),
        ..Settings::default()
    }
}

/// A capture that must fail, and not much later than its deadline.
fn failure(rig: &Rig, camera: &mut Mlx90640<Bus>) -> CameraError {
    let most = camera.settings().deadline + seconds(1);
    let (result, time) = rig.time(|| camera.capture());
    assert!(time <= most, "it took {time:?}");
    rig.check_accesses();
    result.expect_err("there is nothing to believe")
}

fn picture(rig: &Rig, camera: &mut Mlx90640<Bus>) -> Captured {
    let captured = camera.capture().expect("a picture");
    rig.check(&captured, 0.09);
    captured
}

#[test]
fn nobody_there_is_told_at_once_and_who_comes_late_is_waited_for() {
    let rig = Rig::new(1);
    rig.faults.silence(NEVER);
    let (opened, time) = rig.time(|| rig.open(short()));
    let error = opened.expect_err("nobody answers");
    assert!(matches!(error, CameraError::NoAnswer(_)), "{error:?}");
    assert!(error.to_string().contains("0x33"), "{error}");
    assert!(time <= seconds(11), "{time:?}");

    rig.faults.silence(seconds(3));
    let (opened, time) = rig.time(|| rig.open(short()));
    let mut camera = opened.expect("it came");
    assert!((seconds(3)..seconds(5)).contains(&time), "{time:?}");
    assert_eq!(picture(&rig, &mut camera).rejected, 0);
}

#[test]
fn a_machine_without_a_bus_is_told_how_to_get_one() {
    let error = linux_bus(Path::new("/nowhere/i2c-1"))
        .err()
        .expect("there is none");
    let told = error.to_string();
    assert!(
        told.contains("/nowhere/i2c-1") && told.contains("raspi-config"),
        "{told}"
    );
}

#[test]
fn a_camera_that_is_silent_for_a_moment_is_asked_again_and_one_that_is_gone_is_told() {
    let rig = Rig::new(2);
    let mut camera = rig.open(short()).expect("a camera");
    picture(&rig, &mut camera);
    let (_, usual) = rig.time(|| picture(&rig, &mut camera));
    rig.faults.silence(Duration::from_millis(12));
    let (_, time) = rig.time(|| picture(&rig, &mut camera));
    assert!(rig.faults.counters().refused > 0, "it was silent");
    // It may have been without power: two sub-pages are passed over.
    assert!(
        time > usual + Duration::from_millis(700),
        "{usual:?}, {time:?}"
    );

    rig.faults.silence(NEVER);
    let (result, time) = rig.time(|| camera.capture());
    let error = result.expect_err("it is gone");
    assert!(matches!(error, CameraError::NoAnswer(_)), "{error:?}");
    assert!(time < seconds(1), "{time:?}");

    rig.faults.silence(Duration::ZERO);
    picture(&rig, &mut camera);
}

#[test]
fn silence_in_the_middle_of_a_capture_costs_time_only() {
    for milliseconds in (200..1400).step_by(73) {
        let rig = Rig::new(3);
        let mut camera = rig.open(short()).expect("a camera");
        let (faults, clock) = (rig.faults.clone(), rig.clock.clone());
        let task = rig.clock.spawn("disturbance", move || {
            clock.sleep(Duration::from_millis(milliseconds));
            faults.silence(Duration::from_millis(14));
        });
        picture(&rig, &mut camera);
        task.join().expect("it ends");
    }
}

#[test]
fn a_camera_without_measurements_is_a_timeout_and_nothing_else() {
    let rig = Rig::new(4);
    let mut camera = rig.open(short()).expect("a camera");
    picture(&rig, &mut camera);
    rig.faults.freeze(NEVER);
    rig.clock.sleep(seconds(60));
    let error = failure(&rig, &mut camera);
    assert!(
        matches!(
            error,
            CameraError::Timeout {
                measured: 0,
                wanted: 8,
                ..
            }
        ),
        "{error:?}"
    );
    rig.faults.freeze(Duration::ZERO);
    picture(&rig, &mut camera);
    // It stops in the middle, after something had to be dropped.
    rig.faults.interrupt(1);
    let (faults, clock) = (rig.faults.clone(), rig.clock.clone());
    let task = rig.clock.spawn("frost", move || {
        clock.sleep(seconds(2));
        faults.freeze(NEVER);
    });
    let error = failure(&rig, &mut camera);
    assert!(
        matches!(
            error,
            CameraError::Timeout {
                measured: 1..=4,
                ..
            }
        ),
        "{error:?}"
    );
    task.join().expect("it ends");
}

#[test]
fn a_subpage_that_lands_in_the_middle_of_a_reading_is_dropped() {
    let rig = Rig::new(5);
    let mut camera = rig.open(short()).expect("a camera");
    picture(&rig, &mut camera);
    rig.faults.interrupt(3);
    // Both sub-pages differ, so that a mixture would show.
    rig.show(boiler());
    let captured = picture(&rig, &mut camera);
    assert_eq!(captured.rejected, 3);
    assert_eq!(rig.faults.counters().torn, 3);
}

#[test]
fn a_bus_too_slow_for_its_rate_is_told() {
    let rig = Rig::new(6);
    let settings = Settings {
        rate: Rate::Eight,
        ..short()
    };
    let mut camera = rig.open(settings).expect("a camera");
    let error = failure(&rig, &mut camera);
    assert!(
        matches!(
            error,
            CameraError::Invalid {
                last: Rejection::Torn,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("lower the refresh rate"),
        "{error}"
    );
    assert!(rig.faults.counters().torn > 20);
}

#[test]
fn words_without_data_are_no_picture() {
    let rig = Rig::new(7);
    let mut camera = rig.open(short()).expect("a camera");
    rig.faults.unready(seconds(2));
    let captured = picture(&rig, &mut camera);
    assert!(
        (1..=4).contains(&captured.rejected),
        "{}",
        captured.rejected
    );
    rig.faults.unready(NEVER);
    let error = failure(&rig, &mut camera);
    let no_data = matches!(
        error,
        CameraError::Invalid {
            last: Rejection::Doubt(Doubt::NoData { .. }),
            ..
        }
    );
    assert!(no_data, "{error:?}");
}

#[test]
fn a_supply_that_breaks_down_is_told_with_its_volts() {
    let rig = Rig::new(8);
    let mut camera = rig.open(short()).expect("a camera");
    rig.faults.set_vdd(2.7);
    let error = failure(&rig, &mut camera);
    let CameraError::Invalid {
        last: Rejection::Doubt(Doubt::Vdd { volts }),
        ..
    } = error
    else {
        panic!("{error:?}");
    };
    assert!((volts - 2.7).abs() < 0.01, "{volts}");
    // Low, but within what the camera is made for.
    rig.faults.set_vdd(3.1);
    let captured = picture(&rig, &mut camera);
    assert!((captured.vdd - 3.1).abs() < 0.01);
}

#[test]
fn a_camera_that_is_too_hot_to_measure_is_told() {
    let rig = Rig::new(9);
    let mut camera = rig.open(short()).expect("a camera");
    rig.seen.lock().expect("a lock").die = 95.0;
    let error = failure(&rig, &mut camera);
    assert!(
        error.to_string().contains("own temperature is 95"),
        "{error}"
    );
}

#[test]
fn a_power_cut_of_the_camera_costs_time_only() {
    for (milliseconds, settings) in [
        (900, short()),
        (
            1130,
            Settings {
                rate: Rate::One,
                resolution: Resolution::Bits19,
                ..short()
            },
        ),
        (
            1540,
            Settings {
                rate: Rate::One,
                resolution: Resolution::Bits16,
                ..short()
            },
        ),
    ] {
        let make = Make {
            gain: 4.0,
            ..Make::new(eeprom(10))
        };
        let make = if settings.resolution == Resolution::Bits19 {
            Make { gain: 2.0, ..make }
        } else {
            make
        };
        let rig = Rig::of(make, KHZ_100);
        let mut camera = rig
            .open(Settings {
                deadline: seconds(30),
                ..settings
            })
            .expect("a camera");
        let (faults, clock) = (rig.faults.clone(), rig.clock.clone());
        let task = rig.clock.spawn("power", move || {
            clock.sleep(Duration::from_millis(milliseconds));
            faults.cut_power(Duration::from_millis(25));
        });
        let captured = camera.capture().expect("a picture");
        rig.check(&captured, 0.2);
        task.join().expect("it ends");
        assert_eq!(rig.faults.counters().starts, 2);
        let captured = camera.capture().expect("another picture");
        rig.check(&captured, 0.2);
    }
}

#[test]
fn a_camera_without_power_for_long_is_told_and_works_again_afterwards() {
    let rig = Rig::new(11);
    let settings = Settings {
        rate: Rate::One,
        deadline: seconds(30),
        ..short()
    };
    let mut camera = rig.open(settings).expect("a camera");
    picture(&rig, &mut camera);
    rig.faults.cut_power(seconds(5));
    let error = camera.capture().expect_err("it has no power");
    assert!(matches!(error, CameraError::NoAnswer(_)), "{error:?}");
    rig.clock.sleep(seconds(5));
    picture(&rig, &mut camera);
    assert_eq!(rig.faults.counters().starts, 2);
}

#[test]
fn a_pixel_that_died_is_mended_and_five_are_a_fault() {
    let rig = Rig::new(12);
    let mut camera = rig.open(short()).expect("a camera");
    let truth = rig.seen.lock().expect("a lock").pixels.clone();
    let dying = [100, 103, 301, 500, 698];
    for (count, &pixel) in dying.iter().enumerate() {
        rig.faults.set_word(pixel, Some(WordFault::Stuck(0x8000)));
        let died = &dying[..=count];
        if count == 4 {
            let error = failure(&rig, &mut camera);
            assert!(
                matches!(
                    error,
                    CameraError::Invalid {
                        last: Rejection::Pixels(_),
                        ..
                    }
                ),
                "{error:?}"
            );
            break;
        }
        let captured = camera.capture().expect("a picture");
        assert!(
            died.iter()
                .all(|&pixel| captured.frame.pixels[pixel].is_nan())
        );
        // The first one of each could have been a glitch; that of the first pixel was passed over anyway.
        assert_eq!(usize::try_from(captured.rejected).expect("few"), count);
        assert!(captured.subpage_gap.is_finite());
        let mended = captured.frame.repaired(&[]);
        assert_eq!(mended.bad, died);
        for index in 0..PIXELS {
            let most = if died.contains(&index) { 2.5 } else { 0.09 };
            assert!(
                (mended.pixels[index] - truth[index]).abs() < most,
                "pixel {index}"
            );
        }
    }
    for pixel in dying {
        rig.faults.set_word(pixel, None);
    }
    picture(&rig, &mut camera);
}

#[test]
fn a_pixel_that_is_off_is_mended() {
    let rig = Rig::new(13);
    let mut camera = rig.opened();
    rig.faults.set_word(333, Some(WordFault::Off(400)));
    let captured = camera.capture().expect("a picture");
    let mended = captured.frame.repaired(&[]);
    assert_eq!(mended.bad, [333]);
    let truth = rig.seen.lock().expect("a lock").pixels[333];
    assert!((mended.pixels[333] - truth).abs() < 2.5);
}

/// Words are off for one sub-page.
fn briefly(rig: &Rig, words: &'static [usize], by: i16) -> Task<()> {
    let (faults, clock) = (rig.faults.clone(), rig.clock.clone());
    rig.clock.spawn("glitch", move || {
        clock.sleep(Duration::from_millis(800));
        for &word in words {
            faults.set_word(word, Some(WordFault::Off(by)));
        }
        clock.sleep(Duration::from_millis(500));
        for &word in words {
            faults.set_word(word, None);
        }
    })
}

#[test]
fn one_wrong_word_among_four_changes_nothing() {
    let rig = Rig::new(18);
    let mut camera = rig.opened();
    picture(&rig, &mut camera);
    for pixels in [&[165], &[166]] {
        // By some 20 deg C: a mean of four would be off by 5, which could be true.
        let glitch = briefly(&rig, pixels, 200);
        let captured = picture(&rig, &mut camera);
        glitch.join().expect("it ends");
        assert_eq!(captured.rejected, 0);
    }
}

#[test]
fn conditions_that_jump_are_not_believed() {
    let kind = Kind {
        tgc: 32,
        ..Kind::new(19)
    };
    // Gain, thermometer, supply and the compensation pixels: each within what is possible.
    let glitches: [(&[usize], i16); 4] = [
        (&[778], 240),
        (&[800], 17),
        (&[810], 300),
        (&[776, 808], 60),
    ];
    for (words, by) in glitches {
        let rig = Rig::of(Make::new(synthetic(&kind)), KHZ_100);
        let settings = Settings {
            frames: 1,
            ..short()
        };
        let mut camera = rig.open(settings).expect("a camera");
        picture(&rig, &mut camera);
        let glitch = briefly(&rig, words, by);
        for _ in 0..2 {
            picture(&rig, &mut camera);
        }
        glitch.join().expect("it ends");
        assert!(
            (1..=3).contains(&camera.rejected()),
            "{words:?}: {}",
            camera.rejected()
        );
        // A step that stays is no glitch.
        rig.faults.set_word(810, Some(WordFault::Off(300)));
        let before = camera.rejected();
        camera.capture().expect("a picture");
        assert_eq!(camera.rejected(), before + 1);
    }
}

#[test]
fn a_checkerboard_that_stays_shows_in_the_gap() {
    let rig = Rig::new(14);
    let mut camera = rig.opened();
    let sound = picture(&rig, &mut camera).subpage_gap;
    assert!(sound < 0.5, "{sound}");
    for pixel in edge::capture::calibration::Pattern::Chess.pixels(1) {
        rig.faults.set_word(pixel, Some(WordFault::Off(60)));
    }
    let stuck = camera.capture().expect("a picture").subpage_gap;
    assert!(stuck > 3.0, "{stuck}");
}

/// The bus has no checksum: what is read may be anything.
#[test]
fn garbled_words_never_become_temperatures() {
    for (share, most_failures) in [(0.0002, 0), (0.002, 8), (0.02, 12), (0.3, 12)] {
        let rig = Rig::new(15);
        let mut camera = rig.open(short()).expect("a camera");
        picture(&rig, &mut camera);
        rig.faults.garble(share, NEVER);
        let mut failures = 0;
        for turn in 0..12 {
            rig.clock.sleep(seconds(7));
            match camera.capture() {
                Err(CameraError::NoAnswer(error)) => panic!("it does answer: {error}"),
                Err(_) => failures += 1,
                Ok(captured) => {
                    let (worst, _) = rig.errors(&captured);
                    assert!(worst < 2.5, "{share}, {turn}: {worst} deg C wrong");
                    let ambient = captured.frame.ambient.expect("it knows");
                    assert!((ambient - 31.0).abs() < 0.3, "{ambient}");
                    assert!((captured.vdd - 3.3).abs() < 0.02, "{}", captured.vdd);
                }
            }
        }
        assert!(failures <= most_failures, "{share}: {failures} failures");
        rig.check_accesses();
        rig.faults.garble(0.0, Duration::ZERO);
        let captured = picture(&rig, &mut camera);
        assert!(captured.rejected > 0 || share < 0.001);
    }
}

#[test]
fn old_settings_are_not_in_the_picture() {
    let rig = Rig::new(16);
    for resolution in Resolution::ALL {
        for pattern in [
            edge::capture::calibration::Pattern::Interleaved,
            edge::capture::calibration::Pattern::Chess,
        ] {
            let settings = Settings {
                resolution,
                pattern,
                frames: 1,
                ..short()
            };
            let mut camera = rig.open(settings).expect("a camera");
            let captured = camera.capture().expect("a picture");
            rig.check(&captured, 0.4);
            assert_eq!(captured.rejected, 0);
        }
    }
}

#[test]
fn the_emulated_camera_refuses_and_tells_what_no_driver_may_do() {
    let rig = Rig::new(17);
    let before = eeprom(17);
    let mut bus = rig.bus.clone();
    let mut word = [0; 2];
    let mut forbidden = 0;
    let mut refuses = |operations: &mut [Operation<'_>], why: &str| {
        let refused = bus.transaction(0x33, operations);
        assert!(refused.is_err(), "{why}");
        forbidden += 1;
        let violations = rig.faults.violations();
        assert_eq!(violations.len(), forbidden, "{why}");
        assert!(violations[forbidden - 1].contains(why), "{violations:?}");
    };
    refuses(&mut [Operation::Read(&mut word)], "no address");
    refuses(&mut [Operation::Write(&[0x24, 0x0c, 0, 0])], "EEPROM");
    refuses(&mut [Operation::Write(&[0x04, 0x00, 0, 0])], "0x0400");
    refuses(
        &mut [Operation::Write(&[0x80, 0x0d, 0x19, 0x05])],
        "wrong temperatures",
    );
    refuses(
        &mut [Operation::Write(&[0x80, 0x0d, 0x19, 0x09])],
        "wrong temperatures",
    );
    refuses(&mut [Operation::Write(&[0x80, 0x0d, 0x19])], "no camera");
    let mut odd = [0; 3];
    let from = |address: &'static [u8]| Operation::Write(address);
    refuses(
        &mut [from(&[0x04, 0x00]), Operation::Read(&mut odd)],
        "3 bytes",
    );
    refuses(
        &mut [from(&[0x07, 0x3f]), Operation::Read(&mut [0; 4])],
        "0x073f",
    );
    refuses(
        &mut [from(&[0x27, 0x40]), Operation::Read(&mut word)],
        "0x2740",
    );
    let mut all = [0; 1664];
    bus.transaction(0x33, &mut [from(&[0x24, 0x00]), Operation::Read(&mut all)])
        .expect("it may be read");
    let words: Vec<u16> = all
        .as_chunks()
        .0
        .iter()
        .map(|&pair| u16::from_be_bytes(pair))
        .collect();
    assert_eq!(words, before[..]);
}
