"""Precision and recall of the `scan` mask's detectors on generated texts whose truth is known, beside Presidio's pattern recognisers.

Usage: detect.py DETECT [TEXTS [--json]]     DETECT is the program of the example `detect` of chunk-scan.

Every text is a few sentences with none to three findings put into it and, half of the time, something that looks like one and is
none: an order number, a time, a version, a card number with a wrong check digit. A truth counts as found when every character of it is
covered; a finding counts as right when it covers a character of a truth. The same seed gives the same texts.
"""
import json, random, subprocess, sys, time

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def digits(r, n):
    return "".join(r.choice("0123456789") for _ in range(n))


def luhn(body):
    total = 0
    for place, digit in enumerate(reversed(body)):
        digit = int(digit)
        if place % 2 == 0:
            digit = digit * 2 - 9 if digit > 4 else digit * 2
        total += digit
    return str(-total % 10)


def card(r, wrong=False):
    body = r.choice(["4" + digits(r, 14), "5" + r.choice("12345") + digits(r, 13), "37" + digits(r, 12)])
    check = luhn(body)
    if wrong:
        check = str((int(check) + r.randint(1, 9)) % 10)
    number = body + check
    if len(number) == 15:
        groups = [number[:4], number[4:10], number[10:]]
    else:
        groups = [number[i:i + 4] for i in range(0, 16, 4)]
    return r.choice(["", " ", "-"]).join(groups)


def iban(r, wrong=False):
    country, length = r.choice([("DE", 18), ("NL", None), ("ES", 20), ("AT", 16)])
    if country == "NL":
        body = "".join(r.choice(LETTERS.upper()) for _ in range(4)) + digits(r, 10)
    else:
        body = digits(r, length)
    number = "".join(str(int(c, 36)) for c in body + country + "00")
    check = 98 - int(number) % 97
    if wrong:
        check = (check + r.randint(1, 90)) % 97 + 2
        if int("".join(str(int(c, 36)) for c in body + country + f"{check:02}")) % 97 == 1:
            return iban(r, wrong)
    text = f"{country}{check:02}{body}"
    return " ".join(text[i:i + 4] for i in range(0, len(text), 4)) if r.random() < 0.5 else text


def email(r):
    word = lambda a, b: "".join(r.choice(LETTERS) for _ in range(r.randint(a, b)))
    return f"{word(2, 8)}{r.choice(['', '.', '_', '+'])}{word(2, 8)}@{word(3, 9)}.{r.choice(['com', 'example.org', 'mail.example.com', 'co.uk'])}"


def phone(r):
    return r.choice([
        f"+49 30 {digits(r, 7)}", f"+1 ({r.randint(201, 989)}) 555-01{digits(r, 2)}", f"+44 20 7946 0{digits(r, 3)}", f"+33 1 99 00 {digits(r, 2)} {digits(r, 2)}",
        f"({r.randint(201, 989)}) 555-01{digits(r, 2)}", f"+4930{digits(r, 7)}",
    ])


def ssn(r):
    return f"{r.choice([r.randint(1, 665), r.randint(667, 899)]):03}-{r.randint(1, 99):02}-{r.randint(1, 9999):04}"


def ip(r):
    if r.random() < 0.3:
        return ":".join(["2001", "db8"] + [f"{r.randint(1, 0xffff):x}" for _ in range(6)])
    return ".".join(str(r.randint(1, 254)) for _ in range(4))


def secret(r):
    long = lambda n: "".join(r.choice(LETTERS + LETTERS.upper() + "0123456789") for _ in range(n))
    return r.choice(["ghp_" + long(36), "AKIA" + "".join(r.choice(LETTERS.upper() + "234567") for _ in range(16)), "sk_live_" + long(24)])


