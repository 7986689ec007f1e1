# A tree of processes that keeps an eye on itself: python3 family.py GO. The root checks itself first, then the others.
import os, sys, time, signal

go = sys.argv[1]
go_members = go + '.members'


def identity():
    return (os.getpid(), os.getppid(), os.getpgid(0), os.getsid(0))


def wait_for_go():
    while not os.path.exists(go_members):
        time.sleep(0.02)


def member(depth, how):
    """Forks a member with children of its own; it ends with 0 when it is who it was and its children are content."""
    pid = os.fork()
    if pid:
        return pid
    if how == 'session':
        os.setsid()
    if how == 'group':
        os.setpgid(0, 0)
    children = [member(depth - 1, kind) for kind in ('', 'session', 'group')] if depth > 0 else []
    before = identity()
    wait_for_go()
    content = identity() == before
    for child in children:
        pid, status = os.waitpid(child, 0)
        content = content and status == 0
    os._exit(0 if content else 1)


def dead(action):
    pid = os.fork()
    if pid == 0:
        action()
    return pid


signals = []
signal.signal(signal.SIGCHLD, lambda *_: signals.append(1))
exited = dead(lambda: os._exit(7))
killed = dead(lambda: os.kill(os.getpid(), signal.SIGKILL))
children = [member(2, ''), member(1, 'session'), member(0, 'group')]
before = identity()
for pid in (exited, killed):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
time.sleep(0.1)
signals.clear()
print('ready', flush=True)
while not os.path.exists(go):
    time.sleep(0.02)
after = identity()
# A detached restore gives the root another parent.
if (before[0], before[2], before[3]) != (after[0], after[2], after[3]):
    print(f'FAIL: {before} became {after}', flush=True)
    sys.exit(1)
if signals:
    print('FAIL: a SIGCHLD of nobody', flush=True)
    sys.exit(1)
open(go_members, 'w').close()
for pid, expected in ((exited, 7 << 8), (killed, 9)):
    found = os.waitpid(pid, 0)
    if found != (pid, expected):
        print(f'FAIL: {found} instead of {(pid, expected)}', flush=True)
        sys.exit(1)
for child in children:
    found = os.waitpid(child, 0)
    if found != (child, 0):
        print(f'FAIL: child {found}', flush=True)
        sys.exit(1)
print('EXIT-SUCCESS', flush=True)
