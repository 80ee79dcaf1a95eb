//! Files that flash, or somebody, has spoilt.

use edge::note::Class;
use proptest::prelude::*;

use super::{drained, folder, open, push};

const FIRST: &str = "0000000001.spool";

#[test]
fn a_damaged_record_costs_itself_and_nothing_else() {
    let original = folder();
    let mut spool = open(original.path());
    for seq in 0..10 {
        push(&mut spool, Class::Reading, seq);
    }
    drop(spool);
    let whole = std::fs::read(original.path().join(FIRST)).expect("a segment");
    let written = whole.iter().rposition(|byte| *byte != 0).expect("records") + 1;
    let mut lost = [false; 10];
    for at in 0..written {
        let folder = folder();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(folder.path().join(FIRST), bytes).expect("damage");
        let mut spool = open(folder.path());
        let seen = drained(&mut spool);
        assert!(seen.is_sorted());
        if seen.len() == 10 {
            assert!(
                at < 30,
                "only the segment's own first record is no note: {at}"
            );
            continue;
        }
        assert_eq!(seen.len(), 9, "byte {at}");
        let gone = (0..10)
            .find(|seq| !seen.contains(seq))
            .expect("one is missing");
        lost[gone as usize] = true;
        // A note in pieces at the very end is one that was being written when the power went.
        assert_eq!(spool.damaged(), u64::from(gone != 9), "byte {at}");
    }
    assert_eq!(lost, [true; 10]);
}

#[test]
fn what_rots_while_the_spool_is_open_is_skipped_and_counted() {
    let folder = folder();
    let mut spool = open(folder.path());
    for seq in 0..4 {
        push(&mut spool, Class::Reading, seq);
    }
    let file = folder.path().join(FIRST);
    let mut bytes = std::fs::read(&file).expect("a segment");
    bytes[60] ^= 1;
    std::fs::write(&file, bytes).expect("damage");
    assert_eq!(drained(&mut spool), [1, 2, 3]);
    assert_eq!(spool.damaged(), 1);
    push(&mut spool, Class::Reading, 4);
    assert_eq!(drained(&mut spool), [4]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is in the files, the spool opens, tells, and takes notes.
    #[test]
    fn whatever_is_in_the_files_it_works(
        random in proptest::collection::vec(any::<u8>(), 0..3000),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..40),
        number in 1u32..4,
        cut in proptest::option::of(0usize..9000),
    ) {
        let folder = folder();
        let mut spool = open(folder.path());
        for seq in 0..24 {
            push(&mut spool, Class::Reading, seq);
        }
        drop(spool);
        let file = folder.path().join(format!("{number:010}.spool"));
        let mut bytes = std::fs::read(&file).unwrap_or_default();
        for (at, value) in changes {
            if let Some(byte) = bytes.get_mut(usize::from(at)) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        bytes.extend(random);
        std::fs::write(&file, bytes).expect("damage");
        let mut spool = open(folder.path());
        push(&mut spool, Class::Alarm, 100);
        push(&mut spool, Class::Reading, 101);
        drop(spool);
        let mut spool = open(folder.path());
        let seen = drained(&mut spool);
        prop_assert_eq!(seen.first(), Some(&100));
        prop_assert_eq!(seen.last(), Some(&101));
        prop_assert!(seen[1..].is_sorted());
    }
}

#[test]
fn a_link_to_something_endless_is_no_segment() {
    let folder = folder();
    std::os::unix::fs::symlink("/dev/zero", folder.path().join(FIRST)).expect("a link");
    let sparse = std::fs::File::create(folder.path().join("0000000002.spool")).expect("a file");
    sparse.set_len(1 << 40).expect("it takes no room");
    let mut spool = open(folder.path());
    assert!(spool.is_empty());
    push(&mut spool, Class::Reading, 1);
    assert_eq!(drained(&mut spool), [1]);
    assert!(spool.size() < 10_000, "it was cleared away");
}
