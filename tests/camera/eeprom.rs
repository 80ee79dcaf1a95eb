//! The dump of a camera's first day replaces what was lost since.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use edge::capture::calibration::{Refused, Words};
use edge::capture::eeprom::Outcome;
use edge::capture::mlx90640::{CameraError, Settings};
use edge::emulate::mlx90640::{Kind, Make, synthetic};

use super::rig::{Rig, eeprom};

fn files(rig: &Rig) -> Vec<PathBuf> {
    let folder = fs::read_dir(rig.folder.path().join("camera")).expect("a folder");
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    files
}

fn check(rig: &Rig, outcome: &Outcome) {
    let mut camera = rig.opened();
    assert_eq!(camera.eeprom(), outcome);
    let captured = camera.capture().expect("a picture");
    rig.check(&captured, 0.09);
    let original = &eeprom(1)[7..10];
    let id = captured.frame.camera.expect("it knows");
    let words: Vec<u16> = (0..3)
        .map(|at| u16::from_str_radix(&id[4 * at..4 * at + 4], 16).expect("hex"))
        .collect();
    assert_eq!(words, original);
}

#[test]
fn a_dump_is_kept_once_and_compared() {
    let rig = Rig::new(1);
    check(&rig, &Outcome::FirstSeen);
    let kept = files(&rig);
    assert_eq!(kept.len(), 1);
    let text = fs::read(&kept[0]).expect("a file");
    let dump: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
    let sha256 = dump["sha256"].as_str().expect("a checksum");
    assert_eq!(sha256.len(), 64);
    assert_eq!(rig.opened().eeprom_sha256(), sha256);
    check(&rig, &Outcome::Same);
    assert_eq!(fs::read(&kept[0]).expect("a file"), text);
}

fn lose_column(words: &mut Words, column: usize) {
    let pixels = words[64 + column..].iter_mut().step_by(32);
    pixels.for_each(|word| *word = 0xffff);
}

/// What glitches did to cameras of other people.
#[test]
fn what_was_lost_is_restored() {
    type Damage = fn(&mut Words);
    let damages: [(Damage, &str); 9] = [
        (|words| words[12] = 0, "what the registers hold at power-up"),
        (|words| words[64 + 300] ^= 0x0400, "one bit of a pixel"),
        (
            |words| words.iter_mut().step_by(7).for_each(|word| *word &= 0xfff7),
            "bits",
        ),
        (|words| lose_column(words, 9), "a column"),
        (|words| words[48] = 0, "the gain"),
        (|words| words[7..10].fill(0xffff), "the device id"),
        (|words| words[8] ^= 0x0100, "a bit of the device id"),
        (|words| words.fill(0xffff), "everything"),
        (|words| words.fill(0), "everything, the other way"),
    ];
    for (damage, what) in damages {
        let rig = Rig::new(1);
        check(&rig, &Outcome::FirstSeen);
        rig.faults.change_eeprom(damage);
        let mut damaged = eeprom(1);
        damage(&mut damaged);
        let pairs = damaged.iter().zip(eeprom(1).to_vec());
        let differences = pairs.filter(|(one, other)| *one != other).count();
        assert!(differences > 0, "{what}");
        check(&rig, &Outcome::Restored { differences });
        assert_eq!(files(&rig).len(), 1, "{what} is not kept");
        rig.faults.change_eeprom(|words| *words = *eeprom(1));
        check(&rig, &Outcome::Same);
    }
}

#[test]
fn damage_on_the_first_day_is_refused_with_its_reason() {
    type Damage = fn(&mut Words);
    type Reason = fn(&Refused) -> bool;
    let damages: [(Damage, Reason); 7] = [
        (
            |words| words.fill(0),
            |why| matches!(why, Refused::Blank(0)),
        ),
        (
            |words| words.fill(0xffff),
            |why| matches!(why, Refused::Blank(0xffff)),
        ),
        (
            |words| lose_column(words, 31),
            |why| matches!(why, Refused::Column(31)),
        ),
        (
            |words| words[48] = 0,
            |why| {
                matches!(
                    why,
                    Refused::Term {
                        name: "the gain",
                        ..
                    }
                )
            },
        ),
        (
            |words| words[50] = 0,
            |why| matches!(why, Refused::Term { .. }),
        ),
        (
            |words| words[32] = 0,
            |why| matches!(why, Refused::Sensitivity { .. }),
        ),
        (
            |words| words[100..200].fill(0),
            |why| matches!(why, Refused::Bad(100)),
        ),
    ];
    for (damage, is_right) in damages {
        let rig = Rig::new(1);
        rig.faults.change_eeprom(damage);
        let error = rig
            .open(Settings::default())
            .expect_err("it is no camera's");
        let CameraError::Damaged(damaged) = &error else {
            panic!("{error:?}");
        };
        assert!(is_right(&damaged.why), "{error}");
        assert!(error.to_string().contains("must be replaced"), "{error}");
        rig.check_accesses();
    }
}

