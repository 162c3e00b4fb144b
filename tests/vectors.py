"""tests/vectors.py: tests/verify.py gives the answers that tests/vectors says, file by file and part by part."""
import contextlib
import io
import json
import os
import sys

sys.dont_write_bytecode = True
here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
import verify as v  # noqa: E402

FOLDER = os.path.join(here, "vectors")


def load(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return json.load(f)


def holds(what, *arguments):
    try:
        return bool(what(*arguments))
    except (v.Malformed, ValueError, TypeError, KeyError):
        return False


def accepts(what, *arguments):
    try:
        what(*arguments)
        return True
    except v.Malformed:
        return False


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: {found!r}, expected {expected!r}")


def parts(p):
    for case in p["canonical_json"]: same(accepts(v.parse, case["text"]), case["accepted"], case)
    for case in p["base64url"]:
        if case["hex"] is None: same(accepts(v.unb64, case["text"]), False, case)
        else: same(v.unb64(case["text"]).hex(), case["hex"], case)
    for case in p["bodies"]:
        document = v.parse(case["document"])
        digests = []
        for group, digest in zip(v.GROUPS, case["digests"]):
            disclosure = v.parse(v.unb64(case["disclosures"][group]).decode())
            same((disclosure[1], disclosure[2]), (group, document.get(group)), case)
            digests.append(v.sha(case["disclosures"][group].encode()))
            same(v.b64(digests[-1]), digest, case)
        same(v.b64(v.body_root(digests)), case["root"], case)
        row = {"b": {k: w for k, w in document.items() if k != "rk"}, "h": '{"k":"erase","t":0,"v":1}', "rk": document["rk"]}
        same(v.b64(v.Entry(v.canon(row), 0).leaf), v.b64(v.sha(b"\0" + f'{row["h"]}\n{case["root"]}'.encode())), case)
    for case in p["leaves"]:
        if case["hash"] is None: same(accepts(v.parse_header, case["header"]), False, case)
        else:
            same(f'{case["header"]}\n{case["body_root"]}', case["leaf"], case)
            same(v.b64(v.Entry(v.canon({"h": case["header"], "r": case["body_root"]}), 0).leaf), case["hash"], case)
    for case in p["checkpoints"]: same(holds(lambda: v.Checkpoint(case["note"]).signer([v.vkey(case["key"])])), case["holds"], case)
    for case in p["envelopes"]:
        key = v.unb64(case["public_key"]); same(v.thumb(key), case["thumbprint"], case)
        same(v.dsse(case["envelope"], key, case["type"]) is not None, case["holds"], case)
    for case in p["attestations"]:
        provider = v.Provider({k: case[k] for k in ("issuer", "clients", "jwks")})
        same(accepts(v.IdToken, case["token"]), case["names"] is not None, case)
        if case["names"] is None: continue
        token = v.IdToken(case["token"])
        same((token.names, token.digest), (case["names"], case["digest"]), case)
        same(provider.signed(token) if token.names[0] == provider.issuer else None, case["signed"], case)
    for case in p["ssh_signatures"]:
        over = lambda: v.SshSignature(case["signature"]).over(case["namespace"].encode(), case["message"].encode())
        same(holds(over), case["holds"], case)
    leaves = [v.sha(b"\0" + bytes([n])) for n in range(32)]
    for tree in p["trees"]:
        frontier, root, unb = v.Frontier(), v.unb64(tree["root"]), lambda hashes: [v.unb64(h) for h in hashes]
        for leaf in leaves[:tree["size"]]: frontier.push(leaf)
        same(frontier.root(), root, tree)
        for case in tree["inclusion"]: same(v.included(leaves[case["index"]], case["index"], tree["size"], unb(case["proof"]), root), True, case)
        for case in tree["consistency"]: same(v.consistent(case["from"], tree["size"], unb(case["proof"]), v.unb64(case["root"]), root), True, case)


def main():
    parts(load("parts.json"))
    cases = load("expected.json")["cases"]
    for case in cases:
        with contextlib.redirect_stdout(io.StringIO()) as said:
            answer = v.main(["verify.py", os.path.join(FOLDER, case["file"]), os.path.join(FOLDER, case["trust"])])
        same(answer, case["answer"], f"{case['file']} under {case['trust']}: {said.getvalue()}")
    print(f"{len(cases)} files and all parts as expected")


if __name__ == "__main__":
    main()
