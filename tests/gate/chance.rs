use edge::model::gate::{self, Checked};
use edge::model::onnx::{self, encode};
use proptest::prelude::*;
use proptest::sample::Index;

use super::models::{bytes, picture, scene, small};

/// Whatever passes keeps the limits, and is understood the same when written again.
fn sound(bytes: &[u8]) -> Option<Checked> {
    let checked = gate::check(bytes).ok()?;
    assert!(checked.work <= 4_000_000_000 && checked.largest <= 16 << 20);
    let file = onnx::read(bytes).unwrap();
    let again = gate::check(&encode(&file.graph, &file.entries));
    // Written again it has opset 17, where some operators differ.
    if checked.opset == 17 {
        let again = again.unwrap();
        assert_eq!((again.work, again.largest), (checked.work, checked.largest));
    }
    Some(checked)
}

#[test]
fn every_bit_of_a_small_model_may_flip() {
    let good = bytes(&small());
    let mut passed = 0;
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone();
            bytes[place] ^= 1 << bit;
            passed += usize::from(sound(&bytes).is_some());
        }
    }
    // Weights and names may be others; most of the rest must not.
    assert!(
        passed > 0 && passed < good.len() * 8,
        "{passed} of {}",
        good.len() * 8
    );
}

#[test]
fn every_byte_of_a_picture_model_may_be_another() {
    let good = bytes(&picture(true));
    for place in 0..good.len() {
        let mut bytes = good.clone();
        bytes[place] = 0xff;
        sound(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        prop_assert!(gate::check(&bytes).is_err());
    }

    #[test]
    fn any_bytes_in_the_place_of_a_graph_are_judged(
        graph in proptest::collection::vec(any::<u8>(), 0..300),
        field in 1_u64..26,
    ) {
        let inner = onnx::wire::Message::new().bytes(field, &graph);
        let model = super::models::file(&inner);
        prop_assert!(gate::check(&model.into_bytes()).is_err());
    }

    #[test]
    fn parts_of_a_model_may_change_places(
        from in any::<Index>(), to in any::<Index>(), length in 1_usize..200, cut in any::<bool>(),
    ) {
        let mut bytes = bytes(&picture(false));
        let start = from.index(bytes.len());
        let end = (start + length).min(bytes.len());
        let part: Vec<u8> = bytes[start..end].to_vec();
        if cut {
            bytes.drain(start..end);
        }
        let place = to.index(bytes.len());
        bytes.splice(place..place, part);
        sound(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Its nodes stand within the first 10,000 bytes.
    #[test]
    fn bytes_of_a_scene_may_be_others(changes in proptest::collection::vec((0_usize..10_000, any::<u8>()), 1..4)) {
        let mut bytes = scene();
        for (place, value) in changes {
            bytes[place] = value;
        }
        sound(&bytes);
    }
}
