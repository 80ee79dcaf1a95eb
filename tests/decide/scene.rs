//! Decisions over days of a simulated scene, with a model that was trained on other days of it.

use super::*;
use edge::emulate::scene::{Breakdown, Course, Kind, Scene, View};
use edge::model::{Model, residual, training};

fn midnight() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).expect("a time")
}

/// Learned from 120 frames over two weeks.
fn learned(scene: &Scene) -> Model {
    let training = training::train_frames(scene.recording(14.0, 120, 1, midnight()));
    training.expect("a scene can be learned").model
}

/// What is told in so many days, and after how many hours. Trouble begins after a day.
fn told(
    scene: &Scene,
    days: usize,
    stream: u64,
    trouble: impl Fn(&mut Course<'_>, &mut View),
) -> Vec<(f64, String)> {
    let model = learned(scene);
    let mut station = Station::new();
    station.settings = Settings::default();
    let mut course = scene.course(stream, 0);
    let mut camera = scene.camera(stream);
    let mut told = Vec::new();
    for turn in 0..days * 288 {
        if turn == 288 {
            trouble(&mut course, &mut camera.view);
        }
        let moment = course.next().expect("a course goes on");
        let looks = std::iter::repeat_with(|| {
            let frame = scene.frame(&moment, &mut camera, &[], midnight());
            let pixels = frame.repaired(&[]).pixels;
            let found = residual::assess(&model, &pixels);
            let names = ["anomaly", "cold", "warm", "hot"].map(String::from);
            Seen::Frame(Sight {
                scores: names.into_iter().zip(found.scores).collect(),
                place: Some(Place::of(found.index)),
                delta_t: Some(found.delta_t),
                ratio: Some(found.ratio),
                shift: Some(found.shift),
                max: 0.0,
                mean: 0.0,
                ambient: frame.ambient,
            })
        });
        let (_, decision) = station.cycle_of(looks);
        let hours = f64::from(u32::try_from(turn).expect("few")) / 12.0 - 24.0;
        told.extend(
            decision
                .actions
                .iter()
                .map(|action| (hours, action.to_string())),
        );
    }
    told
}

#[test]
fn nothing_is_told_of_machines_that_are_sound() {
    for kind in [Kind::Boiler, Kind::Panel] {
        let scene = Scene::new(kind, 205);
        let told = told(&scene, 8, 2, |_, _| ());
        assert!(told.is_empty(), "{}: {told:?}", scene.name());
    }
}

/// No single frame shows it: without its pump a boiler looks like one at rest.
#[test]
fn a_pump_that_stopped_is_told_by_how_long_the_boiler_stays_cold() {
    for seed in [203, 206] {
        let scene = Scene::new(Kind::Boiler, seed);
        let told = told(&scene, 3, 3, |course, _| {
            course.breakdown = Some(Breakdown::Flow);
        });
        let (hours, why) = told.first().expect("it is told");
        assert_eq!(why, "dwell cold", "{told:?}");
        assert!((12.0..27.0).contains(hours), "{told:?}");
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[test]
fn a_camera_that_was_moved_by_half_a_pixel_is_found_within_half_a_day() {
    for (kind, moved, limit) in [
        (Kind::Boiler, [0.35, -0.35], 12.0),
        (Kind::Boiler, [0.0, -1.0], 10.0),
        (Kind::Panel, [0.5, 0.0], 7.0),
    ] {
        let scene = Scene::new(kind, 202);
        let told = told(&scene, 2, 5, |_, view| view.moved = moved);
        let found = told.iter().find(|(_, why)| why.starts_with("camera moved"));
        let (hours, _) = found.unwrap_or_else(|| panic!("{moved:?}: {told:?}"));
        assert!((0.0..limit).contains(hours), "{moved:?}: {told:?}");
    }
}
