//! Copies that are right, in all their forms.

use std::path::Path;

use auditstream_engine::evidence::verify::{Folder, Kind, Options, Severity, Source, verify};
use auditstream_engine::streaming::encode::{compress, decompress};
use auditstream_model::Compression;

use super::author::{Author, Bucket, HOUR, eventful};
use super::{count, faults, named, two_destinations, verified, verify_with};

#[test]
fn an_unchanged_copy_is_proven_in_any_listing_order() {
    let (author, _, mut bucket) = two_destinations();
    for backwards in [false, true] {
        bucket.backwards = backwards;
        let report = verified(&bucket, &author);
        assert_eq!(report.verdict, Severity::Note, "{}", named(&faults(&report)));
        assert_eq!(report.logs.len(), 4);
        let log = &report.logs[2];
        assert_eq!(log.size, author.logs[0].entries.len() as u64);
        assert_eq!((log.first, log.closed), (11, true));
        for (kind, times) in [
            (Kind::Paused, 4),
            (Kind::Skipped, 2),
            (Kind::Replayed, 2),
            (Kind::Renamed, 2),
            (Kind::Absent, 2),
            (Kind::Restored, 2),
            (Kind::InDoubt, 4),
            (Kind::BeforeEvidence, 2),
        ] {
            assert_eq!(count(&report, kind), times, "{kind:?}");
        }
        assert_eq!(report.totals.objects, 2 * author.objects.len() as u64);
    }
}

