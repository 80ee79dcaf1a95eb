//! The worked example of the datasheet: one pixel, step by step.

use edge::capture::calibration::{Calibration, Pattern, Resolution, WORDS, Words};
use edge::capture::mlx90640::{Control, Rate};

/// From 0x2410.
const HEADER: [u16; 48] = [
    0x4210, 0xffbb, 0x0202, 0xf202, 0xf2f2, 0xe2e2, 0xd1e1, 0xb1d1, 0xf10f, 0xf00f, 0xe0ef, 0xe0ef,
    0xe1e1, 0xf3f2, 0xf404, 0xe504, 0x79a6, 0x2f44, 0xffdd, 0x2210, 0x3333, 0x2233, 0xef01, 0x9acc,
    0xeedc, 0x10ff, 0x2221, 0x3333, 0x2333, 0x0112, 0xeeff, 0xbbdd, 0x18ef, 0x2ff1, 0x5952, 0x9d68,
    0x5454, 0x0994, 0x6956, 0x5354, 0x2363, 0xe446, 0xfbb5, 0x044b, 0xf020, 0x9797, 0x9797, 0x2889,
];
/// In row 12 and column 16, counted from 1.
const PIXEL: usize = 11 * 32 + 15;

fn calibration() -> Calibration {
    let mut words: Words = [0x08a0; WORDS];
    words[7..10].copy_from_slice(&[1, 2, 3]);
    words[10] = 0;
    words[16..64].copy_from_slice(&HEADER);
    Calibration::parse(&words).expect("it is a camera's")
}

fn ram() -> Words {
    let mut words = [0x0261; WORDS];
    words[0x0300] = 0x4bf2;
    words[0x0308] = 0xffca;
    words[0x0328] = 0xffc8;
    words[0x030a] = 0x1881;
    words[0x0320] = 0x06af;
    words[0x032a] = 0xccc5;
    words
}

fn close(value: f64, expected: f64, most: f64) {
    assert!((value - expected).abs() <= most, "{value}, not {expected}");
}

#[test]
fn terms_are_read_as_the_datasheet_reads_them() {
    let calibration = calibration();
    close(calibration.k_vdd, -3168.0, 0.0);
    close(calibration.vdd_25, -13_056.0, 0.0);
    close(calibration.ptat.kv, 0.005_371_093_75, 0.0);
    close(calibration.ptat.kt, 42.25, 0.0);
    close(calibration.ptat.at_25, 12_273.0, 0.0);
    close(calibration.ptat.alpha, 9.0, 0.0);
    close(calibration.gain, 6383.0, 0.0);
    close(calibration.tgc, 1.0, 0.0);
    close(calibration.ks_ta, -0.001_953_125, 0.0);
    close(calibration.ks_to[1], -0.000_801_086_4, 1e-10);
    assert_eq!(
        calibration.ct.map(|ct| format!("{ct}")),
        ["-40", "0", "160", "320"]
    );
    let pixel = calibration.pixels[PIXEL];
    close(pixel.offset, -75.0, 0.0);
    close(pixel.kta, 0.005_126_953_125, 0.0);
    close(pixel.kv, 0.5, 0.0);
    let compensation = calibration.compensation;
    close(compensation.offset[0], -75.0, 0.0);
    close(compensation.offset[1], -77.0, 0.0);
    close(compensation.kta, 0.004_577_636_718_75, 0.0);
    close(compensation.kv, 0.5, 0.0);
    close(compensation.alpha[0], 4.074_536_264e-9, 1e-17);
    close(compensation.alpha[1], 3.851_710_062e-9, 1e-17);
    assert_eq!(calibration.pattern, Pattern::Chess);
    assert_eq!(calibration.resolution, Resolution::Bits18);
}

#[test]
fn supply_temperatures_and_the_pixel_are_the_datasheets() {
    let mut calibration = calibration();
    // Melexis' library subtracts the mean of the two compensation pixels' sensitivities, the datasheet that of the
    // sub-page. They differ in cameras with a TGC only.
    let [first, second] = calibration.compensation.alpha;
    let pixel = &mut calibration.pixels[PIXEL];
    pixel.alpha += calibration.tgc * (f64::midpoint(first, second) - first);
    let conditions = calibration
        .conditions(&ram(), Pattern::Chess, Resolution::Bits18, 0)
        .expect("it is believed");
    // The datasheet goes on with the supply rounded to the millivolt.
    close(conditions.vdd, 3.319, 0.000_5);
    close(conditions.ta, 39.184, 0.000_5);
    let gain = 1.017_535_469_47;
    close(conditions.gain, gain, 1e-10);
    let view = conditions.seen_through(1.0, None);
    // The datasheet's steps lead to a signal of 675.216, but it prints 679.251 and goes on from there: to 80.36331 deg C,
    // and from that to the temperature in its range. So much higher a word would have had that signal.
    let beyond = (679.250_909 - 675.215_838) / gain;
    let sensitivity = 1.187_648_736e-7 * (1.0 - 0.000_801_086_4 * 80.363_31);
    let kelvin = (679.250_909 / sensitivity + 9_516_495_632.56_f64)
        .sqrt()
        .sqrt();
    close(view.word(PIXEL, kelvin - 273.15) - 609.0, beyond, 0.03);
    close(view.temperature(PIXEL, 609 + 4), kelvin - 273.15, 0.005);
}

