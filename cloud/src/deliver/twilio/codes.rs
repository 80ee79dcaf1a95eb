//! Twilio's error codes: what each means for a delivery, and in words. A code that is not here is judged by its status.
//!
//! Codes from 30000 on also come later, with the status of a text that was accepted and did not arrive.

/// What an error code means for the delivery.
#[derive(Clone, Copy)]
pub(super) enum Meaning {
    Final,
    Later,
    /// Nothing can be sent until somebody mends the account or the configuration.
    Account,
}

pub(super) const CODES: [(u32, Meaning, &str); 36] = [
    (
        14107,
        Meaning::Final,
        "too many texts between the same numbers, this looks like a loop",
    ),
    (20003, Meaning::Account, "wrong credentials"),
    (
        20008,
        Meaning::Account,
        "not possible with test credentials",
    ),
    (
        20404,
        Meaning::Account,
        "no such account, check account_sid and base_url",
    ),
    (20429, Meaning::Later, "too many requests"),
    (21211, Meaning::Final, "invalid number in `to`"),
    (21212, Meaning::Final, "invalid number in `from`"),
    (21266, Meaning::Final, "`to` and `from` are the same number"),
    (
        21408,
        Meaning::Final,
        "texts to this region are not enabled for the account",
    ),
    (21602, Meaning::Final, "the text is empty"),
    (21603, Meaning::Final, "`from` is missing"),
    (21604, Meaning::Final, "`to` is missing"),
    (
        21606,
        Meaning::Final,
        "the number in `from` is not one of the account that can send texts",
    ),
    (
        21608,
        Meaning::Final,
        "a trial account can only text verified numbers",
    ),
    (
        21610,
        Meaning::Final,
        "the recipient opted out; only their text START changes that",
    ),
    (
        21609,
        Meaning::Later,
        "the address for statuses is not one that Twilio takes; goes without",
    ),
    (21611, Meaning::Later, "the queue of this sender is full"),
    (
        21612,
        Meaning::Final,
        "no route from this sender to this number",
    ),
    (21614, Meaning::Final, "not a mobile number"),
    (
        21617,
        Meaning::Final,
        "the text is longer than 1,600 characters",
    ),
    (
        21620,
        Meaning::Final,
        "the picture's address is not one that Twilio takes",
    ),
    (
        21659,
        Meaning::Final,
        "the number in `from` is not a Twilio number",
    ),
    (
        21660,
        Meaning::Final,
        "the number in `from` belongs to another account",
    ),
    (21705, Meaning::Final, "no such messaging service"),
    (30002, Meaning::Account, "the account is suspended"),
    (30003, Meaning::Final, "the phone cannot be reached"),
    (
        30004,
        Meaning::Final,
        "the phone does not take texts from this number",
    ),
    (
        30005,
        Meaning::Final,
        "the number is unknown or not in service any more",
    ),
    (
        30006,
        Meaning::Final,
        "a landline or an unreachable carrier",
    ),
    (
        30007,
        Meaning::Final,
        "filtered by the carrier or by Twilio",
    ),
    (30008, Meaning::Final, "the carrier does not say why"),
    (
        30019,
        Meaning::Final,
        "the picture is too large for the carrier",
    ),
    (
        30032,
        Meaning::Final,
        "the toll-free number in `from` is not verified",
    ),
    (
        30034,
        Meaning::Final,
        "the number in `from` is not registered for A2P 10DLC",
    ),
    (30036, Meaning::Final, "the validity period is over"),
    (
        30450,
        Meaning::Final,
        "blocked by protection against SMS pumping",
    ),
];

/// Nothing but the address for statuses was wrong.
pub(super) const CALLBACK: u32 = 21609;

/// A code in words, as far as it is known.
pub fn explain(code: u32) -> Option<&'static str> {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map(|(_, _, note)| *note)
}
