"""Runs the image's program as a container would, and takes its database through backup, loss and restore.

    deploy_run.py IMAGE      IMAGE is the folder that stands for the image's file system

As root, with namespaces: read-only, process 1, a user without rights and capabilities, secrets on a folder of its own that
only a group may read. Otherwise the program runs just so, and that is said. The Postgres is a server of its own in a
temporary folder, set up by deploy/postgres/10-roles.sh as compose.yaml has it done.
"""

import contextlib
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
USER = "65532"
GROUP = "65001"
# Summed up by a function, so that it is evaluated in a worker process, which the container must be able to start.
SERIES = "{ 'anomaly': $reduce([body.anomaly, 0], function($a, $b) { $a + $b }) }"


def expect(condition, text):
    if not condition:
        raise SystemExit(f"not as it should be: {text}")


def said(text):
    print(f"  {text}", flush=True)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def postgres_programs():
    found = shutil.which("postgres")
    folders = [*sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))]
    if os.environ.get("POSTGRES_BIN_DIR"):
        return pathlib.Path(os.environ["POSTGRES_BIN_DIR"])
    for folder in reversed(folders):
        if (folder / "initdb").exists() and (folder / "pg_dump").exists():
            return folder
    if found and (pathlib.Path(found).resolve().parent / "pg_dump").exists():
        return pathlib.Path(found).resolve().parent
    return None


