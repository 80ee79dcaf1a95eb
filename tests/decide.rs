//! What frames mean over time.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use edge::decide::{
    Action, Alert, Confirm, Decision, Dwell, Health, Observation, Outcome, Reading, Reason, Seen,
    Settings, Sight, State, observe,
};
use edge::frame::Place;
use edge::note::Moment;
use proptest::prelude::*;

mod note;
mod scene;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// A station that is asked to look, with its time turned by hand. Its state is written down and read after every look.
struct Station {
    settings: Settings,
    state: State,
    boot: u32,
    uptime: Duration,
    at: Option<DateTime<Utc>>,
    powered: Duration,
}

impl Station {
    fn new() -> Self {
        Self {
            settings: Settings {
                dwell: vec![Dwell::new("warm", 3 * HOUR)],
                ..Settings::default()
            },
            state: State::default(),
            boot: 1,
            uptime: Duration::ZERO,
            at: DateTime::from_timestamp(1_767_225_600, 0),
            powered: Duration::MAX,
        }
    }

    fn pass(&mut self, time: Duration) {
        self.uptime += time;
        let time = TimeDelta::from_std(time).expect("not that long");
        self.at = self.at.map(|at| at + time);
    }

    /// The agent is started anew after this time.
    fn restart(&mut self, time: Duration) {
        self.pass(time);
        self.boot += 1;
        self.uptime = Duration::ZERO;
    }

    fn look(&mut self, seen: Seen) -> Decision {
        let observation = Observation {
            boot: self.boot,
            moment: Moment {
                uptime: self.uptime,
                at: self.at,
            },
            powered: self.powered,
            seen,
        };
        let (state, decision) = observe(&self.settings, self.state.clone(), observation);
        let written = serde_json::to_string(&state).expect("a state can be written");
        assert!(written.len() < 3000, "{} bytes: {written}", written.len());
        self.state = serde_json::from_str(&written).expect("and read");
        assert_eq!(self.state, state);
        decision
    }

    /// Looks as often as the cycle wants, at frames of these scores, and on to the next interval.
    fn cycle(&mut self, scores: &[f32]) -> (Vec<Reason>, Decision) {
        let sights = scores
            .iter()
            .map(|score| Seen::Frame(sight(*score, "cold")));
        self.cycle_of(sights)
    }

    fn cycle_of(&mut self, seen: impl IntoIterator<Item = Seen>) -> (Vec<Reason>, Decision) {
        let (mut spent, mut reasons) = (Duration::ZERO, Vec::new());
        for seen in seen {
            let decision = self.look(seen);
            if let Outcome::LookAgain { after } = decision.outcome {
                assert!(decision.actions.is_empty(), "{:?}", decision.actions);
                reasons.push(decision.reason);
                spent += after;
                self.pass(after);
                continue;
            }
            self.pass(self.settings.interval.saturating_sub(spent));
            return (reasons, decision);
        }
        panic!("it wants more frames: {reasons:?}");
    }

    /// Readings in this state for so long.
    fn stay(&mut self, label: &str, time: Duration) -> Vec<(Duration, Alert)> {
        let (began, mut alerts) = (self.uptime, Vec::new());
        while self.uptime < began + time {
            let at = self.uptime.saturating_sub(began);
            let seen = [(); 3].map(|()| Seen::Frame(sight(0.01, label)));
            let (_, decision) = self.cycle_of(seen);
            reading(&decision);
            alerts.extend(alerts_of(&decision).into_iter().map(|alert| (at, alert)));
        }
        alerts
    }
}

fn sight(anomaly: f32, label: &str) -> Sight {
    let score = |name: &str| {
        let share = if name == label { 0.9 } else { 0.05 };
        (name.to_owned(), share * (1.0 - anomaly))
    };
    Sight {
        scores: vec![
            ("anomaly".to_owned(), anomaly),
            score("cold"),
            score("warm"),
            score("hot"),
        ],
        place: Some(Place { row: 9, column: 21 }),
        delta_t: Some(10.0),
        ratio: Some(1.2),
        shift: Some([0.01, -0.02]),
        max: 61.5,
        mean: 24.25,
        ambient: Some(30.0),
    }
}

