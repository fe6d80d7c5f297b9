//! Admission webhooks: what other programs say about a write, and change in it.
//!
//! A configuration is compiled when it is stored ([`index`]); a request asks [`Hooks::of`] which webhooks its resource
//! concerns, mostly none. [`Hooks::mutate`] calls the mutating ones one after the other, in the order of their
//! configurations' names, before the object is prepared and validated; [`Hooks::validate`] calls the others all at once,
//! when the object is what will be stored. A write that lost a race asks again.
//!
//! Who is asked about what:
//!
//! - Webhook configurations and admission policies are never subject to webhooks, or a broken one could not be repaired.
//! - The access reviews and the server's own questions are not either.
//! - The server's own loops are clients like others, as Kubernetes' controllers are: what they do to users' objects
//!   (namespaces, templates, collected garbage) is asked about. What the hub keeps for itself is not
//!   ([`is_own_business`]): bindings, Works, explanations, leases and Events written by its loops. A webhook that is away
//!   must not stop the federation, and one for `*/*` must not see every step of it. The same objects written by somebody
//!   else are asked about.
//! - Nothing is called before the server has made what it must have: a webhook cannot keep a hub from starting.
//!
//! Nothing is locked while a webhook is called: it may call back into the server, and into the same object.
//!
//! Never here: `ValidatingAdmissionPolicy` and `MutatingAdmissionPolicy`, which are only stored.

mod conditions;
mod counts;
mod index;
mod matching;
mod review;
mod round;
mod rules;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schema::model::GroupVersionKind;
use schema::status::Status;
use serde_json::Value;

use crate::api::{Api, Profile};
use crate::registry::{ResourceDef, builtin};
use crate::request::ApiRequest;
use crate::strategy;
use crate::verbs::call::{Call, Payload};
use crate::verbs::object::set_type;
use crate::verbs::typed;

pub(crate) use index::{Webhooks, is_configuration};
pub(crate) use rules::Operation;

/// The webhooks that a request concerns, with what they are told of it.
pub(crate) struct Hooks<'a> {
    call: &'a Call<'a>,
    selection: Arc<index::Selection>,
    operation: Operation,
    subresource: &'a str,
    /// What the objects are; another kind than the resource's own for some subresources.
    kind: GroupVersionKind,
    name: String,
    options: Value,
    dry_run: bool,
}

impl<'a> Hooks<'a> {
    /// The webhooks of a request; `None`, and next to nothing done, when there are none.
    pub(crate) fn of(call: &'a Call<'a>, operation: Operation, subresource: &'a str) -> Option<Self> {
        let selection = call
            .api
            .webhooks
            .select(&call.registry, &call.def, operation, subresource)?;
        if is_own_business(call) {
            return None;
        }
        Some(Self {
            call,
            selection,
            operation,
            subresource,
            kind: call.def.gvk().clone(),
            name: call.request.target.name.clone(),
            options: Value::Null,
            dry_run: false,
        })
    }

    /// Tells the options of the request, an object of a kind such as `CreateOptions`.
    pub(crate) fn with_options(mut self, options: Value, dry_run: bool) -> Self {
        self.options = options;
        self.dry_run = dry_run;
        self
    }

    /// The objects are of this kind.
    pub(crate) fn with_kind(mut self, kind: GroupVersionKind) -> Self {
        self.kind = kind;
        self
    }

    /// The object has this name, where the request does not say.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Lets mutating webhooks change an object that has its defaults. What comes back is in form and has its defaults too.
    pub(crate) async fn mutate(&self, old: Option<&Value>, object: Value) -> Result<Value, Status> {
        let object = round::mutate(self, old, Some(object)).await?;
        object.ok_or_else(|| Status::internal("admission lost the object"))
    }

    /// Lets validating webhooks refuse what is about to be stored.
    pub(crate) async fn validate(&self, old: Option<&Value>, object: Option<&Value>) -> Result<(), Status> {
        round::validate(self, old, object).await
    }

