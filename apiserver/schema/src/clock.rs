//! The two things a pure crate may not make up: the time and random bits. They come in through these traits; the
//! implementations live where the process starts.

use jiff::Timestamp;

/// The wall clock, handed in so that tests and simulations decide what time it is.
pub trait Clock: Send + Sync + 'static {
    /// The current time.
    fn now(&self) -> Timestamp;
}

/// A source of random bits for uids, generated names and tokens.
pub trait Random: Send + Sync + 'static {
    /// 128 unpredictable bits.
    fn bits(&self) -> u128;

    /// A version 4 UUID in the usual hyphenated form.
    fn uuid(&self) -> String {
        let bits = (self.bits() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
        let group = |from: u32, width: u32| (bits >> from) & ((1 << width) - 1);
        format!(
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            group(96, 32),
            group(80, 16),
            group(64, 16),
            group(48, 16),
            group(0, 48)
        )
    }

    /// `length` characters of the alphabet that Kubernetes uses for generated names (no vowels, no look-alikes);
    /// at most 20.
    fn suffix(&self, length: usize) -> String {
        const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
        let mut bits = self.bits();
        (0..length.min(20))
            .map(|_| {
                let index = usize::try_from(bits % 27).unwrap_or_default();
                bits /= 27;
                char::from(ALPHABET[index])
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u128);

    impl Random for Fixed {
        fn bits(&self) -> u128 {
            self.0
        }
    }

    #[test]
    fn a_uuid_is_of_version_4_whatever_the_bits() {
        for (bits, expected) in [
            (0, "00000000-0000-4000-8000-000000000000"),
            (u128::MAX, "ffffffff-ffff-4fff-bfff-ffffffffffff"),
            (
                0x0123_4567_89ab_cdef_0123_4567_89ab_cdef,
                "01234567-89ab-4def-8123-456789abcdef",
            ),
        ] {
            assert_eq!(Fixed(bits).uuid(), expected);
        }
    }
}
