//! Several services on one database, started at once, fed at once, two of them killed.

use std::process::Stdio;

use cloud::database::MIGRATOR;

use super::load::Load;
use super::world::{World, count, until};
use crate::support::database::unmigrated_database;
use crate::support::program::Home;

#[tokio::test]
async fn services_that_start_at_once_share_the_work() {
    let database = unmigrated_database().await;
    let world = World::new().await;
    let config = world.config(Some(&database.url));
    let homes = [Home::new(&config), Home::new(&config), Home::new(&config)];

    // The very first start is killed amid the migrations, which is nobody else's trouble.
    let mut first = homes[0]
        .command(&["serve"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    let begun = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let begun = async || {
        sqlx::query_scalar::<_, bool>(begun)
            .fetch_one(&database.pool)
            .await
            .expect("an answer")
    };
    until("the migrations begin", begun).await;
    first.kill().await.expect("it is killed");

    let (one, two, three) = tokio::join!(homes[0].serve(), homes[1].serve(), homes[2].serve());
    assert_eq!(
        count(&database.pool, "_sqlx_migrations WHERE success").await,
        MIGRATOR.iter().count() as i64
    );
    let load = Load::start(8, &[&one.url, &two.url, &three.url]);
    load.acknowledged(100).await;
    // Two die, each when a text has just arrived, and the last one takes over what they had claimed.
    let mut texts = world.twilio.arrivals();
    load.goes_to(&[&one.url, &two.url, &three.url]);
    texts.changed().await.expect("a text");
    three.kill().await;
    load.goes_to(&[&one.url, &two.url]);
    texts.changed().await.expect("a text");
    two.kill().await;
    load.goes_to(&[&one.url]);
    load.acknowledged(50).await;
    let seen = load.finish().await;
    world.check(&database.url, &seen).await;
    assert!(one.stop().await);
}
