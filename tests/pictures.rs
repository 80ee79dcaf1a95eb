//! Pictures as people get them: PNG bytes decoded again, text measured.

/// What is written about a training.
pub mod report;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use edge::capture::replay::{Recorded, Source};
use edge::frame::{COLUMNS, Frame, PIXELS, Pixels, Place, ROWS};
use edge::picture::{
    self, Colours, Limits, Look, MOST_ON_A_SHEET, Mark, Palette, Range, Rgb, Shades, Tile,
};
use proptest::prelude::*;

/// Left and top margin of a picture without a title.
const MARGIN: usize = 14;
const HOT: Place = Place {
    row: 17,
    column: 26,
};

#[test]
fn a_png_has_the_size_and_the_pixels_of_the_picture() {
    let boiler = boiler(0);
    let image = picture::draw(&boiler, &Look::default(), Some("Boiler · °C"), None);
    let (width, height, rgb) = decoded(&image.png().unwrap());
    assert_eq!((width, height), (image.width(), image.height()));
    assert!(width > 512 + 60 && height > 384, "{width} x {height}");
    assert_eq!(rgb, image.rgb());

    // Few colours become a palette, which must decode to the same.
    let flat = picture::draw(&[25.0; PIXELS], &Look::default(), None, None);
    assert_eq!(decoded(&flat.png().unwrap()).2, flat.rgb());
}

#[test]
fn a_temperature_has_the_colour_that_the_map_gives_it() {
    let ramp: Pixels = std::array::from_fn(|index| 20.0 + count(index % COLUMNS));
    for colours in [
        Colours::Inferno,
        Colours::Magma,
        Colours::Plasma,
        Colours::Viridis,
        Colours::Turbo,
        Colours::Greys,
        Colours::Tutorial,
    ] {
        let look = Look {
            range: Range::Fixed(20.0, 51.0),
            colours,
            // Odd: a pixel of the picture lies on the middle of each pixel of the frame.
            scale: 9,
            mirror: false,
        };
        let image = picture::draw(&ramp, &look, None, None);
        let table = colours.table();
        for column in 0..COLUMNS {
            let expected = table[(column * (table.len() - 1) + 15) / 31];
            let shown = image.colour(MARGIN + column * 9 + 4, MARGIN + 100);
            assert_eq!(shown, Some(expected), "{colours:?} at {column}");
        }
    }
}

#[test]
fn the_tutorials_colours_are_the_sum_of_its_bands() {
    let table = Colours::Tutorial.table();
    assert_eq!(table.len(), 1000);
    // Calculated apart from this, by the formula of the example.
    for (at, expected) in [
        (0, [0, 2, 47]),
        (250, [6, 73, 119]),
        (500, [126, 125, 14]),
        (750, [255, 255, 55]),
        (999, [255, 255, 254]),
    ] {
        assert_eq!(table[at], expected, "{at}");
    }
}

#[test]
fn the_hot_spot_is_ringed_where_it_is_and_where_a_mirror_has_it() {
    let boiler = boiler(0);
    let mark = Mark::difference(HOT, 12.34);
    assert_eq!(mark.text, "+12.3 °C");
    for mirror in [false, true] {
        let look = Look {
            mirror,
            ..Look::default()
        };
        let bare = picture::draw(&boiler, &look, None, None);
        let marked = picture::draw(&boiler, &look, None, Some(&mark));
        let column = if mirror { 31 - HOT.column } else { HOT.column };
        let (x, y) = (MARGIN + column * 16 + 8, MARGIN + HOT.row * 16 + 8);
        // What is within the ring stays as it was; the ring itself is black and white all around.
        assert_eq!(marked.colour(x, y), bare.colour(x, y));
        for (dx, dy) in [(22, 0), (-22, 0), (0, 22), (0, -22)] {
            let at = (x.strict_add_signed(dx), y.strict_add_signed(dy));
            let ring = marked.colour(at.0, at.1).unwrap();
            assert!(ring == [0; 3] || ring == [255; 3], "{ring:?}");
        }
        // Nothing is drawn far from it.
        assert_eq!(
            marked.colour(MARGIN + 200, MARGIN + 60),
            bare.colour(MARGIN + 200, MARGIN + 60)
        );
    }
    assert_eq!(Mark::hottest(&boiler).unwrap().place.column, 14);
}

