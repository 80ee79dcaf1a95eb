//! Pictures and the training report, as people get them: PNG bytes decoded again, text measured, the page read.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use chrono::{DateTime, TimeDelta, Utc};
use edge::capture::replay::{Recorded, Source};
use edge::frame::{COLUMNS, Frame, PIXELS, Pixels, Place, ROWS};
use edge::model::detectable::Detectable;
use edge::model::metadata::AdoptedFrame;
use edge::model::report::{
    self, BadPixels, DetectableSummary, Dropped, DroppedFrame, HeldOutPoint, HeldOutSummary,
    Hottest, LabelSummary, Mode, Plots, Report,
};
use edge::model::{Named, Threshold};
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
fn the_text_says_what_it_must_in_under_45_lines() {
    let mut example = Example::new();
    let text = report::text(&example.report);
    assert!(text.lines().count() < 45, "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    for said in [
        "118 of 120 read",
        "2026-01-01 00:00 to 2026-01-14 21:00 UTC (13.9 days)",
        "2026-01-05 09:00 UTC cold/0035.csv",
        "3 mended in 2 frames",
        "raised to the floor of 7",
        "as the held-out frames gave it",
        "if the coming weeks look like these",
        "9.0 °C",
        "19.3 °C",
        "cold 40, hot 39, warm 39",
        "91 %",
        "! ",
    ] {
        assert!(
            unwrapped(&text).contains(said),
            "{said} is missing in\n{text}"
        );
    }
    example.report.threshold_residual = Threshold {
        raw: 23.4,
        clamped: 15.0,
    };
    let text = unwrapped(&report::text(&example.report));
    assert!(text.contains("cut to the cap of 15"), "{text}");

    example.report.dropped[0].frame.file = "a\x1b[31m\r\nb.csv".to_owned();
    let hostile = report::text(&example.report);
    assert!(!hostile.contains(['\x1b', '\r']), "{hostile:?}");
}

#[test]
fn the_page_is_whole_and_needs_nothing_else() {
    let example = Example::new();
    let page = report::html(&example.report, &example.plots()).unwrap();
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    for section in [
        "scene",
        "detectable",
        "held-out",
        "thresholds",
        "frames",
        "labels",
        "modes",
        "blind",
        "next",
    ] {
        assert!(
            page.contains(&format!("<section id=\"{section}\">")),
            "{section}"
        );
    }
    for said in [
        "if the coming weeks look like these",
        "raised to the floor of 7",
        "only 334 hours",
        "2026-01-05 09:00 UTC",
        "pump that failed",
        "edge classify",
        "edge adopt",
        "door was open",
    ] {
        assert!(page.contains(said), "{said}");
    }
    assert!(!page.contains("http") && !page.contains("url(") && !page.contains("<script"));
    assert!(!page.contains("<link") && !page.contains("@import") && !page.contains("<iframe"));
    for source in page.split("src=").skip(1) {
        assert!(source.starts_with("\"data:image/png;base64,"));
    }
    assert!(!page.contains("Simulated frames"));
    // Mean, hottest, 3 maps, 2 dropped, 11 modes; and a bar for each legend.
    assert_eq!(page.matches("<figure>").count(), 2 + 3 + 2 + 11);
    assert_eq!(page.matches("class=\"legend\"").count(), 2 + 1 + 1 + 11);
}

#[test]
fn a_hostile_recording_cannot_write_into_the_page() {
    let mut example = Example::new();
    let hostile = "<script>alert(1)</script>\"'><img src=http://x onerror=a>";
    let named = Named {
        file: hostile.to_owned(),
        captured_at: None,
    };
    example.report.dropped[0].frame = named.clone();
    example.report.adopted[0].frame = named.clone();
    example.report.adopted[0].because = Some(hostile.to_owned());
    example.report.hottest.frame = named;
    example.report.camera = Some(hostile.to_owned());
    example.report.software = hostile.to_owned();
    example.report.warnings = vec![hostile.to_owned()];
    example.report.labels[0].label = hostile.to_owned();
    let page = report::html(&example.report, &example.plots()).unwrap();
    assert!(!page.contains("<script") && !page.contains("<img src=http"));
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
    for tag in page.split('<').skip(1) {
        // Within quotes it is text; outside them it would be an attribute.
        let tag = tag.split('>').next().unwrap();
        let outside: String = tag.split('"').step_by(2).collect();
        assert!(!outside.contains("onerror"), "{tag}");
    }
}

