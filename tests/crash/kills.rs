//! `kill -9` of the service under load, on a Postgres that syncs.

use super::load::Load;
use super::world::World;
use crate::support::database::durable_server;
use crate::support::program::Home;

/// Enough to reach each kind of moment once; `THERMAL_WATCH_KILLS` asks for more.
const KILLS: usize = 4;

#[tokio::test]
async fn a_service_killed_again_and_again_loses_nothing_and_repeats_nothing() {
    let kills = std::env::var("THERMAL_WATCH_KILLS");
    let kills = kills.map_or(KILLS, |kills| {
        kills.parse().expect("THERMAL_WATCH_KILLS is a number")
    });
    let server = durable_server().await;
    let url = server.server.url("postgres");
    let world = World::new().await;
    let home = Home::new(&world.config(Some(&url)));
    let mut program = home.serve().await;
    let load = Load::start(16, &[&program.url]);
    for round in 0..kills {
        moment(&world, &load, round).await;
        program.kill().await;
        program = home.serve().await;
        load.goes_to(&[&program.url]);
        eprintln!(
            "kill {} of {kills}: {} events taken so far",
            round + 1,
            load.acknowledged_so_far()
        );
    }
    load.acknowledged(20).await;
    let seen = load.finish().await;
    assert!(
        seen.broken > 0,
        "requests were under way when the service was killed"
    );
    world.check(&url, &seen).await;
    assert!(program.stop().await);
    server.server.stop().await.expect("the server stops");
}

/// Waits for the moment of a kill: while events come in, while a text is being sent, while points are, at once.
async fn moment(world: &World, load: &Load, round: usize) {
    // Any number that differs from round to round.
    let more = 60 + round * 37 % 150;
    match round % 4 {
        0 => load.acknowledged(more).await,
        1 => {
            let mut texts = world.twilio.arrivals();
            let so_far = *texts.borrow();
            texts
                .wait_for(|texts| *texts > so_far)
                .await
                .expect("a text");
        }
        2 => {
            let mut posts = world.ubidots.arrivals();
            let so_far = *posts.borrow();
            posts
                .wait_for(|posts| *posts > so_far + more as u64 / 2)
                .await
                .expect("a post");
        }
        _ => load.acknowledged(1).await,
    }
}
