//! Compresses what is large for clients that ask for it, and expands what is kept compressed for those that do not.
//!
//! Only finished bodies: a watch is a stream and is sent as it comes.

use std::io::{Read, Write};

use axum::body::Body;
use axum::response::Response;
use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use futures::StreamExt;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http_body::Body as _;
use http_body_util::BodyExt;

/// Smaller bodies are not worth the work.
const LARGE: u64 = 128 * 1024;
/// What is expanded at a time.
const PIECE: usize = 64 << 10;

/// Whether `Accept-Encoding` allows gzip.
pub(super) fn accepts_gzip(header: &str) -> bool {
    header.split(',').any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
    })
}

/// The response with its body compressed if that pays. Compressing happens off the threads that serve requests.
pub(super) async fn compress(response: Response) -> Response {
    let large = response.body().size_hint().exact().is_some_and(|size| size > LARGE);
    if !large || response.headers().contains_key(CONTENT_ENCODING) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        // Nothing was lost on the way: the body was at hand.
        return Response::from_parts(parts, Body::empty());
    };
    let plain = body.to_bytes();
    let source = plain.clone();
    let Ok(Some(packed)) = tokio::task::spawn_blocking(move || gzip(&source)).await else {
        return Response::from_parts(parts, Body::from(plain));
    };
    parts.headers.remove(CONTENT_LENGTH);
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Response::from_parts(parts, Body::from(packed))
}

/// The response with its body expanded, for a client that cannot read what is kept compressed. It is expanded piece by piece
/// as it is sent.
pub(super) fn expand(response: Response) -> Response {
    let packed = response.headers().get(CONTENT_ENCODING);
    if packed.is_none_or(|coding| coding != "gzip") || response.body().size_hint().exact().is_none() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    let pieces = futures::stream::once(body.collect()).flat_map(|body| {
        let packed = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let mut plain = MultiGzDecoder::new(packed.reader());
        futures::stream::iter(std::iter::from_fn(move || {
            let mut piece = vec![0; PIECE];
            match plain.read(&mut piece) {
                Ok(0) => None,
                Ok(length) => {
                    piece.truncate(length);
                    Some(Ok(Bytes::from(piece)))
                }
                Err(problem) => Some(Err(problem)),
            }
        }))
    });
    Response::from_parts(parts, Body::from_stream(pieces))
}

fn gzip(plain: &[u8]) -> Option<Bytes> {
    // Objects repeat themselves: the fastest level gets most of it.
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_used_only_when_it_is_named() {
        let check = |header: &str, expected: bool| assert_eq!(accepts_gzip(header), expected, "{header}");
        check("gzip", true);
        check("deflate, GZip;q=0.5", true);
        check("", false);
        check("br", false);
        check("gzip;q=0", false);
        check("identity, *", false);
    }
}
