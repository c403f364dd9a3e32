"""Where studies are kept: URLs and paths, and a real PostgreSQL server with two sweeps on one study."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from lossdoc import storage
from lossdoc.errors import UserError
from lossdoc.ledger import Ledger
from lossdoc.search import Range, Space
from lossdoc.subject import Point
from tests.conftest import PROJECT
from tests.test_ledger import FACTS, same, trial

SPACE = Space({"optimizer.lr": Range(1e-4, 1e-1)})
POINTS = [Point(index, {"optimizer.lr": 1e-3 * (index + 1)}) for index in range(6)]


@pytest.mark.parametrize(
    ("where", "says"),
    [
        (
            "sqlite:///runs.db",
            "two processes that begin on a new SQLite file at once lose one of them; there are postgresql",
        ),
        (
            "mysql://me:secret@there/db",
            r"mysql://me:…@there/db: there are postgresql://…, redis://… and the path of a journal",
        ),
        ("/nowhere/at/all.journal", "the journal cannot be opened: No such file or directory"),
    ],
)
def test_what_is_no_storage_is_told(where: str, says: str) -> None:
    with pytest.raises(UserError, match=says) as told:
        storage.at(where)
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(("scheme", "module"), [("postgresql", "psycopg"), ("redis", "redis")])
def test_a_driver_that_is_missing_is_told(scheme: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    if scheme == "redis":
        from optuna.storages.journal import _redis

        monkeypatch.setattr(_redis, "_imports", Missing())
    with pytest.raises(UserError, match=rf"needs the package {module}: pip install 'lossdoc\[{scheme}\]'"):
        storage.at(f"{scheme}://127.0.0.1:1/db")


class Missing:
    def check(self) -> None:
        raise ImportError


def test_a_file_that_is_no_journal_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not JSON\nat all\n")
    with pytest.raises(UserError, match="not a journal"):
        storage.at(str(tmp_path / "notes"))


def test_a_server_that_stumbles_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", pauses.append)  # type: ignore[attr-defined]
    answers: list[Any] = [ConnectionError("gone"), ConnectionError("gone"), 7]

    class Stumbling:
        def get_trial(self) -> int:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return int(answer)

    patient: Any = storage.Patient(Stumbling(), "redis://me:secret@there")  # type: ignore[arg-type]
    assert patient.get_trial() == 7
    answers += [ConnectionError("gone")] * 9
    with pytest.raises(UserError, match=r"redis://me:…@there is out of reach: gone; what is finished is safe") as told:
        patient.get_trial()
    assert "secret" not in str(told.value)
    assert pauses == [1.0, 2.0, 1.0, 2.0, 4.0, 8.0]
    answers[:] = [KeyError("the program's own fault")]
    with pytest.raises(KeyError):
        patient.get_trial()


# servers ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """A server on loopback: its URL, and what belongs to it."""

    url: str


def tool(name: str) -> str | None:
    """Return where a program of PostgreSQL is: Debian keeps them out of the path."""
    found = [*Path("/usr/lib/postgresql").glob(f"*/bin/{name}")]
    return str(max(found, key=lambda path: int(path.parts[-3]))) if found else shutil.which(name)


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


@pytest.fixture
def postgresql() -> Iterator[Server]:
    """Start PostgreSQL in a temporary folder; it refuses to be root, so there somebody else runs it."""
    if tool("initdb") is None or tool("pg_ctl") is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if find_spec("psycopg") is None:
        pytest.skip("its driver is not installed: pip install 'lossdoc[postgresql]'")
    who: dict[str, Any] = {"user": "nobody", "group": "nogroup"} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="lossdoc-pg-"))
    if who:
        shutil.chown(folder, **who)

    def do(*words: str) -> None:
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=120, **who)
        assert done.returncode == 0, done.stdout + done.stderr

    port, data = free_port(), str(folder / "data")
    do(str(tool("initdb")), "-D", data, "-U", "lossdoc", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
    do(str(tool("pg_ctl")), "-D", data, "-o", options, "-l", str(folder / "log"), "-w", "start")
    try:
        yield Server(f"postgresql://lossdoc:secret@127.0.0.1:{port}/postgres")
    finally:
        do(str(tool("pg_ctl")), "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def test_two_sweeps_on_one_postgresql_study_train_no_point_twice(postgresql: Server, tmp_path: Path) -> None:
    points = 8
    (tmp_path / "model.yaml").write_text(
        "name: shared\ndata: {source: {synthetic: moons}, batch_size: 32}\n"
        "model: {layers: [{linear: 8}, relu, {linear: classes}]}\n"
        f"sweep: {{points: {points}, epochs: 3, parameters: {{optimizer.lr: [1e-4, 1e-1]}}}}\n"
    )
    env = {**os.environ, "PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "lossdoc", "sweep", "model.yaml", "--storage", postgresql.url, "--format", "json"]
    words += ["--runner", "serial", "--fail-on", "never"]
    runs = [
        subprocess.Popen(words, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [run.communicate(timeout=240) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], answers
    reports = [json.loads(out)["reports"][0] for out, _ in answers]
    assert all(len(report["trials"]) == points for report in reports)
    assert json.dumps(reports[0]["trials"]) == json.dumps(reports[1]["trials"])

    import optuna

    kept = optuna.storages.RDBStorage(postgresql.url.replace("://", "+psycopg://"))
    (summary,) = optuna.get_all_study_summaries(kept)
    study = optuna.load_study(study_name=summary.study_name, storage=kept)
    ended = [each for each in study.trials if each.state.name in ("COMPLETE", "PRUNED")]
    assert sorted(each.user_attrs["index"] for each in ended) == list(range(points))
    assert summary.study_name.startswith("shared-")
    assert {each.state.name for each in study.trials} <= {"COMPLETE", "PRUNED", "FAIL"}
    kept.remove_session()
    kept.engine.dispose()


def test_postgresql_gives_back_what_it_was_given(postgresql: Server, tmp_path: Path) -> None:
    first = Ledger.open(tmp_path, "digits", SPACE, FACTS, postgresql.url)
    second = Ledger.open(tmp_path, "digits", SPACE, FACTS, postgresql.url)
    other = Ledger.open(tmp_path, "digits", SPACE, {**FACTS, "points": 99}, postgresql.url)
    assert first.claim(POINTS[:4]) == POINTS[:4]
    assert second.claim(POINTS) == POINTS[4:]
    given = trial(POINTS[0])
    assert first.add(given)
    assert same(second.finished()[0], given)
    assert other.finished() == []  # another plan is another study
    first.close()  # gives back what it has not finished
    assert second.claim(POINTS) == POINTS[1:]
    for each in (second, other):
        each.close()


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_spec("psycopg") is None:
        pytest.skip("its driver is not installed: pip install 'lossdoc[postgresql]'")
    monkeypatch.setattr(storage.time, "sleep", lambda _: None)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"postgresql\+psycopg://me:…@127.0.0.1:1/db cannot be used: .*refused") as told:
        storage.at("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(told.value)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    program = shutil.which("redis-server")
    if program is None or find_spec("redis") is None:
        pytest.skip("no redis-server, or no driver for it: apt-get install redis-server; pip install 'lossdoc[redis]'")
    port = free_port()
    words = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert any("Ready to accept connections" in line for line in run.stdout)
        yield Server(f"redis://127.0.0.1:{port}")
        run.terminate()


def test_redis_gives_back_what_it_was_given(redis: Server, tmp_path: Path) -> None:
    first = Ledger.open(tmp_path, "digits", SPACE, FACTS, redis.url)
    second = Ledger.open(tmp_path, "digits", SPACE, FACTS, redis.url)
    assert first.claim(POINTS[:4]) == POINTS[:4]
    assert second.claim(POINTS) == POINTS[4:]
    given = trial(POINTS[0])
    assert first.add(given)
    assert same(second.finished()[0], given)
    first.close()
    second.close()
