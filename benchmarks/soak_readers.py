"""Break every reader's samples in all ways and read them: `python -m benchmarks.soak_readers [--mutations 100000]`.

Each sample below `--samples` (a folder for each reader, as in tests/logs) is cut off at every byte, gets every bit flipped
while the budget lasts, and is then spliced: parts taken out, doubled, overwritten by noise, by words that have broken
parsers before, or by parts of other readers' samples. A mutation may be read or refused by a
`UserError`. Anything else is a fault: another exception or a dead process (crash), more than `--limit` seconds of processor
time (hang), or code, a process, a socket or a written file that the reading causes (told by Python's audit events). Exits 1
when there is a fault; `--keep DIR` keeps the bytes of each.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from lossdoc import columns, reader
from lossdoc.errors import UserError
from lossdoc.reader import HEAD, readers

SAMPLES = Path(__file__).parent.parent / "tests" / "logs"
MEMORY = 4 << 30  # bytes a process may ask for: a few bytes that ask for more are a fault
FORBIDDEN = ("exec", "compile", "os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect",
             "import", "pickle.find_class", "ctypes.dlopen", "marshal.loads", "os.remove", "os.rename")  # fmt: skip
WORDS = (
    *(b"nan", b"-inf", b"1e999", b"-1e-999", b"0x1F", b"1_000", b'"', b"'", b"%", b";", b",,,,", b"\t\t", b"]}"),
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r\r\n", b"\r", b"\x1b[31m", b"\x1b]2;", "∞½٣".encode()),
    *(b"9" * 400, b"1" * 5000, b"-" * 1000, b" " * 2000, b"\x08" * 20, b"\x80" * 12, b"\xff" * 12),
    *(b"[" * 500, b"{" * 500, b'{"a":' * 60, b"loss: " * 200, b"epoch 1/" * 200),
    *(b"__import__('os').system('true')", b"!!python/object/apply:os.system [true]", b"cos\nsystem\n(S'true'\ntR."),
)


class HangError(BaseException):
    """A mutation took too long; no handler of `Exception` may swallow it."""


@dataclass
class Found:
    """What came of some mutations of one reader: counts, the slowest in seconds, and the faults with their bytes."""

    name: str
    many: int = 0
    read: int = 0
    slowest: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[str, str, bytes]] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Take in what came of further mutations."""
        self.many, self.read, self.slowest = (
            self.many + other.many,
            self.read + other.read,
            max(self.slowest, other.slowest),
        )
        self.faults += other.faults
        self.kept += other.kept


def mutation(data: bytes, place: int, others: list[bytes], draw: random.Random) -> bytes:
    """Return a sample's mutation number `place`: cut at each byte, then each bit flipped, then spliced at random."""
    if place < len(data):
        return data[:place]
    place -= len(data)
    made = bytearray(data)
    if place < 8 * len(data) and draw.random() < 0.5:
        made[place // 8] ^= 1 << place % 8
        return bytes(made)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        splice(made, others, draw)
    return bytes(made)


def splice(made: bytearray, others: list[bytes], draw: random.Random) -> None:
    """Change one part of the bytes in place."""
    start = draw.randrange(len(made) + 1)
    end = min(len(made), start + draw.choice((1, 2, 8, 40, 400)))
    kind = draw.randrange(7)
    if kind == 0 and start < len(made):
        made[start] ^= 1 << draw.randrange(8)
    elif kind == 1:
        del made[start:end]
    elif kind == 2:
        made[start:start] = made[start:end] * draw.randint(1, 4)
    elif kind == 3:
        made[start:end] = draw.randbytes(end - start)
    elif kind == 4:
        made[start:end] = draw.choice(WORDS)
    elif kind == 5:
        other = draw.choice(others)
        at = draw.randrange(len(other) + 1)
        made[start:end] = other[at : at + draw.choice((10, 100, 1000))]
    else:
        lines = bytes(made).split(b"\n")
        draw.shuffle(lines)
        made[:] = b"\n".join(lines)


def look(path: Path, data: bytes, name: str | None) -> bool:
    """Read a mutation as a diagnosis would; tell whether it could be read."""
    path.write_bytes(data)
    for each in readers.all() if name is None else [readers.get(name)]:
        if not 0 <= each.sniff(data[:HEAD]) <= 1:
            raise AssertionError("a score is not from 0 to 1")
    try:
        for table in reader.read(path, name):
            shapes = {part.shape for each in table.columns.values() for part in (each.values, each.logged)}
            if len(shapes) != 1:
                raise AssertionError(f"columns of different lengths: {shapes}")
            columns.curves(table, columns.choose(table), columns.UNKNOWN)
    except UserError:
        return False
    return True


@contextlib.contextmanager
def watched(events: list[str]) -> Iterator[None]:
    """Note the audit events that no reading of a log may cause, once everything is imported."""
    active = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        writes = event == "open" and isinstance(arguments[1], str) and any(sign in arguments[1] for sign in "wax+")
        if active and (event in FORBIDDEN or writes) and not sys.is_finalizing():
            events.append(f"{event} {str(arguments[:1])[:80]}")

    sys.addaudithook(hook)
    try:
        yield
    finally:
        active = False


def stop(_signal: int, _frame: FrameType | None) -> None:
    """End the mutation that takes too long."""
    raise HangError


def work(job: tuple[str, Path, int, int, float, int]) -> Found:
    """Read the mutations `first` to `last` of one sample."""
    name, sample, first, last, limit, seed = job
    found = Found(name)
    data = sample.read_bytes()
    others = [path.read_bytes() for path in sorted(SAMPLES.rglob("*")) if path.is_file()]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGPROF, stop)
    events: list[str] = []
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        place = Path(folder) / sample.parent.name / sample.name
        place.parent.mkdir()
        for other in (sample, *sorted(SAMPLES.rglob("*"))):  # whatever is imported on demand is imported now
            if other.is_file():
                look(place, other.read_bytes(), None)
        for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
            "".encode(encoding).decode(encoding)
        with watched(events):
            for number in range(first, last):
                draw = random.Random(f"{seed} {sample} {number}")
                made = mutation(data, number, others, draw)
                signal.setitimer(signal.ITIMER_PROF, limit)
                one(found, place, made, name if number % 4 else None, events)
    return found


