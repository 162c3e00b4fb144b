#!/usr/bin/env python3
"""events.py PATH…: holds OCSF events against the schema that OCSF publishes (PyPI ocsf-json-schema), offline.

A PATH is a file of events, one a line, or a folder of the snapshots of `chunk_evidence::views::tests::events`, which hold an event
of every kind and every event at every level. Prints what is wrong; exit 1 if anything is, or if there are no events.
"""
import functools, json, pathlib, sys

from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

DECODER = json.JSONDecoder()


@functools.cache
def schema(version):
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))


@functools.cache
def validator(version, class_uid, profiles):
    known = schema(version)
    name = known.lookup_class_name_from_uid(class_uid=class_uid)
    return Draft202012Validator(known.get_class_schema(class_name=name, profiles=list(profiles)))


def events(path):
    if not path.is_dir():
        yield from parse(path.read_text(encoding='utf-8'))
        return
    for file in sorted(path.glob('*__events__ocsf*.snap')):
        yield from parse(file.read_text(encoding='utf-8').split('\n---\n', 1)[1])


def parse(text):
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        event, at = DECODER.raw_decode(text, at)
        yield event


def faults(event):
    metadata = event['metadata']
    for error in validator(metadata['version'], event['class_uid'], tuple(metadata.get('profiles', []))).iter_errors(event):
        yield '/'.join(map(str, error.absolute_path)) + ': ' + error.message[:160]
    # What a JSON schema cannot say.
    if event['type_uid'] != event['class_uid'] * 100 + event['activity_id']:
        yield 'type_uid is not class_uid * 100 + activity_id'
    if metadata['uid'].rsplit('#', 1)[1] != str(metadata['sequence']):
        yield 'metadata.uid does not end with metadata.sequence'


count = wrong = 0
kinds = set()
for path in map(pathlib.Path, sys.argv[1:]):
    for event in events(path):
        count += 1
        kinds.add(event['metadata']['event_code'])
        for fault in faults(event):
            wrong += 1
            print(f"{path.name} {event['metadata']['uid']} ({event['metadata']['event_code']}): {fault}")
print(f'{count} events of {len(kinds)} kinds, {wrong} faults')
sys.exit(bool(wrong) or not count)
