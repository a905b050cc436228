//! Scheduled instants: planned, run at most once, done, missed or skipped.

use super::append::{count, happening, save};
use super::error::{CatalogError, During};
use super::rows::WindowRow;
use super::{Catalog, sql};
use crate::domain::{Notice, Reason, Trigger, Verdict};
use crate::window::{Phase, Report};
use jiff::Timestamp;
use sqlx::AnyConnection;

impl Catalog {
    /// Records the group's next scheduled instant, so that one that passes while no daemon runs is found later.
    /// To be called while it is still to come: whatever else was planned belongs to a schedule or a clock that was
    /// changed, and is forgotten; and one that was missed or skipped before its time is planned once more.
    /// True: it was not planned before, nor taken.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn plan_slot(&self, group: &str, slot: Timestamp) -> Result<bool, CatalogError> {
        let (group, epoch) = (group.to_owned(), self.epoch());
        self.change(
            "plan a slot",
            Box::new(move |connection| {
                Box::pin(async move {
                    sqlx::query(sql::UNPLAN_OTHERS)
                        .bind(&group)
                        .bind(slot.as_microsecond())
                        .execute(&mut *connection)
                        .await
                        .during("plan a slot")?;
                    set(connection, "plan a slot", sql::PLAN_SLOT, &group, slot, epoch).await
                })
            }),
        )
        .await
    }

    /// Takes back what is planned later than `now`: what no schedule has any more was not missed. True: there was some.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn unplan_slots(&self, group: &str, now: Timestamp) -> Result<bool, CatalogError> {
        const DURING: &str = "take back planned slots";
        let group = group.to_owned();
        self.change(
            DURING,
            Box::new(move |connection| {
                Box::pin(async move {
                    let query = sqlx::query(sql::UNPLAN_SLOTS).bind(&group).bind(now.as_microsecond());
                    Ok(query.execute(connection).await.during(DURING)?.rows_affected() > 0)
                })
            }),
        )
        .await
    }

    /// Takes the slot: true exactly once, whoever asks. Further attempts go by [`Catalog::count_attempt`].
    ///
    /// # Errors
    /// The disk, or a later epoch. After `Stalled` the slot may be taken, and a repeated call then says false:
    /// [`super::Reader::unfinished_slots`] tells, with this process's epoch in the row.
    pub async fn start_slot(&self, group: &str, slot: Timestamp) -> Result<bool, CatalogError> {
        self.change_slot("start a slot", sql::START_SLOT, group, slot).await
    }

    /// Counts one more window of a running slot, and answers with how many there are now; none, if it does not run.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn count_attempt(&self, group: &str, slot: Timestamp) -> Result<Option<u32>, CatalogError> {
        let (group, epoch) = (group.to_owned(), self.epoch());
        self.change(
            "count an attempt",
            Box::new(move |connection| {
                Box::pin(async move {
                    let attempts: Option<i64> = sqlx::query_scalar(sql::COUNT_ATTEMPT)
                        .bind(group)
                        .bind(slot.as_microsecond())
                        .bind(epoch)
                        .fetch_optional(connection)
                        .await
                        .during("count an attempt")?;
                    Ok(attempts.map(|attempts| u32::try_from(attempts).unwrap_or(u32::MAX)))
                })
            }),
        )
        .await
    }

    /// Gives a running slot back that no window was begun for: it is planned again. True: it was.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn release_slot(&self, group: &str, slot: Timestamp) -> Result<bool, CatalogError> {
        self.change_slot("release a slot", sql::RELEASE_SLOT, group, slot).await
    }

    /// Ends the slot: no more attempts. True: it was planned or running until now.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn finish_slot(&self, group: &str, slot: Timestamp) -> Result<bool, CatalogError> {
        self.change_slot("finish a slot", sql::FINISH_SLOT, group, slot).await
    }

    /// Ends a slot without a window, and leaves a row with the verdict `missed` in the history. True: it was not done
    /// or missed until now (it need not have been planned).
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn miss_slot(&self, group: &str, slot: Timestamp, reason: &Reason) -> Result<bool, CatalogError> {
        let (row, epoch) = (unrun(Verdict::Missed, group, slot, reason), self.epoch());
        let (outbox, at) = (self.outbox.clone(), crate::clock::wall());
        let changed = self
            .change(
                "miss a slot",
                Box::new(move |connection| {
                    Box::pin(async move {
                        if !set(connection, "miss a slot", sql::MISS_SLOT, &row.group, slot, epoch).await? {
                            return Ok(false);
                        }
                        save(connection, &row).await?;
                        count(connection, &row).await?;
                        if !outbox.is_empty() {
                            let report = Report::missed(row.window, row.group, slot, row.reasons);
                            outbox.put(connection, epoch, &happening(Notice::SlotMissed, &report, at)?).await?;
                        }
                        Ok(true)
                    })
                }),
            )
            .await;
        self.outbox.wake();
        changed
    }

    /// Ends a slot that is not to run, and leaves a row with the verdict `skipped` in the history, which no total counts.
    /// True: it was not decided until now.
    ///
    /// # Errors
    /// The disk, or a later epoch.
    pub async fn skip_slot(&self, group: &str, slot: Timestamp, reason: &Reason) -> Result<bool, CatalogError> {
        let (row, epoch) = (unrun(Verdict::Skipped, group, slot, reason), self.epoch());
        self.change(
            "skip a slot",
            Box::new(move |connection| {
                Box::pin(async move {
                    if !set(connection, "skip a slot", sql::SKIP_SLOT, &row.group, slot, epoch).await? {
                        return Ok(false);
                    }
                    save(connection, &row).await?;
                    Ok(true)
                })
            }),
        )
        .await
    }

    async fn change_slot(
        &self,
        action: &'static str,
        statement: &'static str,
        group: &str,
        slot: Timestamp,
    ) -> Result<bool, CatalogError> {
        let (group, epoch) = (group.to_owned(), self.epoch());
        self.change(
            action,
            Box::new(move |connection| {
                Box::pin(async move { set(connection, action, statement, &group, slot, epoch).await })
            }),
        )
        .await
    }
}

/// Whether the statement changed the slot.
async fn set(
    connection: &mut AnyConnection,
    action: &'static str,
    statement: &'static str,
    group: &str,
    slot: Timestamp,
    epoch: i64,
) -> Result<bool, CatalogError> {
    let done = sqlx::query(statement)
        .bind(group)
        .bind(slot.as_microsecond())
        .bind(epoch)
        .execute(connection)
        .await
        .during(action)?;
    Ok(done.rows_affected() == 1)
}

/// The row of a slot that no window ran for. Its name tells it from a window's, which is begun at an instant.
fn unrun(verdict: Verdict, group: &str, slot: Timestamp, reason: &Reason) -> WindowRow {
    WindowRow {
        window: format!("{group}-{verdict}-{slot}"),
        group: group.to_owned(),
        trigger: Trigger::Schedule,
        slot: Some(slot),
        started: slot,
        phase: Phase::Closed,
        verdict: Some(verdict),
        reasons: vec![reason.clone()],
        evidence: None,
        pause_completed: None,
        unpause_started: None,
        restore_point: None,
        closed: None,
        members: 0,
    }
}
