//! From method and path to what is asked: the one place where URLs are taken apart.
//!
//! Paths are `/api/v1/…` and `/apis/GROUP/VERSION/…` with `[namespaces/NAMESPACE/]RESOURCE[/NAME[/SUBRESOURCE]]` behind; an
//! old form has `watch/` in front of that. Whether a resource is served is not known here.
//!
//! Never here: query parameters other than `watch` (see [`super::query`]).

use http::Method;
use percent_encoding::percent_decode_str;

use crate::auth::authorize::Attributes;
use crate::request::{Query, Target, Verb};

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// Something is done to a resource.
    Resource {
        /// What.
        verb: Verb,
        /// To which.
        target: Target,
        /// What follows the subresource, for a proxy.
        rest: String,
    },
    /// Everything else: discovery, health and so on.
    Path(String),
    /// A resource path with a method that means nothing.
    MethodNotAllowed(Target),
    /// A path that cannot name anything.
    Unknown,
}

/// Subresources of a namespace: `namespaces/NAME/status` is not a resource `status` in a namespace.
const OF_NAMESPACES: [&str; 2] = ["status", "finalize"];

/// Parses a path. `query` gets the watch flag and the one name of the old watch form.
pub fn parse(method: &Method, raw_path: &str, query: &mut Query) -> Route {
    let raw: Vec<&str> = raw_path.trim_matches('/').split('/').collect();
    let decoded: Result<Vec<_>, _> = raw.iter().map(|part| percent_decode_str(part).decode_utf8()).collect();
    let Ok(decoded) = decoded else {
        return Route::Unknown;
    };
    let parts: Vec<&str> = decoded.iter().map(AsRef::as_ref).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return Route::Path(percent_decode_str(raw_path).decode_utf8_lossy().into_owned()),
    };
    let (watch_prefix, rest) = match rest {
        ["watch", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, resource, rest @ ..] if !OF_NAMESPACES.contains(resource) => {
            (*namespace, [&[*resource], rest].concat())
        }
        rest => ("", rest.to_vec()),
    };
    let part = |index: usize| rest.get(index).copied().unwrap_or_default().to_owned();
    let proxied = rest.get(2) == Some(&"proxy");
    if rest.is_empty()
        || (rest.len() > 3 && !proxied)
        || rest.iter().take(3).any(|part| part.is_empty() || part.contains('/'))
    {
        return Route::Unknown;
    }
    let mut target = Target {
        group: group.to_owned(),
        version: version.to_owned(),
        resource: part(0),
        namespace: namespace.to_owned(),
        name: part(1),
        subresource: part(2),
    };
    let named = !target.name.is_empty();
    query.watch |= watch_prefix;
    let verb = match (method.as_str(), named) {
        ("GET" | "HEAD", _) if watch_prefix => Verb::Watch,
        ("GET" | "HEAD", true) => Verb::Get,
        ("GET" | "HEAD", false) if query.watch => Verb::Watch,
        ("GET" | "HEAD", false) => Verb::List,
        ("POST", _) if !named || !target.subresource.is_empty() => Verb::Create,
        ("PUT", true) => Verb::Update,
        ("PATCH", true) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ => return Route::MethodNotAllowed(target),
    };
    if verb == Verb::Watch && named {
        if !target.subresource.is_empty() {
            return Route::Unknown;
        }
        let name = format!("metadata.name={}", std::mem::take(&mut target.name));
        let more = if query.field_selector.is_empty() { "" } else { "," };
        query.field_selector = format!("{name}{more}{}", query.field_selector);
    }
    // Proxied paths are handed on as they were sent.
    let behind = raw
        .get(raw.len() - rest.len().saturating_sub(3)..)
        .filter(|behind| !behind.is_empty());
    let rest = behind
        .map(|behind| format!("/{}", behind.join("/")))
        .unwrap_or_default();
    Route::Resource { verb, target, rest }
}

/// What a resource request asks of the authorizers.
pub fn attributes(verb: Verb, target: &Target, query: &Query) -> Attributes {
    let selected = || match verb {
        Verb::List | Verb::Watch => exact_name(&query.field_selector),
        _ => None,
    };
    // A namespace lies in itself, as kube-apiserver has it.
    let in_itself = target.group.is_empty() && target.resource == "namespaces";
    Attributes {
        verb: verb.as_str().to_owned(),
        group: target.group.clone(),
        version: target.version.clone(),
        resource: target.resource.clone(),
        subresource: target.subresource.clone(),
        namespace: if in_itself {
            target.name.clone()
        } else {
            target.namespace.clone()
        },
        name: if target.name.is_empty() {
            selected().unwrap_or_default()
        } else {
            target.name.clone()
        },
        path: String::new(),
    }
}

