"""A shell job on a pseudo terminal: dumped, gone, and restored on another terminal, where it answers again.

usage: terminal.py DUMPER RESTORER IMAGES, the first two command lines split at spaces; prints what it saw.
"""
import os, pty, subprocess, sys, time

JOB = 'import os, sys\nn = 0\nwhile True:\n    line = sys.stdin.readline()\n    n += 1\n    os.write(1, b"answer %d to %s" % (n, line.encode()))\n'


def read_until(fd, text, seconds=10):
    seen, end = b'', time.time() + seconds
    os.set_blocking(fd, False)
    while text not in seen and time.time() < end:
        try:
            seen += os.read(fd, 4096)
        except (BlockingIOError, OSError):
            time.sleep(0.02)
    return seen


def on_terminal(command):
    """Runs a command as the leader of a session on a terminal of its own."""
    pid, master = pty.fork()
    if pid == 0:
        os.closerange(3, 1000)
        os.execvp(command[0], command)
    return pid, master


dumper, restorer, images = sys.argv[1].split(), sys.argv[2].split(), sys.argv[3]
# The shell of the job: starts it, and stays.
shell, master = on_terminal(['/usr/bin/python3', '-c', 'import os,time\np=os.fork()\nif p==0: os.execvp("/usr/bin/python3",["python3","-c",%r])\nos.write(1,b"job %%d\\n" %% p)\nos.waitpid(p,0)\ntime.sleep(1000)' % JOB])
job = int(read_until(master, b'\n').split()[1])
os.write(master, b'one\n')
print('before:', b'answer 1 to one' in read_until(master, b'answer 1 to one'), flush=True)
without = subprocess.run(dumper + ['-t', str(job), '-D', images], capture_output=True, text=True)
print('refused:', without.returncode, without.stderr.split('[')[-1].split(']')[0], flush=True)
with_job = subprocess.run(dumper + ['-t', str(job), '-D', images, '--shell-job'], capture_output=True, text=True)
print('dumped:', with_job.returncode, with_job.stderr, flush=True)
while os.path.exists('/proc/%d' % job):
    time.sleep(0.02)
other, second = on_terminal(restorer + ['-D', images, '--shell-job'])
time.sleep(1)
os.write(second, b'two\n')
print('after:', b'answer 2 to two' in read_until(second, b'answer 2 to two'), flush=True)
for pid in (job, shell, other):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass
