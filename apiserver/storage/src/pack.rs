//! Large values, compressed for the disk.
//!
//! Deflate in pure Rust, at its fastest: it costs no C compiler and no second licence, and the wire compresses with it
//! already. A packed value cannot be taken for a plain one, which begins with a brace, so small values and those of
//! earlier versions stay as they are.
//!
//! Never here: values in memory; lists and watches send those as they are.

use std::cell::RefCell;
use std::io::Read;

use bytes::Bytes;
use flate2::read::ZlibDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Half a page of the database: what is smaller fits beside another row.
const LARGE: usize = 8 << 10;
/// No value is larger than this when it is unpacked: requests are bounded far below.
const MAX: u64 = 64 << 20;

thread_local! {
    /// A compressor is a quarter of a megabyte: it is used again.
    static COMPRESSOR: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), true));
}

/// Whether a value is worth the time.
pub(crate) fn is_large(json: &[u8]) -> bool {
    json.len() > LARGE
}

/// The value as it goes to disk.
pub(crate) fn pack(json: &Bytes) -> Bytes {
    if !is_large(json) {
        return json.clone();
    }
    let packed = COMPRESSOR.with(|compressor| {
        let mut compressor = compressor.try_borrow_mut().ok()?;
        compressor.reset();
        // What does not become smaller by an eighth stays as it is.
        let mut packed = Vec::with_capacity(json.len() - json.len() / 8);
        let done = compressor.compress_vec(json, &mut packed, FlushCompress::Finish);
        matches!(done, Ok(Status::StreamEnd)).then_some(packed)
    });
    packed.map_or_else(|| json.clone(), Bytes::from)
}

/// The value that [`pack`] was given.
pub(crate) fn unpack(stored: &[u8]) -> Result<Bytes, String> {
    if stored.first() == Some(&b'{') {
        return Ok(Bytes::copy_from_slice(stored));
    }
    let mut json = Vec::with_capacity(stored.len() * 4);
    let read = ZlibDecoder::new(stored).take(MAX).read_to_end(&mut json);
    read.map_err(|error| format!("a stored value is damaged: {error}"))?;
    json.shrink_to_fit();
    Ok(Bytes::from(json))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_repeats_itself_becomes_small_and_what_does_not_stays() {
        let long = Bytes::from(format!("{{\"a\":\"{}\"}}", "flotilla ".repeat(2000)));
        assert!(pack(&long).len() * 10 < long.len());
        let short = Bytes::from_static(b"{\"a\":1}");
        assert_eq!(pack(&short), short);
        assert!(unpack(b"neither").is_err());
        let mut torn = pack(&long).to_vec();
        torn.truncate(20);
        assert!(unpack(&torn).is_err());
    }

    proptest! {
        #[test]
        fn unpacking_takes_packing_back(text in prop::collection::vec(any::<u8>(), 0..200), times in 0_usize..200) {
            let json = Bytes::from([b"{".as_slice(), &text.repeat(times)].concat());
            prop_assert_eq!(unpack(&pack(&json)).unwrap(), json);
        }

        #[test]
        fn anything_can_be_given_to_be_unpacked(stored in prop::collection::vec(any::<u8>(), 0..200)) {
            let _either = unpack(&stored);
        }
    }
}
