//! Keeps the write-ahead log of the database bounded.
//!
//! SQLite writes it back by itself, but begins it anew only when nobody reads: readers that follow each other closely let it
//! grow for ever. So when it is too long the writer keeps readers out for a moment and empties it.
//!
//! Never here: readers of other programs. They cannot be kept out; the log is emptied when they are gone.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{Row, SqliteConnection};

use super::log::Reader;

/// The writer does not wait longer than this for a reader to finish.
const PATIENCE: Duration = Duration::from_millis(50);

/// The length of the write-ahead log, and what keeps it short.
#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    limit: u64,
    /// Bytes written since anybody looked at the length.
    unseen: u64,
    pub(super) reader: Reader,
}

impl Wal {
    pub(super) fn new(database: &Path, limit: u64) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            limit,
            unseen: 0,
            reader: Reader::default(),
        }
    }

    /// Notes a transaction, and empties the log when it is too long.
    pub(super) async fn written(&mut self, connection: &mut SqliteConnection, bytes: usize) {
        // Pages are written whole, and those of the index beside those of the values.
        self.unseen += 4096 + 2 * bytes as u64;
        if self.unseen < self.limit / 8 {
            return;
        }
        self.unseen = 0;
        let length = std::fs::metadata(&self.path).map_or(0, |file| file.len());
        if length <= self.limit {
            return;
        }
        match self.empty(connection).await {
            Ok(true) => {}
            Ok(false) => tracing::warn!(
                length,
                "the write-ahead log is long because somebody reads the database"
            ),
            Err(error) => tracing::error!(%error, "the write-ahead log cannot be emptied"),
        }
    }

    /// Writes everything back and cuts the file; says whether nobody was in the way.
    async fn empty(&self, connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
        let Ok(alone) = tokio::time::timeout(PATIENCE, self.reader.lock()).await else {
            return Ok(false);
        };
        // Commits wait meanwhile: nobody is worth more than a moment.
        sqlx::query("PRAGMA busy_timeout = 50")
            .execute(&mut *connection)
            .await?;
        let row = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await;
        sqlx::query("PRAGMA busy_timeout = 5000")
            .execute(&mut *connection)
            .await?;
        drop(alone);
        Ok(row?.try_get::<i64, _>(0)? == 0)
    }
}
