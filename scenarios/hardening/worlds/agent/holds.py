"""What the agent takes from its process: memory, address space, processor time, descriptors. Each is given back."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import resource
import threading
import time
from collections.abc import Mapping
from typing import Any, ClassVar

_BLOCK_BYTES = 1 << 20
_PERIOD_S = 0.02


class Ballast:
    """Pages of this process, written to, so that they count in its resident set."""

    def __init__(self, amount: float) -> None:
        self._bytes = int(amount)
        # Anonymous memory of its own goes back to the system whole, which freed heap may not.
        self._pages = mmap.mmap(-1, max(self._bytes, mmap.PAGESIZE))
        block = b"\x5a" * _BLOCK_BYTES
        try:
            for start in range(0, self._bytes, _BLOCK_BYTES):
                self._pages.write(block[: self._bytes - start])
        except BaseException:
            self._pages.close()
            raise

    @staticmethod
    def rss_bytes() -> int:
        """This process's resident set."""
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * mmap.PAGESIZE

    def says(self) -> Mapping[str, Any]:
        """Bytes held."""
        return {"means": "ballast", "held_bytes": self._bytes}

    def reading(self) -> Mapping[str, float]:
        """Bytes held, pages, and the resident set."""
        return {"held_bytes": self._bytes, "pages_held": self._bytes // mmap.PAGESIZE, "rss_bytes": self.rss_bytes()}

    def release(self) -> Mapping[str, float]:
        """Unmap."""
        counts = self.reading()
        self._pages.close()
        return counts


class AddressSpace:
    """``RLIMIT_AS`` lowered to what is mapped now plus ``amount`` bytes: larger allocations fail."""

    def __init__(self, amount: float) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_AS)
        with open("/proc/self/statm", encoding="ascii") as file:
            mapped = int(file.read().split()[0]) * mmap.PAGESIZE
        self._limit = mapped + int(amount)
        self._refused = 0
        resource.setrlimit(resource.RLIMIT_AS, (self._limit, self._before[1]))
        self._probe(int(amount) + _BLOCK_BYTES)

    def _probe(self, size: int) -> None:
        """Ask for more than is left, and count the refusal: the limit is in force."""
        try:
            mmap.mmap(-1, size).close()
        except (OSError, MemoryError):
            self._refused += 1

    def says(self) -> Mapping[str, Any]:
        """The limit now in force."""
        return {"means": "rlimit_as", "limit_bytes": self._limit}

    def reading(self) -> Mapping[str, float]:
        """Allocations of ours that were refused."""
        return {"limit_bytes": self._limit, "probes_refused": self._refused}

    def release(self) -> Mapping[str, float]:
        """Set the limit back."""
        resource.setrlimit(resource.RLIMIT_AS, self._before)
        return self.reading()


class Spin:
    """Threads that burn ``amount`` of a core (1.5: one and a half) and fight for the interpreter's lock."""

    def __init__(self, amount: float) -> None:
        self._stop = threading.Event()
        self._burnt_s: dict[int, float] = {}
        shares = [1.0] * int(amount) + ([amount % 1] if amount % 1 else [])
        self._threads = [
            threading.Thread(target=self._burn, args=(i, share), name=f"fault-spin-{i}", daemon=True)
            for i, share in enumerate(shares)
        ]
        for thread in self._threads:
            thread.start()

    def _burn(self, number: int, share: float) -> None:
        began_s = time.thread_time()
        while not self._stop.is_set():
            until_s = time.perf_counter() + _PERIOD_S * share
            while time.perf_counter() < until_s:
                pass
            self._burnt_s[number] = time.thread_time() - began_s
            if share < 1:
                self._stop.wait(_PERIOD_S * (1 - share))

    def says(self) -> Mapping[str, Any]:
        """Threads started."""
        return {"means": "spinning threads", "threads": len(self._threads)}

    def reading(self) -> Mapping[str, float]:
        """Processor time burnt."""
        return {"cpu_s": round(sum(self._burnt_s.values()), 4)}

    def release(self) -> Mapping[str, float]:
        """Stop and join."""
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        return self.reading()


class Descriptors:
    """All descriptors but ``amount`` are taken: the soft limit falls to what is open, then the gaps are filled."""

    _hoards: ClassVar[list[list[int]]] = []

    def __init__(self, amount: float) -> None:
        self._before = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._hoard: list[int] = []
        spare = int(amount)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        limit = min(self._before[0], highest + 1 + spare)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, self._before[1]))
        with contextlib.suppress(OSError):
            while True:
                self._hoard.append(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        for number in [self._hoard.pop() for _ in range(min(spare, len(self._hoard)))]:
            os.close(number)
        self._limit = limit
        self._held = len(self._hoard)
        self._refused = int(self._is_exhausted()) if spare == 0 else 0
        self._hoards.append(self._hoard)

    @staticmethod
    def _is_exhausted() -> bool:
        try:
            os.close(os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            return error.errno == errno.EMFILE
        return False

    @classmethod
    def give_one_back(cls) -> None:
        """Close one of a hoard, or wait a little when there is none."""
        for hoard in cls._hoards:
            if hoard:
                os.close(hoard.pop())
                return
        time.sleep(0.01)

    def says(self) -> Mapping[str, Any]:
        """How many are held, and the limit."""
        return {"means": "rlimit_nofile and open files", "held": self._held, "limit": self._limit}

    def reading(self) -> Mapping[str, float]:
        """Descriptors held, and whether opening one more is refused now."""
        return {
            "descriptors_held": len(self._hoard),
            "limit": self._limit,
            "open_now": len(os.listdir("/proc/self/fd")) - 1 if not self._is_exhausted() else self._limit,
            "probes_refused": self._refused,
        }

    def release(self) -> Mapping[str, float]:
        """Close them and set the limit back."""
        resource.setrlimit(resource.RLIMIT_NOFILE, self._before)
        self._hoards.remove(self._hoard)
        counts = {"descriptors_held": float(len(self._hoard)), "probes_refused": float(self._refused)}
        while self._hoard:
            os.close(self._hoard.pop())
        return counts
