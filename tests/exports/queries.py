#!/usr/bin/env python3
"""queries.py SNAPSHOTS: runs each query of the report over the entries of the unit tests' log, with jq, and compares.

SNAPSHOTS is the folder of the snapshots of `chunk_evidence::views::tests::queries`. Prints what differs; exit 1 if anything does.
"""
import ast, pathlib, subprocess, sys, tempfile

folder = pathlib.Path(sys.argv[1])


def snapshot(name):
    text = (folder / f'chunk_evidence__views__tests__queries__{name}.snap').read_text(encoding='utf-8')
    return text.split('\n---\n', 1)[1].rstrip('\n').split('\n')


wrong = 0
with tempfile.TemporaryDirectory() as work:
    pathlib.Path(work, 'entries.jsonl').write_text('\n'.join(snapshot('entries')) + '\n', encoding='utf-8')
    answers = {line.split(' ', 1)[0]: line.split(' ', 3)[1:] for line in snapshot('answers')}
    queries = snapshot('queries')
    for line in queries:
        check, role, command = line.split(' ', 2)
        value, _, indices = answers[check]
        run = subprocess.run(['sh', '-c', command], cwd=work, capture_output=True, text=True)
        found = [int(word) for word in run.stdout.split()]
        expected = [int(value)] if role == 'Figure' else ast.literal_eval(indices)
        if run.returncode or found != expected:
            wrong += 1
            print(f'{check}: jq says {found}, the report says {expected}\n    {command}\n    {run.stderr}')
print(f'{len(queries)} queries, {wrong} wrong')
sys.exit(bool(wrong) or len(queries) < 50)
