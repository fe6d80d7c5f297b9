//! Amounts of resources by name, in thousandths, as a short sorted list.

use std::fmt;

use crds::quantity;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Amounts by resource name. What lies beyond 64 bits counts as the largest number.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amounts(Vec<(Box<str>, i64)>);

impl Amounts {
    /// The amount of one resource.
    pub fn get(&self, name: &str) -> Option<i64> {
        // Three or four names: looking at each is faster than any index.
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, amount)| *amount)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(name, amount)| (&**name, *amount))
    }

    /// Nothing is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Less another; what only the other names is not there.
    #[must_use]
    pub fn less(&self, other: &Self) -> Self {
        self.iter()
            .map(|(name, amount)| {
                (
                    name.to_owned(),
                    amount.saturating_sub(other.get(name).unwrap_or_default()),
                )
            })
            .collect()
    }

    /// Adds `times` another.
    pub fn add(&mut self, other: &Self, times: i64) {
        for (name, amount) in other.iter() {
            let more = amount.saturating_mul(times);
            match self.0.binary_search_by(|(own, _)| (**own).cmp(name)) {
                Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(more),
                Err(at) => self.0.insert(at, (name.into(), more)),
            }
        }
    }

    /// How many times these requests fit into what is free: the smallest quotient, `None` when nothing is asked for. A resource that is
    /// asked for and not there fits zero times.
    pub(crate) fn times(&self, free: &Self) -> Option<i64> {
        self.iter()
            .filter(|(_, request)| 0 < *request)
            .map(|(name, request)| free.get(name).unwrap_or_default().max(0) / request)
            .min()
    }
}

impl<S: AsRef<str>> FromIterator<(S, i64)> for Amounts {
    fn from_iter<T: IntoIterator<Item = (S, i64)>>(list: T) -> Self {
        let mut list: Vec<(Box<str>, i64)> = list
            .into_iter()
            .map(|(name, amount)| (name.as_ref().into(), amount))
            .collect();
        list.sort_unstable();
        list.dedup_by(|later, earlier| later.0 == earlier.0);
        Self(list)
    }
}

/// A quantity as manifests write it: text or a number.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Whole(i64),
    Decimal(f64),
}

impl Written {
    /// `None` for what is no quantity.
    fn milli(&self) -> Option<i64> {
        let milli = match self {
            Self::Text(text) => quantity::milli(text)?,
            Self::Whole(number) => i128::from(*number) * 1000,
            Self::Decimal(number) => quantity::milli(&number.to_string())?,
        };
        Some(i64::try_from(milli).unwrap_or(if milli < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Amounts;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("quantities by resource name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Amounts, A::Error> {
                let mut list = Vec::new();
                while let Some((name, written)) = map.next_entry::<String, Written>()? {
                    // The API server has checked them; a resource that cannot be read is one that is not there.
                    if let Some(milli) = written.milli() {
                        list.push((name, milli));
                    }
                }
                Ok(list.into_iter().collect())
            }

            fn visit_unit<E>(self) -> Result<Amounts, E> {
                Ok(Amounts::default())
            }
        }
        deserializer.deserialize_any(Map)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn amounts(value: serde_json::Value) -> Amounts {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn read_subtracted_and_divided() {
        let free = amounts(json!({"memory": "1Gi", "cpu": 2, "pods": "110", "odd": "x"}));
        assert_eq!(free.get("cpu"), Some(2000));
        assert_eq!(free.get("odd"), None);
        let used = amounts(json!({"cpu": "500m", "gpu": 1}));
        assert_eq!(free.less(&used).get("cpu"), Some(1500));
        assert_eq!(free.less(&used).get("gpu"), None);
        let times = |request| amounts(request).times(&free);
        assert_eq!(times(json!({"cpu": "300m"})), Some(6));
        assert_eq!(times(json!({"cpu": "300m", "memory": "512Mi"})), Some(2));
        assert_eq!(times(json!({"gpu": 1})), Some(0));
        assert_eq!(times(json!({"cpu": 0})), None);
        assert_eq!(times(json!({})), None);
        assert_eq!(amounts(json!(null)), Amounts::default());
        let mut sum = used.clone();
        sum.add(&amounts(json!({"cpu": "1", "pods": 1})), 3);
        assert_eq!(sum, amounts(json!({"cpu": "3500m", "gpu": 1, "pods": 3})));
    }
}
