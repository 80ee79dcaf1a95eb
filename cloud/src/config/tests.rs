//! Configurations that are accepted and the values they give; what is refused, the layers and the
//! shipped file stand in modules of their own.

mod layered;
mod refused;
mod shipped;
mod watch;

use super::*;

const UBIDOTS: &str = "[[destination]]\nname='u'\nkind='ubidots'\ntoken='t-ubidots'\n";
const TWILIO: &str = "[[destination]]\nname='phone'\nkind='twilio'\naccount_sid='AC1'\nauth_token='t-twilio'\nfrom='+15005550006'\nto=['+15005550009']\n";
const HTTP: &str =
    "[[destination]]\nname='h'\nkind='http'\nurl='https://example.com/hook/s3cret'\n";
const RULE: &str = "[[rule]]\nname='r'\nvalue='body.x'\nfire_above=1\n";
const ROUTE: &str = "[[route]]\nname='r'\ndestination='h'\n";

fn accept(toml: &str) -> Config {
    Config::parse(toml).unwrap_or_else(|errors| panic!("{toml}\n{errors}"))
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    let config = accept("");
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(
        (config.server.body_limit, config.database.max_connections),
        (256 * 1024, 16)
    );
    assert_eq!(config.server.request_timeout, Duration::from_secs(10));
    assert_eq!(config.database.data_dir, Path::new("data"));
    assert!(config.database.url.is_none() && config.access.notehub_tokens.is_empty());
    assert_eq!(config.transform.engine, Engine::JsonataCore);
    assert_eq!(config.transform.timeout, Duration::from_millis(500));
    assert_eq!(config.transform.output_limit, 1024 * 1024);
    assert_eq!(config.watch.silent_after, Duration::from_mins(90));
    let notehub = &config.notehub;
    assert!(notehub.project.is_none() && notehub.client.is_none() && !notehub.system_files);
    assert_eq!(
        (notehub.every, notehub.first),
        (Duration::from_mins(5), Duration::from_hours(7 * 24))
    );
    assert_eq!(units::show_rate(notehub.rate_limit), "7/m");
    assert_eq!(
        config.retention.measurements,
        units::duration("5y").expect("five years")
    );
    assert!(config.routes.is_empty());
    let rule = &config.rules[0];
    assert_eq!(
        (rule.name.as_str(), rule.fire, rule.clear),
        ("anomaly", Threshold::Above(0.7), 0.5)
    );
    assert_eq!((rule.missing, rule.notify.len()), (Some(0.0), 0));
    let [_, dwell, fault] = config.rules.as_slice() else {
        panic!("{:?}", config.rules);
    };
    assert_eq!(
        (dwell.name.as_str(), fault.name.as_str()),
        ("dwell", "fault")
    );
    for rule in [dwell, fault] {
        assert_eq!(
            (rule.fire, rule.missing, rule.severity),
            (Threshold::Above(0.0), None, Severity::Warning)
        );
    }
}

#[test]
fn the_tutorial_is_in_force_only_without_any_route_and_rule() {
    let config = accept(&format!("{HTTP}{UBIDOTS}{TWILIO}"));
    assert_eq!(config.routes[0].destination, "u");
    assert_eq!(
        config.routes[0]
            .transform
            .as_ref()
            .map(|one| one.text.as_str()),
        Some(DEFAULT_TRANSFORM)
    );
    assert_eq!(config.rules.len(), 3);
    assert!(config.rules.iter().all(|rule| rule.notify == ["phone"]));
    assert_eq!(config.rules[0].files, ["thermal.qo", "alert.qo"]);
    let only_route = accept(&format!("{HTTP}{UBIDOTS}{ROUTE}"));
    assert_eq!((only_route.routes.len(), only_route.rules.len()), (1, 0));
    let only_rule = accept(&format!("{UBIDOTS}{RULE}"));
    assert_eq!((only_rule.routes.len(), only_rule.rules.len()), (0, 1));
    let neither = accept(&format!("route = []\n{UBIDOTS}"));
    assert_eq!((neither.routes.len(), neither.rules.len()), (0, 0));
}

#[test]
fn defaults_of_destinations_routes_and_rules() {
    let config = accept(&format!("{UBIDOTS}{TWILIO}{HTTP}{ROUTE}{RULE}"));
    let DestinationKind::Ubidots(ubidots) = &config.destinations[0].kind else {
        panic!("{config:?}");
    };
    assert_eq!(
        ubidots.base_url.as_str(),
        "https://industrial.api.ubidots.com/"
    );
    assert_eq!(units::show_rate(ubidots.rate_limit), "4/s");
    let DestinationKind::Twilio(twilio) = &config.destinations[1].kind else {
        panic!("{config:?}");
    };
    assert_eq!(twilio.sender, Sender::From("+15005550006".to_owned()));
    assert_eq!(
        (
            units::show_rate(twilio.rate_limit),
            twilio.validity.as_secs()
        ),
        ("1/s".to_owned(), 900)
    );
    let DestinationKind::Http(http) = &config.destinations[2].kind else {
        panic!("{config:?}");
    };
    assert!(http.rate_limit.is_none() && !http.allow_private && http.timeout.as_secs() == 15);
    let (route, rule) = (&config.routes[0], &config.rules[0]);
    assert!(route.enabled && route.transform.is_none() && route.files == ["*.qo"]);
    assert_eq!(
        (rule.fire, rule.clear, rule.missing),
        (Threshold::Above(1.0), 1.0, None)
    );
    assert_eq!(
        (rule.count, rule.severity),
        (Count { times: 1, of: 1 }, Severity::Critical)
    );
    assert_eq!((rule.hold.as_secs(), rule.clear_hold.as_secs()), (0, 0));
    assert_eq!(
        (rule.cooldown.as_secs(), rule.max_age.as_secs()),
        (1800, 21600)
    );
    assert_eq!(rule.repeat, Some(Duration::from_hours(1)));
    assert_eq!(rule.value.source, "rule `r`: value");
}

