//! The disk against damage, crashes and random histories.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_oneof, proptest};
use wayside_decide::{link::Link, site::SiteId, status::RedirectStatus, target::Target};

use super::{Disk, Found, Settings};
use crate::key::{Key, KeyRef};

const MIB: u64 = 1 << 20;

impl Disk {
    /// Holds up the writer, as a slow disk does, until what this returns is dropped.
    pub(crate) fn hold_up(&self) -> impl Sized + '_ {
        let first = key(1_000_000);
        let taken = self.store.usual.take(self.store.usual.buckets_of(first.view())[0]);
        put(self, &first, 1, 10);
        taken.expect("a bucket")
    }
}

fn open(folder: &Path) -> Disk {
    open_sized(folder, MIB)
}

fn open_sized(folder: &Path, bytes_max: u64) -> Disk {
    let folder = folder.to_owned();
    Disk::open(&Settings { folder, bytes_max }).expect("a usable folder")
}

fn key(number: u64) -> Key {
    KeyRef {
        site: SiteId(1 + number % 3),
        path: &format!("/l/{number}"),
    }
    .to_key()
}

/// A link that says its version, of about this many bytes.
fn link(version: u64, bytes: usize) -> Link {
    let target = format!("https://a.example/{version}?{}", "x".repeat(bytes));
    Link {
        target: Target::parse_at_edge(&target).expect("target"),
        status: RedirectStatus::Found,
        forward_query: false,
        starts_at: None,
        expires_at: None,
        fallback: None,
        tags: Box::default(),
        attributes: Box::default(),
    }
}

fn put(disk: &Disk, key: &Key, version: u64, bytes: usize) {
    disk.put(key, &link(version, bytes), version, disk.epochs().current(), 0);
}

/// The version that is kept, by both ways of reading.
fn version(disk: &Disk, key: &Key) -> Option<u64> {
    let slow = disk.read(key.view()).map(|found| {
        assert!(found.link.target.as_str().contains(&format!("/{}?", found.loaded_s)));
        found.loaded_s
    });
    match disk.read_now(key.view()) {
        Found::Link(found) => assert_eq!(Some(found.loaded_s), slow),
        Found::Nothing => assert_eq!(None, slow),
        Found::Unknown => {}
    }
    slow
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("folder");
    for file in ["usual", "large"] {
        fs::copy(from.join(file), to.join(file)).expect("copy");
    }
}

#[test]
fn links_of_every_size_outlive_a_restart_until_they_are_removed() {
    let folder = tempfile::tempdir().expect("folder");
    let sizes = [0, 100, 1_000, 2_000, 9_900];
    let disk = open(folder.path());
    assert!(!disk.was_there());
    for (number, size) in (0..).zip(sizes) {
        put(&disk, &key(number), 7, size);
        assert_eq!(version(&disk, &key(number)), Some(7), "queued or written");
    }
    drop(disk);
    let disk = open(folder.path());
    assert!(disk.was_there());
    for number in 0..5 {
        assert_eq!(version(&disk, &key(number)), Some(7));
        disk.remove(key(number));
        assert_eq!(version(&disk, &key(number)), None, "at once");
    }
    disk.flush().expect("flush");
    drop(disk);
    let disk = open(folder.path());
    assert!((0..5).all(|number| version(&disk, &key(number)).is_none()), "for good");
    // A large one becomes a small one and the other way round.
    for size in [5_000, 10, 5_000] {
        put(&disk, &key(9), u64::try_from(size).expect("number"), size);
        disk.flush().expect("flush");
        assert_eq!(version(&disk, &key(9)), Some(u64::try_from(size).expect("number")));
    }
}

#[test]
fn a_confirmation_writes_over_what_is_there_and_adds_nothing() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    put(&disk, &key(1), 1, 10);
    disk.flush().expect("flush");
    for number in [1, 2] {
        disk.confirm(&key(number), &link(5, 10), 5, 1);
    }
    disk.flush().expect("flush");
    assert_eq!((version(&disk, &key(1)), version(&disk, &key(2))), (Some(5), None));
}

