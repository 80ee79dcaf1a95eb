//! What Grafana shows and Prometheus watches: every query of deploy/grafana and deploy/alerts.yml, asked of the real thing.
//!
//! Each panel's SQL is run as the read-only role, its macros and variables expanded as Grafana expands them, on a small
//! fleet whose events came in through the front door; every metric that an expression names must be in a scrape.
//! Grafana itself is not started here: what is checked is what it is given.

mod fleet;
mod macros;
mod provisioned;
mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Column as _, Connection as _, Row as _, TypeInfo as _};

use crate::support::app::TestApp;
use macros::{Expansion, expand};

const POSTGRES: &str = "thermal-watch-postgres";
const PROMETHEUS: &str = "thermal-watch-prometheus";
const ROLE: &str = "thermal_watch_grafana";
/// What the panels of stock Grafana are called; whatever shows HTML is not among them.
const PANELS: [&str; 7] = [
    "barchart",
    "geomap",
    "heatmap",
    "row",
    "stat",
    "table",
    "timeseries",
];
const NUMBERS: [&str; 6] = ["INT2", "INT4", "INT8", "FLOAT4", "FLOAT8", "NUMERIC"];

fn deploy(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy")).join(path)
}

fn read(path: &str) -> String {
    std::fs::read_to_string(deploy(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The dashboards by file name.
fn dashboards() -> BTreeMap<String, Value> {
    let directory = deploy("grafana/dashboards");
    let files = std::fs::read_dir(directory).expect("the dashboards are listed");
    let dashboards: BTreeMap<_, _> = files
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("it is read");
            let dashboard = serde_json::from_str(&text).expect("it is JSON");
            (name.into_owned(), dashboard)
        })
        .collect();
    assert_eq!(dashboards.len(), 3, "{:?}", dashboards.keys());
    dashboards
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let list = value.pointer(pointer).and_then(Value::as_array);
    list.unwrap_or_else(|| panic!("no list {pointer}"))
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no text {pointer} in {value}"))
}

/// The last day before the clock of the tests, looked at in panels of ordinary width.
fn expansion(now: DateTime<Utc>) -> Expansion {
    Expansion {
        from: now - TimeDelta::days(1),
        to: now,
        interval: "5m",
        variables: BTreeMap::new(),
    }
}

/// Asks as the role that Grafana's login is a member of.
struct Reader(PgConnection);

impl Reader {
    async fn new(app: &TestApp) -> Self {
        let mut connection = PgConnection::connect_with(&app.database.options)
            .await
            .expect("the database answers");
        for statement in [
            format!("SET ROLE {ROLE}"),
            "SET default_transaction_read_only = on".to_owned(),
        ] {
            sqlx::query(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .expect("the role is there");
        }
        Self(connection)
    }

    async fn ask(&mut self, sql: &str) -> Vec<PgRow> {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.0);
        rows.await.unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }
}

/// Names and types of a row, in order.
fn columns(row: &PgRow) -> Vec<(String, String)> {
    let columns = row.columns().iter();
    columns
        .map(|column| {
            (
                column.name().to_owned(),
                column.type_info().name().to_owned(),
            )
        })
        .collect()
}

#[tokio::test]
async fn every_panel_that_asks_postgres_gets_rows_of_the_kind_it_shows() {
    let app = fleet::app().await;
    let mut reader = Reader::new(&app).await;
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        let mut expansion = expansion(app.now());
        // As in the browser: a variable sees those before it.
        for variable in list(&dashboard, "/templating/list") {
            let values = choices(&mut reader, variable, &expansion).await;
            let name = text(variable, "/name").to_owned();
            expansion.variables.insert(name, values);
        }
        for panel in list(&dashboard, "/panels") {
            if panel["type"] == "row" || panel["datasource"]["uid"] != POSTGRES {
                continue;
            }
            let place = format!("{file}, {}", text(panel, "/title"));
            let targets = list(panel, "/targets");
            assert!(!targets.is_empty(), "{place}: no query");
            for target in targets {
                let sql = expand(text(target, "/rawSql"), &expansion).expect(&place);
                let rows = reader.ask(&sql).await;
                assert!(!rows.is_empty(), "{place}: no rows from\n{sql}");
                fits(&place, panel, text(target, "/format"), &rows);
                asked += 1;
            }
        }
    }
    assert!(asked > 30, "{asked}");
    // Where several may be chosen, none may be.
    let mut none = expansion(app.now());
    for (name, values) in [
        ("device", vec![fleet::BOILER.to_owned()]),
        ("series", vec![]),
    ] {
        none.variables.insert(name.into(), values);
    }
    let station = dashboards().remove("station.json").expect("the station");
    let mut panels = list(&station, "/panels").iter();
    let panel = panels.find(|panel| panel["title"] == "More series");
    let sql = text(panel.expect("the panel"), "/targets/0/rawSql");
    assert!(reader.ask(&expand(sql, &none).expect(sql)).await.is_empty());
}

