import { fork } from './ops';
import { placeAgents } from './places';

test('ranks in each table and in each address space', () => {
  const rounds = [
    [fork(1, 2, { shares: ['files'] }), fork(1, 3, { shares: ['vm', 'sighand'] }), fork(1, 4, {})],
    [fork(2, 5, { shares: ['files', 'fs'] }), fork(3, 6, { shares: ['vm', 'files'] }), fork(4, 7, { shares: ['fs'] })],
    [fork(5, 8, {}), fork(6, 9, { shares: ['files'], helper: true })],
  ];
  const places = placeAgents({ rounds, ending: [], outerPgid: undefined });
  expect([1, 2, 3, 4, 5, 6, 7, 8, 9].map((pid) => Object.values(places.of(pid)).join())).toEqual([
    '0,0',
    '1,0',
    '0,1',
    '0,0',
    '2,0',
    '1,2',
    '0,0',
    '0,0',
    '2,0',
  ]);
  expect(places.most).toEqual({ files: 3, vm: 3 });
});
