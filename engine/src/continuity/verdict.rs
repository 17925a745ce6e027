//! Compares a database with the marks outside of it.

use auditstream_model::Sequence;

use super::facts::Facts;
use crate::database::Dialect;
use crate::marks::{Found, Marks};

/// The marks that a database is compared with.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    pub(super) found: Found,
    /// Whether this process has kept the marks itself since it last compared them.
    pub(super) is_own: bool,
    /// The key of an object in a bucket that the database does not know.
    pub(super) object: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The database continues where it was.
    Continuous,
    /// The database is older than the numbers given out, or may be; with the reason. The marks are
    /// newer than the database.
    Older(String),
    /// The database is older than an object in a bucket; with the reason. The marks are as old as
    /// the database, or missing: the numbers given out since are not known.
    OlderThanMarks(String),
    /// There is nothing to compare with; with the reason.
    Unknown(String),
}

use Verdict::{Continuous, Older, OlderThanMarks, Unknown};

pub(super) fn judge(facts: &Facts, evidence: &Evidence) -> Verdict {
    match (by_marks(facts, evidence), &evidence.object) {
        (Older(reason), _) => Older(reason),
        (_, Some(key)) => OlderThanMarks(format!(
            "the object {key} in a destination's bucket is newer than the database"
        )),
        (verdict, None) => verdict,
    }
}

fn by_marks(facts: &Facts, evidence: &Evidence) -> Verdict {
    match &evidence.found {
        Found::Marks(marks) if marks.installation == facts.installation.identifier => {
            compare(facts, marks, evidence.is_own)
        }
        _ if facts.is_new() => Continuous,
        Found::Marks(marks) => without_marks(
            facts,
            &format!(
                "the high-water marks belong to another installation ({})",
                marks.installation
            ),
        ),
        Found::Missing => without_marks(facts, "there is no file with its high-water marks"),
        Found::Unreadable(error) => {
            without_marks(facts, &format!("the file of its high-water marks is damaged: {error}"))
        }
    }
}

/// A PostgreSQL database that is where it was is trusted: a dump, a recovery to a point in time and
/// a failover each change the server or its timeline.
fn without_marks(facts: &Facts, reason: &str) -> Verdict {
    if facts.installation.copied != 0 {
        return Unknown(format!("the database was restored from a backup, and {reason}"));
    }
    match facts.dialect {
        Dialect::Postgres if facts.is_in_place() => Continuous,
        Dialect::Postgres => Unknown(format!(
            "the database is not on the server, or not on the timeline, on which it was, and {reason}"
        )),
        Dialect::Sqlite => Unknown(reason.to_owned()),
    }
}

fn compare(facts: &Facts, marks: &Marks, is_own: bool) -> Verdict {
    let generation = facts.installation.generation;
    if marks.generation > generation {
        return Older(format!(
            "it is of generation {generation}, and generation {} has been used",
            marks.generation
        ));
    }
    if facts.installation.copied != 0 {
        return Older("it was restored from a backup".to_owned());
    }
    if marks.generation < generation {
        // Another server has declared a restore. It counts if it knew of these numbers.
        return match uncovered(facts, marks, is_own) {
            Some((account, mark)) => Older(format!(
                "it was restored, and the number {mark} of the account {account} was not known then"
            )),
            None if facts.is_in_place() => Continuous,
            None => moved(),
        };
    }
    if let Some(reason) = regressed(facts, marks) {
        return Older(reason);
    }
    if facts.was_moved_from(&marks.server) {
        return Continuous;
    }
    if marks.server.identity != facts.server.identity {
        return moved();
    }
    match (&marks.server.timeline, &facts.server.timeline) {
        (known, found) if known == found => Continuous,
        // Commits have waited for the standby that took over.
        _ if marks.server.synchronous => Continuous,
        (known, found) => Older(format!(
            "the database server failed over or was recovered: its timeline was {} and is {}",
            known.as_deref().unwrap_or("unknown"),
            found.as_deref().unwrap_or("unknown")
        )),
    }
}