/// The values that a variable takes here: every one that its query offers, or what it is set to.
async fn choices(reader: &mut Reader, variable: &Value, expansion: &Expansion) -> Vec<String> {
    if variable["type"] != "query" {
        return vec![text(variable, "/current/value").to_owned()];
    }
    let sql = expand(text(variable, "/query"), expansion).expect("the variable's query");
    let rows = reader.ask(&sql).await;
    assert!(!rows.is_empty(), "nothing to choose from\n{sql}");
    let names: Vec<_> = columns(&rows[0])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let value = if names.len() == 1 {
        names[0].as_str()
    } else {
        assert_eq!(names, ["__text", "__value"], "{sql}");
        "__value"
    };
    let mut values: Vec<String> = rows.iter().map(|row| row.get(value)).collect();
    if variable["multi"] == false {
        // The station that has everything.
        values.retain(|value| value == fleet::BOILER);
        assert_eq!(values.len(), 1, "{sql}");
    }
    values
}

/// Whether the rows have what this kind of panel needs.
fn fits(place: &str, panel: &Value, format: &str, rows: &[PgRow]) {
    let columns = columns(&rows[0]);
    let kind = |name: &str| {
        let found = columns.iter().find(|(column, _)| column == name);
        found.map_or("", |(_, kind)| kind.as_str())
    };
    if format == "time_series" {
        assert!(
            kind("time") == "TIMESTAMPTZ" || NUMBERS.contains(&kind("time")),
            "{place}: {columns:?}"
        );
        for (name, kind) in &columns {
            let label = name == "metric" && kind == "TEXT";
            assert!(
                name == "time" || label || NUMBERS.contains(&kind.as_str()),
                "{place}: {name} is {kind}"
            );
        }
        if kind("metric") == "TEXT" {
            let labels: BTreeSet<String> = rows.iter().map(|row| row.get("metric")).collect();
            assert!(labels.len() > 1, "{place}: {labels:?}");
        }
    }
    match text(panel, "/type") {
        "heatmap" => {
            // One row of the answer for each column of the picture, and a number for each of its rows.
            assert_eq!(rows.len(), 32, "{place}");
            assert_eq!(columns[0], ("x".into(), "FLOAT8".into()), "{place}");
            assert_eq!(columns.len(), 25, "{place}");
            for (number, (name, kind)) in columns[1..].iter().enumerate() {
                // Names that are numbers would be sorted, and the first column then taken for a time.
                assert_eq!(*name, format!("row {number:02}"), "{place}");
                assert_eq!(kind, "FLOAT8", "{place}");
            }
        }
        "geomap" => {
            assert_eq!(kind("latitude"), "FLOAT8", "{place}");
            assert_eq!(kind("longitude"), "FLOAT8", "{place}");
            let coloured = text(panel, "/options/layers/0/config/style/color/field");
            assert!(NUMBERS.contains(&kind(coloured)), "{place}");
        }
        "barchart" => assert_eq!(
            kind(text(panel, "/options/xField")),
            "TIMESTAMPTZ",
            "{place}"
        ),
        "stat" => assert!(
            columns
                .iter()
                .any(|(_, kind)| NUMBERS.contains(&kind.as_str()) || kind == "TIMESTAMPTZ"),
            "{place}: {columns:?}"
        ),
        _ => {}
    }
    for name in overridden(panel) {
        let shown = columns.iter().any(|(column, _)| *column == name)
            || rows.iter().any(|row| {
                row.try_get::<String, _>("metric")
                    .is_ok_and(|label| label == name)
            });
        assert!(shown, "{place}: nothing is called {name}: {columns:?}");
    }
}

