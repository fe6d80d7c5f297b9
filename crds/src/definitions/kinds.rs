//! The kinds that the hub owns, one row each. What their objects look like stands in `fields/`.

/// A printer column: name, type, JSON path, priority.
type Column = (&'static str, &'static str, &'static str, i32);

/// One version of a kind.
pub(super) struct Version {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
    pub(super) table: &'static str,
}

/// What a kind's definition says.
pub(super) struct Row {
    pub(super) group: &'static str,
    pub(super) kind: &'static str,
    pub(super) plural: &'static str,
    /// What the kind is for, in a sentence.
    pub(super) about: &'static str,
    pub(super) namespaced: bool,
    pub(super) short: &'static [&'static str],
    pub(super) status: bool,
    /// Shown by `kubectl get karmada-io`.
    pub(super) category: bool,
    /// All are served; the last one is stored.
    pub(super) versions: &'static [Version],
}

const AGE: Column = ("AGE", "date", ".metadata.creationTimestamp", 0);
const POLICY_COLUMNS: &[Column] = &[
    ("CONFLICT-RESOLUTION", "string", ".spec.conflictResolution", 0),
    ("PRIORITY", "string", ".spec.priority", 0),
    AGE,
];
const BINDING_COLUMNS: &[Column] = &[
    (
        "SCHEDULED",
        "string",
        r#".status.conditions[?(@.type=="Scheduled")].status"#,
        0,
    ),
    (
        "FULLYAPPLIED",
        "string",
        r#".status.conditions[?(@.type=="FullyApplied")].status"#,
        0,
    ),
    AGE,
];
const WORK_COLUMNS: &[Column] = &[
    ("WORKLOAD-KIND", "string", ".spec.workload.manifests[*].kind", 0),
    (
        "APPLIED",
        "string",
        r#".status.conditions[?(@.type=="Applied")].status"#,
        0,
    ),
    AGE,
];
const CLUSTER_COLUMNS: &[Column] = &[
    ("VERSION", "string", ".status.kubernetesVersion", 0),
    ("MODE", "string", ".spec.syncMode", 0),
    ("READY", "string", r#".status.conditions[?(@.type=="Ready")].status"#, 0),
    AGE,
    ("ZONES", "string", ".spec.zones", 1),
    ("REGION", "string", ".spec.region", 1),
    ("PROVIDER", "string", ".spec.provider", 1),
    ("API-ENDPOINT", "string", ".spec.apiEndpoint", 1),
    ("PROXY-URL", "string", ".spec.proxyURL", 1),
];
const EXPLANATION_COLUMNS: &[Column] = &[
    ("STRATEGY", "string", ".strategy", 0),
    ("REASON", "string", ".reason", 0),
    ("MESSAGE", "string", ".message", 0),
    AGE,
];
const QUOTA_COLUMNS: &[Column] = &[
    ("OVERALL", "string", ".status.overall", 0),
    ("OVERALL_USED", "string", ".status.overallUsed", 0),
];
const AUTOSCALER_COLUMNS: &[Column] = &[
    ("REFERENCE-KIND", "string", ".spec.scaleTargetRef.kind", 0),
    ("REFERENCE-NAME", "string", ".spec.scaleTargetRef.name", 0),
    ("MINPODS", "integer", ".spec.minReplicas", 0),
    ("MAXPODS", "integer", ".spec.maxReplicas", 0),
    ("REPLICAS", "integer", ".status.currentReplicas", 0),
    AGE,
];
const CRON_COLUMNS: &[Column] = &[
    ("REFERENCE-KIND", "string", ".spec.scaleTargetRef.kind", 0),
    ("REFERENCE-NAME", "string", ".spec.scaleTargetRef.name", 0),
    AGE,
];
const CUSTOMIZATION_COLUMNS: &[Column] = &[
    ("TARGET-API-VERSION", "string", ".spec.target.apiVersion", 0),
    ("TARGET-KIND", "string", ".spec.target.kind", 0),
    AGE,
];
const EXPORT_COLUMNS: &[Column] = &[("Age", "date", ".metadata.creationTimestamp", 0)];
const IMPORT_COLUMNS: &[Column] = &[
    ("Type", "string", ".spec.type", 0),
    ("IP", "string", ".spec.ips", 0),
    ("Age", "date", ".metadata.creationTimestamp", 0),
];

/// A kind of one version.
macro_rules! only {
    ($columns:expr, $table:literal) => {
        &[Version {
            name: "v1alpha1",
            columns: $columns,
            table: include_str!(concat!("../../fields/", $table, ".fields")),
        }]
    };
}

const BINDING_VERSIONS: &[Version] = &[
    Version {
        name: "v1alpha1",
        columns: &[],
        table: include_str!("../../fields/binding-v1alpha1.fields"),
    },
    Version {
        name: "v1alpha2",
        columns: BINDING_COLUMNS,
        table: include_str!("../../fields/binding.fields"),
    },
];

/// A kind in the category, cluster-scoped, without a status; rows say what differs.
const PLAIN: Row = Row {
    group: "policy.karmada.io",
    kind: "",
    plural: "",
    about: "",
    namespaced: false,
    short: &[],
    status: false,
    category: true,
    versions: &[],
};

pub(super) const KINDS: &[Row] = &[
    Row {
        kind: "PropagationPolicy",
        plural: "propagationpolicies",
        about: "Which objects of its namespace go to which clusters.",
        namespaced: true,
        short: &["pp"],
        versions: only!(POLICY_COLUMNS, "policy"),
        ..PLAIN
    },
    Row {
        kind: "ClusterPropagationPolicy",
        plural: "clusterpropagationpolicies",
        about: "Which objects of any namespace, or of none, go to which clusters.",
        short: &["cpp"],
        versions: only!(POLICY_COLUMNS, "policy"),
        ..PLAIN
    },
    Row {
        kind: "OverridePolicy",
        plural: "overridepolicies",
        about: "How objects of its namespace differ between clusters.",
        namespaced: true,
        short: &["op"],
        versions: only!(&[], "override"),
        ..PLAIN
    },
    Row {
        kind: "ClusterOverridePolicy",
        plural: "clusteroverridepolicies",
        about: "How objects of any namespace, or of none, differ between clusters.",
        short: &["cop"],
        versions: only!(&[], "override"),
        ..PLAIN
    },
    Row {
        kind: "ClusterTaintPolicy",
        plural: "clustertaintpolicies",
        about: "Taints clusters by their conditions.",
        category: false,
        versions: only!(&[], "clustertaint"),
        ..PLAIN
    },
    Row {
        kind: "FederatedResourceQuota",
        plural: "federatedresourcequotas",
        about: "Limits what a namespace takes in all clusters together.",
        namespaced: true,
        status: true,
        versions: only!(QUOTA_COLUMNS, "quota"),
        ..PLAIN
    },
    Row {
        group: "work.karmada.io",
        kind: "ResourceBinding",
        plural: "resourcebindings",
        about: "Where one object of a namespace goes, and what became of it there.",
        namespaced: true,
        short: &["rb"],
        status: true,
        versions: BINDING_VERSIONS,
        ..PLAIN
    },
    Row {
        group: "work.karmada.io",
        kind: "ClusterResourceBinding",
        plural: "clusterresourcebindings",
        about: "Where one object without a namespace goes, and what became of it there.",
        short: &["crb"],
        status: true,
        versions: BINDING_VERSIONS,
        ..PLAIN
    },
    Row {
        group: "work.karmada.io",
        kind: "Work",
        plural: "works",
        about: "What one cluster is to have.",
        namespaced: true,
        short: &["wk"],
        status: true,
        versions: only!(WORK_COLUMNS, "work"),
        ..PLAIN
    },
    Row {
        group: "cluster.karmada.io",
        kind: "Cluster",
        plural: "clusters",
        about: "A member of the federation.",
        status: true,
        versions: only!(CLUSTER_COLUMNS, "cluster"),
        ..PLAIN
    },
    Row {
        group: "search.karmada.io",
        kind: "ResourceRegistry",
        plural: "resourceregistries",
        about: "Which objects of which clusters can be searched from the hub.",
        status: true,
        versions: only!(&[], "registry"),
        ..PLAIN
    },
    Row {
        group: "apps.karmada.io",
        kind: "WorkloadRebalancer",
        plural: "workloadrebalancers",
        about: "Places workloads afresh, once.",
        status: true,
        category: false,
        versions: only!(&[], "rebalancer"),
        ..PLAIN
    },
    Row {
        group: "autoscaling.karmada.io",
        kind: "FederatedHPA",
        plural: "federatedhpas",
        about: "Scales a workload by metrics of all clusters where it runs.",
        namespaced: true,
        short: &["fhpa"],
        status: true,
        versions: only!(AUTOSCALER_COLUMNS, "autoscaler"),
        ..PLAIN
    },
    Row {
        group: "autoscaling.karmada.io",
        kind: "CronFederatedHPA",
        plural: "cronfederatedhpas",
        about: "Scales a workload, or a FederatedHPA, by the clock.",
        namespaced: true,
        short: &["cronfhpa"],
        status: true,
        versions: only!(CRON_COLUMNS, "cronscaler"),
        ..PLAIN
    },
    Row {
        group: "config.karmada.io",
        kind: "ResourceInterpreterCustomization",
        plural: "resourceinterpretercustomizations",
        about: "Says in Lua what a kind means.",
        short: &["ric"],
        versions: only!(CUSTOMIZATION_COLUMNS, "customization"),
        ..PLAIN
    },
    Row {
        group: "config.karmada.io",
        kind: "ResourceInterpreterWebhookConfiguration",
        plural: "resourceinterpreterwebhookconfigurations",
        about: "Names servers that say what kinds mean.",
        versions: only!(&[], "interpreterwebhook"),
        ..PLAIN
    },
    Row {
        group: "networking.karmada.io",
        kind: "MultiClusterIngress",
        plural: "multiclusteringresses",
        about: "An Ingress in front of several clusters.",
        namespaced: true,
        short: &["mci"],
        status: true,
        versions: only!(&[], "ingress"),
        ..PLAIN
    },
    Row {
        group: "networking.karmada.io",
        kind: "MultiClusterService",
        plural: "multiclusterservices",
        about: "Makes a Service reachable from other clusters.",
        namespaced: true,
        short: &["mcs"],
        status: true,
        versions: only!(&[], "service"),
        ..PLAIN
    },
    Row {
        group: "remedy.karmada.io",
        kind: "Remedy",
        plural: "remedies",
        about: "What is done for clusters with certain conditions.",
        versions: only!(&[], "remedy"),
        ..PLAIN
    },
    Row {
        group: "multicluster.x-k8s.io",
        kind: "ServiceExport",
        plural: "serviceexports",
        about: "Offers a Service to other clusters.",
        namespaced: true,
        short: &["svcex"],
        status: true,
        category: false,
        versions: only!(EXPORT_COLUMNS, "export"),
    },
    Row {
        group: "multicluster.x-k8s.io",
        kind: "ServiceImport",
        plural: "serviceimports",
        about: "A Service that other clusters offer.",
        namespaced: true,
        short: &["svcim"],
        status: true,
        category: false,
        versions: only!(IMPORT_COLUMNS, "import"),
    },
    Row {
        group: "placement.flotilla.dev",
        kind: "Explanation",
        plural: "explanations",
        about: "Why an object of a namespace is where it is: what the scheduler found for every cluster.",
        namespaced: true,
        category: false,
        versions: only!(EXPLANATION_COLUMNS, "explanation"),
        ..PLAIN
    },
    Row {
        group: "placement.flotilla.dev",
        kind: "ClusterExplanation",
        plural: "clusterexplanations",
        about: "Why an object of no namespace is where it is: what the scheduler found for every cluster.",
        category: false,
        versions: only!(EXPLANATION_COLUMNS, "explanation"),
        ..PLAIN
    },
    Row {
        group: "placement.flotilla.dev",
        kind: "PlacementPreview",
        plural: "placementpreviews",
        about: "Asks what objects would do to placements and members if they were applied or deleted. It is answered in the status and stored nowhere.",
        namespaced: true,
        category: false,
        versions: only!(&[], "preview"),
        ..PLAIN
    },
    Row {
        group: "work.flotilla.dev",
        kind: "Retention",
        plural: "retentions",
        about: "Asks, for the agent of a cluster, what of an object the cluster keeps. It bears the name of the Work, is answered in the status and stored nowhere.",
        namespaced: true,
        category: false,
        versions: only!(&[], "retention"),
        ..PLAIN
    },
    Row {
        group: "work.flotilla.dev",
        kind: "WorkReport",
        plural: "workreports",
        about: "Changes the status of several Works of a cluster at once, for its agent. Each is changed, or refused, by itself. It bears the name of the cluster and is stored nowhere.",
        namespaced: true,
        category: false,
        versions: only!(&[], "workreport"),
        ..PLAIN
    },
];
