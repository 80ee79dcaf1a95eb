"""Writes the dashboards' panels down as TypeScript, for the compiler to hold against Grafana's own types of them.

    deploy_panels.py FOLDER      FOLDER holds node_modules with @grafana/schema; check.ts is written into it

A key that the panel does not know, or a value of the wrong kind, is then an error of the compiler.
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KINDS = ["barchart", "geomap", "heatmap", "stat", "table", "timeseries"]
# The types have enumerations where JSON has their texts.
AS_JSON = """type J<T> = T extends (infer U)[] ? J<U>[]
    : T extends string ? (string extends T ? T : T | `${T}`)
    : T extends number | boolean | null | undefined ? T
    : { [K in keyof T]: J<T[K]> };"""
# What a panel keeps beside what all fields have; where it is not named after the panel.
CUSTOM = {"table": "schema.TableFieldOptions", "stat": "Record<string, never>", "geomap": "Record<string, never>"}


def constants(panel):
    kind, config = panel["type"], panel["fieldConfig"]
    yield f"Partial<{kind}.Options>", panel["options"]
    custom = CUSTOM.get(kind, f"{kind}.FieldConfig")
    yield f"Partial<{custom}>", config["defaults"].get("custom", {})
    yield "schema.FieldConfig", {key: value for key, value in config["defaults"].items() if key != "custom"}
    for override in config["overrides"]:
        for one in override["properties"]:
            key, value = one["id"], one["value"]
            if key == "custom.cellOptions":
                yield "schema.TableCellOptions", value
            elif key.startswith("custom."):
                yield f"Partial<{custom}>", {key.removeprefix("custom."): value}
            else:
                yield "schema.FieldConfig", {key: value}


def main():
    lines = ["import type * as schema from '@grafana/schema';"]
    types = "./node_modules/@grafana/schema/dist/types/raw/composable"
    lines += [f"import type * as {kind} from '{types}/{kind}/panelcfg/x/types.gen';" for kind in KINDS]
    lines.append(AS_JSON)
    number = 0
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            if panel["type"] == "row":
                continue
            lines.append(f"// {path.name}, {panel['title']}")
            for kind, value in constants(panel):
                number += 1
                lines.append(f"export const c{number}: J<{kind}> = {json.dumps(value)};")
    (pathlib.Path(sys.argv[1]) / "check.ts").write_text("\n".join(lines) + "\n")
    print(f"{number} settings of panels")


main()
