//! The role that only reads: what it may, what it may not, and that a server that cannot have it is no obstacle.

use cloud::database::MIGRATOR;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool, Row as _};

use super::{ROLE, Reader};
use crate::support::app::TestApp;
use crate::support::database::{DurableServer, durable_server};

/// What README.md lists for people and Grafana, and what the state of a rule and of a silence is.
const READABLE: [&str; 11] = [
    "alerts",
    "attempts",
    "deliveries",
    "devices",
    "events",
    "frame_parts",
    "frames",
    "incidents",
    "measurements",
    "rejected",
    "silences",
];

#[tokio::test]
async fn the_role_reads_what_is_listed_and_nothing_else() {
    let app = TestApp::new().await;
    let readable: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'm', 'p') AND has_table_privilege($1, c.oid, 'SELECT')
          ORDER BY c.relname",
    )
    .bind(ROLE)
    .fetch_all(&app.pool)
    .await
    .expect("rows");
    assert_eq!(readable, READABLE);
    let writable: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = 'public' AND c.relkind IN ('r', 'v', 'm', 'p')
            AND has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')",
    )
    .bind(ROLE)
    .fetch_all(&app.pool)
    .await
    .expect("rows");
    assert_eq!(writable, Vec::<String>::new());
    let (login, special): (bool, bool) = sqlx::query_as(
        "SELECT rolcanlogin, rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = $1",
    )
    .bind(ROLE)
    .fetch_one(&app.pool)
    .await
    .expect("the role");
    assert!(!login && !special);
}

#[tokio::test]
async fn what_the_role_may_not_is_refused() {
    let app = TestApp::new().await;
    let Reader(mut connection) = Reader::new(&app).await;
    // Not only because the session happens to be read-only.
    sqlx::query("SET default_transaction_read_only = off")
        .execute(&mut connection)
        .await
        .expect("allowed to all");
    for sql in [
        "SELECT * FROM sessions",
        "SELECT * FROM audit",
        "SELECT * FROM received_events",
        "DELETE FROM measurements",
        "UPDATE incidents SET acknowledged_at = now(), acknowledged_by = 'nobody'",
        "INSERT INTO devices (uid, first_seen, last_seen) VALUES ('x', now(), now())",
        "TRUNCATE rejected",
        "CREATE TABLE public.mine (x int)",
        "SELECT grant_to_grafana()",
    ] {
        let error = sqlx::query(sql)
            .fetch_all(&mut connection)
            .await
            .expect_err(sql);
        let code = error
            .as_database_error()
            .and_then(|error| error.code().map(String::from));
        assert_eq!(code.as_deref(), Some("42501"), "{sql}: {error}");
    }
    let rows = sqlx::query("SELECT count(*) AS n FROM events")
        .fetch_one(&mut connection)
        .await;
    assert_eq!(rows.expect("may be read").get::<i64, _>("n"), 0);
}

/// Someone who may make neither roles nor databases, on a server where nobody has made ours.
async fn limited(server: &DurableServer) -> PgPool {
    let mut admin = server
        .server
        .options("postgres")
        .connect()
        .await
        .expect("the server answers");
    for statement in [
        "CREATE ROLE tenant LOGIN",
        "CREATE DATABASE tenant OWNER tenant",
    ] {
        sqlx::query(statement)
            .execute(&mut admin)
            .await
            .expect(statement);
    }
    admin.close().await.expect("it closes");
    let options = server
        .server
        .options("tenant")
        .options([("role", "tenant")]);
    PgPool::connect_with(options)
        .await
        .expect("the tenant is let in")
}

#[tokio::test]
async fn who_may_not_make_roles_migrates_all_the_same_and_makes_up_for_it() {
    let server = durable_server().await;
    let pool = limited(&server).await;
    MIGRATOR.run(&pool).await.expect("the migrations run");
    let grant = || sqlx::query_scalar::<_, String>("SELECT grant_to_grafana()").fetch_one(&pool);
    let said = grant().await.expect("it says what is missing");
    assert!(
        said.contains("CREATE ROLE thermal_watch_grafana NOLOGIN"),
        "{said}"
    );

    let mut admin: PgConnection = server
        .server
        .options("tenant")
        .connect()
        .await
        .expect("an administrator");
    let statement = said.rsplit_once("by ").expect("the statement").1;
    sqlx::query(AssertSqlSafe(statement.to_owned()))
        .execute(&mut admin)
        .await
        .expect(statement);
    let said = grant().await.expect("it grants");
    assert!(
        said.starts_with("thermal_watch_grafana may read events"),
        "{said}"
    );
    sqlx::query("SET ROLE thermal_watch_grafana")
        .execute(&mut admin)
        .await
        .expect("the role");
    sqlx::query("SELECT * FROM measurements")
        .fetch_all(&mut admin)
        .await
        .expect("may be read");
    sqlx::query("SELECT * FROM sessions")
        .fetch_all(&mut admin)
        .await
        .expect_err("may not");
    // Once more is no harm.
    grant().await.expect("it grants again");
    pool.close().await;
}

#[tokio::test]
async fn databases_that_migrate_at_once_share_the_role() {
    let server = durable_server().await;
    let mut admin = server
        .server
        .options("postgres")
        .connect()
        .await
        .expect("the server answers");
    let mut running = Vec::new();
    for number in 0..4 {
        let name = format!("house_{number}");
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .execute(&mut admin)
            .await
            .expect("a database");
        let options = server.server.options(&name);
        running.push(tokio::spawn(async move {
            let pool = PgPool::connect_with(options)
                .await
                .expect("the database answers");
            MIGRATOR.run(&pool).await.expect("the migrations run");
            let may: bool = sqlx::query_scalar(
                "SELECT has_table_privilege('thermal_watch_grafana', 'measurements', 'SELECT')",
            )
            .fetch_one(&pool)
            .await
            .expect("an answer");
            assert!(may, "{name}");
            pool.close().await;
        }));
    }
    for one in running {
        one.await.expect("it went well");
    }
}