fn reading(decision: &Decision) -> &Reading {
    match &decision.outcome {
        Outcome::Reading(reading) => reading,
        other => panic!("no reading but {other:?}: {}", decision.reason),
    }
}

fn alerts_of(decision: &Decision) -> Vec<Alert> {
    let alerts = decision.actions.iter().filter_map(|action| match action {
        Action::Alert { why, .. } => Some(why.clone()),
        Action::Health { .. } => None,
    });
    alerts.collect()
}

fn failed() -> Seen {
    Seen::Failed {
        why: "the bus does not answer".to_owned(),
    }
}

#[test]
fn a_normal_frame_is_a_reading_at_once() {
    let mut station = Station::new();
    let (reasons, decision) = station.cycle(&[0.7]);
    // 0.7 as a float32 is a little less, and to four places it is not above 0.7.
    assert!(reasons.is_empty());
    assert_eq!(decision.reason, Reason::Normal);
    let reading = reading(&decision);
    assert_eq!((reading.frame, reading.frames), (0, 1));
    assert!((reading.anomaly - 0.7).abs() < 1e-12 && reading.anomaly <= 0.7);
    assert!(!reading.in_episode && decision.actions.is_empty());
}

#[test]
fn a_passer_by_is_no_reading_above_the_threshold() {
    let mut station = Station::new();
    for scores in [&[0.99, 0.02, 0.03][..], &[0.7001, 0.7, 0.1]] {
        let (reasons, decision) = station.cycle(scores);
        assert_eq!(reasons.len(), 2);
        assert_eq!(
            reasons[0],
            Reason::Suspicious {
                above: 1,
                frames: 1
            }
        );
        assert!(matches!(
            decision.reason,
            Reason::NotConfirmed {
                above: 1,
                frames: 3
            }
        ));
        assert!(reading(&decision).anomaly <= 0.7);
        assert!(decision.actions.is_empty());
    }
}

#[test]
fn two_of_three_open_an_episode_and_end_it() {
    let mut station = Station::new();
    let (_, decision) = station.cycle(&[0.95, 0.2, 0.8]);
    assert_eq!(
        decision.actions,
        [Action::Alert {
            why: Alert::Anomaly,
            picture: true,
            moved: false
        }]
    );
    let found = reading(&decision);
    // The second highest, whose picture it is.
    assert_eq!((found.frame, found.frames), (2, 3));
    assert!((found.anomaly - 0.8).abs() < 1e-9 && found.in_episode);

    // Two are enough if they agree, and nothing is told twice.
    let (reasons, decision) = station.cycle(&[0.9, 0.85]);
    assert_eq!(reasons.len(), 1);
    assert!(decision.actions.is_empty(), "{:?}", decision.actions);
    // Between the thresholds one frame says enough: nothing changes.
    let (reasons, decision) = station.cycle(&[0.5]);
    assert!(reasons.is_empty() && reading(&decision).in_episode);
    // One frame below is not the end.
    let (reasons, decision) = station.cycle(&[0.1, 0.6, 0.9]);
    assert_eq!(
        reasons[0],
        Reason::PerhapsOver {
            below: 1,
            frames: 1
        }
    );
    assert!(reading(&decision).in_episode && decision.actions.is_empty());
    let (_, decision) = station.cycle(&[0.1, 0.9, 0.2]);
    assert_eq!(alerts_of(&decision), [Alert::AnomalyOver]);
    let found = reading(&decision);
    assert!(!found.in_episode && found.anomaly < 0.5);
    let lasted = matches!(decision.reason, Reason::Ended { lasted, .. } if lasted == 20 * MINUTE);
    assert!(lasted, "{}", decision.reason);
}

