//! What holds together: data sources, panels, metrics, alerts, and the headings of the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::{PANELS, POSTGRES, PROMETHEUS, dashboards, deploy, fleet, list, read, text};

/// Metrics of programs that are not ours.
const FOREIGN: [&str; 3] = [
    "node_filesystem_avail_bytes",
    "node_filesystem_size_bytes",
    "thermal_watch_backup_success_timestamp_seconds",
];
/// Metrics that are there once something rare has happened; the program's text must name them.
const RARE: [&str; 6] = [
    "cloud_backfill_behind_seconds",
    "cloud_process_frame_parts_forgotten_total",
    "cloud_retention_deleted_total",
    "cloud_text_statuses_total",
    "cloud_texts_received_total",
    "cloud_texts_undelivered_total",
];

/// The values of a key in YAML where each stands on a line of its own.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let lines = yaml
        .lines()
        .map(|line| line.trim_start().trim_start_matches("- "));
    let values = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    values
        .map(|value| value.trim().trim_matches(['\'', '"']))
        .collect()
}

#[test]
fn panels_are_stock_ones_with_numbers_and_places_of_their_own() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        assert!(uids.insert(text(&dashboard, "/uid").to_owned()), "{file}");
        let mut ids = BTreeSet::new();
        let mut taken = BTreeMap::new();
        for panel in list(&dashboard, "/panels") {
            let title = text(panel, "/title");
            assert!(PANELS.contains(&text(panel, "/type")), "{file}, {title}");
            assert!(
                ids.insert(panel["id"].as_u64().expect("a number")),
                "{file}, {title}"
            );
            let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            assert!(place("x") + place("w") <= 24, "{file}, {title}");
            for cell in (place("x")..place("x") + place("w"))
                .flat_map(|x| (place("y")..place("y") + place("h")).map(move |y| (x, y)))
            {
                if let Some(other) = taken.insert(cell, title) {
                    panic!("{file}: {title} lies on {other}");
                }
            }
        }
    }
    // What links between dashboards lead to.
    for (file, dashboard) in dashboards() {
        for link in dashboard.to_string().split("/d/").skip(1) {
            let uid = link.split(['?', '"', '/']).next().expect("a uid");
            assert!(uids.contains(uid), "{file}: no dashboard {uid}");
        }
    }
}

#[test]
fn every_data_source_that_is_named_is_provisioned() {
    let sources = read("grafana/provisioning/datasources/thermal-watch.yaml");
    let provisioned: BTreeSet<_> = values(&sources, "uid").into_iter().collect();
    assert_eq!(provisioned, BTreeSet::from([POSTGRES, PROMETHEUS]));
    fn visit(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                if let Some(uid) = fields
                    .get("datasource")
                    .and_then(|source| source["uid"].as_str())
                {
                    found.insert(uid.to_owned());
                }
                fields.values().for_each(|value| visit(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| visit(item, found)),
            _ => {}
        }
    }
    for (file, dashboard) in dashboards() {
        let mut named = BTreeSet::new();
        visit(&dashboard, &mut named);
        assert!(!named.is_empty(), "{file}");
        for uid in named {
            assert!(provisioned.contains(uid.as_str()), "{file}: {uid}");
        }
    }
    let rules = read("grafana/provisioning/alerting/rules.yaml");
    for uid in values(&rules, "datasourceUid") {
        assert!(uid == "__expr__" || provisioned.contains(uid), "{uid}");
    }
    // The login of the data source is the one that the database is given.
    let login = values(&sources, "user")[0];
    let script = read("postgres/10-roles.sh");
    assert!(script.contains(login), "{login}");
}

/// Names of metrics in an expression: words with one of our prefixes, outside of texts in quotes.
fn metrics(expression: &str) -> BTreeSet<String> {
    let outside: String = expression
        .split('"')
        .step_by(2)
        .collect::<Vec<_>>()
        .join(" ");
    let words = outside.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| {
        ["cloud_", "node_", "thermal_watch_"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    });
    ours.map(str::to_owned).collect()
}

/// Whether some file of the program has the name as a text.
fn named_in_program(directory: &Path, metric: &str) -> bool {
    let files = std::fs::read_dir(directory).expect("the sources are listed");
    files.map(|file| file.expect("a file").path()).any(|path| {
        if path.is_dir() {
            return named_in_program(&path, metric);
        }
        std::fs::read_to_string(&path).is_ok_and(|text| text.contains(&format!("\"{metric}\"")))
    })
}

#[tokio::test]
async fn every_metric_that_is_watched_is_in_a_scrape() {
    let app = fleet::app().await;
    let scrape = app.scrape().await;
    let there: BTreeSet<_> = scrape
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let alerts = read("alerts.yml");
    let mut expressions: Vec<String> = values(&alerts, "expr")
        .into_iter()
        .map(str::to_owned)
        .collect();
    for dashboard in dashboards().values() {
        for panel in list(dashboard, "/panels") {
            let targets = panel["targets"].as_array().into_iter().flatten();
            let asked = targets.filter(|target| target["datasource"]["uid"] == PROMETHEUS);
            expressions.extend(asked.map(|target| text(target, "/expr").to_owned()));
        }
    }
    assert!(expressions.len() > 35, "{}", expressions.len());
    for expression in &expressions {
        for metric in metrics(expression) {
            let name = metric.as_str();
            let known = there.contains(name)
                || FOREIGN.contains(&name)
                || RARE.contains(&name) && named_in_program(&deploy("../cloud/src"), name);
            assert!(
                known,
                "{metric} is not in a scrape; it is asked for by {expression}"
            );
        }
    }
}

/// Headings as they are linked to: in lower case, blanks as dashes, without other signs.
fn anchors(markdown: &str) -> BTreeSet<String> {
    let headings = markdown.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let text = line.trim_start_matches('#').trim().to_lowercase();
            let kept = text
                .chars()
                .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

#[test]
fn every_alert_has_its_heading_in_the_runbook() {
    let anchors = anchors(&read("runbook.md"));
    let alerts = read("alerts.yml");
    let names = values(&alerts, "alert");
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(
        names.len(),
        names.iter().collect::<BTreeSet<_>>().len(),
        "{names:?}"
    );
    for key in ["expr", "labels", "annotations"] {
        assert_eq!(
            values(&alerts, key).len(),
            names.len(),
            "each alert has one line {key}"
        );
    }
    for (name, labels) in names.iter().zip(values(&alerts, "labels")) {
        let (_, runbook) = labels
            .split_once("runbook: ")
            .unwrap_or_else(|| panic!("{name} has no runbook"));
        let runbook = runbook.trim_end_matches([' ', '}']);
        assert!(
            anchors.contains(runbook),
            "{name}: runbook.md has no heading {runbook}"
        );
        assert!(labels.contains("severity: "), "{name}");
    }
    // What the service itself tells people of.
    for rule in ["anomaly", "dwell", "fault", "silent"] {
        assert!(anchors.contains(rule), "runbook.md has no heading {rule}");
    }
}
