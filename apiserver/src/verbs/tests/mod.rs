//! Requests and their answers, against a server with a store in memory.

mod alone;
mod deleting;
mod patching;
mod reading;
mod reports;
mod writing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use schema::clock::{Clock, Random};
use schema::status::Status;
use serde_json::Value;
use storage::{Backend, Options, Store};

use crate::api::{Api, Config, Profile};
use crate::bootstrap::system_user;
use crate::request::{Answer, AnswerBody, ApiRequest, Query, Target, Verb};

/// The clock of tests: it moves when told.
pub(crate) struct TestClock(AtomicU64);

impl Clock for TestClock {
    fn now(&self) -> jiff::Timestamp {
        let seconds = i64::try_from(self.0.load(Ordering::Relaxed)).unwrap();
        jiff::Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }
}

/// Different bits each time, the same in every run.
#[derive(Default)]
pub(crate) struct TestRandom(AtomicU64);

impl Random for TestRandom {
    fn bits(&self) -> u128 {
        let count = u128::from(self.0.fetch_add(1, Ordering::Relaxed) + 1);
        count.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)
    }
}

/// A server under test.
pub(crate) struct Server {
    pub(crate) api: Arc<Api>,
    pub(crate) clock: Arc<TestClock>,
}

impl Server {
    pub(crate) async fn start(profile: Profile) -> Self {
        Self::start_on(Backend::Memory, None, profile).await
    }

    /// A server whose database may not grow beyond some bytes.
    pub(crate) async fn start_on(backend: Backend, file_bytes: Option<u64>, profile: Profile) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(0)));
        let random: Arc<dyn Random> = Arc::new(TestRandom::default());
        let mut options = Options::new(backend, clock.clone(), random.clone());
        options.retention = Duration::from_hours(1);
        options.file_bytes = file_bytes;
        let store = Store::open(options).await.unwrap();
        let config = Config {
            profile,
            ..Config::default()
        };
        let api = Api::open(config, store, clock.clone(), random).await.unwrap();
        Self { api, clock }
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.clock.0.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Sends `METHOD /path?query` with a body in JSON, or as the content type that a leading `@type ` of the line names.
    pub(crate) async fn send(&self, line: &str, body: impl Into<Body>) -> Result<Answer, Status> {
        self.api.serve(request(line, body.into())).await
    }

    /// As [`Server::send`], for what must succeed: the object (or list, or Status) of the answer.
    pub(crate) async fn ok(&self, line: &str, body: impl Into<Body>) -> Value {
        match self.send(line, body).await {
            Ok(answer) => value(&answer),
            Err(status) => panic!("{line}: {} {status}", status.code),
        }
    }

    /// Checks one request against `CODE reason: message`, or only `CODE` for a success.
    pub(crate) async fn check(&self, line: &str, body: impl Into<Body>, expected: &str) {
        let actual = match self.send(line, body).await {
            Ok(answer) => answer.code.to_string(),
            Err(status) => {
                let reason = serde_json::to_value(&status.reason).unwrap();
                format!(
                    "{} {}: {}",
                    status.code,
                    reason.as_str().unwrap_or_default(),
                    status.message
                )
            }
        };
        assert_eq!(actual, expected, "{line}");
    }
}

/// The body of a test request.
pub(crate) enum Body {
    None,
    Json(Value),
    Text(String),
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::None
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Json(value)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// What an answer says, as JSON.
pub(crate) fn value(answer: &Answer) -> Value {
    match &answer.body {
        AnswerBody::Entry(_, entry) => entry.value(),
        AnswerBody::Object(_, object) => object.clone(),
        AnswerBody::Status(status) => serde_json::to_value(status).unwrap(),
        AnswerBody::List(list) => Value::Array(list.items.iter().map(|entry| entry.value()).collect()),
    }
}

/// A request as [`Server::send`] sends it.
pub(crate) fn request(line: &str, body: Body) -> ApiRequest {
    let (content_type, line) = match line.strip_prefix('@') {
        Some(rest) => rest.split_once(' ').unwrap(),
        None => ("", line),
    };
    let (method, url) = line.split_once(' ').unwrap();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let target = target(path);
    let named = !target.name.is_empty();
    let verb = match method {
        "GET" if named => Verb::Get,
        "GET" => Verb::List,
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" if named => Verb::Delete,
        _ => Verb::DeleteCollection,
    };
    let content_type = match (content_type, verb) {
        ("", Verb::Patch) | ("merge", _) => "application/merge-patch+json",
        ("json", _) => "application/json-patch+json",
        ("strategic", _) => "application/strategic-merge-patch+json",
        ("apply", _) => "application/apply-patch+yaml",
        ("yaml", _) => "application/yaml",
        ("", _) => "application/json",
        (other, _) => other,
    };
    let body = match body {
        Body::None => Bytes::new(),
        Body::Json(value) => Bytes::from(serde_json::to_vec(&value).unwrap()),
        Body::Text(text) => Bytes::from(text),
    };
    ApiRequest {
        user: system_user(),
        verb,
        target,
        query: parse_query(query),
        content_type: content_type.to_owned(),
        body,
        agent: "test/1.0".to_owned(),
        liberties: crate::request::Liberties::default(),
    }
}

fn target(path: &str) -> Target {
    let mut parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let mut target = Target::default();
    if parts.remove(0) == "apis" {
        target.group = parts.remove(0).to_owned();
    }
    target.version = parts.remove(0).to_owned();
    let own_part = parts.get(2).is_some_and(|part| matches!(*part, "status" | "finalize"));
    if parts[0] == "namespaces" && parts.len() > 2 && !own_part {
        target.namespace = parts[1].to_owned();
        parts.drain(..2);
    }
    let mut rest = parts.into_iter().map(str::to_owned);
    target.resource = rest.next().unwrap_or_default();
    target.name = rest.next().unwrap_or_default();
    target.subresource = rest.next().unwrap_or_default();
    target
}

fn parse_query(text: &str) -> Query {
    let mut query = Query::default();
    for (key, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
        let text = value.to_owned();
        match key {
            "labelSelector" => query.label_selector = text,
            "fieldSelector" => query.field_selector = text,
            "limit" => query.limit = value.parse().unwrap(),
            "continue" => query.continue_token = text,
            "resourceVersion" => query.resource_version = Some(text),
            "resourceVersionMatch" => query.resource_version_match = Some(text),
            "dryRun" => query.dry_run.push(text),
            "fieldManager" => query.field_manager = Some(text),
            "fieldValidation" => query.field_validation = Some(text),
            "force" => query.force = Some(value == "true"),
            "propagationPolicy" => query.propagation_policy = Some(text),
            other => panic!("unknown query parameter {other}"),
        }
    }
    query
}
