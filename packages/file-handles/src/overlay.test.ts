import { layerHandle } from './overlay';

test("the layer's handle inside an overlay's (Linux 6.18)", () => {
  const bytes = Buffer.from('00000000fb1d0001000000000000000000000000000000005d402100777df5b9', 'hex');
  expect(layerHandle({ type: 0xf8, bytes })).toEqual({ type: 1, bytes: Buffer.from('5d402100777df5b9', 'hex') });
});

test.each([
  ['another type', 0x1, '00000000fb1d0001000000000000000000000000000000005d402100777df5b9'],
  ['another magic', 0xf8, '00000000fa1d0001000000000000000000000000000000005d402100777df5b9'],
  ['nothing inside', 0xf8, '00000000fb1d000100000000000000000000000000000000'],
])('%s', (_what, type, hex) => {
  expect(layerHandle({ type, bytes: Buffer.from(hex, 'hex') })).toBeUndefined();
});