#[test]
fn another_camera_is_a_new_one_and_both_are_known() {
    let mut rig = Rig::new(1);
    check(&rig, &Outcome::FirstSeen);
    rig.replace(Make::new(eeprom(2)));
    assert_eq!(rig.opened().eeprom(), &Outcome::FirstSeen);
    assert_eq!(files(&rig).len(), 2);
    // Of two it can still be told which one lost its id, but not when nothing is left.
    rig.replace(Make::new(eeprom(1)));
    rig.faults.change_eeprom(|words| words[7..10].fill(0xffff));
    check(&rig, &Outcome::Restored { differences: 3 });
    rig.faults.change_eeprom(|words| words.fill(0xffff));
    let error = rig.open(Settings::default()).expect_err("it may be either");
    assert!(
        error.to_string().contains("which of the 2 kept dumps"),
        "{error}"
    );
}

#[test]
fn a_broken_camera_does_not_get_another_ones_calibration() {
    let mut rig = Rig::new(1);
    check(&rig, &Outcome::FirstSeen);
    rig.replace(Make::new(eeprom(2)));
    rig.faults.change_eeprom(|words| words[48] = 0);
    let error = rig
        .open(Settings::default())
        .expect_err("its own dump is not there");
    assert!(matches!(error, CameraError::Damaged(_)), "{error:?}");
}

#[test]
fn a_damaged_file_is_written_anew_and_one_that_cannot_be_written_is_told() {
    let rig = Rig::new(1);
    check(&rig, &Outcome::FirstSeen);
    let path = files(&rig).remove(0);
    let text = fs::read_to_string(&path).expect("a file");
    for damaged in [
        String::new(),
        text[..text.len() / 2].to_owned(),
        text.replacen("ae00", "ae01", 1),
        text.replacen("ae00", "äe0", 1),
    ] {
        assert_ne!(damaged, text);
        fs::write(&path, damaged).expect("it can be written");
        check(&rig, &Outcome::FirstSeen);
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
    }
    fs::remove_dir_all(rig.folder.path().join("camera")).expect("it can be removed");
    fs::write(rig.folder.path().join("camera"), "in the way").expect("it can be written");
    let mut camera = rig.opened();
    let Outcome::NotKept { why } = camera.eeprom() else {
        panic!("{:?}", camera.eeprom());
    };
    assert!(why.contains("cannot write"), "{why}");
    rig.check(&camera.capture().expect("a picture"), 0.09);
}

#[test]
fn a_reading_is_believed_when_it_comes_twice() {
    let rig = Rig::new(1);
    check(&rig, &Outcome::FirstSeen);
    // About one word in each reading.
    rig.faults.garble(0.001, Duration::from_secs(1_000_000));
    for _ in 0..10 {
        match rig.open(Settings::default()) {
            Ok(camera) => assert_eq!(camera.eeprom(), &Outcome::Same),
            Err(CameraError::Unsteady | CameraError::Settings { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
    rig.faults.garble(0.5, Duration::from_secs(1_000_000));
    let error = rig
        .open(Settings::default())
        .expect_err("nothing is to be believed");
    assert!(matches!(error, CameraError::Unsteady), "{error:?}");
    rig.faults.garble(0.0, Duration::ZERO);
    check(&rig, &Outcome::Same);
    assert_eq!(files(&rig).len(), 1);
}

#[test]
fn a_seed_gives_the_same_camera_and_its_pixels_are_listed() {
    let kind = Kind {
        broken: vec![5, 700],
        outliers: vec![300],
        ..Kind::new(3)
    };
    assert_eq!(synthetic(&kind), synthetic(&kind));
    let words = synthetic(&kind);
    assert_ne!(words[7..10], synthetic(&Kind::new(4))[7..10]);
    let calibration = edge::capture::calibration::Calibration::parse(&words).expect("it is sound");
    assert_eq!(calibration.bad, [5, 300, 700]);
}