KINDS = {"email": email, "phone": phone, "card": card, "iban": iban, "ssn": ssn, "ip": ip, "secret": secret}
DECOYS = [
    lambda r: card(r, wrong=True), lambda r: iban(r, wrong=True), lambda r: f"order {digits(r, 10)}", lambda r: f"version {r.randint(1, 30)}.{r.randint(0, 20)}.{r.randint(0, 99)}",
    lambda r: f"2024-{r.randint(1, 12):02}-{r.randint(1, 28):02}T{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}Z", lambda r: f"${r.randint(1, 999)},{digits(r, 3)}.{digits(r, 2)}",
    lambda r: "%s-%s-4%s-a%s-%s" % tuple("".join(r.choice("0123456789abcdef") for _ in range(n)) for n in (8, 4, 3, 3, 12)), lambda r: f"{digits(r, 3)} of {digits(r, 4)} pages",
    lambda r: f"invoice 000-12-{digits(r, 4)}",
]
SENTENCES = [
    "The customer wrote again about {}.", "Please use {} from now on.", "Called back and left {} with the night shift.", "According to the form it is {}, which was checked.",
    "{} was given at the counter.", "See the ticket ({}) for what happened before.", "Reached by {}; answered within the hour.",
]
PLAIN = ["Parcel left the depot on Tuesday.", "Offered a voucher, which was declined.", "Nothing else to report today.", "The second reminder went out last week."]


def corpus(count, seed=20240229):
    r = random.Random(seed)
    for _ in range(count):
        text, truth = "", []
        parts = [(kind, KINDS[kind](r)) for kind in r.sample(sorted(KINDS), r.choice([0, 1, 1, 2, 3]))]
        if r.random() < 0.5:
            parts.append((None, r.choice(DECOYS)(r)))
        parts += [("plain", s) for s in r.sample(PLAIN, r.randint(1, 3))]
        r.shuffle(parts)
        for kind, value in parts:
            text += " " if text else ""
            if kind == "plain":
                text += value
                continue
            before, after = r.choice(SENTENCES).split("{}")
            start = len(text) + len(before)
            text += before + value + after
            if kind:
                truth.append((start, start + len(value), kind))
        yield text, truth


def ours(program, texts):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    start = time.perf_counter()
    answer = subprocess.run([program], input=lines, capture_output=True, text=True, check=True).stdout
    return [json.loads(line) for line in answer.splitlines()], time.perf_counter() - start


def presidio(texts):
    import logging
    logging.disable(logging.ERROR)  # its list of top-level domains comes with it; that it cannot fetch a newer one is no matter
    from presidio_analyzer import predefined_recognizers as known
    recognisers = [known.EmailRecognizer(), known.PhoneRecognizer(), known.CreditCardRecognizer(), known.IbanRecognizer(), known.UsSsnRecognizer(), known.IpRecognizer()]
    start = time.perf_counter()
    found = [[(hit.start, hit.end, hit.entity_type) for one in recognisers for hit in one.analyze(text, one.supported_entities, None) or []] for text in texts]
    return found, time.perf_counter() - start


def score(truths, found):
    per = {kind: [0, 0] for kind in KINDS}
    right = total = 0
    for truth, hits in zip(truths, found):
        covered = {place for start, end, _ in hits for place in range(start, end)}
        for start, end, kind in truth:
            per[kind][1] += 1
            per[kind][0] += all(place in covered for place in range(start, end))
        true = {place for start, end, _ in truth for place in range(start, end)}
        total += len(hits)
        right += sum(any(place in true for place in range(start, end)) for start, end, _ in hits)
    return {"recall": {k: a / b for k, (a, b) in per.items() if b}, "precision": right / total if total else 1.0, "findings": total}


def main():
    words = [a for a in sys.argv[1:] if a != "--json"]
    program, count = words[0], int(words[1]) if len(words) > 1 else 20000
    texts, truths = zip(*corpus(count))
    size = sum(len(t.encode()) for t in texts)
    answers = {"chunkctl": ours(program, texts)}
    try:
        answers["presidio"] = presidio(texts)
    except ImportError as missing:
        print(f"Presidio is not measured: {missing}", file=sys.stderr)
    table = {}
    for tool, (found, took) in answers.items():
        table[tool] = {**score(truths, found), "mb_s": size / took / 1e6, "texts": count}
        if "--json" in sys.argv:
            print(json.dumps({"event": "detect", "tool": tool, **table[tool]}))
    if "--json" not in sys.argv:
        tools = list(table)
        print(f"{count} texts, {size / 1e6:.1f} MB\n")
        print("| | " + " | ".join(tools) + " |\n|---|" + "---|" * len(tools))
        for kind in KINDS:
            print(f"| {kind}, found | " + " | ".join(f"{100 * table[t]['recall'].get(kind, 0):.2f} %" for t in tools) + " |")
        print("| findings that are right | " + " | ".join(f"{100 * table[t]['precision']:.2f} %" for t in tools) + " |")
        print("| MB/s, one core, with the program's start | " + " | ".join(f"{table[t]['mb_s']:.2f}" for t in tools) + " |")


main()
