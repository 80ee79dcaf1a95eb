use edge::model::onnx::wire::Message;
use edge::model::onnx::{Attribute, Data, Dim, Element, Graph, Tensor, ValueInfo, encode};

use super::models::{bytes, file, ints, on_frame, sizes, small, weights, whole, without_opset};
use super::refused;

/// The small model, changed.
fn changed(change: impl FnOnce(&mut Graph)) -> Vec<u8> {
    let mut graph = small();
    change(&mut graph);
    bytes(&graph)
}

/// The small model with one message more in its graph.
fn with(field: u64, message: &Message) -> Vec<u8> {
    file(&encode::graph(&small()).message(field, message)).into_bytes()
}

/// The small model with an attribute of this message in a node more.
fn with_attribute(attribute: &Message) -> Vec<u8> {
    let node = Message::new().text(1, "x").text(2, "z").text(4, "Relu");
    with(1, &node.message(5, attribute))
}

#[test]
fn operator_sets_are_13_to_21_of_onnx_itself() {
    let graph = encode::graph(&small());
    let with_opset = |version| {
        let set = encode::operator_set("", version);
        without_opset(&graph).message(8, &set).into_bytes()
    };
    let foreign = encode::operator_set("ai.onnx.ml", 3);
    let twice = file(&graph).message(8, &encode::operator_set("ai.onnx", 17));
    refused(vec![
        (
            "opset 12",
            with_opset(12),
            "opset 12: export it with opset 13 to 21",
        ),
        ("opset 22", with_opset(22), "opset 22"),
        ("opset -1", with_opset(-1), "opset -1"),
        ("no opset", without_opset(&graph).into_bytes(), "no opset"),
        (
            "another domain's",
            without_opset(&graph).message(8, &foreign).into_bytes(),
            "no opset",
        ),
        ("two opsets", twice.into_bytes(), "two opsets"),
    ]);
}

#[test]
fn nothing_comes_from_elsewhere() {
    let graph = encode::graph(&small());
    let empty = Message::new();
    let tensor = |more: &dyn Fn(Message) -> Message| {
        with(5, &more(Message::new().int(1, 1).int(2, 1).text(8, "t")))
    };
    let location = Message::new().text(1, "location").text(2, "/etc/passwd");
    refused(vec![
        (
            "functions",
            file(&graph).message(25, &empty).into_bytes(),
            "functions of its own",
        ),
        (
            "training",
            file(&graph).message(20, &empty).into_bytes(),
            "training information",
        ),
        ("sparse weights", with(15, &empty), "sparse"),
        ("quantisation", with(14, &empty), "quantised"),
        (
            "external data",
            tensor(&|to| to.message(13, &location)),
            "another file",
        ),
        (
            "external location",
            tensor(&|to| to.int(14, 1)),
            "another file",
        ),
        ("segment", tensor(&|to| to.message(3, &empty)), "segment"),
        (
            "overload",
            with(1, &Message::new().text(4, "Relu").text(8, "mine")),
            "overloaded",
        ),
        (
            "subgraph",
            with_attribute(&Message::new().text(1, "body").message(6, &graph).int(20, 5)),
            "branches and loops",
        ),
        (
            "subgraphs",
            with_attribute(
                &Message::new()
                    .text(1, "body")
                    .message(11, &graph)
                    .int(20, 10),
            ),
            "branches and loops",
        ),
        (
            "subgraph by type",
            with_attribute(&Message::new().text(1, "body").int(20, 5)),
            "graph of its own",
        ),
        (
            "sparse attribute",
            with_attribute(&Message::new().text(1, "a").message(22, &empty)),
            "no classifier needs",
        ),
        (
            "tensors attribute",
            with_attribute(&Message::new().text(1, "a").message(10, &empty)),
            "no classifier needs",
        ),
        (
            "type attribute",
            with_attribute(&Message::new().text(1, "a").message(14, &empty)),
            "no classifier needs",
        ),
        (
            "attribute of a function",
            with_attribute(&Message::new().text(1, "a").text(21, "b")),
            "refers to a function",
        ),
        (
            "attribute of no type",
            with_attribute(&Message::new().text(1, "a").int(3, 5)),
            "of type 0 and holds something else",
        ),
        (
            "attribute of a wrong type",
            with_attribute(&Message::new().text(1, "a").int(3, 5).int(20, 1)),
            "holds something else",
        ),
        (
            "attribute without its tensor",
            with_attribute(&Message::new().text(1, "a").int(20, 4)),
            "lacks its tensor",
        ),
        (
            "attribute of type 99",
            with_attribute(&Message::new().text(1, "a").int(20, 99)),
            "type 99",
        ),
        (
            "attribute twice",
            with(
                1,
                &Message::new().text(4, "Elu").each(&[1, 2], |to, value| {
                    to.message(5, &encode::attribute("alpha", &Attribute::Int(*value)))
                }),
            ),
            "\"alpha\" stands twice",
        ),
        (
            "attribute not finite",
            changed(|graph| {
                graph.nodes[4]
                    .attributes
                    .push(("alpha".to_owned(), Attribute::Float(f32::NAN)));
            }),
            "\"alpha\" is not finite",
        ),
        (
            "long attribute",
            changed(|graph| graph.nodes[0].attributes[0].1 = ints(&[1; 300])),
            "more than 256 numbers",
        ),
    ]);
}

