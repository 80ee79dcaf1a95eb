//! The number of this start.

use edge::send::spool::next_boot;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use super::folder;

#[test]
fn every_start_has_its_number_and_a_new_card_begins_elsewhere() {
    let folder = folder();
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let mut next = || next_boot(folder.path(), &mut chance).expect("a number");
    let first = next();
    assert_eq!(first % 1000, 0);
    assert!(first > 0);
    for start in 1..5 {
        assert_eq!(next(), first + start);
    }
    let file = folder.path().join("boot");
    let text = std::fs::read(&file).expect("the counter");
    // Any damage begins elsewhere: a number is not trusted because it looks like one.
    for at in 0..text.len() {
        let mut damaged = text.clone();
        damaged[at] ^= 1;
        for damaged in [&damaged[..], &text[..at]] {
            std::fs::write(&file, damaged).expect("damage");
            let anew = next();
            assert_eq!(anew % 1000, 0, "{:?}", String::from_utf8_lossy(damaged));
            assert_eq!(next(), anew + 1);
        }
    }
}

#[test]
fn a_number_that_cannot_be_kept_is_an_error() {
    let folder = folder();
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("a file");
    let mut chance = ChaCha8Rng::seed_from_u64(1);
    let error = next_boot(&file, &mut chance).expect_err("no folder");
    assert!(
        error.to_string().contains("cannot make the folder"),
        "{error}"
    );
    std::os::unix::fs::symlink("/dev/full", folder.path().join("boot.part")).expect("a link");
    let error = next_boot(folder.path(), &mut chance).expect_err("the disk is full");
    let error = format!("{error:#}");
    assert!(error.contains("No space left on device"), "{error}");
}