#[test]
fn a_page_of_little_is_still_a_page() {
    let mut example = Example::new();
    example.report.simulated = true;
    example.report.dropped.clear();
    example.report.adopted.clear();
    example.report.detectable.clear();
    example.report.labels.clear();
    example.report.held_out.expected_per_30_days = f64::NAN;
    let hottest = [f32::NAN; PIXELS];
    let plots = Plots {
        mean: &[],
        modes: Vec::new(),
        detectable: &[],
        held_out: Vec::new(),
        dropped: Vec::new(),
        hottest: &hottest,
    };
    let page = report::html(&example.report, &plots).unwrap();
    assert!(page.contains("Simulated frames: for demonstration only"));
    assert!(page.contains("No frame was dropped"));
    assert!(report::text(&example.report).starts_with("Simulated frames"));
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

/// A report as training on two weeks of a boiler could have made it.
pub struct Example {
    pub report: Report,
    frames: Vec<Pixels>,
    detectable: Vec<Detectable>,
}

impl Example {
    pub fn new() -> Self {
        let frames: Vec<Pixels> = (0..4).map(boiler).collect();
        let detectable = [(1, 9.0_f32), (2, 4.3), (3, 2.8)].map(|(radius, typical)| Detectable {
            radius,
            delta_t: blindness(typical),
        });
        let dropped = [35, 77].map(|number| Dropped {
            frame: named(number),
            score: 41.2 - count_f64(number) / 4.0,
        });
        let report = Report {
            frames: 118,
            frames_read: 120,
            first_frame: Some(at(0)),
            last_frame: Some(at(111)),
            span_hours: Some(333.0),
            dropped: dropped.to_vec(),
            adopted: vec![AdoptedFrame {
                frame: named(12),
                adopted_at: at(200),
                because: Some("the door was open".to_owned()),
            }],
            bad_pixels: BadPixels {
                frames: 2,
                pixels: 3,
                sensor_faults: 1,
            },
            k: 11,
            threshold_residual: Threshold {
                raw: 5.31,
                clamped: 7.0,
            },
            threshold_envelope: Threshold {
                raw: 4.62,
                clamped: 4.62,
            },
            held_out: HeldOutSummary {
                over_threshold: 1,
                expected_per_30_days: 0.86,
                median_ratio: 0.42,
                largest_ratio: 1.08,
            },
            detectable: [(1, 9.0, 19.3), (2, 4.3, 9.5), (3, 2.8, 5.9)]
                .map(|(radius, median, p95)| DetectableSummary {
                    radius,
                    median,
                    p95,
                })
                .to_vec(),
            labelled: true,
            labels: [("cold", 40), ("hot", 39), ("warm", 39)]
                .map(|(label, frames)| LabelSummary {
                    label: label.to_owned(),
                    frames,
                })
                .to_vec(),
            label_accuracy: Some(0.907),
            hottest: Hottest {
                celsius: 64.2,
                row: 8,
                column: 14,
                frame: named(91),
            },
            camera: Some("MLX90640 4f2a-0031-9c77".to_owned()),
            simulated: false,
            software: "edge 0.1.0".to_owned(),
            warnings: vec![
                "The recording spans only 334 hours of a season: what the scene does in other weather is not learned, \
                 and will be reported until it is adopted."
                    .to_owned(),
                "Along the supply pipe (rows 14 to 16) a spot must be more than 20 °C hotter to be seen."
                    .to_owned(),
            ],
        };
        Self {
            report,
            frames,
            detectable: detectable.to_vec(),
        }
    }

    pub fn plots(&self) -> Plots<'_> {
        let mode = |mode: usize| Mode {
            swing: (0..PIXELS)
                .map(|index| {
                    let (row, column) = (count(index / COLUMNS), count(index % COLUMNS));
                    let wave = (row * 0.13 * count(mode + 1)).cos()
                        * (column * 0.1 * count(mode) + 0.8).sin();
                    (self.frames[0][index] - 20.0) * wave / (2.0 + 2.0 * count(mode))
                })
                .collect(),
            share: Some(0.55 * 0.44_f64.powi(i32::try_from(mode).unwrap())),
        };
        let point = |number: usize| {
            let wave = (count_f64(number) * 12.9898).sin() * 43_758.547;
            let noise = wave - wave.floor();
            HeldOutPoint {
                number,
                captured_at: Some(at(number)),
                residual: if number == 60 {
                    1.08
                } else {
                    0.3 + 0.35 * noise * noise
                },
                envelope: 0.45 * noise - 0.1,
            }
        };
        Plots {
            mean: &self.frames[0],
            modes: (0..11).map(mode).collect(),
            detectable: &self.detectable,
            held_out: (0..112)
                .filter(|number| ![35, 77].contains(number))
                .map(point)
                .collect(),
            dropped: [35, 77]
                .map(|number| DroppedFrame {
                    number,
                    ratio: if number == 35 { 5.2 } else { 1.9 },
                    captured_at: Some(at(number)),
                    pixels: &self.frames[number % 4],
                })
                .to_vec(),
            hottest: &self.frames[1],
        }
    }
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

/// More is needed at hot edges, and most along the pipe.
fn blindness(typical: f32) -> Vec<f32> {
    let boiler = boiler(1);
    let hot = boiler.iter().map(|celsius| (celsius - 20.0) / 20.0);
    hot.map(|hot| typical * (0.8 + 0.9 * hot * hot)).collect()
}

fn tile<'a>(pixels: &'a Pixels, name: &str) -> Tile<'a> {
    Tile {
        pixels,
        name: name.to_owned(),
        note: "2026-01-01 00:00 · hot".to_owned(),
        mark: None,
    }
}

fn named(number: usize) -> Named {
    Named {
        file: format!("cold/{number:04}.csv"),
        captured_at: Some(at(number)),
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

fn count_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap())
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

fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn without_escapes(line: &str) -> String {
    let mut parts = line.split('\x1b');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + part.split_once('m').map_or("", |(_, after)| after)
    })
}