#[test]
fn what_waits_to_be_confirmed_is_read_where_something_is_and_costs_nothing_that_waits_to_be_written() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    put(&disk, &key(1), 1, 10);
    put(&disk, &key(2), 1, 5_000);
    disk.flush().expect("flush");
    let held_up = disk.hold_up();
    put(&disk, &key(3), 1, 10);
    put(&disk, &key(4), 1, 10);
    disk.remove(key(4));
    for number in 1..6 {
        disk.confirm(&key(number), &link(5, 10), 5, 1);
    }
    let found = |number| match disk.read_now(key(number).view()) {
        Found::Link(found) => Some(found.loaded_s),
        Found::Nothing | Found::Unknown => None,
    };
    assert_eq!(
        [1, 2, 3, 4, 5].map(found),
        [Some(5), Some(5), Some(5), None, None],
        "held, large and held, never written, removed, never there"
    );
    drop(held_up);
    disk.flush().expect("flush");
    assert_eq!([1, 2, 3, 4, 5].map(found), [Some(5), Some(5), Some(5), None, None]);
}

#[test]
fn what_is_of_an_earlier_epoch_than_the_floor_does_not_count_any_more() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    put(&disk, &key(1), 1, 10);
    disk.flush().expect("flush");
    disk.begin_epoch();
    put(&disk, &key(2), 2, 10);
    assert_eq!(version(&disk, &key(1)), Some(1), "not yet");
    disk.end_earlier_epochs();
    disk.flush().expect("flush");
    let found = |disk: &Disk| (version(disk, &key(1)), version(disk, &key(2)));
    assert_eq!(found(&disk), (None, Some(2)));
    drop(disk);
    assert_eq!(found(&open(folder.path())), (None, Some(2)));
}

#[test]
fn room_is_bounded_and_what_is_popular_stays() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    for number in 0..20_000 {
        // One of a hundred is popular.
        let hits = if number % 100 == 0 { 50 } else { 0 };
        disk.put(&key(number), &link(1, 100), 1, 1, hits);
        if number % 1_000 == 0 {
            disk.flush().expect("flush");
        }
    }
    disk.flush().expect("flush");
    assert!(disk.bytes() <= MIB + 64 * 1024, "{}", disk.bytes());
    let kept = |step: usize| {
        (0..20_000)
            .step_by(step)
            .filter(|number| version(&disk, &key(*number)).is_some())
            .count()
    };
    let (popular, all) = (kept(100), kept(1));
    assert!(popular >= 195, "{popular} of 200 popular ones");
    assert!((3_000..8_000).contains(&all), "{all} of 20,000");
}

#[test]
fn nothing_is_given_up_while_a_third_of_the_room_is_left() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open_sized(folder.path(), 4 * MIB);
    // 896 buckets, each with room for 14.
    let all = 0..7_500;
    for number in all.clone() {
        put(&disk, &key(number), 1, 210);
    }
    disk.flush().expect("flush");
    let lost = all.clone().filter(|number| version(&disk, &key(*number)).is_none());
    assert_eq!(lost.count(), 0);
    // What grows and shrinks stays one record, and what is removed is gone from wherever it was.
    for size in [300, 100] {
        for number in all.clone().step_by(3) {
            put(&disk, &key(number), 2, size);
        }
    }
    for number in all.clone().skip(1).step_by(3) {
        disk.remove(key(number));
    }
    disk.flush().expect("flush");
    for number in all {
        let expected = [Some(2), None, Some(1)];
        assert_eq!(
            version(&disk, &key(number)),
            expected[usize::try_from(number % 3).expect("number")]
        );
    }
}

