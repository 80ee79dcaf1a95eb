//! Broken pixels: which are found, what they become, and that nothing else is touched.

use edge::frame::{COLUMNS, Frame, PIXELS, Pixels};
use proptest::prelude::*;

/// A scene with some structure: no pixel is equal to its neighbours.
fn scene() -> Box<Pixels> {
    let mut pixels = Box::new([0.0; PIXELS]);
    for (index, pixel) in pixels.iter_mut().enumerate() {
        let (row, column) = (small(index / COLUMNS), small(index % COLUMNS));
        *pixel = 20.0 + 0.25 * row + 0.125 * column;
    }
    pixels
}

fn small(number: usize) -> f32 {
    f32::from(u16::try_from(number).expect("a row or a column"))
}

fn place(row: usize, column: usize) -> usize {
    row * COLUMNS + column
}

/// The scene with these pixels changed: which ones are found bad, and all pixels after the repair.
fn repaired(changes: &[(usize, f32)], known_bad: &[usize]) -> (Vec<usize>, Box<Pixels>) {
    let mut pixels = scene();
    for &(index, value) in changes {
        pixels[index] = value;
    }
    let found = Frame::new(pixels.clone()).repaired(known_bad);
    for (index, pixel) in pixels.iter().enumerate() {
        if !found.bad.contains(&index) {
            assert_eq!(
                found.pixels[index].to_bits(),
                pixel.to_bits(),
                "pixel {index} was sound"
            );
        }
    }
    assert!(found.bad.is_sorted() && found.pixels.iter().all(|pixel| pixel.is_finite()));
    (found.bad, found.pixels)
}

/// Exactly these are found, and become what the scene was there, nearly.
fn check(changes: &[(usize, f32)], known_bad: &[usize], expected: &[usize]) {
    let (bad, pixels) = repaired(changes, known_bad);
    assert_eq!(bad, expected, "{changes:?} {known_bad:?}");
    for index in bad {
        let error = (pixels[index] - scene()[index]).abs();
        assert!(error < 0.5, "pixel {index} became {}", pixels[index]);
    }
}

#[test]
fn a_sound_frame_stays_as_it_is() {
    check(&[], &[], &[]);
}

#[test]
fn a_pixel_that_stands_alone_is_mended() {
    let middle = place(12, 16);
    for value in [
        100.0,
        35.0,
        0.0,
        -60.0,
        400.0,
        -273.15,
        65536.0,
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
    ] {
        check(&[(middle, value)], &[], &[middle]);
    }
    // Within what noise may do.
    check(&[(middle, scene()[middle] + 5.5)], &[], &[]);
}

#[test]
fn corners_and_edges_are_mended_too() {
    for index in [
        place(0, 0),
        place(0, 31),
        place(23, 0),
        place(23, 31),
        place(0, 7),
        place(11, 31),
    ] {
        check(&[(index, f32::NAN)], &[], &[index]);
        check(&[(index, 310.0)], &[], &[index]);
        check(&[(index, 100.0)], &[], &[index]);
        check(&[(index, -20.0)], &[], &[index]);
    }
}

#[test]
fn a_small_source_behind_the_lens_is_not_mended() {
    // A point blurred by 0.65 pixels and taken up by whole pixels, relative to the one that it is in.
    let (beside, across) = (0.377, 0.142);
    for contrast in [10.0, 40.0, 200.0, -15.0] {
        let mut changes = Vec::new();
        for row in 0..3 {
            for column in 0..3 {
                let index = place(11 + row, 15 + column);
                let share = match (row, column) {
                    (1, 1) => 1.0,
                    (1, _) | (_, 1) => beside,
                    _ => across,
                };
                changes.push((index, scene()[index] + share * contrast));
            }
        }
        check(&changes, &[], &[]);
    }
}

#[test]
fn a_small_source_between_two_pixels_is_not_mended() {
    // As above, but centred on the line between two columns.
    let shares = [(0, 0.139), (1, 1.0), (2, 1.0), (3, 0.139)];
    for contrast in [12.0, 60.0, -15.0] {
        let mut changes = Vec::new();
        for (row, fall) in [(0, 0.377), (1, 1.0), (2, 0.377)] {
            for (column, share) in shares {
                let index = place(11 + row, 15 + column);
                changes.push((index, scene()[index] + fall * share * contrast));
            }
        }
        check(&changes, &[], &[]);
    }
}

#[test]
fn two_broken_neighbours_are_found_unless_they_vouch_for_each_other() {
    let pair = [place(12, 16), place(12, 17)];
    // What cannot be true is found in any company.
    check(&pair.map(|index| (index, f32::NAN)), &[], &pair);
    check(&[(pair[0], f32::NAN), (pair[1], 400.0)], &[], &pair);
    // One neighbour alone is not enough to vouch: the second one must be warm as well.
    check(&pair.map(|index| (index, 80.0)), &[], &pair);
    // Three in a row are a thing.
    let three = [place(12, 15), place(12, 16), place(12, 17)];
    let (bad, _) = repaired(&three.map(|index| (index, 80.0)), &[]);
    assert!(!bad.contains(&three[1]), "{bad:?}");
    check(&three.map(|index| (index, 80.0)), &three, &three);
}

#[test]
fn known_bad_pixels_are_mended_however_they_look() {
    let middle = place(5, 5);
    check(&[], &[middle], &[middle]);
    check(
        &[],
        &[middle, place(0, 0), place(0, 0)],
        &[place(0, 0), middle],
    );
    // A list may be wrong; a pixel that does not exist is no pixel.
    check(&[], &[PIXELS, usize::MAX], &[]);
}

#[test]
fn more_than_four_are_a_fault_of_the_sensor() {
    let fault = |count: usize| {
        let mut pixels = scene();
        for index in 0..count {
            pixels[place(2 + 4 * index, 10)] = f32::NAN;
        }
        Frame::new(pixels).repaired(&[]).is_sensor_fault()
    };
    assert!(!fault(4) && fault(5));
    let nothing = Frame::new(Box::new([f32::NAN; PIXELS])).repaired(&[]);
    assert!(nothing.is_sensor_fault() && nothing.bad.len() == PIXELS);
    assert!(nothing.pixels.iter().all(|pixel| pixel.is_finite()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_bits_become_finite_temperatures(bits in proptest::collection::vec(any::<u32>(), PIXELS), known in proptest::collection::vec(0..2 * PIXELS, 0..8)) {
        let pixels: Vec<f32> = bits.into_iter().map(f32::from_bits).collect();
        let pixels = <Box<Pixels>>::try_from(pixels.into_boxed_slice()).expect("768");
        let repaired = Frame::new(pixels).repaired(&known);
        prop_assert!(repaired.pixels.iter().all(|pixel| (-40.0..=300.0).contains(pixel)));
    }

    /// Mostly sound, with a few pixels of any value: no sound pixel away from them is touched.
    #[test]
    fn only_what_is_near_a_broken_pixel_may_change(changes in proptest::collection::vec((0..PIXELS, any::<u32>()), 0..12)) {
        let mut pixels = scene();
        for &(index, bits) in &changes {
            pixels[index] = f32::from_bits(bits);
        }
        let repaired = Frame::new(pixels).repaired(&[]);
        for index in repaired.bad {
            let near = |&(other, _): &(usize, u32)| {
                (index / COLUMNS).abs_diff(other / COLUMNS) <= 1 && (index % COLUMNS).abs_diff(other % COLUMNS) <= 1
            };
            prop_assert!(changes.iter().any(near), "pixel {} was far from all changes", index);
        }
    }
}
