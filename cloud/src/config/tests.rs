//! Good and bad configurations as tables, the layers, and `deploy/cloud.toml` against the defaults.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::*;

const SHIPPED: &str = include_str!("../../../deploy/cloud.toml");
const UBIDOTS: &str = "[[destination]]\nname='u'\nkind='ubidots'\ntoken='t-ubidots'\n";
const TWILIO: &str = "[[destination]]\nname='phone'\nkind='twilio'\naccount_sid='AC1'\nauth_token='t-twilio'\nfrom='+15005550006'\nto=['+15005550009']\n";
const HTTP: &str =
    "[[destination]]\nname='h'\nkind='http'\nurl='https://example.com/hook/s3cret'\n";
const RULE: &str = "[[rule]]\nname='r'\nvalue='body.x'\nfire_above=1\n";
const ROUTE: &str = "[[route]]\nname='r'\ndestination='h'\n";

/// Everything in `expected` must be said, and nothing more than that many problems.
fn refuse(toml: &str, expected: &[&str]) {
    let errors = Config::parse(toml).expect_err(toml);
    assert_eq!(errors.problems.len(), expected.len(), "{toml}\n{errors}");
    for part in expected {
        assert!(
            errors.to_string().contains(part),
            "{toml}\n{errors}\nhas no {part:?}"
        );
    }
}

fn accept(toml: &str) -> Config {
    Config::parse(toml).unwrap_or_else(|errors| panic!("{toml}\n{errors}"))
}

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// A folder that goes away with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("thermal-config-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder for the test");
        Folder(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("a file for the test");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its mode");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
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
    assert_eq!(config.watch.silent_after, Duration::from_secs(90 * 60));
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
        Some(TUTORIAL_TRANSFORM)
    );
    assert_eq!(config.rules[0].notify, ["phone"]);
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
    assert_eq!(rule.repeat, Some(Duration::from_secs(3600)));
    assert_eq!(rule.value.source, "rule `r`: value");
}

#[test]
fn unknown_keys_are_all_named_with_the_nearest() {
    refuse(
        "servr = 1\n[server]\nlisten='127.0.0.1:1'\nbody_limt='1KiB'\nzzz=1\n[database.pool]\nmax=1\n",
        &[
            "`servr` is not a known key; did you mean `server`?",
            "`server.body_limt` is not a known key; did you mean `body_limit`?",
            "`server.zzz` is not a known key; known here: listen, public_url, body_limit, request_timeout",
            "`database.pool` is not a known key",
        ],
    );
    refuse(
        &format!("{HTTP}{ROUTE}[[route]]\nname='second'\ndestination='h'\ntranform='x'\n"),
        &["`route[1].tranform` (route `second`) is not a known key; did you mean `transform`?"],
    );
    refuse(
        &format!("{UBIDOTS}account_sid='AC1'\n{RULE}fire_abov=2\n"),
        &[
            "`destination[0].account_sid` (destination `u`)",
            "did you mean `fire_above`?",
        ],
    );
}

