use proptest::prelude::*;

use super::*;

fn shares(seats: i32, weights: &BTreeMap<&'static str, i64>, descend: bool) -> BTreeMap<&'static str, Won> {
    let names: Vec<&str> = weights.keys().copied().collect();
    let parties = names
        .iter()
        .enumerate()
        .map(|(index, name)| (index, *name, weights[name]));
    let all = webster(seats, parties.clone(), descend);
    let mut other = webster(seats, parties.rev(), descend);
    other.sort_by_key(|party| party.index);
    assert_eq!(all, other, "the order of the parties decides nothing");
    all.into_iter().map(|party| (names[party.index], party)).collect()
}

/// Webster's method as it is told: seat by seat.
fn seat_by_seat<'a>(replicas: i32, weights: &BTreeMap<&'a str, i64>, names_descend: bool) -> BTreeMap<&'a str, i32> {
    let mut seats: BTreeMap<&str, i32> = weights.keys().map(|name| (*name, 0)).collect();
    for _ in 0..replicas {
        let winner = weights
            .iter()
            .filter(|(_, weight)| 0 < **weight)
            .map(|(name, _)| *name)
            .max_by(|a, b| {
                let side = |name: &str, other: &str| i128::from(weights[name]) * i128::from(2 * seats[other] + 1);
                let names = if names_descend { a.cmp(b) } else { b.cmp(a) };
                side(a, b).cmp(&side(b, a)).then(seats[b].cmp(&seats[a])).then(names)
            });
        if let Some(winner) = winner {
            *seats.get_mut(winner).unwrap() += 1;
        }
    }
    seats
}

#[test]
fn only_who_won_against_an_equal_that_went_without_owes_it_to_the_tie_rule() {
    let ties = |replicas: i32, list: &[(&'static str, i64)]| -> Vec<bool> {
        let shares = shares(replicas, &list.iter().copied().collect(), false);
        shares.values().map(|share| share.tie).collect()
    };
    assert_eq!(ties(10, &[("ap", 1), ("eu", 1), ("us", 1)]), [true, false, false]);
    assert_eq!(ties(9, &[("ap", 1), ("eu", 1), ("us", 1)]), [false, false, false]);
    assert_eq!(ties(10, &[("ap", 1), ("eu", 2), ("us", 2)]), [false, false, false]);
    assert_eq!(ties(0, &[("ap", 1)]), [false]);
}

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn apportioned(seats: i32, weights: &BTreeMap<&'static str, i64>, descend: bool) -> BTreeMap<&'static str, i32> {
    let mut all: BTreeMap<&str, i32> = weights.keys().map(|name| (*name, 0)).collect();
    all.extend(
        shares(seats, weights, descend)
            .into_iter()
            .map(|(name, party)| (name, party.seats)),
    );
    all
}

proptest! {
    #[test]
    fn seats_given_early_change_nothing(
        replicas in 0_i32..400,
        list in proptest::collection::vec(prop_oneof![0_i64..4, 0_i64..1000, any::<i64>().prop_map(|weight| weight & i64::MAX)], 0..9),
        descend: bool,
    ) {
        let weights: BTreeMap<&str, i64> = NAMES.into_iter().zip(list).collect();
        let seats: BTreeMap<&str, i32> = apportioned(replicas, &weights, descend);
        prop_assert_eq!(seats, seat_by_seat(replicas, &weights, descend));
    }

    #[test]
    fn nobody_gets_more_than_its_weight_while_there_are_weights_enough(
        list in proptest::collection::vec(0_i64..60, 1..9),
        part in 0_i64..=100,
        descend: bool,
    ) {
        let weights: BTreeMap<&str, i64> = NAMES.into_iter().zip(list).collect();
        let sum: i64 = weights.values().sum();
        let seats = i32::try_from(sum * part / 100).unwrap();
        for (name, share) in shares(seats, &weights, descend) {
            prop_assert!(i64::from(share.seats) <= weights[name]);
        }
    }
}

#[test]
fn s3_5_ties_go_to_who_has_fewer_seats_then_by_name() {
    let check = |seats: i32, list: &[(&'static str, i64)], descend: bool, expected: &[i32]| {
        let shares = apportioned(seats, &list.iter().copied().collect(), descend);
        assert_eq!(
            shares.values().copied().collect::<Vec<_>>(),
            expected,
            "{seats} of {list:?}"
        );
    };
    // 3/3 and 1/1: who has none yet.
    check(2, &[("a", 3), ("b", 1)], false, &[1, 1]);
    check(2, &[("a", 3), ("b", 1)], true, &[1, 1]);
    check(2, &[("a", 1), ("b", 3)], true, &[1, 1]);
    // 5/5, 3/3 and 1/1.
    check(4, &[("a", 5), ("b", 3), ("c", 1)], false, &[2, 1, 1]);
    check(5, &[("a", 5), ("b", 3), ("c", 1)], true, &[2, 2, 1]);
    check(1, &[("a", 1), ("b", 1)], false, &[1, 0]);
    check(1, &[("a", 1), ("b", 1)], true, &[0, 1]);
}

#[test]
fn s3_5_the_parity_of_the_uid_tells_the_direction() {
    // Published values of FNV-1a, 32 bits: 0xe40c292c for "a", 0xe70c2de5 for "b", 0xbf9cf968 for "foobar".
    for (uid, descend) in [("", false), ("a", false), ("b", true), ("foobar", false)] {
        assert_eq!(names_descend(uid), descend, "{uid:?}");
    }
}
