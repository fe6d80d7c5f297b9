//! The operations of a resource: what kubectl reads to learn which parameters and patch types a server takes.

use schema::model::GroupVersionKind;
use schema::openapi::reference;
use serde_json::{Map, Value, json};

use super::schemas;
use crate::registry::{ResourceDef, SubresourceDef};

pub(super) const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1";

/// Everything an operation needs to know about its place.
struct Place<'a> {
    def: &'a ResourceDef,
    /// Kind of the bodies.
    kind: GroupVersionKind,
    /// `apps_v1`.
    tag: String,
    /// `AppsV1`.
    title: String,
    /// `NamespacedDeploymentScale`.
    subject: String,
}

/// The paths of a resource with their operations.
pub(super) fn of(def: &ResourceDef) -> Vec<(String, Value)> {
    let base = format!("/{}", super::path_of(&def.group, &def.version));
    let scoped = if def.namespaced {
        format!("{base}/namespaces/{{namespace}}")
    } else {
        base.clone()
    };
    let collection = format!("{scoped}/{}", def.plural);
    let item = format!("{collection}/{{name}}");
    let place = Place::new(def, def.gvk().clone(), "");
    let mut paths = Vec::new();
    add(&mut paths, collection, place.collection(), def.namespaced, false);
    add(&mut paths, item.clone(), place.item(&def.verbs), def.namespaced, true);
    if def.namespaced && has(&def.verbs, "list") {
        add(
            &mut paths,
            format!("{base}/{}", def.plural),
            place.everywhere(),
            false,
            false,
        );
    }
    for subresource in &def.subresources {
        let place = Place::new(def, subresource.kind.clone(), &subresource.name);
        let path = format!("{item}/{}", subresource.name);
        add(&mut paths, path, place.subresource(subresource), def.namespaced, true);
    }
    paths
}

fn add(
    paths: &mut Vec<(String, Value)>,
    path: String,
    mut operations: Map<String, Value>,
    namespaced: bool,
    named: bool,
) {
    if operations.is_empty() {
        return;
    }
    let mut parameters = vec![parameter("pretty", "string")];
    for (wanted, name) in [(named, "name"), (namespaced, "namespace")] {
        if wanted {
            parameters.push(json!({"name": name, "in": "path", "required": true, "schema": unique("string")}));
        }
    }
    operations.insert("parameters".to_owned(), Value::from(parameters));
    paths.push((path, Value::Object(operations)));
}

fn has(verbs: &[String], verb: &str) -> bool {
    verbs.iter().any(|own| own == verb)
}

fn unique(kind: &str) -> Value {
    json!({"type": kind, "uniqueItems": true})
}

fn parameter(name: &str, kind: &str) -> Value {
    json!({"name": name, "in": "query", "schema": unique(kind)})
}

fn parameters(list: &[(&str, &str)]) -> Vec<Value> {
    list.iter().map(|(name, kind)| parameter(name, kind)).collect()
}

const WRITE: [(&str, &str); 3] = [
    ("dryRun", "string"),
    ("fieldManager", "string"),
    ("fieldValidation", "string"),
];
const DELETE: [(&str, &str); 4] = [
    ("dryRun", "string"),
    ("gracePeriodSeconds", "integer"),
    ("orphanDependents", "boolean"),
    ("propagationPolicy", "string"),
];
const LIST: [(&str, &str); 10] = [
    ("allowWatchBookmarks", "boolean"),
    ("continue", "string"),
    ("fieldSelector", "string"),
    ("labelSelector", "string"),
    ("limit", "integer"),
    ("resourceVersion", "string"),
    ("resourceVersionMatch", "string"),
    ("sendInitialEvents", "boolean"),
    ("timeoutSeconds", "integer"),
    ("watch", "boolean"),
];

/// What an operation takes and gives.
struct Operation<'a> {
    id: String,
    action: &'a str,
    parameters: Vec<Value>,
    body: Option<Value>,
    /// Schema name of the answer.
    answer: String,
    /// Answers 201 too.
    creates: bool,
}

impl<'a> Place<'a> {
    fn new(def: &'a ResourceDef, kind: GroupVersionKind, subresource: &str) -> Self {
        let scope = if def.namespaced { "Namespaced" } else { "" };
        let group = if def.group.is_empty() {
            "core"
        } else {
            def.group.trim_end_matches(".k8s.io")
        };
        Self {
            def,
            kind,
            tag: format!("{}_{}", camel(group, false), def.version),
            title: format!("{}{}", camel(group, true), capital(&def.version)),
            subject: format!("{scope}{}{}", def.kind, capital(subresource)),
        }
    }

    fn collection(&self) -> Map<String, Value> {
        let mut operations = Map::new();
        let verbs = &self.def.verbs;
        if has(verbs, "list") {
            operations.insert("get".to_owned(), self.list(&self.subject));
        }
        if has(verbs, "create") {
            operations.insert("post".to_owned(), self.create());
        }
        if has(verbs, "deletecollection") {
            let mut all = parameters(&DELETE);
            all.extend(parameters(&LIST[1..9]));
            let operation = Operation {
                id: format!("delete{}Collection{}", self.title, self.subject),
                action: "deletecollection",
                parameters: all,
                body: Some(json_body(&reference(&format!("{META}.DeleteOptions")), false)),
                answer: format!("{META}.Status"),
                creates: false,
            };
            operations.insert("delete".to_owned(), self.render(operation));
        }
        operations
    }

