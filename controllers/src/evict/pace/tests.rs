use proptest::prelude::*;

use super::*;
use crate::kinds;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn binding(name: usize) -> Key {
    kinds::key(&kinds::BINDING, "default", &name.to_string())
}

#[test]
fn section_3_11_how_many_leave_depends_on_how_many_are_ill() {
    let pace = Pace::default();
    let check =
        |clusters, unready, expected| assert_eq!(pace.interval(clusters, unready), expected, "{unready}/{clusters}");
    check(1, 0, Some(seconds(2)));
    check(0, 0, Some(seconds(2)));
    check(20, 11, Some(seconds(2)));
    check(20, 12, Some(seconds(10)));
    check(11, 11, Some(seconds(10)));
    // Of few clusters nothing leaves.
    check(10, 6, None);
    check(10, 5, Some(seconds(2)));
    check(1, 1, None);
    let stopped = Pace {
        resource_eviction_rate: 0.0,
        ..pace
    };
    assert_eq!(stopped.interval(3, 0), None);
}

#[test]
fn section_3_11_one_after_the_other_leaves_a_cluster() {
    let turns = Turns::default();
    let ask = |cluster: &str, name, second, interval| {
        turns
            .ask(cluster, &binding(name), at(second), seconds(interval))
            .map_err(|left| left.as_secs())
    };
    assert_eq!(ask("eu", 1, 0, 2), Ok(()));
    assert_eq!(ask("eu", 2, 0, 2), Err(2));
    assert_eq!(ask("eu", 3, 0, 2), Err(4));
    assert_eq!(ask("us", 2, 0, 2), Ok(()), "each cluster has its own line");
    assert_eq!(ask("eu", 2, 1, 2), Err(1), "asking again changes nothing");
    assert_eq!(ask("eu", 2, 2, 2), Ok(()));
    // It was to be at 4, but many clusters have become ill: one in ten seconds.
    assert_eq!(ask("eu", 3, 4, 10), Err(8));
    assert_eq!(ask("eu", 4, 4, 10), Err(18));
    assert_eq!(ask("eu", 3, 12, 10), Ok(()));
    // Who leaves the line takes nobody's place.
    turns.keep(&binding(4), &["us"]);
    assert_eq!(turns.lengths(), BTreeMap::new());
    turns.clear("eu");
    assert_eq!(ask("eu", 5, 20, 2), Ok(()));
    assert_eq!(ask("eu", 6, 21, 2), Err(1));
    turns.keep(&binding(6), &["eu"]);
    assert_eq!(turns.lengths(), BTreeMap::from([(("eu".to_owned(), true), 1)]));
    turns.clear("eu");
    assert_eq!(
        ask("eu", 7, 21, 2),
        Err(1),
        "who has left last counts though everybody asks anew"
    );
}

/// As when another wrote the binding at the same time.
#[test]
fn section_3_11_who_could_not_leave_has_its_turn_still() {
    let turns = Turns::default();
    let ask = |name, second| {
        let asked = turns.ask("eu", &binding(name), at(second), seconds(2));
        asked.map_err(|left| left.as_secs())
    };
    assert_eq!(ask(1, 0), Ok(()));
    turns.missed("eu", &binding(1), at(0));
    assert_eq!(ask(1, 0), Ok(()), "at once");
    assert_eq!(ask(2, 0), Err(2), "one has left now");
    assert_eq!(ask(2, 2), Ok(()));
    turns.missed("eu", &binding(2), at(0));
    assert_eq!(ask(3, 3), Err(1), "nobody gives back the turn of another");
}

proptest! {
    /// However bindings ask, and some cannot leave when they may: two never leave a cluster within the interval, everybody who comes back when
    /// told so leaves, and nobody is told to come back at once.
    #[test]
    fn section_3_11_the_rate_is_kept_and_everybody_leaves(
        interval in 1_i64..5,
        count in 1_usize..12,
        late in prop::collection::vec(0_i64..4, 12),
        mut fails in prop::collection::vec(prop::bool::weighted(0.2), 12),
    ) {
        let failures = i64::try_from(fails.iter().take(count).filter(|fails| **fails).count()).unwrap();
        let turns = Turns::default();
        let mut due: Vec<(i64, usize)> = (0..count).map(|name| (late[name], name)).collect();
        let mut left = Vec::new();
        for _ in 0..1000 {
            let Some(next) = (0..due.len()).min_by_key(|index| due[*index]) else { break };
            let (second, name) = due[next];
            match turns.ask("eu", &binding(name), at(second), seconds(interval)) {
                Ok(()) if std::mem::take(&mut fails[name]) => turns.missed("eu", &binding(name), at(second)),
                Ok(()) => {
                    left.push(second);
                    due.swap_remove(next);
                }
                Err(wait) => {
                    prop_assert!(wait > SignedDuration::ZERO);
                    due[next].0 = second + wait.as_secs();
                }
            }
        }
        prop_assert_eq!(left.len(), count);
        prop_assert!(left.windows(2).all(|pair| pair[1] - pair[0] >= interval), "{:?}", left);
        let span = left.last().unwrap() - left[0];
        prop_assert!(span <= interval * (i64::try_from(count).unwrap() + failures) + 4, "nobody waits without need: {:?}", left);
    }
}
