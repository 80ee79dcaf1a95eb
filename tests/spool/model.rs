//! The spool beside the simplest thing that does the same.

use edge::note::Class;
use edge::send::spool::{Limits, Spool};
use proptest::prelude::*;

use super::{folder, note};

const LIMIT: usize = 12;

#[derive(Debug, Clone, Copy)]
enum Do {
    Push(Class),
    /// Sends what is next.
    Send,
    /// Looks at what is next, and something dearer comes before it is done.
    SendLate(Class),
    Reopen,
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        2 => Just(Class::Picture),
        4 => Just(Class::Reading),
        1 => Just(Class::Health),
        1 => Just(Class::Alarm),
    ]
}

fn action() -> impl Strategy<Value = Do> {
    prop_oneof![
        6 => class().prop_map(Do::Push),
        4 => Just(Do::Send),
        1 => class().prop_map(Do::SendLate),
        1 => Just(Do::Reopen),
    ]
}

#[derive(Debug, Default)]
struct Model {
    waiting: Vec<(Class, u32)>,
    dropped: u64,
}

impl Model {
    fn push(&mut self, class: Class, seq: u32) {
        self.waiting.push((class, seq));
        if self.waiting.len() > LIMIT {
            let lowest = *self.waiting.iter().min().expect("some wait");
            self.waiting.retain(|waiting| *waiting != lowest);
            self.dropped += 1;
        }
    }

    fn next(&self) -> Option<(Class, u32)> {
        let key = |waiting: &&(Class, u32)| (waiting.0 != Class::Alarm, waiting.1);
        self.waiting.iter().min_by_key(key).copied()
    }

    fn done(&mut self, one: (Class, u32)) {
        self.waiting.retain(|waiting| *waiting != one);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn it_does_what_a_list_would(actions in proptest::collection::vec(action(), 1..160)) {
        let folder = folder();
        let limits = Limits { bytes: 64 * 1024, notes: LIMIT };
        let open = || Spool::open(folder.path(), limits).expect("the spool opens");
        let mut spool = Some(open());
        let mut model = Model::default();
        for (seq, action) in actions.into_iter().enumerate() {
            let seq = seq as u32;
            let held = spool.as_mut().expect("it is open");
            match action {
                Do::Push(class) => {
                    let before = model.dropped;
                    model.push(class, seq);
                    let pushed = held.push(note(class, seq)).expect("it is kept");
                    prop_assert_eq!(pushed.dropped as u64, model.dropped - before);
                }
                Do::Send | Do::SendLate(_) => {
                    let next = held.next();
                    if let Do::SendLate(class) = action {
                        model.push(class, seq);
                        held.push(note(class, seq)).expect("it is kept");
                    }
                    if let Some((id, sent)) = next {
                        model.done((sent.class, sent.seq));
                        held.done(id).expect("it is done");
                    }
                }
                Do::Reopen => {
                    drop(spool.take());
                    spool = Some(open());
                }
            }
            let held = spool.as_mut().expect("it is open");
            let next = held.next().map(|(_, note)| (note.class, note.seq));
            prop_assert_eq!(next, model.next());
            prop_assert_eq!(held.depth(), model.waiting.len());
            prop_assert_eq!((held.dropped(), held.damaged()), (model.dropped, 0));
        }
    }
}
