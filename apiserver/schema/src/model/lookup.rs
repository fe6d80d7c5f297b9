//! What a walk over a value asks of a struct for every value again, worked out once.
//!
//! A field is some three hundred bytes, and a pod's spec has forty of them: to run over all for each key of each object costs more than
//! what is done with the few that are meant. Made by [`Types::insert`](super::Types::insert), after which a struct does not change.

use super::{Field, Scalar, Shape, StructDef, Types};

/// Fields of a struct as places in [`StructDef::fields`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lookup {
    /// Own fields, by the length of their name and then by their name.
    names: Box<[(u32, u16)]>,
    inlined: Box<[u16]>,
    required: Box<[u16]>,
    written: Box<[u16]>,
    defaulted: Box<[u16]>,
    leading: Box<[u16]>,
    defaulting: Box<[u16]>,
}

impl Lookup {
    /// What there is to know of a struct whose parts, if it is a custom one, are in the arena already.
    pub(super) fn of(def: &StructDef, types: &Types) -> Self {
        let places = |wanted: &dyn Fn(&Field) -> bool| -> Box<[u16]> {
            let fields = (0..).zip(&def.fields).filter(|(_, field)| wanted(field));
            fields.map(|(place, _)| place).collect()
        };
        let own = places(&|field| !field.inline);
        let mut names: Vec<(u32, u16)> = own
            .iter()
            .map(|place| (length(&def.fields[usize::from(*place)].json), *place))
            .collect();
        let name = |place: u16| def.fields[usize::from(place)].json.as_str();
        names.sort_by(|(length, place), (other_length, other)| {
            (length, name(*place)).cmp(&(other_length, name(*other)))
        });
        let leads = |field: &Field| {
            def.custom
                && leads(&field.shape, types, &|part| {
                    !part.custom || !part.lookup.leading.is_empty()
                })
        };
        let defaulting = |field: &Field| def.custom && leads_to_defaults(field, types);
        Self {
            names: names.into(),
            inlined: places(&|field| field.inline),
            required: places(&|field| field.required && !field.inline),
            written: places(&|field| !field.inline && is_written(field)),
            defaulted: places(&|field| field.default.is_some() || holds_quantities(field)),
            leading: places(&leads),
            defaulting: places(&defaulting),
        }
    }
}

fn length(name: &str) -> u32 {
    u32::try_from(name.len()).unwrap_or(u32::MAX)
}

/// Whether a struct that satisfies this is at a place or in its elements.
fn leads(shape: &Shape, types: &Types, wanted: &dyn Fn(&StructDef) -> bool) -> bool {
    match shape.bare() {
        Shape::Struct(id) => wanted(types.get(*id)),
        Shape::List { element, .. } => leads(element, types, wanted),
        Shape::Map { value, .. } => leads(value, types, wanted),
        Shape::Scalar(_) | Shape::Checked { .. } => false,
    }
}

fn leads_to_defaults(field: &Field, types: &Types) -> bool {
    leads(&field.shape, types, &|part| {
        !part.custom || !part.lookup.defaulted.is_empty() || !part.lookup.defaulting.is_empty()
    })
}

/// Whether something is written for a field that is not set, if its type has a value for that.
fn is_written(field: &Field) -> bool {
    match field.shape.bare() {
        _ if field.ptr => field.emit,
        Shape::Struct(_) => true,
        Shape::Scalar(scalar) => field.emit || (!field.omit_zero && is_always_written(*scalar)),
        _ => field.emit,
    }
}

/// Leaves whose zero does not mean that they are not set.
pub(crate) fn is_always_written(scalar: Scalar) -> bool {
    matches!(
        scalar,
        Scalar::Quantity
            | Scalar::IntOrString
            | Scalar::Duration
            | Scalar::Time
            | Scalar::MicroTime
            | Scalar::RawExtension
            | Scalar::Any
    )
}

/// A map of quantities, such as the resources of a container.
fn holds_quantities(field: &Field) -> bool {
    matches!(field.shape.bare(), Shape::Map { value, .. } if **value == Shape::Scalar(Scalar::Quantity))
}

impl StructDef {
    /// The field with this JSON name, looking through inlined structs is the caller's: use [`TypeRef::field`](super::TypeRef::field).
    pub fn own_field(&self, json: &str) -> Option<&Field> {
        let names = &self.lookup.names;
        let of_length = length(json);
        let from = names.partition_point(|(length, _)| *length < of_length);
        let alike = names[from..].iter().take_while(|(length, _)| *length == of_length);
        alike
            .map(|(_, place)| &self.fields[usize::from(*place)])
            .find(|field| field.json == json)
    }

    /// Fields whose own fields are siblings in JSON.
    pub(crate) fn inlined(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.inlined)
    }

    /// Fields that must be there.
    pub(crate) fn required(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.required)
    }

    /// Fields for which something may be written though they are not set.
    pub(crate) fn written(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.written)
    }

    /// Fields that have a default, and maps of quantities.
    pub(crate) fn defaulted(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.defaulted)
    }

    /// Of a custom struct: the fields below which something has a built-in type.
    pub(crate) fn leading(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.leading)
    }

    /// Of a custom struct: the fields below which there may be defaults.
    pub(crate) fn defaulting(&self) -> impl Iterator<Item = &Field> {
        self.at(&self.lookup.defaulting)
    }

    fn at<'a>(&'a self, places: &'a [u16]) -> impl Iterator<Item = &'a Field> {
        places.iter().map(|place| &self.fields[usize::from(*place)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::builtin_types;

    #[test]
    fn every_field_is_found_as_by_running_over_all() {
        let types = builtin_types();
        for (_, def) in types.iter() {
            for name in def
                .fields
                .iter()
                .map(|field| field.json.as_str())
                .chain(["", "nothing", "spec"])
            {
                let found = def.fields.iter().find(|field| field.json == name && !field.inline);
                assert_eq!(def.own_field(name), found, "{} {name}", def.name);
            }
            let all = |wanted: &dyn Fn(&&Field) -> bool| def.fields.iter().filter(wanted).collect::<Vec<_>>();
            assert_eq!(
                def.inlined().collect::<Vec<_>>(),
                all(&|field| field.inline),
                "{}",
                def.name
            );
            assert_eq!(
                def.required().collect::<Vec<_>>(),
                all(&|field| field.required && !field.inline),
                "{}",
                def.name
            );
            let written = all(&|field| !field.inline && crate::decode::empty_value(types, field).is_some());
            assert_eq!(def.written().collect::<Vec<_>>(), written, "{}", def.name);
        }
    }
}
