# A database in WAL mode with writers and a reader, each a process and a connection of its own. wal.py GO DATABASE
import os, sqlite3, sys, time

go, path = sys.argv[1:]
ACCOUNTS = 100
TOTAL = ACCOUNTS * 1000


def connect():
    connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    connection.execute('pragma synchronous = off')
    return connection


def writer(seed):
    """Moves money: the sum never changes. Long transactions, so that one is nearly always open."""
    connection = connect()
    moves = 0
    while not os.path.exists(go):
        connection.execute('begin immediate')
        for step in range(200):
            moves += 1
            source, goal = moves * seed % ACCOUNTS, (moves * seed * 7 + 3) % ACCOUNTS
            connection.execute('update account set money = money - 1 where id = ?', (source,))
            connection.execute('update account set money = money + 1 where id = ?', (goal,))
        connection.execute('insert into log values (?, ?)', (seed, moves))
        connection.execute('commit')
    connection.close()
    os._exit(0)


def check(connection):
    total, = connection.execute('select sum(money) from account').fetchone()
    if total != TOTAL:
        sys.exit(f'FAIL: the accounts have {total}')


def count(connection):
    return connection.execute('select count(*) from log').fetchone()[0]


connection = connect()
if connection.execute('pragma journal_mode = wal').fetchone() != ('wal',):
    sys.exit('FAIL: no WAL')
connection.execute('create table account (id integer primary key, money integer)')
connection.execute('create table log (writer integer, moves integer)')
connection.executemany('insert into account values (?, 1000)', [(id,) for id in range(ACCOUNTS)])
connection.close()
writers = [os.fork() or writer(seed) for seed in (11, 13)]
connection = connect()
done = 0
while not os.path.exists(go):
    # What a transaction has read it reads again, whatever the others wrote meanwhile.
    connection.execute('begin')
    before = count(connection)
    for look in range(5):
        check(connection)
        time.sleep(0.01)
    if count(connection) != before:
        sys.exit('FAIL: a transaction that reads sees what was written after its begin')
    connection.execute('commit')
    done += 1
    print(done, flush=True)
for pid in writers:
    if os.waitpid(pid, 0)[1] != 0:
        sys.exit('FAIL: a writer')
check(connection)
result = connection.execute('pragma integrity_check').fetchone()
if result != ('ok',) or count(connection) < done / 10:
    sys.exit(f'FAIL: {result}, {count(connection)} transactions')
connection.close()
if os.path.exists(path + '-shm') or os.path.exists(path + '-wal'):
    sys.exit('FAIL: the last connection left its files')
print('EXIT-SUCCESS', flush=True)
