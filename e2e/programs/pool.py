# A pool of worker processes: unlinked semaphores in /dev/shm, pipes, SimpleQueues, threads that hand out tasks. pool.py GO
import multiprocessing, os, sys

counter = None


def start(shared):
    global counter
    counter = shared


def work(number):
    total = sum(i * i for i in range(number % 100 * 10))
    with counter.get_lock():
        counter.value += 1
    return number, os.getpid(), total


def main():
    go = sys.argv[1]
    shared = multiprocessing.Value('q', 0)
    done = 0
    workers = set()
    with multiprocessing.Pool(4, start, (shared,)) as pool:
        while not os.path.exists(go) or done < 4000:
            expected = done
            for number, pid, total in pool.imap(work, range(done, done + 200), 5):
                if number != expected or total != sum(i * i for i in range(number % 100 * 10)):
                    sys.exit(f'FAIL: {number} {total} instead of {expected}')
                expected += 1
                workers.add(pid)
            done = expected
            print(done, flush=True)
        pool.close()
        pool.join()
    if shared.value != done or len(workers) > 4:
        sys.exit(f'FAIL: {shared.value} of {done} by {workers}')
    print('EXIT-SUCCESS', flush=True)


main()
