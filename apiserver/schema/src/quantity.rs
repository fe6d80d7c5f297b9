//! Quantities such as `100m` and `1Gi`: reading, comparing, adding, and the canonical text that a server stores.
//!
//! A quantity is a whole number of billionths (the smallest unit Kubernetes keeps) and a preferred way to write it. More
//! than 2^63-1 units is written as that bound, as in Kubernetes.

use std::cmp::Ordering;
use std::fmt;

/// How a quantity prefers to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `k`, `M`, `G`, ... and `m`, `u`, `n`.
    DecimalSi,
    /// `Ki`, `Mi`, `Gi`, ...
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// An exact amount.
#[derive(Debug, Clone, Copy)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;
const MAX: i128 = (i64::MAX as i128) * NANO;

/// The text is not a quantity. The message is the one that Kubernetes gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
pub struct QuantityError;

impl Quantity {
    /// Nothing, in decimal.
    pub const ZERO: Self = Self {
        nanos: 0,
        format: Format::DecimalSi,
    };

    /// Reads a quantity.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let text = text.trim();
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(QuantityError);
        }
        let (base, exponent, format) = suffix_of(suffix)?;
        let nanos = scaled(whole, fraction, base, exponent).min(MAX);
        Ok(Self {
            nanos: if negative { -nanos } else { nanos },
            format,
        })
    }

    /// Billionths.
    pub fn nanos(self) -> i128 {
        self.nanos
    }

    /// Rounded up (away from zero) to whole units.
    pub fn value(self) -> i64 {
        i64::try_from(round_up(self.nanos, NANO) / NANO).unwrap_or(i64::MAX)
    }

    /// Rounded up (away from zero) to thousandths.
    pub fn milli_value(self) -> i64 {
        i64::try_from(round_up(self.nanos, MILLI) / MILLI).unwrap_or(i64::MAX)
    }

    /// The same amount, rounded up to thousandths.
    #[must_use]
    pub fn rounded_to_milli(self) -> Self {
        Self {
            nanos: round_up(self.nanos, MILLI),
            ..self
        }
    }

    /// The sum, written as this one prefers (as the other one does when this is zero).
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let format = if self.nanos == 0 { other.format } else { self.format };
        Self {
            nanos: (self.nanos + other.nanos).clamp(-MAX, MAX),
            format,
        }
    }

    /// The difference, written as the sum would be.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        self.plus(Self {
            nanos: -other.nanos,
            format: other.format,
        })
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

fn round_up(nanos: i128, unit: i128) -> i128 {
    let rest = nanos % unit;
    if rest == 0 {
        nanos
    } else {
        nanos - rest + unit * nanos.signum()
    }
}

fn suffix_of(suffix: &str) -> Result<(u32, i32, Format), QuantityError> {
    Ok(match suffix {
        "" => (10, 0, Format::DecimalSi),
        "n" => (10, -9, Format::DecimalSi),
        "u" => (10, -6, Format::DecimalSi),
        "m" => (10, -3, Format::DecimalSi),
        "k" => (10, 3, Format::DecimalSi),
        "M" => (10, 6, Format::DecimalSi),
        "G" => (10, 9, Format::DecimalSi),
        "T" => (10, 12, Format::DecimalSi),
        "P" => (10, 15, Format::DecimalSi),
        "E" => (10, 18, Format::DecimalSi),
        "Ki" => (2, 10, Format::BinarySi),
        "Mi" => (2, 20, Format::BinarySi),
        "Gi" => (2, 30, Format::BinarySi),
        "Ti" => (2, 40, Format::BinarySi),
        "Pi" => (2, 50, Format::BinarySi),
        "Ei" => (2, 60, Format::BinarySi),
        other => {
            let digits = other.strip_prefix(['e', 'E']).ok_or(QuantityError)?;
            if digits.len() > 10 {
                return Err(QuantityError);
            }
            (10, digits.parse().map_err(|_| QuantityError)?, Format::DecimalExponent)
        }
    })
}

