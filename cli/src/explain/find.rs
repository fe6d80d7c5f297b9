//! Finds the resource that a user means: by plural, singular, short name or kind, with or without its group, as kubectl does.

use anyhow::{Context, Result, bail};
use kube::Client;
use kube::api::ApiResource;
use serde::Deserialize;

const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// A resource that the hub serves.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) api: ApiResource,
    pub(crate) singular: String,
    pub(crate) namespaced: bool,
}

#[derive(Debug, Deserialize)]
struct Groups {
    items: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    #[serde(default)]
    metadata: Named,
    versions: Vec<Version>,
}

#[derive(Debug, Default, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Served>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Served {
    resource: String,
    response_kind: Kind,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    short_names: Vec<String>,
    scope: String,
}

#[derive(Debug, Deserialize)]
struct Kind {
    kind: String,
}

/// The resource of this name; the hub's order of groups decides between several.
pub(crate) async fn resource(hub_client: &Client, name: &str) -> Result<Found> {
    for path in ["/api", "/apis"] {
        let request = http::Request::get(path)
            .header(http::header::ACCEPT, ACCEPT)
            .body(Vec::new())
            .context("discovery")?;
        let groups: Groups = hub_client
            .request(request)
            .await
            .context("cannot read what the hub serves")?;
        if let Some(found) = groups.items.iter().find_map(|group| in_group(group, name)) {
            return Ok(found);
        }
    }
    bail!("the hub serves no resource {name:?}; `kubectl api-resources` lists them")
}

fn in_group(group: &Group, name: &str) -> Option<Found> {
    let wanted = match name.split_once('.') {
        Some((resource, of)) if of.eq_ignore_ascii_case(&group.metadata.name) => resource,
        Some(_) => return None,
        None => name,
    };
    let is = |served: &Served| {
        let names = [&served.resource, &served.singular_resource, &served.response_kind.kind];
        let mut names = names.into_iter().chain(&served.short_names);
        names.any(|name| name.eq_ignore_ascii_case(wanted))
    };
    group.versions.iter().find_map(|version| {
        let served = version.resources.iter().find(|served| is(served))?;
        let group = &group.metadata.name;
        let api_version = if group.is_empty() {
            version.version.clone()
        } else {
            format!("{group}/{}", version.version)
        };
        Some(Found {
            api: ApiResource {
                group: group.clone(),
                version: version.version.clone(),
                api_version,
                kind: served.response_kind.kind.clone(),
                plural: served.resource.clone(),
            },
            singular: served.singular_resource.clone(),
            namespaced: served.scope == "Namespaced",
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_resource_goes_by_many_names() {
        let group: Group = serde_json::from_value(json!({"metadata": {"name": "apps"}, "versions": [{"version": "v1",
            "resources": [{"resource": "deployments", "responseKind": {"group": "apps", "version": "v1", "kind": "Deployment"},
                "singularResource": "deployment", "shortNames": ["deploy"], "scope": "Namespaced"}]}]}))
        .unwrap();
        for name in [
            "deployments",
            "deployment",
            "deploy",
            "Deployment",
            "deployments.apps",
            "DEPLOY.apps",
        ] {
            let found = in_group(&group, name).unwrap_or_else(|| panic!("{name}"));
            assert_eq!((found.api.api_version.as_str(), found.namespaced), ("apps/v1", true));
        }
        for name in ["deployments.batch", "deploys", ""] {
            assert!(in_group(&group, name).is_none(), "{name}");
        }
    }
}