/// Writes a bucket to a folder.
pub(super) fn write(bucket: &Bucket, folder: &Path) {
    for (key, bytes) in &bucket.files {
        let path = folder.join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_copy_may_begin_at_the_prefix_and_be_spread_over_folders() {
    let author = eventful("siem");
    let folder = tempfile::tempdir().unwrap();
    write(&author.bucket, folder.path());
    let verified = |folders: &[&str]| {
        let sources = folders
            .iter()
            .map(|name| Box::new(Folder::new(folder.path().join(name))) as Box<dyn Source>);
        let sources: Vec<_> = sources.collect();
        let keys = [author.key()];
        verify(&Options {
            sources: &sources,
            keys: &keys,
            expected: &[],
            since: None,
            versions: false,
            now: author.time,
            progress: &|_| {},
        })
        .unwrap()
    };
    for folders in [&[""][..], &["audit", "audit2"], &["audit2", "audit"]] {
        let report = verified(folders);
        assert_eq!(report.verdict, Severity::Note, "{folders:?}{}", named(&faults(&report)));
        assert_eq!(report.totals.objects, author.objects.len() as u64);
    }
    for (folder, missing) in [("audit", ".2"), ("audit2", ".1")] {
        let report = verified(&[folder]);
        assert_eq!(report.verdict, Severity::Unproven);
        let faults = faults(&report);
        assert!(
            faults.iter().all(|fault| fault.kind == Kind::LogMissing),
            "{}",
            named(&faults)
        );
        assert!(faults[0].message.contains(missing));
    }
}

#[test]
fn objects_that_are_compressed_otherwise_are_the_stated_ones_and_reported() {
    let author = eventful("siem");
    for to in Compression::ALL {
        let mut bucket = author.bucket.clone();
        let mut changed = 0;
        for (key, segment) in &author.objects {
            let body = &bucket.files[key];
            let content = decompress(body, segment.compression).unwrap();
            let again = compress(&content, to, Some(1)).unwrap();
            if again == *body {
                continue;
            }
            changed += 1;
            let stem = key.trim_end_matches(".gz").trim_end_matches(".zst");
            let key_now = match to {
                Compression::None => stem.to_owned(),
                _ => key.clone(),
            };
            bucket.files.remove(key);
            bucket.files.insert(key_now, again);
        }
        let report = verified(&bucket, &author);
        assert_eq!(report.verdict, Severity::Note, "{to:?}{}", named(&faults(&report)));
        assert_eq!(count(&report, Kind::Recompressed), changed);
    }
}

#[test]
fn objects_may_be_missing_once_they_have_expired() {
    let mut author = eventful("siem");
    author.expire(2);
    author.pass(HOUR);
    author.publish();
    let gone: Vec<String> = author.objects.iter().take(5).map(|(key, _)| key.clone()).collect();
    gone.iter().for_each(|key| drop(author.bucket.files.remove(key)));
    author.move_to("audit/");
    author.publish();
    let report = verified(&author.bucket, &author);
    assert_eq!(report.verdict, Severity::Note, "{}", named(&faults(&report)));
    assert_eq!(count(&report, Kind::Expired), 1);
    let mut author = Author::new("siem", 1);
    author.open(None);
    author.expire(2);
    author.segment(3);
    author.pass(50 * HOUR);
    author.segment(3);
    author.publish();
    for (lost, now, kind) in [(0, author.time, Kind::Expired), (1, author.time, Kind::ObjectMissing)] {
        let mut bucket = author.bucket.clone();
        bucket.files.remove(&author.objects[lost].0);
        let report = verify_with(&bucket, &[author.key()], &[], now);
        assert_eq!(count(&report, kind), 1, "{}", named(&faults(&report)));
    }
}

#[test]
fn a_chain_of_keys_is_followed_from_the_first() {
    let mut author = Author::new("siem", 1);
    author.open(None);
    author.segment(3);
    author.publish();
    let first = author.key();
    author.rotate();
    author.segment(3);
    author.retire_key();
    author.publish();
    let second = author.key();
    let both = [first, second];
    for keys in [&both[..1], &both[1..], &both[..]] {
        let report = verify_with(&author.bucket, keys, &[], author.time);
        assert_eq!(report.verdict, Severity::Note, "{}", named(&faults(&report)));
        assert_eq!(count(&report, Kind::KeyChanged), 1);
        assert_eq!(report.logs[0].last, 6);
    }
}

#[test]
fn an_object_after_the_newest_checkpoint_is_not_proven_yet() {
    let mut author = eventful("siem");
    author.segment(4);
    let report = verified(&author.bucket, &author);
    assert_eq!(report.verdict, Severity::Unproven, "{}", named(&faults(&report)));
    assert_eq!(count(&report, Kind::NotYetStated), 1);
    author.close();
    assert_eq!(verified(&author.bucket, &author).verdict, Severity::Note);
}

#[test]
fn a_log_that_contradicts_itself_is_reported_although_it_is_signed() {
    let log = |act: &dyn Fn(&mut Author)| {
        let mut author = Author::new("siem", 1);
        author.open(None);
        author.segment(3);
        act(&mut author);
        author.publish();
        let report = verified(&author.bucket, &author);
        faults(&report).iter().map(|fault| fault.kind).collect::<Vec<_>>()
    };
    assert_eq!(log(&|author| author.pass(2 * HOUR)), []);
    assert_eq!(log(&|author| author.time += 2 * HOUR), []);
    let late = |author: &mut Author| {
        author.time += 2 * HOUR;
        author.segment(1);
    };
    assert_eq!(log(&late), [Kind::HourMissing]);
    assert_eq!(log(&Author::resume), [Kind::StatementInvalid]);
    let after_end = |author: &mut Author| {
        author.close();
        author.segment(1);
    };
    assert_eq!(log(&after_end), [Kind::StatementInvalid]);
    let gap = |author: &mut Author| {
        author.replay(2);
        let last = author.logs[0].entries.len() - 1;
        author.segment(2);
        author.logs[0].entries.remove(last);
    };
    assert_eq!(log(&gap), [Kind::SequenceGap]);
    let back = |author: &mut Author| {
        author.time -= 1;
        author.segment(1);
    };
    assert_eq!(log(&back), [Kind::StatementInvalid]);
}

/// For measurements: writes a copy with a million events to `AUDITSTREAM_LARGE_COPY`, and its key.
#[test]
#[ignore = "writes a million events to a folder"]
fn a_large_copy_is_written() {
    let Some(folder) = std::env::var_os("AUDITSTREAM_LARGE_COPY") else {
        return;
    };
    let mut author = Author::with_long_events("siem", 1);
    author.open(None);
    for _ in 0..100 {
        author.segment(10_000);
        author.pass(60_000);
    }
    author.publish();
    let folder = Path::new(&folder);
    write(&author.bucket, folder);
    std::fs::write(folder.join("vkey"), author.key().to_string()).unwrap();
}
