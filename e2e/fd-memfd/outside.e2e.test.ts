import { memfd, rawSyscall, syscall } from '@crts/native-syscalls';
import { must } from '../harness/checkpointer';
import { Target } from '../harness/target';

test('a memfd of the caller takes the place of one of this name', async () => {
  const ours = memfd('theirs', 0);
  try {
    syscall('pwrite64', ours, Buffer.from('theirs'), 6, 0);
    const target = await Target.program('memfd-outside');
    must(target.dump());
    await target.gone();
    must(target.restoreInheriting([ours], '--inherit-fd', 'fd[3]:/memfd:box'));
    await target.finish();
  } finally {
    rawSyscall('close', ours);
  }
});
