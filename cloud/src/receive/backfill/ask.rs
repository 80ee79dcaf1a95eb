//! One request to Notehub's API, and what its answer is (no more than that: what follows is decided elsewhere).
//!
//! Answers are bounded in size and time, redirects are not followed, and no secret is repeated in what is kept of one. An
//! event is handed on as the text that it came as; whether it can be read is its own matter.

use std::time::Duration;

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::Mutex;
use url::Url;
use url::form_urlencoded;

use super::window::Asked;
use crate::config;
use crate::deliver::destination::{Outcome, Why};
use crate::deliver::exchange::{self, Answer, Client, End, Setup};

/// Some thousand events of usual size, several times over.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;
const LARGEST_GRANT: usize = 64 * 1024;
/// The pause after a 429 that names none.
const USUAL_PAUSE: Duration = Duration::from_mins(1);
/// Nobody needs more of an answer to see what is wrong.
const QUOTED: usize = 200;
/// A grant that ends so soon is not used any more, and one that says nothing lasts as long as Notehub's usually do.
const GRANT_MARGIN: TimeDelta = TimeDelta::seconds(60);
const USUAL_GRANT: f64 = 1_800.0;

pub struct Asker {
    client: Client,
    events: Url,
    grants: Url,
    access: Access,
}

enum Access {
    /// In the client's default headers.
    Token,
    Client {
        id: String,
        secret: SecretString,
        granted: Mutex<Option<Grant>>,
    },
}

struct Grant {
    header: HeaderValue,
    token: SecretString,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

/// What came back.
#[derive(Debug, PartialEq)]
pub enum Reply {
    Page(Page),
    /// A grant to ask with, when there was none.
    Granted,
    /// It took too long or was too much: less should be asked for.
    Slow(String),
    /// Too many requests.
    Limited(Duration),
    /// Somebody has to change something.
    Refused(String),
    /// It may be better later.
    Failed {
        why: String,
        after: Option<Duration>,
    },
}

/// A page of events.
#[derive(Debug, PartialEq)]
pub struct Page {
    /// JSON texts.
    pub events: Vec<String>,
    /// Whether the window holds more; as said, or else as the page is full.
    pub more: bool,
    /// What time it is at Notehub.
    pub date: Option<DateTime<Utc>>,
}

impl Reply {
    /// Without a token that the client does not know as a secret, should Notehub repeat it in an error.
    fn without(mut self, token: Option<&SecretString>) -> Self {
        let told = match &mut self {
            Self::Slow(why) | Self::Refused(why) | Self::Failed { why, .. } => why,
            Self::Page(_) | Self::Granted | Self::Limited(_) => return self,
        };
        if let Some(token) = token
            .map(ExposeSecret::expose_secret)
            .filter(|token| !token.is_empty())
        {
            *told = told.replace(token, exchange::HIDDEN);
        }
        self
    }
}

impl Asker {
    pub fn new(config: &config::Notehub, project: &str) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut secrets = Vec::new();
        let access = if let Some((id, secret)) = &config.client {
            secrets.push(secret.expose_secret().to_owned());
            Access::Client {
                id: id.clone(),
                secret: secret.clone(),
                granted: Mutex::new(None),
            }
        } else {
            let token = config
                .token
                .as_ref()
                .context("notehub.token is missing")?
                .expose_secret();
            let bearer =
                exchange::secret_header(&format!("Bearer {token}")).context("notehub.token")?;
            headers.insert(AUTHORIZATION, bearer);
            secrets.push(token.to_owned());
            Access::Token
        };
        let under = |path: &[&str]| {
            let mut url = config.api_url.clone();
            url.path_segments_mut()
                .map_err(|()| anyhow::anyhow!("notehub.api_url is no address that has paths"))?
                .pop_if_empty()
                .extend(path);
            anyhow::Ok(url)
        };
        Ok(Self {
            client: Client::new(Setup {
                base: &config.api_url,
                headers,
                timeout: config.timeout,
                secrets,
                guarded: false,
            })?,
            events: under(&["v1", "projects", project, "events"])?,
            grants: under(&["oauth2", "token"])?,
            access,
        })
    }

