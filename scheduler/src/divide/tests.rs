use proptest::prelude::*;

use super::*;

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
        let shares = webster(replicas, &list.iter().copied().collect(), false);
        shares.values().map(|share| share.tie).collect()
    };
    assert_eq!(ties(10, &[("ap", 1), ("eu", 1), ("us", 1)]), [true, false, false]);
    assert_eq!(ties(9, &[("ap", 1), ("eu", 1), ("us", 1)]), [false, false, false]);
    assert_eq!(ties(10, &[("ap", 1), ("eu", 2), ("us", 2)]), [false, false, false]);
    assert_eq!(ties(0, &[("ap", 1)]), [false]);
}

proptest! {
    #[test]
    fn seats_given_early_change_nothing(
        replicas in 0_i32..400,
        list in proptest::collection::vec(prop_oneof![0_i64..4, 0_i64..1000, any::<i64>().prop_map(|weight| weight & i64::MAX)], 0..9),
        descend: bool,
    ) {
        const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
        let weights: BTreeMap<&str, i64> = NAMES.into_iter().zip(list).collect();
        let shares = webster(replicas, &weights, descend);
        let seats: BTreeMap<&str, i32> = shares.into_iter().map(|(name, share)| (name, share.replicas)).collect();
        prop_assert_eq!(seats, seat_by_seat(replicas, &weights, descend));
    }
}
