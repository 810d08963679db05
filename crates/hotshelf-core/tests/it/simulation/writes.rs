//! Writers: they change the source of truth, and invalidate or update the cache.

use std::time::Duration;

use hotshelf_core::cache::Written;
use hotshelf_core::codec::Opaque;
use hotshelf_core::{Error, WireKey};
use hotshelf_testkit::simulation::{EventIndex, Overlap};

use super::source::{LATE_TAG, Row, RowGuard, SHARED_TAG};
use super::world::Task;

/// The pause before and after a commit.
const WRITE: Duration = Duration::from_millis(5);

/// The number of attempts of an invalidation.
const ATTEMPTS: u32 = 3;

impl Task {
    pub(crate) async fn change_and_invalidate_key(&self, row: &Row) {
        let changing = async {
            let _writing = self.invalidating(&[row]).await;
            self.commit(row).await;
            self.pause(WRITE).await;
            let keys = [row.key.clone()];
            self.invalidate(&keys, "key", || async {
                self.member.cache.invalidate(vec![Ok(row.key.clone().into())]).await.map(drop)
            })
            .await;
        };
        self.cancellable_write(changing).await;
    }

    /// Invalidates one of a row's tags, and with it all rows that carry it.
    pub(crate) async fn change_and_invalidate_tag(&self, row: &Row) {
        let tags: Vec<&String> = row.all_tags().collect();
        if tags.is_empty() {
            return;
        }
        let tag = tags[self.below(tags.len() as u64) as usize];
        let changing = async {
            let rows: Vec<&Row> =
                self.world.rows_with(|row| row.all_tags().any(|other| other == tag));
            let _writing = self.invalidating(&rows).await;
            self.commit(row).await;
            self.pause(WRITE).await;
            let keys: Vec<WireKey> = rows.iter().map(|row| row.key.clone()).collect();
            let cache = &self.member.cache;
            self.invalidate(&keys, name(tag), || cache.invalidate_tags([Ok(tag)])).await;
        };
        self.cancellable_write(changing).await;
    }

    /// Invalidates all rows, whether or not they have changed.
    pub(crate) async fn invalidate_pattern(&self) {
        let rows = self.world.rows_with(|_| true);
        let _writing = self.invalidating(&rows).await;
        let keys: Vec<WireKey> = rows.iter().map(|row| row.key.clone()).collect();
        self.invalidate(&keys, "pattern", || async {
            self.member.cache.invalidate_pattern(Ok("row-*"), false).await.map(drop)
        })
        .await;
    }

    /// Invalidates, with retries after a failure, and records each attempt.
    async fn invalidate<F: Future<Output = Result<(), Error>>>(
        &self,
        keys: &[WireKey],
        by: &'static str,
        attempt: impl Fn() -> F,
    ) {
        let history = &self.world.history;
        for _ in 0..ATTEMPTS {
            let invalidation = history.invalidates(self.process(), keys, by);
            if attempt().await.is_ok() {
                return history.invalidated(self.process(), keys, invalidation);
            }
        }
    }

    /// Writes through the cache: a row, or all rows with the same tags. It is also an
    /// invalidation: after it has returned `Ok`, no caller gets an older value.
    pub(crate) async fn write_through(&self, row: &Row) {
        if !row.late_tags.is_empty() {
            // What is written has the tags that its call names.
            return;
        }
        let together = self.below(3) == 0;
        let same =
            |other: &Row| other.key == row.key || together && other.all_tags().eq(row.all_tags());
        let rows = self.world.rows_with(same);
        let writing = async {
            let _writing = self.invalidating(&rows).await;
            let keys: Vec<WireKey> = rows.iter().map(|row| row.key.clone()).collect();
            let all = keys.iter().cloned().map(|key| Ok(key.into())).collect();
            let guard = self.member.cache.write_guard(all, row.options()).await;
            let (invalidation, origins) = guard.run(self.commit_all(&rows, &keys)).await;
            let written = match self.below(8) {
                0 => guard.invalidate().await.map(|()| Written::Invalidated),
                _ => {
                    let values = origins.iter().map(|origin| Some(origin as &Opaque));
                    guard.written(values).send().await
                }
            };
            if let Ok(written) = written {
                self.world.overlaps.count(match written {
                    Written::Stored => Overlap::WriteStored,
                    Written::Invalidated => Overlap::WriteOvertaken,
                });
                self.world.history.invalidated(self.process(), &keys, invalidation);
            }
        };
        self.cancellable_write(writing).await;
    }

    /// Commits new versions of rows, and returns the values to be stored.
    async fn commit_all(&self, rows: &[&Row], keys: &[WireKey]) -> (EventIndex, Vec<EventIndex>) {
        let history = &self.world.history;
        let mut versions = Vec::new();
        for row in rows {
            versions.push(self.commit(row).await);
        }
        let invalidation = history.invalidates(self.process(), keys, "write");
        let mut origins = Vec::new();
        for (row, version) in rows.iter().zip(versions) {
            let origin = history.reads(self.process(), &row.key, None);
            history.finds(self.process(), &row.key, origin, version);
            origins.push(origin);
        }
        self.pause(WRITE).await;
        (invalidation, origins)
    }

    /// Reads a row and inserts its value, while it is not being written. Inserts are never
    /// cancelled, since they would continue in the background during later writes.
    pub(crate) async fn insert(&self, row: &Row) {
        let Some(_writing) = row.try_inserting().filter(|_| row.late_tags.is_empty()) else {
            return;
        };
        let origin = self.world.history.reads(self.process(), &row.key, None);
        self.world.history.finds(self.process(), &row.key, origin, row.version());
        self.pause(WRITE).await;
        let value = (Ok(row.key.clone().into()), &origin as &Opaque);
        let inserted = self.member.cache.insert([value], &row.options()).send().await;
        if matches!(inserted, Ok(true)) {
            self.world.overlaps.count(Overlap::Inserted);
        }
    }

    async fn cancellable_write(&self, writing: impl Future<Output = ()>) {
        if self.maybe_cancelled(writing).await.is_none() {
            self.world.overlaps.count(Overlap::WriteGivenUp);
        }
    }

    async fn commit(&self, row: &Row) -> u64 {
        self.pause(WRITE).await;
        let version = row.commit();
        let text = || format!("commits version {version}");
        self.world.history.note(Some(self.process()), std::slice::from_ref(&row.key), text);
        version
    }

    /// Locks rows for writing, after inserts into them have completed.
    async fn invalidating<'a>(&self, rows: &[&'a Row]) -> Vec<RowGuard<'a>> {
        loop {
            let locked: Option<Vec<_>> = rows.iter().map(|row| row.try_invalidating()).collect();
            match locked {
                Some(writing) => return writing,
                None => self.pause(WRITE).await,
            }
        }
    }
}

fn name(tag: &str) -> &'static str {
    match tag {
        SHARED_TAG => "the shared tag",
        LATE_TAG => "the late tag",
        _ => "its own tag",
    }
}
