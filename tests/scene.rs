//! The simulated scene, as those see it who use it: the same by its seed, plausible, and with faults where they were put.

use chrono::{DateTime, TimeDelta, Utc};
use edge::emulate::scene::{Breakdown, Fault, Kind, LABELS, Moment, STEP, Scene, View};
use edge::frame::{COLUMNS, Frame, PIXELS, Pixels, Place, ROWS, statistics};

const KINDS: [Kind; 2] = [Kind::Boiler, Kind::Panel];

/// A midnight.
fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a time")
}

fn pixels(recording: &[(Frame, &str)]) -> Vec<Pixels> {
    recording.iter().map(|(frame, _)| *frame.pixels).collect()
}

/// So many hours after a midnight.
fn moment_after(scene: &Scene, hours: u32) -> Moment {
    let mut course = scene.course(1, 0);
    course.advance(hours * 60);
    course.moment()
}

/// A moment without noise: what remains is the scene itself and the sensor's fixed pattern.
fn still(scene: &Scene, moment: &Moment, faults: &[Fault]) -> Box<Pixels> {
    let mut camera = scene.camera(1);
    camera.view = View {
        shake: 0.0,
        noise: 0.0,
        chess: 0.0,
        ..View::default()
    };
    scene.render(moment, &mut camera, faults)
}

#[test]
fn a_seed_gives_the_same_frames_and_another_seed_or_stream_others() {
    for kind in KINDS {
        let record =
            |seed, stream| pixels(&Scene::new(kind, seed).recording(0.5, 6, stream, start()));
        let frames = record(7, 1);
        assert_eq!(frames, record(7, 1));
        assert_ne!(frames, record(7, 2));
        assert_ne!(frames, record(8, 1));
        // Not only the noise differs, but what happens: a course has its own temperatures.
        let scene = Scene::new(kind, 7);
        let course = |stream| {
            scene
                .course(stream, 0)
                .nth(100)
                .map(|moment| moment.temperatures)
        };
        assert_eq!(course(1), course(1));
        assert_ne!(course(1), course(2));
    }
    let boiler = pixels(&Scene::new(Kind::Boiler, 7).recording(0.1, 2, 1, start()));
    let panel = pixels(&Scene::new(Kind::Panel, 7).recording(0.1, 2, 1, start()));
    assert_ne!(boiler, panel);
}

#[test]
fn a_recording_is_spread_evenly_over_its_days() {
    let scene = Scene::new(Kind::Boiler, 7);
    let recording = scene.recording(2.0, 16, 1, start());
    assert_eq!(recording.len(), 16);
    for (turn, (frame, label)) in recording.iter().enumerate() {
        let passed = TimeDelta::hours(3) * i32::try_from(turn + 1).expect("few");
        assert_eq!(frame.captured_at, Some(start() + passed));
        assert_eq!(frame.camera.as_deref(), Some("simulated boiler 7"));
        assert!(LABELS.contains(label), "{label}");
        let ambient = frame.ambient.expect("a sensor knows its own temperature");
        assert!((15.0..35.0).contains(&ambient), "{ambient}");
        assert!(frame.pixels.iter().all(|pixel| pixel.is_finite()));
    }
    assert!(scene.recording(2.0, 0, 1, start()).is_empty());
}

#[test]
fn frames_look_like_rooms() {
    for kind in KINDS {
        for seed in 1..4 {
            let scene = Scene::new(kind, seed);
            for (frame, _) in scene.recording(1.0, 8, 1, start()) {
                let found = statistics(&frame.pixels);
                let text = format!("{}: {found:?}", scene.name());
                assert!((5.0..26.0).contains(&found.min), "{text}");
                assert!((15.0..32.0).contains(&found.mean), "{text}");
                assert!((24.0..70.0).contains(&found.max), "{text}");
            }
        }
    }
}

#[test]
fn all_labels_occur_in_a_day() {
    for (kind, seed) in [(Kind::Boiler, 3), (Kind::Boiler, 4), (Kind::Panel, 3)] {
        let scene = Scene::new(kind, seed);
        let a_day = 24 * 60 / STEP as usize;
        let labels: Vec<&str> = scene.course(1, 0).take(a_day).map(|m| m.label).collect();
        for label in LABELS {
            let count = labels.iter().filter(|found| **found == label).count();
            assert!(
                count >= a_day / 50,
                "{}: {label} {count} times",
                scene.name()
            );
        }
    }
}

