//! The type model: what a value of a kind looks like, for built-in and custom kinds alike.
//!
//! [`Types`] is an arena of structs, because Kubernetes types are recursive (`JSONSchemaProps`). A [`Shape`] says what a
//! place in an object holds; only `Shape::Struct` points back into the arena, so walk with both in hand: [`TypeRef`].

mod lookup;

use std::collections::HashMap;

use serde_json::Value;

use lookup::Lookup;

/// All structs of one family of kinds: the built-in ones together, or one version of one custom resource.
#[derive(Debug, Clone, Default)]
pub struct Types {
    structs: Vec<StructDef>,
    by_name: HashMap<String, StructId>,
}

/// Where a struct lies in its [`Types`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct StructId(usize);

impl Types {
    /// Adds a struct under its name; a struct of the same name is replaced and keeps its id.
    pub fn insert(&mut self, mut def: StructDef) -> StructId {
        def.lookup = Lookup::of(&def, self);
        if let Some(id) = self.by_name.get(&def.name) {
            self.structs[id.0] = def;
            return *id;
        }
        let id = StructId(self.structs.len());
        self.by_name.insert(def.name.clone(), id);
        self.structs.push(def);
        id
    }

    /// The id of the struct of this name, reserving one for a forward reference.
    pub fn reserve(&mut self, name: &str) -> StructId {
        match self.by_name.get(name) {
            Some(id) => *id,
            None => self.insert(StructDef::named(name)),
        }
    }

    /// The struct of this name, for example `apps.v1.Deployment`.
    pub fn find(&self, name: &str) -> Option<StructId> {
        self.by_name.get(name).copied()
    }

    /// The definition behind an id of this arena.
    pub fn get(&self, id: StructId) -> &StructDef {
        &self.structs[id.0]
    }

    /// Every struct with its id, in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (StructId, &StructDef)> {
        self.structs
            .iter()
            .enumerate()
            .map(|(index, def)| (StructId(index), def))
    }
}

/// Group, version and kind; the core group is the empty string.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupVersionKind {
    /// API group, empty for core.
    pub group: String,
    /// API version, for example `v1`.
    pub version: String,
    /// Kind in CamelCase.
    pub kind: String,
}

impl GroupVersionKind {
    /// `apiVersion` as written in an object: `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether this is what an object's `apiVersion` says.
    pub fn is_api_version(&self, api_version: &str) -> bool {
        match api_version.split_once('/') {
            Some((group, version)) => !group.is_empty() && self.group == group && self.version == version,
            None => self.group.is_empty() && self.version == api_version,
        }
    }
}

/// Joins group and version as `apiVersion` does.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.to_owned()
    } else {
        format!("{group}/{version}")
    }
}

/// A struct: an object with named fields.
#[derive(Debug, Clone, Default, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact of the schema language"
)]
pub struct StructDef {
    /// Unique name in its arena: `core.v1.Pod` for built-in types, a dotted path for the parts of a custom resource.
    pub name: String,
    /// Fields, in protobuf number order for built-in types.
    pub fields: Vec<Field>,
    /// The object carries `apiVersion` and `kind` (they are not listed in `fields`).
    pub typemeta: bool,
    /// Part of a custom resource: values are kept as they were written, nulls and zeros included.
    pub custom: bool,
    /// Kinds that have this struct as their root.
    pub gvks: Vec<GroupVersionKind>,
    /// Server-side apply treats the whole value as one field.
    pub atomic: bool,
    /// Unknown fields are kept (`x-kubernetes-preserve-unknown-fields`), neither pruned nor reported.
    pub preserve_unknown: bool,
    /// The value is a whole object of its own (`x-kubernetes-embedded-resource`): apiVersion, kind, metadata are known.
    pub embedded_resource: bool,
    /// JSON is not an object of the fields; see [`Form`].
    pub form: Option<Form>,
    /// Has no OpenAPI definition (wire-only types).
    pub no_api: bool,
    /// Raw `x-kubernetes-unions` extension.
    pub unions: Option<Value>,
    /// Made when the struct comes into an arena.
    pub(crate) lookup: Lookup,
}

impl StructDef {
    /// An empty struct with a name.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }
}

/// JSON forms of built-in types that are not plain objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON is the value of the only field.
    Unwrap,
    /// JSON is the value; there is no message.
    Alias,
    /// A free object.
    Object,
    /// apiextensions: a schema or a list of schemas.
    SchemaOrList,
    /// apiextensions: a schema or a boolean.
    SchemaOrBool,
    /// apiextensions: a schema or a list of strings.
    SchemaOrStrings,
    /// JSON is this leaf. Fields of such a type have the leaf as their shape; the struct is only there to be described.
    Scalar(Scalar),
}

