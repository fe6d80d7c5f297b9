//! Looks at objects without a process for each look.
//!
//! What a test waits for is asked for many times a second, and every kubectl costs a tenth of a second of CPU, more than everything else
//! that a scenario does. What a test *does*, and what kubectl *shows*, goes through kubectl; a plain `get` of objects as JSON comes here.
//! What this does not understand, and every failure, is left to kubectl: it answers `None`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What `kubectl get ARGS -o json --ignore-not-found` would print, `Null` for nothing; `None` when kubectl should be asked.
#[must_use]
pub fn look(kubeconfig: &Path, args: &[&str]) -> Option<Value> {
    let question = Question::parse(args)?;
    let ask = || {
        let server = Server::of(kubeconfig)?;
        runtime()?.block_on(server.answer(&question)).ok().flatten()
    };
    // Benchmarks look from within a runtime, whose own threads may not wait like this.
    if tokio::runtime::Handle::try_current().is_ok() {
        return std::thread::scope(|threads| threads.spawn(ask).join().ok().flatten());
    }
    ask()
}

/// Which objects are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Question {
    /// As users write it: `deploy`, `deployments.apps`.
    resource: String,
    name: Option<String>,
    namespace: Option<String>,
    everywhere: bool,
    labels: Option<String>,
    fields: Option<String>,
}

impl Question {
    fn parse(args: &[&str]) -> Option<Self> {
        let mut question = Self::default();
        let mut words = Vec::new();
        let mut rest = args.iter();
        while let Some(arg) = rest.next() {
            match *arg {
                "-n" => question.namespace = Some((*rest.next()?).to_owned()),
                "-l" => question.labels = Some((*rest.next()?).to_owned()),
                "-A" => question.everywhere = true,
                flag if flag.starts_with('-') => {
                    question.fields = Some(flag.strip_prefix("--field-selector=")?.to_owned());
                }
                word => words.push(word),
            }
        }
        let (resource, name) = match words.as_slice() {
            [word] => word
                .split_once('/')
                .map_or((*word, None), |(resource, name)| (resource, Some(name))),
            [resource, name] => (*resource, Some(*name)),
            _ => return None,
        };
        // Several kinds at once are kubectl's to put together.
        if resource.contains([',', '/']) || name.is_some_and(|name| name.contains('/')) {
            return None;
        }
        resource.clone_into(&mut question.resource);
        question.name = name.map(str::to_owned);
        Some(question)
    }
}

/// A resource as a server serves it.
#[derive(Debug, Clone)]
struct Served {
    /// `api/v1` or `apis/GROUP/VERSION`.
    root: String,
    plural: String,
    namespaced: bool,
}

/// A server, and the names of what it serves.
struct Server {
    client: kube::Client,
    names: Mutex<HashMap<String, Served>>,
}

/// Servers by the path and the text of their kubeconfigs.
type Servers = HashMap<(PathBuf, String), Arc<Server>>;

/// The loop that all looks share.
fn runtime() -> Option<&'static Runtime> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let start = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().ok()
    };
    RUNTIME.get_or_init(start).as_ref()
}

impl Server {
    /// The server of a kubeconfig; connections are kept.
    fn of(kubeconfig: &Path) -> Option<Arc<Self>> {
        static SERVERS: OnceLock<Mutex<Servers>> = OnceLock::new();
        // A file that was written anew is another server.
        let key = (kubeconfig.to_owned(), std::fs::read_to_string(kubeconfig).ok()?);
        let servers = SERVERS.get_or_init(Mutex::default);
        let known = servers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        if known.is_some() {
            return known;
        }
        let client = runtime()?.block_on(crate::assets::connect(kubeconfig)).ok()?;
        let server = Arc::new(Self {
            client,
            names: Mutex::default(),
        });
        let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
        Some(servers.entry(key).or_insert(server).clone())
    }

