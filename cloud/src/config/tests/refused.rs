//! Configurations that are refused, as tables with the words that must be said.

use super::*;

/// Everything in `expected` must be said, in that many problems, and no secret.
fn refuse(toml: &str, expected: &[&str]) {
    let errors = Config::parse(toml).expect_err(toml);
    assert_eq!(errors.problems.len(), expected.len(), "{toml}\n{errors}");
    assert!(
        !errors.to_string().contains("hunter2"),
        "a secret shows: {errors}"
    );
    for part in expected {
        assert!(
            errors.to_string().contains(part),
            "{toml}\n{errors}\nhas no {part:?}"
        );
    }
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

const WRONG_VALUES: &[(&str, &str)] = &[
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
        "[notehub]\ntoken='t'\nclient_id='c'\nclient_secret='hunter2'",
        "`notehub.token` is given beside an OAuth client",
    ),
    (
        "[notehub]\nproject='app:1'\nclient_id='c'",
        "`notehub.client_secret` is missing; it goes with `client_id`",
    ),
    (
        "[notehub]\nclient_secret='hunter2'",
        "`notehub.client_id` is missing; it goes with `client_secret`",
    ),
    ("[notehub]\nevery='0s'", "must be between 1s and 7d"),
    (
        "[notehub]\nrate_limit='0/m'",
        "a rate of zero sends nothing",
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
        "not valid TOML at line 2, column 18",
    ),
    (
        "[access]\npeople_token = hunter2",
        "not valid TOML at line 2",
    ),
    (
        "[access]\npeople_token = 'x' hunter2",
        "not valid TOML at line 2",
    ),
    (
        "[access]\npeople_token = \"\\qhunter2\"",
        "not valid TOML at line 2",
    ),
    (
        "[server]\nlisten='1.1.1.1:1'\nlisten='1.1.1.1:1'",
        "not valid TOML at line 3",
    ),
];

#[test]
fn values_of_the_wrong_kind_or_form() {
    for (toml, expected) in WRONG_VALUES {
        refuse(toml, &[expected]);
    }
}

#[test]
fn destinations_that_cannot_be() {
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
    }
}

#[test]
fn twilio_destinations_that_cannot_be() {
    let twilio =
        |lines: &str| format!("[[destination]]\nname='p'\nkind='twilio'\nauth_token='t'\n{lines}");
    let cases = [
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
            twilio(
                "account_sid='AC1'\nfrom='+15005550006'\nto=['Ann +15005550009','+15005550009','Ben','Ben 5005550009']\n",
            ),
            vec![
                "holds \"+15005550009\" twice",
                "holds \"Ben\": it must be in the international form",
                "holds \"Ben 5005550009\": it must be in the international form",
            ],
        ),
        (
            twilio(&format!(
                "account_sid='AC1'\nfrom='+15005550006'\nto=['{} +15005550009']\n",
                "A".repeat(41)
            )),
            vec!["a name has at most 40 letters"],
        ),
        (
            format!("{TWILIO}previous_auth_token='a b'\n"),
            vec!["visible ASCII"],
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
    ];
    for (toml, expected) in cases {
        refuse(&toml, &expected);
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
            route("destination='hh'\n"),
            "route `r`: destination names `hh`, which is not a destination; did you mean `h`?",
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
