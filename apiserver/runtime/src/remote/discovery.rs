//! Which kinds a server serves, from aggregated discovery or, on older servers, group by group.
//!
//! Never here: a decision which of them to follow.

use std::collections::{HashMap, HashSet};

use futures::future::join_all;
use schema::entry::GroupResource;
use schema::model::api_version;
use schema::status::Status;
use serde::Deserialize;

use crate::hub::Resource;
use crate::remote::http::Transport;

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
    application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// What a server serves.
#[derive(Debug, Default)]
pub(super) struct Catalog {
    by_kind: HashMap<(String, String), Resource>,
    /// What can be listed and watched, versions in the server's order of preference.
    followable: Vec<Resource>,
}

/// Either form of an answer; what the server did not send stays empty.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Root {
    #[serde(default)]
    kind: String,
    /// Aggregated: groups.
    #[serde(default)]
    items: Vec<GroupItem>,
    /// Legacy, `/apis`.
    #[serde(default)]
    groups: Vec<Group>,
    /// Legacy, `/api`.
    #[serde(default)]
    versions: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct GroupItem {
    #[serde(default)]
    metadata: GroupName,
    #[serde(default)]
    versions: Vec<VersionItem>,
}

#[derive(Debug, Default, Deserialize)]
struct GroupName {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Deserialize)]
struct VersionItem {
    version: String,
    #[serde(default)]
    resources: Vec<ResourceItem>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceItem {
    resource: String,
    #[serde(default)]
    response_kind: Option<KindItem>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    verbs: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct KindItem {
    kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    versions: Vec<GroupVersion>,
    #[serde(default)]
    preferred_version: Option<GroupVersion>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct GroupVersion {
    version: String,
}

#[derive(Debug, Deserialize)]
struct ResourceList {
    #[serde(default)]
    resources: Vec<LegacyResource>,
}

#[derive(Debug, Deserialize)]
struct LegacyResource {
    name: String,
    kind: String,
    namespaced: bool,
    #[serde(default)]
    verbs: Vec<String>,
}

impl Catalog {
    /// Asks a server.
    pub(super) async fn fetch(transport: &Transport) -> Result<Self, Status> {
        let (core, groups) = tokio::join!(
            transport.get::<Root>("/api", AGGREGATED),
            transport.get::<Root>("/apis", AGGREGATED),
        );
        let mut catalog = Self::default();
        let mut legacy: Vec<(String, String)> = Vec::new();
        for root in [core?.0, groups?.0] {
            if root.kind == "APIGroupDiscoveryList" {
                root.items.into_iter().for_each(|group| catalog.aggregated(group));
                continue;
            }
            legacy.extend(root.versions.into_iter().map(|version| (String::new(), version)));
            for group in root.groups {
                let mut versions = group.versions;
                // Stable, so the others keep their order.
                versions.sort_by_key(|version| group.preferred_version.as_ref() != Some(version));
                legacy.extend(
                    versions
                        .into_iter()
                        .map(|version| (group.name.clone(), version.version)),
                );
            }
        }
        catalog.legacy(transport, legacy).await?;
        Ok(catalog)
    }

    /// Nothing has been asked yet.
    pub(super) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    pub(super) fn find(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.by_kind.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Every resource that can be listed and watched, once.
    pub(super) fn preferred(&self) -> Vec<Resource> {
        let mut seen = HashSet::new();
        self.followable
            .iter()
            .filter(|resource| seen.insert(&resource.group_resource))
            .cloned()
            .collect()
    }

    fn aggregated(&mut self, group: GroupItem) {
        for VersionItem { version, resources } in group.versions {
            for item in resources {
                let Some(kind) = item.response_kind else { continue };
                self.add(
                    &group.metadata.name,
                    &version,
                    &item.resource,
                    &kind.kind,
                    item.scope == "Namespaced",
                    &item.verbs,
                );
            }
        }
    }

    async fn legacy(&mut self, transport: &Transport, versions: Vec<(String, String)>) -> Result<(), Status> {
        let fetch = async |(group, version): (String, String)| {
            let path = if group.is_empty() {
                format!("/api/{version}")
            } else {
                format!("/apis/{group}/{version}")
            };
            let answer = transport.get::<ResourceList>(&path, "application/json").await;
            (group, version, answer)
        };
        for (group, version, answer) in join_all(versions.into_iter().map(fetch)).await {
            let resources = match answer {
                Ok((list, _)) => list.resources,
                // A server that is not there must not take away what others serve; one that cannot be reached must not
                // look like one that serves nothing.
                Err(status) if transport.link().connected => {
                    tracing::warn!(group, version, %status, "a group cannot be discovered");
                    continue;
                }
                Err(status) => return Err(status),
            };
            for item in resources.into_iter().filter(|item| !item.name.contains('/')) {
                self.add(&group, &version, &item.name, &item.kind, item.namespaced, &item.verbs);
            }
        }
        Ok(())
    }

    fn add(&mut self, group: &str, version: &str, plural: &str, kind: &str, namespaced: bool, verbs: &[String]) {
        let resource = Resource {
            group_resource: GroupResource::new(group, plural),
            version: version.into(),
            kind: kind.into(),
            namespaced,
        };
        let has = |verb: &str| verbs.iter().any(|other| other == verb);
        if has("list") && has("watch") {
            self.followable.push(resource.clone());
        }
        self.by_kind
            .entry((api_version(group, version), kind.to_owned()))
            .or_insert(resource);
    }
}
