//! Roles and bindings at one moment, found by subject: a request looks at the bindings of its user and groups and at no
//! others.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schema::entry::Entry;
use serde::Deserialize;

use super::rule::PolicyRule;
use crate::request::User;

/// API group of everything here.
pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";
/// The resources that are followed.
pub(crate) const RESOURCES: [&str; 4] = ["clusterrolebindings", "clusterroles", "rolebindings", "roles"];

/// `roleRef` of a binding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RoleRef {
    pub(crate) api_group: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

/// One subject of a binding.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    kind: String,
    name: String,
    namespace: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RoleObject {
    rules: Option<Vec<PolicyRule>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BindingObject {
    role_ref: RoleRef,
    subjects: Option<Vec<Subject>>,
}

/// What one binding gives to one subject.
#[derive(Debug)]
pub(crate) struct Grant {
    /// Name of the binding.
    binding: Arc<str>,
    /// Its namespace, or empty.
    namespace: Arc<str>,
    /// Which of its subjects this is.
    place: usize,
    subject: Subject,
    role: RoleRef,
}

impl Grant {
    /// As Kubernetes tells why something is allowed.
    pub(crate) fn describe(&self) -> String {
        let Self {
            binding,
            namespace,
            subject,
            role,
            ..
        } = self;
        let (kind, name) = if namespace.is_empty() {
            ("ClusterRoleBinding", binding.to_string())
        } else {
            ("RoleBinding", format!("{binding}/{namespace}"))
        };
        let place = if subject.namespace.is_empty() {
            &**namespace
        } else {
            &subject.namespace
        };
        let who = if subject.kind == "ServiceAccount" && !place.is_empty() {
            format!("{}/{place}", subject.name)
        } else {
            subject.name.clone()
        };
        format!(
            "{kind} {name:?} of {} {:?} to {} {who:?}",
            role.kind, role.name, subject.kind
        )
    }
}

/// The bindings of one namespace, or those of the cluster.
#[derive(Debug, Default)]
struct Bindings {
    users: HashMap<String, Vec<Arc<Grant>>>,
    groups: HashMap<String, Vec<Arc<Grant>>>,
    /// Where the grants of a binding are.
    known: HashMap<Arc<str>, Vec<(bool, String)>>,
}

impl Bindings {
    fn remove(&mut self, binding: &str) {
        for (group, name) in self.known.remove(binding).unwrap_or_default() {
            let side = if group { &mut self.groups } else { &mut self.users };
            if let Some(grants) = side.get_mut(&name) {
                grants.retain(|grant| &*grant.binding != binding);
                if grants.is_empty() {
                    side.remove(&name);
                }
            }
        }
    }

    fn insert(&mut self, entry: &Entry, object: BindingObject) {
        let key = entry.key();
        let mut places = Vec::new();
        for (place, subject) in object.subjects.unwrap_or_default().into_iter().enumerate() {
            let (group, name) = match subject.kind.as_str() {
                "User" => (false, subject.name.clone()),
                "Group" => (true, subject.name.clone()),
                "ServiceAccount" => {
                    let namespace = if subject.namespace.is_empty() {
                        &*key.namespace
                    } else {
                        &subject.namespace
                    };
                    if namespace.is_empty() {
                        continue;
                    }
                    (false, format!("system:serviceaccount:{namespace}:{}", subject.name))
                }
                _ => continue,
            };
            let grant = Arc::new(Grant {
                binding: key.name.clone(),
                namespace: key.namespace.clone(),
                place,
                subject,
                role: object.role_ref.clone(),
            });
            let side = if group { &mut self.groups } else { &mut self.users };
            side.entry(name.clone()).or_default().push(grant);
            places.push((group, name));
        }
        self.known.insert(key.name.clone(), places);
    }

    /// What a user has here: one grant per binding, that of the first subject that fits, ordered by binding.
    fn of<'a>(&'a self, user: &User, into: &mut Vec<&'a Arc<Grant>>) {
        let own = self.users.get(&user.name).into_iter();
        let shared = user.groups.iter().filter_map(|group| self.groups.get(group));
        let mut found: BTreeMap<&str, &Arc<Grant>> = BTreeMap::new();
        for grant in own.chain(shared).flatten() {
            let slot = found.entry(&grant.binding).or_insert(grant);
            if grant.place < slot.place {
                *slot = grant;
            }
        }
        into.extend(found.into_values());
    }
}