#[test]
fn it_is_told_again_only_if_it_is_clearly_worse_or_if_that_is_wanted() {
    let hot = |delta_t: f32, ratio: f32| {
        let sight = Sight {
            delta_t: Some(delta_t),
            ratio: Some(ratio),
            ..sight(0.9, "hot")
        };
        [Seen::Frame(sight.clone()), Seen::Frame(sight)]
    };
    let mut station = Station::new();
    let told =
        |station: &mut Station, delta_t, ratio| alerts_of(&station.cycle_of(hot(delta_t, ratio)).1);
    assert_eq!(told(&mut station, 10.0, 1.2), [Alert::Anomaly]);
    // Much worse, but too soon.
    for _ in 0..5 {
        assert!(told(&mut station, 30.0, 3.0).is_empty());
    }
    assert_eq!(told(&mut station, 15.0, 1.2), [Alert::AnomalyWorse]);
    for _ in 0..20 {
        assert!(told(&mut station, 19.9, 1.79).is_empty());
    }
    assert_eq!(told(&mut station, 15.0, 1.9), [Alert::AnomalyWorse]);
    station.settings.repeat = Some(HOUR);
    let turns: Vec<usize> = (1..=24)
        .filter(|_| !told(&mut station, 15.0, 1.9).is_empty())
        .collect();
    assert_eq!(turns, [12, 24]);
}

#[test]
fn a_sensor_warms_up_before_it_is_believed() {
    let mut station = Station::new();
    let cold = |ambient: f32| {
        Seen::Frame(Sight {
            ambient: Some(ambient),
            ..sight(0.99, "cold")
        })
    };
    let mut ambient = 25.0;
    let mut waited = Duration::ZERO;
    station.powered = Duration::from_secs(5);
    // It drifts by half a kelvin a minute, for as long as anybody looks.
    let decision = loop {
        let decision = station.look(cold(ambient));
        let Outcome::LookAgain { after } = decision.outcome else {
            break decision;
        };
        assert!(!after.is_zero());
        let told = decision.reason.to_string();
        if station.powered < 4 * MINUTE {
            assert!(
                matches!(decision.reason, Reason::WarmingUp { .. }),
                "{told}"
            );
        } else if station.powered < 10 * MINUTE {
            assert_eq!(
                told,
                "the sensor's own temperature changes by 0.50 K a minute"
            );
        } else {
            assert!(
                matches!(decision.reason, Reason::Suspicious { .. }),
                "{told}"
            );
        }
        waited += after;
        station.pass(after);
        station.powered += after;
        ambient += 0.5 * after.as_secs_f32() / 60.0;
    };
    assert_eq!(waited + Duration::from_secs(5), 10 * MINUTE + MINUTE / 2);
    assert!(reading(&decision).drifting);
    // A steady one is believed after four minutes, and one that always had power at once.
    for powered in [4 * MINUTE, Duration::MAX] {
        let mut station = Station::new();
        station.powered = powered;
        let (reasons, decision) = station.cycle(&[0.1]);
        assert!(reasons.is_empty() && !reading(&decision).drifting);
    }
}

#[test]
fn glitches_are_counted_and_faults_are_told() {
    let mut station = Station::new();
    // One bad read costs half a minute, and nothing else.
    let (reasons, decision) = station.cycle_of([failed(), Seen::Frame(sight(0.1, "cold"))]);
    assert_eq!(
        reasons[0].to_string(),
        "nothing seen: the bus does not answer"
    );
    assert!(decision.actions.is_empty());
    assert_eq!(station.state.rejected(), 1);

    let broken = || Seen::SensorFault { bad_pixels: 9 };
    let mut told = Vec::new();
    let began = station.uptime;
    for _ in 0..10 {
        for turn in 0..3 {
            let decision = station.look(broken());
            assert!(!matches!(decision.outcome, Outcome::Reading(_)));
            assert_eq!(matches!(decision.outcome, Outcome::NoReading), turn == 2);
            let after = station.uptime.saturating_sub(began);
            told.extend(decision.actions.into_iter().map(|action| (after, action)));
            station.pass(if turn == 2 { 4 * MINUTE } else { MINUTE / 2 });
        }
    }
    let why = Health::Fault {
        why: "9 bad pixels".to_owned(),
    };
    assert_eq!(told, [(15 * MINUTE, Action::Health { why })]);
    assert_eq!(station.state.fault(), Some("9 bad pixels"));
    assert_eq!(station.state.rejected(), 31);
    let (_, decision) = station.cycle(&[0.1]);
    let back = decision.actions[0].to_string();
    assert_eq!(back, "sensor back after 50m");
    assert_eq!(station.state.fault(), None);
}