/// The one name that a field selector allows. All terms must hold, so one term is enough.
fn exact_name(selector: &str) -> Option<String> {
    // An escaped comma is no end of a term. Names need no escapes, so whoever uses one gets no name.
    if selector.contains('\\') {
        return None;
    }
    let mut names = selector.split(',').filter_map(|term| {
        let value = term.trim().strip_prefix("metadata.name=")?;
        Some(value.strip_prefix('=').unwrap_or(value))
    });
    let name = names.next()?;
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `verb group/version resource namespace name subresource`, with `-` for nothing.
    fn render(route: &Route) -> String {
        let dash = |text: &str| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text.to_owned()
            }
        };
        let place = |target: &Target| {
            let Target {
                group,
                version,
                resource,
                namespace,
                name,
                subresource,
            } = target;
            let parts = [resource, namespace, name, subresource]
                .map(|part| dash(part))
                .join(" ");
            format!("{}/{version} {parts}", dash(group))
        };
        match route {
            Route::Resource { verb, target, rest } if rest.is_empty() => format!("{} {}", verb.as_str(), place(target)),
            Route::Resource { verb, target, rest } => format!("{} {} {rest}", verb.as_str(), place(target)),
            Route::Path(path) => format!("path {path}"),
            Route::MethodNotAllowed(target) => format!("405 {}", place(target)),
            Route::Unknown => "404".to_owned(),
        }
    }

    fn check(request: &str, expected: &str) {
        let (method, url) = request.split_once(' ').unwrap();
        let (path, flags) = url.split_once('?').unwrap_or((url, ""));
        let mut query = Query {
            watch: flags == "watch",
            ..Query::default()
        };
        let route = parse(&method.parse().unwrap(), path, &mut query);
        let selector = if query.field_selector.is_empty() {
            String::new()
        } else {
            format!(" [{}]", query.field_selector)
        };
        assert_eq!(format!("{}{selector}", render(&route)), expected, "{request}");
    }

    #[test]
    fn paths_name_resources() {
        check("GET /api/v1/pods", "list -/v1 pods - - -");
        check("HEAD /api/v1/pods/", "list -/v1 pods - - -");
        check("GET /api/v1/pods?watch", "watch -/v1 pods - - -");
        check("GET /api/v1/namespaces/n/pods/p?watch", "get -/v1 pods n p -");
        check(
            "GET /apis/apps/v1/namespaces/n/deployments/d/scale",
            "get apps/v1 deployments n d scale",
        );
        check("GET /api/v1/namespaces", "list -/v1 namespaces - - -");
        check("GET /api/v1/namespaces/n", "get -/v1 namespaces - n -");
        check(
            "PUT /api/v1/namespaces/n/finalize",
            "update -/v1 namespaces - n finalize",
        );
        check("PATCH /api/v1/namespaces/n/status", "patch -/v1 namespaces - n status");
        check(
            "GET /api/v1/watch/namespaces/n/pods/p",
            "watch -/v1 pods n - - [metadata.name=p]",
        );
        check("GET /apis/g/v1/watch/things", "watch g/v1 things - - -");
        check("POST /api/v1/namespaces/n/pods", "create -/v1 pods n - -");
        check(
            "POST /api/v1/namespaces/n/pods/p/eviction",
            "create -/v1 pods n p eviction",
        );
        check("DELETE /api/v1/namespaces/n/pods", "deletecollection -/v1 pods n - -");
        check("DELETE /api/v1/nodes/a%3Ab", "delete -/v1 nodes - a:b -");
        check(
            "GET /apis/g/v1/clusters/c/proxy/api/v1%2Fpods",
            "get g/v1 clusters - c proxy /api/v1%2Fpods",
        );
        check(
            "GET /apis/g/v1/clusters/proxy-a/proxy",
            "get g/v1 clusters - proxy-a proxy",
        );
        check("GET /api/v1/namespaces/n/pods/p/log/more", "404");
        check("GET /api/v1/namespaces/n/pods/a%2Fb", "404");
        check("GET /api/v1/namespaces//pods", "list -/v1 pods - - -");
        check("GET /api/v1/pods//status", "404");
        check("POST /api/v1/namespaces/n/pods/p", "405 -/v1 pods n p -");
        check("PUT /api/v1/namespaces/n/pods", "405 -/v1 pods n - -");
        check("OPTIONS /api/v1/pods", "405 -/v1 pods - - -");
    }

    #[test]
    fn other_paths_are_left_alone() {
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/apis/apps/v1/",
            "/version",
            "/readyz/ping",
            "/anything",
        ] {
            check(&format!("GET {path}"), &format!("path {path}"));
        }
        check("GET /%ff", "404");
    }

    #[test]
    fn a_selector_for_one_name_counts_as_the_name() {
        let check = |selector: &str, expected: &str| {
            let query = Query {
                field_selector: selector.to_owned(),
                ..Query::default()
            };
            assert_eq!(
                attributes(Verb::List, &Target::default(), &query).name,
                expected,
                "{selector}"
            );
        };
        check("metadata.name=eu", "eu");
        check("a=b,metadata.name==eu", "eu");
        check("metadata.name!=eu", "");
        check("xmetadata.name=eu", "");
        check("metadata.namespace!=x\\,metadata.name=eu", "");
        check("", "");
    }

    proptest! {
        #[test]
        fn any_path_can_be_parsed(path in "(/[a-z%.]{0,12}){0,8}", method in "GET|POST|PUT|PATCH|DELETE|TRACE") {
            let mut query = Query::default();
            let _ = parse(&method.parse().unwrap(), &path, &mut query);
        }
    }
}