def one(found: Found, place: Path, made: bytes, name: str | None, events: list[str]) -> None:
    """Read one mutation and note what came of it; the timer that `work` set ends it when it takes too long."""
    events.clear()
    begun = time.process_time()
    fault = detail = ""
    try:
        found.read += look(place, made, name)
    except HangError:
        fault, detail = "hang", "took too long"
    except (Exception, RecursionError) as bad:  # noqa: BLE001 - whatever it is, it is what is searched for
        fault = "crash"
        detail = f"{bad!r:.200} at {traceback.extract_tb(bad.__traceback__)[-1]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    own = str(place)
    caused = [event for event in events if own not in event]
    if not fault and caused:
        fault, detail = "code", "; ".join(caused)
    found.many += 1
    found.slowest = max(found.slowest, time.process_time() - begun)
    if fault:
        found.faults[fault] += 1
        found.kept.append((fault, detail, made))


def jobs(args: argparse.Namespace) -> Iterator[tuple[str, Path, int, int, float, int]]:
    """Yield parts of a few thousand mutations; each sample of a reader gets as many."""
    for name in args.reader or readers.names():
        samples = [path for path in sorted((args.samples / name).rglob("*")) if path.is_file()]
        if not samples:
            sys.exit(f"there is no sample of '{name}' below {args.samples}")
        each = -(-args.mutations // len(samples))
        for sample in samples:
            for first in range(0, each, 2000):
                yield name, sample, first, min(each, first + 2000), args.limit, args.seed


def soak(args: argparse.Namespace) -> dict[str, Found]:
    """Share the mutations among processes; one that dies is a crash of the mutations that it was given."""
    found: dict[str, Found] = {}
    waiting = list(jobs(args))
    with ProcessPoolExecutor(args.jobs, max_tasks_per_child=None) as pool:
        futures = {pool.submit(work, job): job for job in waiting}
        for done, future in enumerate(as_completed(futures), 1):
            name, sample, first, last, *_ = futures[future]
            try:
                result = future.result()
            except BrokenProcessPool:
                result = Found(name, faults=Counter(crash=1), kept=[("crash", f"dead: {sample} {first}-{last}", b"")])
            found.setdefault(name, Found(name)).add(result)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(waiting)} parts", end="", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--mutations", type=int, default=100_000, metavar="N", help="of each reader (default %(default)s)")
    parse.add_argument("--reader", action="append", choices=readers.names(), help="only this one; may be repeated")
    parse.add_argument("--samples", type=Path, default=SAMPLES, metavar="DIR")
    parse.add_argument("--limit", type=float, default=5.0, metavar="SECONDS", help="of one mutation (default %(default)s)")
    parse.add_argument("--jobs", type=int, default=2, metavar="N", help="processes (default %(default)s)")
    parse.add_argument("--seed", type=int, default=0)
    parse.add_argument("--keep", type=Path, metavar="DIR", help="write the bytes of every fault there")
    args = parse.parse_args()
    begun = time.perf_counter()
    found = soak(args)
    print(f"{'reader':18s} {'mutations':>9s} {'read':>8s} {'crashes':>8s} {'hangs':>6s} {'code':>5s} {'slowest ms':>11s}")
    for name, each in sorted(found.items()):
        crashes, hangs, code = (each.faults[what] for what in ("crash", "hang", "code"))
        counts = f"{each.many:9d} {each.read:8d} {crashes:8d} {hangs:6d} {code:5d}"
        print(f"{name:18s} {counts} {1000 * each.slowest:11.0f}")
    for name, each in sorted(found.items()):
        for number, (fault, detail, data) in enumerate(each.kept[:20]):
            print(f"{fault} of {name}: {detail}")
            if args.keep is not None:
                args.keep.mkdir(parents=True, exist_ok=True)
                (args.keep / f"{name}-{fault}-{number}").write_bytes(data)
    faults = sum(sum(each.faults.values()) for each in found.values())
    many = sum(each.many for each in found.values())
    print(f"{many} mutations, {faults} faults, {time.perf_counter() - begun:.0f} s")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