#[test]
fn a_fixed_range_clips_and_says_so() {
    let mut pixels = [30.0; PIXELS];
    (pixels[0], pixels[PIXELS - 1]) = (10.0, 70.0);
    let range = Range::Fixed(20.0, 40.0);
    let table = Colours::Inferno.table();
    let plain = picture::plain(&pixels, range, Colours::Inferno, COLUMNS, ROWS);
    assert_eq!(plain[..3], table[0]);
    assert_eq!(plain[plain.len() - 3..], table[255]);

    let look = Look {
        range,
        ..Look::default()
    };
    let clipped = picture::draw(&pixels, &look, None, None);
    let within = picture::draw(&[30.0; PIXELS], &look, None, None);
    let legend = |image: &picture::Image| -> Vec<Option<Rgb>> {
        let from = MARGIN + 512;
        (0..image.height())
            .flat_map(|y| (from..image.width()).map(move |x| (x, y)))
            .map(|(x, y)| image.colour(x, y))
            .collect()
    };
    assert_ne!(legend(&clipped), legend(&within), "arrows and signs");
}

#[test]
fn what_is_no_number_is_hatched_and_moves_nothing() {
    let mut pixels = boiler(0);
    let sound = picture::plain(&pixels, Range::Auto, Colours::Inferno, 320, 240);
    pixels[0] = f32::NAN;
    pixels[31] = f32::INFINITY;
    pixels[5] = 1000.0;
    let broken = picture::plain(&pixels, Range::Auto, Colours::Inferno, 320, 240);
    let at = |bytes: &[u8], x: usize, y: usize| [0, 1, 2].map(|c| bytes[(y * 320 + x) * 3 + c]);
    let table = Colours::Inferno.table();
    assert!(!table.contains(&at(&broken, 4, 4)) && !table.contains(&at(&broken, 315, 4)));
    assert_eq!(
        at(&broken, 54, 4),
        table[255],
        "hotter than can be measured"
    );
    assert_eq!(
        at(&broken, 160, 120),
        at(&sound, 160, 120),
        "the range is the same"
    );

    let nothing = [f32::NAN; PIXELS];
    let look = Look::default();
    let title = picture::title(&Frame::new(Box::new(nothing)), &nothing);
    assert_eq!(title, "no temperatures");
    picture::draw(&nothing, &look, Some(&title), None)
        .png()
        .unwrap();
    assert_eq!(Mark::hottest(&nothing), None);
}

#[test]
fn a_sheet_has_its_frames_in_a_grid() {
    let frames: Vec<Pixels> = (0..6).map(boiler).collect();
    let tiles: Vec<_> = frames.iter().map(|frame| tile(frame, "0001")).collect();
    let look = Look {
        scale: 5,
        ..Look::default()
    };
    let sheet = picture::sheet(&tiles, &look, true, "recording");
    assert_eq!((sheet.columns, sheet.shown.len()), (3, 6));
    let limits = Range::Auto.common(&frames);
    let palette = Palette::new(Colours::Inferno, limits);
    for (index, frame) in frames.iter().enumerate() {
        let left = 14 + (index % 3) * (160 + 12);
        let top = 14 + 24 + (index / 3) * (120 + 4 + 24 + 12);
        let middle = frame[12 * COLUMNS + 10];
        assert_eq!(
            sheet.image.colour(left + 10 * 5 + 2, top + 12 * 5 + 2),
            Some(palette.colour(middle))
        );
    }

    let own = picture::sheet(&tiles, &look, false, "recording");
    assert!(own.image.width() < sheet.image.width(), "no legend");

    let many: Vec<_> = (0..500).map(|_| tile(&frames[0], "0001")).collect();
    let tiny = Look { scale: 1, ..look };
    let thinned = picture::sheet(&many, &tiny, true, "recording");
    assert_eq!(thinned.shown.len(), MOST_ON_A_SHEET);
    assert_eq!((thinned.shown[0], thinned.shown[119]), (0, 499));

    assert!(picture::sheet(&[], &look, true, "").shown.is_empty());
}

