"""Checks one of our models with the ONNX checker, and what two runtimes said of the same frames (JSON lines).

Usage: hold_against.py MODEL EMBEDDED LIBRARY
"""

import json
import sys

import numpy
import onnx
import onnxruntime

TOLERANCE = 1e-5

path, *answers = sys.argv[1:]
model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)

entries = {entry.key.removeprefix("thermal_watch."): entry.value for entry in model.metadata_props}
golden = json.loads(entries["golden"])
frame = numpy.array(golden["frame"], numpy.float32).reshape(1, 1, 24, 32)
session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
scores = session.run(["scores"], {"frame": frame})[0][0]
off = float(numpy.abs(scores - numpy.array(golden["scores"])).max())
assert off < 1e-4, f"{path}: the golden frame's scores are off by {off}"

embedded, library = ([json.loads(line) for line in open(answer, encoding="utf-8")] for answer in answers)
assert embedded and len(embedded) == len(library)
worst = 0.0
for one, other in zip(embedded, library):
    assert one["file"] == other["file"] and (one["x"], one["y"]) == (other["x"], other["y"]), (one, other)
    for label, score in one["scores"].items():
        worst = max(worst, abs(score - other["scores"][label]))
assert worst < TOLERANCE, f"{path}: the runtimes differ by {worst}"
print(f"{path}: checker passed; golden off by {off:.1e}; {len(embedded)} frames, runtimes differ by at most {worst:.1e}")
