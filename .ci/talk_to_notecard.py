"""Requests from Blues' note-python to an emulated Notecard, given as a program; fails where it is not content."""

import json
import subprocess
import sys
import time

import notecard
import serial


class Card:
    """The program, with a fresh card in it."""

    def __init__(self, program):
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pty = self.process.stdout.readline().strip()

    def ask(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def report(self):
        return json.loads(self.ask("report"))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


class Bus:
    """What note-python expects of periphery's I2C, with the program's bus behind it."""

    def __init__(self, card):
        self.card = card

    def transfer(self, address, messages):
        assert address == 0x17, hex(address)
        written = b"".join(bytes(message.data) for message in messages if not message.read)
        reads = [message for message in messages if message.read]
        wanted = sum(len(message.data) for message in reads)
        answer = self.card.ask("transfer", written.hex() or "-", str(wanted))
        if answer == "nak":
            raise OSError(121, "Remote I/O error")
        for message in reads:
            message.data = bytearray.fromhex(answer)


def expect(condition, text):
    if not condition:
        raise SystemExit(f"not as it should be: {text}")


def converse(way, card, client):
    """Everything that is asked of either way."""
    version = client.Transaction({"req": "card.version"})
    expect(version["device"] == "dev:864475040000000", version)
    expect(client._card_supports_crc, "the card's replies carry a crc")
    reply = client.Transaction({"req": "hub.set", "product": "com.example.people:thermal", "mode": "periodic", "outbound": 30, "inbound": 720})
    expect(reply == {"crc": reply.get("crc")}, reply)

    long = "x" * 400
    reply = client.Transaction({"req": "note.add", "file": "thermal.qo", "body": {"seq": 1, "text": long}})
    expect(reply["total"] == 1, reply)

    # An error that is none to retry for, and one that is.
    before = time.monotonic()
    reply = client.Transaction({"req": "no.such.request"})
    expect("{not-supported}" in reply["err"], reply)
    expect(time.monotonic() - before < 2, "it was not tried again")
    for number, fault in enumerate(["request", "reply", "io"], start=2):
        card.ask("script", fault)
        reply = client.Transaction({"req": "note.add", "file": "thermal.qo", "body": {"seq": number}})
        expect(reply["total"] == number, (fault, reply))

    # A sequence number that is repeated, as after a reply that was lost: the same reply, and no other note.
    client._last_request_seq_number -= 1
    reply = client.Transaction({"req": "note.add", "file": "thermal.qo", "body": {"seq": 4}})
    expect(reply["total"] == 4, reply)
    client.Command({"cmd": "note.add", "file": "thermal.qo", "body": {"seq": 5}})
    status = client.Transaction({"req": "hub.sync.status"})
    expect(status["sync"] is True, status)

    report = card.report()
    expect([note["seq"] for note in report["queued"]] == [1, 2, 3, 4, 5], report)
    expect(report["queued"][0]["text"] == long, "all of a long body")
    expect(report["replayed"] == 2 and report["damaged"] == 1, report)
    # It writes 255 bytes at once where note-c and note-go stop at 253, does not wait between reads, and reads on at once
    # where more waits.
    known = {"LongWrite", "TransferSpacing", "PollSpacing"}
    expect(set(report["violations"]) <= known, report)
    seen = ", ".join(sorted(set(report["violations"]))) or "none"
    print(f"{way}: {report['done']} requests done, {report['replayed']} replayed; rules broken: {seen}")


def main():
    for way in ["pty", "I2C"]:
        card = Card(sys.argv[1])
        if way == "pty":
            client = notecard.OpenSerial(serial.Serial(card.pty, 9600))
        else:
            client = notecard.OpenI2C(Bus(card), 0, 0)
        converse(way, card, client)
        card.close()


main()