#[test]
fn an_alarm_that_nothing_confirmed_is_no_reading() {
    let mut station = Station::new();
    let hot = || Seen::Frame(sight(0.9, "hot"));
    let (_, decision) = station.cycle_of([hot(), failed(), failed(), failed()]);
    assert_eq!(decision.outcome, Outcome::NoReading);
    assert!(matches!(decision.reason, Reason::Interrupted { .. }));
    // But what was seen of a normal scene is told.
    let calm = Seen::Frame(sight(0.1, "hot"));
    let (_, decision) = station.cycle_of([hot(), failed(), calm, failed(), failed()]);
    assert!((reading(&decision).anomaly - 0.1).abs() < 1e-9);
    // Numbers that are none are a failed look.
    let (reasons, _) = station.cycle_of([
        Seen::Frame(sight(f32::NAN, "hot")),
        Seen::Frame(sight(0.0, "hot")),
    ]);
    assert!(matches!(reasons[0], Reason::Failed { .. }));
    // Frames of before a restart confirm nothing.
    assert!(matches!(
        station.look(hot()).outcome,
        Outcome::LookAgain { .. }
    ));
    station.restart(MINUTE / 2);
    let decision = station.look(hot());
    assert!(
        matches!(decision.outcome, Outcome::LookAgain { .. }),
        "{}",
        decision.reason
    );
    station.pass(MINUTE / 2);
    assert!(reading(&station.look(hot())).in_episode);
}

#[test]
fn a_state_that_lasts_too_long_is_told_once_at_both_ends() {
    let dwell = |name: &str| Alert::Dwell {
        name: name.to_owned(),
    };
    let mut station = Station::new();
    assert!(station.stay("cold", 5 * HOUR).is_empty());
    let alerts = station.stay("warm", 5 * HOUR);
    assert_eq!(alerts, [(3 * HOUR + 5 * MINUTE, dwell("warm"))]);
    let (_, decision) = station.cycle_of([Seen::Frame(sight(0.1, "warm"))]);
    assert!((reading(&decision).dwell - 5.0).abs() < 1e-9);
    // The first reading in another state may be a mistake, the second is none.
    let alerts = station.stay("hot", HOUR);
    let over = Alert::DwellOver {
        name: "warm".to_owned(),
    };
    assert_eq!(alerts, [(5 * MINUTE, over.clone())]);
    assert_eq!(over.to_string(), "dwell warm over");
    let (_, decision) = station.cycle(&[0.1]);
    assert!(reading(&decision).dwell.abs() < 1e-9);
}

#[test]
fn an_odd_reading_an_hour_does_not_interrupt_a_state() {
    let mut station = Station::new();
    let mut alerts = Vec::new();
    for _ in 0..5 {
        alerts.extend(station.stay("warm", HOUR));
        alerts.extend(station.stay("hot", 5 * MINUTE));
    }
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    // More of them do.
    let mut station = Station::new();
    for _ in 0..20 {
        assert!(station.stay("warm", 50 * MINUTE).is_empty());
        assert!(station.stay("hot", 10 * MINUTE).is_empty());
    }
    let mut station = Station::new();
    for _ in 0..80 {
        assert!(station.stay("warm", 15 * MINUTE).is_empty());
        assert!(station.stay("hot", 5 * MINUTE).is_empty());
    }
    // A reading that is nothing but anomaly says nothing of the state.
    let mut station = Station::new();
    station.stay("warm", 2 * HOUR);
    for _ in 0..12 {
        station.cycle(&[1.0, 1.0]);
    }
    let alerts = station.stay("warm", HOUR).into_iter();
    let names: Vec<String> = alerts.map(|(_, alert)| alert.to_string()).collect();
    assert_eq!(names, ["anomaly over", "dwell warm"]);
}

