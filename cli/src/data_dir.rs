//! A data directory: made with care, locked while in use, and never one of somebody else.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use apiserver::pki::write_private;

/// Marks a directory as ours and holds its lock; the kernel lets go of it when the process ends, however it ends.
const LOCK: &str = "flotilla.lock";

/// A directory that this process alone uses.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// Held, not read: closing it gives up the lock.
    _lock: File,
}

impl DataDir {
    /// Makes or opens a directory and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        if path.exists() && !path.is_dir() {
            bail!("{shown} is not a directory");
        }
        let foreign = path.exists() && !path.join(LOCK).exists() && path.read_dir()?.next().is_some();
        if foreign {
            bail!(
                "{shown} is not empty and is not a data directory of flotilla: name another with --data-dir, or empty it"
            );
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {shown}"))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(LOCK))
            .with_context(|| format!("cannot write to the data directory {shown}"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "the data directory {shown} is in use by another process: stop it, or name another with --data-dir"
                )
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock the data directory {shown}"));
            }
        }
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Binds an address. With port 0 the port of an earlier start is taken again, so that kubeconfigs stay true; the
    /// first time a free one is taken and kept under `name`.
    pub(crate) async fn listen(&self, name: &str, address: SocketAddr) -> Result<tokio::net::TcpListener> {
        let kept = self.path.join(format!("{name}.port"));
        let mut wanted = address;
        if address.port() == 0
            && let Ok(text) = fs::read_to_string(&kept)
        {
            wanted.set_port(
                text.trim()
                    .parse()
                    .with_context(|| format!("{} does not hold a port", kept.display()))?,
            );
        }
        let listener = tokio::net::TcpListener::bind(wanted).await.with_context(|| {
            format!("cannot listen on {wanted}: choose another address with --listen, or stop what uses it")
        })?;
        if address.port() == 0 {
            write_private(&kept, &listener.local_addr()?.port().to_string())?;
        }
        Ok(listener)
    }
}

/// Where things are kept when nothing is said: under the user's state directory.
pub(crate) fn default_path(name: &str) -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let state = state.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state")));
    let state = state.context("neither HOME nor XDG_STATE_HOME is set: name a directory with --data-dir")?;
    Ok(if name.is_empty() {
        state.join("flotilla")
    } else {
        state.join(format!("flotilla-{name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_user_at_a_time() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let error = DataDir::open(&path).unwrap_err().to_string();
        assert!(error.contains("in use by another process"), "{error}");
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_directory_of_somebody_else_is_left_alone() {
        let scratch = tempfile::tempdir().unwrap();
        fs::write(scratch.path().join("thesis.tex"), "…").unwrap();
        let error = DataDir::open(scratch.path()).unwrap_err().to_string();
        assert!(error.contains("not a data directory"), "{error}");
        assert_eq!(scratch.path().read_dir().unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_free_port_is_kept() {
        let scratch = tempfile::tempdir().unwrap();
        let directory = DataDir::open(&scratch.path().join("data")).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let first = directory.listen("hub", any).await.unwrap().local_addr().unwrap();
        let second = directory.listen("hub", any).await.unwrap().local_addr().unwrap();
        assert_eq!(first, second);
    }
}
