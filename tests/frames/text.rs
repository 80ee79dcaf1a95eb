//! Text files of frames: every way to write them, what is said beside the pixels, and what is told of faults.

use chrono::{DateTime, Utc};
use edge::frame::csv::{self, Marks, Parsed};
use edge::frame::{Frame, PIXELS, Pixels};
use proptest::prelude::*;

use super::{at, line, numbered, ramp, table};

fn fault(text: &str) -> (Option<usize>, String) {
    let fault = csv::parse(text).expect_err("the text is no frame");
    (fault.line, fault.reason)
}

#[test]
fn every_way_to_part_numbers_is_read() {
    let comma = |text: String| text.replace('.', ",");
    for text in [
        table(",", "\n"),
        table(", ", "\n"),
        table(",\t", "\n"),
        table(",", ",\n"),
        table(", ", ", \n"),
        table(",", "\r\n"),
        table(";", "\n"),
        table(";", ";\r\n"),
        table("\t", "\n"),
        table("\t", "\t\r\n"),
        table(",", "\r"),
        table(" ", "\n"),
        table("   ", " \n"),
        comma(table(";", "\n")),
        comma(table("\t", "\n")),
        format!("\u{feff}{}", table(",", "\r\n")),
        format!("\u{feff}# camera: a\n{}", table(",", "\r\n")),
        format!("\n# a comment: more\n\n{}\n\n", table(",", "\n\n")),
        table(",", "\n").trim_end().to_owned(),
        table("\",\"", "\"\n\"")
            .trim_end_matches('"')
            .replacen("10.00", "\"10.00", 1),
        line(","),
        line(";") + ";\n",
        line(" ") + "\n",
        comma(line("\t")),
        // As tables are written that count their lines and columns.
        format!("{}\n{}", numbered(""), line(",")),
        format!(",{}\n0,{}", numbered(""), line(",")),
        format!("{}\n{}", numbered("p"), line(",")),
    ] {
        assert_eq!(one(&text).frame.pixels, ramp(), "{}", &text[..60]);
    }
}

#[test]
fn what_lines_say_of_a_frame_is_kept() {
    let parsed = one(&format!(
        "# any comment\n#captured_at = 2026-02-22 00:45:00.5\n# Ambient_C: -3.25\n# camera: 0x1234: left, \n\
         # label=warm\n# adopted_at: 1771721100\n# adopted_because: the door = open;;;\n{}",
        table(",", "\n")
    ));
    assert_eq!(parsed.frame.captured_at, Some(at("2026-02-22T00:45:00.5Z")));
    assert_eq!(parsed.frame.ambient, Some(-3.25));
    assert_eq!(parsed.frame.camera.as_deref(), Some("0x1234: left"));
    let marks = Marks {
        label: Some("warm".to_owned()),
        adopted_at: Some(at("2026-02-22T00:45:00Z")),
        adopted_because: Some("the door = open".to_owned()),
    };
    assert_eq!(parsed.marks, marks);
    let silent = one(&format!(
        "# camera: nan\n# ambient_c:\n{}",
        table(",", "\n")
    ));
    assert_eq!((silent.frame.camera, silent.frame.ambient), (None, None));
}

#[test]
fn several_frames_in_a_file_have_their_own_times_and_share_a_camera() {
    let block = table(",", "\n");
    let frames = csv::parse(&format!(
        "# camera: left\n# captured_at: 2026-02-22T00:00:00Z\n{block}# captured_at: 2026-02-22T00:10:00Z\n\
         # label: hot\n{block}\n{block}"
    ))
    .expect("three frames");
    let times: Vec<_> = frames.iter().map(|one| one.frame.captured_at).collect();
    let expected = [
        Some(at("2026-02-22T00:00:00Z")),
        Some(at("2026-02-22T00:10:00Z")),
        None,
    ];
    assert_eq!(times, expected);
    assert!(
        frames
            .iter()
            .all(|one| one.frame.camera.as_deref() == Some("left"))
    );
    let labels: Vec<_> = frames
        .iter()
        .map(|one| one.marks.label.as_deref())
        .collect();
    assert_eq!(labels, [None, Some("hot"), Some("hot")]);
}

#[test]
fn columns_say_what_is_known_of_each_row() {
    let pixels = line(";").replace('.', ",");
    let names = numbered("").replace(',', ";");
    let frames = csv::parse(&format!(
        "# camera: above\n# label: cold\nTimestamp;{names};TA;\"label\";Camera\n\
         2026-02-22 00:00:00;{pixels};20,5;hot;beside\n1771721100;{pixels};;;\n"
    ));
    // A decimal comma is for numbers between semicolons, but a temperature beside them is one too.
    let frames = frames.expect("two frames");
    assert_eq!(frames[0].frame.pixels, ramp());
    assert_eq!(
        frames[0].frame.captured_at,
        Some(at("2026-02-22T00:00:00Z"))
    );
    assert_eq!(frames[0].frame.ambient, Some(20.5));
    assert_eq!(frames[0].frame.camera.as_deref(), Some("beside"));
    assert_eq!(frames[0].marks.label.as_deref(), Some("hot"));
    assert_eq!(
        frames[1].frame.captured_at,
        Some(at("2026-02-22T00:45:00Z"))
    );
    assert_eq!(frames[1].frame.ambient, None);
    assert_eq!(frames[1].frame.camera.as_deref(), Some("above"));
    assert_eq!(frames[1].marks.label.as_deref(), Some("cold"));
}