#[test]
fn a_step_is_five_minutes_however_it_is_taken() {
    let scene = Scene::new(Kind::Boiler, 3);
    let mut by_hand = scene.course(1, 0);
    for moment in scene.course(1, 0).take(20) {
        for _ in 0..STEP {
            by_hand.advance(1);
        }
        assert_eq!(moment, by_hand.moment());
    }
}

#[test]
fn the_room_is_warmer_in_the_evening_than_before_dawn() {
    let scene = Scene::new(Kind::Panel, 5);
    let mut by_hour = [0.0; 24];
    for moment in scene.course(1, 0).step_by(12).take(24 * 10) {
        by_hour[usize::try_from(moment.minute / 60 % 24).expect("an hour")] +=
            moment.ambient / 10.0;
    }
    let (evening, dawn) = (by_hour[21], by_hour[9]);
    assert!(evening > dawn + 1.0, "{by_hour:?}");
    let season = |degrees: f64| {
        let mut course = scene.course(1, 0);
        course.season = degrees;
        course.next().expect("a course never ends").ambient
    };
    assert!((season(7.0) - season(0.0) - 7.0).abs() < 1e-9);
}

#[test]
fn a_hot_spot_appears_where_it_was_put_and_as_high() {
    for (kind, row, column) in [(Kind::Boiler, 21.0, 3.0), (Kind::Panel, 2.0, 14.0)] {
        let scene = Scene::new(kind, 11);
        let moment = moment_after(&scene, 6);
        let spot = Fault::HotSpot {
            row,
            column,
            radius: 2.0,
            delta_t: 10.0,
        };
        let (normal, hot) = (still(&scene, &moment, &[]), still(&scene, &moment, &[spot]));
        let rise = |at: usize| hot[at] - normal[at];
        let hottest = (0..PIXELS)
            .max_by(|&a, &b| rise(a).total_cmp(&rise(b)))
            .expect("pixels");
        let distance = |at: usize| {
            let place = Place::of(at);
            let coordinate = |at: usize| f64::from(u16::try_from(at).expect("a pixel"));
            (coordinate(place.row) - row).hypot(coordinate(place.column) - column)
        };
        assert!(distance(hottest) <= 1.0, "{kind:?}: pixel {hottest}");
        // Nearly all of it: a disc of this size is a little blurred, and the room's radiance is averaged in.
        assert!(
            (8.0..11.5).contains(&rise(hottest)),
            "{kind:?}: {}",
            rise(hottest)
        );
        for at in 0..PIXELS {
            assert!(
                distance(at) < 5.0 || rise(at).abs() < 0.8,
                "{kind:?}: pixel {at} {}",
                rise(at)
            );
        }
    }
}

#[test]
fn noise_is_as_the_datasheet_says_and_larger_in_the_corners() {
    let scene = Scene::new(Kind::Panel, 2);
    let moment = moment_after(&scene, 4);
    let spread = |noise: f64| {
        let mut camera = scene.camera(3);
        camera.view = View {
            shake: 0.0,
            chess: 0.0,
            noise,
            ..View::default()
        };
        let frames: Vec<_> = (0..60)
            .map(|_| scene.render(&moment, &mut camera, &[]))
            .collect();
        // Without what whole frames have in common.
        let means: Vec<f32> = frames.iter().map(|f| statistics(f).mean).collect();
        let of = |at: usize| {
            let values: Vec<f32> = frames
                .iter()
                .zip(&means)
                .map(|(f, mean)| f[at] - mean)
                .collect();
            let mean = values.iter().sum::<f32>() / 60.0;
            (values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 59.0).sqrt()
        };
        let mean_of = |places: &[usize]| {
            places.iter().map(|&at| of(at)).sum::<f32>()
                / f32::from(u16::try_from(places.len()).expect("few"))
        };
        let middle: Vec<usize> = (10..14)
            .flat_map(|row| (12..20).map(move |column| row * COLUMNS + column))
            .collect();
        let corners: Vec<usize> = [0, 1, ROWS - 2, ROWS - 1]
            .into_iter()
            .flat_map(|row| [0, 1, COLUMNS - 2, COLUMNS - 1].map(|column| row * COLUMNS + column))
            .collect();
        (mean_of(&middle), mean_of(&corners))
    };
    let (middle, corners) = spread(1.0);
    // 0.11 to 0.16 deg C at 1 Hz, half again as much for one shot, and up to 1.9 times that in the corners.
    assert!((0.15..0.27).contains(&middle), "{middle}");
    assert!(
        (1.4..2.4).contains(&(corners / middle)),
        "{corners} by {middle}"
    );
    assert!(spread(2.0).0 > 1.7 * middle);
}