#[test]
fn values_of_the_wrong_kind_or_form() {
    let cases = [
        (
            "[server]\nlisten=8080",
            "`server.listen` must be an address and port such as \"127.0.0.1:8080\", not a number",
        ),
        (
            "[server]\nlisten='localhost:8080'",
            "must be an IP address and a port",
        ),
        (
            "[server]\nlisten='127.0.0.1'",
            "must be an IP address and a port",
        ),
        (
            "[server]\npublic_url='ftp://x'",
            "must start with http:// or https://",
        ),
        (
            "[server]\nrequest_timeout=10",
            "must be a duration with a unit, such as \"10s\", not a number",
        ),
        (
            "[server]\nrequest_timeout='10'",
            "`server.request_timeout` is \"10\": it needs a unit, such as \"10s\"",
        ),
        (
            "[server]\nrequest_timeout='0s'",
            "must be between 1ms and 10m",
        ),
        ("[server]\nbody_limit='1TB'", "it is not a size such as"),
        (
            "[server]\nbody_limit='1B'",
            "must be between 1KiB and 64MiB",
        ),
        (
            "[database]\nmax_connections='16'",
            "must be a whole number from 2 to 1000",
        ),
        (
            "[database]\nmax_connections=1",
            "must be a whole number from 2 to 1000",
        ),
        (
            "[database]\nurl='mysql://u:hunter2@h/d'",
            "`database.url` must start with postgres://",
        ),
        ("[database]\ndata_dir=''", "must not be empty"),
        (
            "[access]\nnotehub_tokens='abc'",
            "must be a list of secrets",
        ),
        ("[access]\nnotehub_tokens=['a b']", "visible ASCII"),
        (
            "[access]\npeople_token=12345",
            "must be a text in quotes or { file = \"path\" }, not a number",
        ),
        (
            "[access]\npeople_token={ flie = 'x' }",
            "must be a text or exactly { file = \"path\" }",
        ),
        (
            "[access]\npeople_token={ file = '/nonexistent/x' }",
            "cannot read the secret from /nonexistent/x",
        ),
        (
            "[transform]\nengine='v8'",
            "it must be one of \"jsonata-core\", \"jsonata-rs\"",
        ),
        ("[transform]\ntimeout='5ms'", "must be between 10ms and 10s"),
        ("[retention]\nevents='1h'", "must be between 1d and 100y"),
        (
            "[notehub]\nproject='app:1'",
            "`notehub.token` is missing; it goes with `project`",
        ),
        (
            "[watch]\nnotify=['nobody']",
            "[watch] notify names `nobody`, which is not a destination; there is no [[destination]]",
        ),
        ("server = 1", "`server` must be a section: write [server]"),
        (
            "[route]\nname='r'",
            "`route` must be a list of tables: write [[route]]",
        ),
        (
            "[server]\nlisten = 'hunter2",
            "not valid TOML at line 2, column 10",
        ),
        (
            "[server]\nlisten='1.1.1.1:1'\nlisten='1.1.1.1:1'",
            "not valid TOML at line 3",
        ),
    ];
    for (toml, expected) in cases {
        refuse(toml, &[expected]);
        let errors = Config::parse(toml).expect_err(toml).to_string();
        assert!(!errors.contains("hunter2"), "a secret shows: {errors}");
    }
}

#[test]
fn destinations_that_cannot_be() {
    let twilio =
        |lines: &str| format!("[[destination]]\nname='p'\nkind='twilio'\nauth_token='t'\n{lines}");
    let cases = [
        (
            "[[destination]]\nname='a b'\nkind='smtp'\n".to_owned(),
            vec![
                "1 to 64 letters",
                "one of \"ubidots\", \"twilio\", \"http\"",
            ],
        ),
        (
            "[[destination]]\n".to_owned(),
            vec![
                "`destination[0].name` is missing",
                "`destination[0].kind` is missing",
            ],
        ),
        (
            "[[destination]]\nname='u'\nkind='ubidots'\n".to_owned(),
            vec!["`destination[0].token` (destination `u`) is missing"],
        ),
        (
            format!("{UBIDOTS}{UBIDOTS}"),
            vec!["two destinations are named `u`"],
        ),
        (
            format!("{UBIDOTS}base_url='file:///x'\n"),
            vec!["must start with http:// or https://"],
        ),
        (
            format!("{UBIDOTS}base_url='https://a:b@x'\n"),
            vec!["must not hold a user name or password"],
        ),
        (
            format!("{UBIDOTS}rate_limit='4'\n"),
            vec!["is \"4\": it is not a rate such as"],
        ),
        (
            format!("{UBIDOTS}timeout='1h'\n"),
            vec!["must be between 10ms and 5m"],
        ),
        (
            format!("{UBIDOTS}allow_private='yes'\n"),
            vec!["must be true or false, not a text"],
        ),
        (
            twilio(""),
            vec![
                "account_sid` (destination `p`) is missing",
                "to` (destination `p`) is missing",
                "give it or `messaging_service_sid`",
            ],
        ),
        (
            twilio("account_sid='X1'\nfrom='5005550006'\nto=[]\n"),
            vec![
                "it must be AC followed",
                "international form",
                "at least one number",
            ],
        ),
        (
            twilio(
                "account_sid='AC1'\nfrom='+15005550006'\nmessaging_service_sid='MG1'\nto=['+15005550006']\n",
            ),
            vec!["stands beside `from`"],
        ),
        (
            twilio("account_sid='AC1'\nmessaging_service_sid='XX'\nto=['+15005550006']\n"),
            vec!["it must be MG followed"],
        ),
        (
            format!("{TWILIO}api_key_sid='SK1'\n"),
            vec!["and `api_key_secret` go together"],
        ),
        (
            format!("{TWILIO}validity='11h'\n"),
            vec!["must be between 1s and 10h"],
        ),
        (
            twilio(
                "account_sid='AC1'\nfrom='+15005550006'\nto=['+15005550009','+15005550009','x']\n",
            ),
            vec!["twice", "holds \"x\": it must be in the international form"],
        ),
        (
            format!("{HTTP}signing_secrets=['hunter2']\n"),
            vec!["must be `whsec_` followed by base64"],
        ),
        (
            format!("{HTTP}headers={{ 'a b'='x', Host='y', X=\"1\\n2\" }}\n"),
            vec![
                "\"a b\", which is not the name",
                "\"Host\", which is set by this service",
                "headers.X` (destination `h`) must not hold line ends",
            ],
        ),
        (
            "[[destination]]\nname='h'\nkind='http'\nurl='hunter2'\n".to_owned(),
            vec!["`destination[0].url` (destination `h`) must be an address"],
        ),
    ];
    for (toml, expected) in cases {
        refuse(&toml, &expected);
        let errors = Config::parse(&toml).expect_err(&toml).to_string();
        assert!(!errors.contains("hunter2"), "a secret shows: {errors}");
    }
}

