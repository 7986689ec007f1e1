import { closeFd } from './files';
import {
  acceptConnection,
  decodeSocketAddress,
  encodeSocketAddress,
  receiveFull,
  sendFull,
  socketName,
  tcpConnect,
  tcpListen,
} from './tcp';

test.each([
  ['127.0.0.1', '02001f907f00000100000000' + '00000000'],
  ['::', `0a001f9000000000${'00'.repeat(16)}00000000`],
  ['::1', `0a001f9000000000${'00'.repeat(15)}0100000000`],
  ['fe80::1:2', `0a001f9000000000fe80${'00'.repeat(10)}0001000200000000`],
  ['::ffff:10.0.0.7', `0a001f9000000000${'00'.repeat(10)}ffff0a00000700000000`],
  ['1:2:3:4:5:6:7:8', '0a001f900000000000010002000300040005000600070008' + '00000000'],
])('the address %s', (address, hex) => {
  const bytes = encodeSocketAddress({ address, port: 8080 });
  expect(bytes.toString('hex')).toBe(hex);
  expect(encodeSocketAddress(decodeSocketAddress(bytes))).toEqual(bytes);
});

test('a name is no address', () => {
  expect(() => encodeSocketAddress({ address: 'localhost', port: 1 })).toThrow(RangeError);
});

test('bytes go through a connection; its end and a broken message are told', () => {
  const { socket: listener, port } = tcpListen({ address: '127.0.0.1', port: 0 });
  const client = tcpConnect({ address: '127.0.0.1', port }, 5);
  const { socket: server, peer } = acceptConnection(listener);
  try {
    expect(decodeSocketAddress(peer)).toEqual(socketName(client));
    sendFull(client, Buffer.from('hello'));
    const bytes = Buffer.alloc(5);
    expect([receiveFull(server, bytes), bytes.toString()]).toEqual([true, 'hello']);
    sendFull(client, Buffer.from('he'));
    closeFd(client);
    expect(() => receiveFull(server, bytes)).toThrow('ENODATA');
    expect(receiveFull(server, bytes)).toBe(false);
  } finally {
    closeFd(server);
    closeFd(listener);
  }
});

test('nobody listens', () => {
  const { socket, port } = tcpListen({ address: '127.0.0.1', port: 0 });
  closeFd(socket);
  expect(() => tcpConnect({ address: '127.0.0.1', port }, 5)).toThrow('ECONNREFUSED');
});
