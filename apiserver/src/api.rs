//! The state that every part of the API server shares, and how it comes into being.
//!
//! [`Api::open`] makes sure of what a server of its profile must have (system namespaces, its own CRDs) and builds the
//! registry from what is stored.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use regex::Regex;
use runtime::preview::Previewer;
use runtime::retention::Keeper;
use schema::clock::{Clock, Random};
use schema::entry::{Entry, GroupResource};
use schema::status::Status;
use serde_json::Value;

use crate::admission::Identities;
use crate::admission::webhook::Webhooks;
use crate::auth::authorize::Chain;
use crate::auth::rbac::Rbac;
use crate::auth::token::Tokens;
use crate::bootstrap;
use crate::front::Readiness;
use crate::metrics::Metrics;
use crate::pki::{Pki, PkiError};
use crate::registry::{Registry, ResourceDef};
use crate::strategy::Addresses;

/// What kind of server this is (design §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// The federation's hub: federation kinds, no default service accounts.
    #[default]
    Hub,
    /// What any cluster has; the simulator's members use it.
    Kubernetes,
}

/// Settings of an API server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Hub or plain cluster.
    pub profile: Profile,
    /// IPv4 range for cluster IPs, `10.96.0.0/12` unless told.
    pub service_range: String,
    /// How long an Event lives, in seconds.
    pub event_ttl_seconds: i64,
    /// The authority of clients and the key that signs tokens; made for the life of the process when there is none.
    pub pki: Option<Arc<Pki>>,
    /// Where clients reach the server, without a slash at the end.
    pub url: String,
    /// Who issues the tokens of service accounts.
    pub issuer: String,
    /// The longest life of a token of a service account, in seconds; 0 for no bound.
    pub max_token_seconds: i64,
    /// Which of the federation's features are on.
    pub features: crds::features::Features,
    /// Taints with the effect `NoExecute` evict.
    pub taint_eviction: bool,
    /// `ClusterTaintPolicy` may evict (`NoExecute`).
    pub evicting_taint_policies: bool,
    /// What was built.
    pub build: Build,
    /// Reads the script of a customization of the interpreter, and says what is wrong with it.
    pub check_script: Option<CheckScript>,
    /// Takes out of a manifest what must not travel into a member.
    pub prune: Option<fn(&mut Value)>,
    /// Namespaces from which nothing is propagated, besides those that the federation keeps.
    pub skipped_namespaces: Vec<Regex>,
    /// Says what changes would do to placements.
    pub previewer: Option<Arc<dyn Previewer>>,
    /// Says what clusters keep of their objects, where a webhook knows.
    pub keeper: Option<Arc<dyn Keeper>>,
}

/// What was built, as `/version` tells.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The commit, or nothing.
    pub commit: &'static str,
    /// `clean`, `dirty`, or nothing.
    pub tree_state: &'static str,
    /// When: RFC 3339.
    pub date: &'static str,
}

impl Default for Build {
    fn default() -> Self {
        Self {
            commit: "",
            tree_state: "",
            date: "1970-01-01T00:00:00Z",
        }
    }
}

/// Says what is wrong with a script, if it cannot be read.
pub type CheckScript = fn(&str) -> Result<(), String>;

impl Default for Config {
    fn default() -> Self {
        Self {
            profile: Profile::Hub,
            service_range: "10.96.0.0/12".to_owned(),
            event_ttl_seconds: 3600,
            pki: None,
            url: "https://kubernetes.default.svc".to_owned(),
            issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            max_token_seconds: 365 * 24 * 3600,
            features: crds::features::Features::default(),
            taint_eviction: false,
            evicting_taint_policies: false,
            build: Build::default(),
            check_script: None,
            prune: None,
            skipped_namespaces: Vec::new(),
            previewer: None,
            keeper: None,
        }
    }
}