class Postgres:
    """As in its container: passwords over TCP, trust through its socket."""

    def __init__(self, programs, folder):
        self.programs, self.folder, self.port = programs, folder, free_port()
        self.account = []
        if os.geteuid() == 0:
            names = {entry.pw_name for entry in pwd.getpwall()}
            name = "postgres" if "postgres" in names else "nobody"
            self.account = ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups"]
            shutil.chown(folder, name)
        self.run("initdb", "-D", folder / "data", "-U", "postgres", "-E", "UTF8", "--no-locale", "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync")
        options = f"-F -c listen_addresses=127.0.0.1 -c port={self.port} -k {folder}"
        self.run("pg_ctl", "-D", folder / "data", "-l", folder / "log", "-w", "-o", options, "start")

    def run(self, program, *arguments):
        subprocess.run([*self.account, self.programs / program, *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, cwd="/")

    def stop(self):
        self.run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def environment(self):
        path = f"{self.programs}:{os.environ['PATH']}"
        return {"PATH": path, "PGHOST": str(self.folder), "PGPORT": str(self.port), "PGUSER": "postgres"}

    def sql(self, statement, database="thermal_watch", **environment):
        command = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement]
        done = subprocess.run(command, env={**self.environment(), **environment}, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return done.stdout.strip()

    def digest(self):
        """Every table of ours with its rows, as one text."""
        tables = self.sql("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' ORDER BY 1")
        rows = [f"{table} " + self.sql(f"SELECT count(*) || ' ' || coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') FROM {table} t") for table in tables.split()]
        return "\n".join(rows)


class Container:
    def __init__(self, image, home, port):
        self.image, self.home, self.port = image, home, port
        self.contained = os.geteuid() == 0 and subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True, check=False
        ).returncode == 0

    def command(self, *arguments):
        variables = {
            "CLOUD_CONFIG": "/etc/thermal-watch/cloud.toml",
            "CLOUD__SERVER__LISTEN": f"0.0.0.0:{self.port}",
            "CLOUD__SERVER__PUBLIC_URL": "https://thermal.example.com",
            "CLOUD__SERIES__TRANSFORM": SERIES,
        }
        if self.contained:
            script = """
                image=$1 secrets=$2 group=$3 user=$4
                shift 4
                mount --bind "$image" "$image"
                mount -t proc -o nosuid,nodev,noexec proc "$image/proc"
                mount -t tmpfs -o size=64k,mode=755 tmpfs "$image/dev"
                for device in null zero full random urandom; do
                    touch "$image/dev/$device"
                    mount --bind "/dev/$device" "$image/dev/$device"
                done
                mount -o remount,ro "$image/dev"
                mount -t tmpfs -o size=1m,mode=755 tmpfs "$image/run"
                mkdir "$image/run/secrets"
                cp "$secrets"/* "$image/run/secrets/"
                chgrp "$group" "$image"/run/secrets/*
                chmod 440 "$image"/run/secrets/*
                mount -o remount,ro "$image/run"
                mount -o remount,ro,bind "$image"
                exec setpriv --no-new-privs --inh-caps=-all chroot --userspec="$user:$user" --groups="$group" "$image" /usr/local/bin/cloud "$@"
            """
            inner = ["sh", "-euc", script, "sh", self.image, self.home / "secrets", GROUP, USER, *arguments]
            command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *map(str, inner)]
            variables["PATH"] = os.environ["PATH"]
        else:
            text = (self.home / "cloud.docker.toml").read_text().replace("/run/secrets/", f"{self.home}/secrets/")
            (self.home / "here.toml").write_text(text)
            variables["CLOUD_CONFIG"] = str(self.home / "here.toml")
            command = [str(self.image / "usr/local/bin/cloud"), *arguments]
        return command, variables

    def run(self, *arguments, check=True):
        command, variables = self.command(*arguments)
        done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise SystemExit(f"cloud {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done

    @contextlib.contextmanager
    def serving(self, log):
        command, variables = self.command("serve", "--print-ready")
        with open(log, "a") as errors:
            process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=errors, text=True, cwd="/")
        try:
            for line in process.stdout:
                if line.startswith("ready "):
                    break
            else:
                raise SystemExit(f"the service ended before it was ready:\n{pathlib.Path(log).read_text()}")
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def inner(self, process):
        """The program itself, behind what made its namespaces."""
        if not self.contained:
            return process.pid
        children = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return int(children[0])

    def ask(self, method, path, token=None, body=None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data=body and body.encode(), headers=headers, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def check_confinement(container, process):
    if not container.contained:
        said("unchecked: read-only, process 1 and user (that needs root and namespaces)")
        return
    pid = container.inner(process)
    status = dict(re.findall(r"^(\w+):\s*(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M))
    expect(status["Uid"].split() == [USER] * 4, f"it runs as {status['Uid']}")
    expect(status["NSpid"].split()[-1] == "1", f"it is process {status['NSpid']}")
    expect(int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"it has capabilities {status['CapEff']}")
    expect(status["NoNewPrivs"] == "1", "it may gain privileges")
    mounts = [line.split() for line in pathlib.Path(f"/proc/{pid}/mounts").read_text().splitlines()]
    writable = [mount[1] for mount in mounts if mount[3].split(",")[0] == "rw" and mount[1] != "/proc" and not mount[1].startswith("/dev/")]
    expect(not writable, f"it can write {writable}")
    said(f"process 1, user {USER}, no capability, every file system read-only")


def event(number):
    return json.dumps({
        "event": f"00000000-0000-4000-8000-{number:012}", "device": "dev:864475", "file": "thermal.qo",
        "when": 1772366400 + 300 * number, "received": 1772366402.25 + 300 * number,
        "body": {"anomaly": 0.01 * number, "cold": 0.5},
    })


def serve(container, postgres, log):
    secret = {path.name: path.read_text().strip() for path in (container.home / "secrets").iterdir()}
    expect(container.run("healthcheck", check=False).returncode == 1, "healthy although nothing runs")
    print(container.run("check-config").stdout.splitlines()[0], flush=True)
    with container.serving(log) as process:
        check_confinement(container, process)
        answer = container.run("healthcheck").stdout.strip()
        said(answer)
        for number in range(40):
            status, text = container.ask("POST", "/notehub", secret["notehub_token"], event(number))
            expect((status, json.loads(text)["status"]) == (200, "stored"), f"{status} {text}")
        expect(container.ask("POST", "/notehub", "wrong", event(1))[0] == 401, "a wrong token is taken")
        end = time.monotonic() + 30
        while (count := postgres.sql("SELECT count(*) FROM measurements")) != "40":
            expect(time.monotonic() < end, f"{count} of 40 measurements for 30 seconds; {postgres.sql('SELECT DISTINCT part, code, message FROM event_errors')}")
            time.sleep(0.1)
        expect(container.ask("GET", "/api/v1/devices", secret["people_token"])[0] == 200, "people are not let in")
        expect("cloud_database_up 1" in container.ask("GET", "/metrics")[1], "no metrics")
        said("40 events stored, evaluated in a worker process, and measured")
        began = time.monotonic()
        os.kill(container.inner(process), signal.SIGTERM)
        expect(process.wait(20) == 0, f"it ended with {process.returncode}")
        said(f"stopped by SIGTERM after {time.monotonic() - began:.1f} s")
    return secret


def check_units_configuration(container):
    """What systemd/install.sh puts in place, with the secrets where they are here."""
    text = (container.home / "systemd" / "cloud.toml").read_text()
    file = container.home / "systemd.toml"
    file.write_text(text.replace("/run/credentials/thermal-watch-cloud.service/", f"{container.home}/secrets/"))
    command = [container.image / "usr/local/bin/cloud", "check-config", "--config", file]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False)
    expect(done.returncode == 0, done.stderr)
    said("the configuration for systemd is good")


def check_reader(postgres, secret):
    """Grafana's login, through TCP and with its password."""
    reader = {"PGHOST": "127.0.0.1", "PGUSER": "thermal_watch_grafana_login", "PGPASSWORD": secret["grafana_database_password"]}
    expect(postgres.sql("SELECT count(*) FROM events", **reader) == "40", "Grafana reads no events")
    expect(postgres.sql("SHOW statement_timeout", **reader) == "30s", "Grafana's queries have no limit")
    for statement in ("SELECT * FROM sessions", "DELETE FROM measurements", "CREATE TABLE mine (x int)"):
        try:
            # Not only because its sessions begin as read-only.
            postgres.sql(statement, **reader, PGOPTIONS="-c default_transaction_read_only=off")
        except RuntimeError as error:
            expect("permission denied" in str(error), error)
        else:
            raise SystemExit(f"Grafana's login may: {statement}")
    for wrong in ({**reader, "PGPASSWORD": "wrong"}, {**reader, "PGUSER": "postgres"}):
        try:
            postgres.sql("SELECT 1", **wrong)
        except RuntimeError:
            continue
        raise SystemExit("a wrong password is taken")
    said("Grafana's login reads, and does nothing else")


def script(name, home, environment, *arguments):
    return subprocess.run([home / name, *map(str, arguments)], env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def back_up_and_restore(postgres, home, folder):
    url = (home / "secrets" / "database_url").read_text().strip()
    environment = {"DATABASE_URL": url, "POSTGRES_BIN_DIR": str(postgres.programs)}
    before = postgres.digest()
    backups = folder / "backups"
    done = script("backup", home, environment, "--to", backups, "--keep", "2")
    expect(done.returncode == 0, done.stderr)
    said(done.stdout.strip().rpartition("/")[2])
    file = next(backups.glob("*.dump"))
    expect(file.stat().st_mode & 0o077 == 0, "the backup is open to others")
    expect((backups / "metrics" / "backup.prom").read_text().count("thermal_watch_backup_success_timestamp_seconds") == 3, "no metric")

    # Older ones go, as many as are too many; a backup that fails takes none with it.
    for number in range(3):
        shutil.copy(file, backups / f"thermal-watch-2020010{number}T000000Z.dump")
    failed = script("backup", home, {**environment, "DATABASE_URL": url.replace("/thermal_watch", "/postgres")}, "--to", backups, "--keep", "2")
    expect(failed.returncode != 0 and len(list(backups.glob("*.dump"))) == 4, "a failed backup has removed others")
    expect(not list(backups.glob("*.part")), "a failed backup leaves something")
    while script("backup", home, environment, "--to", backups, "--keep", "2").returncode != 0:
        raise SystemExit("a second backup fails")
    left = sorted(path.name for path in backups.glob("*.dump"))
    expect(len(left) <= 2 and file.name in left, f"kept: {left}")

    # What is not wholly there is refused before anything is touched, and what is there is not replaced unasked.
    cut = folder / "cut.dump"
    cut.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    for words in ((cut, "--replace"), (file,), (folder / "none.dump",)):
        done = script("restore", home, environment, *words)
        expect(done.returncode != 0, f"restored {words}")
        expect(postgres.digest() == before, f"{words} has changed something")

    postgres.sql("DROP DATABASE thermal_watch", "postgres")
    roles(postgres, home)
    done = script("restore", home, environment, file)
    expect(done.returncode == 0, done.stderr)
    said(done.stdout.strip())
    expect(postgres.digest() == before, "what was restored is not what was there")

    # Over something else: all of it is gone.
    postgres.sql("DELETE FROM measurements; CREATE TABLE later (x int)")
    done = script("restore", home, environment, file, "--replace")
    expect(done.returncode == 0, done.stderr)
    expect(postgres.digest() == before, "what was replaced is not what was there")
    owners = postgres.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    expect(owners == "thermal_watch", f"tables belong to {owners}")
    # By an administrator too, as with compose.
    local = f"postgres://postgres@localhost/thermal_watch?host={postgres.folder}&port={postgres.port}"
    done = script("restore", home, {**environment, "DATABASE_URL": local}, file, "--replace")
    expect(done.returncode == 0, done.stderr)
    owners = postgres.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
    expect(owners == "thermal_watch", f"tables belong to {owners}")
    expect(postgres.digest() == before, "what an administrator restored is not what was there")
    said("restored into an empty database and over another, by the owner and by an administrator")


def roles(postgres, home):
    environment = {**os.environ, **postgres.environment(), "SECRETS_DIR": str(home / "secrets")}
    subprocess.run([home / "postgres" / "10-roles.sh"], env=environment, check=True)


def main():
    image = pathlib.Path(sys.argv[1]).resolve()
    programs = postgres_programs()
    if programs is None:
        raise SystemExit("there is no installed PostgreSQL; install it (on Debian: apt-get install postgresql)")
    with tempfile.TemporaryDirectory(prefix="thermal-watch-deploy.", dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        home = folder / "deploy"
        shutil.copytree(ROOT / "deploy", home, ignore=shutil.ignore_patterns("secrets", "backups", ".env"))
        subprocess.run([home / "make-secrets"], check=True, stdout=subprocess.DEVNULL)
        (folder / "server").mkdir(mode=0o700)
        postgres = Postgres(programs, folder / "server")
        try:
            password = (home / "secrets" / "database_password").read_text().strip()
            url = f"postgres://thermal_watch:{password}@127.0.0.1:{postgres.port}/thermal_watch"
            (home / "secrets" / "database_url").unlink()
            (home / "secrets" / "database_url").write_text(url + "\n")
            roles(postgres, home)
            roles(postgres, home)
            container = Container(image, home, free_port())
            check_units_configuration(container)
            secret = serve(container, postgres, folder / "serve.log")
            check_reader(postgres, secret)
            back_up_and_restore(postgres, home, folder)
            check_reader(postgres, secret)
            with container.serving(folder / "serve.log") as process:
                status, text = container.ask("POST", "/notehub", secret["notehub_token"], event(1))
                expect((status, json.loads(text)["status"]) == (200, "duplicate"), f"{status} {text}")
                os.kill(container.inner(process), signal.SIGTERM)
                expect(process.wait(20) == 0, f"it ended with {process.returncode}")
            said("the service runs on what was restored, and knows its events")
        except BaseException:
            log = folder / "serve.log"
            print(log.read_text()[-4000:] if log.exists() else "no log", file=sys.stderr)
            raise
        finally:
            postgres.stop()


main()