#[test]
fn a_terminal_picture_is_32_by_12() {
    let boiler = boiler(0);
    for shades in [Shades::TrueColour, Shades::Colours256, Shades::Ascii] {
        let text = picture::terminal(&boiler, Range::Auto, Colours::Inferno, shades, Some(HOT));
        let lines: Vec<_> = text.lines().map(without_escapes).collect();
        assert_eq!(lines.len(), 12);
        assert!(lines.iter().all(|line| line.chars().count() == 32));
        assert_eq!(lines[8].chars().nth(26), Some('X'));
        assert_eq!(text.matches('X').count(), 1);
        let legend = picture::terminal_legend(&boiler, Range::Auto, Colours::Inferno, shades);
        assert_eq!(without_escapes(&legend).chars().count(), 32);
        assert_eq!(shades == Shades::Ascii, text.is_ascii());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_frame_can_be_drawn(
        bits in prop::collection::vec(any::<u32>(), PIXELS),
        low in any::<f32>(),
        high in any::<f32>(),
        width in 1_usize..70,
        height in 1_usize..50,
    ) {
        let pixels: Pixels = std::array::from_fn(|index| f32::from_bits(bits[index]));
        for range in [Range::Auto, Range::Fixed(low, high)] {
            let Limits { low, high } = range.limits(&pixels);
            prop_assert!(low.is_finite() && high.is_finite() && low <= high);
            let rgb = picture::plain(&pixels, range, Colours::Turbo, width, height);
            prop_assert_eq!(rgb.len(), width * height * 3);
            let look = Look { range, scale: 1, ..Look::default() };
            picture::draw(&pixels, &look, None, Mark::hottest(&pixels).as_ref());
            picture::terminal(&pixels, range, Colours::Turbo, Shades::Ascii, None);
        }
    }

    #[test]
    fn plain_is_the_map_and_nothing_else(pixels in prop::collection::vec(-20.0_f32..120.0, PIXELS)) {
        let pixels: Pixels = pixels.try_into().unwrap();
        let range = Range::Fixed(10.0, 90.0);
        let palette = Palette::new(Colours::Viridis, range.limits(&pixels));
        let expected: Vec<u8> = pixels.iter().flat_map(|&celsius| palette.colour(celsius)).collect();
        let plain = picture::plain(&pixels, range, Colours::Viridis, COLUMNS, ROWS);
        prop_assert_eq!(plain, expected);
    }
}

#[test]
fn the_command_draws_what_it_is_given_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording");
    for (label, name) in [("cold", "1.csv"), ("cold", "2.csv"), ("hot", "1.csv")] {
        std::fs::create_dir_all(recording.join(label)).unwrap();
        record(&recording.join(label).join(name), label);
    }
    let one = recording.join("hot/1.csv");
    let out = folder.path().join("one.png");
    let draw = |arguments: &[&OsStr]| -> (bool, String) {
        let output = Command::new(crate::support::edge::program())
            .arg("picture")
            .args(arguments)
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };

    let arguments = [one.as_os_str(), "--out".as_ref(), out.as_os_str()];
    let (good, said) = draw(&arguments);
    assert!(good && said.contains("one.png"), "{said}");
    assert_eq!(decoded(&std::fs::read(&out).unwrap()).1, 384 + 24 + 28);
    std::fs::write(&out, "mine").unwrap();
    let (good, said) = draw(&arguments);
    assert!(!good, "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    let forced = [
        &arguments[..],
        &["--force".as_ref(), "--scale".as_ref(), "4".as_ref()],
    ]
    .concat();
    let (good, said) = draw(&forced);
    assert!(good, "{said}");
    assert_eq!(decoded(&std::fs::read(&out).unwrap()).1, 96 + 24 + 28);

    let out = folder.path().join("pictures");
    let (good, said) = draw(&[recording.as_os_str(), "--out".as_ref(), out.as_os_str()]);
    assert!(good && said.contains("3 frames"), "{said}");
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["cold-1.png", "cold-2.png", "hot-1.png"]);

    let out = folder.path().join("sheet.png");
    let arguments = [recording.as_os_str(), "--out".as_ref(), out.as_os_str()];
    assert!(!draw(&arguments).0, "several frames are not one picture");
    assert!(!out.exists());
    let sheet = [
        &arguments[..],
        &["--sheet".as_ref(), "--range".as_ref(), "20..40".as_ref()],
    ]
    .concat();
    assert!(draw(&sheet).0);
    assert!(decoded(&std::fs::read(&out).unwrap()).0 > 300);

    let wrong = [&arguments[..], &["--range".as_ref(), "40..20".as_ref()]].concat();
    let (good, said) = draw(&wrong);
    assert!(!good && said.contains("below the second"), "{said}");
}

