//! Certificates and keys as files: written whole or not at all, keys for their owner only.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
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

/// A certificate and its key, as far as they are there.
#[derive(Default)]
pub(super) struct Found {
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
}

/// Reads a certificate and its key.
pub(super) fn load_pair(dir: &Path, name: &str) -> Result<Found, PkiError> {
    let (certificate, key) = paths(dir, name);
    let read = |path: &Path, mark: &str| -> Result<Option<String>, PkiError> {
        let text = read(path)?;
        if let Some(text) = &text {
            check(path, text, mark)?;
        }
        Ok(text)
    };
    Ok(Found {
        certificate: read(&certificate, "-----BEGIN CERTIFICATE-----")?,
        key: read(&key, "PRIVATE KEY-----")?,
    })
    .inspect(|_| close(&key))
}

/// Takes a key away from everybody but its owner: copies and restored backups often are open to all.
fn close(key: &Path) {
    let Ok(metadata) = fs::metadata(key) else { return };
    let others = 0o077;
    if metadata.permissions().mode() & others == 0 {
        return;
    }
    let closed = fs::set_permissions(key, Permissions::from_mode(0o600));
    match closed {
        Ok(()) => tracing::warn!(path = %key.display(), "others could read this key; now only its owner can"),
        // A mounted secret may be read-only; whoever mounts it decides.
        Err(error) => tracing::warn!(path = %key.display(), %error, "others can read this key"),
    }
}

/// Reads a key that has no certificate.
pub(super) fn load_key(dir: &Path, name: &str) -> Result<Option<String>, PkiError> {
    let path = key_path(dir, name);
    let text = read(&path)?;
    if let Some(text) = &text {
        check(&path, text, "PRIVATE KEY-----")?;
        close(&path);
    }
    Ok(text)
}

/// Where the key of this name lies.
pub(super) fn key_path(dir: &Path, name: &str) -> PathBuf {
    paths(dir, name).1
}

/// The key goes first: what a crash between the two leaves behind can always be completed.
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