#[test]
fn a_blocked_lens_sees_nothing_of_the_scene() {
    let scene = Scene::new(Kind::Boiler, 4);
    let moment = moment_after(&scene, 20);
    let range = |frame: &Pixels, columns: std::ops::Range<usize>| {
        let seen = (0..PIXELS).filter(|at| columns.contains(&(at % COLUMNS)));
        let values: Vec<f32> = seen.map(|at| frame[at]).collect();
        values.iter().copied().fold(f32::MIN, f32::max)
            - values.iter().copied().fold(f32::MAX, f32::min)
    };
    let normal = still(&scene, &moment, &[]);
    let above_ambient = 4.0;
    let blocked = Fault::BlockedLens {
        above_ambient,
        slope: 0.0,
    };
    let half = Fault::HalfBlockedLens {
        columns: 12,
        above_ambient,
    };
    // What is left is the sensor's fixed pattern.
    assert!(range(&normal, 0..COLUMNS) > 15.0);
    assert!(range(&still(&scene, &moment, &[blocked]), 0..COLUMNS) < 6.0);
    let half = still(&scene, &moment, &[half]);
    assert!(range(&half, 0..12) < 6.0);
    for at in (0..PIXELS).filter(|at| at % COLUMNS >= 12) {
        assert!((half[at] - normal[at]).abs() < 0.8, "pixel {at}");
    }
}

#[test]
fn somebody_in_the_view_hides_the_scene() {
    let scene = Scene::new(Kind::Panel, 4);
    let moment = moment_after(&scene, 2);
    let person = Fault::Person {
        row: 12.0,
        column: 10.0,
        size: [8.0, 4.0],
        celsius: 32.0,
    };
    let (normal, seen) = (
        still(&scene, &moment, &[]),
        still(&scene, &moment, &[person]),
    );
    let at = 12 * COLUMNS + 10;
    assert!((seen[at] - 32.0).abs() < 3.0, "{}", seen[at]);
    let far = 12 * COLUMNS + 28;
    assert!((seen[far] - normal[far]).abs() < 0.8);
}

#[test]
fn dead_pixels_say_the_same_whatever_they_see() {
    let scene = Scene::new(Kind::Boiler, 5);
    let mut camera = scene.camera(1);
    let dead = Fault::DeadPixels {
        pixels: vec![3, 400, PIXELS],
        celsius: 85.0,
    };
    for moment in scene.course(1, 0).step_by(30).take(4) {
        let frame = scene.render(&moment, &mut camera, std::slice::from_ref(&dead));
        let same: Vec<usize> = (0..PIXELS)
            .filter(|&at| (frame[at] - 85.0).abs() < f32::EPSILON)
            .collect();
        assert_eq!(same, [3, 400]);
        assert_eq!(Frame::new(frame).repaired(&[]).bad, [3, 400]);
    }
}

#[test]
fn parts_can_be_too_hot_and_not_colder_than_the_room() {
    for kind in KINDS {
        let scene = Scene::new(kind, 6);
        let moment = moment_after(&scene, 8);
        let parts = scene.warm_parts()[0].clone();
        let at = scene.place_of(&parts).index();
        let normal = still(&scene, &moment, &[]);
        let rise = |delta_t: f64| {
            let parts = parts.clone();
            still(&scene, &moment, &[Fault::HotPart { parts, delta_t }])[at] - normal[at]
        };
        assert!(rise(20.0) > 6.0, "{kind:?}: {}", rise(20.0));
        let hottest = parts.iter().map(|&part| moment.temperatures[part]);
        let most = hottest.fold(f64::MIN, f64::max) - moment.ambient;
        assert!(
            f64::from(rise(-500.0)) > -most - 1.0,
            "{kind:?}: {}",
            rise(-500.0)
        );
    }
}

