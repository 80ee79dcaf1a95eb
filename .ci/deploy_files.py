"""Holds what deploy/ says against our own rules; a schema cannot know them. Prints what is wrong, and fails if anything is."""

import json
import pathlib
import re
import subprocess
import sys

import yaml

root = pathlib.Path(__file__).resolve().parent.parent
deploy = root / "deploy"
wrong = []


def expect(condition, text):
    if not condition:
        wrong.append(text)


def pinned(image):
    """A tag that says which version, or which major of what keeps its files; distroless images have it in their name."""
    name, _, tag = image.rpartition(":")
    return bool(re.search(r"\d", tag)) or bool(re.search(r"/distroless/.*debian\d+$", name))


def is_number(user):
    return bool(re.fullmatch(r"[1-9]\d*:\d+", user))


def files_of(service, name, compose):
    """The folders and files of the checkout that a service is given."""
    for volume in service.get("volumes", []):
        source, target, *mode = volume.split(":")
        if source.startswith("./"):
            made = source.startswith(("./secrets", "./backups"))
            expect(made or (deploy / source).exists(), f"{name}: there is no deploy/{source}")
            expect(mode == ["ro"], f"{name}: {source} can be written")
        elif not source.startswith("/"):
            expect(source in compose["volumes"], f"{name}: the volume {source} is not declared")


def check_service(name, service, compose):
    expect(service.get("read_only") is True, f"{name}: its file system can be written")
    expect(service.get("cap_drop") == ["ALL"], f"{name}: capabilities are not dropped")
    expect(service.get("security_opt") == ["no-new-privileges:true"], f"{name}: it may gain privileges")
    expect(not service.get("privileged"), f"{name}: it is privileged")
    expect(service.get("restart") == "unless-stopped", f"{name}: it does not come back")
    expect("options" in service.get("logging", {}), f"{name}: its log has no limit")
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    expect({"cpus", "memory", "pids"} <= limits.keys(), f"{name}: it has no limits")
    if name == "caddy":
        expect(service.get("cap_add") == ["NET_BIND_SERVICE"], "caddy: it needs to bind ports and nothing else")
    else:
        expect("cap_add" not in service, f"{name}: it has capabilities")
        expect(is_number(service.get("user", "")), f"{name}: its user is not a number, or root")
    if name != "cloud":
        expect(pinned(service["image"]), f"{name}: {service['image']} names no version")
    if name != "node":
        expect("healthcheck" in service, f"{name}: it has no health check")
    for secret in service.get("secrets", []):
        expect(secret in compose["secrets"], f"{name}: the secret {secret} is not declared")
    expect(bool(service.get("secrets")) <= bool(service.get("group_add")), f"{name}: it cannot read its secrets")
    for network in service.get("networks", []):
        expect(network in compose["networks"], f"{name}: the network {network} is not declared")
    for other in service.get("depends_on", {}):
        expect("healthcheck" in compose["services"].get(other, {}), f"{name}: {other} has no health to wait for")
    files_of(service, name, compose)


