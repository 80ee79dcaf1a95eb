//! `edge.toml`, the environment over it, and what the cloud changes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use edge::config::live::Live;
use edge::config::{Config, NOfM};

fn environment<const N: usize>(variables: [(&str, &str); N]) -> BTreeMap<String, String> {
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn parse(text: &str) -> anyhow::Result<Config> {
    Config::parse(text, &BTreeMap::new(), Path::new("/etc/thermal-watch"))
}

fn refused(text: &str) -> String {
    format!("{:#}", parse(text).expect_err(text))
}

#[test]
fn without_a_file_the_tutorials_settings_are_in_force() {
    let config = parse("").expect("nothing is needed");
    assert_eq!(config.camera.interval.get(), Duration::from_mins(5));
    assert_eq!(config.notecard.outbound.get(), Duration::from_mins(30));
    assert_eq!(config.notecard.inbound.get(), Duration::from_hours(12));
    assert!((config.decide.threshold - 0.7).abs() < f64::EPSILON);
    assert_eq!(config.decide.confirm, NOfM { n: 2, m: 3 });
    assert_eq!(config.decide.frames.to_string(), "alerts, 1day");
}

#[test]
fn the_file_with_every_key_is_the_defaults_and_its_examples_are_good() {
    let text = include_str!("../../deploy/edge.toml");
    assert_eq!(
        parse(text).expect("it is good"),
        parse("").expect("defaults")
    );
    let defaults: String = text
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(char::is_alphabetic) => format!("{setting}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(
        parse(&defaults).expect("the defaults are good"),
        parse("").expect("defaults"),
        "a setting that the file shows is not the default"
    );
    let all = defaults.replace("#+ ", "");
    let config = parse(&all).expect("the examples are good");
    let labels: Vec<_> = config
        .dwell
        .iter()
        .flatten()
        .map(|rule| &rule.label)
        .collect();
    assert_eq!(labels, ["warm"]);
    // Every key that exists is shown.
    let shown = |key: &str| {
        all.lines()
            .any(|line| line.starts_with(&format!("{key} =")))
    };
    for section in ["camera", "model", "decide", "notecard", "spool", "health"] {
        let complaint = refused(&format!("[{section}]\nnonsense = 1"));
        let (_, known) = complaint.split_once("expected").expect("it lists them");
        let (known, _) = known.split_once(" for key").unwrap_or((known, ""));
        let keys: Vec<_> = known.split('`').skip(1).step_by(2).collect();
        assert!(!keys.is_empty(), "{complaint}");
        for key in keys {
            assert!(
                shown(key),
                "deploy/edge.toml does not show `{key}` of [{section}]"
            );
        }
    }
}

#[test]
fn the_environment_goes_over_the_file_and_paths_start_at_the_file() {
    let config = Config::parse(
        "[camera]\ninterval = \"1m\"\nemissivity = 0.9\n[model]\nfile = \"model.onnx\"",
        &environment([
            ("EDGE__CAMERA__INTERVAL", "2m"),
            ("EDGE__CAMERA__AVERAGE", "8"),
            ("EDGE__CAMERA__EMISSIVITY", ""),
            ("HOME", "/home"),
        ]),
        Path::new("/etc/thermal-watch"),
    )
    .expect("it is good");
    assert_eq!(config.camera.interval.get(), Duration::from_mins(2));
    assert_eq!(config.camera.average, 8);
    assert!((config.camera.emissivity - 0.9).abs() < f64::EPSILON);
    assert_eq!(
        config.model.file.as_deref(),
        Some(Path::new("/etc/thermal-watch/model.onnx"))
    );
    let given = environment([("STATE_DIRECTORY", "/var/lib/thermal-watch:/other")]);
    assert_eq!(
        config.state_dir(&given),
        Path::new("/var/lib/thermal-watch")
    );
}

#[test]
fn what_cannot_be_is_refused_with_what_to_write() {
    for (text, said) in [
        ("[camera]\nintervall = \"5m\"", "did you mean `interval`"),
        ("[camara]\n", "did you mean `camera`"),
        ("[camera]\ninterval = 5", "\"5\" is no length of time"),
        ("[camera]\ninterval = \"1s\"", "lies between 10s and 1d"),
        ("[camera]\nrefresh_hz = 3.0", "knows 0.5, 1, 2, 4"),
        ("[camera]\nemissivity = 95", "0.95 for paint"),
        (
            "[camera]\naverage = 64\nrefresh_hz = 0.5",
            "give it twice that",
        ),
        ("[camera]\naddress = 200", "0x08 to 0x77"),
        ("[decide]\nthreshold = 70", "scores lie between 0 and 1"),
        ("[decide]\nclear = 0.9", "not above `threshold`"),
        ("[decide]\nconfirm = \"3 of 2\"", "\"2 of 3\""),
        ("[decide]\nframes = \"always\"", "\"alerts, 1d\""),
        (
            "[[dwell]]\nlabel = \"anomaly\"\nlonger_than = \"3h\"",
            "one of the model's",
        ),
        ("[[dwell]]\nlabel = \"warm\"", "longer_than"),
        ("[notecard]\nproduct = \"boilers\"", "Notehub shows it"),
        ("[spool]\nmost_notes = 1", "no spool"),
        ("[camera\n", "no TOML"),
    ] {
        let complaint = refused(text);
        assert!(complaint.contains(said), "{text}\n{complaint}");
    }
}

#[test]
fn the_cloud_changes_interval_threshold_and_frames_and_nonsense_changes_nothing() {
    let config = parse("").expect("defaults");
    let (before, refused) = Live::new(&config, &BTreeMap::new());
    assert_eq!(refused, Vec::<String>::new());
    let (live, refused) = Live::new(
        &config,
        &environment([
            ("interval", "2"),
            ("threshold", " 0.8 "),
            ("frames", "alerts"),
            ("_sn", "boiler"),
        ]),
    );
    assert_eq!(refused, Vec::<String>::new());
    assert_eq!(
        live.interval,
        Duration::from_mins(2),
        "a plain number is minutes"
    );
    assert!((live.threshold - 0.8).abs() < 1e-9);
    assert!((live.clear - 0.5 * 0.8 / 0.7).abs() < 1e-9);
    assert_eq!(live.frames.to_string(), "alerts");
    let (live, refused) = Live::new(
        &config,
        &environment([
            ("interval", "0"),
            ("threshold", "hot"),
            ("frames", "sometimes"),
        ]),
    );
    assert_eq!(live, before, "it stays as it was");
    assert_eq!(refused.len(), 3, "{refused:?}");
    assert!(refused[0].starts_with("interval: "), "{refused:?}");
}