#[test]
fn routes_and_rules_that_cannot_be() {
    let rule =
        |lines: &str| format!("{UBIDOTS}{TWILIO}[[rule]]\nname='r'\nvalue='body.x'\n{lines}");
    let route = |lines: &str| format!("{UBIDOTS}{TWILIO}{HTTP}[[route]]\nname='r'\n{lines}");
    let cases = [
        (route(""), "`route[0].destination` (route `r`) is missing"),
        (
            route("destination='g'\n"),
            "route `r`: destination names `g`, which is not a destination; did you mean",
        ),
        (
            route("destination='phone'\n"),
            "to text a person, write a [[rule]] with notify = [\"phone\"]",
        ),
        (
            route("destination='h'\ntransform=''\n"),
            "transform` (route `r`) must not be empty",
        ),
        (
            route("destination='h'\ntransform='a'\ntransform_file='x'\n"),
            "stands beside `transform`",
        ),
        (
            route("destination='h'\ntransform_file='/nonexistent/x'\n"),
            "cannot be read from /nonexistent/x",
        ),
        (
            route("destination='h'\nfiles='*.qo'\n"),
            "must be a list of texts, such as [\"one\", \"two\"], not a text",
        ),
        (
            route("destination='h'\nfiles=['']\n"),
            "must not hold an empty text",
        ),
        (
            route(&format!("destination='h'\n{ROUTE}")),
            "two routes are named `r`",
        ),
        (
            rule(""),
            "`rule[0].fire_above` (rule `r`) is missing; give it or `fire_below`",
        ),
        (
            rule("fire_above=1\nfire_below=0\n"),
            "stands beside `fire_above`",
        ),
        (
            rule("fire_above=1\nclear_below=2\n"),
            "is 2; it must not be above `fire_above`, 1",
        ),
        (
            rule("fire_below=1\nclear_above=0.5\n"),
            "is 0.5; it must not be below `fire_below`, 1",
        ),
        (
            rule("fire_above=1\nclear_above=0\n"),
            "goes with `fire_below`; use `clear_below`",
        ),
        (
            rule("fire_below=1\nclear_below=0\n"),
            "goes with `fire_above`; use `clear_above`",
        ),
        (rule("fire_above=nan\n"), "must be a finite number"),
        (rule("fire_above='1'\n"), "must be a number, not a text"),
        (
            rule("fire_above=1\ncount='3 of 2'\n"),
            "is \"3 of 2\": in \"N of M\"",
        ),
        (
            rule("fire_above=1\nseverity='bad'\n"),
            "it must be one of \"critical\", \"warning\", \"info\"",
        ),
        (
            rule("fire_above=1\nrepeat='0s'\n"),
            "must be between 1s and 100y",
        ),
        (
            rule("fire_above=1\nmax_age='0s'\n"),
            "must be between 1s and 100y",
        ),
        (
            rule("fire_above=1\nnotify=['u']\n"),
            "rule `r`: notify names `u`, a ubidots destination",
        ),
        (
            rule("fire_above=1\nnotify=['fone']\n"),
            "rule `r`: notify names `fone`, which is not a destination",
        ),
        (
            rule("fire_above=1\nnotify=['phone','phone']\n"),
            "names `phone` twice",
        ),
    ];
    for (toml, expected) in cases {
        refuse(&toml, &[expected]);
    }
    // A reference to a destination with problems of its own is not another problem.
    refuse(
        "[[destination]]\nname='h'\nkind='http'\n[[route]]\nname='r'\ndestination='h'\n",
        &["`destination[0].url` (destination `h`) is missing"],
    );
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
fn the_environment_lies_over_the_file() {
    let folder = Folder::new("environment");
    let file = folder.write(
        "cloud.toml",
        "[server]\nlisten='127.0.0.1:1'\nbody_limit='1MiB'\n[database]\nurl='postgres://file/db'\n[access]\npeople_token='from-the-file-of-text'\n",
    );
    folder.write("people", "0042-people-token-0042\r\n");
    let variables = environment(&[
        ("CLOUD__SERVER__LISTEN", "127.0.0.1:2"),
        ("CLOUD__SERVER__REQUEST_TIMEOUT", "3s"),
        ("CLOUD__SERVER__BODY_LIMIT", ""),
        ("CLOUD__DATABASE__MAX_CONNECTIONS", "7"),
        (
            "CLOUD__ACCESS__NOTEHUB_TOKENS",
            "0012345678901234, 1e5,true",
        ),
        ("CLOUD__ACCESS__PEOPLE_TOKEN__FILE", "people"),
        ("DATABASE_URL", "postgres://variable/db"),
        ("PATH", "/bin"),
    ]);
    let loaded = Config::load(Some(&file), &variables).expect("a good configuration");
    let config = loaded.config;
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(
        (
            config.server.body_limit,
            config.server.request_timeout.as_secs()
        ),
        (1024 * 1024, 3)
    );
    assert_eq!(config.database.max_connections, 7);
    let tokens: Vec<_> = config
        .access
        .notehub_tokens
        .iter()
        .map(ExposeSecret::expose_secret)
        .collect();
    assert_eq!(tokens, ["0012345678901234", "1e5", "true"]);
    let people = config.access.people_token.expect("the token in the file");
    assert_eq!(people.expose_secret(), "0042-people-token-0042");
    assert_eq!(
        config.database.url.expect("a url").expose_secret(),
        "postgres://variable/db"
    );
    assert_eq!(loaded.path, Some(file));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    let single = environment(&[("CLOUD__ACCESS__PEOPLE_TOKEN", "000123")]);
    let config = Config::load(None, &single)
        .expect("a good configuration")
        .config;
    assert_eq!(
        config.access.people_token.expect("a token").expose_secret(),
        "000123"
    );
}

#[test]
fn variables_that_cannot_be() {
    let cases = [
        (
            ("CLOUD__SERVER__LISTN", "x"),
            "CLOUD__SERVER__LISTN is not a known setting; did you mean `CLOUD__SERVER__LISTEN`?",
        ),
        (
            ("CLOUD__SERVR__LISTEN", "x"),
            "CLOUD__SERVR__LISTEN is not a known setting; did you mean `CLOUD__SERVER`?",
        ),
        (
            ("CLOUD__SERVER", "x"),
            "CLOUD__SERVER must name a section and a key",
        ),
        (
            ("CLOUD__SERVER____LISTEN", "x"),
            "must name a section and a key",
        ),
        (
            ("CLOUD__DESTINATION__0__TOKEN", "x"),
            "a destination can only be set in the file",
        ),
        (
            ("CLOUD__DATABASE__MAX_CONNECTIONS", "many"),
            "CLOUD__DATABASE__MAX_CONNECTIONS must be a whole number",
        ),
        (
            ("CLOUD__SERVER__REQUEST_TIMEOUT", "10"),
            "CLOUD__SERVER__REQUEST_TIMEOUT is \"10\": it needs a unit",
        ),
        (
            ("CLOUD__SERVER__LISTEN__FILE", "x"),
            "`server.listen` must be an address and port",
        ),
        (
            ("DATABASE_URL", "hunter2"),
            "`database.url` must start with postgres://",
        ),
        (
            ("CLOUD_CONFIG", "/nonexistent/cloud.toml"),
            "cannot read the file /nonexistent/cloud.toml",
        ),
    ];
    for (variable, expected) in cases {
        let errors = Config::load(None, &environment(&[variable])).expect_err(expected);
        assert_eq!(errors.problems.len(), 1, "{errors}");
        assert!(
            errors.to_string().contains(expected),
            "{errors}\nhas no {expected:?}"
        );
        assert!(
            !errors.to_string().contains("hunter2"),
            "a secret shows: {errors}"
        );
    }
    let both = environment(&[
        ("CLOUD__ACCESS__PEOPLE_TOKEN", "a"),
        ("CLOUD__ACCESS__PEOPLE_TOKEN__FILE", "b"),
    ]);
    let errors = Config::load(None, &both).expect_err("both");
    assert!(
        errors.to_string().contains("are both set; keep one"),
        "{errors}"
    );
    let missing = Config::load(Some(Path::new("/nonexistent/x.toml")), &BTreeMap::new());
    assert!(
        missing
            .expect_err("no file")
            .to_string()
            .contains("/nonexistent/x.toml has an error")
    );
}

#[test]
fn files_beside_the_configuration() {
    let folder = Folder::new("beside");
    folder.write("route.jsonata", "{ 'a': body.a }\n");
    let open = folder.write("open.token", "t-from-a-file\n");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("its mode");
    let destination = "[[destination]]\nname='u'\nkind='ubidots'\ntoken={ file = 'open.token' }\n";
    let route = "[[route]]\nname='r'\ndestination='u'\ntransform_file='route.jsonata'\n";
    let file = folder.write(
        "cloud.toml",
        &format!("{destination}{route}[watch]\nsilent_after='1h'\n"),
    );
    let loaded = Config::load(Some(&file), &BTreeMap::new()).expect("a good configuration");
    let transform = loaded.config.routes[0]
        .transform
        .clone()
        .expect("a transform");
    assert_eq!(transform.text, "{ 'a': body.a }\n");
    assert!(
        transform.source.ends_with("route.jsonata"),
        "{}",
        transform.source
    );
    let DestinationKind::Ubidots(ubidots) = &loaded.config.destinations[0].kind else {
        panic!("{:?}", loaded.config);
    };
    assert_eq!(ubidots.token.expose_secret(), "t-from-a-file");
    let warnings = loaded.warnings.join("\n");
    assert!(
        warnings.contains("open.token is readable by everyone"),
        "{warnings}"
    );
    assert!(
        warnings.contains("[watch] is read but has no effect in this version"),
        "{warnings}"
    );
    assert_eq!(loaded.warnings.len(), 2, "{warnings}");

    folder.write("open.token", "\n");
    folder.write("route.jsonata", &"x".repeat(64 * 1024 + 1));
    let errors = Config::load(Some(&file), &BTreeMap::new())
        .expect_err("an empty secret")
        .to_string();
    assert!(
        errors.contains("open.token is empty") && errors.contains("at most 64 KiB"),
        "{errors}"
    );
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

/// The shipped file with its examples, and with its defaults too if asked, as its head explains.
fn uncommented(defaults: bool) -> String {
    let lines = SHIPPED.lines().map(|line| match line.strip_prefix("#+ ") {
        Some(example) => example,
        None => match line.strip_prefix('#') {
            Some(setting)
                if defaults && setting.starts_with(|first: char| first.is_ascii_lowercase()) =>
            {
                setting
            }
            _ => line,
        },
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn the_shipped_file_is_at_the_defaults() {
    assert_eq!(
        format!("{:?}", accept(SHIPPED)),
        format!("{:?}", accept(""))
    );
    // With the examples in place every section has what it requires, and its defaults written out change nothing.
    let (examples, whole) = (uncommented(false), uncommented(true));
    assert!(
        whole
            .lines()
            .any(|line| line == "listen = \"127.0.0.1:8080\""),
        "{whole}"
    );
    assert_eq!(
        format!("{:?}", accept(&whole)),
        format!("{:?}", accept(&examples))
    );
}

#[test]
fn the_shipped_file_names_every_key() {
    // An unknown key in each table makes the reader list the keys that it knows there.
    let unknown = "\nqqqqqqqqqqqqqqqqqqqqqqqq = 1\n";
    let toml: Vec<String> = uncommented(true)
        .lines()
        .map(|line| {
            if line.starts_with('[') {
                format!("{line}{unknown}")
            } else {
                line.to_owned()
            }
        })
        .collect();
    let errors = Config::parse(&toml.join("\n")).expect_err("unknown keys");
    assert_eq!(errors.problems.len(), 12, "{errors}");
    for problem in &errors.problems {
        let (_, known) = problem
            .split_once("known here: ")
            .expect("a list of the known keys");
        for key in known.split(", ") {
            assert!(
                SHIPPED.contains(&format!("{key} = ")),
                "deploy/cloud.toml has no `{key}`"
            );
        }
    }
}