fn moved() -> Verdict {
    Older("it is on another database server, or in another database of the server, than before".to_owned())
}

fn uncovered(facts: &Facts, marks: &Marks, is_own: bool) -> Option<(String, Sequence)> {
    let existing = marks.accounts.iter().filter(|(_, mark)| !mark.lost);
    let mut uncovered = existing.filter_map(|(name, mark)| {
        let mark = if is_own { mark.seen } else { mark.reserved };
        let gap_end = facts.accounts.get(name).map_or(0, |account| account.gap_end);
        (mark > gap_end).then(|| (name.clone(), mark))
    });
    uncovered.next()
}

fn regressed(facts: &Facts, marks: &Marks) -> Option<String> {
    for (name, mark) in &marks.accounts {
        match facts.accounts.get(name) {
            Some(account) if mark.seen > account.last_sequence => {
                return Some(format!(
                    "the trail of the account {name} ends at {} and has been at {}",
                    account.last_sequence, mark.seen
                ));
            }
            None if mark.seen > 0 => return Some(format!("the account {name} is missing")),
            _ => {}
        }
    }
    let batch = marks
        .batches
        .iter()
        .find(|(uid, number)| facts.batches.get(*uid).is_some_and(|last| last < *number));
    batch.map(|(_, number)| format!("batch {number} of a destination is missing"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::facts::{Account, Installation};
    use super::*;
    use crate::marks::Server;

    fn server(identity: &str, timeline: &str) -> Server {
        Server {
            identity: Some(identity.to_owned()),
            timeline: Some(timeline.to_owned()),
            synchronous: false,
        }
    }

    /// One account with 50 events, on server "a" and timeline "1".
    fn facts(dialect: Dialect) -> Facts {
        let server = match dialect {
            Dialect::Sqlite => Server::default(),
            Dialect::Postgres => server("a", "1"),
        };
        let account = Account {
            id: 1,
            last_sequence: 50,
            last_received: 0,
            gap_end: 0,
        };
        Facts {
            dialect,
            installation: Installation {
                identifier: "installation".to_owned(),
                generation: 1,
                server: server.identity.clone(),
                timeline: server.timeline.clone(),
                copied: 0,
                moved: 0,
                left_server: None,
                left_timeline: None,
            },
            server,
            accounts: BTreeMap::from([("default".to_owned(), account)]),
            batches: BTreeMap::from([("UID".to_owned(), 7)]),
        }
    }

    fn judged(facts: &Facts, found: Found) -> Verdict {
        let evidence = Evidence {
            found,
            is_own: false,
            object: None,
        };
        judge(facts, &evidence)
    }

    fn is_older(facts: &Facts, change: impl FnOnce(&mut Marks)) -> bool {
        let mut marks = facts.as_marks(None);
        change(&mut marks);
        matches!(judged(facts, Found::Marks(marks)), Older(_))
    }

    #[test]
    fn what_continues_is_continuous() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let facts = facts(dialect);
            assert!(!is_older(&facts, |_| {}));
            assert!(
                !is_older(&facts, |marks| marks.reserve("default", 50, 90)),
                "a reserved block"
            );
            assert!(!is_older(&facts, |marks| {
                marks.batches.insert("SKIPPED".to_owned(), 99);
            }));
        }
    }

    #[test]
    fn whatever_the_marks_know_and_the_database_does_not_proves_it_older() {
        for dialect in [Dialect::Sqlite, Dialect::Postgres] {
            let mut facts = facts(dialect);
            assert!(is_older(&facts, |marks| marks.see("default", 51)));
            assert!(is_older(&facts, |marks| marks.see("tenant", 1)));
            assert!(is_older(&facts, |marks| marks.generation = 2));
            assert!(is_older(&facts, |marks| marks.batches = BTreeMap::from([("UID".to_owned(), 8)])));
            facts.installation.copied = 1;
            assert!(is_older(&facts, |_| {}));
        }
        let moved = facts(Dialect::Postgres);
        assert!(is_older(&moved, |marks| marks.server = server("b", "1")));
        assert!(is_older(&moved, |marks| marks.server = server("a", "2")));
        let synchronous = |marks: &mut Marks| {
            marks.server = Server {
                synchronous: true,
                ..server("a", "2")
            };
        };
        assert!(!is_older(&moved, synchronous));
        assert!(is_older(&moved, |marks| {
            synchronous(marks);
            marks.see("default", 51);
        }));
    }

    #[test]
    fn a_database_that_was_moved_continues_where_it_was_moved_to() {
        let mut facts = facts(Dialect::Postgres);
        facts.installation.moved = 1;
        let of_sqlite = |marks: &mut Marks| marks.server = Server::default();
        assert!(!is_older(&facts, of_sqlite));
        assert!(is_older(&facts, |marks| marks.server = server("b", "1")));
        facts.installation.left_server = Some("b".to_owned());
        facts.installation.left_timeline = Some("1".to_owned());
        assert!(!is_older(&facts, |marks| marks.server = server("b", "1")));
        assert!(is_older(&facts, of_sqlite));
        assert!(is_older(&facts, |marks| marks.server = server("b", "2")));
        assert!(is_older(&facts, |marks| {
            marks.server = server("b", "1");
            marks.see("default", 51);
        }));
        facts.server = server("c", "1");
        assert!(
            is_older(&facts, |marks| marks.server = server("b", "1")),
            "a copy elsewhere"
        );
    }

    #[test]
    fn an_object_beyond_the_database_proves_more_than_marks_that_agree_with_it() {
        let facts = facts(Dialect::Postgres);
        let mut marks = facts.as_marks(None);
        for found in [Found::Missing, Found::Marks(marks.clone())] {
            let evidence = Evidence {
                found,
                is_own: true,
                object: Some("key".to_owned()),
            };
            assert!(matches!(judge(&facts, &evidence), OlderThanMarks(_)));
        }
        marks.see("default", 51);
        let evidence = Evidence {
            found: Found::Marks(marks),
            is_own: true,
            object: Some("key".to_owned()),
        };
        assert!(
            matches!(judge(&facts, &evidence), Older(_)),
            "the marks know the numbers"
        );
    }

    #[test]
    fn a_restore_that_another_server_declared_counts_if_it_covers_the_marks() {
        let mut facts = facts(Dialect::Postgres);
        facts.installation.generation = 2;
        facts.accounts.get_mut("default").unwrap().gap_end = 40;
        let older = |reserved| {
            is_older(&facts, |marks| {
                *marks = Marks::new("installation", 1);
                marks.server = server("a", "0");
                marks.reserve_exactly("default", reserved);
            })
        };
        assert!(!older(40));
        assert!(older(41));
    }

    #[test]
    fn without_marks_only_a_new_or_unmoved_database_is_continuous() {
        let missing = || Found::Missing;
        let unreadable = || Found::Unreadable("cut off".to_owned());
        let other = || Found::Marks(Marks::new("another", 1));
        for found in [missing as fn() -> Found, unreadable, other] {
            assert!(matches!(judged(&facts(Dialect::Sqlite), found()), Unknown(_)));
            assert_eq!(judged(&facts(Dialect::Postgres), found()), Continuous);
            let mut moved = facts(Dialect::Postgres);
            moved.server = server("a", "2");
            assert!(matches!(judged(&moved, found()), Unknown(_)));
            let mut copied = facts(Dialect::Postgres);
            copied.installation.copied = 1;
            assert!(matches!(judged(&copied, found()), Unknown(_)));
            let mut new = facts(Dialect::Sqlite);
            new.accounts.get_mut("default").unwrap().last_sequence = 0;
            assert_eq!(judged(&new, found()), Continuous);
        }
    }
}