#[test]
fn another_size_keeps_what_fits() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    for number in 0..500 {
        put(&disk, &key(number), 3, if number % 50 == 0 { 3_000 } else { 20 });
    }
    drop(disk);
    for bytes_max in [4 * MIB, MIB, 8 * MIB] {
        let disk = open_sized(folder.path(), bytes_max);
        assert!(
            (0..500).all(|number| version(&disk, &key(number)) == Some(3)),
            "{bytes_max}"
        );
    }
}

/// Fills a folder and gives its files' bytes.
fn filled(folder: &Path) -> PathBuf {
    let good = folder.join("good");
    let disk = open(&good);
    for number in 0..300 {
        put(&disk, &key(number), 4, if number % 30 == 0 { 2_000 } else { 50 });
    }
    drop(disk);
    good
}

/// Every link is as it was written or missing; how many are there.
fn intact(disk: &Disk) -> usize {
    let versions = (0..300).filter_map(|number| version(disk, &key(number)));
    versions.inspect(|version| assert_eq!(*version, 4)).count()
}

#[test]
fn flipped_bits_cost_a_few_links_and_never_change_one() {
    let folder = tempfile::tempdir().expect("folder");
    let good = filled(folder.path());
    let bad = folder.path().join("bad");
    copy(&good, &bad);
    let usual = fs::read(good.join("usual")).expect("bytes");
    let used: Vec<usize> = (0..usual.len()).filter(|at| usual[*at] != 0).collect();
    let mut lost = 0;
    for round in 0..60 {
        let mut bytes = usual.clone();
        for flip in 0..8_usize {
            let at = used[(round * 7_919 + flip * 104_729) % used.len()];
            bytes[at] ^= 1 << (flip % 8);
        }
        fs::write(bad.join("usual"), &bytes).expect("write");
        let disk = open(&bad);
        lost += 300 - intact(&disk);
        // It goes on working: what was lost can be put again.
        put(&disk, &key(7), 4, 50);
        disk.flush().expect("flush");
        assert_eq!(version(&disk, &key(7)), Some(4));
    }
    assert!(lost > 0, "the flips hit something");
    assert!(lost < 60 * 8 * 6, "{lost} links for {} flips", 60 * 8);
}

