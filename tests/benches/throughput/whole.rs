//! The whole way: events go in at one end until each has reached the receiver and nothing is left to do.
//!
//! The clock runs from the first event sent until the last is recorded as delivered. Then the tables are asked:
//! every event stored and processed, every measurement and every delivery there once.

use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::time::sleep;

use crate::arguments::Role;
use crate::child::Child;
use crate::connection;
use crate::load::Load;
use crate::receiver::Count;
use crate::rounds::{self, Bench, MAIN, Measure};
use crate::server::{Database, Server};

const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(20);
/// Numbers in the body of each event, each of which becomes a measurement.
const SERIES: i64 = 4;

/// What the tables hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
struct Tables {
    events: i64,
    unprocessed: i64,
    measurements: i64,
    deliveries: i64,
    undelivered: i64,
}

const TABLES: &str = "SELECT
    (SELECT count(*) FROM events) AS events,
    (SELECT count(*) FROM events WHERE processed_at IS NULL) AS unprocessed,
    (SELECT count(*) FROM measurements) AS measurements,
    (SELECT count(*) FROM deliveries) AS deliveries,
    (SELECT count(*) FROM deliveries WHERE state::text <> 'delivered') AS undelivered";

impl Tables {
    /// Every stored event went the whole way, once. That may be more than were answered with 2xx: an event whose
    /// answer got lost is stored all the same.
    fn are_complete(self, received: i64) -> bool {
        let complete = Self {
            events: received,
            unprocessed: 0,
            measurements: received * SERIES,
            deliveries: received,
            undelivered: 0,
        };
        self == complete
    }
}

impl Bench {
    pub(crate) async fn whole(&mut self, server: &mut Server) -> anyhow::Result<()> {
        let database = server.create().await?;
        let receiver = Child::start(Role::Receiver, &(), &self.log).await?;
        // With no route configured the tutorial's applies, once there is an Ubidots to send to.
        let destination = format!(
            "[[destination]]\nname = \"ubidots\"\nkind = \"ubidots\"\nbase_url = \"http://{}\"\n\
             token = \"benchmark\"\nrate_limit = \"none\"\nallow_private = true\n",
            receiver.address
        );
        let cloud = self.cloud(&database, &destination).await?;
        let warm_up = self.warm_up(&cloud, MAIN).await?;
        finish(server, &database, &receiver, warm_up).await?;

        let events = self.plan.whole_events;
        let before = cloud.usage()?;
        let output = self
            .send(&cloud, MAIN, warm_up, Load::Events(events))
            .await?;
        let sent = Instant::now();
        let total = warm_up + output.answered;
        let left_behind = finish(server, &database, &receiver, total).await?;
        let seconds = output.seconds + sent.elapsed().as_secs_f64();
        let after = cloud.usage()?;

        let mut sample = rounds::sample(&output);
        sample.rate = rounds::per_second(output.answered, seconds);
        let cpu = after.cpu_seconds - before.cpu_seconds;
        sample.cpu_per_10k = Some(rounds::per_10k(cpu, output.answered));
        sample.rss_mb = Some(after.peak_rss_mb);
        let stored = rounds::per_second(output.answered, output.seconds);
        sample
            .notes
            .push(format!("stored at {stored:.0}/s meanwhile"));
        let count = received(&receiver).await?;
        if count.points > count.distinct {
            let repeats = count.points - count.distinct;
            sample
                .notes
                .push(format!("{repeats} points delivered more than once"));
        }
        if let Some(what) = left_behind {
            sample.notes.push(format!("LEFT BEHIND: {what}"));
            sample.broken = true;
        }
        cloud.end().await?;
        receiver.end().await?;
        server.discard(database).await?;
        self.keep(Measure::Whole, sample)
    }
}

/// Waits until at least `events` are stored and all have gone the whole way; says what is missing if patience ends first.
async fn finish(
    server: &Server,
    database: &Database,
    receiver: &Child,
    events: u64,
) -> anyhow::Result<Option<String>> {
    let events = i64::try_from(events)?;
    let deadline = Instant::now() + PATIENCE;
    let mut connection = server.connect(database).await?;
    loop {
        let distinct = i64::try_from(received(receiver).await?.distinct)?;
        // The receiver is asked first: counting rows takes time from the service under test.
        if distinct >= events || Instant::now() > deadline {
            let tables: Tables = sqlx::query_as(TABLES).fetch_one(&mut connection).await?;
            if tables.events >= events && tables.are_complete(distinct) {
                connection.close().await?;
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Ok(Some(format!(
                    "of {events} events {distinct} were received; {tables:?}"
                )));
            }
        }
        sleep(POLL).await;
    }
}

async fn received(receiver: &Child) -> anyhow::Result<Count> {
    let (_, body) = connection::get(receiver.address, "/count").await?;
    Ok(serde_json::from_slice(&body)?)
}
