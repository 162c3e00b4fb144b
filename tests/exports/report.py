#!/usr/bin/env python3
"""report.py REPORT ENTRIES: reads a report as a browser does, and runs every query that stands in it.

ENTRIES is `entries.jsonl`, from which the report says its queries read. Each query must give the number beside it. The report must be
well formed and name nothing that a browser would fetch. Prints what is wrong; exit 1 if anything is.
"""
import html.parser, pathlib, re, shutil, subprocess, sys, tempfile

VOID = {'meta', 'br', 'link', 'img', 'input', 'hr', 'wbr'}
wrong = []


class Report(html.parser.HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.row, self.cell, self.rows, self.ids, self.links = [], None, None, [], set(), []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag in {'script', 'iframe', 'object', 'embed', 'img', 'link', 'base', 'form'}:
            wrong.append(f'<{tag}> in the report')
        for name, value in attrs.items():
            if name.startswith('on') or name in {'src', 'srcset', 'style', 'action', 'background'}:
                wrong.append(f'{name}="{value}" in the report')
        if 'id' in attrs:
            if attrs['id'] in self.ids:
                wrong.append(f'two elements have the id {attrs["id"]}')
            self.ids.add(attrs['id'])
        if 'href' in attrs:
            self.links.append(attrs['href'])
        if tag == 'tr':
            self.row = []
        if tag in {'td', 'th'} and self.row is not None:
            self.cell = ''

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            wrong.append(f'</{tag}> closes nothing')
        if tag in {'td', 'th'} and self.cell is not None:
            self.row.append(self.cell.strip())
            self.cell = None
        if tag == 'tr' and self.row is not None:
            self.rows.append(self.row)
            self.row = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell += data


text = pathlib.Path(sys.argv[1]).read_text(encoding='utf-8')
report = Report()
report.feed(text)
report.close()
if report.open:
    wrong.append(f'never closed: {report.open}')
for link in report.links:
    if not link.startswith('#') or link[1:] not in report.ids:
        wrong.append(f'a link leads to {link}')
if re.search(r'url\(|@import', text):
    wrong.append('the style sheet names something outside')

queries = 0
with tempfile.TemporaryDirectory() as work:
    shutil.copy(sys.argv[2], pathlib.Path(work, 'entries.jsonl'))
    for row in report.rows:
        command = next((match.group(0) for cell in row if (match := re.search(r'jq .*entries\.jsonl$', cell, re.S))), None)
        number = next((cell for cell in row if re.fullmatch(r'[0-9,]+', cell)), None)
        if command is None or number is None:
            continue
        queries += 1
        run = subprocess.run(['sh', '-c', command], cwd=work, capture_output=True, text=True)
        found = run.stdout.split()
        # A query lists the entries it counts, or gives the figure itself.
        answer = len(found) if command.endswith(".index' entries.jsonl") else int(found[0]) if found else None
        if run.returncode or answer != int(number.replace(',', '')):
            wrong.append(f'the report says {number}, jq says {found}: {command} {run.stderr}')
print(f'{queries} queries')
print('\n'.join(wrong))
sys.exit(bool(wrong) or queries < 80)
