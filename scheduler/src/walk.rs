//! Names with values, for callers that ask about clusters in the order of their names, as nearly all do: each answer is found by walking on
//! from the last one, so that as many names as clusters cost no more than the clusters.

use std::cell::Cell;

/// Names, sorted, each with a value. A name may come several times.
#[derive(Debug)]
pub(crate) struct Walk<'a, T> {
    all: Vec<(&'a str, T)>,
    /// Where the answer to the last question stood.
    at: Cell<usize>,
}

impl<'a, T> Walk<'a, T> {
    pub(crate) fn new(names: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let mut all: Vec<(&str, T)> = names.into_iter().collect();
        // Equal names stay in the order in which they came.
        all.sort_by_key(|(name, _)| *name);
        Self { all, at: Cell::new(0) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The values of a name.
    pub(crate) fn of(&self, name: &str) -> impl DoubleEndedIterator<Item = &T> {
        let mut at = self.at.get();
        if 0 < at && name <= self.all[at - 1].0 {
            at = self.all.partition_point(|(own, _)| *own < name);
        }
        at += self.all[at..].iter().take_while(|(own, _)| *own < name).count();
        self.at.set(at);
        let count = self.all[at..].iter().take_while(|(own, _)| *own == name).count();
        self.all[at..at + count].iter().map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.of(name).next().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_any_order() {
        let walk = Walk::new([("d", 1), ("b", 2), ("b", 3), ("f", 4)]);
        for name in ["a", "b", "b", "c", "d", "g", "f", "a", "b", "f", "e"] {
            let expected: &[i32] = match name {
                "b" => &[2, 3],
                "d" => &[1],
                "f" => &[4],
                _ => &[],
            };
            assert_eq!(walk.of(name).copied().collect::<Vec<_>>(), expected, "{name}");
            assert_eq!(walk.contains(name), !expected.is_empty(), "{name}");
        }
        let none = Walk::<i32>::new([]);
        assert!(none.is_empty() && !none.contains("a"));
    }
}