#[test]
fn a_cut_file_keeps_what_is_before_the_cut() {
    let folder = tempfile::tempdir().expect("folder");
    let good = filled(folder.path());
    let length = fs::metadata(good.join("usual")).expect("file").len();
    let mut last = usize::MAX;
    for part in [100, 75, 50, 25, 1] {
        let bad = folder.path().join(format!("cut-{part}"));
        copy(&good, &bad);
        let file = fs::File::options().write(true).open(bad.join("usual")).expect("open");
        file.set_len(length * part / 100 - 1).expect("cut");
        let left = intact(&open(&bad));
        assert!(left <= last, "{part} %: {left}");
        last = left;
    }
    assert!(last < 20, "{last} in a hundredth of the file");
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside_and_the_node_begins_anew() {
    let folder = tempfile::tempdir().expect("folder");
    let good = filled(folder.path());
    type Damage = fn(&Path);
    let damages: [(&str, Damage); 5] = [
        ("empty", |path| fs::write(path, "").expect("write")),
        ("of something else", |path| {
            fs::write(path, vec![b'x'; 100_000]).expect("write")
        }),
        ("of another version", |path| damage_headers(path, 8)),
        ("with both headers damaged", |path| damage_headers(path, 20)),
        ("a folder", |path| {
            fs::remove_file(path).expect("remove");
            fs::create_dir(path).expect("folder");
        }),
    ];
    for (what, damage) in damages {
        let bad = folder.path().join("bad");
        copy(&good, &bad);
        damage(&bad.join("usual"));
        let disk = open(&bad);
        assert_eq!(intact(&disk), 0, "{what}");
        put(&disk, &key(7), 4, 50);
        drop(disk);
        assert_eq!(intact(&open(&bad)), 1, "{what}");
        assert!(bad.join("usual.unusable").exists(), "{what}");
        fs::remove_dir_all(&bad).expect("clean up");
    }
}

fn damage_headers(path: &Path, at: usize) {
    let mut bytes = fs::read(path).expect("read");
    for copy in [0, 4096] {
        bytes[copy + at] += 1;
    }
    fs::write(path, bytes).expect("write");
}

#[test]
fn one_damaged_header_is_mended_from_the_other() {
    let folder = tempfile::tempdir().expect("folder");
    let good = filled(folder.path());
    for copy in [0, 4096] {
        let path = good.join("usual");
        let mut bytes = fs::read(&path).expect("read");
        bytes[copy + 20] ^= 1;
        fs::write(&path, bytes).expect("write");
        assert_eq!(intact(&open(&good)), 300, "copy at {copy}");
    }
}

#[test]
fn a_folder_that_another_process_uses_is_left_alone() {
    let folder = tempfile::tempdir().expect("folder");
    let disk = open(folder.path());
    let second = Disk::open(&Settings {
        folder: folder.path().to_owned(),
        bytes_max: MIB,
    });
    assert!(second.is_none());
    put(&disk, &key(1), 1, 1);
    assert_eq!(version(&disk, &key(1)), Some(1));
    let file = folder.path().join("file");
    fs::write(&file, "").expect("write");
    let nowhere = Disk::open(&Settings {
        folder: file,
        bytes_max: MIB,
    });
    assert!(nowhere.is_none(), "a file where the folder should be");
}

#[derive(Debug, Clone)]
enum Step {
    Put(u64, usize),
    Confirm(u64),
    Remove(u64),
    Flush,
    /// The process is killed, and starts again on what it left.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0..12_u64;
    let size = prop_oneof![3 => 0..200_usize, 1 => 1_500..4_000_usize];
    let step = prop_oneof![
        6 => (key.clone(), size).prop_map(|(key, size)| Step::Put(key, size)),
        1 => key.clone().prop_map(Step::Confirm),
        4 => key.prop_map(Step::Remove),
        2 => Just(Step::Flush),
        1 => any::<bool>().prop_map(|_| Step::Crash),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// The feed is the list of steps, its cursor a step's number: after a crash it tells again what came after the
    /// last flush, as an origin does.
    #[test]
    fn never_is_anything_older_than_the_last_invalidation(steps in steps()) {
        let folder = tempfile::tempdir().expect("folder");
        let mut place = folder.path().join("0");
        let mut disk = open(&place);
        let mut removed: HashMap<u64, u64> = HashMap::new();
        let mut kept_cursor = 0;
        for (at, step) in (1..).zip(steps.iter()) {
            match step {
                Step::Put(number, size) => put(&disk, &key(*number), at, *size),
                Step::Confirm(number) => disk.confirm(&key(*number), &link(at, 5), at, 1),
                Step::Remove(number) => {
                    disk.remove(key(*number));
                    removed.insert(*number, at);
                }
                Step::Flush => {
                    disk.flush().expect("flush");
                    kept_cursor = at;
                }
                Step::Crash => {
                    // What is on the disk at this moment, while the writer may be at work.
                    let next = folder.path().join(at.to_string());
                    copy(&place, &next);
                    drop(disk);
                    place = next;
                    disk = open(&place);
                    for (after, step) in (1..).zip(steps.iter()).take_while(|(after, _)| *after < at) {
                        if let Step::Remove(number) = step
                            && after > kept_cursor
                        {
                            disk.remove(key(*number));
                        }
                    }
                }
            }
            for number in 0..12 {
                let last = removed.get(&number).copied().unwrap_or(0);
                if let Some(version) = version(&disk, &key(number)) {
                    prop_assert!(version >= last, "step {at}: {version} of key {number}, removed at {last}");
                }
            }
        }
    }
}
