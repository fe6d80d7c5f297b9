//! What every write has in common: metadata that the server keeps, strategies, defaults, admission, validation,
//! managedFields, and the commit with its retries.
//!
//! A write is judged against the committed state: when another writer was faster, the whole of it (merge, admission,
//! validation) runs again. Start with [`Write::create`] and [`Write::modify`].

use std::sync::Arc;

use runtime::hub::Edit;
use schema::entry::{Draft, Entry, Key, Unread};
use schema::status::{Reason, Status};
use serde_json::{Value, json};
use storage::{Op, Outcome, Precondition};

use super::call::Call;
use super::commit::{self, Lost};
use super::object::{
    finalizers, generation, is_terminating, meta, meta_text, metadata, set_aside, set_finalizers, set_meta, set_type,
    time,
};
use super::options::WriteOptions;
use super::{managed, scale, typed};
use crate::admission;
use crate::admission::webhook::{Hooks, Operation};
use crate::registry::scale_kind;
use crate::request::{Answer, AnswerBody};
use crate::strategy;

/// How often a write is tried against a state that keeps changing.
const ATTEMPTS: usize = 6;
/// How often a generated name is tried.
const NAMES: usize = 8;
/// The longest base that a generated name keeps.
const NAME_BASE: usize = 58;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// One write under way.
pub(crate) struct Write<'a, 'c> {
    pub(crate) call: &'a Call<'c>,
    pub(crate) options: WriteOptions,
    /// `status`, `scale` …, or empty.
    pub(crate) subresource: &'a str,
}

/// What a change is to do, given the current object.
pub(crate) enum Step {
    /// Store this object; fields that changed belong to the manager of the request.
    Store(Value),
    /// Store this object, whose managedFields are up to date.
    Applied(Value),
}

impl Write<'_, '_> {
    /// Creates an object. `managed` tells that its managedFields are up to date.
    pub(crate) async fn create(&self, object: Value, managed: bool) -> Result<Answer, Status> {
        let (entry, draft) = self.create_entry(object, managed).await?;
        Ok(self.answer(201, entry, draft))
    }

