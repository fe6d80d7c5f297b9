//! Compresses what is large for clients that ask for it.
//!
//! Only finished bodies: a watch is a stream and is sent as it comes.

use std::io::Write;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderValue;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use http_body::Body as _;
use http_body_util::BodyExt;

/// Smaller bodies are not worth the work.
const LARGE: u64 = 128 * 1024;

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
