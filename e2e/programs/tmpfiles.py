# Files without a name that get one when they are complete, as systemd-tmpfiles and package managers make them. tmpfiles.py GO DIR
import os, sys

go, directory = sys.argv[1:]
SIZE = 1 << 16
PENDING = 8
done = 0


def block(number):
    return (f'{number:08d} ' * (SIZE // 9 + 1)).encode()[:SIZE]


def begin(number):
    fd = os.open(directory, os.O_TMPFILE | os.O_RDWR, 0o640)
    os.write(fd, block(number)[:SIZE // 2])
    return number, fd


def complete(number, fd):
    global done
    os.write(fd, block(number)[SIZE // 2:])
    path = f'{directory}/{number}'
    # With a directory descriptor, here of no use, python calls linkat with AT_SYMLINK_FOLLOW.
    os.link(f'/proc/self/fd/{fd}', path, src_dir_fd=0, follow_symlinks=True)
    os.close(fd)
    with open(path, 'rb') as file:
        if file.read() != block(number):
            sys.exit(f'FAIL: {path} has other contents')
    if os.stat(path).st_mode & 0o777 != 0o640 or os.stat(path).st_nlink != 1:
        sys.exit(f'FAIL: {path} has mode {os.stat(path).st_mode:o}')
    os.unlink(path)
    done += 1
    print(done, flush=True)


os.umask(0o027)
pending = [begin(number) for number in range(PENDING)]
number = PENDING
while not os.path.exists(go):
    complete(*pending.pop(0))
    pending.append(begin(number))
    number += 1
for one in pending:
    complete(*one)
print('EXIT-SUCCESS', flush=True)
