//! The alphabet of text messages. One letter outside it makes every part of a text less than half as long.

/// Septets in a text of one part, and in each part of a longer one.
pub(super) const SINGLE: usize = 160;
const PART: usize = 153;

/// The same in UTF-16 units, for texts with other letters.
const SINGLE_UCS2: usize = 70;
const PART_UCS2: usize = 67;

/// What GSM-7 has beyond ASCII (of which it lacks only the back-tick), and what costs two septets.
const BASIC: &str = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà";
const EXTENSION: &str = "^{}\\[]~|€";

/// Folds any text to GSM-7: look-alikes and base letters where there are any, else `?`. Line breaks become blanks.
pub fn gsm7(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '°' {
            match letters.next_if(|unit| matches!(unit, 'C' | 'F')) {
                Some(unit) => folded.push(unit),
                None => folded.push_str(" deg"),
            }
        } else {
            fold(letter, &mut folded);
        }
    }
    folded
}

/// How many messages a text is billed as.
pub fn segments(text: &str) -> usize {
    // A letter is never split over two parts, so parts are filled one letter after another.
    let parts = |sizes: &[usize], single: usize, part: usize| {
        if sizes.iter().sum::<usize>() <= single {
            return 1;
        }
        let fill = sizes.iter().fold((1, 0), |(parts, used), size| {
            if used + size > part {
                (parts + 1, *size)
            } else {
                (parts, used + size)
            }
        });
        fill.0
    };
    match text.chars().map(cost).collect::<Option<Vec<usize>>>() {
        Some(sizes) => parts(&sizes, SINGLE, PART),
        None => parts(
            &text.chars().map(char::len_utf16).collect::<Vec<_>>(),
            SINGLE_UCS2,
            PART_UCS2,
        ),
    }
}

/// The size of a text that is already folded.
pub(super) fn septets(text: &str) -> usize {
    text.chars().map(|letter| cost(letter).unwrap_or(1)).sum()
}

/// Septets of a letter in GSM-7, or `None` if it has no place there.
fn cost(letter: char) -> Option<usize> {
    match letter {
        '`' => None,
        _ if EXTENSION.contains(letter) => Some(2),
        ' '..='~' | '\n' | '\r' => Some(1),
        _ => BASIC.contains(letter).then_some(1),
    }
}

/// What stands for letters that GSM-7 lacks. Each row: the stand-in, and those it stands for.
const STAND_INS: &[(&str, &str)] = &[
    ("A", "ÀÁÂÃĀĂĄǍẠẢẤẦẨẪẬẮẰẲẴẶ"),
    ("a", "áâãāăąǎạảấầẩẫậắằẳẵặ"),
    ("C", "ĆĈĊČ"),
    ("c", "çćĉċč"),
    ("D", "ĎÐĐ"),
    ("d", "ďðđ"),
    ("E", "ÈÊËĒĔĖĘĚẸẺẼẾỀỂỄỆ"),
    ("e", "êëēĕėęěẹẻẽếềểễệ"),
    ("G", "ĜĞĠĢ"),
    ("g", "ĝğġģ"),
    ("H", "ĤĦ"),
    ("h", "ĥħ"),
    ("I", "ÌÍÎÏĨĪĬĮİǏỈỊ"),
    ("i", "íîïĩīĭįǐỉịı"),
    ("J", "Ĵ"),
    ("j", "ĵ"),
    ("K", "Ķ"),
    ("k", "ķĸ"),
    ("L", "ĹĻĽŁ"),
    ("l", "ĺļľł"),
    ("N", "ŃŅŇŊ"),
    ("n", "ńņňŋ"),
    ("O", "ÒÓÔÕŌŎŐƠǑỌỎỐỒỔỖỘỚỜỞỠỢ"),
    ("o", "óôõōŏőơǒọỏốồổỗộớờởỡợ"),
    ("R", "ŔŖŘ"),
    ("r", "ŕŗř"),
    ("S", "ŚŜŞŠȘ"),
    ("s", "śŝşšșſ"),
    ("T", "ŢŤȚŦ"),
    ("t", "ţťțŧ"),
    ("U", "ÙÚÛŨŪŬŮŰŲƯǓǕǗǙǛỤỦỨỪỬỮỰ"),
    ("u", "úûũūŭůűųưǔǖǘǚǜụủứừửữự"),
    ("W", "Ŵ"),
    ("w", "ŵ"),
    ("Y", "ÝŶŸỲỴỶỸ"),
    ("y", "ýÿŷỳỵỷỹ"),
    ("Z", "ŹŻŽ"),
    ("z", "źżž"),
    ("AE", "Ǽ"),
    ("OE", "Œ"),
    ("oe", "œ"),
    ("Th", "Þ"),
    ("th", "þ"),
    ("'", "‘’‚‛′`´ʼ"),
    ("\"", "“”„‟″«»"),
    ("<", "‹"),
    (">", "›"),
    ("-", "‐‑‒–—―−"),
    ("...", "…"),
    (".", "·"),
    ("*", "•×"),
    ("/", "÷⁄"),
    ("C", "℃"),
    ("F", "℉"),
    ("u", "µμ"),
    ("1", "¹"),
    ("2", "²"),
    ("3", "³"),
    ("1/2", "½"),
    ("1/4", "¼"),
    ("3/4", "¾"),
    ("+/-", "±"),
    ("~", "≈"),
    ("<=", "≤"),
    (">=", "≥"),
    ("->", "→"),
    ("<-", "←"),
    ("(c)", "©"),
    ("(R)", "®"),
    ("TM", "™"),
    ("No", "№"),
    ("|", "¦"),
    ("c", "¢"),
];

fn fold(letter: char, folded: &mut String) {
    if letter.is_control() || letter.is_whitespace() {
        folded.push(' ');
    } else if cost(letter).is_some() {
        folded.push(letter);
    } else if !is_invisible(letter) {
        let stand_in = STAND_INS
            .iter()
            .find(|(_, letters)| letters.contains(letter));
        folded.push_str(stand_in.map_or("?", |(stand_in, _)| stand_in));
    }
}

/// Marks that only change the letter before them: accents of their own, joiners, variation selectors.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ad}')
}