    /// Asks for a page, or for a grant if one is needed first.
    pub async fn ask(&self, asked: Asked, now: DateTime<Utc>) -> Reply {
        let mut url = self.events.clone();
        url.query_pairs_mut()
            .append_pair("dateType", "uploaded")
            .append_pair("startDate", &asked.start.to_string())
            .append_pair("endDate", &asked.end.to_string())
            .append_pair("sortBy", "captured")
            .append_pair("sortOrder", "asc")
            .append_pair("pageSize", &asked.size.to_string())
            .append_pair("pageNum", &asked.page.to_string());
        let mut request = self.client.get(url);
        let mut token = None;
        if let Access::Client {
            id,
            secret,
            granted,
        } = &self.access
        {
            let mut granted = granted.lock().await;
            match &*granted {
                Some(grant) if grant.from <= now && now < grant.until - GRANT_MARGIN => {
                    request = request.header(AUTHORIZATION, grant.header.clone());
                    token = Some(grant.token.clone());
                }
                _ => match self.grant(id, secret, now).await {
                    Ok(grant) => {
                        *granted = Some(grant);
                        return Reply::Granted;
                    }
                    Err(reply) => return reply,
                },
            }
        }
        let reply = match self.client.exchange(request, LARGEST_ANSWER, now).await {
            Err(outcome) => unanswered(&outcome),
            Ok(answer) => self.read(&answer, asked.size).without(token.as_ref()),
        };
        if let (Reply::Refused(_), Access::Client { granted, .. }) = (&reply, &self.access) {
            // It may have been revoked; the next time begins with a new one.
            *granted.lock().await = None;
        }
        reply
    }

    async fn grant(
        &self,
        id: &str,
        secret: &SecretString,
        now: DateTime<Utc>,
    ) -> Result<Grant, Reply> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            expires_in: Option<f64>,
        }
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("client_id", id)
            .append_pair("client_secret", secret.expose_secret())
            .finish();
        let request = self
            .client
            .post(self.grants.clone(), form)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let answer = self
            .client
            .exchange(request, LARGEST_GRANT, now)
            .await
            .map_err(|outcome| unanswered(&outcome))?;
        if answer.status != 200 {
            return Err(match answer.status {
                400 | 401 => Reply::Refused(format!(
                    "Notehub does not take notehub.client_id with its secret (status {})",
                    answer.status
                )),
                _ => self.not_a_page(&answer),
            });
        }
        // What the answer holds is a secret, so nothing of it is told.
        let unreadable = || Reply::Failed {
            why: "Notehub grants access in a form that cannot be read; is notehub.api_url right?"
                .to_owned(),
            after: None,
        };
        let granted: Granted = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
        let header = exchange::secret_header(&format!("Bearer {}", granted.access_token))
            .map_err(|_| unreadable())?;
        let lasts = granted
            .expires_in
            .unwrap_or(USUAL_GRANT)
            .clamp(0.0, 86_400.0);
        #[expect(clippy::cast_possible_truncation, reason = "at most a day")]
        let lasts = TimeDelta::seconds(lasts as i64).max(GRANT_MARGIN * 2);
        Ok(Grant {
            header,
            token: granted.access_token.into(),
            from: now,
            until: now + lasts,
        })
    }

    fn read(&self, answer: &Answer, size: u32) -> Reply {
        if answer.status != 200 {
            return self.not_a_page(answer);
        }
        match &answer.end {
            End::Whole => {}
            End::TooLong => {
                return Reply::Slow(format!("the answer is longer than {LARGEST_ANSWER} bytes"));
            }
            End::Broken(Why::Timeout) => return Reply::Slow(Why::Timeout.to_string()),
            End::Broken(why) => {
                return Reply::Failed {
                    why: format!("the answer broke off: {why}"),
                    after: None,
                };
            }
        }
        page(&answer.body, size, answer.date).unwrap_or_else(|why| Reply::Failed {
            why: format!(
                "Notehub's answer is not a list of events ({why}); is notehub.api_url right? It begins: {}",
                self.quoted(answer)
            ),
            after: None,
        })
    }

    fn not_a_page(&self, answer: &Answer) -> Reply {
        let status = answer.status;
        let quoted = || self.quoted(answer);
        match status {
            401 | 403 => Reply::Refused(format!(
                "Notehub does not let us read the project's events (status {status}); check notehub.token and what it may: {}",
                quoted()
            )),
            404 => Reply::Refused(format!(
                "Notehub knows no such project (status 404); check notehub.project: {}",
                quoted()
            )),
            429 => Reply::Limited(answer.after.unwrap_or(USUAL_PAUSE)),
            // Its own word for it is "Took too long".
            408 | 504 => Reply::Slow(format!("status {status}: {}", quoted())),
            300..=399 => Reply::Refused(format!(
                "Notehub sends us elsewhere (status {status}), which is not followed; check notehub.api_url"
            )),
            400..=499 => Reply::Refused(format!(
                "Notehub refuses the request (status {status}): {}",
                quoted()
            )),
            _ => Reply::Failed {
                why: format!("Notehub answers status {status}: {}", quoted()),
                after: answer.after,
            },
        }
    }

    /// The beginning of an answer, on one line.
    fn quoted(&self, answer: &Answer) -> String {
        let kept = self.client.kept("", answer);
        let line: Vec<_> = kept.split_whitespace().collect();
        let mut line = line.join(" ");
        if line.len() > QUOTED {
            line.truncate(line.floor_char_boundary(QUOTED));
            line.push('…');
        }
        line
    }
}

