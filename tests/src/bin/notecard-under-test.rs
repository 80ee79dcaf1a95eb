//! An emulated Notecard for clients that are not ours: on a pty, and on an I2C bus whose transfers come over stdin.
//!
//! Prints the pty's path. Then each line of stdin is a command and is answered by a line: `transfer W R` writes the bytes W
//! (hexadecimal, or `-` for none) and reads R bytes, and gets them in hexadecimal or `nak`; `script FAULT...` is what goes
//! wrong next; `report` tells what the card has counted and which rules were broken, as JSON. It ends with its input.

use std::io::{BufRead as _, Write as _};

use edge::clock::Clock;
use edge::emulate::bus::Bus;
use edge::emulate::notecard::{Damage, Fault, Moment, Notecard, Options};
use edge::send::i2c::ADDRESS;
use embedded_hal::i2c::{I2c as _, Operation};

fn main() -> anyhow::Result<()> {
    let clock = Clock::system();
    let card = Notecard::new(clock.clone(), Options::default());
    let pty = card.on_pty()?;
    let mut bus = Bus::new(clock, 100_000.0);
    bus.attach(ADDRESS, card.on_i2c());
    let mut output = std::io::stdout().lock();
    writeln!(output, "{}", pty.path)?;
    output.flush()?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<_> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["transfer", write, read] => transfer(&mut bus, write, read)?,
            ["script", ref faults @ ..] => {
                let faults: Result<Vec<_>, _> = faults.iter().map(|name| fault(name)).collect();
                card.script(faults?);
                "done".to_owned()
            }
            ["report"] => report(&card),
            _ => anyhow::bail!("what is {line:?}?"),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
    }
    Ok(())
}

fn transfer(bus: &mut Bus, write: &str, read: &str) -> anyhow::Result<String> {
    let written: Result<Vec<u8>, _> = (0..write.len() / 2)
        .map(|index| u8::from_str_radix(&write[2 * index..2 * index + 2], 16))
        .collect();
    let (written, mut buffer) = (written?, vec![0; read.parse()?]);
    let mut operations = vec![Operation::Write(&written)];
    if !buffer.is_empty() {
        operations.push(Operation::Read(&mut buffer));
    }
    Ok(match bus.transaction(ADDRESS, &mut operations) {
        Ok(()) => hexadecimal(&buffer)?,
        Err(_) => "nak".to_owned(),
    })
}

fn hexadecimal(bytes: &[u8]) -> anyhow::Result<String> {
    use std::fmt::Write as _;
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}

fn fault(name: &str) -> anyhow::Result<Option<Fault>> {
    Ok(match name {
        "none" => None,
        "request" => Some(Fault::Request(Damage::Flipped(4), 12)),
        // In the JSON's number, so that it stays JSON: Blues' client dies of other replies.
        "reply" => Some(Fault::Reply(Damage::Flipped(1), 9)),
        "io" => Some(Fault::Io),
        "reset" => Some(Fault::Reset(Moment::InRequest(10))),
        other => anyhow::bail!("there is no fault {other}"),
    })
}

fn report(card: &Notecard) -> String {
    let tally = card.tally();
    let bodies: Vec<_> = card.queued().into_iter().map(|note| note.body).collect();
    let rules = card.violations();
    let rules: Vec<_> = rules.iter().map(|one| format!("{:?}", one.rule)).collect();
    serde_json::json!({
        "queued": bodies,
        "done": tally.done,
        "replayed": tally.replayed,
        "damaged": tally.damaged,
        "restarts": tally.restarts,
        "violations": rules,
    })
    .to_string()
}
