//! What confines an agent: it reaches the Works of its own cluster, its own Cluster and its own Lease, reads what kinds mean to
//! the federation, and nothing else (design invariant 7).
//!
//! An agent is denied, not just not allowed: no later authorizer can widen it by accident.

use schema::status::Status;
use serde::Deserialize;

use super::authorize::{Attributes, Authorizer, Decision, RuleList, asks_about_itself, is_discovery};
use crate::pki::{AGENT_PREFIX, AGENTS};
use crate::request::{ApiRequest, User, Verb};

/// Namespace of the Works of a cluster, without the cluster.
const EXECUTION_PREFIX: &str = "karmada-es-";
/// Namespace of the Leases of clusters.
const LEASES: &str = "karmada-cluster";

/// The member of the chain for agents.
pub struct AgentAuthorizer;

impl Authorizer for AgentAuthorizer {
    fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        if !user.is_in(AGENTS) {
            return Decision::none();
        }
        if asks_about_itself(attributes) || is_discovery(attributes) {
            return Decision::Allow(String::new());
        }
        match cluster(user) {
            Some(cluster) if may(cluster, attributes) => Decision::Allow(String::new()),
            _ => Decision::Deny("an agent reaches only what belongs to its own cluster".to_owned()),
        }
    }

    fn rules(&self, user: &User, _namespace: &str, into: &mut RuleList) -> bool {
        if !user.is_in(AGENTS) {
            return true;
        }
        // What an agent may do depends on names that a list cannot tell. Roles add nothing to it.
        into.incomplete = true;
        false
    }
}

/// The cluster that a user is the agent of.
pub fn cluster(user: &User) -> Option<&str> {
    user.name
        .strip_prefix(AGENT_PREFIX)
        .filter(|cluster| !cluster.is_empty() && user.is_in(AGENTS))
}

fn may(cluster: &str, attributes: &Attributes) -> bool {
    let Attributes {
        verb,
        group,
        resource,
        subresource,
        namespace,
        name,
        ..
    } = attributes;
    let verb = verb.as_str();
    let execution = namespace.strip_prefix(EXECUTION_PREFIX) == Some(cluster);
    let named = name == cluster;
    match (group.as_str(), resource.as_str(), subresource.as_str()) {
        // Finalizers lie in the main resource.
        ("work.karmada.io", "works", "") => execution && matches!(verb, "get" | "list" | "watch" | "update" | "patch"),
        ("work.karmada.io", "works", "status") => execution && matches!(verb, "get" | "update" | "patch"),
        // The name of what is created stands in the body: see `check_created`.
        ("cluster.karmada.io", "clusters", "") => {
            (named && matches!(verb, "get" | "list" | "watch" | "update" | "patch"))
                || (name.is_empty() && verb == "create")
        }
        ("cluster.karmada.io", "clusters", "status") => named && matches!(verb, "get" | "update" | "patch"),
        ("coordination.k8s.io", "leases", "") => {
            namespace == LEASES
                && ((named && matches!(verb, "get" | "update" | "patch")) || (name.is_empty() && verb == "create"))
        }
        // Its own renewal: what is asked for names the cluster, and only that is approved.
        ("certificates.k8s.io", "certificatesigningrequests", "") => {
            (name.is_empty() && verb == "create")
                || (verb == "get" && name.strip_prefix(cluster).is_some_and(|rest| rest.starts_with('-')))
        }
        ("certificates.k8s.io", "certificatesigningrequests", "selfclusteragent") => verb == "create",
        // Scripts for every cluster alike: no secret of anybody's, and the same for all.
        ("config.karmada.io", "resourceinterpretercustomizations", "") => matches!(verb, "get" | "list" | "watch"),
        // Questions about what its cluster keeps, and reports: both name Works of its own, and each is judged by itself.
        ("work.flotilla.dev", "retentions" | "workreports", "") | ("" | "events.k8s.io", "events", "") => {
            execution && verb == "create"
        }
        _ => false,
    }
}