    async fn create_entry(&self, mut object: Value, managed: bool) -> Result<(Option<Arc<Entry>>, Value), Status> {
        let call = self.call;
        let managed = managed || self.options.unowned;
        self.place(&mut object)?;
        if !meta_text(&object, "resourceVersion").is_empty() {
            return Err(Status::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        admission::fill(call, &mut object);
        let (mut object, managed) = self.mutate(None, object, managed).await?;
        let base = meta_text(&object, "generateName").to_owned();
        let generated = meta_text(&object, "name").is_empty() && !base.is_empty();
        let mut left = if generated { NAMES } else { 1 };
        loop {
            left -= 1;
            let mut attempt = if left == 0 { object.take() } else { object.clone() };
            if generated {
                let base: String = base.chars().take(NAME_BASE).collect();
                set_meta(
                    &mut attempt,
                    "name",
                    Some(json!(format!("{base}{}", call.api.random.suffix(5)))),
                );
            }
            let attempt = self.prepare_create(attempt, managed)?;
            self.validate(None, &attempt).await?;
            let key = call.key_of(meta_text(&attempt, "name"));
            let charges = admission::quota::charge(call, self.subresource, None, &attempt)?;
            let (attempt, lease) = strategy::reserve(call, attempt, None)?;
            if self.options.dry_run {
                return match call.api.store.get(&key) {
                    Some(_) if left == 0 => Err(self.already_exists(&key)),
                    Some(_) => continue,
                    None => Ok((None, attempt)),
                };
            }
            let write = self.storage_write(None, attempt, &Unread::default())?;
            let op = Op {
                key: key.clone(),
                precondition: Precondition::Absent,
                write,
            };
            match self.commit(op, charges).await {
                Ok(outcome) => {
                    lease.keep();
                    return Ok((Some(outcome.entry().clone()), Value::Null));
                }
                Err(Lost::Race) if left == 0 && call.api.store.get(&key).is_none() => {
                    // Another writer was faster with what is stored beside it.
                    return Err(call.conflict(MODIFIED));
                }
                Err(Lost::Race) if left == 0 => return Err(self.already_exists(&key)),
                Err(Lost::Race) => {}
                Err(Lost::Failed(status)) => return Err(status),
            }
        }
    }

    /// Changes the object of the request. `build` makes the new object of the current one (in the version of the request);
    /// it runs again when another writer was faster. Without a current object it is asked with `None` and may give one to
    /// create.
    pub(crate) async fn modify<F>(&self, build: F) -> Result<Answer, Status>
    where
        F: FnMut(Option<&Value>) -> Result<Step, Status> + Send,
    {
        self.modify_part(None, build).await
    }

    /// As [`Write::modify`], of a change that concerns these top-level fields only: `build` may be given an object that has no others.
    pub(crate) async fn modify_part<F>(&self, fields: Option<&[&str]>, mut build: F) -> Result<Answer, Status>
    where
        F: FnMut(Option<&Value>) -> Result<Step, Status> + Send,
    {
        let call = self.call;
        let key = call.key();
        for _ in 0..ATTEMPTS {
            let Some(current) = call.api.store.get(&key) else {
                let (object, managed) = match build(None)? {
                    Step::Store(object) => (object, false),
                    Step::Applied(object) => (object, true),
                };
                match Box::pin(self.create_entry(object, managed)).await {
                    Err(status) if status.is(&Reason::AlreadyExists) => continue,
                    Err(status) => return Err(status),
                    Ok((entry, draft)) => return Ok(self.answer(201, entry, draft)),
                }
            };
            let (old, unread) = self.read(&current, fields);
            let step = build(Some(&old))?;
            match self.change(&current, (old, unread), step).await {
                Ok(answer) => return Ok(answer),
                Err(Lost::Race) => {}
                Err(Lost::Failed(status)) => return Err(status),
            }
        }
        Err(call.conflict(MODIFIED))
    }

    /// Whether what a loop read of an object is what this write would read of it.
    pub(crate) fn takes(&self, edit: &Edit) -> bool {
        if edit.unread.is_empty() {
            self.call.def.shows_as_stored(&edit.read)
        } else {
            self.subresource == "status" && self.reads_in_part(&edit.read)
        }
    }

    /// Changes an object that is as it was read, to what `form` makes of what it should be.
    pub(crate) async fn edit<F>(&self, edit: Edit, form: F) -> Result<Answer, Status>
    where
        F: FnOnce(&Value, Value) -> Result<Value, Status> + Send,
    {
        let call = self.call;
        let Edit {
            read,
            have,
            unread,
            want,
            ..
        } = edit;
        let current = call.api.store.get(&call.key()).ok_or_else(|| call.not_found())?;
        if current.revision() != read.revision() {
            return Err(call.conflict(MODIFIED));
        }
        let object = form(&have, want)?;
        match self.change(&current, (have, unread), Step::Store(object)).await {
            Ok(answer) => Ok(answer),
            Err(Lost::Race) => Err(call.conflict(MODIFIED)),
            Err(Lost::Failed(status)) => Err(status),
        }
    }

    /// Stores the new state of an object, if it is still the one that was read.
    async fn change(&self, current: &Entry, (old, unread): (Value, Unread), step: Step) -> Result<Answer, Lost> {
        let call = self.call;
        let (mut object, mut managed) = match step {
            Step::Store(object) => (object, false),
            Step::Applied(object) => (object, true),
        };
        if unread.is_empty() {
            (object, managed) = self.mutate(Some(&old), object, managed).await?;
        }
        let object = self.prepare_update(current, (&old, &unread), object, managed)?;
        if unread.is_empty() {
            self.validate(Some(&old), &object).await?;
        }
        let charges = admission::quota::charge(call, self.subresource, Some(&old), &object)?;
        let (object, lease) = strategy::reserve(call, object, Some(&old))?;
        if self.options.dry_run {
            return Ok(self.answer(200, None, object));
        }
        let ends = strategy::ends(&call.def, &object);
        let write = if ends {
            storage::Write::Delete(Some(self.draft(object, &unread)?))
        } else {
            self.storage_write(Some(&old), object, &unread)?
        };
        let op = Op {
            key: current.key().clone(),
            precondition: Precondition::Revision(current.revision()),
            write,
        };
        // What waits for a transaction keeps none of both states: hundreds may wait, and what they keep has left the processor's caches by then.
        let old = strategy::may_release(&call.def).then_some(old);
        let outcome = self.commit(op, charges).await?;
        lease.keep();
        if let Some(old) = old {
            let now = (!ends).then(|| &**outcome.entry());
            strategy::release(call.api, &old, now);
        }
        Ok(self.answer(200, Some(outcome.entry().clone()), Value::Null))
    }

    /// The stored object in the version of the request. Of a change of these fields only these are read, if they can be.
    fn read(&self, current: &Entry, fields: Option<&[&str]>) -> (Value, Unread) {
        match fields.filter(|_| self.reads_in_part(current)) {
            Some(fields) => current.part(fields),
            None => (self.call.present(current), Unread::default()),
        }
    }

    /// Whether nobody looks at more of an object than what changes: no webhook, no rule, no reader of a dry run, and no schema by which the
    /// rest must still be brought into form.
    fn reads_in_part(&self, current: &Entry) -> bool {
        let def = &self.call.def;
        let in_form = def.is_in_form(&current.revision().to_string()) && !def.may_lack_defaults(current);
        let judged = || admission::judges(self.call, self.subresource) || self.hooks(true).is_some();
        in_form && !self.options.dry_run && def.parts_are_apart() && !judged()
    }

    /// The admission webhooks that this write concerns.
    fn hooks(&self, updating: bool) -> Option<Hooks<'_>> {
        let call = self.call;
        // Who asked for a binding has been asked about the binding.
        if self.subresource == "binding" {
            return None;
        }
        let operation = if updating { Operation::Update } else { Operation::Create };
        let hooks = Hooks::of(call, operation, self.subresource)?;
        let hooks = hooks.with_options(self.options.for_admission(call.request, updating), self.options.dry_run);
        Some(if self.subresource == "scale" {
            hooks.with_kind(scale_kind())
        } else {
            hooks
        })
    }

    /// Lets mutating webhooks change what is to be stored. What they change belongs to no manager.
    async fn mutate(&self, old: Option<&Value>, mut object: Value, managed: bool) -> Result<(Value, bool), Status> {
        let Some(hooks) = self.hooks(old.is_some()) else {
            return Ok((object, managed));
        };
        let call = self.call;
        if let (Some(old), "scale") = (old, self.subresource) {
            let sent = scale::view(call, &object);
            let changed = Box::pin(hooks.mutate(Some(&scale::view(call, old)), sent)).await?;
            scale::scale_to(call, &mut object, &changed);
            return Ok((object, managed));
        }
        admission::expect_namespace(call, old, &object)?;
        typed::default(call, &mut object, false);
        admission::complete(call, self.subresource, old.is_none(), &mut object);
        let hooks = hooks.with_name(meta_text(&object, "name"));
        let mut changed = Box::pin(hooks.mutate(old, object.clone())).await?;
        if changed == object {
            return Ok((object, managed));
        }
        if !managed {
            managed::update(self, old, &mut object);
        }
        set_meta(&mut changed, "managedFields", meta(&object, "managedFields").cloned());
        self.place(&mut changed)?;
        Ok((changed, true))
    }

    /// Lets admission, webhooks last, refuse what is about to be stored.
    async fn validate(&self, old: Option<&Value>, object: &Value) -> Result<(), Status> {
        admission::check(self.call, self.subresource, old.is_none(), object)?;
        let Some(hooks) = self.hooks(old.is_some()) else {
            return Ok(());
        };
        let call = self.call;
        if let (Some(old), "scale") = (old, self.subresource) {
            let (old, object) = (scale::view(call, old), scale::view(call, object));
            return Box::pin(hooks.validate(Some(&old), Some(&object))).await;
        }
        let hooks = hooks.with_name(meta_text(object, "name"));
        Box::pin(hooks.validate(old, Some(object))).await
    }

    fn answer(&self, code: u16, entry: Option<Arc<Entry>>, object: Value) -> Answer {
        let def = self.call.def.clone();
        let body = match entry {
            Some(entry) => AnswerBody::Entry(def, entry),
            None => AnswerBody::Object(def, object),
        };
        self.call.answer(code, body)
    }

    /// Puts the object where the URL says; 400 when it says something else.
    fn place(&self, object: &mut Value) -> Result<(), Status> {
        let target = &self.call.request.target;
        let namespace = meta_text(object, "namespace");
        if target.namespace.is_empty() {
            set_meta(object, "namespace", None);
        } else if namespace.is_empty() {
            set_meta(object, "namespace", Some(json!(target.namespace)));
        } else if namespace != target.namespace {
            let text = if target.name.is_empty() {
                "the namespace of the provided object does not match the namespace sent on the request".to_owned()
            } else {
                format!(
                    "the namespace of the object ({namespace}) does not match the namespace on the request ({})",
                    target.namespace
                )
            };
            return Err(Status::bad_request(text));
        }
        if target.name.is_empty() {
            return Ok(());
        }
        let name = meta_text(object, "name");
        if name.is_empty() {
            set_meta(object, "name", Some(json!(target.name)));
        } else if name != target.name {
            return Err(Status::bad_request(format!(
                "the name of the object ({name}) does not match the name on the URL ({})",
                target.name
            )));
        }
        Ok(())
    }

    fn prepare_create(&self, mut object: Value, managed: bool) -> Result<Value, Status> {
        let call = self.call;
        let api = call.api;
        let fields = metadata(&mut object);
        for field in [
            "resourceVersion",
            "selfLink",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
        ] {
            fields.remove(field);
        }
        fields.insert("uid".to_owned(), json!(api.random.uuid()));
        fields.insert("creationTimestamp".to_owned(), time(api.clock.now()));
        if strategy::has_generation(&call.def) {
            fields.insert("generation".to_owned(), json!(1));
        }
        typed::default(call, &mut object, true);
        strategy::prepare_create(call, &mut object);
        admission::create(call, &mut object)?;
        typed::check_create(call, &object)?;
        if !managed {
            managed::update(self, None, &mut object);
        }
        Ok(object)
    }

    fn prepare_update(
        &self,
        current: &Entry,
        (old, unread): (&Value, &Unread),
        mut object: Value,
        managed: bool,
    ) -> Result<Value, Status> {
        let call = self.call;
        self.place(&mut object)?;
        self.check_identity(current, &object)?;
        let fields = metadata(&mut object);
        for field in [
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "uid",
        ] {
            super::object::set(fields, field, meta(old, field).cloned());
        }
        fields.remove("selfLink");
        // The writer leaves the revision out; until then the object compares equal to the old one when nothing changes.
        super::object::set(fields, "resourceVersion", meta(old, "resourceVersion").cloned());
        // What did not change has its defaults.
        let same = set_aside(old, &mut object);
        typed::default(call, &mut object, false);
        same.restore(&mut object);
        unread.leave(&mut object);
        strategy::prepare_update(call, self.subresource, old, &mut object);
        admission::update(call, self.subresource, old, &mut object)?;
        if strategy::is_new_generation(&call.def, old, &object) {
            set_meta(&mut object, "generation", Some(json!(generation(old) + 1)));
        }
        if !managed {
            managed::update(self, Some(old), &mut object);
        }
        schema::apply::settle_times(old, &mut object);
        // What did not change was valid when it came in.
        if object != *old {
            typed::check_update(call, self.subresource, (old, unread), &object)?;
        }
        Ok(object)
    }

    /// The uid and the revision that the object carries are preconditions.
    fn check_identity(&self, current: &Entry, object: &Value) -> Result<(), Status> {
        let call = self.call;
        let uid = meta_text(object, "uid");
        if !uid.is_empty() && uid != current.meta().uid {
            return Err(call.conflict(&format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                current.meta().uid
            )));
        }
        let revision = meta_text(object, "resourceVersion");
        if revision.is_empty() || revision == "0" {
            return Ok(());
        }
        match revision.parse::<u64>() {
            Ok(number) if number == current.revision() => Ok(()),
            Ok(_) => Err(call.conflict(MODIFIED)),
            Err(_) => Err(Status::bad_request(format!(
                "resourceVersion: invalid value {revision:?}"
            ))),
        }
    }

