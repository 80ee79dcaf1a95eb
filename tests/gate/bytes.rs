use edge::model::onnx::encode;
use edge::model::onnx::wire::Message;

use super::models::{bytes, file, small};
use super::refused;

fn padded(start: &[u8]) -> Vec<u8> {
    let mut bytes = start.to_vec();
    bytes.resize(2000, 7);
    bytes
}

#[test]
fn other_files_are_called_by_their_name() {
    refused(vec![
        ("empty", vec![], "empty"),
        (
            "TensorFlow Lite",
            padded(b"\x1c\0\0\0TFL3"),
            "export it to ONNX",
        ),
        ("PNG", padded(b"\x89PNG\r\n\x1a\n"), "a PNG picture"),
        ("JPEG", padded(b"\xff\xd8\xff\xe0"), "a JPEG picture"),
        ("zip", padded(b"PK\x03\x04"), "a zip archive"),
        ("HDF5", padded(b"\x89HDF\r\n"), "HDF5"),
        ("gzip", padded(b"\x1f\x8b\x08"), "unpack it"),
        ("program", padded(b"\x7fELF\x02"), ".eim"),
        ("GGUF", padded(b"GGUF\x03"), "language models"),
        ("NumPy", padded(b"\x93NUMPY\x01"), "NumPy"),
        (
            "LFS",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            "git lfs pull",
        ),
        ("text", b"time,temperature\n1,2\n".to_vec(), "but text"),
        (
            "web page",
            b"<!DOCTYPE html><html>404</html>".to_vec(),
            "but text",
        ),
        ("zeros", vec![0; 4096], "impossible number 0"),
        ("ones", vec![0xff; 4096], "more than 64 bits"),
        (
            "too large",
            vec![8; (8 << 20) + 1],
            "more than 8388608 are not read",
        ),
    ]);
}

#[test]
fn every_part_of_a_file_from_its_start_is_refused() {
    let whole = bytes(&small());
    for length in 0..whole.len() {
        let checked = edge::model::gate::check(&whole[..length]);
        assert!(
            checked.is_err(),
            "the first {length} of {} bytes passed",
            whole.len()
        );
    }
}

#[test]
fn damaged_messages_are_refused() {
    let graph = || encode::graph(&small());
    let model = || file(&graph());
    let plus = |more: &[u8]| [model().into_bytes(), more.to_vec()].concat();
    let named =
        |name: &[u8]| file(&graph().message(1, &Message::new().bytes(3, name))).into_bytes();
    let nested = |field: u64, depth: usize| {
        (0..depth).fold(Message::new(), |inner, _| {
            Message::new().message(field, &inner)
        })
    };
    let empty_fields = |field: u64| {
        let inner = [u8::try_from(field << 3 | 2).unwrap(), 0].repeat(1_000_000);
        Message::new().int(1, 8).bytes(7, &inner).into_bytes()
    };
    refused(vec![
        (
            "no graph",
            Message::new().int(1, 8).into_bytes(),
            "no graph",
        ),
        (
            "two graphs",
            model().message(7, &graph()).into_bytes(),
            "graph stands twice",
        ),
        (
            "two versions",
            model().int(1, 8).into_bytes(),
            "IR version stands twice",
        ),
        (
            "graph is a number",
            Message::new().int(1, 8).int(7, 5).into_bytes(),
            "text or a message",
        ),
        (
            "version is text",
            Message::new().text(1, "8").into_bytes(),
            "a whole number",
        ),
        (
            "version too new",
            file(&graph())
                .into_bytes()
                .into_iter()
                .enumerate()
                .map(|(place, byte)| if place == 1 { 99 } else { byte })
                .collect(),
            "file format is version 99",
        ),
        (
            "long varint",
            plus(&[
                0x28, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1,
            ]),
            "more than 64 bits",
        ),
        (
            "padded varint",
            plus(&[0x28, 0x81, 0x00]),
            "longer than it needs",
        ),
        ("group", plus(&[0x2b, 0x2c]), "a group"),
        ("kind 7", plus(&[0x2f]), "unknown kind"),
        (
            "length beyond the end",
            plus(&[0x32, 0x05, b'h']),
            "cut short",
        ),
        (
            "length of 2^63",
            plus(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]),
            "cut short",
        ),
        ("name not UTF-8", named(b"\xff\xfe"), "not UTF-8"),
        ("huge name", named(&[b'a'; 513]), "more than 512"),
        (
            "nested types",
            file(&graph().message(13, &Message::new().message(2, &nested(4, 3000)))).into_bytes(),
            "sequence",
        ),
        (
            "nested optional",
            file(&graph().message(13, &Message::new().message(2, &nested(9, 3000)))).into_bytes(),
            "sequence",
        ),
        (
            "nested graphs",
            file(&graph().message(1, &Message::new().message(5, &nested(6, 3000)))).into_bytes(),
            "branches and loops",
        ),
        ("a million nodes", empty_fields(1), "more than 4096 nodes"),
        (
            "a million initializers",
            empty_fields(5),
            "in initializer 0",
        ),
        ("a million inputs", empty_fields(11), "more than 8192 input"),
        ("a million values", empty_fields(13), "more than 8192 value"),
        (
            "a million entries",
            [model().into_bytes(), [0x72, 0].repeat(1_000_000)].concat(),
            "more than 1024 metadata entries",
        ),
        (
            "a million opsets",
            [model().into_bytes(), [0x42, 0].repeat(1_000_000)].concat(),
            "more than 16 operator sets",
        ),
        (
            "much metadata",
            encode::encode(&small(), &[("key".to_owned(), "x".repeat(1 << 20))]),
            "metadata has",
        ),
        (
            "metadata twice",
            encode::encode(
                &small(),
                &[
                    ("a".to_owned(), "1".to_owned()),
                    ("a".to_owned(), "2".to_owned()),
                ],
            ),
            "\"a\" twice",
        ),
        (
            "metadata not UTF-8",
            model()
                .message(14, &Message::new().text(1, "a").bytes(2, b"\xff"))
                .into_bytes(),
            "not UTF-8",
        ),
    ]);
}
