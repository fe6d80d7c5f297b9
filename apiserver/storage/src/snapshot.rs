//! One resource at one revision: an ordered persistent map, so that a copy costs nothing and is never torn.
//!
//! Never here: how the map came about.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

use rpds::RedBlackTreeMapSync;
use schema::entry::{Entry, GroupResource, Key};

/// All objects of one resource, ordered by (namespace, name) bytewise.
pub(crate) type Map = RedBlackTreeMapSync<Place, Arc<Entry>>;

/// Where an object lives within its resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Place {
    pub(crate) fn new(namespace: &Arc<str>, name: &Arc<str>) -> Self {
        Self {
            namespace: namespace.clone(),
            name: name.clone(),
        }
    }

    pub(crate) fn key(&self, resource: &GroupResource) -> Key {
        Key {
            resource: resource.clone(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }

    pub(crate) fn of(key: &Key) -> Self {
        Self {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
        }
    }
}

/// Lets the map be asked with borrowed strings: a lookup allocates nothing.
trait Placed {
    fn parts(&self) -> (&str, &str);
}

impl Placed for Place {
    fn parts(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

impl Placed for (&str, &str) {
    fn parts(&self) -> (&str, &str) {
        *self
    }
}

impl<'a> Borrow<dyn Placed + 'a> for Place {
    fn borrow(&self) -> &(dyn Placed + 'a) {
        self
    }
}

impl PartialEq for dyn Placed + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for dyn Placed + '_ {}

impl PartialOrd for dyn Placed + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Placed + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// Finds an object in a map.
pub(crate) fn find<'a>(map: &'a Map, namespace: &str, name: &str) -> Option<&'a Arc<Entry>> {
    map.get(&(namespace, name) as &dyn Placed)
}

/// Removes an object from a map.
pub(crate) fn remove(map: &mut Map, place: &Place) {
    map.remove_mut(place);
}

/// One resource at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    revision: u64,
    map: Map,
}

impl Snapshot {
    pub(crate) fn new(revision: u64, map: Map) -> Self {
        Self { revision, map }
    }

    /// The revision of the whole store that this is the state of.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// One object; cluster-scoped ones have an empty namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Entry>> {
        find(&self.map, namespace, name)
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.map.size()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Every object, ordered by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.map.values()
    }

    /// The objects of one namespace, ordered by name.
    pub fn iter_namespace(&self, namespace: &str) -> impl Iterator<Item = &Arc<Entry>> {
        self.iter_from(namespace, "")
            .take_while(move |entry| entry.namespace() == namespace)
    }

    /// The objects from this place on, the place included.
    pub fn iter_from(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Arc<Entry>> + use<'_> {
        self.range(Bound::Included(Place {
            namespace: namespace.into(),
            name: name.into(),
        }))
    }

    /// The objects behind this place, the place excluded: how a list goes on after its last page.
    pub fn iter_after(&self, namespace: &str, name: &str) -> impl Iterator<Item = &Arc<Entry>> + use<'_> {
        self.range(Bound::Excluded(Place {
            namespace: namespace.into(),
            name: name.into(),
        }))
    }

    fn range(&self, start: Bound<Place>) -> impl Iterator<Item = &Arc<Entry>> + use<'_> {
        self.map
            .range::<Place, _>((start, Bound::Unbounded))
            .map(|(_, entry)| entry)
    }
}
