//! Expressions written to do harm. Each must end within its bounds, and leave the pool as it was.

use std::time::{Duration, Instant};

use cloud::config::Engine;
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Transforms, code, evaluate, event, transforms};

const TIMEOUT: Duration = Duration::from_millis(200);

/// The time limit, the second after which a worker is killed, and patience for a machine under load.
const BOUND: Duration = Duration::from_secs(15);

const DOUBLED_TEXT: &str = "($f := function($s, $n) { $n = 0 ? $s : $f($s & $s, $n - 1) }; ";
const DOUBLED_OBJECT: &str =
    "($f := function($o, $n) { $n = 0 ? $o : $f({'a': $o, 'b': $o}, $n - 1) }; ";

/// Expressions, and the codes they may end with; `ok` stands for any value.
fn cases() -> Vec<(String, &'static str)> {
    let mut cases: Vec<(String, &str)> = [
        // Loops and recursion.
        ("($f := function($x) { $f($x) }; $f(1))", "TIMEOUT"),
        ("($f := function($x) { 1 + $f($x) }; $f(1))", "DEPTH"),
        ("($y := function($f) { $f($f) }; $y($y))", "TIMEOUT"),
        ("($f := function($x) { $g($x) }; $g := function($x) { $f($x) }; $f(1))", "TIMEOUT T1006"),
        ("($l := function() { $eval('$l()') }; $l())", "DEPTH TIMEOUT UNSUPPORTED"),
        ("($e := '$eval($e)'; $eval($e))", "DEPTH D3121 UNSUPPORTED"),
        ("$map([1..100000], function($v) { $map([1..100000], function($w) { $v * $w }) })", "TIMEOUT"),
        ("$sort([1..100000], function($a, $b) { $random() > 0.5 })", "TIMEOUT"),
        // Large sequences.
        ("$count([1..100000000])", "D2014"),
        ("[1..10000000]", "D2015 TIMEOUT PANIC WORKER"),
        ("$sum([1..1e8].([1..1e8]))", "D2014"),
        ("[1..1000].([1..1000].([1..1000]))", "D2015 TIMEOUT PANIC WORKER"),
        ("$sort([1..3000000])", "D2015 TIMEOUT PANIC WORKER"),
        ("$merge([1..99999].{$string($): $})", "TIMEOUT OUTPUT_LIMIT"),
        ("$zip([1..99999], [1..99999], [1..99999])", "OUTPUT_LIMIT TIMEOUT"),
        ("$distinct([1..99999].{'a': $})", "TIMEOUT OUTPUT_LIMIT"),
        // Large texts.
        ("$pad('', 1e9)", "OUTPUT_LIMIT WORKER"),
        ("$pad('', 1e15)", "OUTPUT_LIMIT WORKER"),
        ("$pad('x', -1e15, 'ab')", "OUTPUT_LIMIT WORKER"),
        ("$eval(\"$pad('', 1e15)\")", "OUTPUT_LIMIT UNSUPPORTED"),
        ("$split($pad('', 1000000, 'a'), '')", "OUTPUT_LIMIT TIMEOUT"),
        ("$fromMillis(1, '[Y,1000000000]')", "ok PANIC OUTPUT_LIMIT WORKER TIMEOUT D3137"),
        ("$fromMillis(1, '[Y,*-999999999]')", "ok PANIC D3137"),
        ("$fromMillis(1e300)", "EVALUATION T0410"),
        ("$formatBase(1e308, 2)", "ok UNSUPPORTED"),
        ("$round(1.5, 999999999)", "ok D3137"),
        // Regular expressions.
        ("$match('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', /(a+)+$/)", "ok TIMEOUT"),
        ("$contains($pad('', 10000, 'a') & '!', /(a|aa)+$/)", "ok TIMEOUT WORKER"),
        ("$contains('x', /((((a{100}){100}){100}){100})/)", "REGEX ok"),
        ("$replace($pad('', 10000, 'a'), /(x?){500}/, 'b')", "D1004"),
        ("$match($pad('', 100000, 'a'), /a/)", "OUTPUT_LIMIT TIMEOUT"),
        // Deep values.
        ("$reduce([1..20000], function($a, $i) { {'a': $a} }, {})", "DEPTH TIMEOUT"),
        ("$reduce([1..20000], function($f, $i) { [function() { $f }] }, [function() { 1 }])", "FUNCTION T0410 TIMEOUT"),
        ("($w := function($f, $n) { $n = 0 ? $f : $w(function() { $f }, $n - 1) }; $w(1, 20000))", "FUNCTION TIMEOUT"),
        ("**.**.**.**.**.**", "ok"),
    ]
    .map(|(text, ends)| (text.to_owned(), ends))
    .into();
    cases.extend([
        (
            format!("{DOUBLED_TEXT} $length($f('x', 40)))"),
            "TIMEOUT WORKER PANIC",
        ),
        (
            format!("{DOUBLED_TEXT} $f('xy', 30))"),
            "TIMEOUT WORKER PANIC OUTPUT_LIMIT",
        ),
        (
            format!("{DOUBLED_OBJECT} $f({{'x': 1}}, 40))"),
            "OUTPUT_LIMIT TIMEOUT",
        ),
        (
            format!("{DOUBLED_OBJECT} $string($f({{'x': 1}}, 40)))"),
            "TIMEOUT WORKER PANIC",
        ),
        (
            format!("{DOUBLED_OBJECT} $f({{'x': 1}}, 40) = $f({{'x': 1}}, 40))"),
            "TIMEOUT",
        ),
        (
            format!("${}", ".{'a': $, 'b': $}".repeat(40)),
            "OUTPUT_LIMIT TIMEOUT",
        ),
        (
            format!("$string(${})", ".{'a': $, 'b': $}".repeat(40)),
            "TIMEOUT WORKER PANIC",
        ),
        (
            format!("$string([1..99999].('{}'))", "x".repeat(60_000)),
            "TIMEOUT WORKER PANIC",
        ),
        (
            format!("{}1{}", "(".repeat(3000), ")".repeat(3000)),
            "DEPTH",
        ),
        (
            format!("{}1{}", "[".repeat(3000), "]".repeat(3000)),
            "DEPTH",
        ),
        (
            format!("{}1{}", "function($x){".repeat(400), "}".repeat(400)),
            "DEPTH",
        ),
        (
            format!("{}1{}", "1 ? ".repeat(300), " : 0".repeat(300)),
            "DEPTH",
        ),
        (vec!["a"; 5000].join("."), "DEPTH"),
        (vec!["\"x\""; 10_000].join("&"), "DEPTH"),
        (vec!["-"; 30_000].join(""), "DEPTH S0207"),
        (
            format!("$eval('{}')", "(".repeat(30_000)),
            "D3120 UNSUPPORTED",
        ),
    ]);
    cases
}

