//! Bugs of leadership: in the election and the window, and in what the simulation does in the place of the shell, which
//! says what the shell must not do.

use crate::bugs::Bug;

const DUE: &str = "window/due.rs";
const MEMBER: &str = "window/member.rs";
const WATCH: &str = "window/watch.rs";
const ELECTION: &str = "leadership/election.rs";
const CATALOG: &str = "sim/leading/catalog.rs";
const DAEMON: &str = "sim/leading/daemon.rs";
const DRIVE: &str = "sim/leading/drive.rs";
const KEEPER: &str = "sim/leading/keeper.rs";

/// Bugs of leadership, which the simulation of replicas has to object to.
pub const LEADER_BUGS: &[Bug] = &[
    Bug {
        name: "a pause is due although the lease may have run out",
        edits: &[
            (
                WATCH,
                "self.leads_until.is_some_and(|until| now.mono >= until)",
                "self.leads_until.is_some_and(|_| false)",
            ),
            (DUE, "            note(self.leads_until);\n", ""),
        ],
    },
    Bug {
        name: "a pause that was held up leaves without another look at the lease",
        edits: &[(DRIVE, "        if !self.processes[process].leads(self.now) {\n", "        if false {\n")],
    },
    Bug {
        name: "a leader trusts its lease from the answer on",
        edits: &[(ELECTION, "Some(sent + self.terms.trusted())", "Some(now + self.terms.trusted())")],
    },
    Bug {
        name: "a candidate takes the lease over without having watched it",
        edits: &[(
            ELECTION,
            "        let ran_out = self.over.as_deref() == Some(record);\n",
            "        let ran_out = true;\n",
        )],
    },
    Bug {
        name: "a lease that was renewed is taken over",
        edits: &[(ELECTION, "self.over.as_deref() == Some(record);", "self.over.is_some();")],
    },
    Bug {
        name: "a lease that is not there is taken at once",
        edits: &[(ELECTION, "            None => ran_out || self.leads,\n", "            None => true,\n")],
    },
    Bug {
        name: "the fence compares the epoch alone",
        edits: &[(CATALOG, "self.epoch == term.epoch && self.holder == Some(term.holder)", "self.epoch == term.epoch")],
    },
    Bug {
        name: "a new leader does not recover first",
        edits: &[(
            DAEMON,
            "Ok(Some(recovered)) => drop(self.spawn(process, *window, *slot, recovered)),",
            "Ok(Some(_)) => {}",
        )],
    },
    Bug {
        name: "recovery takes a member for open at its first answer",
        edits: &[(
            MEMBER,
            "attempt: Attempt::Doubtful { until: now + drain + MARGIN + GRACE },",
            "attempt: Attempt::Acked { at: now },",
        )],
    },
    Bug {
        name: "what stands on the lease and not in the catalog is struck without being opened",
        edits: &[(
            DAEMON,
            "(false, None, None) => self.open_listed(process, window, true),",
            "(false, None, None) => self.strike_listed(process, window),",
        )],
    },
    Bug {
        name: "a group does not wait for what is opened by the lease alone",
        edits: &[(
            DAEMON,
            "        if !self.processes[process].idle() {\n",
            "        if !self.processes[process].drives.is_empty() {\n",
        )],
    },
    Bug {
        name: "a pause does not wait for its intent to stand on the lease",
        edits: &[(DRIVE, "Some((change, _)) if keeper.written >= change => true,", "Some(_) => true,")],
    },
    Bug {
        name: "an intent is struck from the lease when the opening begins",
        edits: &[(
            DRIVE,
            "        if self.drives[drive].window.finished() {\n",
            "        if self.drives[drive].window.unpause_started().is_some() {\n            let window = self.drives[drive].window_id;\n            self.strike_listed(process, window);\n        }\n        if self.drives[drive].window.finished() {\n",
        )],
    },
    Bug {
        name: "what a predecessor left on the lease is written over",
        edits: &[(KEEPER, "                keeper.listed.extend(&stands);\n", "")],
    },
    Bug {
        name: "a leader that the catalog has no place for goes on leading",
        edits: &[(DAEMON, "            self.stop(process, Code::LeadershipLost);\n", "")],
    },
    Bug {
        name: "a daemon does not end while a good verdict cannot be written",
        edits: &[(DRIVE, "self.window.state(now) == State::Concluding", "self.window.outcome().is_some()")],
    },
];