/// The rules of roles by name.
type Roles = HashMap<Arc<str>, Arc<[PolicyRule]>>;

/// Roles and bindings at one moment.
#[derive(Debug, Default)]
pub(crate) struct Index {
    cluster_roles: Roles,
    roles: HashMap<Arc<str>, Roles>,
    cluster_bindings: Bindings,
    bindings: HashMap<Arc<str>, Bindings>,
}

impl Index {
    /// Takes in one change of one of [`RESOURCES`].
    pub(crate) fn apply(&mut self, entry: &Entry, deleted: bool) {
        let key = entry.key();
        match &*key.resource.resource {
            "clusterroles" => {
                self.cluster_roles.remove(&key.name);
                if !deleted {
                    self.cluster_roles.insert(key.name.clone(), rules(entry));
                }
            }
            "roles" => {
                let roles = self.roles.entry(key.namespace.clone()).or_default();
                roles.remove(&key.name);
                if !deleted {
                    roles.insert(key.name.clone(), rules(entry));
                } else if roles.is_empty() {
                    self.roles.remove(&key.namespace);
                }
            }
            "clusterrolebindings" => change(&mut self.cluster_bindings, entry, deleted),
            "rolebindings" => {
                let bindings = self.bindings.entry(key.namespace.clone()).or_default();
                change(bindings, entry, deleted);
                if bindings.known.is_empty() {
                    self.bindings.remove(&key.namespace);
                }
            }
            _ => {}
        }
    }

    /// What bindings give to a user: those of the cluster, then those of the namespace, if there is one.
    pub(crate) fn grants(&self, user: &User, namespace: &str) -> Vec<&Arc<Grant>> {
        let mut found = Vec::new();
        self.cluster_bindings.of(user, &mut found);
        if let Some(bindings) = self.bindings.get(namespace).filter(|_| !namespace.is_empty()) {
            bindings.of(user, &mut found);
        }
        found
    }

    /// The rules behind a grant; without the role, why there are none.
    pub(crate) fn rules_of(&self, grant: &Grant) -> Result<&Arc<[PolicyRule]>, String> {
        self.rules(&grant.role, &grant.namespace)
    }

    /// The rules of a role; without it, why there are none.
    pub(crate) fn rules(&self, role: &RoleRef, namespace: &str) -> Result<&Arc<[PolicyRule]>, String> {
        let found = match role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(role.name.as_str()),
            "Role" => self
                .roles
                .get(namespace)
                .and_then(|roles| roles.get(role.name.as_str())),
            other => return Err(format!("unsupported role reference kind: {other:?}")),
        };
        let kind = role.kind.to_ascii_lowercase();
        found.ok_or_else(|| format!("{kind}.{GROUP} {:?} not found", role.name))
    }
}

fn rules(entry: &Entry) -> Arc<[PolicyRule]> {
    let object: RoleObject = read(entry);
    object.rules.unwrap_or_default().into()
}

fn change(bindings: &mut Bindings, entry: &Entry, deleted: bool) {
    bindings.remove(entry.name());
    if !deleted {
        bindings.insert(entry, read(entry));
    }
}

/// What cannot be read gives nothing to anybody.
fn read<T: for<'de> Deserialize<'de> + Default>(entry: &Entry) -> T {
    entry.typed().unwrap_or_else(|problem| {
        tracing::error!(%problem, key = %entry.key(), "a stored object cannot be read");
        T::default()
    })
}
