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
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
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