#[test]
fn names_lead_somewhere_and_only_once() {
    refused(vec![
        (
            "node name twice",
            changed(|graph| graph.nodes[1].name = "c_node".to_owned()),
            "node 1 has the name \"c_node\", which another has",
        ),
        (
            "unknown input",
            changed(|graph| graph.nodes[1].inputs[0] = "nowhere".to_owned()),
            "node 1 \"r_node\" (Relu): its input \"nowhere\" does not exist",
        ),
        (
            "unordered",
            changed(|graph| graph.nodes.swap(0, 1)),
            "in the order of calculation",
        ),
        (
            "circle",
            changed(|graph| graph.nodes[0].inputs[0] = "r".to_owned()),
            "made only later",
        ),
        (
            "itself",
            changed(|graph| graph.nodes[1].inputs[0] = "r".to_owned()),
            "made only later",
        ),
        (
            "made twice",
            changed(|graph| graph.nodes[1].outputs[0] = "c".to_owned()),
            "\"c\" is made twice",
        ),
        (
            "overwrites an input",
            changed(|graph| graph.nodes[1].outputs[0] = "x".to_owned()),
            "\"x\" is made twice",
        ),
        (
            "initializer twice",
            changed(|graph| graph.initializers[1].name = "w".to_owned()),
            "\"w\" is made twice",
        ),
        (
            "no name",
            changed(|graph| graph.initializers[1].name = String::new()),
            "no name",
        ),
        (
            "output of no name",
            changed(|graph| graph.nodes[1].outputs[0] = String::new()),
            "no name",
        ),
        (
            "node without outputs",
            changed(|graph| graph.nodes[1].outputs.clear()),
            "it has 0 outputs",
        ),
        (
            "node with two",
            changed(|graph| graph.nodes[1].outputs.push("more".to_owned())),
            "it has 2 outputs",
        ),
        (
            "no nodes",
            changed(|graph| graph.nodes.clear()),
            "nothing makes its output \"scores\"",
        ),
        (
            "output that nothing makes",
            changed(|graph| graph.outputs[0].name = "other".to_owned()),
            "nothing makes its output",
        ),
        (
            "output twice",
            changed(|graph| graph.outputs.push(graph.outputs[0].clone())),
            "\"scores\" stands twice",
        ),
        (
            "no output",
            changed(|graph| graph.outputs.clear()),
            "no output",
        ),
        (
            "many inputs",
            changed(|graph| graph.nodes[1].inputs = vec!["c".to_owned(); 65]),
            "more than 64 inputs",
        ),
    ]);
}

#[test]
fn tensors_hold_what_they_say() {
    let weights_of = |dims: &[i64], data: Data| {
        let dims = dims.to_vec();
        changed(move |graph| {
            let name = "w".to_owned();
            graph.initializers[0] = Tensor { name, dims, data };
        })
    };
    let nan = |value: f32| {
        let mut numbers = vec![0.5; 36];
        numbers[35] = value;
        weights_of(&[4, 1, 3, 3], Data::Float(numbers))
    };
    let raw = |code: i64, bytes: &[u8]| {
        with(
            5,
            &Message::new()
                .int(1, 2)
                .int(2, code)
                .text(8, "t")
                .bytes(9, bytes),
        )
    };
    let huge = 1 << 40;
    refused(vec![
        (
            "too few",
            weights_of(&[4, 1, 3, 3], weights(35)),
            "has 35 numbers, but its sizes [4, 1, 3, 3] ask for 36",
        ),
        (
            "too many",
            weights_of(&[4, 1, 3, 3], weights(37)),
            "ask for 36",
        ),
        (
            "negative",
            weights_of(&[-4, 1, -3, 3], weights(36)),
            "impossible sizes",
        ),
        (
            "beyond 64 bits",
            weights_of(&[huge, huge, 3], weights(36)),
            "impossible sizes",
        ),
        (
            "wraps round to 0",
            weights_of(&[1 << 32, 1 << 32], weights(0)),
            "impossible sizes",
        ),
        (
            "giant",
            weights_of(&[huge], weights(36)),
            "impossible sizes",
        ),
        (
            "nine dimensions",
            weights_of(&[1; 9], weights(1)),
            "more than 8 numbers",
        ),
        (
            "empty",
            weights_of(&[4, 0, 3, 3], weights(0)),
            "has no elements",
        ),
        ("NaN", nan(f32::NAN), "NaN or infinite"),
        ("infinite", nan(f32::INFINITY), "NaN or infinite"),
        ("cut number", raw(1, &[0; 7]), "end within a number"),
        ("float16", raw(10, &[0; 4]), "made of float16"),
        ("int8", raw(3, &[0; 2]), "made of int8"),
        ("float64", raw(11, &[0; 16]), "made of float64"),
        ("no type", raw(0, &[0; 2]), "made of type 0"),
        (
            "text",
            with(5, &Message::new().int(1, 1).int(2, 8).text(6, "hello")),
            "holds text",
        ),
        (
            "two places",
            with(
                5,
                &Message::new()
                    .int(1, 1)
                    .int(2, 1)
                    .float(4, 1.0)
                    .bytes(9, &[0; 4]),
            ),
            "two places",
        ),
        (
            "wrong list",
            with(
                5,
                &Message::new()
                    .int(1, 1)
                    .int(2, 1)
                    .text(8, "t")
                    .ints(7, &[5]),
            ),
            "has 0 numbers",
        ),
        (
            "a million small numbers",
            with(
                5,
                &Message::new()
                    .int(1, 1_000_000)
                    .int(2, 7)
                    .bytes(7, &[1; 1_000_000]),
            ),
            "more than 65536 numbers",
        ),
        (
            "int32 beyond itself",
            with(5, &Message::new().int(1, 1).int(2, 6).ints(5, &[1 << 40])),
            "beyond int32",
        ),
        (
            "two sizes",
            with(
                11,
                &Message::new().message(
                    2,
                    &Message::new().message(
                        1,
                        &Message::new().message(
                            2,
                            &Message::new().message(1, &Message::new().int(1, 5).text(2, "n")),
                        ),
                    ),
                ),
            ),
            "two sizes",
        ),
    ]);
}

