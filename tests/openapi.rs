//! The description of the API: complete, sound in itself, and true of what the service answers.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::app::TestApp;
use crate::support::event::{thermal, tutorial};
use crate::support::program::Home;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn document() -> Value {
    serde_json::from_str(cloud::web::openapi::text()).expect("the document is JSON")
}

fn operations(document: &Value) -> BTreeMap<(String, String), &Value> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let own = METHODS
            .iter()
            .filter_map(|method| Some((*method, item.get(*method)?)));
        own.map(|(method, operation)| ((path.clone(), method.to_owned()), operation))
    });
    all.collect()
}

/// What the router's one page says: `.route("/path", get(...).post(...))`.
fn routes() -> BTreeSet<(String, String)> {
    let page = include_str!("../cloud/src/web.rs");
    let mut routes = BTreeSet::new();
    for route in page.split(".route(").skip(1) {
        // What has a name there is for others, and not described by us.
        let Some(path) = route
            .trim_start()
            .strip_prefix('"')
            .and_then(|path| path.split('"').next())
        else {
            continue;
        };
        // To the bracket that ends the call.
        let mut open = 1;
        let end = route.find(|letter| {
            open += i32::from(letter == '(') - i32::from(letter == ')');
            open == 0
        });
        let call = &route[..end.expect("an end")];
        for method in METHODS {
            let starts = |at: usize| {
                !call[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_')
            };
            if call
                .match_indices(&format!("{method}("))
                .any(|(at, _)| starts(at))
            {
                routes.insert((path.to_owned(), method.to_owned()));
            }
        }
    }
    routes
}

#[test]
fn every_request_is_described_and_no_other() {
    let document = document();
    let described: BTreeSet<_> = operations(&document).into_keys().collect();
    let is_api = |(path, _): &&(String, String)| path.starts_with("/api/v1");
    let routes = routes();
    let ours: BTreeSet<_> = routes.iter().filter(is_api).cloned().collect();
    let theirs: BTreeSet<_> = described.iter().filter(is_api).cloned().collect();
    assert!(ours.len() > 8, "{ours:?}");
    assert_eq!(
        ours, theirs,
        "routes in web.rs (left) and in the paths(...) of web/openapi.rs (right)"
    );
    for (path, method) in &described {
        assert!(
            routes.contains(&(path.clone(), method.clone())),
            "{method} {path} is described and does not exist"
        );
    }
}

#[test]
fn the_document_is_sound() {
    let document = document();
    let tags: BTreeSet<_> = document["tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| &tag["name"])
        .map(Value::to_string)
        .collect();
    let mut ids = BTreeSet::new();
    for ((path, method), operation) in operations(&document) {
        let named = format!("{method} {path}");
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_else(|| panic!("{named} has no operationId"));
        assert!(ids.insert(id), "{named}: {id} is there twice");
        assert!(operation["summary"].is_string(), "{named} has no summary");
        assert!(
            tags.contains(&operation["tags"][0].to_string()),
            "{named}: its tag is not described"
        );
        let responses = operation["responses"].as_object().expect("responses");
        assert!(
            responses.keys().any(|status| status.starts_with('2')),
            "{named}"
        );
        if path.starts_with("/api/v1") {
            assert!(
                responses.contains_key("401") && operation["security"].is_array(),
                "{named}"
            );
        }
        for name in path
            .split('{')
            .skip(1)
            .filter_map(|part| part.split('}').next())
        {
            let known = operation["parameters"].as_array().is_some_and(|all| {
                all.iter()
                    .any(|one| one["name"] == name && one["in"] == "path")
            });
            assert!(known, "{named}: {name} is not described");
        }
    }
    let text = document.to_string();
    for part in text.split(r##""$ref":"#/components/schemas/"##).skip(1) {
        let name = part.split('"').next().expect("a name");
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name} is not there"
        );
    }
    assert_eq!(
        cloud::web::openapi::text(),
        serde_json::to_string_pretty(&document).expect("JSON")
    );
}

/// Whether a value is what a schema says, as far as our schemas go.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(name) = schema["$ref"]
        .as_str()
        .and_then(|path| path.rsplit('/').next())
    {
        return check(
            document,
            &document["components"]["schemas"][name],
            value,
            at,
        );
    }
    for key in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[key].as_array() {
            let tried: Vec<_> = choices
                .iter()
                .map(|one| check(document, one, value, at))
                .collect();
            return if tried.iter().any(Result::is_ok) {
                Ok(())
            } else {
                Err(format!("{at} is none of {tried:?}"))
            };
        }
    }
    let kinds: Vec<_> = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let fits = kinds.iter().any(|kind| match *kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => false,
    });
    if !fits {
        return Err(format!("{at} is {value} and should be {kinds:?}"));
    }
    if let (Some(words), false) = (schema["enum"].as_array(), value.is_null())
        && !words.contains(value)
    {
        return Err(format!("{at} is {value} and should be one of {words:?}"));
    }
    for name in schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{at} has no {name}"));
        }
    }
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        if let Some(value) = value.get(name) {
            check(document, property, value, &format!("{at}.{name}"))?;
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}[{index}]"))?;
    }
    Ok(())
}

