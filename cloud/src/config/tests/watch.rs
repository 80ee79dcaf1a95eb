//! `[watch]` and escalation.

use super::*;

#[test]
fn silence_is_watched_by_default_and_told_to_nobody() {
    let watch = accept("").watch;
    assert!(watch.enabled && watch.notify.is_empty());
    assert_eq!(
        (watch.silent_after, watch.grace, watch.repeat),
        (
            Duration::from_mins(90),
            Duration::from_mins(30),
            Some(Duration::from_hours(1))
        )
    );
    let rule = watch.rule();
    assert_eq!(
        (rule.name.as_str(), rule.severity, rule.wording),
        (SILENT, Severity::Critical, Wording::Silence)
    );
}

#[test]
fn with_the_built_in_rules_it_is_told_to_whom_they_tell() {
    let told = |more: &str| accept(&format!("{TWILIO}{more}")).watch.notify;
    assert_eq!(told(""), ["phone"]);
    assert_eq!(told("[watch]\ngrace='1h'\n"), ["phone"]);
    assert!(accept(TWILIO).describe().contains("critical, tells phone"));
    assert!(told("[watch]\nnotify=[]\n").is_empty());
    assert!(told(RULE).is_empty(), "who writes rules says who is told");
}

#[test]
fn every_key_of_the_watch() {
    let config = accept(&format!(
        "{TWILIO}[watch]\nenabled=false\nsilent_after='2h'\ngrace='0s'\nseverity='warning'\nnotify=['phone']\nrepeat='none'\n"
    ));
    let watch = &config.watch;
    assert!(!watch.enabled && watch.grace.is_zero() && watch.repeat.is_none());
    let rule = watch.rule();
    assert_eq!((rule.severity, rule.notify.len()), (Severity::Warning, 1));
    assert!(
        config.describe().contains("watch        off"),
        "{}",
        config.describe()
    );
    let on = accept(&format!("{TWILIO}[watch]\nnotify=['phone']\n")).describe();
    assert!(
        on.contains(
            "silent after 90m, or by its own rhythm and 30m of grace; critical, tells phone"
        ),
        "{on}"
    );
}

#[test]
fn the_name_of_its_incidents_is_taken() {
    let rule = RULE.replace("'r'", "'silent'");
    let errors = Config::parse(&rule)
        .expect_err("a name that is taken")
        .to_string();
    assert!(errors.contains("rule `silent`: name is taken"), "{errors}");
}

#[test]
fn numbers_are_told_one_after_the_other_on_request() {
    let escalating = |to: &str| {
        let twilio = TWILIO.replace("to=['+15005550009']", to);
        accept(&format!("{twilio}escalate_after='10m'\n"))
    };
    let config = escalating("to=['+15005550009','+15005550010']");
    let DestinationKind::Twilio(twilio) = &config.destinations[0].kind else {
        panic!("{config:?}");
    };
    assert_eq!(twilio.escalate_after, Some(Duration::from_mins(10)));
    assert!(
        config
            .describe()
            .contains("+15005550010 one after the other each 10m"),
        "{}",
        config.describe()
    );
    let errors = Config::parse(&format!("{TWILIO}escalate_after='1s'\n"))
        .expect_err("too soon for anybody")
        .to_string();
    assert!(errors.contains("escalate_after"), "{errors}");
}
