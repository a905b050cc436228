//! The bugs: each a change of the source that a tired person might make, or undo.

/// One change: in this file below `src/`, this text, which occurs once and inside one function, becomes that.
pub type Edit = (&'static str, &'static str, &'static str);

/// A bug and the changes that plant it.
pub struct Bug {
    pub name: &'static str,
    pub edits: &'static [Edit],
}

const DUE: &str = "window/due.rs";
const MACHINE: &str = "window/machine.rs";
const MEMBER: &str = "window/member.rs";
const STORES: &str = "window/stores.rs";
const VERDICT: &str = "window/verdict.rs";
const VIEW: &str = "window/view.rs";
const WATCH: &str = "window/watch.rs";
const QUIET: &str = "domain/quiet.rs";
const RUNNER: &str = "tracking/runner.rs";

pub const BUGS: &[Bug] = &[
    Bug {
        name: "a pause leaves before its intent is durable",
        edits: &[(DUE, "self.durable.phase == Phase::Intended\n", "self.ahead.phase == Phase::Intended\n")],
    },
    Bug {
        name: "a restore point is announced before its verdict is durable",
        edits: &[(VIEW, "=> self.durable.outcome.as_ref(),", "=> self.ahead.outcome.as_ref(),")],
    },
    Bug {
        name: "a restore point is decided before the events under it are durable",
        edits: &[(
            VERDICT,
            "if unknown || (self.void.is_empty() && self.durable.phase != Phase::Opened) {",
            "if unknown {",
        )],
    },
    Bug {
        name: "an unpause waits for a hung append",
        edits: &[(
            DUE,
            "return live.release_due(now.mono, self.opens_by());",
            "return live.release_due(now.mono, self.opens_by()).filter(|_| self.writing.in_flight.is_none());",
        )],
    },
    Bug {
        name: "a hung append voids nothing",
        edits: &[(
            WATCH,
            "since.is_some_and(|since| now.mono >= since + APPEND_DEADLINE)",
            "since.is_some_and(|since| now.mono >= since + APPEND_DEADLINE * 100)",
        )],
    },
    Bug {
        name: "a failed append voids nothing",
        edits: &[(
            MACHINE,
            "        self.void(now, Reason::new(Code::Catalog, format!(\"the catalog did not take an event: {error}\")));",
            "",
        )],
    },
    Bug {
        name: "CheckPaused is trusted while a pause drains",
        edits: &[
            (
                DUE,
                "None => return self.pause_due(member, stage).then_some(Call::Pause { drain: self.plan.drain }),",
                "None if self.pause_due(member, stage) => return Some(Call::Pause { drain: self.plan.drain }),
                None => matches!(live.attempt, Attempt::Flying { .. }),",
            ),
            (
                MACHINE,
                "                match (before, paused) {\n",
                "                if let (Attempt::Flying { sent, .. }, true) = (self.live[member].attempt, *paused) {
                    return self.pause_answered(now, member, sent, &Answer::Ok);
                }
                match (before, paused) {\n",
            ),
        ],
    },
    Bug {
        name: "a pause without an answer is forgotten in the opening",
        edits: &[(
            MEMBER,
            "FailureKind::Unknown => (Attempt::Doubtful { until: landed_by }, Code::PauseFailed),",
            "FailureKind::Unknown => (Attempt::Never, Code::PauseFailed),",
        )],
    },
    Bug {
        name: "a pause on its way is forgotten in the opening",
        edits: &[(
            MEMBER,
            "            Self::Flying { .. } => None,",
            "            Self::Flying { .. } => Some(Duration::ZERO),",
        )],
    },
    Bug {
        name: "someone else's pause that a pause met is opened",
        edits: &[(
            MEMBER,
            "(Attempt::Foreign, Code::ForeignPause)",
            "(Attempt::Acked { at: now }, Code::ForeignPause)",
        )],
    },
    Bug {
        name: "a window starts over someone else's pause",
        edits: &[
            (
                VERDICT,
                "all(|live| live.open_since(self.census_from(now)))",
                "all(|live| live.looked_since(self.pause_at))",
            ),
            (
                MACHINE,
                "                    (true, true) => Reason",
                "                    (true, true) if self.serial == 0 => Reason",
            ),
        ],
    },
    Bug {
        name: "a hold is resumed after a crash",
        edits: &[(
            MACHINE,
            "        if window.ahead.open_intent() {\n",
            "        if window.ahead.phase == Phase::Paused {
            window.void.clear();
            window.opening = None;
            window.first_sent = Some(now);
            window.last_ack = Some(Now { mono: now.mono, wall: window.ahead.pause_completed.unwrap_or(now.wall) });
            for live in &mut window.live {
                live.attempt = Attempt::Acked { at: now.mono };
            }
        } else if window.ahead.open_intent() {\n",
        )],
    },
    Bug {
        name: "the start of the interval is rounded down",
        edits: &[(
            QUIET,
            "start.div_euclid(SECOND) + i128::from(start.rem_euclid(SECOND) > 0)",
            "start.div_euclid(SECOND)",
        )],
    },
    Bug {
        name: "the end of the interval forgets that a second lasts a second",
        edits: &[(QUIET, "let last = end.div_euclid(SECOND) - 1;", "let last = end.div_euclid(SECOND);")],
    },
    Bug {
        name: "a store's clock is taken at its middle, without its uncertainty",
        edits: &[
            (
                QUIET,
                "quiet.start.as_nanosecond() + store.offset_high.as_nanos()",
                "quiet.start.as_nanosecond() + (store.offset_low.as_nanos() + store.offset_high.as_nanos()) / 2",
            ),
            (
                QUIET,
                "quiet.end.as_nanosecond() + store.offset_low.as_nanos()",
                "quiet.end.as_nanosecond() + (store.offset_low.as_nanos() + store.offset_high.as_nanos()) / 2",
            ),
        ],
    },
    Bug {
        name: "the interval ends with the unpause, not with the last look",
        edits: &[(VERDICT, "end: quiet.end - self.unproven }", "end: quiet.end }")],
    },
    Bug {
        name: "nobody asks again after the last acknowledgement",
        edits: &[(VERDICT, "self.live.iter().all(|live| live.closed_since(ack.mono)).then_some(", "Some(")],
    },
    Bug {
        name: "nobody looks again before the unpause",
        edits: &[(WATCH, "all(|live| live.closed_since(until))", "all(|live| live.closed_since(ack.mono))")],
    },
    Bug {
        name: "a member found open in the hold is passed over",
        edits: &[(
            MACHINE,
            "(false, false) if matches!(self.live[member].attempt, Attempt::Acked { .. }) =>",
            "(false, false) if false =>",
        )],
    },
    Bug {
        name: "an unanswered look in the hold is passed over",
        edits: &[(
            MACHINE,
            "            Answer::Failed(failure) => {\n                self.live[member].fresh = true;",
            "            Answer::Failed(_) if !before => return,\n            Answer::Failed(failure) => {\n                self.live[member].fresh = true;",
        )],
    },
    Bug {
        name: "a hold that nobody watched ends well",
        edits: &[(WATCH, "now.mono > looked + LOOK_LIMIT", "now.mono > looked + LOOK_LIMIT * 100")],
    },
    Bug {
        name: "a clock step is ignored",
        edits: &[(WATCH, "if self.drifted() > CLOCK_STEP {", "if self.drifted() > CLOCK_STEP * 100 {")],
    },
    Bug {
        name: "a nudge of the clock does not shrink the interval",
        edits: &[(VERDICT, "proven.shrunk(self.drifted())", "proven.shrunk(std::time::Duration::ZERO)")],
    },
    Bug {
        name: "a look from before the attempt was settled counts as open",
        edits: &[(MEMBER, "self.look.filter(|look| look.asked >= settled)?", "self.look?")],
    },
    Bug {
        name: "an acknowledged unpause counts as open",
        edits: &[(
            MEMBER,
            "self.unpaused = Some(flight.sent);\n",
            "self.unpaused = Some(flight.sent);\n                self.end = Some(End::SeenOpen);\n",
        )],
    },
    Bug {
        name: "recovery closes the intent at the first open look",
        edits: &[(
            MEMBER,
            "attempt: Attempt::Doubtful { until: now + drain + MARGIN + GRACE },",
            "attempt: Attempt::Doubtful { until: now }, suspect: false,",
        )],
    },
    Bug {
        name: "a member that wakes from a hang is trusted at once",
        edits: &[(MEMBER, "            && woke\n", "            && woke && false\n")],
    },
    Bug {
        name: "the max_pause watchdog sleeps",
        edits: &[(
            WATCH,
            "if now.mono + WATCHDOG_LEAD >= first.mono + self.plan.max_pause {",
            "if now.mono + WATCHDOG_LEAD >= first.mono + self.plan.max_pause * 100 {",
        )],
    },
    Bug {
        name: "pauses follow an intent whose looks are long past",
        edits: &[(WATCH, "now.mono > asked + INTENT_LIMIT", "now.mono > asked + INTENT_LIMIT * 100")],
    },
    Bug {
        name: "the census after the window is not compared",
        edits: &[(VERDICT, "Ok(found) if found == members => None,", "Ok(found) if !found.is_empty() => None,")],
    },
    Bug {
        name: "a census that failed is passed over",
        edits: &[(VERDICT, "Err(reason) => Some(reason),", "Err(_) => None,")],
    },
    Bug {
        name: "all stages are paused at once",
        edits: &[(DUE, "            && stage == Some(self.members[member].stage)\n", "")],
    },
    Bug {
        name: "a void window is called refused",
        edits: &[(VERDICT, "None if untouched =>", "None if untouched || self.held.is_none() =>")],
    },
    Bug {
        name: "a window asks to be woken in the past",
        edits: &[(DUE, "Some(_) if self.void.is_empty() && self.ahead.outcome.is_none() =>", "Some(_) =>")],
    },
    Bug {
        name: "a change that Kubernetes tells of voids nothing",
        edits: &[(
            MACHINE,
            "live.doubt = Some(Doubt::new(now.mono));\n        }\n        self.void(now, reason);",
            "live.doubt = Some(Doubt::new(now.mono));\n        }",
        )],
    },
    Bug {
        name: "a member whose pod may be gone is opened at once",
        edits: &[(MEMBER, "self.doubt.map_or(self.retry_at, |doubt| doubt.until.max(self.retry_at))", "self.retry_at")],
    },
    Bug {
        name: "a member whose pod may be gone waits for ever",
        edits: &[(MEMBER, "until: now + POD_DEADLINE }", "until: now + POD_DEADLINE * 100_000 }")],
    },
    Bug {
        name: "a member whose pod is gone is asked on",
        edits: &[(MACHINE, "live.end.get_or_insert(super::End::Gone);", "")],
    },
    Bug {
        name: "a request that was lost raises no doubt about the pod",
        edits: &[(MACHINE, "self.live[member].doubt = Some(Doubt::new(now.mono));", "")],
    },
    Bug {
        name: "recovery opens what is at the address, whoever it is",
        edits: &[(MACHINE, "live.doubt = member.pod.as_ref().map(|_| Doubt::new(now.mono));", "")],
    },
    Bug {
        name: "an answer about the pods ends a doubt that came after its question",
        edits: &[(MACHINE, "live.doubt.filter(|doubt| doubt.since > asked)", "None")],
    },
    Bug {
        name: "a member whose container is said not to run counts as open although it answers",
        edits: &[(MACHINE, "(*how == Gone::Pod || live.silent())", "true")],
    },
    Bug {
        name: "a look after the census takes a new connection",
        edits: &[(DUE, "            _ if counted => Line::Same,\n", "")],
    },
    Bug {
        name: "the intent does not wait for the members to be found again",
        edits: &[(VERDICT, "&& self.before.found.is_some()", "")],
    },
    Bug {
        name: "the members found again before the intent may differ",
        edits: &[(MACHINE, "against.filter(|_| before)", "against.filter(|_| false)")],
    },
    Bug {
        name: "a census that never comes is waited for for ever",
        edits: &[(WATCH, "now.mono >= asked + CENSUS_DEADLINE", "now.mono >= asked + CENSUS_DEADLINE * 1_000")],
    },
    Bug {
        name: "the verdict does not wait for the stores",
        edits: &[(VERDICT, "self.census_due() || self.stores_due();", "self.census_due();")],
    },
    Bug {
        name: "the verdict uses only the stores' clocks before the window",
        edits: &[(STORES, "map(|(before, after)| before.hull(after))", "map(|(before, _)| *before)")],
    },
    Bug {
        name: "the verdict uses only the stores' clocks after the window",
        edits: &[(STORES, "map(|(before, after)| before.hull(after))", "map(|(_, after)| *after)")],
    },
    Bug {
        name: "a store's clock is taken to be where both looks saw it",
        edits: &[
            (QUIET, "self.offset_low.min(after.offset_low)", "self.offset_low.max(after.offset_low)"),
            (QUIET, "self.offset_high.max(after.offset_high)", "self.offset_high.min(after.offset_high)"),
        ],
    },
    Bug {
        name: "the deadline of the stores is forgotten",
        edits: &[(STORES, "now.mono >= asked + STORES_DEADLINE", "now.mono >= asked + STORES_DEADLINE * 1_000")],
    },
    Bug {
        name: "nobody is woken at the deadline of the stores",
        edits: &[(DUE, "        note(self.stores_asked().map(|asked| asked + STORES_DEADLINE));\n", "")],
    },
    Bug {
        name: "stores that never answered are taken for a yes",
        edits: &[(
            STORES,
            "            self.stores_found(now, Err(reason));",
            "            self.stores.found = Some(Ok(self.clocks.clone())); let _ = reason;",
        )],
    },
    Bug {
        name: "stores that could not be looked at are taken for a yes",
        edits: &[(
            VERDICT,
            "if let Some(Err(against)) = &self.stores.found {",
            "if let (Some(Err(against)), false) = (&self.stores.found, true) {",
        )],
    },
    Bug {
        name: "an answer of fewer stores is taken for all",
        edits: &[(
            STORES,
            "            count if count == known => Ok(clocks),",
            "            count if count <= known => Ok(clocks),",
        )],
    },
    Bug {
        name: "the stores are looked at again in every step",
        edits: &[(DUE, "if self.stores_due() && self.stores.asked.is_none() {", "if self.stores_due() {")],
    },
    Bug {
        name: "the stores are looked at while members are closed",
        edits: &[(
            STORES,
            "self.proven_so_far() && !self.clocks.is_empty()",
            "self.last_ack.is_some() && !self.clocks.is_empty()",
        )],
    },
    Bug {
        name: "the daemon's own clock may step between the looks at the stores",
        edits: &[(
            WATCH,
            "        closed || !self.clocks.is_empty() && self.void.is_empty() && self.stores.found.is_none()\n",
            "        closed\n",
        )],
    },
];

/// Bugs of materializing, which the simulation of the copies has to object to.
pub const COPY_BUGS: &[Bug] = &[
    Bug {
        name: "a table is backed up without a look for a backup",
        edits: &[(
            RUNNER,
            "                None if self.doubt => Due::Ask(Ask::Backups),\n",
            "                None if self.doubt => Due::Ask(Ask::BackUp),\n",
        )],
    },
    Bug { name: "a request that was lost raises no doubt", edits: &[(RUNNER, "            self.doubt = true;\n", "")] },
    Bug {
        name: "a request that was lost is taken for not carried out",
        edits: &[
            (RUNNER, "else { now.mono + SETTLE };", "else { now.mono };"),
            (RUNNER, "self.settled = now.mono + SETTLE;", "self.settled = now.mono;"),
        ],
    },
    Bug {
        name: "every table under the name is ours",
        edits: &[(
            RUNNER,
            "        from.is_some_and(|(arn, point)| *arn == self.copy.source_arn && *point == self.copy.point)\n",
            "        (from.is_none() || from.is_some())\n",
        )],
    },
    Bug {
        name: "backups beside the one are left",
        edits: &[(
            RUNNER,
            "        if let Some(extra) = extra {\n",
            "        if let Some(extra) = extra.filter(|_| false) {\n",
        )],
    },
    Bug {
        name: "the temporary table is deleted before its backup is available",
        edits: &[(
            RUNNER,
            "                BackupStatus::Available => self.backed_up(now, backup),\n",
            "                BackupStatus::Available | BackupStatus::Creating => self.backed_up(now, backup),\n",
        )],
    },
    Bug {
        name: "a backup is taken for one of our table without a look at the table",
        edits: &[(
            RUNNER,
            "            None => Due::Ask(Ask::Table),\n            Some(Some(table)) if self.ours(table) => self.save",
            "            None => self.save(|copy| copy.step = Step::Deleting),\n            Some(Some(table)) if self.ours(table) => self.save",
        )],
    },
    Bug {
        name: "a look of the step before is built on",
        edits: &[(RUNNER, "        if copy.step != self.copy.step {\n", "        if false {\n")],
    },
    Bug {
        name: "a restored table that is not seen yet is not waited for",
        edits: &[(
            RUNNER,
            "Ask::Restore | Ask::Tag { .. } | Ask::BackUp) && taken {",
            "Ask::Tag { .. } | Ask::BackUp) && taken {",
        )],
    },
    Bug {
        name: "a table is tagged while another restore of it may land",
        edits: &[(
            RUNNER,
            "                TableStatus::Active if now.mono < self.settled => Due::Wait(self.settled),\n",
            "",
        )],
    },
    Bug {
        name: "requests of the process that died are forgotten",
        edits: &[(RUNNER, "if copy.step == Step::Waiting { now.mono } else { now.mono + SETTLE }", "now.mono")],
    },
    Bug {
        name: "a backup expires without a look after its deletion",
        edits: &[(
            RUNNER,
            "                if self.is_backup(backup) {\n                    return Due::Ask(Ask::DeleteBackup { arn: arn.clone() });",
            "                if self.is_backup(backup) && self.tries > 0 {\n                    return self.save(|copy| copy.step = Step::Expired);\n                }\n                if self.is_backup(backup) {\n                    return Due::Ask(Ask::DeleteBackup { arn: arn.clone() });",
        )],
    },
    Bug {
        name: "a failed copy leaves its temporary table",
        edits: &[
            (RUNNER, "            Some(Some(_)) => return Due::Ask(Ask::DeleteTable),\n", ""),
            (
                RUNNER,
                "            Some(None) => {}\n        }\n        match (&self.copy.failure",
                "            Some(_) => {}\n        }\n        match (&self.copy.failure",
            ),
        ],
    },
    Bug {
        name: "the restore leaves before its step is durable",
        edits: &[(
            RUNNER,
            "            Step::Waiting => self.save(|copy| {\n",
            "            Step::Waiting if self.tries == 0 => Due::Ask(Ask::Restore),\n            Step::Waiting => self.save(|copy| {\n",
        )],
    },
];
