//! When a delivery is tried again, and when a destination is left alone: bounds that hold for any
//! input, and the tables people rely on.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use cloud::deliver::breaker::{Breaker, Changed, Permit, Recorded};
use cloud::deliver::destination::{Outcome, Scope, Why};
use cloud::deliver::retry::{Next, Schedule, next};
use proptest::prelude::*;

const DOCUMENTED_EVENTS: &str = "5s, 30s, 2m, 10m, 30m, 2h, 5h, 10h, 24h, 24h";
const DOCUMENTED_NOTICES: &str = "5s, 15s, 30s, 1m, 2m, 3m, 4m, 6m, 7m";

#[test]
fn the_schedules_are_the_documented_lists() {
    assert_eq!(Schedule::events().to_string(), DOCUMENTED_EVENTS);
    assert_eq!(Schedule::notices().to_string(), DOCUMENTED_NOTICES);
    assert_eq!(
        Schedule::events().total(),
        Duration::from_secs(236_555),
        "almost three days"
    );
    assert!(Schedule::notices().total().mul_f64(1.2) < Duration::from_mins(30));
}

#[test]
fn what_follows_an_outcome() {
    let decide = |schedule: &Schedule, attempt, outcome: &Outcome| {
        next(schedule, noon(), attempt, outcome, noon(), 0.5)
    };
    let events = Schedule::events();
    assert_eq!(decide(&events, 1, &Outcome::Delivered), Next::Delivered);
    let refused = Outcome::Refused {
        why: Why::Status(400),
    };
    assert_eq!(
        decide(&events, 1, &refused),
        Next::Dead {
            why: "refused: answered 400".to_owned()
        }
    );

    let wait_of = |schedule: &Schedule, attempt, outcome: &Outcome| match decide(
        schedule, attempt, outcome,
    ) {
        Next::Again { at, why } => ((at - noon()).num_seconds(), why),
        other => panic!("{other:?}"),
    };
    let (wait, why) = wait_of(&events, 1, &retry(Why::Status(500), None));
    assert_eq!((wait, why.as_str()), (5, "again in 5s: answered 500"));
    // A chance in the middle leaves the planned wait as it is; a pause is only ever lengthened.
    assert_eq!(wait_of(&events, 1, &retry(Why::Timeout, None)).0, 66);
    assert_eq!(wait_of(&events, 2, &retry(Why::RateLimited, None)).0, 66);
    assert_eq!(wait_of(&events, 4, &retry(Why::RateLimited, None)).0, 600);
    assert_eq!(wait_of(&events, 1, &retry(Why::AccountLimit, None)).0, 990);
    assert_eq!(wait_of(&events, 1, &retry(Why::Disabled, None)).0, 3960);
    assert_eq!(
        wait_of(&Schedule::notices(), 1, &retry(Why::Timeout, None)).0,
        16
    );
    // Retry-After: honoured, then capped at twice the planned wait, never shortening it.
    let (wait, why) = wait_of(&events, 4, &retry(Why::Status(503), Some(900)));
    assert_eq!(
        (wait, why.as_str()),
        (
            900,
            "again in 15m, with regard to Retry-After: answered 503"
        )
    );
    assert_eq!(
        wait_of(&events, 4, &retry(Why::Status(503), Some(86_400))).0,
        1200
    );
    assert_eq!(
        wait_of(&events, 4, &retry(Why::Status(503), Some(0))).0,
        600
    );
    assert_eq!(
        wait_of(&events, 1, &retry(Why::RateLimited, Some(100))).0,
        100
    );
    assert_eq!(
        wait_of(&events, 1, &retry(Why::RateLimited, Some(u64::MAX))).0,
        120
    );

    let last = decide(&events, 11, &retry(Why::Timeout, None));
    let why = "given up after 11 attempts: no answer within the time limit".to_owned();
    assert_eq!(last, Next::Dead { why });
}

#[test]
fn a_notice_is_not_worth_sending_after_half_an_hour() {
    let notices = Schedule::notices();
    let late = noon() + TimeDelta::minutes(29);
    let decided = next(
        &notices,
        noon(),
        2,
        &retry(Why::RateLimited, Some(3600)),
        late,
        1.0,
    );
    assert!(matches!(decided, Next::Again { .. }), "{decided:?}");
    let decided = next(
        &notices,
        noon(),
        6,
        &retry(Why::Status(500), None),
        late,
        0.0,
    );
    let why =
        "given up: not worth sending more than 30m after its creation: answered 500".to_owned();
    assert_eq!(decided, Next::Dead { why });
    assert_eq!(
        notices.expired(noon(), noon() + TimeDelta::minutes(30)),
        None
    );
    assert!(
        notices
            .expired(noon(), noon() + TimeDelta::seconds(1801))
            .is_some()
    );
    assert_eq!(
        Schedule::events().expired(noon(), DateTime::<Utc>::MAX_UTC),
        None
    );
}