    fn everywhere(&self) -> Map<String, Value> {
        let mut operations = Map::new();
        operations.insert(
            "get".to_owned(),
            self.list(&format!("{}ForAllNamespaces", self.def.kind)),
        );
        operations
    }

    fn item(&self, verbs: &[String]) -> Map<String, Value> {
        let mut operations = self.read_and_write(verbs);
        if has(verbs, "delete") {
            let answer = if self.def.delete_returns_object {
                schemas::name(self.def, &self.kind)
            } else {
                format!("{META}.Status")
            };
            let operation = Operation {
                id: format!("delete{}{}", self.title, self.subject),
                action: "delete",
                parameters: parameters(&DELETE),
                body: Some(json_body(&reference(&format!("{META}.DeleteOptions")), false)),
                answer,
                creates: false,
            };
            operations.insert("delete".to_owned(), self.render(operation));
        }
        operations
    }

    fn subresource(&self, subresource: &SubresourceDef) -> Map<String, Value> {
        let mut operations = self.read_and_write(&subresource.verbs);
        if has(&subresource.verbs, "create") {
            operations.insert("post".to_owned(), self.create());
        }
        operations
    }

    fn read_and_write(&self, verbs: &[String]) -> Map<String, Value> {
        let name = schemas::name(self.def, &self.kind);
        let mut operations = Map::new();
        if has(verbs, "get") {
            let operation = Operation {
                id: format!("read{}{}", self.title, self.subject),
                action: "get",
                parameters: Vec::new(),
                body: None,
                answer: name.clone(),
                creates: false,
            };
            operations.insert("get".to_owned(), self.render(operation));
        }
        if has(verbs, "update") {
            let operation = Operation {
                id: format!("replace{}{}", self.title, self.subject),
                action: "put",
                parameters: parameters(&WRITE),
                body: Some(json_body(&reference(&name), true)),
                answer: name.clone(),
                creates: true,
            };
            operations.insert("put".to_owned(), self.render(operation));
        }
        if has(verbs, "patch") {
            let mut all = parameters(&WRITE);
            all.push(parameter("force", "boolean"));
            let operation = Operation {
                id: format!("patch{}{}", self.title, self.subject),
                action: "patch",
                parameters: all,
                body: Some(patch_body(self.def.strategic)),
                answer: name,
                creates: true,
            };
            operations.insert("patch".to_owned(), self.render(operation));
        }
        operations
    }

    fn create(&self) -> Value {
        let name = schemas::name(self.def, &self.kind);
        self.render(Operation {
            id: format!("create{}{}", self.title, self.subject),
            action: "post",
            parameters: parameters(&WRITE),
            body: Some(json_body(&reference(&name), true)),
            answer: name,
            creates: true,
        })
    }

    fn list(&self, subject: &str) -> Value {
        self.render(Operation {
            id: format!("list{}{subject}", self.title),
            action: "list",
            parameters: parameters(&LIST),
            body: None,
            answer: schemas::list_name(self.def),
            creates: false,
        })
    }

    fn render(&self, operation: Operation<'_>) -> Value {
        let content = json!({"application/json": {"schema": reference(&operation.answer)}});
        let mut responses = Map::new();
        responses.insert("200".to_owned(), json!({"description": "OK", "content": content}));
        if operation.creates {
            responses.insert("201".to_owned(), json!({"description": "Created", "content": content}));
        }
        responses.insert("401".to_owned(), json!({"description": "Unauthorized"}));
        let mut rendered = json!({
            "tags": [self.tag],
            "operationId": operation.id,
            "responses": responses,
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind":
                {"group": self.kind.group, "version": self.kind.version, "kind": self.kind.kind},
        });
        if !operation.parameters.is_empty() {
            rendered["parameters"] = Value::from(operation.parameters);
        }
        if let Some(body) = operation.body {
            rendered["requestBody"] = body;
        }
        rendered
    }
}

fn json_body(schema: &Value, required: bool) -> Value {
    let mut body = json!({"content": {"*/*": {"schema": schema}}});
    if required {
        body["required"] = Value::Bool(true);
    }
    body
}

/// The patch types that are taken: kubectl computes a strategic merge patch only where it is listed.
fn patch_body(strategic: bool) -> Value {
    let types = [
        ("application/apply-patch+yaml", true),
        ("application/json-patch+json", true),
        ("application/merge-patch+json", true),
        ("application/strategic-merge-patch+json", strategic),
    ];
    let schema = reference(&format!("{META}.Patch"));
    let content: Map<String, Value> = types
        .into_iter()
        .filter(|(_, taken)| *taken)
        .map(|(media, _)| (media.to_owned(), json!({"schema": schema})))
        .collect();
    json!({"required": true, "content": content})
}

/// `rbac.authorization` as `rbacAuthorization` or `RbacAuthorization`.
fn camel(group: &str, first: bool) -> String {
    group
        .split(['.', '-'])
        .enumerate()
        .map(|(index, part)| {
            if index > 0 || first {
                capital(part)
            } else {
                part.to_owned()
            }
        })
        .collect()
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}
