//! Real cameras' words, where somebody has them: an optional check against what others calculated from them.
//!
//! `THERMAL_WATCH_MLX_DATA` names a folder with `melexis` (Melexis' example device, with their own temperatures) and
//! `signaloid` (recorded with a 16-bit ADC by a camera calibrated at 18). Reference values are those of Adafruit's Python
//! driver 1.3.9, whose calculation is Melexis' library's; it was handed the same words.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use edge::capture::calibration::{Calibration, WORDS, Words};
use edge::capture::mlx90640::Control;
use edge::emulate::mlx90640::{Make, Ranges};
use edge::frame::{PIXELS, Pixels};

use super::rig::{KHZ_100, Rig, wide};

struct Recording {
    eeprom: Box<Words>,
    /// With the control register that they were read under.
    subpages: [(Box<Words>, u16); 2],
}

/// None where nobody has any, which is said.
fn folder() -> Option<PathBuf> {
    let folder = std::env::var_os("THERMAL_WATCH_MLX_DATA").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("skipped: THERMAL_WATCH_MLX_DATA names no folder of recordings");
    }
    folder
}

fn words(path: &Path) -> Vec<u16> {
    let bytes = fs::read(path).expect("a file");
    let pairs = bytes.as_chunks().0.iter();
    pairs.map(|&pair| u16::from_be_bytes(pair)).collect()
}

fn eeprom(folder: &Path) -> Box<Words> {
    let words = words(&folder.join("eeprom.bin"));
    Box::new(words.try_into().expect("832 words"))
}

fn recording(folder: &Path) -> Recording {
    let subpages = [0, 1].map(|number: u16| {
        let words = words(&folder.join(format!("frame{number}.bin")));
        assert_eq!(words[WORDS + 1], number);
        let ram: Words = words[..WORDS].try_into().expect("832 words");
        (Box::new(ram), words[WORDS])
    });
    Recording {
        eeprom: eeprom(folder),
        subpages,
    }
}

fn temperatures(calibration: &Calibration, recording: &Recording, emissivity: f64) -> Box<Pixels> {
    let mut pixels = Box::new([f32::NAN; PIXELS]);
    for (number, (words, control)) in recording.subpages.iter().enumerate() {
        let control = Control::of(*control);
        let view = calibration
            .conditions(words, control.pattern, control.resolution, number)
            .expect("it is sound")
            .seen_through(emissivity, None);
        for pixel in control.pattern.pixels(number) {
            #[expect(clippy::cast_possible_truncation, reason = "a temperature")]
            let celsius = view.temperature(pixel, words[pixel]) as f32;
            pixels[pixel] = celsius;
        }
    }
    pixels
}

fn check(name: &str, pixels: &Pixels, expected: &[(usize, f32)]) {
    let differences = expected
        .iter()
        .map(|&(pixel, celsius)| (pixels[pixel] - celsius).abs());
    let worst = differences.fold(0.0, f32::max);
    eprintln!("{name}: at most {worst} deg C from the reference");
    assert!(worst < 0.01, "{name}: {worst}");
}

#[test]
fn a_real_camera_is_calculated_as_melexis_does() {
    let Some(folder) = folder() else { return };
    let recording = recording(&folder.join("melexis"));
    let calibration = Calibration::parse(&recording.eeprom).expect("it is a camera's");
    assert_eq!(calibration.device.to_string(), "1710a2240185");
    let begin = Instant::now();
    let rounds = 100;
    for _ in 0..rounds {
        std::hint::black_box(temperatures(
            &calibration,
            std::hint::black_box(&recording),
            1.0,
        ));
    }
    eprintln!("{:?} for a full frame", begin.elapsed() / rounds);
    let pixels = temperatures(&calibration, &recording, 1.0);
    let published = fs::read(folder.join("melexis/expected.npy")).expect("a file");
    let published: Vec<f64> = published[published.len() - 8 * PIXELS..]
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| f64::from_le_bytes(bytes))
        .collect();
    let differences = pixels
        .iter()
        .zip(&published)
        .map(|(own, theirs)| (f64::from(*own) - theirs).abs());
    let worst = differences.fold(0.0, f64::max);
    eprintln!("at most {worst} deg C from Melexis' own results");
    assert!(worst < 0.01, "{worst}");
    let expected = [
        (0, 28.857_25),
        (31, 29.326_75),
        (287, 27.229_36),
        (367, 32.277_35),
        (393, 34.996_25),
        (640, 28.607_36),
        (767, 32.341_11),
    ];
    check(
        "emissivity 0.95",
        &temperatures(&calibration, &recording, 0.95),
        &expected,
    );
}

#[test]
fn a_recording_with_another_resolution_is_calculated_as_melexis_does() {
    let Some(folder) = folder() else { return };
    let recording = recording(&folder.join("signaloid"));
    let calibration = Calibration::parse(&recording.eeprom).expect("it is a camera's");
    for (emissivity, expected) in [
        (
            1.0,
            [
                (0, 22.985_22),
                (1, 24.214_53),
                (31, 20.911_44),
                (100, 48.242_4),
                (367, 27.715_6),
                (638, 20.848_75),
                (767, 21.736_07),
            ],
        ),
        (
            0.95,
            [
                (0, 23.252_84),
                (1, 24.543_07),
                (31, 21.074_67),
                (100, 49.637_56),
                (367, 28.213_87),
                (638, 21.008_79),
                (767, 21.941_05),
            ],
        ),
    ] {
        let pixels = temperatures(&calibration, &recording, emissivity);
        check(
            &format!("16 bit, emissivity {emissivity}"),
            &pixels,
            &expected,
        );
    }
}

/// Extended ranges included: the second of these cameras has them at 120 and 240 deg C.
#[test]
fn real_calibrations_go_to_and_fro() {
    let Some(folder) = folder() else { return };
    for name in ["melexis", "signaloid", "jamesd"] {
        let make = Make::new(eeprom(&folder.join(name)));
        let rig = Rig::of(make, KHZ_100);
        rig.show(wide());
        let mut camera = rig.opened();
        let (worst, rms) = rig.errors(&camera.capture().expect("a picture"));
        eprintln!("{name}: -30 to 280 deg C, at most {worst} wrong, rms {rms}");
        assert!(worst < 0.16 && rms < 0.04, "{name}: {worst}, {rms}");
        let early = camera.calibration().ct[2] < 200.0;
        assert_eq!(early, name == "signaloid", "{:?}", Ranges::Early);
    }
}
