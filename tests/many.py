"""tests/many.py FOLDER: what tests/verify.py answers to each *.bundle of a folder under its trust.toml, a line each, by name."""
import contextlib
import io
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import verify  # noqa: E402


def main(folder):
    trust = os.path.join(folder, "trust.toml")
    for name in sorted(name for name in os.listdir(folder) if name.endswith(".bundle")):
        with contextlib.redirect_stdout(io.StringIO()) as said:
            answer = verify.main(["verify.py", os.path.join(folder, name), trust])
        print(answer)
        if "-v" in sys.argv: print(name, said.getvalue(), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
