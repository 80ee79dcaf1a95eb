"""Runs the steps of a Dockerfile on this machine: COPY and RUN in order, each stage in a folder of its own.

    dockerfile.py DOCKERFILE CONTEXT SCRATCH [NAME=VALUE...]

What FROM names is not fetched: the build stages use this machine's programs, and the last stage becomes a folder
SCRATCH/image with what is copied into it. RUN commands must use relative paths, as they run in the folder that stands for
WORKDIR. Files reach a stage only if the Dockerfile's .dockerignore lets them through. SCRATCH/target, if it is there, is
cargo's folder for the first stage, so that a second run is short. Prints what the last stage says as JSON.
"""

import fnmatch
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys


def instructions(text):
    """Pairs of instruction and argument, with lines that go on put together."""
    line = ""
    for raw in text.splitlines():
        if raw.lstrip().startswith("#") or (not line and not raw.strip()):
            continue
        line += raw.rstrip()
        if line.endswith("\\"):
            line = line[:-1]
            continue
        name, _, argument = line.strip().partition(" ")
        yield name.upper(), argument.strip()
        line = ""
    if line:
        raise SystemExit("the Dockerfile ends within an instruction")


def ignored(patterns, path):
    """Whether .dockerignore keeps a file out; the last pattern that matches it or a folder above it decides."""
    parts = path.split("/")
    above = ["/".join(parts[: n + 1]) for n in range(len(parts))]
    out = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if any(fnmatch.fnmatchcase(one, pattern.lstrip("!").strip("/")) for one in above):
            out = not negated
    return out


def context(root, dockerfile):
    """The files that an engine would be sent: of the checkout, what git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, check=True, capture_output=True
    )
    files = [name for name in listed.stdout.decode().split("\0") if name and (root / name).is_file()]
    ignore = pathlib.Path(f"{dockerfile}.dockerignore").read_text().splitlines()
    patterns = [line.strip() for line in ignore if line.strip() and not line.startswith("#")]
    return [name for name in files if not ignored(patterns, name)]


class Stage:
    def __init__(self, folder, base, name):
        self.folder, self.base, self.name = folder, base, name
        self.workdir = "/"
        self.environment = {}
        self.said = {"base": base, "labels": {}, "env": {}}

    def inside(self, path):
        absolute = path if path.startswith("/") else os.path.join(self.workdir, path)
        return self.folder / absolute.lstrip("/")

    def copy(self, source, target, into_folder):
        if into_folder:
            target = target / source.name if source.is_file() else target
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            # As an engine does: the time of the file stays what it was in the checkout.
            shutil.copy2(source, target)


def copied(stage, stages, root, files, argument):
    words = shlex.split(argument)
    origin = None
    while words and words[0].startswith("--"):
        option = words.pop(0)
        if option.startswith("--from="):
            origin = option.removeprefix("--from=")
        else:
            raise SystemExit(f"COPY {option} is not understood here")
    *sources, target = words
    folder = target.endswith("/") or len(sources) > 1
    for source in sources:
        if origin:
            found = stages[origin].inside(source)
            if not found.exists():
                raise SystemExit(f"COPY {argument}: stage {origin} has no {source}")
            stage.copy(found, stage.inside(target), folder)
            continue
        source = source.rstrip("/")
        below = [name for name in files if name == source or name.startswith(f"{source}/")]
        if not below:
            raise SystemExit(f"COPY {argument}: {source} is not in the context; see the .dockerignore")
        for name in below:
            if name == source:
                stage.copy(root / name, stage.inside(target), folder)
            else:
                stage.copy(root / name, stage.inside(target) / name.removeprefix(f"{source}/"), False)


def main():
    dockerfile, root, scratch = (pathlib.Path(word).resolve() for word in sys.argv[1:4])
    given = dict(word.split("=", 1) for word in sys.argv[4:])
    files = context(root, dockerfile)
    stages, arguments, stage = {}, {}, None
    parsed = list(instructions(dockerfile.read_text()))
    last = max(number for number, (name, _) in enumerate(parsed) if name == "FROM")
    for number, (name, argument) in enumerate(parsed):
        values = {**arguments, **(stage.environment if stage else {})}
        filled = re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], ""), argument)
        if name == "ARG":
            key, _, default = argument.partition("=")
            arguments[key] = given.get(key, default)
            if stage:
                stage.environment[key] = arguments[key]
        elif name == "FROM":
            base, _, alias = filled.partition(" AS ")
            folder = scratch / ("image" if number == last else alias)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            stage = stages[alias or str(len(stages))] = Stage(folder, base, alias)
        elif name == "WORKDIR":
            stage.workdir = filled
            stage.inside(".").mkdir(parents=True, exist_ok=True)
            if (scratch / "target").is_dir():
                (stage.inside(".") / "target").symlink_to(scratch / "target")
        elif name == "COPY":
            print(f"+ COPY {argument}", flush=True)
            copied(stage, stages, root, files, filled)
        elif name == "RUN":
            print(f"+ RUN {argument}", flush=True)
            environment = {key: value for key, value in os.environ.items() if key not in ("CARGO_TARGET_DIR", "DATABASE_URL")}
            subprocess.run(["sh", "-c", argument], cwd=stage.inside("."), env={**environment, **stage.environment}, check=True)
        elif name == "LABEL":
            stage.said["labels"] |= dict(word.split("=", 1) for word in shlex.split(filled))
        elif name == "ENV":
            stage.said["env"] |= dict(word.split("=", 1) for word in shlex.split(filled))
        elif name in ("USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"):
            stage.said[name.lower()] = filled
        else:
            raise SystemExit(f"{name} is not understood here")
    (scratch / "image.json").write_text(json.dumps(stage.said, indent=2) + "\n")


main()