    /// Asks both sorts about a deletion, which has no object to change.
    pub(crate) async fn delete(&self, old: &Value) -> Result<(), Status> {
        round::mutate(self, Some(old), None).await?;
        self.validate(Some(old), None).await
    }

    fn namespace(&self) -> &str {
        if strategy::is(&self.call.def, "", "namespaces") {
            // A namespace lies in itself.
            &self.name
        } else {
            &self.call.request.target.namespace
        }
    }

    /// The kind of the objects where they are seen as those of this resource.
    fn kind_as(&self, def: &ResourceDef) -> GroupVersionKind {
        if self.is_own_kind() {
            def.gvk().clone()
        } else {
            self.kind.clone()
        }
    }

    fn is_own_kind(&self) -> bool {
        self.kind == *self.call.def.gvk()
    }

    /// An object as one of an equivalent resource.
    fn seen_as(&self, def: &Arc<ResourceDef>, object: &Value) -> Value {
        let mut object = object.clone();
        if self.is_own_kind() && !Arc::ptr_eq(def, &self.call.def) {
            set_type(&mut object, def.gvk());
        }
        object
    }

    /// Brings what a webhook made of an object into the form of the request; an error when it is no such object.
    fn settle(&self, def: &Arc<ResourceDef>, mut object: Value) -> Result<Value, String> {
        if !object.is_object() {
            return Err("the patched object is not a JSON object".to_owned());
        }
        let kind = self.kind_as(def);
        for (field, expected) in [("apiVersion", kind.api_version()), ("kind", kind.kind)] {
            if object[field] != expected {
                return Err(format!("the patch changes the object's {field}"));
            }
        }
        if self.is_own_kind() {
            let own = &self.call.def;
            set_type(&mut object, own.gvk());
            if own.custom.is_some() {
                schema::decode::prune(own.types.root(), &mut object);
            }
            schema::decode::normalize(own.types.root(), &mut object)
                .map_err(|problem| problem.status(&own.version, &own.kind).message)?;
            typed::default(self.call, &mut object, false);
        } else if let Some(tree) = builtin::tree(&self.kind) {
            schema::decode::normalize(tree.root(), &mut object)
                .map_err(|problem| problem.status(&self.kind.version, &self.kind.kind).message)?;
        }
        Ok(object)
    }
}

impl Api {
    /// Asks admission webhooks about a connection through a subresource such as `proxy`. `options` is the object that stands for
    /// it, such as `ClusterProxyOptions`.
    pub async fn admit_connection(&self, request: &ApiRequest, options: Value) -> Result<(), Status> {
        let registry = self.registry.load_full();
        let target = &request.target;
        let def = registry.resource(&target.group, &target.version, &target.resource);
        let Some(def) = def.cloned() else { return Ok(()) };
        let part = def.subresource(&target.subresource);
        let Some(kind) = part.map(|part| part.kind.clone()) else {
            return Ok(());
        };
        let call = Call::new(self, registry, def, request, Payload::Wire);
        let Some(hooks) = Hooks::of(&call, Operation::Connect, &target.subresource) else {
            return Ok(());
        };
        let hooks = hooks.with_kind(kind.clone());
        let mut options = options;
        set_type(&mut options, &kind);
        let options = hooks.mutate(None, options).await?;
        hooks.validate(None, Some(&options)).await
    }
}

/// Whether one of the hub's own loops writes what only the hub keeps.
fn is_own_business(call: &Call<'_>) -> bool {
    if call.api.config.profile != Profile::Hub || !call.own {
        return false;
    }
    match call.def.group.as_str() {
        "work.karmada.io" | "cluster.karmada.io" | "placement.flotilla.dev" | "coordination.k8s.io" => true,
        "" | "events.k8s.io" => call.def.plural == "events",
        _ => false,
    }
}
