//! Backups of a SQLite record: taken while it is in use, checked before they replace it.

use std::path::{Path, PathBuf};

use sqlx::{Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::store::{
    StoreError,
    sqlite::{self, OpenError},
};

/// Why a backup was not taken or not restored. The record is as it was.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target exists.
    #[error("{}: exists already; a backup never overwrites a file", path.display())]
    Exists {
        /// The target.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The backup is no sound record.
    #[error("{}: expected a sound backup of a Wayside database, found: {found}", path.display())]
    Unsound {
        /// The backup.
        path: PathBuf,
        /// What is wrong.
        found: String,
    },
    /// The record is in use or cannot be locked.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The record cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a consistent copy of the record at `database`, which may be in use, to the new file `to`.
///
/// # Errors
/// [`BackupError`].
pub async fn back_up(database: &Path, to: &Path) -> Result<(), BackupError> {
    if to.exists() {
        return Err(BackupError::Exists { path: to.to_owned() });
    }
    check(database).await?;
    let mut connection = connect(database, false).await?;
    let text = to.to_str().ok_or_else(|| BackupError::Unsound {
        path: to.to_owned(),
        found: "a path that is not UTF-8".into(),
    })?;
    sqlx::query("VACUUM INTO ?")
        .bind(text)
        .execute(&mut connection)
        .await
        .map_err(StoreError::from)?;
    let flushed = std::fs::File::open(to).and_then(|file| file.sync_all());
    flushed.map_err(|source| BackupError::File {
        path: to.to_owned(),
        source,
    })
}

/// Replaces the record at `database`, which nobody may be using, by the backup `from`, which is checked first. What was
/// there before stays beside it with the ending `.before-restore`. Nodes that follow the record read everything anew.
///
/// # Errors
/// [`BackupError`]; the record is then as it was.
pub async fn restore(database: &Path, from: &Path) -> Result<(), BackupError> {
    let _lock = sqlite::lock(database)?;
    check(from).await?;
    let with_ending = |ending: &str| {
        let mut path = database.as_os_str().to_owned();
        path.push(ending);
        PathBuf::from(path)
    };
    let (beside, before) = (with_ending(".restoring"), with_ending(".before-restore"));
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    std::fs::copy(from, &beside).map_err(file_error(&beside))?;
    let replaced_head = if database.exists() { head(database).await } else { 0 };
    start_feed_anew(&beside, replaced_head).await?;
    std::fs::File::open(&beside)
        .and_then(|file| file.sync_all())
        .map_err(file_error(&beside))?;
    check(&beside).await?;
    if database.exists() {
        // Folds what stands in the log into the file, so that the log can go.
        let mut connection = connect(database, false).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await
            .map_err(StoreError::from)?;
        connection.close().await.map_err(StoreError::from)?;
        std::fs::copy(database, &before).map_err(file_error(&before))?;
    }
    // The log of a record that is lost would be taken for the restored one's.
    for ending in ["-wal", "-shm"] {
        match std::fs::remove_file(with_ending(ending)) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error(&with_ending(ending))(source));
            }
            _ => {}
        }
    }
    std::fs::rename(&beside, database).map_err(file_error(database))?;
    let folder = database
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or_else(|| Path::new("."));
    std::fs::File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(file_error(folder))
}

/// How far beyond every position that a node may have seen a restored record's feed begins, when the record that it
/// replaces is lost.
const FEED_GAP: i64 = 1_000_000_000;

/// How far beyond every number that the backup gave a restored record goes on to number sites and rules.
const NUMBER_GAP: i64 = 1_000_000;

/// The newest position of a record's feed; 0 when it cannot be read.
async fn head(path: &Path) -> i64 {
    let Ok(mut connection) = connect(path, true).await else {
        return 0;
    };
    let head = sqlx::query_scalar("SELECT coalesce(max(seq), 0) FROM changes").fetch_one(&mut connection);
    head.await.unwrap_or(0)
}

/// Makes every node that followed the record until now read everything anew: what it saw since the backup was taken is
/// undone, and the positions it knows will be those of other changes.
async fn start_feed_anew(path: &Path, replaced_head: i64) -> Result<(), BackupError> {
    let own_head = head(path).await;
    let mut connection = connect(path, false).await?;
    let anew = async {
        // One file from the start: nothing of it stays in a log beside it.
        sqlx::query("PRAGMA journal_mode = DELETE")
            .execute(&mut connection)
            .await?;
        let mut write = connection.begin().await?;
        sqlx::query("DELETE FROM changes").execute(&mut *write).await?;
        // A backup from before records were told apart gets its first when it is opened.
        let knows_epochs = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = 'record'");
        if knows_epochs.fetch_optional(&mut *write).await?.is_some() {
            sqlx::query("UPDATE record SET epoch = random()")
                .execute(&mut *write)
                .await?;
        }
        let seq = own_head.max(replaced_head).saturating_add(FEED_GAP);
        sqlx::query("INSERT INTO changes (seq) VALUES (?)")
            .bind(seq)
            .execute(&mut *write)
            .await?;
        // Numbers that were given since the backup was taken are not given again: nodes and tenants may know them still.
        for table in ["sites", "rules"] {
            let last = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?";
            let last: i64 = sqlx::query_scalar(last).bind(table).fetch_one(&mut *write).await?;
            let forget = sqlx::query("DELETE FROM sqlite_sequence WHERE name = ?");
            forget.bind(table).execute(&mut *write).await?;
            let begin = sqlx::query("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)");
            let begin = begin.bind(table).bind(last.saturating_add(NUMBER_GAP));
            begin.execute(&mut *write).await?;
        }
        write.commit().await?;
        connection.close().await
    };
    anew.await.map_err(|error| StoreError::from(error).into())
}

async fn connect(path: &Path, read_only: bool) -> Result<SqliteConnection, BackupError> {
    let options = SqliteConnectOptions::new().filename(path).read_only(read_only);
    SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| BackupError::Unsound {
            path: path.to_owned(),
            found: error.to_string(),
        })
}

/// Whether a file is a whole database with our tables in it.
async fn check(path: &Path) -> Result<(), BackupError> {
    if let Err(source) = std::fs::File::open(path) {
        return Err(BackupError::File {
            path: path.to_owned(),
            source,
        });
    }
    let unsound = |found: String| BackupError::Unsound {
        path: path.to_owned(),
        found,
    };
    let mut connection = connect(path, true).await?;
    let verdict: String = sqlx::query_scalar("PRAGMA integrity_check(1)")
        .fetch_one(&mut connection)
        .await
        .map_err(|error| unsound(error.to_string()))?;
    if verdict != "ok" {
        return Err(unsound(verdict));
    }
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name IN ('sites', 'links', 'changes')")
            .fetch_one(&mut connection)
            .await
            .map_err(|error| unsound(error.to_string()))?;
    if tables == 3 {
        Ok(())
    } else {
        Err(unsound("a database without Wayside's tables".to_owned()))
    }
}