#[test]
fn claims_about_values_are_true() {
    let claim = |name: &str, element, dims: &[Dim]| {
        let info = ValueInfo::new(name, element, dims);
        changed(move |graph| graph.values.push(info))
    };
    refused(vec![
        (
            "wrong size",
            claim("c", Element::Float, &sizes(&[1, 4, 12, 17])),
            "\"c\" is float32",
        ),
        (
            "wrong rank",
            claim("c", Element::Float, &sizes(&[1, 4])),
            "it is float32 [1,4,12,16]",
        ),
        (
            "wrong type",
            claim("c", Element::Int64, &sizes(&[1, 4, 12, 16])),
            "\"c\" is int64",
        ),
        (
            "negative size",
            claim("c", Element::Float, &sizes(&[-1, 4, 12, 16])),
            "export the model again",
        ),
        (
            "output of another size",
            changed(|graph| graph.outputs[0].dims = Some(sizes(&[1, 4]))),
            "it is float32 [1,3]",
        ),
    ]);
}

/// Each of these tensors is small enough, and each step legal.
#[test]
fn memory_and_work_have_limits() {
    let column = on_frame()
        .initializer("down", &[768, 1], weights(768))
        .initializer("across", &[1, 768], weights(768))
        .initializer("deep", &[200, 1, 1], weights(200))
        .initializer("cube", &[20, 1, 1], weights(20))
        .initializer("flat", &[2], whole(&[768, 1]));
    let outer = column
        .clone()
        .node("Mul", &["down", "across"], &["square"], &[])
        .node("Mul", &["square", "deep"], &["y"], &[]);
    let many = (0..5).fold(
        column
            .clone()
            .node("Mul", &["down", "across"], &["square"], &[])
            .node("Mul", &["square", "cube"], &["c0"], &[]),
        |graph, step| {
            let (from, to) = (format!("c{step}"), format!("c{}", step + 1));
            graph.node("Relu", &[&from], &[&to], &[])
        },
    );
    let work = (0..10).fold(
        column
            .clone()
            .node("Mul", &["down", "across"], &["m0"], &[]),
        |graph, step| {
            let (from, to) = (format!("m{step}"), format!("m{}", step + 1));
            graph.node("MatMul", &[&from, &from], &[&to], &[])
        },
    );
    let concat = (0..12).fold(
        column.clone().node("Identity", &["x"], &["k0"], &[]),
        |graph, step| {
            let (from, to) = (format!("k{step}"), format!("k{}", step + 1));
            graph.node(
                "Concat",
                &[&from, &from, &from, &from],
                &[&to],
                &[("axis", Attribute::Int(0))],
            )
        },
    );
    refused(vec![
        (
            "outer product",
            bytes(&outer),
            "(Mul) of [768,768], [200,1,1]: the value \"y\" would be [200,768,768]",
        ),
        (
            "many large tensors",
            bytes(&many),
            "together have more than",
        ),
        ("much work", bytes(&work), "multiply-adds"),
        ("doubling", bytes(&concat), "more than 16777216 elements"),
    ]);
}