/// What Adafruit's Python driver 1.3.9, whose calculation is Melexis' library's, makes of the datasheet's camera with all
/// pixels alike: emissivity 0.95, reflected 31 deg C, all ranges, each with and without the correction for a pattern that
/// the camera was not calibrated in.
#[test]
fn other_peoples_driver_agrees_in_every_range_and_pattern() {
    use Pattern::{Chess, Interleaved};
    use Resolution::{Bits18, Bits19};
    let expected = [
        // Calibrated in, measured in, resolution, sub-page, word, then pixels and deg C.
        (
            Chess,
            Chess,
            Bits18,
            0,
            609,
            [(0, 129.519), (2, 112.133), (33, 120.582), (767, 185.089)],
        ),
        (
            Chess,
            Chess,
            Bits18,
            1,
            2000,
            [(1, 218.564), (3, 204.84), (368, 144.511), (766, 323.934)],
        ),
        (
            Chess,
            Chess,
            Bits18,
            0,
            5000,
            [(0, 367.395), (33, 343.232), (400, 231.24), (767, 493.135)],
        ),
        (
            Chess,
            Interleaved,
            Bits18,
            0,
            609,
            [(0, 129.506), (1, 120.048), (3, 112.143), (400, 81.323)],
        ),
        (
            Chess,
            Interleaved,
            Bits18,
            1,
            2000,
            [(32, 236.125), (33, 218.945), (35, 205.505), (767, 325.376)],
        ),
        (
            Chess,
            Interleaved,
            Bits19,
            0,
            -300,
            [(0, 16.256), (1, 19.616), (3, 21.527), (400, 30.65)],
        ),
        (
            Chess,
            Interleaved,
            Bits19,
            1,
            5000,
            [(32, 263.689), (33, 244.837), (35, 229.916), (767, 360.511)],
        ),
        (
            Interleaved,
            Chess,
            Bits18,
            0,
            609,
            [(0, 129.506), (33, 120.312), (35, 113.428), (367, 82.499)],
        ),
        (
            Interleaved,
            Chess,
            Bits18,
            1,
            2000,
            [(1, 218.792), (3, 204.748), (34, 205.137), (766, 324.043)],
        ),
        (
            Chess,
            Interleaved,
            Bits19,
            0,
            -500,
            [(0, -10.186), (1, -2.152), (3, 2.915), (400, 22.188)],
        ),
    ];
    for (calibrated, pattern, resolution, number, word, pixels) in expected {
        let calibration = Calibration {
            pattern: calibrated,
            ..calibration()
        };
        let steps: i16 = if resolution == Bits19 { 2 } else { 1 };
        let mut words = ram();
        for (index, word) in [
            (0x0308, -54),
            (0x0328, -56),
            (0x030a, 0x1881),
            (0x032a, -13_115),
        ] {
            words[index] = (word * steps).cast_unsigned();
        }
        let view = calibration
            .conditions(&words, pattern, resolution, number)
            .expect("it is believed")
            .seen_through(0.95, Some(31.0));
        for (pixel, celsius) in pixels {
            assert_eq!(pattern.number_of(pixel), number);
            let own = view.temperature(pixel, i16::cast_unsigned(word));
            // Their tables are rounded.
            close(own, celsius, 0.02);
        }
    }
}

#[test]
fn the_control_register_is_written_as_the_datasheet_says() {
    let default = Control {
        rate: Rate::Two,
        resolution: Resolution::Bits18,
        pattern: Pattern::Chess,
    };
    // What a camera holds at power-up.
    assert_eq!(default.word(), 0x1901);
    for rate in Rate::ALL {
        for resolution in Resolution::ALL {
            for pattern in [Pattern::Chess, Pattern::Interleaved] {
                let control = Control {
                    rate,
                    resolution,
                    pattern,
                };
                assert_eq!(Control::of(control.word()), control);
                // No data held back, no single sub-page, nothing without a meaning.
                assert_eq!(control.word() & 0xe07f, 1);
            }
        }
        assert_eq!(Rate::of_hertz(rate.hertz()), Some(rate));
    }
    assert_eq!(Rate::of_hertz(3.0), None);
    assert!(
        (Rate::Half.hertz() - 0.5).abs() < 1e-9 && (Rate::SixtyFour.hertz() - 64.0).abs() < 1e-9
    );
}
