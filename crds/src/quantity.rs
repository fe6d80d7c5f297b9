//! Quantities such as `100m`, `1.5Gi` or `2e3`: exact arithmetic in thousandths.
//!
//! Kubernetes rounds what is finer than a thousandth up when it computes with it; so does [`milli`]. Never here: binary
//! floating point.

/// Parses a quantity into thousandths; `None` when it is not one.
///
/// Grammar: sign, digits with an optional fraction, then a decimal (`n u m k M G T P E`), binary (`Ki … Ei`) or exponent
/// (`e3`, `E3`) suffix (Kubernetes API conventions, "Resource quantities").
pub fn milli(text: &str) -> Option<i128> {
    let text = text.trim();
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, suffix) = rest.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}");
    if 30 < digits.len() {
        return None;
    }
    let mantissa: i128 = digits.parse().ok()?;
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let (base, power): (i128, i32) = match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    // value = mantissa × base × 10^(power − fraction digits); in thousandths three powers of ten more.
    let scale = power.checked_sub(fraction_digits)?.checked_add(3)?;
    let scaled = mantissa.checked_mul(base)?;
    let amount = if 0 <= scale {
        scaled.checked_mul(10_i128.checked_pow(u32::try_from(scale).ok()?)?)?
    } else {
        let divisor = 10_i128.checked_pow(scale.unsigned_abs())?;
        scaled / divisor + i128::from(scaled % divisor != 0)
    };
    Some(if negative { -amount } else { amount })
}

/// Writes thousandths in canonical decimal form: the largest suffix that leaves a whole number (`250m`, `4`, `2k`).
pub fn format(milli: i128) -> String {
    const SUFFIXES: [&str; 8] = ["m", "", "k", "M", "G", "T", "P", "E"];
    if milli == 0 {
        return "0".to_owned();
    }
    let (number, suffix) = shorten(milli, 1000, &SUFFIXES);
    format!("{number}{suffix}")
}

/// Writes thousandths of bytes in canonical binary form (`1Gi`, `1536Mi`). What is less than 1024, or no whole number, is decimal.
pub fn format_bytes(milli: i128) -> String {
    const SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
    let bytes = milli / 1000;
    if milli % 1000 != 0 || bytes.unsigned_abs() < 1024 {
        return format(milli);
    }
    let (number, suffix) = shorten(bytes, 1024, &SUFFIXES);
    format!("{number}{suffix}")
}

/// Divides as often as there is a suffix for it and nothing is lost.
fn shorten(mut number: i128, base: i128, suffixes: &[&'static str]) -> (i128, &'static str) {
    let mut at = 0;
    while number % base == 0 && at + 1 < suffixes.len() {
        number /= base;
        at += 1;
    }
    (number, suffixes[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<i128>) {
        assert_eq!(milli(text), expected, "{text}");
    }

    #[test]
    fn every_suffix_is_understood() {
        check("1", Some(1000));
        check("100m", Some(100));
        check("0.5", Some(500));
        check(".5", Some(500));
        check("1.5Gi", Some(1_610_612_736_000));
        check("128Mi", Some(134_217_728_000));
        check("2k", Some(2_000_000));
        check("1e3", Some(1_000_000));
        check("1E", Some(1_000_000_000_000_000_000_000));
        check("-1", Some(-1000));
        check("1n", Some(1));
        check("1500u", Some(2));
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            "m",
            "1.2.3",
            "1x",
            "--1",
            "1ee3",
            "999999999999999999999999999999999E",
            "1e99999999999",
        ] {
            check(text, None);
        }
    }

    #[test]
    fn written_as_kubernetes_writes_them() {
        for (amount, decimal, binary) in [
            (0, "0", "0"),
            (250, "250m", "250m"),
            (1500, "1500m", "1500m"),
            (1_000_000, "1k", "1k"),
            (1_100_000, "1100", "1100"),
            (1_024_000, "1024", "1Ki"),
            (1_610_612_736_000, "1610612736", "1536Mi"),
            (-2_048_000, "-2048", "-2Ki"),
            (5_000_000_000_000_000_000_000_000, "5000E", "4768371582031250Mi"),
        ] {
            assert_eq!(
                (format(amount).as_str(), format_bytes(amount).as_str()),
                (decimal, binary)
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn writing_and_reading_agree(amount in -(1_i128 << 80)..(1_i128 << 80), zeros in 0_u32..7) {
            for amount in [amount >> (10 * zeros), (amount >> 71) << (10 * zeros), (amount >> 71) * 1000_i128.pow(zeros)] {
                proptest::prop_assert_eq!(milli(&format(amount)), Some(amount));
                proptest::prop_assert_eq!(milli(&format_bytes(amount)), Some(amount));
            }
        }
    }
}