/// Billionths of `whole.fraction * base^exponent`, rounded up, and [`MAX`] when it is more than that.
fn scaled(whole: &str, fraction: &str, base: u32, exponent: i32) -> i128 {
    let whole = whole.trim_start_matches('0');
    if base == 10 {
        // Digits around a decimal point that moves by the exponent, nine places further for billionths.
        let digits: String = format!("{whole}{fraction}");
        let point = i64::try_from(whole.len())
            .unwrap_or(i64::MAX)
            .saturating_add(i64::from(exponent))
            + 9;
        if digits.bytes().all(|digit| digit == b'0') {
            return 0;
        }
        if point <= 0 {
            return 1;
        }
        let significant = digits.len() - digits.trim_start_matches('0').len();
        let Ok(point) = usize::try_from(point) else { return MAX };
        if point.saturating_sub(significant) > 30 {
            return MAX;
        }
        let mut nanos: i128 = 0;
        for index in 0..point {
            let digit = digits.as_bytes().get(index).map_or(0, |byte| i128::from(byte - b'0'));
            nanos = nanos * 10 + digit;
        }
        let rest = digits
            .as_bytes()
            .get(point..)
            .is_some_and(|rest| rest.iter().any(|digit| *digit != b'0'));
        return nanos + i128::from(rest);
    }
    if whole.len() > 20 {
        return MAX;
    }
    let factor = 1i128 << exponent;
    let Some(units) = whole
        .parse::<i128>()
        .unwrap_or(0)
        .checked_mul(factor)
        .and_then(|units| units.checked_mul(NANO))
    else {
        return MAX;
    };
    // Twelve digits of a fraction are more than billionths of 2^60 can show without a larger number.
    let kept = &fraction[..fraction.len().min(9)];
    let more = fraction
        .get(9..)
        .is_some_and(|rest| rest.bytes().any(|digit| digit != b'0'));
    let numerator = format!("{kept:0<9}").parse::<i128>().unwrap_or(0);
    let part = numerator
        .checked_mul(factor)
        .map_or(MAX, |part| part + i128::from(more));
    units.saturating_add(part)
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos == 0 {
            return formatter.write_str("0");
        }
        let small = self.nanos.abs() < 1024 * NANO;
        if self.format == Format::BinarySi && !small && self.nanos % NANO == 0 {
            let mut amount = self.nanos / NANO;
            let mut power = 0;
            while amount % 1024 == 0 && power < 6 {
                amount /= 1024;
                power += 1;
            }
            return write!(formatter, "{amount}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][power]);
        }
        let mut amount = self.nanos;
        let mut exponent = -9;
        while amount % 1000 == 0 && exponent < 18 {
            amount /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => write!(formatter, "{amount}"),
            (Format::DecimalExponent, exponent) => write!(formatter, "{amount}e{exponent}"),
            (_, exponent) => {
                let suffix = match exponent {
                    -9 => "n",
                    -6 => "u",
                    -3 => "m",
                    3 => "k",
                    6 => "M",
                    9 => "G",
                    12 => "T",
                    15 => "P",
                    _ => "E",
                };
                write!(formatter, "{amount}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, canonical: &str) {
        assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
    }

    #[test]
    fn canonical_forms() {
        for (text, canonical) in [
            ("100m", "100m"),
            ("0.1", "100m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1000", "1k"),
            ("1024", "1024"),
            ("512Ki", "512Ki"),
            ("1Ki", "1Ki"),
            ("0.5Ki", "512"),
            ("0", "0"),
            ("0Gi", "0"),
            ("1e3", "1e3"),
            ("12E", "9223372036854775807"),
            ("1E", "1E"),
            ("-5", "-5"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.0000000001", "1n"),
            ("1500Mi", "1500Mi"),
            ("2500m", "2500m"),
            ("100000000", "100M"),
        ] {
            check(text, canonical);
        }
        for text in [
            "",
            "m",
            "1.2.3",
            "1x",
            "1 m",
            "--1",
            "1Kib",
            "1e",
            "abc",
            "1e99999999999",
        ] {
            assert_eq!(Quantity::parse(text), Err(QuantityError), "{text}");
        }
    }

    #[test]
    fn arithmetic_keeps_the_form() {
        let parse = |text| Quantity::parse(text).unwrap();
        assert_eq!(parse("1Gi").plus(parse("1Gi")).to_string(), "2Gi");
        assert_eq!(Quantity::ZERO.plus(parse("1Gi")).to_string(), "1Gi");
        assert_eq!(parse("1500m").value(), 2);
        assert_eq!(parse("1n").milli_value(), 1);
        assert!(parse("1Gi") > parse("1G"));
        assert_eq!(parse("1u").rounded_to_milli().to_string(), "1m");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_stable(text in "[+-]?[0-9]{0,25}\\.?[0-9]{0,25}(|m|k|M|Ki|Gi|Ei|e[0-9]|e-[0-9])") {
            if let Ok(quantity) = Quantity::parse(&text) {
                let canonical = quantity.to_string();
                prop_assert_eq!(Quantity::parse(&canonical).unwrap().to_string(), canonical);
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = Quantity::parse(&text);
        }
    }
}
