//! Both engines over a set of event transforms, and the list of where they differ.
//!
//! `cargo test -p tests engines -- --nocapture` prints the differences as a table. The test fails when an answer
//! of jsonata-core changes, and when a difference appears or goes that the list does not have.

use std::collections::BTreeMap;

use cloud::{config::Engine, process::transform::Outcome};
use serde_json::Value;

use super::{evaluate, patient};

const EVENT: &str = r#"{"event":"1f6d0c1a-5f0f-4b52-9d0c-0a6f1a2b3c4d","device":"dev:864475","best_location":"Shorewood Hills WI","received":1644340365.888508,"when":1644340339,"lat":43.073787499999995,"file":"thermal.qo","tower_id":"310,410,17169,77315601","body":{"temp":21.5,"volts":4.2,"tiny":1.2345678901234567e-7,"anomaly":0.2,"small":1.5e-7,"text":"h\u00e9llo","nil":null,"list":[1,2,3],"flags":{"door":true,"off":false},"nested":{"deep":{"x":1},"flat":{"x":2}},"readings":[{"name":"Top","unit":"C","value":21.5},{"name":"Side","unit":"%","value":55},{"name":"Low","unit":"C","value":18}]}}"#;

/// An expression and what jsonata-core makes of `EVENT`, as `shown` shows it.
const CASES: &[(&str, &str)] = &[
    (
        r#"{"cold":{"value":body.cold,"timestamp":when*1000},"warm":{"value":body.warm,"timestamp":when*1000},"hot":{"value":body.hot,"timestamp":when*1000},"anomaly":{"value":body.anomaly,"timestamp":when*1000}}"#,
        r#"{"cold":{"timestamp":1644340339000},"warm":{"timestamp":1644340339000},"hot":{"timestamp":1644340339000},"anomaly":{"value":0.2,"timestamp":1644340339000}}"#,
    ),
    (
        "body",
        r#"{"temp":21.5,"volts":4.2,"tiny":1.2345678901234566e-7,"anomaly":0.2,"small":1.5e-7,"text":"héllo","nil":null,"list":[1,2,3],"flags":{"door":true,"off":false},"nested":{"deep":{"x":1},"flat":{"x":2}},"readings":[{"name":"Top","unit":"C","value":21.5},{"name":"Side","unit":"%","value":55},{"name":"Low","unit":"C","value":18}]}"#,
    ),
    ("body.anomaly", "0.2"),
    ("body.missing", "Nothing"),
    (
        r#"{"device": device, "at": when, "where": best_location ? best_location : "unknown"}"#,
        r#"{"device":"dev:864475","at":1644340339,"where":"Shorewood Hills WI"}"#,
    ),
    (
        r#"body.anomaly > 0.7 ? {"alarm": true} : $doNotRoute()"#,
        "DoNotRoute",
    ),
    (
        r#"body.temp > 100 ? {"alarm": true} : {"alarm": false}"#,
        r#"{"alarm":false}"#,
    ),
    (
        r#"body.{"t": temp, "f": temp * 9 / 5 + 32}"#,
        r#"{"t":21.5,"f":70.7}"#,
    ),
    (
        r#"{"f": $round(body.temp * 9 / 5 + 32, 1)}"#,
        r#"{"f":70.7}"#,
    ),
    ("$round(body.temp)", "22"),
    (
        r#"$floor(body.temp) & " to " & $ceil(body.temp)"#,
        r#""21 to 22""#,
    ),
    ("$abs(-body.temp) + $sqrt(16) + $power(2, 3)", "33.5"),
    ("body.volts - 0.1", "4.1000000000000005"),
    ("body.readings.value", "[21.5,55,18]"),
    (r#"body.readings[unit = "C"].value"#, "[21.5,18]"),
    (
        r#"body.readings[value > 20 and unit = "C"].name"#,
        r#""Top""#,
    ),
    ("body.readings[0].name", r#""Top""#),
    ("body.readings[-1].name", r#""Low""#),
    (
        "body.readings{name: value}",
        r#"{"Top":21.5,"Side":55,"Low":18}"#,
    ),
    (
        "$merge(body.readings.{name: value})",
        r#"{"Top":21.5,"Side":55,"Low":18}"#,
    ),
    (
        r#"body.readings.{"label": $lowercase(name), "value": value}"#,
        r#"[{"label":"top","value":21.5},{"label":"side","value":55},{"label":"low","value":18}]"#,
    ),
    ("$sum(body.readings.value)", "94.5"),
    (
        "$max(body.readings.value) - $min(body.readings.value)",
        "37",
    ),
    ("$count(body.readings)", "3"),
    ("$average(body.readings.value)", "31.5"),
    (
        r#"$map(body.readings, function($r) { $r.name & "=" & $r.value })"#,
        r#"["Top=21.5","Side=55","Low=18"]"#,
    ),
    (
        "$filter(body.readings, function($r) { $r.value > 20 }).name",
        r#"["Top","Side"]"#,
    ),
    (
        "$reduce(body.readings.value, function($a, $b) { $a + $b })",
        "94.5",
    ),
    (
        "$sort(body.readings, function($a, $b) { $a.value > $b.value }).name",
        r#"["Low","Top","Side"]"#,
    ),
    ("body.readings^(value).name", r#"["Low","Top","Side"]"#),
    ("body.readings^(>value).name", r#"["Side","Top","Low"]"#),
    (
        "body.readings^(unit, >value).name",
        r#"["Side","Top","Low"]"#,
    ),
    (r#"$join(body.readings.name, ", ")"#, r#""Top, Side, Low""#),
    (
        "$exists(body.readings) and $not($exists(body.nothing))",
        "true",
    ),
    ("$keys(body.flags)", r#"["door","off"]"#),
    ("body.flags.*", "[true,false]"),
    (
        r#"$each(body.flags, function($v, $k) { $k & ":" & $v })"#,
        r#"["door:true","off:false"]"#,
    ),
    (r#"$lookup(body, "temp")"#, "21.5"),
    ("body.flags.door = true or body.temp in [21.5, 22]", "true"),
    ("$string(body.flags)", r#""{\"door\":true,\"off\":false}""#),
    ("$string(body.volts)", r#""4.2""#),
    (
        r#""Temperature " & body.temp & " at " & best_location"#,
        r#""Temperature 21.5 at Shorewood Hills WI""#,
    ),
    ("$uppercase($substring(best_location, 0, 3))", r#""SHO""#),
    (r#"$substringAfter(device, ":")"#, r#""864475""#),
    (r#"$substringBefore(file, ".")"#, r#""thermal""#),
    (r#"$split(tower_id, ",")[0]"#, r#""310""#),
    (r#"$number($split(tower_id, ",")[2])"#, "17169"),
    (r#"$replace(device, "dev:", "")"#, r#""864475""#),
    (
        r#"$replace(best_location, /\s+/, "-")"#,
        r#""Shorewood-Hills-WI""#,
    ),
    (r#"$contains(file, "thermal")"#, "true"),
    ("$match(device, /[0-9]+/).match", r#""864475""#),
    (r#"$trim("  " & device & " ")"#, r#""dev:864475""#),
    ("$pad($string(body.temp), -8)", r#""    21.5""#),
    ("$length(best_location)", "18"),
    ("$fromMillis(when * 1000)", r#""2022-02-08T17:12:19.000Z""#),
    (
        r#"$fromMillis(when * 1000, "[Y0001]-[M01]-[D01] [H01]:[m01]")"#,
        r#""2022-02-08 17:12""#,
    ),
    (
        "$fromMillis(received * 1000)",
        r#""2022-02-08T17:12:45.888Z""#,
    ),
    (r#"$toMillis("2022-02-08T17:12:19Z") / 1000"#, "1644340339"),
    ("$now()", r#""2023-11-14T22:13:20.123Z""#),
    ("$millis() - when * 1000", "55659661123"),
    (
        r#"($c := body.temp; $k := $c + 273.15; {"celsius": $c, "kelvin": $k})"#,
        r#"{"celsius":21.5,"kelvin":294.65}"#,
    ),
    ("($f := function($x) { $x * 2 }; $f(body.temp))", "43"),
    ("body.temp ~> $round ~> $string", r#""22""#),
    (
        r#"$ ~> |body|{"temp": 0}, "readings"|"#,
        r#"{"event":"1f6d0c1a-5f0f-4b52-9d0c-0a6f1a2b3c4d","device":"dev:864475","best_location":"Shorewood Hills WI","received":1644340365.888508,"when":1644340339,"lat":43.073787499999995,"file":"thermal.qo","tower_id":"310,410,17169,77315601","body":{"temp":0,"volts":4.2,"tiny":1.2345678901234566e-7,"anomaly":0.2,"small":1.5e-7,"text":"héllo","nil":null,"list":[1,2,3],"flags":{"door":true,"off":false},"nested":{"deep":{"x":1},"flat":{"x":2}}}}"#,
    ),
    ("$append(body.list, [4, 5])", "[1,2,3,4,5]"),
    ("$reverse(body.list)", "[3,2,1]"),
    ("$distinct([1, 2, 2, 3])", "[1,2,3]"),
    (
        r#"$zip(body.list, ["a", "b", "c"])"#,
        r#"[[1,"a"],[2,"b"],[3,"c"]]"#,
    ),
    (r#"[body.list, "end"]"#, r#"[1,2,3,"end"]"#),
    ("body.list.($ * 10)", "[10,20,30]"),
    ("body.list[$ > 1]", "[2,3]"),
    ("[1..3]", "[1,2,3]"),
    ("body.nested.deep.x", "1"),
    ("body.nested.*.x", "[1,2]"),
    ("**.x", "[1,2]"),
    ("body.text", r#""héllo""#),
    ("$base64encode(body.text)", r#""aMOpbGxv""#),
    ("$type(body.temp)", r#""number""#),
    ("$boolean(body.flags.off)", "false"),
    (
        r#"{"null": body.nil, "none": body.none}"#,
        r#"{"null":null}"#,
    ),
    ("body.temp ?: 20", "21.5"),
    (
        r#"(body.temp > 20) ? "warm" : (body.temp > 0) ? "cool" : "cold""#,
        r#""warm""#,
    ),
    (r#"$formatNumber(body.temp, "0.00")"#, r#""21.50""#),
    (
        r#"body.readings#$i.{"n": $i, "name": name}"#,
        r#"[{"n":0,"name":"Top"},{"n":1,"name":"Side"},{"n":2,"name":"Low"}]"#,
    ),
    ("body.small", "1.5e-7"),
    ("$string(body.small)", r#""1.5e-7""#),
    ("body.readings.name[]", r#"["Top","Side","Low"]"#),
    ("device.$uppercase()", r#""DEV:864475""#),
    (r#"$assert(body.temp < 0, "too warm")"#, "D3141"),
    ("body.temp + body.text", "T2002"),
    (
        r#""small: " & body.tiny"#,
        r#""small: 1.23456789012346e-7""#,
    ),
    ("$string(lat)", r#""43.0737875""#),
    ("$substring(body.text, -3)", r#""llo""#),
    (
        r#"$toMillis("13/09/2024", "[D01]/[M01]/[Y0001]")"#,
        "1726185600000",
    ),
    (
        r#"$toMillis("2024-09-13", "[Y0001]-[M01]-[D01]")"#,
        "1726185600000",
    ),
    (r#"$contains("hotspot", /hot(?=spot)/)"#, "REGEX"),
    ("$count(body.nothing)", "0"),
    ("$sum(body.nothing)", "Nothing"),
    ("$split(device)", "T0411"),
    (r#"$number("abc")"#, "D3030"),
    ("$map(body.list, $string)", r#"["1","2","3"]"#),
    ("$join(body.list)", "T0412"),
    (r#"$substring("abc", 1, 1)"#, r#""b""#),
    ("$boolean([0])", "false"),
    (r#"$string([1,2,{"a":"b"}])"#, r#""[1,2,{\"a\":\"b\"}]""#),
    ("$uppercase(body.missing)", "Nothing"),
    (r#"$merge([{"a":1},{"a":2}])"#, r#"{"a":2}"#),
    ("$single(body.list, function($v){$v = 2})", "2"),
    ("$filter(body.list, function($v, $i){ $i > 0 })", "[2,3]"),
    ("body.list ~> $map(function($v){ $v + 1 })", "[2,3,4]"),
    (
        r#"body.readings.{"n": name, "p": $$.device}"#,
        r#"[{"n":"Top","p":"dev:864475"},{"n":"Side","p":"dev:864475"},{"n":"Low","p":"dev:864475"}]"#,
    ),
    (r#"body.readings[name in ["Top","Low"]].value"#, "[21.5,18]"),
    ("body.list[[0,2]]", "[1,3]"),
    ("body.list[0..1]", "[1,2]"),
    ("7 % 4", "3"),
    ("body.`temp`", "21.5"),
    ("{device: body.temp}", r#"{"dev:864475":21.5}"#),
    ("body.readings{unit: $sum(value)}", r#"{"C":39.5,"%":55}"#),
    (r#"$string(body.temp) & "°C""#, r#""21.5°C""#),
    ("$length(body.text)", "5"),
];

/// How jsonata-rs differs.
#[derive(Debug)]
enum Difference {
    /// It is not tried, because it lacks this.
    Refused(&'static str),
    /// The same parts in a random order, as it keeps objects unordered.
    Order,
    Answers(&'static str),
}
use Difference::{Answers, Order, Refused};

const DIFFERENCES: &[(&str, Difference)] = &[
    ("$average(body.readings.value)", Refused("$average")),
    (
        "body.readings^(unit, >value).name",
        Refused("a sort by more than one key"),
    ),
    ("$keys(body.flags)", Order),
    ("body.flags.*", Order),
    (
        r#"$each(body.flags, function($v, $k) { $k & ":" & $v })"#,
        Order,
    ),
    ("$string(body.flags)", Order),
    ("body.nested.*.x", Order),
    ("**.x", Order),
    ("$type(body.temp)", Refused("$type")),
    ("body.temp ?: 20", Refused("the operator ?:")),
    (
        r#"$formatNumber(body.temp, "0.00")"#,
        Refused("$formatNumber"),
    ),
    (
        "device.$uppercase()",
        Refused("$uppercase without its first argument"),
    ),
    (
        r#""small: " & body.tiny"#,
        Answers(r#""small: 1.23456789012345""#),
    ),
    ("$string(lat)", Answers(r#""43.0737874999999""#)),
    ("$substring(body.text, -3)", Answers("PANIC")),
    (
        r#"$toMillis("13/09/2024", "[D01]/[M01]/[Y0001]")"#,
        Answers("Nothing"),
    ),
    (r#"$contains("hotspot", /hot(?=spot)/)"#, Answers("true")),
    (
        "$split(device)",
        Refused("$split without its first argument"),
    ),
    ("body.list[0..1]", Answers("S0202")),
];

/// As JSON with sorted keys, or the code of the error.
fn shown(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Json(value) => sorted(value).to_string(),
        Outcome::Error(error) => error.code.clone(),
        other => format!("{other:?}"),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(sorted).collect(),
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect();
            Value::Object(map.into_iter().collect())
        }
        other => other.clone(),
    }
}

fn letters(text: &str) -> Vec<char> {
    let mut letters: Vec<_> = text.chars().collect();
    letters.sort_unstable();
    letters
}

#[expect(clippy::print_stdout, reason = "the table is for people")]
#[tokio::test]
async fn engines_differ_only_where_it_is_known() {
    let event: Value = serde_json::from_str(EVENT).unwrap();
    let (core, rs) = (patient(Engine::JsonataCore), patient(Engine::JsonataRs));
    let mut known: BTreeMap<&str, &Difference> = DIFFERENCES
        .iter()
        .map(|(text, known)| (*text, known))
        .collect();
    let mut surprises = Vec::new();
    println!("| expression | jsonata-core | jsonata-rs |\n| --- | --- | --- |");
    for (text, expected) in CASES {
        let outcome = evaluate(&core, text, &event).await;
        let core = shown(&outcome);
        let in_order = match &outcome {
            Outcome::Json(value) => value.to_string(),
            _ => core.clone(),
        };
        if in_order != *expected {
            surprises.push(format!(
                "jsonata-core answers {text} with {in_order}, not {expected}"
            ));
        }
        let outcome = evaluate(&rs, text, &event).await;
        let rs = shown(&outcome);
        let known = known.remove(text);
        let as_known = match known {
            None => rs == core,
            Some(Refused(what)) => {
                matches!(&outcome, Outcome::Error(error) if error.code == "UNSUPPORTED" && error.message.contains(what))
            }
            Some(Order) => letters(&rs) == letters(&core),
            Some(Answers(answer)) => rs == *answer && rs != core,
        };
        if !as_known {
            surprises.push(format!(
                "{text}: jsonata-core {core}, jsonata-rs {rs}, known {known:?}"
            ));
        }
        if let Some(difference) = known {
            let rs = match difference {
                Refused(what) => format!("refused: {what}"),
                Order => "the same in a random order".to_owned(),
                Answers(answer) => (*answer).to_owned(),
            };
            println!("| `{}` | {core} | {rs} |", text.replace('|', "\\|"));
        }
    }
    for text in known.keys() {
        surprises.push(format!("{text} is listed as a difference but is no case"));
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}