/// The schema of what comes with a status.
fn answer<'a>(document: &'a Value, method: &str, path: &str, status: StatusCode) -> &'a Value {
    let response = &document["paths"][path][method]["responses"][status.as_str()];
    assert!(
        response.is_object(),
        "{method} {path}: {status} is not described"
    );
    &response["content"]["application/json"]["schema"]
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let app = TestApp::new().await;
    let document = document();
    let at = app.now() - TimeDelta::minutes(2);
    let mut hot = thermal("hot", "dev:1", at, 0.9);
    hot["sn"] = "boiler".into();
    app.take(&hot).await;
    app.take(&thermal("cool", "dev:2", at, 0.1)).await;
    app.settle().await;
    let event: Value = serde_json::from_str(tutorial()).expect("JSON");
    let mut asked = 0;
    for (method, path, actual, body) in [
        ("get", "/api/v1/devices", "/api/v1/devices", Value::Null),
        (
            "get",
            "/api/v1/events/{uid}",
            "/api/v1/events/hot",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/events/{uid}",
            "/api/v1/events/none",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/devices/{uid}/frames",
            "/api/v1/devices/dev:1/frames",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/devices/{uid}/frames",
            "/api/v1/devices/dev:1/frames?limit=0",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/devices/{uid}/frames",
            "/api/v1/devices/dev:1/frames?limit=x",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/devices/{uid}/frames/{frame}",
            "/api/v1/devices/dev:1/frames/hot",
            Value::Null,
        ),
        ("get", "/api/v1/incidents", "/api/v1/incidents", Value::Null),
        (
            "get",
            "/api/v1/deliveries",
            "/api/v1/deliveries",
            Value::Null,
        ),
        (
            "get",
            "/api/v1/openapi.json",
            "/api/v1/openapi.json",
            Value::Null,
        ),
        (
            "post",
            "/api/v1/replay",
            "/api/v1/replay",
            json!({ "event": "hot" }),
        ),
        (
            "post",
            "/api/v1/replay",
            "/api/v1/replay",
            json!({ "evnt": "hot" }),
        ),
        (
            "post",
            "/api/v1/try",
            "/api/v1/try",
            json!({ "route": "ubidots", "event": event }),
        ),
        (
            "post",
            "/api/v1/try",
            "/api/v1/try",
            json!({ "route": "ubidots", "expression": "{", "event": event }),
        ),
        (
            "post",
            "/api/v1/try",
            "/api/v1/try",
            json!({ "rule": "anomaly", "event_uid": "hot" }),
        ),
        (
            "post",
            "/api/v1/try",
            "/api/v1/try",
            json!({ "series": true, "event_uid": "hot" }),
        ),
        ("post", "/api/v1/try", "/api/v1/try", json!({ "event": 1 })),
    ] {
        let (status, told) = if body.is_null() {
            app.get(actual).await
        } else {
            app.post_as_person(actual, &body).await
        };
        let schema = answer(&document, method, path, status);
        check(&document, schema, &told, "the answer")
            .unwrap_or_else(|why| panic!("{method} {actual}: {why}\n{told}"));
        asked += 1;
    }
    assert_eq!(asked, 17);
    let (status, told) = app
        .send(Request::get("/api/v1/devices").body(Body::empty()))
        .await;
    check(
        &document,
        answer(&document, "get", "/api/v1/devices", status),
        &told,
        "the answer",
    )
    .expect("a stranger's answer");
    app.settle().await;
    app.finish().await;
}

#[tokio::test]
async fn an_event_as_deep_as_any_is_told_with_what_came_of_it() {
    let app = TestApp::with("[[destination]]\nname = \"hook\"\nkind = \"http\"\nurl = \"http://127.0.0.1:9/\"\n[[route]]\nname = \"whole\"\ndestination = \"hook\"").await;
    let mut event = thermal("deep", "dev:1", app.now(), 0.1).to_string();
    event.truncate(event.len() - 1);
    event += &format!(",\"deep\":{}{}}}", "[".repeat(126), "]".repeat(126));
    let (status, answer) = app.post(event).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    app.process().await;
    let (status, story) = app
        .send(
            Request::get("/api/v1/events/deep")
                .header("x-people-token", crate::support::app::PEOPLE)
                .body(Body::empty()),
        )
        .await;
    assert_eq!(status, StatusCode::OK, "{story}");
    // Deeper than this test can read, so it is looked at as text.
    let text = story.as_str().expect("a text");
    assert!(
        text.contains(&"[".repeat(126)) && text.contains("\"route\": \"whole\""),
        "{text}"
    );
}

#[tokio::test]
async fn the_document_is_a_page_and_a_command() {
    let app = TestApp::new().await;
    let (status, served) = app.get("/api/v1/openapi.json").await;
    assert_eq!((status, &served), (StatusCode::OK, &document()));
    let (status, page) = app.get("/api/docs").await;
    assert_eq!(status, StatusCode::OK);
    let page = page.as_str().expect("a page");
    for ((path, _), operation) in operations(&document()) {
        let id = operation["operationId"].as_str().expect("an id");
        assert!(
            page.contains(&format!("id=\"{id}\"")) && page.contains(&path),
            "{id}"
        );
    }
    assert!(!page.contains("<script>") && !page.contains("src=\"http"));
    let printed = Home::new("").run(&["openapi"]).await;
    assert!(printed.status.success());
    assert_eq!(
        String::from_utf8_lossy(&printed.stdout).trim_end(),
        cloud::web::openapi::text()
    );
}