#[test]
fn a_gap_interrupts_what_has_not_fired() {
    let fired = |gap: fn(&mut Station)| {
        let mut station = Station::new();
        station.stay("warm", 2 * HOUR);
        gap(&mut station);
        !station.stay("warm", HOUR + 30 * MINUTE).is_empty()
    };
    assert!(fired(|_| ()));
    assert!(fired(|station| station.pass(20 * MINUTE)));
    assert!(!fired(|station| station.pass(30 * MINUTE)));
    // Over a restart, the wall clock says how long it was, unless nobody trusts it.
    assert!(fired(|station| station.restart(10 * MINUTE)));
    assert!(!fired(|station| station.restart(5 * HOUR)));
    assert!(!fired(|station| {
        station.at = None;
        station.restart(MINUTE);
    }));
    // Looks that fail are no readings.
    assert!(!fired(|station| {
        for _ in 0..10 {
            station.look(failed());
            station.pass(5 * MINUTE);
        }
    }));
    // What has fired goes on, and its end is told when it is seen.
    let mut station = Station::new();
    assert_eq!(station.stay("warm", 4 * HOUR).len(), 1);
    station.restart(2 * HOUR);
    assert!(station.stay("warm", HOUR).is_empty());
    let (_, decision) = station.cycle_of([Seen::Frame(sight(0.1, "warm"))]);
    assert!((reading(&decision).dwell - 7.0).abs() < 0.2);
    assert_eq!(station.stay("cold", HOUR).len(), 1);
}

#[test]
fn one_look_per_start_continues_where_it_left_off() {
    // Switched on every five minutes, for one cycle each.
    let mut station = Station::new();
    let mut found = Vec::new();
    for turn in 0..60 {
        let score = if (20..40).contains(&turn) { 0.9 } else { 0.1 };
        station.restart(4 * MINUTE);
        let seen = || Seen::Frame(sight(score, "warm"));
        let mut decision = station.look(seen());
        while let Outcome::LookAgain { after } = decision.outcome {
            station.pass(after);
            decision = station.look(seen());
        }
        found.extend(alerts_of(&decision).into_iter().map(|alert| (turn, alert)));
    }
    let names: Vec<_> = found
        .iter()
        .map(|(turn, a)| (*turn, a.to_string()))
        .collect();
    assert_eq!(names[0], (20, "anomaly".to_owned()));
    assert_eq!(names[1].1, "anomaly over");
    assert_eq!(names[2].1, "dwell warm");
    assert_eq!(names.len(), 3, "{names:?}");
}

#[test]
fn another_model_knows_nothing_of_the_states_and_the_place() {
    let mut station = Station::new();
    station.state = std::mem::take(&mut station.state).with_model("a");
    station.stay("warm", 2 * HOUR);
    station.cycle(&[0.9, 0.9]);
    let same = station.state.clone().with_model("a");
    assert_eq!(same, station.state);
    station.state = same.with_model("b");
    assert!(station.state.in_episode());
    let (_, decision) = station.cycle(&[0.1, 0.1]);
    assert_eq!(alerts_of(&decision), [Alert::AnomalyOver]);
    assert!(station.stay("warm", 3 * HOUR).is_empty());
    assert_eq!(station.stay("warm", 10 * MINUTE).len(), 1);
}

