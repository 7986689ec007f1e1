#!/usr/bin/python3
"""report.py CRTS.tsv CRIU.tsv: the tables of docs/zdtm.md, from what drive.py wrote (and its CRTS.tsv.logs) for both."""
import collections
import os
import re
import sys

STEPS = re.compile(r'^(CRIU \w+|[\w ]+?) \|')


def read(path):
    rows = {}
    for line in open(path):
        name, _, _, result, _, why = line.rstrip('\n').split('\t')
        rows[name] = ('fail' if result == 'timeout' else result, why)
    return rows


def cause(path, name, why):
    """The error of crts where it said one, else what the suite says."""
    log = os.path.join(path + '.logs', name.replace('/', '_') + '.log')
    text = open(log, errors='replace').read() if os.path.exists(log) else ''
    errors = [found for found in re.findall(r'^crts: (.*) \[(CRTS_\w+)\]$', text, re.M) if found[1] != 'CRTS_CHECK']
    if errors:
        what, code = errors[0]
        what = re.sub(r'^([\w-]+: )?pid \d+( thread \d+)?( fd \d+)?( \([^)]*\))?: ', '', what)
        what = re.sub(r'0x[0-9a-f]+-0x[0-9a-f]+', '...', what)
        return f'`{code}`', re.sub(r'\b\d+\b', 'N', what)[:150]
    step = STEPS.match(why)
    facts = re.search(r'(?:FAIL|ERR|ERROR): ([^|]*)', why)
    return step.group(1) if step else '', re.sub(r'\S+\.c:\d+: ', '', facts.group(1) if facts else why.split(' |')[0])[:150].strip()


def short(names):
    return ', '.join(f'`{name.split("/", 2)[-1]}`' for name in sorted(names))


def main(crts_path, criu_path):
    crts, criu = read(crts_path), read(criu_path)
    names = [name for name in crts if name in criu]
    print('| | ' + ' | '.join(f'criu: {result}' for result in ('pass', 'skip', 'fail')) + ' | all |')
    print('|---|---|---|---|---|')
    for mine in ('pass', 'skip', 'fail'):
        counts = [sum(crts[name][0] == mine and criu[name][0] == other for name in names) for other in ('pass', 'skip', 'fail')]
        print(f'| crts: {mine} | ' + ' | '.join(map(str, counts)) + f' | {sum(counts)} |')
    groups = collections.defaultdict(list)
    for name in names:
        result, why = crts[name]
        if result == 'fail':
            groups[cause(crts_path, name, why)].append(name)
    print('\n### Fail\n\nWith * CRIU 4.2 fails here too.\n\n| code or step | what | tests |\n|---|---|---|')
    for (code, what), members in sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]))):
        marked = ', '.join(f'`{name.split("/", 2)[-1]}`' + ('*' if criu[name][0] == 'fail' else '') for name in sorted(members))
        print(f'| {code} | {what.replace("|", "/")} | {marked} |')
    skips = collections.defaultdict(lambda: ([], []))
    for name in names:
        if crts[name][0] == 'skip':
            skips[crts[name][1]][criu[name][0] == 'skip'].append(name)
    print('\n### Skip\n\nBy zdtm.py, for the reason that it gives.\n\n| reason | criu runs them | criu skips them too |\n|---|---|---|')
    for why, (alone, both) in sorted(skips.items()):
        print(f'| {why} | {short(alone)} | {short(both)} |')
    print('\n### Pass\n\n' + short(name for name in names if crts[name][0] == 'pass'))


main(*sys.argv[1:])
