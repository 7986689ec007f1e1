import { CrtsError } from '@crts/plugin-api';

export function vdsoDiffers(how: string): CrtsError {
  return new CrtsError({
    code: 'CRTS_VDSO_DIFFERS',
    kind: 'refused',
    plugin: 'mm-vdso',
    what: `the images were made under a kernel whose vdso ${how}`,
    hint: 'Restore under the kernel build that the dump was made with; translating the vdso is not supported yet.',
  });
}
