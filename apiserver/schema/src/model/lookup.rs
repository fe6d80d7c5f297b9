//! What a walk over a value asks of a struct for every value again, worked out once.
//!
//! A field is some three hundred bytes, and a pod's spec has forty of them: to run over all for each key of each object costs more than
//! what is done with the few that are meant. Made by [`Types::insert`](super::Types::insert), after which a struct does not change.

use std::cmp::Ordering;

use super::{Field, Scalar, Shape, StructDef, Types};

/// Fields of a struct as places in [`StructDef::fields`].
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Lookup {
    names: Names,
    inlined: Box<[u32]>,
    required: Box<[u32]>,
    written: Box<[u32]>,
    defaulted: Box<[u32]>,
    leading: Box<[u32]>,
    defaulting: Box<[u32]>,
}

impl Lookup {
    /// What there is to know of a struct whose parts, if it is a custom one, are in the arena already.
    pub(super) fn of(def: &StructDef, types: &Types) -> Self {
        let places = |wanted: &dyn Fn(&Field) -> bool| -> Box<[u32]> {
            let fields = (0..).zip(&def.fields).filter(|(_, field)| wanted(field));
            fields.map(|(place, _)| place).collect()
        };
        let formed = |part: &StructDef| !part.custom || !part.lookup.leading.is_empty();
        let given =
            |part: &StructDef| !part.custom || !part.lookup.defaulted.is_empty() || !part.lookup.defaulting.is_empty();
        Self {
            names: Names::of(&def.fields),
            inlined: places(&|field| field.inline),
            required: places(&|field| field.required && !field.inline),
            written: places(&|field| !field.inline && field.is_written()),
            defaulted: places(&|field| field.default.is_some() || field.holds_quantities()),
            leading: places(&|field| def.custom && leads(&field.shape, types, &formed)),
            defaulting: places(&|field| def.custom && leads(&field.shape, types, &given)),
        }
    }
}

/// The names of the own fields in one piece of memory, those of a length beside each other and in order.
#[derive(Debug, Clone, Default, PartialEq)]
struct Names {
    texts: Box<str>,
    /// The place of the field of each text.
    places: Box<[u32]>,
    /// Lengths in ascending order.
    lengths: Box<[Length]>,
}

/// Names of a length.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Length {
    size: u32,
    /// Where the first of them begins in [`Names::texts`].
    start: u32,
    /// The first of them in [`Names::places`], and the first that is longer.
    names: (u32, u32),
}

impl Names {
    fn of(fields: &[Field]) -> Self {
        let mut own: Vec<(&str, u32)> = fields
            .iter()
            .zip(0..)
            .filter(|(field, _)| !field.inline)
            .map(|(field, place)| (field.json.as_str(), place))
            .collect();
        own.sort_by_key(|(name, _)| (name.len(), *name));
        // The parts of a wrapper have no names: the first one stands for them.
        own.dedup_by_key(|(name, _)| *name);
        let mut names = Self::default();
        let (mut texts, mut lengths) = (String::new(), Vec::<Length>::new());
        for ((name, _), index) in own.iter().zip(0..) {
            let length = number(name.len());
            match lengths.last_mut() {
                Some(last) if last.size == length => last.names.1 = index + 1,
                _ => lengths.push(Length {
                    size: length,
                    start: number(texts.len()),
                    names: (index, index + 1),
                }),
            }
            texts.push_str(name);
        }
        names.places = own.iter().map(|(_, place)| *place).collect();
        (names.texts, names.lengths) = (texts.into(), lengths.into());
        names
    }