def check_compose():
    text = (deploy / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    services = compose["services"]
    for name, service in services.items():
        check_service(name, service, compose)
    # The world reaches Caddy, this machine Grafana, nobody else anything.
    published = {name: service["ports"] for name, service in services.items() if "ports" in service}
    expect(set(published) == {"caddy", "grafana"}, f"ports are published by {sorted(published)}")
    expect(all(port.startswith("127.0.0.1:") for port in published["grafana"]), "Grafana is open to the world")
    expect(compose["networks"]["backend"].get("internal") is True, "the backend reaches the world")
    expect("frontend" not in services["postgres"]["networks"], "Postgres is on Caddy's network")
    expect("backend" not in services["caddy"]["networks"], "Caddy is on Postgres' network")
    # Each variable is in the example, and each of the example is used.
    example = dict(re.findall(r"^([A-Z_]+)=(.*)$", (deploy / ".env.example").read_text(), re.M))
    used = set(re.findall(r"\$\{([A-Z_]+)", text))
    expect(used == set(example), f".env.example and compose.yaml differ in {sorted(used ^ set(example))}")
    # Each secret is made by make-secrets, and kept out of git.
    made = (deploy / "make-secrets").read_text()
    for name, secret in compose["secrets"].items():
        expect(secret["file"] == f"./secrets/{name}", f"the secret {name} is in {secret['file']}")
        expect(re.search(rf"\b{name}\b", made), f"make-secrets does not make {name}")
    for path in ("deploy/secrets/x", "deploy/.env", "deploy/backups/x"):
        ignored = subprocess.run(["git", "check-ignore", "-q", path], cwd=root, check=False).returncode == 0
        expect(ignored, f"git does not ignore {path}")
    # The configuration reads what the service is given.
    config = (deploy / "cloud.docker.toml").read_text()
    for line in config.splitlines():
        for secret in re.findall(r"/run/secrets/(\w+)", line):
            expect(line.startswith("#") or secret in services["cloud"]["secrets"], f"cloud.docker.toml: no secret {secret}")
    return services


def check_ports(services):
    """Who asks whom at which port."""
    listen = re.search(r'^listen = "0\.0\.0\.0:(\d+)"', (deploy / "cloud.docker.toml").read_text(), re.M)[1]
    caddy = (deploy / "Caddyfile").read_text()
    prometheus = yaml.safe_load((deploy / "prometheus.yml").read_text())
    targets = {job["job_name"]: job["static_configs"][0]["targets"] for job in prometheus["scrape_configs"]}
    expect(f"reverse_proxy cloud:{listen}" in caddy, "Caddy passes on to another port than the service's")
    expect(targets["cloud"] == [f"cloud:{listen}"], "Prometheus asks another port than the service's")
    expect(re.search(r"@inner path .*/metrics\b", caddy), "Caddy passes /metrics on")
    for job in targets:
        expect(job in services, f"Prometheus asks {job}, which does not run")
    jobs = set(re.findall(r'job="(\w+)"', (deploy / "alerts.yml").read_text()))
    expect(jobs <= set(targets), f"alerts speak of jobs that are not scraped: {jobs - set(targets)}")
    sources = (deploy / "grafana/provisioning/datasources/thermal-watch.yaml").read_text()
    for variable in re.findall(r"\$\{(\w+)\}", sources):
        expect(variable in services["grafana"]["environment"], f"Grafana is not told {variable}")
    for secret in re.findall(r"\$__file\{/run/secrets/(\w+)\}", sources):
        expect(secret in services["grafana"]["secrets"], f"Grafana is not given {secret}")


def check_yaml():
    for path in deploy.rglob("*.y*ml"):
        try:
            yaml.safe_load(path.read_text())
        except yaml.YAMLError as error:
            expect(False, f"{path.relative_to(root)}: {error}")


def check_image():
    """The Dockerfile's own rules, beside what hadolint knows."""
    text = (deploy / "Dockerfile").read_text()
    defaults = dict(re.findall(r"^ARG (\w+)=(\S+)", text, re.M))
    bases = re.findall(r"^FROM (\S+)", text, re.M)
    for base in bases:
        filled = re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], base)
        expect(pinned(filled), f"Dockerfile: {filled} names no version")
    user = re.findall(r"^USER (\S+)", text, re.M)
    expect(user and is_number(user[-1]), "Dockerfile: its user is not a number, or root")
    expect(re.search(r'^HEALTHCHECK .*CMD \["/usr/local/bin/cloud", "healthcheck"\]', text, re.M), "Dockerfile: no health check")
    expect(re.search(r"^ENTRYPOINT \[", text, re.M), "Dockerfile: the entry point goes through a shell, which is not there")
    expect("--no-default-features" in text and "--locked" in text, "Dockerfile: it builds something else than is tested")
    rust = re.search(r'^rust-version = "([\d.]+)"', (root / "Cargo.toml").read_text(), re.M)[1]
    expect([*map(int, defaults["RUST"].split("."))] >= [*map(int, rust.split("."))], f"Dockerfile: Rust is older than {rust}")
    version = re.search(r'^version = "(.*)"', (root / "Cargo.toml").read_text(), re.M)[1]
    expect(f"ARG VERSION={version}" in text, f"Dockerfile: the version is not {version}")
    example = (deploy / ".env.example").read_text()
    expect(f"CLOUD_IMAGE=thermal-watch/cloud:{version}" in example, f".env.example: the version is not {version}")


def check_links():
    """Guides lead to what is there."""
    for guide in [*deploy.glob("*.md"), root / "README.md"]:
        text = re.sub(r"```.*?```", "", guide.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            if "://" in target or target.startswith("mailto:"):
                continue
            path, _, anchor = target.partition("#")
            file = (guide.parent / path) if path else guide
            expect(file.exists(), f"{guide.name}: there is no {target}")
            if anchor and file.suffix == ".md" and file.exists():
                headings = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                anchors = {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}
                expect(anchor in anchors, f"{guide.name}: {path} has no heading {anchor}")


def check_dashboards():
    for path in sorted((deploy / "grafana/dashboards").glob("*.json")):
        json.loads(path.read_text())


services = check_compose()
check_ports(services)
check_yaml()
check_image()
check_links()
check_dashboards()
for line in wrong:
    print(line, file=sys.stderr)
print(f"{len(services)} services, {len(wrong)} complaints")
sys.exit(1 if wrong else 0)