#[test]
fn a_moved_camera_is_told_once_and_marks_what_it_sees() {
    let mut station = Station::new();
    let look = |shift: f32, score: f32| {
        let sight = Sight {
            shift: Some([shift, 0.0]),
            ..sight(score, "cold")
        };
        [Seen::Frame(sight.clone()), Seen::Frame(sight)]
    };
    let live = |station: &mut Station, shift: f32, hours: usize| {
        let mut told = Vec::new();
        for turn in 0..hours * 12 {
            // Noise of both signs, much larger than what tells.
            let noise = [0.3, -0.3, 0.1, -0.1][turn % 4];
            let (_, decision) = station.cycle_of(look(shift + noise, 0.1));
            told.extend(decision.actions.iter().map(ToString::to_string));
        }
        told
    };
    assert!(live(&mut station, 0.0, 24).is_empty());
    let told = live(&mut station, 0.1, 24);
    assert!(
        told.len() == 1 && told[0].starts_with("camera moved by 0.0"),
        "{told:?}"
    );
    let moved = station.state.moved().expect("it was moved");
    assert!((moved - 0.1).abs() < 0.01, "{moved}");
    let (_, decision) = station.cycle_of(look(0.1, 0.9));
    assert_eq!(decision.actions[0].to_string(), "anomaly (camera moved)");
    assert!(reading(&decision).moved.is_some());
    station.cycle_of(look(0.1, 0.1));
    assert_eq!(live(&mut station, 0.0, 24), ["camera back"]);
}

#[test]
fn settings_that_contradict_themselves_are_refused() {
    assert!(Settings::default().check().is_ok());
    let refused = |change: fn(&mut Settings)| {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().expect_err("it is refused").to_string()
    };
    let told = refused(|s| s.confirm.of = 4);
    assert!(told.contains("more than half"), "{told}");
    refused(|s| s.confirm.needed = 0);
    refused(|s| s.clear = 0.8);
    refused(|s| s.threshold = f64::NAN);
    refused(|s| s.interval = MINUTE);
    refused(|s| s.warm_up.time = HOUR);
    refused(|s| s.moved.ends = 1.0);
    refused(|s| s.moved.blocks = 0);
    refused(|s| s.dwell = vec![Dwell::new("a", HOUR), Dwell::new("a", HOUR)]);
    refused(|s| s.dwell = vec![Dwell::new("anomaly", HOUR)]);
    let labels = ["anomaly", "idle", "warm"].map(String::from);
    assert_eq!(Settings::default().unknown_labels(&labels), ["cold"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes: a reading is above the threshold exactly if N frames were, cycles are bounded, beginnings and ends of
    /// episodes take turns, and nothing panics.
    #[test]
    fn a_reading_is_above_the_threshold_exactly_if_enough_frames_were(
        (needed, of) in (1_usize..=5).prop_flat_map(|of| (of / 2 + 1..=of, Just(of))),
        looks in prop::collection::vec((0_u8..12, 0_u16..=10_000), 1..200),
    ) {
        let mut station = Station::new();
        station.settings.confirm = Confirm { needed, of, every: MINUTE / 2 };
        station.settings.check().expect("they are sound");
        let (mut above, mut frames, mut tries, mut open) = (0, 0, 0, false);
        for (kind, score) in looks {
            let score = f32::from(score) / 10_000.0;
            let seen = match kind {
                0 => failed(),
                1 => Seen::SensorFault { bad_pixels: 5 },
                2 => { station.restart(MINUTE); (above, frames, tries) = (0, 0, 0); failed() },
                _ => Seen::Frame(sight(score, "warm")),
            };
            if matches!(seen, Seen::Frame(_)) {
                frames += 1;
                above += usize::from(f64::from(score) > 0.700_04);
            }
            tries += 1;
            let decision = station.look(seen);
            for alert in alerts_of(&decision) {
                match alert {
                    Alert::Anomaly => { prop_assert!(!open && above >= needed); open = true; }
                    Alert::AnomalyOver => { prop_assert!(open); open = false; }
                    _ => (),
                }
            }
            match decision.outcome {
                Outcome::LookAgain { after } => { station.pass(after); prop_assert!(tries < 2 * of); }
                outcome => {
                    if let Outcome::Reading(reading) = outcome {
                        prop_assert_eq!(reading.frames, frames);
                        prop_assert!(reading.frame < frames && frames <= of);
                        prop_assert_eq!(reading.anomaly > 0.7, above >= needed);
                        prop_assert_eq!(reading.in_episode, open);
                    }
                    (above, frames, tries) = (0, 0, 0);
                    station.pass(4 * MINUTE);
                }
            }
        }
    }
}