/// Refuses what an agent creates under another name than its cluster's: a path to create on names no object, so this
/// needs the body.
pub fn check_created(request: &ApiRequest) -> Result<(), Status> {
    #[derive(Deserialize)]
    struct Named {
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
    }
    let target = &request.target;
    let bound = matches!(target.resource.as_str(), "clusters" | "leases");
    if request.verb != Verb::Create || !bound || !request.user.is_in(AGENTS) {
        return Ok(());
    }
    let json = matches!(request.content_type.as_str(), "" | "application/json");
    // A body that cannot be read here cannot be trusted either.
    let named = serde_json::from_slice::<Named>(&request.body).ok().filter(|_| json);
    let name = named.map(|named| named.metadata.name).unwrap_or_default();
    if cluster(&request.user) == Some(name.as_str()) {
        return Ok(());
    }
    let detail = "an agent creates only what bears the name of its own cluster, and sends it as JSON";
    Err(Status::forbidden(&target.group, &target.resource, &name, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::authorize::Chain;
    use crate::request::{Query, Target};
    use proptest::prelude::*;

    fn agent(cluster: &str) -> User {
        let groups = vec![AGENTS.to_owned(), crate::auth::authenticate::AUTHENTICATED.to_owned()];
        User {
            name: format!("{AGENT_PREFIX}{cluster}"),
            groups,
            ..User::default()
        }
    }

    /// `verb group/resource[/subresource] [namespace/]name`
    fn attributes(text: &str) -> Attributes {
        let parts: Vec<&str> = text.split(' ').collect();
        let path: Vec<&str> = parts[1].split('/').collect();
        let (namespace, name) = parts[2].split_once('/').unwrap_or(("", parts[2]));
        Attributes {
            verb: parts[0].to_owned(),
            group: path[0].to_owned(),
            version: "v1".to_owned(),
            resource: path[1].to_owned(),
            subresource: path.get(2).copied().unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            path: String::new(),
        }
    }

    fn check(text: &str, expected: bool) {
        let found = Chain::default().authorize(&agent("eu"), &attributes(text));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn an_agent_reaches_its_own_and_nothing_else() {
        for allowed in [
            "list work.karmada.io/works karmada-es-eu/",
            "watch work.karmada.io/works karmada-es-eu/",
            "patch work.karmada.io/works karmada-es-eu/w",
            "update work.karmada.io/works/status karmada-es-eu/w",
            "create cluster.karmada.io/clusters ",
            "watch cluster.karmada.io/clusters eu",
            "patch cluster.karmada.io/clusters/status eu",
            "create coordination.k8s.io/leases karmada-cluster/",
            "update coordination.k8s.io/leases karmada-cluster/eu",
            "create /events karmada-es-eu/",
            "create work.flotilla.dev/retentions karmada-es-eu/",
            "create work.flotilla.dev/workreports karmada-es-eu/",
            "list config.karmada.io/resourceinterpretercustomizations ",
            "watch config.karmada.io/resourceinterpretercustomizations ",
            "create authorization.k8s.io/selfsubjectaccessreviews ",
        ] {
            check(allowed, true);
        }
        for denied in [
            "list work.karmada.io/works ",
            "get work.karmada.io/works karmada-es-ap/w",
            "get work.karmada.io/works karmada-es-eu2/w",
            "create work.karmada.io/works karmada-es-eu/",
            "delete work.karmada.io/works karmada-es-eu/w",
            "list cluster.karmada.io/clusters ",
            "get cluster.karmada.io/clusters ap",
            "delete cluster.karmada.io/clusters eu",
            "get cluster.karmada.io/clusters/proxy eu",
            "update cluster.karmada.io/clusters/status ap",
            "update coordination.k8s.io/leases karmada-cluster/ap",
            "update coordination.k8s.io/leases kube-system/eu",
            "get /secrets karmada-es-eu/s",
            "list /namespaces ",
            "patch config.karmada.io/resourceinterpretercustomizations a",
            "update config.karmada.io/resourceinterpretercustomizations/status a",
            "list config.karmada.io/resourceinterpreterwebhookconfigurations ",
            "create /events default/",
            "create work.flotilla.dev/retentions karmada-es-ap/",
            "create work.flotilla.dev/workreports karmada-es-ap/",
            "create placement.flotilla.dev/placementpreviews default/",
        ] {
            check(denied, false);
        }
        assert_eq!(
            Chain::default().decide(&agent(""), &attributes("get cluster.karmada.io/clusters ")),
            { Decision::Deny("an agent reaches only what belongs to its own cluster".to_owned()) }
        );
    }

    #[test]
    fn what_an_agent_creates_bears_its_name() {
        let request = |body: &'static str, content_type: &str| ApiRequest {
            user: agent("eu"),
            verb: Verb::Create,
            target: Target {
                group: "cluster.karmada.io".to_owned(),
                resource: "clusters".to_owned(),
                ..Target::default()
            },
            query: Query::default(),
            content_type: content_type.to_owned(),
            body: bytes::Bytes::from_static(body.as_bytes()),
            agent: String::new(),
            liberties: crate::request::Liberties::default(),
        };
        let passes = |body, content_type| check_created(&request(body, content_type)).is_ok();
        assert!(passes(r#"{"metadata":{"name":"eu"}}"#, "application/json"));
        assert!(!passes(r#"{"metadata":{"name":"ap"}}"#, "application/json"));
        assert!(!passes(r#"{"metadata":{"generateName":"eu"}}"#, "application/json"));
        assert!(!passes(
            r#"{"metadata":{"name":"ap"},"metadata":{"name":"eu"}}"#,
            "application/json"
        ));
        assert!(!passes(r#"{"metadata":{"name":"eu"}}"#, "application/yaml"));
        let mut admin = request(r#"{"metadata":{"name":"ap"}}"#, "application/json");
        admin.user = crate::bootstrap::system_user();
        assert!(check_created(&admin).is_ok());
    }

    proptest! {
        #[test]
        fn no_agent_reaches_the_namespace_of_another(
            own in "[a-z]{1,4}", other in "[a-z]{1,4}", verb in "get|list|watch|update|patch|create|delete",
            resource in "works|works/status|events|secrets", name in "[a-z]{0,4}",
        ) {
            prop_assume!(own != other);
            let group = if resource.starts_with("works") { "work.karmada.io" } else { "" };
            let text = format!("{verb} {group}/{resource} karmada-es-{other}/{name}");
            prop_assert!(!Chain::default().authorize(&agent(&own), &attributes(&text)));
        }
    }
}