fn record(path: &Path, label: &str) {
    let mut frame = Frame::new(Box::new(boiler(1)));
    frame.captured_at = Some(at(0));
    let recorded = Recorded {
        frame,
        label: Some(label.to_owned()),
        source: Source {
            path: path.to_owned(),
            index: None,
        },
        adopted: None,
    };
    edge::capture::replay::write(path, &recorded).unwrap();
}

/// A wall, a warm body, a hot flue, a supply pipe; the first one with a hot spot on the pipe.
pub fn boiler(which: u8) -> Pixels {
    let state = f32::from(which);
    let between = |x: f32, low: f32, high: f32| {
        1.0 / (1.0 + (2.0 * (low - x)).exp()) / (1.0 + (2.0 * (x - high)).exp())
    };
    std::array::from_fn(|index| {
        let (row, column) = (count(index / COLUMNS), count(index % COLUMNS));
        let wave = (count(index) * 12.9898 + state).sin() * 437.585;
        let body = 14.0 * between(column, 8.0, 20.0) * between(row, 8.0, 19.0);
        let flue =
            6.0 * (5.0 + state.sin()) * between(column, 13.0, 15.0) * between(row, -4.0, 9.0);
        let pipe = 18.0 * between(row, 14.0, 15.6) * between(column, 19.0, 40.0);
        let away = (row - count(HOT.row)).powi(2) + (column - count(HOT.column)).powi(2);
        let spot = if which == 0 {
            20.0 * (-away / 3.0).exp()
        } else {
            0.0
        };
        21.0 - 0.05 * row + 0.4 * (wave - wave.floor()) + body + flue + pipe + spot
    })
}

fn tile<'a>(pixels: &'a Pixels, name: &str) -> Tile<'a> {
    Tile {
        pixels,
        name: name.to_owned(),
        note: "2026-01-01 00:00 · hot".to_owned(),
        mark: None,
    }
}

/// Frames are three hours apart.
fn at(number: usize) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
    start + TimeDelta::hours(3 * i64::try_from(number).unwrap())
}

fn count(number: usize) -> f32 {
    f32::from(u16::try_from(number).unwrap())
}

/// Width, height and RGB bytes of a PNG, whatever way it is packed.
fn decoded(bytes: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut decoder = png::Decoder::new(std::io::Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().unwrap();
    let mut rgb = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut rgb).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgb);
    rgb.truncate(info.buffer_size());
    let side = |side: u32| usize::try_from(side).unwrap();
    (side(info.width), side(info.height), rgb)
}

fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, after)| after)
    })
}