/// One field of a struct.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is an independent fact of the schema language"
)]
pub struct Field {
    /// JSON name; empty for an inlined struct without a key of its own.
    pub json: String,
    /// Protobuf field number, if it is on the wire.
    pub number: Option<u32>,
    /// Name in the protobuf schema when it is not the JSON name.
    pub proto: Option<String>,
    /// What it holds.
    pub shape: Shape,
    /// Its fields are siblings in JSON.
    pub inline: bool,
    /// Presence counts: an explicit zero stays.
    pub ptr: bool,
    /// List or map elements are pointers.
    pub ptr_elements: bool,
    /// The reference JSON writes the key even when the value is empty.
    pub emit: bool,
    /// A zero time leaves the key out.
    pub omit_zero: bool,
    /// Required in the schema.
    pub required: bool,
    /// Null is an allowed value.
    pub nullable: bool,
    /// Schema default.
    pub default: Option<Value>,
    /// Strategic merge patch: lists merge by [`Field::merge_key`] (or as a set of scalars when there is none).
    pub patch_merge: bool,
    /// Strategic merge patch: the object is replaced, not merged.
    pub patch_replace: bool,
    /// Strategic merge patch: `retainKeys`.
    pub patch_retain_keys: bool,
    /// Strategic merge patch key.
    pub merge_key: Option<String>,
    /// Closed set of strings, empty when open.
    pub allowed: Vec<String>,
    /// OpenAPI format when the shape does not give it.
    pub format: Option<String>,
}

impl Field {
    /// A plain optional field.
    pub fn new(json: &str, shape: Shape) -> Self {
        Self {
            json: json.to_owned(),
            number: None,
            proto: None,
            shape,
            inline: false,
            ptr: false,
            ptr_elements: false,
            emit: false,
            omit_zero: false,
            required: false,
            nullable: false,
            default: None,
            patch_merge: false,
            patch_replace: false,
            patch_retain_keys: false,
            merge_key: None,
            allowed: Vec::new(),
            format: None,
        }
    }
}

/// What a place in an object holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// A leaf.
    Scalar(Scalar),
    /// An object with named fields.
    Struct(StructId),
    /// A list.
    List {
        /// What each element holds.
        element: Box<Shape>,
        /// How server-side apply merges it.
        kind: ListKind,
    },
    /// An object with free keys.
    Map {
        /// What each value holds.
        value: Box<Shape>,
        /// Server-side apply treats the whole map as one field.
        atomic: bool,
    },
    /// A shape with value validations of a structural schema on top (custom resources only).
    Checked {
        /// The shape itself, never `Checked` again.
        shape: Box<Shape>,
        /// What its values must satisfy.
        checks: Box<Checks>,
    },
}

impl Shape {
    /// The shape without its value validations.
    pub fn bare(&self) -> &Shape {
        match self {
            Shape::Checked { shape, .. } => shape,
            other => other,
        }
    }

    /// A leaf.
    pub fn is_scalar(&self) -> bool {
        matches!(self.bare(), Shape::Scalar(_))
    }
}

/// `x-kubernetes-list-type`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListKind {
    /// Replaced as a whole (the default).
    Atomic,
    /// Scalars without duplicates.
    Set,
    /// Objects identified by these keys.
    Map(Vec<String>),
}

/// Leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// UTF-8 text.
    String,
    /// true or false.
    Bool,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// Unsigned 32-bit integer.
    Uint32,
    /// Unsigned 64-bit integer.
    Uint64,
    /// Floating point.
    Double,
    /// Base64 text in JSON.
    Bytes,
    /// A quantity such as `100m`; a JSON number is accepted too.
    Quantity,
    /// An integer or a string.
    IntOrString,
    /// RFC 3339 to the second.
    Time,
    /// RFC 3339 to the microsecond.
    MicroTime,
    /// Go duration text.
    Duration,
    /// A whole object of any kind.
    RawExtension,
    /// A field set of server-side apply.
    FieldsV1,
    /// Any JSON value.
    Any,
}