    /// The place of the field of this name.
    fn find(&self, name: &str) -> Option<usize> {
        let wanted = number(name.len());
        let at = self.lengths.binary_search_by_key(&wanted, |of| of.size).ok()?;
        let Length { start, names, .. } = self.lengths[at];
        let text = |index: u32| {
            let from = start as usize + (index - names.0) as usize * name.len();
            &self.texts.as_bytes()[from..from + name.len()]
        };
        let (mut low, mut high) = names;
        while low < high {
            let middle = low + (high - low) / 2;
            match text(middle).cmp(name.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(self.places[middle as usize] as usize),
                Ordering::Greater => high = middle,
            }
        }
        None
    }
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
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

/// Leaves whose zero does not mean that they are not set.
fn is_always_written(scalar: Scalar) -> bool {
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

impl Field {
    /// Whether something is written for it when it is not set, if its type has a value for that.
    pub(crate) fn is_written(&self) -> bool {
        match self.shape.bare() {
            _ if self.ptr => self.emit,
            Shape::Struct(_) => true,
            Shape::Scalar(scalar) => self.emit || (!self.omit_zero && is_always_written(*scalar)),
            _ => self.emit,
        }
    }

    /// Whether it is a map of quantities, such as the resources of a container.
    pub(crate) fn holds_quantities(&self) -> bool {
        matches!(self.shape.bare(), Shape::Map { value, .. } if **value == Shape::Scalar(Scalar::Quantity))
    }
}

impl StructDef {
    /// The field with this JSON name, looking through inlined structs is the caller's: use [`TypeRef::field`](super::TypeRef::field).
    pub fn own_field(&self, json: &str) -> Option<&Field> {
        self.lookup.names.find(json).map(|place| &self.fields[place])
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

    fn at<'a>(&'a self, places: &'a [u32]) -> impl Iterator<Item = &'a Field> {
        places.iter().map(|place| &self.fields[*place as usize])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::facts::builtin_types;
    use crate::model::ListKind;

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

    #[test]
    fn what_is_written_of_a_field_that_is_not_set() {
        let scalar = |scalar| Field::new("x", Shape::Scalar(scalar));
        let list = Shape::List {
            element: Box::new(Shape::Scalar(Scalar::String)),
            kind: ListKind::Atomic,
        };
        let mut types = Types::default();
        let part = types.insert(StructDef::named("part"));
        let structure = || Field::new("x", Shape::Struct(part));
        let emit = |field| Field { emit: true, ..field };
        let ptr = |field| Field { ptr: true, ..field };
        let omit_zero = |field| Field {
            omit_zero: true,
            ..field
        };
        let rows = [
            (scalar(Scalar::String), None),
            (emit(scalar(Scalar::String)), Some(Value::from(""))),
            (emit(scalar(Scalar::Int32)), Some(Value::from(0))),
            (emit(scalar(Scalar::Bytes)), Some(Value::Null)),
            (scalar(Scalar::Quantity), Some(Value::from("0"))),
            (scalar(Scalar::IntOrString), Some(Value::from(0))),
            (scalar(Scalar::Duration), Some(Value::from("0s"))),
            (scalar(Scalar::Time), Some(Value::Null)),
            (scalar(Scalar::MicroTime), Some(Value::Null)),
            (scalar(Scalar::RawExtension), Some(Value::Null)),
            (scalar(Scalar::Any), Some(Value::Null)),
            (omit_zero(scalar(Scalar::Time)), None),
            (omit_zero(emit(scalar(Scalar::Time))), Some(Value::Null)),
            (ptr(scalar(Scalar::Time)), None),
            (ptr(emit(scalar(Scalar::Time))), Some(Value::Null)),
            (structure(), Some(json!({}))),
            (ptr(structure()), None),
            (Field::new("x", list.clone()), None),
            (emit(Field::new("x", list)), Some(Value::Null)),
        ];
        for (field, written) in rows {
            assert_eq!(crate::decode::empty_value(&types, &field), written, "{field:?}");
        }
    }

    fn names<'a>(fields: impl Iterator<Item = &'a Field>) -> Vec<&'a str> {
        fields.map(|field| field.json.as_str()).collect()
    }

    #[test]
    fn a_custom_struct_knows_below_which_fields_there_is_anything_to_do() {
        let mut types = Types::default();
        let custom = |name: &str, fields: Vec<Field>| StructDef {
            custom: true,
            fields,
            ..StructDef::named(name)
        };
        let text = || Shape::Scalar(Scalar::String);
        let list = |element| Shape::List {
            element: Box::new(element),
            kind: ListKind::Atomic,
        };
        let given = Field {
            default: Some("x".into()),
            ..Field::new("given", text())
        };
        let plain = types.insert(custom("plain", vec![Field::new("text", text())]));
        let with_default = types.insert(custom("with-default", vec![given]));
        let builtin = types.insert(StructDef::named("meta.v1.ObjectMeta"));
        let embedded = types.insert(custom("embedded", vec![Field::new("metadata", Shape::Struct(builtin))]));
        let root = types.insert(custom(
            "root",
            vec![
                Field::new("a", Shape::Struct(plain)),
                Field::new("b", list(Shape::Struct(with_default))),
                Field::new("c", list(list(Shape::Struct(embedded)))),
                Field::new("d", text()),
            ],
        ));
        let root = types.get(root);
        assert_eq!(names(root.leading()), ["c"]);
        // What has a built-in type may have defaults.
        assert_eq!(names(root.defaulting()), ["b", "c"]);
        assert_eq!(names(types.get(with_default).defaulted()), ["given"]);
        assert_eq!(names(types.get(plain).defaulting()), [""; 0]);
    }

    #[test]
    fn a_struct_may_have_more_fields_than_anybody_writes() {
        let mut types = Types::default();
        let fields = (0..70_000).map(|number| Field::new(&format!("field{number}"), Shape::Scalar(Scalar::String)));
        let id = types.insert(StructDef {
            fields: fields.collect(),
            ..StructDef::named("wide")
        });
        let def = types.get(id);
        for number in [0, 9, 10, 65_535, 65_536, 69_999] {
            let name = format!("field{number}");
            assert_eq!(def.own_field(&name), Some(&def.fields[number]));
        }
        assert_eq!(def.own_field("field70000"), None);
    }
}
