// A plugin of a third party: /dev/cpu_dma_latency. Whoever has it open asks the kernel to wake CPUs within so many
// microseconds (Documentation/power/pm_qos_interface.rst); the wish lives as long as the descriptor, and is all its state.
const { readSync } = require('node:fs');
const { CrtsError, FD_HANDLER } = require('@crts/plugin-api');

const NAME = 'crts-fd-example';
const DEVICE = '/dev/cpu_dma_latency';
/** `fd_types` of the format: a file that only a plugin knows. Its entry holds the plugin's name and bytes of its own. */
const EXT = 16;
const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const O_ACCMODE = 3;
const AT_FDCWD = -100;

const handler = {
  name: NAME,

  match: (fd) => ((fd.mode & S_IFMT) === S_IFCHR && fd.link === DEVICE ? 20 : 0),

  dump(fd, context) {
    // cpu_latency_qos_read(), kernel/power/qos.c: the strictest wish of all that are open. It is this one's where nobody else
    // asks; what cannot be told is refused.
    const data = Buffer.alloc(4);
    if ((fd.flags & O_ACCMODE) === 1 || readSync(fd.local, data, 0, 4, 0) !== 4)
      throw new CrtsError({
        code: 'CRTS_EXAMPLE_UNREADABLE',
        kind: 'refused',
        plugin: NAME,
        pid: fd.pid,
        fd: fd.fd,
        path: DEVICE,
        what: 'the wish cannot be read from a descriptor that is open for writing only',
        hint: 'Open the device for reading and writing.',
      });
    return {
      type: EXT,
      field: 'ext',
      value: { id: context.id, fown: context.fown, crts_plugin: NAME, crts_data: data },
    };
  },

  owns: (record) => record.field === 'ext' && record.value.crts_plugin === NAME,

  collect({ value }) {
    if (value.crts_data?.length !== 4)
      throw new CrtsError({
        code: 'CRTS_IMAGE_FIELD',
        plugin: NAME,
        what: 'files.img: ext.crts_data of /dev/cpu_dma_latency is not four bytes',
        hint: 'The image is damaged.',
      });
  },

  plan({ value }, program) {
    const fd = program.call('openat', [AT_FDCWD, program.cstring(DEVICE), 2, 0], { what: `open ${DEVICE}` });
    program.call('write', [fd, program.bytes(value.crts_data), 4], {
      expect: 4,
      what: `ask for ${value.crts_data.readInt32LE(0)} us`,
    });
    return fd;
  },
};

exports.plugin = {
  name: NAME,
  register: (container) => container.register(FD_HANDLER, { useValue: handler }),
};
