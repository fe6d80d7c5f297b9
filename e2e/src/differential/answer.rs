//! Asks an API server, without a library between that would make sense of the answer.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};

use super::fixture::{Fixture, Minor, Step, User};
use super::variables::Variables;

/// An API server that is held to the table.
pub struct Server {
    admin: kube::Client,
    anonymous: kube::Client,
    stranger: kube::Client,
    /// The release it says that it is.
    pub(super) minor: Minor,
    /// Whether it is ours: steps that it answers otherwise, each with a reason, are left out.
    pub(super) hub: bool,
}

impl std::fmt::Debug for Server {
    // The clients say nothing about themselves.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("minor", &self.minor)
            .field("hub", &self.hub)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Connects as the kubeconfig's user, as nobody, and as somebody with a wrong token. `release` is that of a server whose build
    /// does not know its own.
    pub async fn connect(kubeconfig: &Path, hub: bool, release: &str) -> Result<Self> {
        // A second installation finds the first one's provider, which is the same.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let read = kube::config::Kubeconfig::read_from(kubeconfig)?;
        let options = kube::config::KubeConfigOptions::default();
        let mut config = kube::Config::from_custom_kubeconfig(read, &options).await?;
        // What is worth a retry is an answer like any other.
        config.default_retry = false;
        let client = |token: Option<&str>| {
            let mut config = config.clone();
            config.auth_info = kube::config::AuthInfo {
                token: token.map(|token| token.to_owned().into()),
                ..Default::default()
            };
            kube::Client::try_from(config)
        };
        let (anonymous, stranger) = (client(None)?, client(Some("nobody-knows-this"))?);
        let admin = kube::Client::try_from(config)?;
        let version = admin.apiserver_version().await?;
        let told = if version.minor.is_empty() {
            release.to_owned()
        } else {
            format!("1.{}", version.minor)
        };
        let minor = Minor::try_from(told).map_err(anyhow::Error::msg)?;
        Ok(Self {
            admin,
            anonymous,
            stranger,
            minor,
            hub,
        })
    }

    pub(super) async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let request = http::Request::post("/api/v1/namespaces")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Body::from(serde_json::to_vec(&namespace)?))?;
        let response = self.admin.send(request).await?;
        anyhow::ensure!(response.status() == 201, "{}", response.status());
        Ok(())
    }

    pub(super) async fn ask(&self, asked: &Asked) -> Result<Answer> {
        let client = match asked.user {
            User::Admin => &self.admin,
            User::Anonymous => &self.anonymous,
            User::Stranger => &self.stranger,
        };
        let mut builder = http::Request::builder().method(asked.method.as_str()).uri(&asked.path);
        for (name, value) in &asked.headers {
            builder = builder.header(name, value);
        }
        let request = builder.body(Body::from(asked.body.clone()))?;
        let response = client.send(request).await?;
        let (head, body) = response.into_parts();
        let bytes = match asked.events {
            Some(count) if head.status == 200 => read_lines(body, count).await?,
            _ => body.collect().await?.to_bytes().to_vec(),
        };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let body = if asked.events.is_some() && head.status == 200 {
            let events: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
            Value::Array(events.with_context(|| text.clone())?)
        } else {
            serde_json::from_str(&text).unwrap_or_default()
        };
        Ok(Answer {
            code: head.status.as_u16(),
            headers: head.headers,
            body,
            text,
        })
    }
}

/// Reads so many lines; fewer when the stream ends, or stays silent.
async fn read_lines(mut body: Body, count: usize) -> Result<Vec<u8>> {
    const SILENCE: Duration = Duration::from_secs(10);
    let mut bytes = Vec::new();
    let mut lines = 0;
    while lines < count {
        let Ok(Some(frame)) = tokio::time::timeout(SILENCE, body.frame()).await else {
            break;
        };
        if let Ok(data) = frame?.into_data() {
            lines += data.split(|byte| *byte == b'\n').count() - 1;
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes)
}

/// A request that is ready to be sent.
pub(super) struct Asked {
    /// Method and path, for people.
    pub(super) line: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    user: User,
    /// Of a watch: how many events are read.
    events: Option<usize>,
}

impl Asked {
    pub(super) fn of(step: &Step, fixture: &Fixture, variables: &Variables) -> Result<Self> {
        let line = variables.fill_text(&step.request);
        let (method, path) = line.split_once(' ').context("expected METHOD /path")?;
        let (method, path) = (method.to_owned(), path.replace(' ', "%20"));
        let mut headers = Vec::new();
        for (name, value) in &step.headers {
            headers.push((name.clone(), variables.fill_text(value)));
        }
        let body = match &step.body {
            None => Vec::new(),
            Some(Value::String(name)) if name.starts_with('$') => {
                let mut body = fixture.bodies.get(&name[1..]).cloned();
                if let (Some(body), Some(with)) = (&mut body, &step.with) {
                    json_patch::merge(body, with);
                }
                let body = body.with_context(|| format!("{name} is no body of this file"))?;
                serde_json::to_vec(&variables.fill(&body))?
            }
            Some(Value::String(text)) => variables.fill_text(text).into_bytes(),
            Some(value) => serde_json::to_vec(&variables.fill(value))?,
        };
        if step.body.is_some() {
            let content_type = match step.content_type.as_deref() {
                None => "application/json",
                Some("json") => "application/json-patch+json",
                Some("merge") => "application/merge-patch+json",
                Some("strategic") => "application/strategic-merge-patch+json",
                Some("apply") => "application/apply-patch+yaml",
                Some(other) => other,
            };
            headers.push(("content-type".to_owned(), content_type.to_owned()));
        }
        let accept = match step.accept.as_deref() {
            None => "application/json",
            Some("table") => "application/json;as=Table;v=v1;g=meta.k8s.io",
            Some("metadata") => "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
            Some("metadatas") => "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
            Some(other) => other,
        };
        headers.push(("accept".to_owned(), accept.to_owned()));
        let watch = method == "WATCH";
        let expected = step.events.as_ref().and_then(Value::as_array);
        Ok(Self {
            path: path.clone(),
            method: if watch { "GET".to_owned() } else { method },
            headers,
            body,
            user: step.user,
            events: watch.then(|| expected.map_or(usize::MAX, Vec::len)),
            line,
        })
    }
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) headers: http::HeaderMap,
    /// The body as JSON, the events of a watch as a list; `Null` when it is something else.
    pub(super) body: Value,
    pub(super) text: String,
}

impl Answer {
    /// The texts of the `Warning` headers.
    pub(super) fn warnings(&self) -> Vec<String> {
        let values = self.headers.get_all(http::header::WARNING).iter();
        let texts = values.filter_map(|value| {
            let text = std::str::from_utf8(value.as_bytes()).ok()?;
            let text = text.strip_prefix("299 - \"")?.strip_suffix('"')?;
            Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
        });
        texts.collect()
    }

    /// The beginning of the body.
    pub(super) fn excerpt(&self) -> String {
        const LETTERS: usize = 1500;
        let mut text: String = self.text.chars().take(LETTERS).collect();
        if text.len() < self.text.len() {
            text.push('…');
        }
        format!("{} {text}", self.code)
    }
}
