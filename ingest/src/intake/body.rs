//! Unpacks a body. The bound is on what comes out, so a small body that grows without end is refused when it has grown that far.

use std::io::Read;

use bytes::Bytes;

use super::{Bounds, Refused, too_large};

/// Unpacks a body by its `Content-Encoding`; none and `identity` leave it as it is. Not for an async thread.
///
/// # Errors
/// [`Refused::Encoding`] for an unknown encoding or damaged bytes, [`Refused::TooLarge`] beyond the bound.
pub fn unpack(body: Bytes, encoding: Option<&str>, bounds: &Bounds) -> Result<Bytes, Refused> {
    let encoding = encoding.map(|encoding| encoding.trim().to_ascii_lowercase());
    match encoding.as_deref() {
        None | Some("" | "identity") => Ok(body),
        Some(name @ ("gzip" | "x-gzip")) => {
            let reader = flate2::read::MultiGzDecoder::new(body.as_ref());
            drain(name, reader, bounds)
        }
        Some(name @ "zstd") => {
            let mut reader =
                zstd::stream::read::Decoder::new(body.as_ref()).map_err(|error| damaged(name, &error))?;
            // 2^27 bytes is what zstd itself takes without being asked for more.
            reader.window_log_max(27).map_err(|error| damaged(name, &error))?;
            drain(name, reader, bounds)
        }
        Some(other) => Err(Refused::Encoding {
            encoding: other.chars().take(32).collect(),
            problem: "only gzip, zstd and identity are known".to_owned(),
        }),
    }
}

fn drain(name: &str, reader: impl Read, bounds: &Bounds) -> Result<Bytes, Refused> {
    let limit = bounds.unpacked_bytes_max as u64 + 1;
    let mut unpacked = Vec::new();
    reader
        .take(limit)
        .read_to_end(&mut unpacked)
        .map_err(|error| damaged(name, &error))?;
    if unpacked.len() > bounds.unpacked_bytes_max {
        return Err(too_large(bounds));
    }
    Ok(unpacked.into())
}

fn damaged(name: &str, error: &std::io::Error) -> Refused {
    Refused::Encoding {
        encoding: name.to_owned(),
        problem: error.to_string(),
    }
}
