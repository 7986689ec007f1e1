#!/usr/bin/python3
"""crts under the name of criu, for CRIU's test suite (docs/zdtm.md).

zdtm.py asks criu about the kernel (`criu check`), and gives options to every action that mean something for some. The questions
go to the criu that CRTS_CRIU names; options that crts refuses where they mean nothing are left out, and no others.
"""
import os
import sys

CRTS = os.environ.get('CRTS', os.path.join(os.path.dirname(os.path.abspath(__file__)), '../../packages/cli/bin/crts.js'))
CRIU = os.environ.get('CRTS_CRIU', 'criu')
# Memory and network of a tree in the host's own namespaces; crts takes as long as it takes to freeze a tree.
VALUES = {'--timeout', '--pre-dump-mode', '--network-lock', '--action-script'}
SWITCHES = {'--log-pid', '--track-mem', '--manage-cgroups'}
OTHER_ACTION = {
    'dump': ({'--pidfile'}, {'--restore-detached', '-d', '--restore-sibling', '--skip-file-rwx-check'}),
    'restore': ({'--irmap-scan-path'}, {'--force-irmap'}),
}


def main(words):
    if 'check' in words or '--version' in words:
        os.execvp(CRIU, [CRIU, *words])
    values, switches = OTHER_ACTION['dump' if 'dump' in words else 'restore']
    kept = []
    rest = iter(words)
    for word in rest:
        name, joined, _ = word.partition('=')
        if name in VALUES | values:
            if not joined:
                next(rest, None)
        elif name not in SWITCHES | switches:
            kept.append(word)
    os.execv(CRTS, [CRTS, *kept])


main(sys.argv[1:])