#[test]
fn missing_pixels_are_no_numbers() {
    let text = table(",", "\n")
        .replacen("10.00", "", 1)
        .replacen("10.01", "NaN", 1)
        .replacen("10.31", "", 1);
    let pixels = one(&text).frame.pixels;
    assert!(pixels[0].is_nan() && pixels[1].is_nan() && pixels[31].is_nan());
    assert_eq!(pixels[2..31], ramp()[2..31]);
    // A first row with nothing in it is a row still.
    let empty = ",".repeat(PIXELS - 1);
    let frames = csv::parse(&format!("{empty}\n{}\n", line(","))).expect("two frames");
    assert!(frames[0].frame.pixels.iter().all(|pixel| pixel.is_nan()));
    assert_eq!(frames[1].frame.pixels, ramp());
}

#[test]
fn faults_are_told_with_their_line_and_reason() {
    let good = table(",", "\n");
    let check = |text: &str, line: Option<usize>, reason: &str| {
        let (found, told) = fault(text);
        assert!(found == line && told.contains(reason), "{found:?} {told}");
    };
    check("", None, "holds no frame");
    check("# only: words\n\n", None, "holds no frame");
    check("hello\nworld\n", Some(1), "768");
    check(
        &good.replacen("10.33", "1O.33", 1),
        Some(2),
        "row 2 of 24: value 2 is no number: \"1O.33\"",
    );
    check(
        &good.replacen("10.33,", "", 1),
        Some(2),
        "row 2 of 24: 31 values where 32 belong",
    );
    check(
        &good.replacen("10.33,", "1,2,", 1),
        Some(2),
        "33 values where 32 belong",
    );
    check(
        &good.lines().take(23).collect::<Vec<_>>().join("\n"),
        Some(23),
        "begins in line 1 ends here after 23 of 24",
    );
    check(&format!("{good}1,2,3"), Some(25), "row 1 of 24: 3 values");
    check(
        &format!("# captured_at: yesterday\n{good}"),
        Some(1),
        "captured_at: \"yesterday\" is no time",
    );
    check(
        &format!("# ambient_c: warm\n{good}"),
        Some(1),
        "ambient_c: \"warm\" is no temperature",
    );
    check(
        &format!("# camera: a\n# camera: b\n{good}"),
        Some(2),
        "camera is given twice",
    );
    check(
        &format!("{good}# captured_at: 2026-02-22T00:00:00Z\n"),
        Some(25),
        "no frame follows",
    );
    check(&format!("{},1\n", line(",")), Some(1), "769 values");
    check(
        &format!("time,{}\n", numbered("p").replacen("p0,", "", 1)),
        Some(1),
        "767 columns of pixels",
    );
    check(
        &format!("time,timestamp,{}\n", numbered("p")),
        Some(1),
        "two columns give captured_at",
    );
    check(
        &format!("time,{}\n0.5,{}\n", numbered("p"), line(",")),
        Some(2),
        "captured_at: \"0.5\" is no time",
    );
}

#[test]
fn a_fault_costs_one_frame() {
    let good = table(",", "\n");
    let bad = good.replacen("10.00", "x", 1).replacen("10.33", "y", 1);
    let short: String = good
        .lines()
        .take(20)
        .fold(String::new(), |text, line| text + line + "\n");
    let contents = csv::parse_all(&format!(
        "{good}{bad}{good}# camera: b\n{short}# camera: c\n{good}"
    ));
    let numbers: Vec<usize> = contents.frames.iter().map(|one| one.number).collect();
    assert_eq!(numbers, [0, 2, 4]);
    assert_eq!(contents.frames[2].frame.camera.as_deref(), Some("c"));
    let lines: Vec<_> = contents.faults.iter().map(|fault| fault.line).collect();
    assert_eq!(lines, [Some(25), Some(94)]);
    let rows = format!("{0}\n1,2\n{0}\n", line(","));
    let contents = csv::parse_all(&rows);
    assert_eq!((contents.frames.len(), contents.faults.len()), (2, 1));
}

fn one(text: &str) -> Parsed {
    let mut frames = csv::parse(text).expect("the text is a frame");
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn any_text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of("\\PC{0,12}")
}

fn any_time() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    // To the year 9999, in milliseconds.
    proptest::option::of(
        (0_i64..253_402_300_800_000)
            .prop_map(|at| DateTime::from_timestamp_millis(at).expect("a time")),
    )
}

fn any_pixel() -> impl Strategy<Value = f32> {
    prop_oneof![9 => -4000_i16..30_000, 1 => Just(i16::MAX)].prop_map(|value| match value {
        i16::MAX => f32::NAN,
        value => f32::from(value) / 100.0,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_as_text_is_read_back(
        pixels in proptest::collection::vec(any_pixel(), PIXELS),
        times in (any_time(), any_time()),
        ambient in proptest::option::of(-4000_i16..12_500),
        texts in (any_text(), any_text(), any_text()),
    ) {
        let pixels = <Box<Pixels>>::try_from(pixels.into_boxed_slice()).expect("768");
        let frame = Frame {
            pixels,
            ambient: ambient.map(|value| f32::from(value) / 100.0),
            captured_at: times.0,
            camera: texts.0,
        };
        let marks = Marks { label: texts.1, adopted_at: times.1, adopted_because: texts.2 };
        let written = csv::format(&frame, &marks);
        let parsed = one(&written);
        let same = |(a, b): (&f32, &f32)| (a - b).abs() < 0.001 || a.is_nan() && b.is_nan();
        prop_assert!(frame.pixels.iter().zip(&*parsed.frame.pixels).all(same));
        prop_assert_eq!(parsed.frame.captured_at, frame.captured_at);
        prop_assert_eq!(parsed.frame.ambient, frame.ambient);
        prop_assert_eq!(parsed.marks.adopted_at, marks.adopted_at);
        // What was read once is not changed by being written again.
        prop_assert_eq!(csv::format(&parsed.frame, &parsed.marks), written);
    }
}
