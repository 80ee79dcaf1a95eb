//! `edge capture` from the camera: a training set that grows by a frame every period.

use std::time::Duration;

use edge::capture::replay::{self, OnBad};
use edge::command::capture::live::{Wanted, collect};
use edge::command::capture::place::Format;

use super::hands::Hands;
use super::station::{config, minutes};

/// Collects so many frames, and gives what was told.
fn collected(hands: &Hands, label: Option<&str>, limit: u32) -> (u32, Vec<String>) {
    let out = hands.state.path().join("frames");
    let wanted = Wanted {
        out: &out,
        label: label.map(str::to_owned),
        every: minutes(10),
        limit: Some(limit),
        format: Format::Csv,
    };
    let mut told = Vec::new();
    let written = collect(
        &wanted,
        &config("").camera,
        hands.state.path(),
        &hands.station,
        &hands.clock,
        &hands.clock.signal(),
        &mut |line| {
            told.push(line);
            Ok(())
        },
    );
    (written.expect("frames are collected"), told)
}

#[test]
fn frames_come_every_period_into_the_folder_of_their_label_and_can_be_learned_from() {
    let hands = Hands::new();
    let (written, told) = collected(&hands, Some("cold"), 6);
    assert_eq!((written, told.len()), (6, 6), "{told:?}");
    let recording = replay::read(&[hands.state.path().join("frames")], OnBad::Refuse);
    let frames = recording.expect("they are frames").frames;
    assert_eq!(frames.len(), 6);
    for pair in frames.windows(2) {
        let at = |index: usize| pair[index].frame.captured_at.expect("a time");
        let apart = (at(1) - at(0)).num_seconds();
        assert!((599..=601).contains(&apart), "{apart} s apart");
    }
    for recorded in &frames {
        assert_eq!(recorded.label.as_deref(), Some("cold"));
        assert!(recorded.frame.ambient.is_some() && recorded.frame.camera.is_some());
        let off = recorded
            .frame
            .pixels
            .iter()
            .map(|pixel| (pixel - 31.0).abs());
        assert!(
            off.fold(0.0, f32::max) < 0.3,
            "the camera sees 31 deg C everywhere"
        );
    }
}

#[test]
fn a_camera_that_is_away_for_a_while_costs_its_frames_and_no_more() {
    let hands = Hands::new();
    collected(&hands, None, 2);
    let camera = hands.camera.clone();
    let clock = hands.clock.clone();
    let trouble = hands.clock.spawn("trouble", move || {
        clock.sleep(minutes(15));
        camera.silence(minutes(20));
    });
    let (written, told) = collected(&hands, None, 4);
    trouble.join().expect("it ends");
    assert_eq!(written, 4);
    let failures = told
        .iter()
        .filter(|line| line.starts_with("no frame: "))
        .count();
    assert_eq!(failures, 2, "{told:?}");
}

#[test]
fn whoever_stops_it_has_what_was_collected_until_then() {
    let hands = Hands::new();
    let stop = hands.clock.signal();
    let (clock, later) = (hands.clock.clone(), stop.clone());
    let somebody = hands.clock.spawn("somebody", move || {
        clock.sleep(minutes(25));
        later.notify();
    });
    let out = hands.state.path().join("frames");
    let wanted = Wanted {
        out: &out,
        label: None,
        every: minutes(10),
        limit: None,
        format: Format::Npy,
    };
    let camera = config("").camera;
    let (state, station) = (hands.state.path(), &hands.station);
    let began = hands.clock.uptime();
    let written = collect(
        &wanted,
        &camera,
        state,
        station,
        &hands.clock,
        &stop,
        &mut |_| Ok(()),
    );
    somebody.join().expect("it ends");
    assert_eq!(written.expect("frames"), 3);
    assert!(hands.clock.uptime() - began < minutes(25) + Duration::from_secs(1));
}