/// Value validations of a structural schema.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Checks {
    /// Allowed values.
    pub one_of_values: Vec<Value>,
    /// RE2 pattern.
    pub pattern: Option<String>,
    /// Named format.
    pub format: Option<String>,
    /// Length bounds of a string, in characters.
    pub min_length: Option<u64>,
    /// See `min_length`.
    pub max_length: Option<u64>,
    /// Bounds of a number.
    pub minimum: Option<f64>,
    /// See `minimum`.
    pub maximum: Option<f64>,
    /// The bound itself is excluded.
    pub exclusive_minimum: bool,
    /// The bound itself is excluded.
    pub exclusive_maximum: bool,
    /// Numbers must be a multiple of this.
    pub multiple_of: Option<f64>,
    /// Bounds of a list's length.
    pub min_items: Option<u64>,
    /// See `min_items`.
    pub max_items: Option<u64>,
    /// Bounds of an object's size.
    pub min_properties: Option<u64>,
    /// See `min_properties`.
    pub max_properties: Option<u64>,
    /// Schemas (raw JSON) of which all must hold.
    pub all_of: Vec<Value>,
    /// Schemas (raw JSON) of which one at least must hold.
    pub any_of: Vec<Value>,
    /// Schemas (raw JSON) of which exactly one must hold.
    pub exactly_one_of: Vec<Value>,
    /// A schema (raw JSON) that must not hold.
    pub not: Option<Value>,
    /// Null is an allowed value.
    pub nullable: bool,
    /// Keys that must be there without being fields of a struct.
    pub required: Vec<String>,
}

/// A place in a type: the arena and the shape together.
#[derive(Debug, Clone, Copy)]
pub struct TypeRef<'a> {
    /// The arena that struct ids of `shape` point into.
    pub types: &'a Types,
    /// What the place holds.
    pub shape: &'a Shape,
}

impl<'a> TypeRef<'a> {
    /// Another place of the same arena.
    #[must_use]
    pub fn at(self, shape: &'a Shape) -> Self {
        Self {
            types: self.types,
            shape,
        }
    }

    /// The struct behind this place, if it is one.
    pub fn as_struct(self) -> Option<&'a StructDef> {
        match self.shape.bare() {
            Shape::Struct(id) => Some(self.types.get(*id)),
            _ => None,
        }
    }

    /// The place that describes this value: what a wrapper of one value wraps, or the alternative of a union that the
    /// value takes. `None` when nothing more is known about it.
    pub fn formed(self, value: &Value) -> Option<TypeRef<'a>> {
        let Shape::Struct(id) = self.shape.bare() else {
            return Some(self);
        };
        let def = self.types.get(*id);
        let alternative = match (def.form, value) {
            (None, _) => return Some(self),
            (Some(Form::Unwrap), _) | (Some(Form::SchemaOrList | Form::SchemaOrStrings), Value::Object(_)) => 0,
            (Some(Form::SchemaOrList | Form::SchemaOrStrings), Value::Array(_))
            | (Some(Form::SchemaOrBool), Value::Object(_)) => 1,
            (Some(_), _) => return None,
        };
        def.fields.get(alternative).map(|field| TypeRef {
            types: self.types,
            shape: &field.shape,
        })
    }

    /// The field that a JSON key of an object at this place means, looking through inlined structs.
    pub fn field(self, json: &str) -> Option<&'a Field> {
        find_field(self.types, self.as_struct()?, json)
    }

    /// The place behind a JSON key: a field of a struct, or the value of a map. A type's own `apiVersion`, `kind` and
    /// unknown keys give `None`.
    pub fn child(self, json: &str) -> Option<TypeRef<'a>> {
        match self.shape.bare() {
            Shape::Struct(_) => self.field(json).map(|field| TypeRef {
                types: self.types,
                shape: &field.shape,
            }),
            Shape::Map { value, .. } => Some(TypeRef {
                types: self.types,
                shape: value,
            }),
            _ => None,
        }
    }

    /// The place of a list's elements.
    pub fn element(self) -> Option<TypeRef<'a>> {
        match self.shape.bare() {
            Shape::List { element, .. } => Some(TypeRef {
                types: self.types,
                shape: element,
            }),
            _ => None,
        }
    }
}

/// Finds a field by JSON name in a struct and everything inlined into it.
pub fn find_field<'a>(types: &'a Types, def: &'a StructDef, json: &str) -> Option<&'a Field> {
    def.own_field(json).or_else(|| {
        def.inlined().find_map(|field| match field.shape.bare() {
            Shape::Struct(id) => find_field(types, types.get(*id), json),
            _ => None,
        })
    })
}
