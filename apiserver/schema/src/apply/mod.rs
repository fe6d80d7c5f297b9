//! Server-side apply, and the bookkeeping of field owners that every write does.
//!
//! [`apply`] lays a configuration over an object: what the applier no longer mentions goes, unless somebody else owns it too,
//! and what others own differently is a conflict. [`track_update`] is for every other write: who changes a field owns it.
//! Both keep `metadata.managedFields`. The algorithms work on trees of field paths ([`FieldSet`]): the submodule `walk` says
//! how a value falls apart into fields, `diff` compares two values.
//!
//! Never here: defaulting and validation (the write path does them to the result), and storing anything.

mod conflict;
mod diff;
mod fieldset;
mod manager;
mod subresource;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::model::TypeRef;
pub use conflict::{ApplyError, Conflict};
use diff::Diff;
pub use fieldset::{FieldSet, Step};
pub use manager::{ManagedFields, ManagerEntry, Operation};
pub use subresource::Mapping;
pub use walk::undeclared_fields;

/// The annotation in which client-side `kubectl apply` keeps what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Owns the fields of an object that nobody was recorded for when it is first applied to.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Fields that identify an object or that the server keeps: nobody owns them.
static NEVER_OWNED: LazyLock<FieldSet> = LazyLock::new(|| {
    FieldSet::of_paths([
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

/// Who writes, and how.
#[derive(Debug, Clone, Copy)]
pub struct Writer<'a> {
    /// Field manager; empty counts as `unknown`.
    pub manager: &'a str,
    /// `apiVersion` of the request.
    pub api_version: &'a str,
    /// Subresource of the request, or empty.
    pub subresource: &'a str,
    /// Time of the request.
    pub now: Timestamp,
    /// Fields that a write through this endpoint cannot set (with all below them), for example `status` on the main one:
    /// they are neither owned nor applied.
    pub strip: Option<&'a FieldSet>,
}

/// An apply request.
#[derive(Debug)]
pub struct ApplyInput<'a> {
    /// Type of the object.
    pub types: TypeRef<'a>,
    /// The object as it is, if it is there.
    pub live: Option<&'a Value>,
    /// What the applier wants.
    pub config: Value,
    /// Who applies.
    pub writer: Writer<'a>,
    /// Take what others own instead of failing.
    pub force: bool,
}

/// The object after applying a configuration, with its owners noted. Nothing but the owners' times differs from the live
/// object when there was nothing to do, and not even those unless somebody's fields changed.
pub fn apply(input: ApplyInput<'_>) -> Result<Value, ApplyError> {
    let ApplyInput {
        types,
        live,
        mut config,
        writer,
        force,
    } = input;
    check_config(&config, writer.api_version)?;
    if let Some(strip) = writer.strip {
        walk::remove(&mut config, strip);
    }
    if let Some(metadata) = config.get_mut("metadata").and_then(Value::as_object_mut) {
        // Generated manifests say `creationTimestamp: null` and mean nothing by it.
        metadata.retain(|_, value| !value.is_null());
    }
    walk::check_items(Some(types), &config, "").map_err(|error| {
        ApplyError::BadRequest(format!(
            "failed to create typed patch object ({}): {error}",
            describe(&config)
        ))
    })?;
    let mut wanted = FieldSet::of(types, &config);
    if let Some(strip) = writer.strip {
        wanted.subtract_below(strip);
    }
    // What identifies the object is in nobody's set, but it keeps the rest of the metadata in place.
    let named = wanted.clone();
    wanted.subtract(&NEVER_OWNED);

    let listed = live.and_then(|live| live.pointer("/metadata/managedFields"));
    let mut managed = listed
        .and_then(|list| ManagedFields::parse(list.clone()).ok())
        .unwrap_or_default();
    let mut object = live.cloned().unwrap_or_else(|| Value::Object(Map::new()));
    take_managed(&mut object);
    if live.is_some() && managed.is_empty() {
        managed.entries.push(first_owner(types, &object, writer));
    }
    let is_own =
        |entry: &ManagerEntry| entry.is_of(writer.manager, Operation::Apply, writer.api_version, writer.subresource);
    let own = managed
        .entries
        .iter()
        .position(is_own)
        .map(|index| managed.entries.remove(index));
    let last = own.as_ref().map(|entry| entry.set().into_owned()).unwrap_or_default();

    let mut merged = walk::merge(Some(types), object, &config);
    if !last.is_empty() {
        let mut owned = named;
        for entry in &managed.entries {
            owned.union(entry.set().into_owned());
        }
        walk::prune(types, &mut merged, &last, &owned);
    }

    let mut diff = Diff::between(types, live, &merged);
    if let Some(strip) = writer.strip {
        diff.ignore_below(strip);
    }
    if !force {
        check_conflicts(types, &managed, &diff, live, writer.manager)?;
    }
    let mut shifted = false;
    for entry in &mut managed.entries {
        shifted |= entry.release(&diff.changed);
        shifted |= entry.release(&diff.removed);
    }
    keep_last_applied(&mut merged, &config, writer.manager);
    let settled = live.is_some_and(|live| equals_but_owners(live, &merged));
    let unchanged = settled && last == wanted;
    let same_version = own.as_ref().is_some_and(|own| own.api_version == writer.api_version);
    if unchanged && same_version && !shifted {
        put_managed(&mut merged, listed.cloned());
        return Ok(merged);
    }
    let former = own.and_then(|entry| entry.time).filter(|_| unchanged);
    let Writer {
        manager,
        api_version,
        subresource,
        now,
        ..
    } = writer;
    let mut own = ManagerEntry::new(manager, Operation::Apply, api_version, subresource, wanted);
    own.time = former.or(Some(now));
    managed.entries.push(own);
    put_managed(&mut merged, managed.into_json());
    Ok(merged)
}

fn check_config(config: &Value, api_version: &str) -> Result<(), ApplyError> {
    if !config.is_object() {
        return Err(ApplyError::BadRequest(
            "the apply configuration is not an object".to_owned(),
        ));
    }
    if config
        .pointer("/metadata/managedFields")
        .is_some_and(|list| !list.is_null())
    {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    match config.get("apiVersion").and_then(Value::as_str) {
        Some(found) if found != api_version => Err(ApplyError::BadRequest(format!(
            "Incorrect version specified in apply patch. Specified patch version: {found}, expected: {api_version}"
        ))),
        _ => Ok(()),
    }
}

/// An object as errors of typed values name it: `namespace/name; apps/v1, Kind=Deployment`.
pub fn describe(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let version = text("/apiVersion");
    let core = if version.contains('/') { "" } else { "/" };
    format!(
        "{}/{}; {core}{version}, Kind={}",
        text("/metadata/namespace"),
        text("/metadata/name"),
        text("/kind")
    )
}

/// The owner of everything in an object without owners.
fn first_owner(types: TypeRef<'_>, object: &Value, writer: Writer<'_>) -> ManagerEntry {
    let mut diff = Diff::between(types, None, object);
    if let Some(strip) = writer.strip {
        diff.ignore_below(strip);
    }
    diff.ignore(&NEVER_OWNED);
    let mut entry = ManagerEntry::new(
        BEFORE_FIRST_APPLY,
        Operation::Update,
        writer.api_version,
        writer.subresource,
        FieldSet::default(),
    );
    entry.time = Some(writer.now);
    entry.acquire(diff.changed);
    entry
}

fn check_conflicts(
    types: TypeRef<'_>,
    owners: &ManagedFields,
    diff: &Diff,
    live: Option<&Value>,
    manager: &str,
) -> Result<(), ApplyError> {
    let mut disputes: Vec<(String, FieldSet)> = owners
        .entries
        .iter()
        .map(|entry| (entry.to_string(), entry.set().intersection(&diff.changed)))
        .filter(|(_, fields)| !fields.is_empty())
        .collect();
    if disputes.is_empty() {
        return Ok(());
    }
    if is_kubectl(manager)
        && let Some(applied) = live.and_then(|live| last_applied_fields(types, live))
    {
        // kubectl moves from client-side to server-side apply: what it applied before is its own.
        for (_, fields) in &mut disputes {
            fields.subtract(&applied);
        }
    }
    disputes.sort_by(|left, right| left.0.cmp(&right.0));
    let conflicts: Vec<Conflict> = disputes
        .into_iter()
        .flat_map(|(manager, fields)| {
            fields.paths().into_iter().map(move |field| Conflict {
                manager: manager.clone(),
                field,
            })
        })
        .collect();
    if conflicts.is_empty() {
        Ok(())
    } else {
        Err(ApplyError::Conflicts(conflicts))
    }
}

/// kubectl's own server-side apply; whoever names another manager has chosen not to move over.
fn is_kubectl(manager: &str) -> bool {
    manager == "kubectl"
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()
}

fn last_applied_fields(types: TypeRef<'_>, live: &Value) -> Option<FieldSet> {
    let applied: Value = serde_json::from_str(annotation(live)?).ok()?;
    let mut fields = FieldSet::of(types, &applied);
    fields.insert(&[
        Step::Field("metadata"),
        Step::Field("annotations"),
        Step::Field(LAST_APPLIED),
    ]);
    Some(fields)
}

/// Keeps the annotation of client-side apply true, so that a user may go back to it.
fn keep_last_applied(object: &mut Value, config: &Value, manager: &str) {
    if !is_kubectl(manager) || annotation(object).is_none() {
        return;
    }
    let mut applied = config.clone();
    if let Some(annotations) = applied
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.remove(LAST_APPLIED);
    }
    if let Some(slot) = object
        .pointer_mut("/metadata/annotations")
        .and_then(|found| found.get_mut(LAST_APPLIED))
    {
        // kubectl ends the text with a line feed.
        *slot = Value::String(format!("{applied}\n"));
    }
}

/// Notes the owners of what a create, update, patch or status write changes; `new` is the object as it will be stored, with
/// whatever the request says about `managedFields`. A write that changes nothing leaves the list as it was, byte for byte.
pub fn track_update(types: TypeRef<'_>, old: Option<&Value>, new: &mut Value, writer: Writer<'_>) {
    let former = old.and_then(|old| old.pointer("/metadata/managedFields"));
    let requested = take_managed(new);
    // A subresource cannot set owners, and clients that know nothing of them must not lose them.
    let requested = requested.filter(|list| writer.subresource.is_empty() && !list.is_null());
    let reset = requested.as_ref().is_some_and(is_reset);
    let edited = if reset || requested.as_ref() == former {
        None
    } else {
        requested
            .as_ref()
            .and_then(|list| ManagedFields::parse_strictly(list.clone()).ok())
    };
    if old.is_some() && (reset || (edited.is_none() && former.is_none())) {
        // Nobody is recorded: either somebody wants that, or it is an object from before there were owners.
        return;
    }
    let mut diff = Diff::between(types, old, new);
    if let Some(strip) = writer.strip {
        diff.ignore_below(strip);
    }
    diff.ignore(&NEVER_OWNED);
    if diff.is_empty() {
        let list = match edited {
            Some(edited) => edited.into_json(),
            None => requested
                .filter(|list| Some(list) == former)
                .or_else(|| former.cloned()),
        };
        put_managed(new, list);
        return;
    }
    let mut managed = match (edited, requested) {
        (Some(edited), _) => edited,
        (None, Some(requested)) if Some(&requested) == former => ManagedFields::parse(requested).unwrap_or_default(),
        _ => former
            .and_then(|list| ManagedFields::parse(list.clone()).ok())
            .unwrap_or_default(),
    };
    let mut own = None;
    for (index, entry) in managed.entries.iter_mut().enumerate() {
        if entry.is_of(
            writer.manager,
            Operation::Update,
            writer.api_version,
            writer.subresource,
        ) {
            own = Some(index);
        } else {
            entry.release(&diff.changed);
        }
        entry.release(&diff.removed);
    }
    if !diff.changed.is_empty() {
        let index = own.unwrap_or_else(|| {
            let Writer {
                manager,
                api_version,
                subresource,
                ..
            } = writer;
            let entry = ManagerEntry::new(
                manager,
                Operation::Update,
                api_version,
                subresource,
                FieldSet::default(),
            );
            managed.entries.push(entry);
            managed.entries.len() - 1
        });
        let entry = &mut managed.entries[index];
        entry.acquire(diff.changed);
        entry.time = Some(writer.now);
    }
    put_managed(new, managed.into_json());
}

/// Undoes a write of which only the times of owners are new: for after defaulting and admission, which may turn a change
/// back into none (`1000m` into `1`). Returns whether it did.
pub fn settle_times(old: &Value, new: &mut Value) -> bool {
    let former = old.pointer("/metadata/managedFields");
    let Some(list) = new.pointer("/metadata/managedFields") else {
        return false;
    };
    let same = match (former, list) {
        (Some(Value::Array(former)), Value::Array(list)) => {
            former.len() == list.len()
                && list
                    .iter()
                    .all(|entry| former.iter().any(|old| equals_but("time", old, entry)))
        }
        _ => false,
    };
    if !same {
        return false;
    }
    let list = take_managed(new);
    let equal = equals_but_owners(old, new);
    put_managed(new, if equal { former.cloned() } else { list });
    equal
}

fn equals_but_owners(old: &Value, new: &Value) -> bool {
    let metadata = match (old.get("metadata"), new.get("metadata")) {
        (Some(old), Some(new)) => equals_but("managedFields", old, new),
        (old, new) => old == new,
    };
    metadata && equals_but("metadata", old, new)
}

/// Compares two objects without one key.
fn equals_but(key: &str, left: &Value, right: &Value) -> bool {
    let (Some(left), Some(right)) = (left.as_object(), right.as_object()) else {
        return left == right;
    };
    let count = |fields: &Map<String, Value>| fields.len() - usize::from(fields.contains_key(key));
    let same = |(name, value): (&String, &Value)| name == key || right.get(name) == Some(value);
    count(left) == count(right) && left.iter().all(same)
}

/// `[]` or `[{}]`: the request wants a clean list.
fn is_reset(list: &Value) -> bool {
    match list.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([entry]) => entry.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn take_managed(object: &mut Value) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

fn put_managed(object: &mut Value, list: Option<Value>) {
    if let (Some(list), Some(metadata)) = (list, object.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.insert("managedFields".to_owned(), list);
    }
}
