//! Expressions: what they answer, where the engines differ, and that no expression does harm.
//!
//! Everything goes through the public seam, with the real worker process behind it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use cloud::{
    config::{self, Engine},
    process::transform::{Outcome, Transforms},
};
use proptest::{collection, prelude::*, test_runner::TestRunner};
use serde_json::{Value, json};

mod engines;
mod hostile;

const TUTORIAL: &str = r#"{"cold":{"value":body.cold,"timestamp":when*1000},"warm":{"value":body.warm,"timestamp":when*1000},"hot":{"value":body.hot,"timestamp":when*1000},"anomaly":{"value":body.anomaly,"timestamp":when*1000}}"#;

const EVENT: &str = r#"{"event":"5ffa7e24-c559-40a0-8228-46ff8426b387","session":"9afdece2-9fd2-48ff-8e7d-5e66ce118b3c","best_id":"dev:864475","device":"dev:864475","product":"product:com.blues.xxx:xxx","received":1644340365.888508,"routed":1644340370,"req":"note.add","when":1644340339,"file":"thermal.qo","body":{"anomaly":0.0,"cold":0.99850000000000019,"hot":0.0,"warm":0.0015},"best_location_type":"tower","best_lat":43.073787499999995,"best_lon":-89.44367187499999,"best_location":"Shorewood Hills WI","best_country":"US","best_timezone":"America/Chicago","tower_when":1644340365,"tower_lat":43.073787499999995,"tower_lon":-89.44367187499999,"tower_country":"US","tower_location":"Shorewood Hills WI","tower_timezone":"America/Chicago","tower_id":"310,410,17169,77315601"}"#;

const ANSWER: &str = r#"{"cold":{"value":0.9985000000000002,"timestamp":1644340339000},"warm":{"value":0.0015,"timestamp":1644340339000},"hot":{"value":0,"timestamp":1644340339000},"anomaly":{"value":0,"timestamp":1644340339000}}"#;

fn transforms(engine: Engine, timeout: Duration) -> Transforms {
    let config = config::Transform {
        engine,
        timeout,
        output_limit: 1 << 20,
    };
    Transforms::new(&config, env!("CARGO_BIN_EXE_cloud-under-test").into())
}

/// Long enough that a machine under load does not look like an endless loop.
fn patient(engine: Engine) -> Transforms {
    transforms(engine, Duration::from_secs(10))
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_700_000_000_123).unwrap()
}

fn event() -> Value {
    serde_json::from_str(EVENT).unwrap()
}

async fn evaluate(transforms: &Transforms, text: &str, input: &Value) -> Outcome {
    let program = match transforms.compile(text) {
        Ok(program) => program,
        Err(error) => return Outcome::Error(error),
    };
    let input = input.clone();
    transforms
        .on_thread(move || program.run(&input, now()))
        .await
        .unwrap()
}

/// The code of the error that `text` gives, or what it gave instead.
fn code(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Error(error) => error.code.clone(),
        other => format!("{other:?}"),
    }
}

#[tokio::test]
async fn the_tutorial_gives_the_tutorials_answer() {
    let core = patient(Engine::JsonataCore);
    let Outcome::Json(value) = evaluate(&core, TUTORIAL, &event()).await else {
        panic!("the tutorial's expression gave no value");
    };
    assert_eq!(value.to_string(), ANSWER);
    let rs = patient(Engine::JsonataRs);
    let expected = serde_json::from_str(ANSWER).unwrap();
    assert_eq!(
        evaluate(&rs, TUTORIAL, &event()).await,
        Outcome::Json(expected)
    );
}