async fn ends_well(transforms: &Transforms, text: &str, ends: &str) -> Option<String> {
    let started = Instant::now();
    let outcome = evaluate(transforms, text, &event()).await;
    let took = started.elapsed();
    let shown: String = text.chars().take(80).collect();
    let end = match outcome {
        super::Outcome::Json(_) | super::Outcome::Nothing => "ok".to_owned(),
        other => code(&other),
    };
    // On a machine that is busy enough any of them may run out of time, and that is a good end too.
    let out_of_time = matches!(end.as_str(), "TIMEOUT" | "WORKER");
    if !out_of_time && !ends.split(' ').any(|allowed| allowed == end) {
        return Some(format!("{shown} ended with {end}, not {ends}"));
    }
    // The other cases wait for the same threads.
    (took > BOUND * 4).then(|| format!("{shown} took {took:?}"))
}

async fn all_end_well(engine: Engine) {
    let transforms = transforms(engine, TIMEOUT);
    let cases = cases();
    let bad = join_all(
        cases
            .iter()
            .map(|(text, ends)| ends_well(&transforms, text, ends)),
    )
    .await;
    let bad: Vec<_> = bad.into_iter().flatten().collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    // A machine this busy may well be late with the first answers, but not with all of them.
    for _ in 0..50 {
        if code(&evaluate(&transforms, "$sum([1..3]) + 1", &json!({})).await).contains('7') {
            return;
        }
    }
    panic!("the pool does not answer any more");
}

#[tokio::test]
async fn nothing_harms_jsonata_core() {
    all_end_well(Engine::JsonataCore).await;
}

#[tokio::test]
async fn nothing_harms_jsonata_rs() {
    all_end_well(Engine::JsonataRs).await;
}

#[tokio::test]
async fn deep_and_odd_input_is_refused_or_passed() {
    for engine in [Engine::JsonataCore, Engine::JsonataRs] {
        let transforms = super::patient(engine);
        let nested = |levels| (0..levels).fold(json!(1), |inner, _| json!({"a": inner}));
        for (levels, end) in [
            (90, "ok"),
            (110, "DEPTH"),
            (126, "DEPTH"),
            (140, "INPUT"),
            (1000, "INPUT"),
        ] {
            let outcome = evaluate(&transforms, "$", &nested(levels)).await;
            let end_of = match outcome {
                super::Outcome::Json(_) => "ok".to_owned(),
                other => code(&other),
            };
            assert_eq!(end_of, end, "{engine:?} {levels}");
        }
        // The input is data and never an expression, whatever it looks like.
        for odd in ["\"a\" & \"b\"", "$f()", "\u{0}\u{2028}\u{7f}\"\\/", "1e400"] {
            let input: Value = json!({"text": odd, odd: 1});
            let outcome = evaluate(&transforms, "text", &input).await;
            assert_eq!(outcome, super::Outcome::Json(json!(odd)), "{engine:?}");
        }
    }
}
