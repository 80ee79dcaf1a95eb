//! What is true of the service as a whole, read from the database at the moment it is asked for.

use std::fmt::Write;

use crate::App;
use crate::config::SILENT;
use crate::receive::backfill::progress;

/// Prometheus text; if the database is away it says so in `cloud_database_up`, and nothing else.
pub async fn render(app: &App) -> String {
    let mut text = String::new();
    let gathered = tokio::time::timeout(std::time::Duration::from_secs(5), gather(app)).await;
    let up = matches!(gathered, Ok(Ok(_)));
    gauge(
        &mut text,
        "cloud_database_up",
        "Whether the database answers.",
        &[(String::new(), f64::from(u8::from(up)))],
    );
    if let Ok(Ok(gauges)) = gathered {
        for Gauge { name, help, values } in &gauges {
            gauge(&mut text, name, help, values);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a queue length")]
    gauge(
        &mut text,
        "cloud_receive_waiting",
        "Requests that wait for a commit in this process.",
        &[(String::new(), app.intake.waiting() as f64)],
    );
    text
}

struct Gauge {
    name: &'static str,
    help: &'static str,
    /// Labels as they stand between the braces, and the value.
    values: Vec<(String, f64)>,
}

async fn gather(app: &App) -> sqlx::Result<Vec<Gauge>> {
    let now = app.clock.now();
    let pending = sqlx::query!(
        r#"SELECT count(*)::float8 AS "count!", coalesce(extract(epoch FROM $1 - min(queued_at))::float8, 0) AS "oldest!" FROM pending_events"#,
        now
    )
    .fetch_one(&app.pool)
    .await?;
    let waiting = sqlx::query!(
        r#"SELECT destination, count(*) FILTER (WHERE state = 'due')::float8 AS "due!", count(*) FILTER (WHERE state = 'leased')::float8 AS "leased!",
                  count(*) FILTER (WHERE state = 'dead')::float8 AS "dead!",
                  coalesce(extract(epoch FROM $1 - min(due_at) FILTER (WHERE state = 'due' AND due_at < $1))::float8, 0) AS "overdue!"
             FROM delivery_states WHERE state IN ('due', 'leased', 'dead') GROUP BY destination"#,
        now
    )
    .fetch_all(&app.pool)
    .await?;
    let firing = sqlx::query!(r#"SELECT rule, count(*)::float8 AS "count!" FROM incidents WHERE resolved_at IS NULL GROUP BY rule"#).fetch_all(&app.pool).await?;

    let incomplete = sqlx::query_scalar!(
        r#"SELECT count(DISTINCT (device, boot, seq, file))::float8 AS "count!" FROM frame_parts"#
    )
    .fetch_one(&app.pool)
    .await?;

    let destinations = |value: fn(f64, f64, f64, f64) -> f64| {
        let known = app.lanes.iter().map(|lane| {
            let row = waiting.iter().find(|row| row.destination == lane.name());
            (
                label("destination", lane.name()),
                row.map_or(0.0, |row| value(row.due, row.leased, row.dead, row.overdue)),
            )
        });
        known.collect()
    };
    let silent = firing.iter().find(|row| row.rule == SILENT);
    let silent = silent.map_or(0.0, |row| row.count);
    let rules = app.processor.plan.watched().map(|rule| {
        let name = &rule.config.name;
        (
            label("rule", name),
            firing
                .iter()
                .find(|row| &row.rule == name)
                .map_or(0.0, |row| row.count),
        )
    });
    let mut gauges = vec![
        Gauge {
            name: "cloud_events_pending",
            help: "Stored events that are not processed yet.",
            values: vec![(String::new(), pending.count)],
        },
        Gauge {
            name: "cloud_events_oldest_pending_seconds",
            help: "How long the oldest of them has waited.",
            values: vec![(String::new(), pending.oldest)],
        },
        Gauge {
            name: "cloud_deliveries_due",
            help: "Deliveries that wait for their turn or their next attempt.",
            values: destinations(|due, _, _, _| due),
        },
        Gauge {
            name: "cloud_deliveries_leased",
            help: "Deliveries being sent.",
            values: destinations(|_, leased, _, _| leased),
        },
        Gauge {
            name: "cloud_deliveries_dead",
            help: "Deliveries that were given up.",
            values: destinations(|_, _, dead, _| dead),
        },
        Gauge {
            name: "cloud_deliveries_overdue_seconds",
            help: "How long the longest due delivery has waited beyond its time.",
            values: destinations(|_, _, _, overdue| overdue),
        },
        Gauge {
            name: "cloud_incidents_firing",
            help: "Open incidents, by rule.",
            values: rules.collect(),
        },
        Gauge {
            name: "cloud_stations_silent",
            help: "Stations that are overdue.",
            values: vec![(String::new(), silent)],
        },
        Gauge {
            name: "cloud_frames_incomplete",
            help: "Pictures of which parts are missing.",
            values: vec![(String::new(), incomplete)],
        },
    ];
    gauges.extend(upkeep(app).await?);
    Ok(gauges)
}

/// How far the fetching of missed events and the deleting of old rows are.
async fn upkeep(app: &App) -> sqlx::Result<[Gauge; 2]> {
    let now = app.clock.now();
    let behind = match &app.config.notehub.project {
        Some(project) => progress::behind(&app.pool, project, now).await?,
        None => None,
    };
    let unswept = sqlx::query_scalar!(
        r#"SELECT coalesce(extract(epoch FROM $1 - swept_at)::float8, 0) AS "seconds!" FROM retention_progress WHERE only_row"#,
        now
    )
    .fetch_one(&app.pool)
    .await?;
    Ok([
        Gauge {
            name: "cloud_backfill_behind_seconds",
            help: "Since the moment until which all that Notehub took is stored; absent without a project.",
            values: behind
                .map(|seconds| (String::new(), seconds))
                .into_iter()
                .collect(),
        },
        Gauge {
            name: "cloud_retention_unswept_seconds",
            help: "Since old rows were last looked for to the end; 0 before the first time.",
            values: vec![(String::new(), unswept)],
        },
    ])
}

fn gauge(text: &mut String, name: &str, help: &str, values: &[(String, f64)]) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in values {
        let _ = writeln!(text, "{name}{labels} {value}");
    }
}

/// Names are of letters, digits, `-` and `_` (the configuration sees to that), so nothing needs escaping.
fn label(key: &str, value: &str) -> String {
    format!("{{{key}=\"{value}\"}}")
}
