//! Writes many cluster names in little space: runs of numbers become one word, `edge-[0001-0420]`.
//!
//! A name's last number counts. Brackets are in no cluster's name, so that a run is never mistaken for one.

use std::collections::BTreeMap;

/// A name around its last number.
#[derive(Debug)]
struct Parts<'a> {
    before: &'a str,
    after: &'a str,
    digits: usize,
    number: u64,
}

fn parts(name: &str) -> Option<Parts<'_>> {
    let end = name.rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    let digits = &name[start..end];
    Some(Parts {
        before: &name[..start],
        after: &name[end..],
        digits: digits.len(),
        number: digits.parse().ok()?,
    })
}

/// Numbers that stand at the same place of names that are alike, with the names.
type Numbers<'a> = Vec<(u64, &'a str)>;

/// Names in order, runs of three and more folded.
pub fn fold(list: Vec<&str>) -> Vec<String> {
    if list.len() < 3 {
        let mut list: Vec<String> = list.into_iter().map(str::to_owned).collect();
        list.sort_unstable();
        return list;
    }
    let mut folded = Vec::new();
    // Few clusters are named by a pattern of their own; numbers are sorted faster than names, and mostly come in order.
    let mut patterns: BTreeMap<(&str, &str, usize), Numbers<'_>> = BTreeMap::new();
    for name in list {
        match parts(name) {
            Some(found) => {
                let numbers = patterns.entry((found.before, found.after, found.digits)).or_default();
                numbers.push((found.number, name));
            }
            None => folded.push(name.to_owned()),
        }
    }
    for ((before, after, width), mut found) in patterns {
        found.sort_unstable_by_key(|(number, _)| *number);
        for run in found.chunk_by(|(a, _), (b, _)| a.checked_add(1) == Some(*b)) {
            match run {
                [(from, _), .., (to, _)] if 2 < run.len() => {
                    folded.push(format!("{before}[{from:0width$}-{to:0width$}]{after}"));
                }
                few => folded.extend(few.iter().map(|(_, name)| (*name).to_owned())),
            }
        }
    }
    // One run of sorted names for each pattern: a sort that finds runs has little to do.
    folded.sort();
    folded
}

/// The names behind a word.
pub fn unfold(word: &str) -> Vec<String> {
    let Some((before, first, last, digits, after)) = run(word) else {
        return vec![word.to_owned()];
    };
    (first..=last)
        .map(|number| format!("{before}{number:0digits$}{after}"))
        .collect()
}

/// Whether a word stands for a name.
pub fn contains(word: &str, name: &str) -> bool {
    let Some((before, first, last, digits, after)) = run(word) else {
        return word == name;
    };
    parts(name).is_some_and(|parts| {
        (parts.before, parts.after, parts.digits) == (before, after, digits) && (first..=last).contains(&parts.number)
    })
}

fn run(word: &str) -> Option<(&str, u64, u64, usize, &str)> {
    let (before, rest) = word.split_once('[')?;
    let (range, after) = rest.split_once(']')?;
    let (first, last) = range.split_once('-')?;
    Some((before, first.parse().ok()?, last.parse().ok()?, first.len(), after))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(list: &[&str], expected: &[&str]) {
        assert_eq!(fold(list.to_vec()), expected);
    }

    #[test]
    fn runs_become_one_word() {
        check(&["b", "a"], &["a", "b"]);
        check(&["m1", "m2"], &["m1", "m2"]);
        check(&["m3", "m1", "m2", "x"], &["m[1-3]", "x"]);
        check(&["m9", "m10", "m11", "m12", "m8"], &["m8", "m9", "m[10-12]"]);
        check(
            &["e-01-eu", "e-02-eu", "e-03-eu", "e-04-us"],
            &["e-04-us", "e-[01-03]-eu"],
        );
        assert!(contains("e-[01-03]-eu", "e-02-eu"));
        assert!(!contains("e-[01-03]-eu", "e-2-eu"));
        assert!(!contains("e-[01-03]-eu", "e-04-eu"));
        assert_eq!(unfold("m[08-10]"), ["m08", "m09", "m10"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost(list in proptest::collection::btree_set("[ab]{0,1}[0-9]{1,2}-?[a0-2]{0,1}", 0..40)) {
            let folded = fold(list.iter().map(String::as_str).collect());
            let back: BTreeSet<String> = folded.iter().flat_map(|word| unfold(word)).collect();
            prop_assert_eq!(back.len(), folded.iter().map(|word| unfold(word).len()).sum::<usize>());
            prop_assert_eq!(back, list);
        }
    }
}