#[test]
fn people_behind_numbers_and_where_twilio_reaches_us() {
    let config = accept(&format!(
        "[server]\npublic_url='https://thermal.example.com/watch'\n{}pictures=true\n",
        TWILIO.replace(
            "['+15005550009']",
            "['+15005550009', ' Ann  Lee +15005550011 ']"
        )
    ));
    let (name, twilio) = config.phones().next().expect("a twilio destination");
    assert_eq!((name, twilio.pictures), ("phone", true));
    assert_eq!(twilio.to, ["+15005550009", "+15005550011"]);
    assert_eq!(twilio.names["+15005550011"], "Ann  Lee");
    assert_eq!(twilio.names.len(), 1);
    assert_eq!(twilio.public_url, config.server.public_url);
    let described = config.describe();
    assert!(
        described.contains("to +15005550009, Ann  Lee (+15005550011), texts valid for 15m, pictures follow, answers come to https://thermal.example.com/watch/twilio/inbound"),
        "{described}"
    );
    let described = accept(TWILIO).describe();
    assert!(
        described.contains("nobody can answer")
            && described.contains("server.public_url is not set"),
        "{described}"
    );
    let warnings = |toml: &str| {
        let layers = layer::combine(toml, &BTreeMap::new(), Path::new("")).expect("layers");
        read::config(layers).expect("a configuration").1.join("\n")
    };
    assert_eq!(warnings(TWILIO), "");
    assert!(
        warnings(&format!("{TWILIO}pictures=true\n"))
            .contains("no effect without server.public_url")
    );
    let unreachable = format!("[server]\npublic_url='https://thermal_watch.example.com'\n{TWILIO}");
    assert!(warnings(&unreachable).contains("no address that Twilio takes"));
}

#[test]
fn a_rule_may_fire_below_and_be_fully_written() {
    let config = accept(&format!(
        "{TWILIO}{HTTP}[[rule]]\nname='cold'\nfiles=['health.qo']\ndevices=['dev:*']\nvalue='body.v'\nfire_below=3.3\nclear_above=3.5\nhold='10m'\nclear_hold='5m'\ncount='2 of 3'\nmissing=0\nseverity='info'\nnotify=['phone','h']\nmessage=\"'low'\"\ncooldown='0s'\nrepeat='none'\nmax_age='1d'\n"
    ));
    let rule = &config.rules[0];
    assert_eq!(
        (rule.fire, rule.clear, rule.missing),
        (Threshold::Below(3.3), 3.5, Some(0.0))
    );
    assert_eq!(
        (
            rule.repeat,
            rule.cooldown.as_secs(),
            rule.clear_hold.as_secs()
        ),
        (None, 0, 300)
    );
    assert!(rule.scope().matches("health.qo", "dev:1", None, &[], "p"));
    assert!(!rule.scope().matches("thermal.qo", "dev:1", None, &[], "p"));
}

#[test]
fn secrets_do_not_show() {
    let secret = "hunter2hunter2hunter2";
    let whsec = format!("whsec_{}", "aHVudGVyMmh1bnRlcjJodW50ZXIyaHVudGVyMg==");
    let config = accept(&format!(
        "[database]\nurl='postgres://u:{secret}@db.example.com:5433/thermal?password={secret}'\n[access]\nnotehub_tokens=['{secret}']\npeople_token='{secret}'\n\
         [[destination]]\nname='u'\nkind='ubidots'\ntoken='{secret}'\n\
         [[destination]]\nname='h'\nkind='http'\nurl='https://example.com/{secret}?k={secret}'\nheaders={{ Authorization='{secret}' }}\nsigning_secrets=['{whsec}']\n\
         [[destination]]\nname='p'\nkind='twilio'\naccount_sid='AC1'\nauth_token='{secret}'\napi_key_sid='SK1'\napi_key_secret='{secret}'\nmessaging_service_sid='MG1'\nto=['+15005550009']\n"
    ));
    let described = config.describe();
    for text in [format!("{config:?}"), described.clone()] {
        assert!(
            !text.contains("hunter2") && !text.contains("aHVudGVy"),
            "{text}"
        );
    }
    for part in [
        "Postgres at db.example.com:5433/thermal",
        "h: http at https://example.com, signed, no rate limit, timeout 15s",
        "p: twilio from MG1 to +15005550009",
        "ubidots: thermal.qo, transformed, to u",
        "anomaly: thermal.qo alert.qo, body.anomaly fires above 0.7, clears below 0.5, 0 if missing, critical, tells p",
    ] {
        assert!(described.contains(part), "{described}\nhas no {part:?}");
    }
}