proptest! {
    #[test]
    fn every_wait_is_within_its_bounds(
        notices: bool, attempt in 0_u32..14, why in any_why(), after in any_after(), chance in any::<f64>(),
    ) {
        let schedule = if notices { Schedule::notices() } else { Schedule::events() };
        let pause = if notices { 15.0 } else { 60.0 };
        let least = match why {
            Why::Timeout | Why::RateLimited => pause,
            Why::AccountLimit => 15.0 * pause,
            Why::Disabled => 60.0 * pause,
            _ => 0.0,
        };
        let planned = schedule.waits.get(attempt.max(1) as usize - 1).map(Duration::as_secs_f64);
        let decided = next(&schedule, noon(), attempt, &retry(why, after), noon(), chance);
        match (decided, planned) {
            (Next::Again { at, .. }, Some(planned)) => {
                let wait = (at - noon()).as_seconds_f64();
                prop_assert!(wait >= (0.8 * planned).max(least) - 1e-6);
                let longest = (1.2 * planned.max(least)).max(2.0 * planned.max(least) * f64::from(u8::from(after.is_some())));
                prop_assert!(wait <= longest + 1e-6, "{wait} > {longest}");
                prop_assert!(!notices || wait <= 1800.0);
            }
            (Next::Dead { .. }, None) => {}
            // Only a notice has a limit that can cut a wait short.
            (Next::Dead { .. }, Some(planned)) => prop_assert!(notices && 2.0 * planned.max(least) >= 1800.0),
            (decided, planned) => prop_assert!(false, "{decided:?} for {planned:?}"),
        }
    }

    #[test]
    fn a_longer_retry_after_never_shortens_the_wait(
        attempt in 1_u32..11, a in any::<u64>(), b in any::<u64>(), chance in 0.0..=1.0,
    ) {
        let at = |after| match next(&Schedule::events(), noon(), attempt, &retry(Why::Status(503), Some(after)), noon(), chance) {
            Next::Again { at, .. } => at,
            other => panic!("{other:?}"),
        };
        prop_assert!(at(a.min(b)) <= at(a.max(b)));
    }

    #[test]
    fn an_event_is_tried_for_about_three_days_and_a_notice_for_half_an_hour(
        chances in prop::collection::vec(0.0..=1.0_f64, 11), whys in prop::collection::vec(any_why(), 11), slow in 0_i64..30,
    ) {
        for (schedule, attempts, least, most) in [
            (Schedule::events(), 11..=11, TimeDelta::hours(52), TimeDelta::hours(86)),
            (Schedule::notices(), 1..=10, TimeDelta::zero(), TimeDelta::minutes(30)),
        ] {
            let notices = schedule.give_up_after.is_some();
            let (mut now, mut attempt) = (noon(), 1);
            loop {
                let place = attempt as usize - 1;
                // A disabled device stretches the first waits to an hour, which is meant.
                let why = whys[place].clone();
                prop_assert!(!notices || now <= noon() + TimeDelta::minutes(30));
                let ended = now + TimeDelta::seconds(slow);
                match next(&schedule, noon(), attempt, &retry(why, None), ended, chances[place]) {
                    Next::Again { at, .. } => {
                        prop_assert!(at > ended);
                        now = at;
                        attempt += 1;
                    }
                    Next::Dead { .. } => break,
                    Next::Delivered => prop_assert!(false),
                }
            }
            prop_assert!(attempts.contains(&attempt), "{attempt} attempts");
            let total = now - noon();
            prop_assert!(total >= least && total <= most, "{total}");
        }
    }

    #[test]
    fn extremes_do_not_panic(
        created in any_time(), now in any_time(), attempt: u32, after: u64, wait: u64, chance: f64,
    ) {
        let schedule = Schedule {
            waits: vec![Duration::new(wait, 999_999_999); 3],
            give_up_after: Some(Duration::from_secs(wait)),
            pause: Duration::MAX,
        };
        for why in [Why::Timeout, Why::Disabled, Why::Status(500)] {
            let outcome = retry(why, Some(after));
            for schedule in [&schedule, &Schedule::events(), &Schedule::notices()] {
                if let Next::Again { at, .. } = next(schedule, created, attempt, &outcome, now, chance) {
                    prop_assert!(at >= now);
                }
            }
        }
    }
}

/// A step in the life of a breaker: at this second, this happens, this follows.
enum Step {
    Asks(i64, Permit),
    Ends(i64, Recorded, Option<Changed>),
}
use Step::{Asks, Ends};

fn check(steps: &[Step]) {
    let mut breaker = Breaker::new();
    for (number, step) in steps.iter().enumerate() {
        match step {
            Asks(second, expected) => {
                assert_eq!(breaker.permit(at(*second)), *expected, "step {number}")
            }
            Ends(second, recorded, expected) => {
                assert_eq!(
                    breaker.record(*recorded, at(*second)),
                    *expected,
                    "step {number}"
                );
            }
        }
    }
}

