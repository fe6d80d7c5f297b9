//! A request after parsing and an answer before rendering: the seam between the HTTP front and the verbs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use schema::entry::Entry;
use schema::status::Status;
use serde_json::Value;

use crate::registry::ResourceDef;

/// Who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// User name, for example `system:anonymous`.
    pub name: String,
    /// Uid, mostly empty.
    pub uid: String,
    /// Groups.
    pub groups: Vec<String>,
    /// Extra attributes.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// Whether the user is in this group.
    pub fn is_in(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }
}

/// What is done to a resource, in the words of RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are Kubernetes' own")]
pub enum Verb {
    Get,
    List,
    Watch,
    Create,
    Update,
    Patch,
    Delete,
    DeleteCollection,
}

impl Verb {
    /// Lower case, as RBAC writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }
}

/// What a path names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Target {
    /// API group, empty for core.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural.
    pub resource: String,
    /// Namespace, or empty (cluster-scoped, or all namespaces).
    pub namespace: String,
    /// Name, or empty.
    pub name: String,
    /// Subresource, or empty.
    pub subresource: String,
}

/// Query parameters of the API conventions, parsed and checked for form. Absent ones are empty, zero or `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the query parameters' own")]
pub struct Query {
    pub label_selector: String,
    pub field_selector: String,
    pub limit: usize,
    pub continue_token: String,
    pub resource_version: Option<String>,
    pub resource_version_match: Option<String>,
    pub timeout_seconds: Option<u64>,
    pub watch: bool,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    pub dry_run: Vec<String>,
    pub field_manager: Option<String>,
    pub field_validation: Option<String>,
    pub force: Option<bool>,
    pub propagation_policy: Option<String>,
    pub orphan_dependents: Option<bool>,
    pub grace_period_seconds: Option<i64>,
    pub pretty: bool,
    pub include_object: Option<String>,
}

/// A resource request, authenticated and authorised.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// Who asks.
    pub user: User,
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub target: Target,
    /// With which options.
    pub query: Query,
    /// Media type of the body without parameters, for example `application/merge-patch+json`; empty without a body.
    pub content_type: String,
    /// The body, at most 3 MiB.
    pub body: Bytes,
    /// `User-Agent` up to the first slash: the default field manager.
    pub agent: String,
    /// What only the hub's own loops ask for.
    pub liberties: Liberties,
}

/// What no client may ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Liberties {
    /// A create that notes no owners of fields.
    pub unowned: bool,
    /// A write of an object with its status, though that is a subresource.
    pub whole: bool,
}

/// An answer before it is rendered in the form that the client accepts.
#[derive(Debug)]
pub struct Answer {
    /// HTTP code: 200 or 201.
    pub code: u16,
    /// What to send.
    pub body: AnswerBody,
    /// Texts for `Warning: 299` headers.
    pub warnings: Vec<String>,
}

/// What an [`Answer`] carries.
#[derive(Debug)]
pub enum AnswerBody {
    /// One stored object of a resource, as it is stored.
    Entry(Arc<ResourceDef>, Arc<Entry>),
    /// One object that is not stored in this form (dry run, other version, `Scale`).
    Object(Arc<ResourceDef>, Value),
    /// A list.
    List(ListAnswer),
    /// A `Status`, for example of a deletion.
    Status(Box<Status>),
}

/// A list before it is rendered.
#[derive(Debug)]
pub struct ListAnswer {
    /// What the items are, in the version that was asked for.
    pub resource: Arc<ResourceDef>,
    /// The items in order. Their JSON is in the storage version; see [`present`](crate::views::list::present).
    pub items: Vec<Arc<Entry>>,
    /// Revision of the whole list.
    pub revision: u64,
    /// Where to go on, or empty.
    pub continue_token: String,
    /// How many follow, when that is known.
    pub remaining: Option<usize>,
}
