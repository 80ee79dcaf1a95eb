//! `GET /api/v1/openapi.json`: everything that programs may ask of us, in OpenAPI 3.1.
//!
//! Made of the descriptions that stand at the handlers (`#[utoipa::path]`); what all share, such as how errors look and who
//! may ask, is added here. A test holds the list of operations to the routes in `web`. `cloud openapi` prints the same.

/// Requests that are described here and not at their handlers.
mod elsewhere;

use std::sync::LazyLock;

use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi, ToSchema};

use super::{api, backfill, csv, frames, series};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Thermal Watch",
        description = "What the service takes from Notehub, and what people and their scripts may ask of it.\n\nA request and its answer are JSON unless it says otherwise, times are RFC 3339 in UTC, and temperatures are degrees C. Every error is `{\"error\": name, \"message\": text}`; a 503 says with `Retry-After` when to come again. Fields may be added to any answer: read what you know and pass over the rest.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers((url = "/", description = "This service")),
    tags(
        (name = "Stations", description = "Stations and their pictures."),
        (name = "Events", description = "What Notehub sent, and what came of it."),
        (name = "Incidents", description = "What was wrong, and who takes care of it."),
        (name = "Silences", description = "Times in which nobody is told."),
        (name = "Deliveries", description = "What is sent to destinations, and how far it got."),
        (name = "Expressions", description = "JSONata, tried before it goes into the configuration."),
        (name = "Notehub", description = "Where Notehub's route posts events."),
        (name = "Twilio", description = "Where Twilio brings texts and reports of texts."),
        (name = "Probes", description = "For machines that ask how the service is."),
        (name = "This document", description = "For programs and their authors."),
    ),
    paths(
        api::devices::devices,
        frames::list,
        frames::frame,
        api::events::event,
        series::series,
        csv::series,
        csv::events,
        api::incidents::list,
        api::incidents::whole,
        api::incidents::acknowledge,
        api::incidents::note,
        api::incidents::silence,
        api::incidents::close,
        api::silences::list,
        api::silences::start,
        api::silences::end,
        api::deliveries::list,
        api::deliveries::whole,
        api::deliveries::health::list,
        api::replay,
        backfill::state,
        backfill::begin,
        api::try_out::try_expression,
        document,
        elsewhere::notehub,
        elsewhere::inbound_text,
        elsewhere::text_status,
        elsewhere::alive,
        elsewhere::ready,
        elsewhere::metrics,
    ),
    components(schemas(Problem)),
    modifiers(&Shared),
)]
struct Document;

/// What went wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "error": "not_found", "message": "no such event" }))]
pub struct Problem {
    /// A short name that stays the same: `unauthorized`, `forbidden`, `too_many`, `not_found`, `unreadable`, `too_large`,
    /// `rejected` or `unavailable`.
    pub error: String,
    /// For people; may change.
    pub message: String,
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let document = Document::openapi();
    serde_json::to_string_pretty(&document).expect("the document is JSON")
});

/// The document as JSON text.
pub fn text() -> &'static str {
    &TEXT
}

/// This document
///
/// The same for everybody, and the same until the service is exchanged.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "This document", operation_id = "getOpenApi",
    responses((status = 200, description = "OpenAPI 3.1", body = serde_json::Value)))]
pub async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], text())
}

/// What all operations have in common.
struct Shared;

impl Modify for Shared {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in schemes() {
            components.add_security_scheme(name, scheme);
        }
        for (path, item) in &mut document.paths.paths {
            let reads = [&mut item.get]
                .into_iter()
                .flatten()
                .map(|operation| (operation, false));
            let writes = [
                &mut item.post,
                &mut item.put,
                &mut item.patch,
                &mut item.delete,
            ];
            let writes = writes
                .into_iter()
                .flatten()
                .map(|operation| (operation, true));
            for (operation, writes) in reads.chain(writes) {
                if path.starts_with("/api/v1") {
                    for (name, ways) in [
                        ("peopleToken", false),
                        ("peopleHeader", false),
                        ("session", writes),
                    ] {
                        let mut requirement =
                            utoipa::openapi::SecurityRequirement::new(name, Vec::<String>::new());
                        if ways {
                            requirement = requirement.add("csrf", Vec::<String>::new());
                        }
                        operation.security.get_or_insert_default().push(requirement);
                    }
                }
                errors(path, operation, writes);
            }
        }
    }
}

fn schemes() -> Vec<(&'static str, SecurityScheme)> {
    let bearer = |description: &str| {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        SecurityScheme::Http(scheme.description(Some(description)).build())
    };
    let key = |kind: fn(ApiKeyValue) -> ApiKey, name: &str, description: &str| {
        SecurityScheme::ApiKey(kind(ApiKeyValue::with_description(name, description)))
    };
    vec![
        (
            "peopleToken",
            bearer("The people token (`access.people_token`)."),
        ),
        (
            "peopleHeader",
            key(
                ApiKey::Header,
                "X-People-Token",
                "The people token, for who cannot set `Authorization`.",
            ),
        ),
        (
            "session",
            key(
                ApiKey::Cookie,
                "session",
                "Of somebody who is signed in at `/sign-in`.",
            ),
        ),
        (
            "csrf",
            key(
                ApiKey::Header,
                "X-CSRF-Token",
                "Beside a cookie, for whatever is no GET: the `content` of `<meta name=\"csrf\">` on every page.",
            ),
        ),
        (
            "twilioSignature",
            key(
                ApiKey::Header,
                "X-Twilio-Signature",
                "Of address and fields, made with the auth token of the account.",
            ),
        ),
        ("notehubToken", bearer("One of `access.notehub_tokens`.")),
        (
            "notehubHeader",
            key(
                ApiKey::Header,
                "X-Notehub-Token",
                "One of `access.notehub_tokens`.",
            ),
        ),
    ]
}

/// The errors that the shape of a request allows for, where its handler does not say more.
fn errors(path: &str, operation: &mut Operation, writes: bool) {
    let body = operation.request_body.is_some();
    let parameters = operation
        .parameters
        .as_ref()
        .is_some_and(|all| !all.is_empty());
    let people = path.starts_with("/api/v1");
    let known: [(bool, &str, &str); 8] = [
        (
            parameters || body,
            "400",
            "A parameter or the body cannot be read.",
        ),
        (people, "401", "No token, or a wrong one."),
        (
            people && writes,
            "403",
            "This takes the role `operator`, or did not come from a page of this session.",
        ),
        (path.contains('{'), "404", "There is none like that."),
        (body, "413", "The body is too large (`server.body_limit`)."),
        (
            people && body,
            "415",
            "The body is not marked as `application/json`.",
        ),
        (
            parameters || body,
            "422",
            "It was read, and asks for something that is not possible.",
        ),
        (
            people,
            "503",
            "Not now, for want of the database; `Retry-After` says when to come again.",
        ),
    ];
    for (_, status, description) in known.iter().filter(|(applies, ..)| *applies) {
        let responses = &mut operation.responses.responses;
        responses
            .entry((*status).to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    }
}

fn problem(description: &str) -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description(description)
        .content("application/json", content)
        .build()
}