#[test]
fn a_machine_that_broke_down_grows_hotter() {
    for kind in KINDS {
        let scene = Scene::new(kind, 6);
        let warmest = |breakdown: Option<Breakdown>| {
            let mut course = scene.course(4, 0);
            course.breakdown = breakdown;
            let part = scene.heated_without_flow();
            course
                .take(288)
                .map(|m| m.temperatures[part] - m.ambient)
                .fold(f64::MIN, f64::max)
        };
        let sound = warmest(None);
        assert!(
            warmest(Some(Breakdown::Overheating(30.0))) > sound + 8.0,
            "{kind:?}"
        );
        if kind == Kind::Panel {
            assert!(warmest(Some(Breakdown::Flow)) > sound + 4.0);
        }
    }
    // Without its pump the boiler's return cools to the room's temperature.
    let scene = Scene::new(Kind::Boiler, 6);
    let returned = &scene.far_parts()[0];
    let mut course = scene.course(4, 0);
    course.breakdown = Some(Breakdown::Flow);
    for moment in course.skip(72).take(216) {
        assert!(moment.temperatures[returned[0]] < moment.ambient + 2.0);
    }
}

#[test]
fn a_camera_that_was_moved_sees_everything_elsewhere() {
    let scene = Scene::new(Kind::Panel, 9);
    let moment = moment_after(&scene, 12);
    let seen = |moved: [f64; 2]| {
        let mut camera = scene.camera(1);
        camera.view = View {
            shake: 0.0,
            noise: 0.0,
            moved,
            ..View::default()
        };
        scene.render(&moment, &mut camera, &[])
    };
    let misfit = |a: &Pixels, b: &Pixels, by: usize| {
        let pairs = a.chunks_exact(COLUMNS).zip(b.chunks_exact(COLUMNS));
        let rows = pairs.map(|(a, b)| {
            let rest = a.iter().zip(&b[by..]).map(|(a, b)| (a - b).abs());
            rest.sum::<f32>()
        });
        rows.sum::<f32>()
    };
    let (usual, moved) = (seen([0.0, 0.0]), seen([0.0, 1.0]));
    // One pixel to the right: what was seen by a pixel is seen by its left neighbour.
    assert!(misfit(&moved, &usual, 1) < misfit(&moved, &usual, 0));
    assert_eq!(usual, seen([0.0, 0.0]));
}

/// The promise on two scenes and 80 days in which nothing is wrong; the table of all of them takes a minute in a release build.
#[test]
fn the_promise_is_kept_on_a_boiler_and_a_panel() {
    let home = tempfile::tempdir().expect("a directory");
    let arguments = [
        "evaluate", "--seed", "103", "--scenes", "2", "--direct", "--json",
    ];
    let told = crate::support::edge::printed(home.path(), &arguments);
    let evaluation: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
    let targets = evaluation["targets"].as_array().expect("a list");
    assert_eq!(targets.len(), 5);
    for target in targets {
        assert_eq!(target["met"], true, "{target}");
    }
    assert_eq!(evaluation["normal"]["frames"], 2 * 40 * 288);
}

#[test]
fn a_missed_promise_is_an_exit_code() {
    let home = tempfile::tempdir().expect("a directory");
    // Few frames make a model blind.
    let arguments = [
        "evaluate", "--frames", "30", "--scenes", "1", "--quick", "--days", "1",
    ];
    let output = crate::support::edge::run(home.path(), &arguments);
    let told = String::from_utf8(output.stdout).expect("text");
    assert!(
        told.contains("✗ spots of 6 °C, radius 2 px, found"),
        "{told}"
    );
    assert!(
        told.contains("What it cannot see") && told.contains("pump"),
        "{told}"
    );
    assert_eq!(output.status.code(), Some(3), "{told}");
}