    /// The form in which an object is stored.
    fn draft(&self, mut object: Value, unread: &Unread) -> Result<Draft, Status> {
        if !self.call.def.is_storage_version() {
            set_type(&mut object, &self.call.stored_kind());
        }
        Draft::with(object, unread).map_err(Status::internal)
    }

    fn storage_write(&self, old: Option<&Value>, object: Value, unread: &Unread) -> Result<storage::Write, Status> {
        let call = self.call;
        if strategy::expires(&call.def) {
            let at = call.api.clock.now().as_second() + call.api.config.event_ttl_seconds;
            return Ok(storage::Write::PutExpiring(self.draft(object, unread)?, at));
        }
        let heartbeat = old.is_some_and(|old| strategy::is_heartbeat(&call.def, old, &object));
        let draft = self.draft(object, unread)?;
        Ok(if heartbeat {
            storage::Write::Heartbeat(draft)
        } else {
            storage::Write::Put(draft)
        })
    }

    async fn commit(&self, op: Op, beside: Vec<Op>) -> Result<Outcome, Lost> {
        commit::commit_with(self.call, op, beside).await
    }

    fn already_exists(&self, key: &Key) -> Status {
        let def = &self.call.def;
        let mut status = Status::already_exists(&def.group, &def.plural, &key.name);
        let current = self.call.api.store.get(key);
        if current.is_some_and(|current| current.meta().deletion_timestamp.is_some()) {
            status.message = format!("object is being deleted: {}", status.message);
        }
        status
    }
}

/// Marks an object as being deleted from now on.
pub(crate) fn mark_deleted(call: &Call<'_>, object: &mut Value) {
    if is_terminating(object) {
        return;
    }
    set_meta(object, "deletionTimestamp", Some(time(call.api.clock.now())));
    set_meta(object, "deletionGracePeriodSeconds", Some(json!(0)));
    let generation = generation(object);
    if generation > 0 {
        set_meta(object, "generation", Some(json!(generation + 1)));
    }
}

/// Adds or removes a finalizer.
pub(crate) fn change_finalizer(object: &mut Value, name: &str, present: bool) {
    let mut list = finalizers(object);
    let known = list.iter().any(|own| own == name);
    if known == present {
        return;
    }
    if present {
        list.push(name.to_owned());
    } else {
        list.retain(|own| own != name);
    }
    set_finalizers(object, &list);
}
