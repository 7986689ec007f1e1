# nginx with two workers on a UNIX socket, and clients that check each answer, in one tree. web-load.py GO DIR
import http.client, os, socket, subprocess, sys, threading, time

go, directory = sys.argv[1:]
path = f'{directory}/web'
big = b''.join(b'line %d of a file\n' % i for i in range(30_000))
CONFIGURATION = f'''
worker_processes 2; daemon off; pid {directory}/pid; error_log {directory}/error info; user root;
events {{ worker_connections 64; }}
http {{
  access_log {directory}/access; sendfile on; gzip on; gzip_types *; gzip_min_length 100;
  client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy; fastcgi_temp_path {directory}/fastcgi;
  uwsgi_temp_path {directory}/uwsgi; scgi_temp_path {directory}/scgi;
  server {{ listen unix:{path}; root {directory}/files; location /echo/ {{ return 200 "$request_uri $http_x_number"; }} }}
}}
'''
done = 0
lock = threading.Lock()
failures = []


class Connection(http.client.HTTPConnection):
    def __init__(self):
        super().__init__('localhost')

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)


def get(connection, uri, **headers):
    connection.request('GET', uri, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read()


def client(number):
    global done
    kept = Connection()
    round = 0
    while not os.path.exists(go) and not failures:
        round += 1
        uri = f'/echo/{number}/{round}'
        # Most on the connection that stays: one that waits to be accepted cannot be dumped.
        connection = kept if round % 5 else Connection()
        found = get(connection, uri, **{'X-Number': str(round)})
        if found != (200, f'{uri} {round}'.encode()):
            failures.append(f'{uri} is {found}')
        status, body = get(connection, '/big')
        if status != 200 or body != big:
            failures.append(f'the file has {len(body)} bytes, status {status}')
        if connection is not kept:
            connection.close()
        with lock:
            done += 1
            if done % 10 == 0:
                print(done, flush=True)
        time.sleep(0.01)
    kept.close()


os.mkdir(f'{directory}/files')
with open(f'{directory}/files/big', 'wb') as file:
    file.write(big)
with open(f'{directory}/configuration', 'w') as file:
    file.write(CONFIGURATION)
server = subprocess.Popen(['nginx', '-c', f'{directory}/configuration'], stderr=subprocess.DEVNULL)
while True:
    try:
        get(Connection(), '/echo/')
        break
    except OSError:
        time.sleep(0.01)
clients = [threading.Thread(target=client, args=(number,)) for number in range(3)]
for one in clients:
    one.start()
for one in clients:
    one.join()
server.terminate()
if server.wait() != 0:
    failures.append(f'nginx ended with {server.returncode}')
with open(f'{directory}/error') as log:
    failures += [line for line in log if '[alert]' in line or '[crit]' in line or '[emerg]' in line]
print('\n'.join(f'FAIL: {failure}' for failure in failures) or 'EXIT-SUCCESS', flush=True)
