"""One cycle's work in Python, part by part, as the tutorial does it.

Adafruit's driver on a bus that plays a recording back, colours and pictures with Pillow, a network with ONNX Runtime, and
the note's body. `cycle.rs` starts this with a folder and asks for rounds, a line each; the answers are lines of JSON.
Where the tutorial leaves a choice, or does more than is needed, the cheaper way is taken: its model runs in a process of
its own that is started for each picture, and gets the pixels as text; here it is loaded once and gets an array.
"""

import json
import pathlib
import struct
import sys
import time

import adafruit_mlx90640
import numpy
import onnxruntime
import PIL
from PIL import Image

SUBPAGE_BYTES = 2 * 832
STATUS, CONTROL, RAM, EEPROM = 0x8000, 0x800D, 0x0400, 0x2400
NEW_DATA, OVERWRITE = 0x0008, 0x0010

COLDEST, HOTTEST = 20.0, 40.0
SHADES = 1000
WIDTH, HEIGHT = 640, 480
# Where a colour is at its strongest, and how much of red, green and blue it has there.
BANDS = [
    (0.0, (0.0, 0.0, 0.0)),
    (0.2, (0.0, 0.0, 0.5)),
    (0.4, (0.0, 0.5, 0.0)),
    (0.6, (0.5, 0.0, 0.0)),
    (0.8, (0.75, 0.75, 0.0)),
    (0.9, (1.0, 0.75, 0.0)),
    (1.0, (1.0, 1.0, 1.0)),
]


class Tape:
    """A bus with a camera on it that shows a recording. Its rules are those of `recording.rs`."""

    def __init__(self, folder):
        self.eeprom = (folder / "eeprom.bin").read_bytes()
        words = (folder / "subpages.bin").read_bytes()
        self.control, words = words[:2], words[2:]
        starts = range(0, len(words), SUBPAGE_BYTES)
        self.subpages = [words[at : at + SUBPAGE_BYTES] for at in starts]
        self.wind_to(0)

    def wind_to(self, subpage):
        self.at = (subpage - 1) % len(self.subpages)
        self.is_new = False
        self.asked = 1

    def try_lock(self):
        return True

    def unlock(self):
        pass

    def writeto(self, address, buffer, *, start=0, end=None):
        # What is written is an acknowledgement, or nothing, to see whether anybody is there.
        if buffer:
            self.is_new = False
            self.asked = 0

    def writeto_then_readfrom(
        self, address, out_buffer, in_buffer, *, out_start=0, out_end=None, in_start=0, in_end=None
    ):
        (register,) = struct.unpack(">H", out_buffer)
        if register == STATUS:
            source = self.status()
        elif register == CONTROL:
            source = self.control
        elif register == RAM:
            self.asked = 0
            source = self.subpages[self.at]
        elif register == EEPROM:
            source = self.eeprom
        else:
            raise OSError(f"nothing is at {register:#06x}")
        in_buffer[in_start:in_end] = source[: in_end - in_start]

    def status(self):
        if not self.is_new:
            self.asked += 1
            if self.asked == 2:
                self.at = (self.at + 1) % len(self.subpages)
                self.is_new = True
        return struct.pack(">H", OVERWRITE | self.at % 2 | (NEW_DATA if self.is_new else 0))


def shades():
    """A colour for each temperature: the bands run into each other as bell curves."""
    at = numpy.arange(SHADES)[:, None]
    spread = SHADES / len(BANDS)
    middles = numpy.array([SHADES * middle for middle, _ in BANDS])
    strength = numpy.exp(-((at - middles) ** 2) / (2 * spread**2))
    colours = strength @ numpy.array([colour for _, colour in BANDS])
    levels = numpy.clip(colours * 255, 0, 255).astype(int)
    return [tuple(int(level) for level in colour) for colour in levels]


class Network:
    def __init__(self, path):
        options = onnxruntime.SessionOptions()
        # Small networks gain nothing from a second thread.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        providers = ["CPUExecutionProvider"]
        self.session = onnxruntime.InferenceSession(path, options, providers=providers)
        port = self.session.get_inputs()[0]
        self.input = port.name
        _, _, self.height, self.width = port.shape

    def scores(self, picture):
        return self.session.run(None, {self.input: picture})[0][0]


class Tutorial:
    def __init__(self, folder):
        # A driver's waits are no work.
        adafruit_mlx90640.time = Waitless()
        self.tape = Tape(folder)
        self.camera = adafruit_mlx90640.MLX90640(self.tape)
        self.shades = shades()
        self.picture = folder / "picture.jpg"
        self.labels = ["anomaly", "cold", "warm", "hot"]
        self.subpages = len(self.tape.subpages)

    def frame(self, subpage):
        self.tape.wind_to(subpage)
        frame = [0] * 768
        self.camera.getFrame(frame)
        return frame

    def cycle(self, network, subpage):
        """Processor time of each part, ns."""
        times = [time.process_time_ns()]
        lap = lambda: times.append(time.process_time_ns())

        frame = self.frame(subpage)
        lap()

        pixels = [0] * 768
        last = SHADES - 1
        for index, celsius in enumerate(frame):
            shade = (celsius - COLDEST) * last / (HOTTEST - COLDEST)
            pixels[index] = self.shades[int(min(last, max(0, shade)))]
        image = Image.new("RGB", (32, 24))
        image.putdata(pixels)
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        image = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        lap()

        image.save(self.picture)
        lap()

        with Image.open(self.picture) as file:
            small = file.resize((network.width, network.height), Image.Resampling.BILINEAR)
        array = numpy.asarray(small, dtype=numpy.float32) / 255
        array = array.transpose(2, 0, 1)[None]
        lap()

        scores = network.scores(array)
        lap()

        body = {label: round(float(score), 4) for label, score in zip(self.labels, scores)}
        self.body = json.dumps(body)
        lap()
        return [after - before for before, after in zip(times, times[1:])]


class Waitless:
    @staticmethod
    def sleep(seconds):
        pass


def main():
    folder = pathlib.Path(sys.argv[1])
    every = int(sys.argv[2])
    tutorial = Tutorial(folder)
    moments = range(0, tutorial.subpages, every)
    networks = [Network(folder / name) for name in sys.argv[3:]]

    def answer(value):
        print(json.dumps(value), flush=True)

    versions = [
        f"Python {sys.version.split()[0]}",
        f"Adafruit's driver {adafruit_mlx90640.__version__}",
        f"Pillow {PIL.__version__}",
        f"ONNX Runtime {onnxruntime.__version__}",
    ]
    answer(", ".join(versions))
    for line in sys.stdin:
        if line.strip() == "temperatures":
            answer([tutorial.frame(subpage) for subpage in moments])
        else:
            answer(
                [[tutorial.cycle(network, subpage) for subpage in moments] for network in networks]
            )
    print(tutorial.body, file=sys.stderr)


main()