    async fn answer(&self, question: &Question) -> Result<Option<Value>> {
        let Some(served) = self.resolve(&question.resource).await? else {
            return Ok(None);
        };
        let mut path = format!("/{}", served.root);
        if served.namespaced && !question.everywhere {
            let namespace = question.namespace.as_deref().unwrap_or("default");
            path = format!("{path}/namespaces/{namespace}");
        }
        path = format!("{path}/{}", served.plural);
        if let Some(name) = &question.name {
            path = format!("{path}/{name}");
        }
        let selectors = [("labelSelector", &question.labels), ("fieldSelector", &question.fields)];
        let query: Vec<String> = selectors
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}={}", escaped(value.as_ref()?))))
            .collect();
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let (code, body) = self.ask(&path, "application/json").await?;
        Ok(match code {
            200 => Some(shown(body)),
            // The object is not there. (Without a name the resource itself is not.)
            404 if body["details"]["name"].is_string() => Some(Value::Null),
            _ => None,
        })
    }

    async fn ask(&self, path: &str, accept: &str) -> Result<(u16, Value)> {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, accept)
            .body(Body::empty())?;
        let response = self.client.send(request).await?;
        let code = response.status().as_u16();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok((code, serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    async fn resolve(&self, name: &str) -> Result<Option<Served>> {
        let name = name.to_lowercase();
        let known = || {
            let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
            names.get(&name).cloned()
        };
        if let Some(served) = known() {
            return Ok(Some(served));
        }
        let names = self.discover().await?;
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(known())
    }

    /// Everything that is served, in the version that each group prefers, by every name that users write. Earlier groups win.
    async fn discover(&self) -> Result<HashMap<String, Served>> {
        let mut roots = vec![(String::new(), "api/v1".to_owned())];
        let (_, groups) = self.ask("/apis", "application/json").await?;
        for group in groups["groups"].as_array().context("groups")? {
            let version = group["preferredVersion"]["groupVersion"].as_str().context("version")?;
            let name = group["name"].as_str().context("name")?;
            roots.push((name.to_owned(), format!("apis/{version}")));
        }
        let mut names = HashMap::new();
        for (group, root) in roots {
            let (_, list) = self.ask(&format!("/{root}"), "application/json").await?;
            for resource in list["resources"].as_array().into_iter().flatten() {
                let text = |field: &str| resource[field].as_str().unwrap_or_default().to_lowercase();
                let plural = text("name");
                if plural.contains('/') {
                    continue;
                }
                let served = Served {
                    root: root.clone(),
                    plural: plural.clone(),
                    namespaced: resource["namespaced"] == true,
                };
                let short = resource["shortNames"].as_array().into_iter().flatten();
                let short = short.filter_map(Value::as_str).map(str::to_owned);
                let mut all: Vec<String> = short.collect();
                all.extend([
                    text("singularName"),
                    text("kind"),
                    plural.clone(),
                    format!("{plural}.{group}"),
                ]);
                all.push(format!("{}.{group}", text("kind")));
                for name in all {
                    names.entry(name).or_insert_with(|| served.clone());
                }
            }
        }
        Ok(names)
    }
}

/// As kubectl shows it: items that say what they are, in a list of any kind, nothing for no items, and nothing about who manages
/// which field.
fn shown(mut body: Value) -> Value {
    let kind = body["kind"].as_str().unwrap_or_default().to_owned();
    let api_version = body["apiVersion"].clone();
    let strip = |object: &mut Value| {
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    };
    let (Some(item), true) = (kind.strip_suffix("List"), body["items"].is_array()) else {
        strip(&mut body);
        return body;
    };
    let mut items = body["items"].take();
    if items.as_array().is_some_and(Vec::is_empty) {
        return Value::Null;
    }
    for object in items.as_array_mut().into_iter().flatten() {
        object["apiVersion"] = api_version.clone();
        object["kind"] = item.into();
        strip(object);
    }
    json!({"apiVersion": "v1", "kind": "List", "items": items, "metadata": {"resourceVersion": ""}})
}

/// A selector as a part of a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped = format!("{escaped}%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_are_understood() {
        let question = |args: &[&str]| Question::parse(args);
        let plain = |resource: &str, name: Option<&str>| Question {
            resource: resource.to_owned(),
            name: name.map(str::to_owned),
            ..Question::default()
        };
        assert_eq!(question(&["deployment", "web"]), Some(plain("deployment", Some("web"))));
        assert_eq!(question(&["deployment/web"]), Some(plain("deployment", Some("web"))));
        let listed = Question {
            namespace: Some("shop".to_owned()),
            labels: Some("app=web".to_owned()),
            fields: Some("status.phase=Running".to_owned()),
            ..plain("pods", None)
        };
        let args = [
            "pods",
            "-l",
            "app=web",
            "-n",
            "shop",
            "--field-selector=status.phase=Running",
        ];
        assert_eq!(question(&args), Some(listed));
        for others in [
            &["pods,services"][..],
            &["a", "b", "c"],
            &["pods", "--watch"],
            &["pods", "-n"],
            &[],
            &["a/b/c"],
        ] {
            assert_eq!(question(others), None, "{others:?}");
        }
    }

    #[tokio::test]
    async fn whoever_runs_in_a_runtime_may_look() {
        let directory = tempfile::tempdir().unwrap();
        let kubeconfig = directory.path().join("nobody.kubeconfig");
        let nobody = r#"{"clusters": [{"name": "a", "cluster": {"server": "http://127.0.0.1:1"}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}], "current-context": "a", "users": [{"name": "a"}]}"#;
        std::fs::write(&kubeconfig, nobody).unwrap();
        assert_eq!(look(&kubeconfig, &["pods"]), None, "nobody answers, and nothing panics");
    }

    #[test]
    fn lists_look_as_kubectl_shows_them() {
        let pod = json!({"metadata": {"name": "a", "managedFields": []}});
        let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {}, "items": [pod]});
        let item = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
        assert_eq!(shown(list)["items"], json!([item]));
        assert_eq!(shown(json!({"kind": "PodList", "items": []})), Value::Null);
        let named = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "managedFields": []}});
        assert_eq!(shown(named), item);
    }

    #[test]
    fn selectors_in_a_query() {
        assert_eq!(escaped("app in (db,log)"), "app%20in%20%28db%2Clog%29");
    }
}
