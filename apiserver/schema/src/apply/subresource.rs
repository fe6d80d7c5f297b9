//! Owners of a field that a subresource shows under another name: `.spec.replicas` of a Deployment is `.spec.replicas` of its
//! Scale, and whoever owns one owns the other.
//!
//! [`Mapping::to_subresource`] gives the owners that the subresource shows; after an apply to it, [`Mapping::to_parent`]
//! writes them back. Only the mapped field is touched: what else somebody owns of the parent stays theirs.

use serde_json::Value;

use super::fieldset::{FieldSet, Step};
use super::manager::{ManagedFields, ManagerEntry};

/// One field with its place in an object and in a subresource of it.
#[derive(Debug, Clone, Copy)]
pub struct Mapping<'a> {
    /// Steps to the field in the object.
    pub parent: &'a [String],
    /// `apiVersion` of the object.
    pub parent_version: &'a str,
    /// Steps to the field in the subresource.
    pub subresource: &'a [&'a str],
    /// `apiVersion` of the subresource.
    pub subresource_version: &'a str,
}

impl Mapping<'_> {
    fn parent_steps(&self) -> Vec<Step<'_>> {
        self.parent.iter().map(|step| Step::Field(step)).collect()
    }

    fn subresource_steps(&self) -> Vec<Step<'_>> {
        self.subresource.iter().map(|step| Step::Field(step)).collect()
    }

    /// The `managedFields` of the subresource, from those of the object.
    pub fn to_subresource(&self, managed: Option<&Value>) -> Option<Value> {
        let path = self.parent_steps();
        let mut shown = FieldSet::default();
        shown.insert(&self.subresource_steps());
        let owners = parse(managed).entries.into_iter();
        let entries = owners.filter(|entry| entry.set().contains(&path)).map(|entry| {
            let mut own = ManagerEntry::new(
                &entry.manager,
                entry.operation,
                self.subresource_version,
                &entry.subresource,
                shown.clone(),
            );
            own.time = entry.time;
            own
        });
        let entries = entries.collect();
        ManagedFields { entries }.into_json()
    }

    /// The `managedFields` of the object after those of its subresource have changed.
    pub fn to_parent(&self, managed: Option<&Value>, shown: Option<&Value>) -> Option<Value> {
        let path = self.parent_steps();
        let shown_path = self.subresource_steps();
        let mut field = FieldSet::default();
        field.insert(&path);
        let mut owners: Vec<ManagerEntry> = parse(shown).entries;
        owners.retain(|entry| entry.set().contains(&shown_path));
        let mut managed = parse(managed);
        for entry in &mut managed.entries {
            let same = |owner: &ManagerEntry| {
                (&owner.manager, owner.operation, &owner.subresource)
                    == (&entry.manager, entry.operation, &entry.subresource)
            };
            match owners.iter().position(same) {
                Some(index) => {
                    let owner = owners.remove(index);
                    if !entry.set().contains(&path) {
                        entry.time = owner.time;
                        entry.acquire(field.clone());
                    }
                }
                None => _ = entry.release(&field),
            }
        }
        managed.entries.extend(owners.into_iter().map(|owner| {
            let mut entry = ManagerEntry::new(
                &owner.manager,
                owner.operation,
                self.parent_version,
                &owner.subresource,
                field.clone(),
            );
            entry.time = owner.time;
            entry
        }));
        managed.into_json()
    }
}

fn parse(list: Option<&Value>) -> ManagedFields {
    list.and_then(|list| ManagedFields::parse(list.clone()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(manager: &str, operation: &str, version: &str, subresource: &str, fields: &Value) -> Value {
        let mut entry = json!({"manager": manager, "operation": operation, "apiVersion": version,
            "fieldsType": "FieldsV1", "fieldsV1": fields, "time": "2026-01-01T00:00:00Z"});
        if !subresource.is_empty() {
            entry["subresource"] = json!(subresource);
        }
        entry
    }

    #[test]
    fn owners_go_to_the_subresource_and_come_back() {
        let parent = ["spec".to_owned(), "size".to_owned()];
        let mapping = Mapping {
            parent: &parent,
            parent_version: "example.com/v1",
            subresource: &["spec", "replicas"],
            subresource_version: "autoscaling/v1",
        };
        let both = json!({"f:spec": {"f:size": {}, "f:other": {}}});
        let other = json!({"f:spec": {"f:other": {}}});
        let size = json!({"f:spec": {"f:size": {}}});
        let replicas = json!({"f:spec": {"f:replicas": {}}});
        let managed = json!([
            entry("a", "Apply", "example.com/v1", "", &both),
            entry("b", "Update", "example.com/v1", "", &other),
        ]);
        let shown = mapping.to_subresource(Some(&managed)).unwrap();
        assert_eq!(shown, json!([entry("a", "Apply", "autoscaling/v1", "", &replicas)]));
        assert_eq!(mapping.to_parent(Some(&managed), Some(&shown)), Some(managed.clone()));

        let taken = json!([entry("c", "Apply", "autoscaling/v1", "scale", &replicas)]);
        let now = mapping.to_parent(Some(&managed), Some(&taken)).unwrap();
        let expected = json!([
            entry("a", "Apply", "example.com/v1", "", &other),
            entry("c", "Apply", "example.com/v1", "scale", &size),
            entry("b", "Update", "example.com/v1", "", &other),
        ]);
        assert_eq!(now, expected);
        assert_eq!(mapping.to_subresource(None), None);
    }
}