/// The fields that a panel treats in some way of their own.
fn overridden(panel: &Value) -> Vec<String> {
    let overrides = list(panel, "/fieldConfig/overrides").iter();
    overrides
        .map(|one| {
            assert_eq!(text(one, "/matcher/id"), "byName");
            text(one, "/matcher/options").to_owned()
        })
        .collect()
}

#[tokio::test]
async fn annotations_mark_when_incidents_began_and_ended() {
    let app = fleet::app().await;
    let mut reader = Reader::new(&app).await;
    let mut asked = 0;
    for (file, dashboard) in dashboards() {
        let mut expansion = expansion(app.now());
        let chosen = vec![fleet::BOILER.to_owned()];
        expansion.variables.insert("device".into(), chosen);
        for annotation in list(&dashboard, "/annotations/list") {
            assert_eq!(text(annotation, "/datasource/uid"), POSTGRES, "{file}");
            let sql = text(annotation, "/target/rawSql");
            let rows = reader.ask(&expand(sql, &expansion).expect(&file)).await;
            assert!(!rows.is_empty(), "{file}: no rows from\n{sql}");
            for row in &rows {
                let begun: DateTime<Utc> = row.get("time");
                assert!(!row.get::<String, _>("text").is_empty());
                assert!(!row.get::<String, _>("tags").is_empty());
                if let Ok(ended) = row.try_get::<DateTime<Utc>, _>("timeend") {
                    assert!(begun < ended, "{file}");
                }
            }
            asked += 1;
        }
    }
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn the_picture_in_the_heatmap_and_in_the_list_is_the_one_that_the_station_took() {
    let app = fleet::app().await;
    let mut reader = Reader::new(&app).await;
    let dashboard = dashboards().remove("station.json").expect("the station");
    let mut expansion = expansion(app.now());
    let chosen = vec![fleet::BOILER.to_owned()];
    expansion.variables.insert("device".into(), chosen);
    let mut ask = async |title: &str| {
        let mut panels = list(&dashboard, "/panels").iter();
        let panel = panels.find(|panel| panel["title"] == title).expect(title);
        let sql = expand(text(panel, "/targets/0/rawSql"), &expansion).expect(title);
        reader.ask(&sql).await
    };
    let rows = ask("Last picture of the chosen time").await;
    for (place, byte) in fleet::pixels().into_iter().enumerate() {
        let (x, y) = (place % 32, place / 32);
        let shown: f64 = rows[x].get(format!("row {y:02}").as_str());
        let taken = fleet::MIN + f64::from(byte) / 255.0 * (fleet::MAX - fleet::MIN);
        assert!((shown - taken).abs() < 1e-4, "{x},{y}: {shown} {taken}");
    }
    let rows = ask("Pictures").await;
    let uri: String = rows[0].get("picture");
    let image = fleet::decoded(&uri);
    assert_eq!(image.len(), 14 + 40 + 1024 + 768);
    let number = |at: usize| u32::from_le_bytes(image[at..at + 4].try_into().expect("four"));
    assert_eq!(&image[..2], b"BM");
    assert_eq!(number(2) as usize, image.len(), "the size of the file");
    assert_eq!(number(10), 1078, "where the pixels begin");
    assert_eq!(
        (number(14), number(18), number(22).cast_signed()),
        (40, 32, -24)
    );
    assert_eq!(number(26), 0x0008_0001, "one plane, 8 bits");
    assert_eq!((number(30), number(34), number(46)), (0, 768, 256));
    assert_eq!(&image[1078..], fleet::pixels());
    // The hotter, the brighter: the sum of the three colours never falls.
    let palette = image[54..1078].chunks(4);
    let bright: Vec<u32> = palette
        .map(|c| c.iter().map(|&part| u32::from(part)).sum())
        .collect();
    assert!(bright[0] < 10 && bright[255] > 750, "{bright:?}");
}
