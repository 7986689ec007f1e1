# A redis server on a UNIX socket, clients that check each answer, and redis-benchmark, all in one tree. redis-load.py GO DIR
import multiprocessing, os, socket, subprocess, sys, time

go, directory = sys.argv[1:]
path = f'{directory}/redis'
CLIENTS = 3


class Client:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')

    def call(self, *commands):
        """Answers of a pipeline of commands."""
        text = b''
        for command in commands:
            text += b'*%d\r\n' % len(command)
            for word in command:
                text += b'$%d\r\n%s\r\n' % (len(word), word)
        self.socket.sendall(text)
        return [self.answer() for _ in commands]

    def answer(self):
        line = self.file.readline().rstrip(b'\r\n')
        kind, rest = line[:1], line[1:]
        if kind == b'$':
            return None if rest == b'-1' else self.file.read(int(rest) + 2)[:-2]
        if kind == b'*':
            return [self.answer() for _ in range(int(rest))]
        if kind == b'-':
            sys.exit(f'FAIL: redis says {line}')
        return rest


def work(number, counted):
    client = Client()
    own = {}
    round = 0
    while not os.path.exists(go):
        round += 1
        key = b'client %d key %d' % (number, round % 500)
        old, _, new, count, length = client.call(
            [b'GET', key],
            [b'SET', key, b'%d ' % round * 500],
            [b'GET', key],
            [b'INCR', b'count %d' % number],
            [b'RPUSH', b'list %d' % number, b'%d' % round])
        if old != own.get(key) or new != b'%d ' % round * 500 or count != b'%d' % round or length != count:
            sys.exit(f'FAIL: {key}: {old}, {new}, {count}, {length} in round {round}')
        own[key] = new
        if round % 20 == 0:
            with counted.get_lock():
                counted.value += 20
                print(counted.value, flush=True)
    if client.call([b'LRANGE', b'list %d' % number, b'0', b'-1']) != [[b'%d' % (i + 1) for i in range(round)]]:
        sys.exit(f'FAIL: list {number} is not what was pushed')
    if [client.call([b'GET', key])[0] for key in own] != list(own.values()):
        sys.exit(f'FAIL: a key of client {number} has changed')


server = subprocess.Popen(
    ['redis-server', '--port', '0', '--unixsocket', path, '--save', '', '--dir', directory],
    stdout=subprocess.DEVNULL)
while True:
    try:
        Client()
        break
    except OSError:
        time.sleep(0.01)
counted = multiprocessing.Value('q', 0)
clients = [multiprocessing.Process(target=work, args=(i, counted)) for i in range(CLIENTS)]
for client in clients:
    client.start()
benchmark = subprocess.Popen(
    ['redis-benchmark', '-s', path, '-l', '-q', '-c', '4', '-r', '10000', '-d', '200', '-t', 'set,get,incr'],
    stdout=subprocess.DEVNULL)
for client in clients:
    client.join()
    if client.exitcode != 0:
        sys.exit('FAIL: a client')
if benchmark.poll() is not None:
    sys.exit(f'FAIL: redis-benchmark ended with {benchmark.returncode}')
benchmark.terminate()
benchmark.wait()
server.terminate()
if server.wait() != 0:
    sys.exit(f'FAIL: the server ended with {server.returncode}')
print('EXIT-SUCCESS', flush=True)
