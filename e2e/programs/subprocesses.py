# One event loop that starts subprocesses, talks with them through pipes, and waits for their end. subprocesses.py GO WATCHER
import asyncio, os, sys

go, watcher = sys.argv[1:]
done = 0


async def conversation(number):
    """A cat that answers for a while, and ends with the number that it was given."""
    global done
    script = f'while read line; do echo "$line"; done; exit {number}'
    shell = await asyncio.create_subprocess_exec(
        'sh', '-c', script, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    for round in range(10):
        line = f'{number} says {round}\n'.encode()
        shell.stdin.write(line)
        await shell.stdin.drain()
        answer = await shell.stdout.readline()
        if answer != line:
            sys.exit(f'FAIL: {answer} instead of {line}')
        await asyncio.sleep(0.01)
    shell.stdin.close()
    status = await shell.wait()
    if status != number:
        sys.exit(f'FAIL: shell {number} ended with {status}')
    done += 1
    print(done, flush=True)


async def worker(number):
    while not os.path.exists(go):
        await conversation(number)


async def main():
    if watcher == 'pidfd':
        pidfds = asyncio.PidfdChildWatcher()
        pidfds.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(pidfds)
    await asyncio.gather(*(worker(number) for number in range(1, 5)))
    print('EXIT-SUCCESS', flush=True)


asyncio.run(main())
