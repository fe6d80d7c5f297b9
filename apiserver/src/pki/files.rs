//! Certificates and keys as files: written whole or not at all, keys for their owner only.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::PkiError;

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> PkiError {
    let path = path.to_owned();
    move |source| PkiError::File { path, source }
}

pub(super) fn ensure_dir(dir: &Path) -> Result<(), PkiError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(failed(dir))
}

/// A certificate and its key, or `None` when neither is there.
pub(super) fn load_pair(dir: &Path, name: &str) -> Result<Option<(String, String)>, PkiError> {
    let (certificate, key) = paths(dir, name);
    match (read(&certificate)?, read(&key)?) {
        (Some(certificate_pem), Some(key_pem)) => {
            check(&certificate, &certificate_pem, "-----BEGIN CERTIFICATE-----")?;
            check(&key, &key_pem, "PRIVATE KEY-----")?;
            Ok(Some((certificate_pem, key_pem)))
        }
        // Nothing is lost when a leaf is made anew, but an authority is never replaced silently.
        (None, None) => Ok(None),
        (None, Some(_)) => Err(PkiError::Incomplete(certificate)),
        (Some(_), None) => Err(PkiError::Incomplete(key)),
    }
}

/// The key goes first: after a crash between the two files the certificate is missing, which [`load_pair`] names.
pub(super) fn store_pair(
    dir: &Path,
    name: &str,
    (certificate_pem, key_pem): &(String, String),
) -> Result<(), PkiError> {
    let (certificate, key) = paths(dir, name);
    write_private(&key, key_pem)?;
    write_private(&certificate, certificate_pem)
}

fn paths(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    (dir.join(format!("{name}.crt")), dir.join(format!("{name}.key")))
}

fn read(path: &Path) -> Result<Option<String>, PkiError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(path)(error)),
    }
}

fn check(path: &Path, text: &str, mark: &str) -> Result<(), PkiError> {
    if text.contains(mark) {
        return Ok(());
    }
    Err(PkiError::Content {
        path: path.to_owned(),
        reason: "not in PEM form".to_owned(),
    })
}

/// Writes a file that only its owner may read (mode 0600): whole or not at all, also when the machine stops.
pub fn write_private(path: &Path, text: &str) -> Result<(), PkiError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let draft = path.with_file_name(name);
    // One that a crash left behind may have another mode.
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(&draft)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed(&draft))?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed(&draft))?;
    fs::rename(&draft, path).map_err(failed(path))?;
    let directory = path.parent().unwrap_or(Path::new("."));
    // The rename is durable once the directory is.
    fs::File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed(directory))
}
