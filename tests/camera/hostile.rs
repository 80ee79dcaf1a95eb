//! Whatever a camera says: an answer or an error, never a panic.

use std::time::Duration;

use edge::capture::calibration::{Calibration, Pattern, Resolution, Words};
use edge::capture::mlx90640::Settings;
use edge::emulate::mlx90640::WordFault;
use proptest::prelude::*;

use super::rig::{Rig, eeprom};

fn damages(most: usize) -> impl Strategy<Value = Vec<(usize, u16)>> {
    let word = prop_oneof![
        Just(0),
        Just(0xffff),
        Just(0x7fff),
        Just(0x8000),
        any::<u16>()
    ];
    prop::collection::vec((0_usize..832, word), 0..most)
}

fn damaged(mut words: Box<Words>, damages: &[(usize, u16)]) -> Box<Words> {
    for &(at, word) in damages {
        words[at] = word;
    }
    words
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_calculated_or_refused(
        seed in 0_u64..4,
        lost in damages(40),
        all in prop::collection::vec(any::<u16>(), 832),
        number in 0_usize..2,
        code in 0_u16..4,
    ) {
        let ram: Words = all.clone().try_into().expect("832 words");
        // Refused, but not by a panic.
        let _ = Calibration::parse(&ram);
        let Ok(calibration) = Calibration::parse(&damaged(eeprom(seed), &lost)) else {
            return Ok(());
        };
        prop_assert!(calibration.bad.len() <= 16);
        for pattern in [Pattern::Chess, Pattern::Interleaved] {
            let Ok(conditions) =
                calibration.conditions(&ram, pattern, Resolution::of_code(code), number)
            else {
                continue;
            };
            prop_assert!((3.0..=3.6).contains(&conditions.vdd));
            let view = conditions.seen_through(0.95, None);
            for pixel in pattern.pixels(number) {
                let _ = view.temperature(pixel, ram[pixel]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_camera_that_rots_is_survived(
        lost in damages(60),
        pixels in prop::collection::vec((0_usize..768, any::<u16>()), 0..8),
        share in 0.0..0.01,
        frozen in 0_u64..3,
    ) {
        let rig = Rig::new(2);
        rig.faults.change_eeprom(|words| *words = *damaged(eeprom(2), &lost));
        let settings = Settings {
            deadline: Duration::from_secs(8),
            ..Settings::default()
        };
        let Ok(mut camera) = rig.open(settings) else {
            return Ok(());
        };
        rig.faults.garble(share, Duration::from_secs(20));
        rig.faults.freeze(Duration::from_secs(frozen));
        for (pixel, word) in pixels {
            rig.faults.set_word(pixel, Some(WordFault::Stuck(word)));
        }
        for _ in 0..3 {
            let (result, time) = rig.time(|| camera.capture());
            prop_assert!(time < Duration::from_secs(10), "{time:?}");
            if let Ok(captured) = result {
                let pixels = captured.frame.repaired(&[]).pixels;
                prop_assert!(pixels.iter().all(|celsius| celsius.is_finite()));
            }
        }
        rig.check_accesses();
    }
}
