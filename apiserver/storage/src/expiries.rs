//! When objects go away by themselves.
//!
//! Never here: making them go.

use std::collections::{BTreeSet, HashMap};

use schema::entry::{GroupResource, Key};

use crate::snapshot::Place;

/// The times, by resource: those who have any are one or two, and have tens of thousands of objects.
#[derive(Debug, Default)]
pub(crate) struct Expiries {
    times: HashMap<GroupResource, Times>,
}

#[derive(Debug, Default)]
struct Times {
    by_time: BTreeSet<(i64, Place)>,
    by_place: HashMap<Place, i64>,
}

impl Expiries {
    /// An object goes at this time (seconds since 1970), or never.
    pub(crate) fn set(&mut self, key: &Key, at: Option<i64>) {
        let place = Place::of(key);
        if let Some(times) = self.times.get_mut(&key.resource)
            && let Some(before) = times.by_place.remove(&place)
        {
            times.by_time.remove(&(before, place.clone()));
            if at.is_none() && times.by_place.is_empty() {
                self.times.remove(&key.resource);
            }
        }
        if let Some(at) = at {
            let times = self.times.entry(key.resource.clone()).or_default();
            times.by_place.insert(place.clone(), at);
            times.by_time.insert((at, place));
        }
    }

    /// Objects whose time has come, at most so many.
    pub(crate) fn due(&self, now: i64, most: usize) -> Vec<Key> {
        let all = self.times.iter().flat_map(|(resource, times)| {
            let due = times.by_time.iter().take_while(move |(at, _)| *at <= now);
            due.map(|(_, place)| place.key(resource))
        });
        all.take(most).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_time_counts() {
        let key = |plural: &str, name: &str| Key::new(GroupResource::new("", plural), "default", name);
        let mut expiries = Expiries::default();
        let due = |expiries: &Expiries, now, most| {
            let mut names: Vec<String> = expiries.due(now, most).iter().map(ToString::to_string).collect();
            names.sort();
            names.join(", ")
        };
        expiries.set(&key("events", "a"), Some(5));
        expiries.set(&key("events", "b"), Some(3));
        expiries.set(&key("leases", "c"), Some(4));
        assert_eq!(due(&expiries, 2, 9), "");
        assert_eq!(due(&expiries, 4, 9), "events default/b, leases default/c");
        assert_eq!(expiries.due(9, 2).len(), 2);
        expiries.set(&key("events", "b"), Some(6));
        assert_eq!(due(&expiries, 5, 9), "events default/a, leases default/c");
        expiries.set(&key("leases", "c"), None);
        expiries.set(&key("events", "a"), None);
        assert_eq!(due(&expiries, 9, 9), "events default/b");
        expiries.set(&key("events", "b"), None);
        expiries.set(&key("events", "b"), None);
        assert_eq!(due(&expiries, 9, 9), "");
        assert!(expiries.times.is_empty());
    }
}