fn unanswered(outcome: &Outcome) -> Reply {
    match outcome {
        Outcome::Retry {
            why: Why::Timeout, ..
        } => Reply::Slow(Why::Timeout.to_string()),
        Outcome::Retry { why, .. } | Outcome::Refused { why } => Reply::Failed {
            why: format!("Notehub is not to be reached: {why}"),
            after: None,
        },
        Outcome::Delivered => Reply::Failed {
            why: "no answer".to_owned(),
            after: None,
        },
    }
}

/// Reads a page, of which the events may be anything.
fn page(body: &[u8], size: u32, date: Option<DateTime<Utc>>) -> Result<Reply, String> {
    #[derive(Deserialize)]
    struct Listed<'a> {
        /// Go writes an empty list as null, or leaves it out.
        #[serde(borrow, default)]
        events: Option<Vec<&'a RawValue>>,
        #[serde(default)]
        has_more: Value,
        #[serde(default)]
        err: Value,
    }
    let text = String::from_utf8_lossy(body);
    let listed: Listed<'_> = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if !listed.err.is_null() {
        return Err("it is an error".to_owned());
    }
    if listed.events.is_none() && listed.has_more.is_null() {
        return Err("it has neither `events` nor `has_more`".to_owned());
    }
    let events: Vec<_> = listed
        .events
        .unwrap_or_default()
        .into_iter()
        .map(|event| event.get().to_owned())
        .collect();
    let full = events.len() >= usize::try_from(size).unwrap_or(usize::MAX);
    let more = listed.has_more.as_bool().unwrap_or(full);
    Ok(Reply::Page(Page {
        // "More" after nothing would never end.
        more: more && !events.is_empty(),
        events,
        date,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_read_leniently_and_what_is_none_is_told() {
        let read = |body: &str| page(body.as_bytes(), 2, None);
        let check = |body: &str, count: usize, more: bool| match read(body) {
            Ok(Reply::Page(page)) => {
                assert_eq!((page.events.len(), page.more), (count, more), "{body}");
            }
            other => panic!("{body}: {other:?}"),
        };
        check(r#"{"events":[],"has_more":false}"#, 0, false);
        check(r#"{"events":null,"has_more":false}"#, 0, false);
        check(r#"{"has_more":false}"#, 0, false);
        check(r#"{"events":[],"has_more":true}"#, 0, false);
        check(
            r#"{"events":[{"event":"a"}],"has_more":true,"through":"b"}"#,
            1,
            true,
        );
        // Whether there is more is not said: a full page means yes.
        check(r#"{"events":[{},{}]}"#, 2, true);
        check(r#"{"events":[{}],"has_more":"maybe"}"#, 1, false);
        // Whatever stands in the list is the list's own matter.
        check(
            "{\"events\":[1,null,\"\\ud800\",{\"event\":1e999}],\"has_more\":false}",
            4,
            false,
        );
        for body in [
            "",
            "<html>Sign in</html>",
            "[]",
            "null",
            "{}",
            r#"{"events":{}}"#,
            r#"{"err":"no","code":500,"events":[]}"#,
            r#"{"events":[{"event":"a"}"#,
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        let spoilt = [b"{\"events\":[{\"event\":\"".as_slice(), &[0xff], b"\"}]}"].concat();
        assert!(page(&spoilt, 2, None).is_ok());
    }
}