#[test]
fn the_breaker_opens_after_five_failures_in_a_row() {
    check(&[
        Asks(0, Permit::Go),
        Ends(0, Recorded::Failed, None),
        Ends(0, Recorded::Failed, None),
        Ends(0, Recorded::Failed, None),
        Ends(0, Recorded::Failed, None),
        Ends(0, Recorded::Alive, None), // starts the count anew
        Ends(1, Recorded::Failed, None),
        Ends(1, Recorded::Failed, None),
        Ends(1, Recorded::Failed, None),
        Ends(1, Recorded::Failed, None),
        Asks(1, Permit::Go),
        Ends(2, Recorded::Failed, opened(32)),
        Asks(3, wait(32)),
        // Results of attempts that began before change nothing.
        Ends(4, Recorded::Alive, None),
        Ends(4, Recorded::Failed, None),
        Asks(31, wait(32)),
        Asks(32, Permit::Probe),
        Asks(32, wait(152)), // one at a time
        Ends(33, Recorded::Alive, Some(Changed::Closed)),
        Asks(33, Permit::Go),
        Ends(34, Recorded::Failed, None),
    ]);
}

#[test]
fn the_breaker_opens_at_once_when_the_destination_says_so_and_waits_longer_each_time() {
    let mut steps = vec![Ends(0, Recorded::Down, opened(30))];
    let mut until = 30;
    for wait in [60, 120, 240, 480, 600, 600, 600] {
        steps.push(Asks(until, Permit::Probe));
        steps.push(Ends(
            until,
            if wait % 240 == 0 {
                Recorded::Down
            } else {
                Recorded::Failed
            },
            opened(until + wait),
        ));
        until += wait;
    }
    // A recovery forgives all of it.
    steps.push(Asks(until, Permit::Probe));
    steps.push(Ends(until, Recorded::Alive, Some(Changed::Closed)));
    steps.push(Ends(until, Recorded::Down, opened(until + 30)));
    check(&steps);
}

#[test]
fn a_lost_probe_and_a_clock_set_back_do_not_hold_the_breaker_open() {
    check(&[
        Ends(0, Recorded::Down, opened(30)),
        Asks(30, Permit::Probe), // and is never heard of again
        Asks(149, wait(150)),
        Asks(150, Permit::Probe),
        Ends(151, Recorded::Failed, opened(211)),
        Asks(-100_000, wait(-100_000 + 60)),
        Asks(-100_000 + 60, Permit::Probe),
        Asks(-900_000, wait(-900_000 + 120)),
        Asks(-900_000 + 120, Permit::Probe),
    ]);
    let mut breaker = Breaker::new();
    breaker.record(Recorded::Down, DateTime::<Utc>::MAX_UTC);
    assert!(matches!(
        breaker.permit(DateTime::<Utc>::MIN_UTC),
        Permit::Wait { .. }
    ));
}

#[test]
fn what_an_outcome_says_about_the_destination() {
    let of = |outcome| Recorded::of(&outcome);
    assert_eq!(of(Outcome::Delivered), Recorded::Alive);
    assert_eq!(
        of(Outcome::Refused {
            why: Why::Status(400)
        }),
        Recorded::Alive
    );
    assert_eq!(of(retry(Why::Status(500), None)), Recorded::Failed);
    assert_eq!(of(retry(Why::RateLimited, None)), Recorded::Failed);
    assert_eq!(of(retry(Why::Merged(400), None)), Recorded::Alive);
    assert_eq!(of(retry(Why::Disabled, None)), Recorded::Alive);
    let down = Outcome::Retry {
        why: Why::Auth(401),
        after: None,
        ambiguous: false,
        scope: Scope::Destination,
    };
    assert_eq!(of(down), Recorded::Down);
}

fn opened(until: i64) -> Option<Changed> {
    Some(Changed::Opened { until: at(until) })
}

fn wait(until: i64) -> Permit {
    Permit::Wait { until: at(until) }
}

fn at(second: i64) -> DateTime<Utc> {
    noon() + TimeDelta::seconds(second)
}

fn noon() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().expect("a time")
}

fn retry(why: Why, after: Option<u64>) -> Outcome {
    let after = after.map(Duration::from_secs);
    Outcome::Retry {
        why,
        after,
        ambiguous: false,
        scope: Scope::Delivery,
    }
}

fn any_why() -> impl Strategy<Value = Why> {
    prop::sample::select(vec![
        Why::Timeout,
        Why::RateLimited,
        Why::AccountLimit,
        Why::Disabled,
        Why::Status(500),
        Why::Connect("refused".to_owned()),
    ])
}

fn any_after() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(prop_oneof![0_u64..200, any::<u64>()])
}

fn any_time() -> impl Strategy<Value = DateTime<Utc>> {
    let bounds = (
        DateTime::<Utc>::MIN_UTC.timestamp(),
        DateTime::<Utc>::MAX_UTC.timestamp(),
    );
    (bounds.0..=bounds.1)
        .prop_map(|second| DateTime::from_timestamp(second, 0).expect("within bounds"))
}
