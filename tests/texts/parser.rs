//! Properties of reading a text: nothing upsets it, and whatever stands around an order does not change it.

use chrono::TimeDelta;
use cloud::web::sms::command::{Command, Time};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn anything_can_be_read(text in any::<String>()) {
        let _ = Command::parse(&text);
    }

    #[test]
    fn what_looks_like_an_order_can_be_read(text in "(?i:ack|silence|status|mute|help|stop)[ #№.,:;'\"“”‘’\u{200b}\u{a0}İẞ🔥-]{0,4}[0-9０-９]{0,25}[ .,]{0,2}(for )?[0-9.,]{0,12} ?(m|h|d|hours|İ|ﬀ)?[\\PC]{0,20}") {
        if let Command::Silence { time: Time::Given(time), .. } = Command::parse(&text) {
            prop_assert!(time >= TimeDelta::zero());
        }
    }

    #[test]
    fn an_acknowledgement_with_whatever_phones_put_around_it(
        id in 0..1_000_000_i64,
        word in "[aA][cC][kK]",
        before in "[ \"“'👍\u{200b}\n]{0,3}",
        between in "[ #:,.\u{a0}-]{0,3}",
        after in "[ .!…\"”\n]{0,3}",
    ) {
        let text = format!("{before}{word}{between}{id}{after}");
        prop_assert_eq!(Command::parse(&text), Command::Acknowledge { incident: Some(id), remark: None }, "{}", text);
    }

    #[test]
    fn a_silence_in_any_spelling(
        id in 0..1_000_000_i64,
        amount in 1..1_000_i64,
        unit in prop::sample::select(vec![("m", 60), ("min", 60), ("H", 3_600), ("hours", 3_600), ("d", 86_400), ("Days", 86_400), ("weeks", 604_800)]),
        gap in " {0,2}",
        reason in prop::option::of("[a-z]{3,8}( [a-z]{1,8}){0,3}"),
    ) {
        let tail = reason.as_ref().map(|reason| format!(" {reason}")).unwrap_or_default();
        let text = format!("Silence #{id} {amount}{gap}{}{tail}", unit.0);
        let time = Time::Given(TimeDelta::seconds(amount * unit.1));
        prop_assert_eq!(Command::parse(&text), Command::Silence { incident: Some(id), time, reason }, "{}", text);
    }
}
