//! What the controllers must find quickly and the hub's cache cannot tell: who matches, claims, targets or belongs to what.
//!
//! Everything here is derived from stored objects and is rebuilt when a process starts. The dispatcher keeps it up to date in
//! revision order; a controller that has just written a Work adds it at once.

mod bindings;
mod clusters;
mod policies;
mod postings;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use interpreter::Target;
use runtime::hub::Resource;
use scheduler::{ClusterView, Options, Snapshot};
use schema::entry::{Entry, GroupResource, Key};

use crate::depend::order::Graph;
use crate::detect::plan::Policy;
use crate::overrides::index::Overrides;
use crate::place::assumed::Assumed;
use crate::place::concern::Concerns;
use crate::place::groups::Groups;

pub(crate) use bindings::{binding_id, quota_term};
pub(crate) use clusters::ClusterNews;
use postings::Postings;

/// The indexes behind one lock, which is never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Index {
    inner: RwLock<Inner>,
    /// Bindings by the groups of workloads that they belong to.
    pub(crate) groups: Groups,
    /// Bindings by the clusters that matter to them.
    pub(crate) concerns: Concerns,
    /// Replicas that were placed and of which no report tells yet.
    pub(crate) assumed: Assumed,
    /// Override policies by what they select.
    pub(crate) overrides: Overrides,
    options: Options,
}

#[derive(Debug, Default)]
struct Inner {
    /// How the hub serves each template resource.
    resources: HashMap<GroupResource, Resource>,
    policies: HashMap<Key, Arc<Policy>>,
    /// Policies by what they select.
    selecting: HashMap<(String, String), BTreeSet<Key>>,
    /// Templates by the id of the policy that has them.
    claimed: Postings,
    /// Templates that no policy takes, by resource.
    waiting: HashMap<GroupResource, HashSet<Key>>,
    /// Templates about which a question has no answer, by resource.
    unanswered: HashMap<GroupResource, HashSet<Key>>,
    /// Bindings whose workloads are leaving a cluster, or may.
    leaving: HashSet<Key>,
    /// Bindings by the kind of their template.
    bindings_of_kind: HashMap<Target, HashSet<Key>>,
    /// Bindings by the id of their policy.
    bindings_of_policy: Postings,
    /// Bindings by target cluster.
    bindings_on: Postings,
    /// Bindings by what their templates depend on; see [`need`].
    needing: Postings,
    /// Attached bindings by the permanent ids of the bindings that require them.
    attached: Postings,
    /// Which templates must be in a cluster before which.
    order: Graph,
    /// Bindings by the Works that they wait for.
    held: Postings,
    /// The generations in which bindings have all their Works.
    rendered: HashMap<Key, i64>,
    /// Works by the permanent id of their binding.
    works: Postings,
    /// Works about which their members have not answered as they are now, by the permanent id of their binding.
    silent: Postings,
    /// Works of which more is to come, likewise.
    under_way: Postings,
    /// Works in whose reports pods find no node.
    unschedulable: HashSet<Key>,
    /// ReplicaSets by the uid of the Deployment that they record.
    records: Postings,
    /// Clusters by name, with what the scheduler reads of them.
    clusters: BTreeMap<String, (Arc<Entry>, Arc<ClusterView>)>,
    /// All views together; empty when one has changed.
    snapshot: Option<Arc<Snapshot>>,
}

impl Index {
    /// An empty index for a scheduler that is set up like this.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// Remembers how the hub serves a template resource; answers whether it was unknown.
    pub(crate) fn learn(&self, resource: &Resource) -> bool {
        self.write()
            .resources
            .insert(resource.group_resource.clone(), resource.clone())
            .is_none()
    }

    /// How the hub serves a template resource.
    pub(crate) fn resource(&self, resource: &GroupResource) -> Option<Resource> {
        self.read().resources.get(resource).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        // A panic under the lock leaves at worst one object unindexed; going on is better than stopping every controller.
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}