#[tokio::test]
async fn numbers_are_written_as_javascript_writes_them() {
    let core = patient(Engine::JsonataCore);
    let input = json!({"cold": 0.998_500_000_000_000_2, "when": 1_644_340_339, "tiny": 1.234_567_890_123_456_7e-7});
    for (text, expected) in [
        ("when * 1000", "1644340339000"),
        ("cold", "0.9985000000000002"),
        ("0.0", "0"),
        ("-0", "0"),
        ("1/0", "null"),
        ("0/0", "null"),
        ("0.1 + 0.2", "0.30000000000000004"),
        ("tiny", "1.2345678901234566e-7"),
        ("9007199254740993", "9007199254740992"),
        ("123456789012345678", "123456789012345680"),
        ("null", "null"),
        ("{'a': null, 'b': nothing}", r#"{"a":null}"#),
        ("{'b': 1, 'a': 2}", r#"{"b":1,"a":2}"#),
        ("'日本\u{1F525}'", "\"日本\u{1F525}\""),
    ] {
        // Once inside the service and once in the worker process, which a variable leads to.
        for text in [text.to_owned(), format!("($unused := 1; {text})")] {
            match evaluate(&core, &text, &input).await {
                Outcome::Json(value) => assert_eq!(value.to_string(), expected, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
    assert_eq!(
        evaluate(&core, "nothing.at.all", &input).await,
        Outcome::Nothing
    );
    assert_eq!(
        evaluate(&core, "($x := 1; nothing)", &input).await,
        Outcome::Nothing
    );
}

#[tokio::test]
async fn replaced_functions_answer_as_the_reference_does() {
    let core = patient(Engine::JsonataCore);
    for (text, expected) in [
        ("$now()", json!("2023-11-14T22:13:20.123Z")),
        ("$now('[Y]-[M01]-[D01]')", json!("2023-11-14")),
        ("$now('[H01]:[m01]', '+0200')", json!("00:13")),
        ("$millis()", json!(1_700_000_000_123_i64)),
        ("($f := $millis; $f())", json!(1_700_000_000_123_i64)),
        ("$eval('$millis()')", json!(1_700_000_000_123_i64)),
        (
            "$fromMillis(received * 1000)",
            json!("2022-02-08T17:12:45.888Z"),
        ),
        (
            "(received * 1000).$fromMillis()",
            json!("2022-02-08T17:12:45.888Z"),
        ),
        ("received * 1000 ~> $fromMillis('[Y]')", json!("2022")),
        ("$random() < 1 and $random() >= 0", json!(true)),
        (
            "$encodeUrl('a b/\u{fc}?x=1#y')",
            json!("a%20b/%C3%BC?x=1#y"),
        ),
        (
            "$encodeUrlComponent('a-b c/\u{fc}')",
            json!("a-b%20c%2F%C3%BC"),
        ),
        (
            "$map(['a b', 'c d'], $encodeUrl)",
            json!(["a%20b", "c%20d"]),
        ),
        ("device.$pad(13, '#')", json!("dev:864475###")),
        ("$pad(device, -12)", json!("  dev:864475")),
        ("device ~> $pad(11)", json!("dev:864475 ")),
    ] {
        assert_eq!(
            evaluate(&core, text, &event()).await,
            Outcome::Json(expected),
            "{text}"
        );
    }
    for (text, expected) in [
        ("$fromMillis('x')", "T0411"),
        ("$encodeUrl(1)", "T0410"),
        ("$pad(1, 2)", "T0410"),
        ("$pad('', 2000000)", "OUTPUT_LIMIT"),
        ("$fromMillis", "FUNCTION"),
        ("{'at': $now}", "FUNCTION"),
    ] {
        assert_eq!(
            code(&evaluate(&core, text, &event()).await),
            expected,
            "{text}"
        );
    }
}

#[tokio::test]
async fn do_not_route_counts_wherever_it_is_called() {
    for engine in [Engine::JsonataCore, Engine::JsonataRs] {
        let transforms = patient(engine);
        for text in [
            "$doNotRoute()",
            "body.anomaly > 0.7 ? $ : $doNotRoute()",
            "{'a': 1, 'b': $doNotRoute()}",
            "($f := function() { $doNotRoute() }; $f(); 1)",
            "$map([1, 2], function($v) { $v = 2 ? $doNotRoute() : $v })",
            "($doNotRoute(); $error('later'))",
        ] {
            assert_eq!(
                evaluate(&transforms, text, &event()).await,
                Outcome::DoNotRoute,
                "{text}"
            );
        }
        for text in [
            "body.anomaly < 0.7 ? 1 : $doNotRoute()",
            "($f := function() { $doNotRoute() }; 1)",
        ] {
            assert_eq!(
                evaluate(&transforms, text, &event()).await,
                Outcome::Json(json!(1)),
                "{text}"
            );
        }
    }
}

#[tokio::test]
async fn bad_expressions_are_refused_with_their_place() {
    let core = patient(Engine::JsonataCore);
    let long = format!("\"{}\"", "x".repeat(70_000));
    let nested = format!("{}1{}", "(".repeat(400), ")".repeat(400));
    let very_nested = format!("{}1{}", "[".repeat(9000), "]".repeat(9000));
    let chained = vec!["\"x\""; 300].join(" & ");
    for (text, code, position) in [
        ("", "EMPTY", None),
        (" \n\t", "EMPTY", None),
        (&long, "TOO_LONG", None),
        (&nested, "DEPTH", None),
        (&very_nested, "DEPTH", None),
        (&chained, "DEPTH", None),
        ("a b", "S0201", Some(3)),
        ("{\"a\": 1,, \"b\": 2}", "S0211", Some(9)),
        ("\"日本\" & @", "S0211", Some(8)),
        ("(a + ", "S0207", Some(5)),
        ("{\"a\": 1", "S0203", Some(7)),
        ("\"abc", "S0101", Some(4)),
        ("/* no end", "S0106", Some(9)),
        ("1e400", "S0102", Some(5)),
        ("%", "S0217", Some(1)),
        ("$contains(a, /b(?=c)/)", "REGEX", None),
    ] {
        let error = core.compile(text).unwrap_err();
        let shown: String = text.chars().take(20).collect();
        assert_eq!(
            (error.code.as_str(), error.position),
            (code, position),
            "{shown}: {error}"
        );
        assert!(error.to_string().starts_with(code), "{error}");
        assert!(!error.message.is_empty());
    }
    // Long but ordinary text building is allowed.
    let text = vec!["device"; 150].join(" & ");
    assert!(matches!(
        evaluate(&core, &text, &event()).await,
        Outcome::Json(_)
    ));
}

#[tokio::test]
async fn the_pool_survives_panics_and_nothing_runs_outside_it() {
    let core = patient(Engine::JsonataCore);
    let program = core.compile("1 + 1").unwrap();
    assert_eq!(code(&program.run(&json!({}), now())), "THREAD");
    for _ in 0..40 {
        let error = core.on_thread(|| panic!("as asked")).await.unwrap_err();
        assert!(error.to_string().contains("as asked"), "{error}");
    }
    assert_eq!(
        evaluate(&core, "1 + 1", &json!({})).await,
        Outcome::Json(json!(2))
    );
}

#[tokio::test]
async fn without_a_worker_only_plain_expressions_run() {
    let config = config::Transform {
        engine: Engine::JsonataCore,
        timeout: Duration::from_secs(10),
        output_limit: 100,
    };
    let transforms = Transforms::new(&config, PathBuf::from("/nonexistent/cloud"));
    assert_eq!(
        code(&evaluate(&transforms, "[1..3]", &json!({})).await),
        "WORKER"
    );
    assert_eq!(
        evaluate(&transforms, "[1, 2, 3]", &json!({})).await,
        Outcome::Json(json!([1, 2, 3]))
    );
    let long = json!({"text": "x".repeat(100)});
    assert_eq!(
        code(&evaluate(&transforms, "$", &long).await),
        "OUTPUT_LIMIT"
    );
}

/// A worker that was killed from outside costs no event, and none outlives its service.
#[tokio::test]
async fn workers_are_replaced_and_die_with_their_service() {
    let folder = tempfile::tempdir().unwrap();
    let (exe, pids) = (folder.path().join("worker"), folder.path().join("pids"));
    let script = format!(
        "#!/bin/sh\necho $$ >> '{}'\nexec '{}' \"$@\"\n",
        pids.display(),
        env!("CARGO_BIN_EXE_cloud-under-test")
    );
    fs::write(&exe, script).unwrap();
    fs::set_permissions(&exe, fs::Permissions::from_mode(0o700)).unwrap();
    let config = config::Transform {
        engine: Engine::JsonataCore,
        timeout: Duration::from_secs(10),
        output_limit: 1 << 20,
    };
    let transforms = Transforms::new(&config, exe);
    let pids = || -> Vec<i32> {
        let text = fs::read_to_string(&pids).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    };
    for _ in 0..4 {
        assert_eq!(
            evaluate(&transforms, "$count([1..3])", &json!({})).await,
            Outcome::Json(json!(3))
        );
        for pid in pids() {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
        }
    }
    assert_eq!(
        evaluate(&transforms, "$count([1..3])", &json!({})).await,
        Outcome::Json(json!(3))
    );
    drop(transforms);
    let deadline = Instant::now() + Duration::from_secs(20);
    while pids()
        .iter()
        .any(|pid| fs::exists(format!("/proc/{pid}")).unwrap())
    {
        assert!(Instant::now() < deadline, "a worker outlived its service");
        tokio::task::yield_now().await;
    }
}

/// Any JSON value, which an identity must give back unchanged.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        // jsonata-rs refuses an event that holds a number too small to be exact.
        any::<f64>().prop_filter_map("whole numbers are integers here", |number| {
            (number.fract() != 0.0 && number.abs() > 1e-300).then(|| Value::from(number))
        }),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            collection::btree_map(".{0,6}", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// What a path reads comes back as it was, from inside the service and from either engine's worker.
#[test]
fn values_pass_through_unchanged() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let (core, rs) = (patient(Engine::JsonataCore), patient(Engine::JsonataRs));
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&any_json(), |value| {
            // A lone item of an array is taken for the item itself by the language, hence the brackets.
            let input = json!({"kept": {"value": value}});
            let expected = Outcome::Json(input["kept"].clone());
            for (transforms, text) in [(&core, "kept"), (&core, "($x := kept; $x)"), (&rs, "kept")]
            {
                let outcome = runtime.block_on(evaluate(transforms, text, &input));
                prop_assert_eq!(&outcome, &expected, "{}", text);
            }
            Ok(())
        })
        .unwrap();
}