/// The shared state. Cheap to clone through its `Arc`.
pub struct Api {
    /// Settings.
    pub config: Config,
    /// What is served now; replaced whole when a CRD changes.
    pub registry: ArcSwap<Registry>,
    /// The store.
    pub store: storage::Store,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where uids and names come from.
    pub random: Arc<dyn Random>,
    /// Cluster IPs and node ports.
    pub addresses: Addresses,
    /// What is counted.
    pub metrics: Metrics,
    /// What must hold for the server to be ready.
    pub readiness: Arc<Readiness>,
    /// Who may do what; here for those who ask whether they may.
    pub authorizers: Chain,
    /// The member of `authorizers` that knows roles, for those who ask what somebody holds.
    pub rbac: Arc<Rbac>,
    /// The authority of clients.
    pub pki: Arc<Pki>,
    /// Tokens of service accounts and bootstrap tokens.
    pub tokens: Tokens,
    /// Which admission webhooks there are.
    pub(crate) webhooks: Webhooks,
    /// Under which names clusters are registered.
    pub(crate) identities: Identities,
    /// Resources that no stored CRD stands for.
    fixed: Vec<Arc<ResourceDef>>,
    /// The revisions of the CRDs that `registry` was built from, held while it is built anew.
    built_from: Mutex<HashSet<(String, u64)>>,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting makes no sense.
    #[error("invalid service range {0:?}: not an IPv4 network such as 10.96.0.0/12")]
    ServiceRange(String),
    /// Keys cannot be made.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// What the server must have could not be stored.
    #[error("cannot store {what}: {status}")]
    Bootstrap {
        /// Which object.
        what: String,
        /// Why.
        status: Box<Status>,
    },
}

impl Api {
    /// Opens a server over a store.
    pub async fn open(
        config: Config,
        store: storage::Store,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Arc<Self>, OpenError> {
        let addresses = Addresses::new(&config.service_range)
            .ok_or_else(|| OpenError::ServiceRange(config.service_range.clone()))?;
        for service in store.snapshot(&GroupResource::new("", "services")).iter() {
            addresses.adopt(&service.value());
        }
        let readiness = Arc::new(Readiness::default());
        let stored = store.clone();
        readiness.register("storage", move || !stored.is_closed());
        let definitions = bootstrap::definitions(config.profile);
        let fixed = bootstrap::fixed_resources(&definitions);
        let rbac = Arc::new(Rbac::new(store.clone()));
        let mut authorizers = Chain::default();
        authorizers.push(Box::new(rbac.clone()));
        let pki = match &config.pki {
            Some(pki) => pki.clone(),
            None => Arc::new(Pki::ephemeral(&[], clock.as_ref())?),
        };
        let tokens = Tokens::new(pki.account_key.clone(), &config.issuer);
        let api = Arc::new(Self {
            config,
            pki,
            tokens,
            registry: ArcSwap::from_pointee(Registry::default()),
            store,
            clock,
            random,
            addresses,
            metrics: Metrics::default(),
            readiness,
            authorizers,
            rbac,
            webhooks: Webhooks::default(),
            identities: Identities::default(),
            fixed,
            built_from: Mutex::default(),
        });
        api.refresh_registry();
        bootstrap::ensure(&api, definitions).await?;
        // Not before: what the server must have, it makes without asking anybody.
        api.webhooks.register(&api.metrics);
        api.webhooks.refresh(&api.store);
        Ok(api)
    }

    /// Makes the registry follow the CRDs that are stored. Cheap when none has changed.
    pub fn refresh_registry(&self) {
        let mut built_from = self.built_from.lock().unwrap_or_else(PoisonError::into_inner);
        let definitions = GroupResource::new("apiextensions.k8s.io", "customresourcedefinitions");
        let snapshot = self.store.snapshot(&definitions);
        let now: HashSet<(String, u64)> = snapshot
            .iter()
            .map(|entry| (entry.name().to_owned(), entry.revision()))
            .collect();
        let current = self.registry.load_full();
        if now == *built_from && !current.resources.is_empty() {
            return;
        }
        let unchanged = |entry: &Entry| built_from.contains(&(entry.name().to_owned(), entry.revision()));
        let registry = Registry::build(snapshot.iter().map(|entry| &**entry), &self.fixed, &current, unchanged);
        self.registry.store(Arc::new(registry));
        *built_from = now;
    }
}
