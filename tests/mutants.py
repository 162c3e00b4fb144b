"""tests/mutants.py BUNDLE TRUST COUNT SEED: changes a true bundle in COUNT random ways and holds tests/verify.py to calling each false.

A change is one byte changed, one byte removed, two neighbours swapped, or the end cut off. Prints `COUNT mutants, all false`.
"""
import os
import random
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify  # noqa: E402


def answer(data, trust, path):
    with open(path, "wb") as f:
        f.write(data)
    return verify.main(["verify.py", path, trust])


def mutate(good, rng):
    at = rng.randrange(len(good))
    kind = rng.randrange(10)
    if kind < 7:
        return good[:at] + bytes([good[at] ^ rng.randrange(1, 256)]) + good[at + 1:], f"byte {at} changed"
    if kind == 7:
        return good[:at] + good[at + 1:], f"byte {at} removed"
    if kind == 8:
        at %= len(good) - 1
        return good[:at] + good[at + 1:at + 2] + good[at:at + 1] + good[at + 2:], f"bytes {at} and {at + 1} swapped"
    return good[:at], f"cut off at {at}"


def main(argv):
    bundle, trust, count, seed = argv[1], argv[2], int(argv[3]), argv[4]
    with open(bundle, "rb") as f:
        good = f.read()
    rng = random.Random(seed)
    told = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what it says of each mutant is not wanted
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "mutant.bundle")
        if answer(good, trust, path) != 0:
            sys.exit("the bundle is not true unchanged")
        tried = 0
        while tried < count:
            data, what = mutate(good, rng)
            if data == good:
                continue
            found = answer(data, trust, path)
            if found != 1:
                sys.exit(f"{what}: verify.py answers {found}, not 1 (false)")
            tried += 1
    os.write(told, f"{tried} mutants, all false\n".encode())


if __name__ == "__main__":
    main(sys.argv)
