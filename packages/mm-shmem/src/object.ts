import { type SyscallError, sharedAnonymousMemory } from '@crts/native-syscalls';
import { MAP } from '@crts/plugin-api';
import { objectNotMade } from './errors';

/** Makes an object and returns a descriptor of it. `like`: the flags of a mapping, for huge TLB pages. */
export function makeObject(sizeBytes: bigint, isReserved: boolean, like = 0): number {
  const huge = like & (MAP.hugeTlb | MAP.hugeSize);
  try {
    return sharedAnonymousMemory(sizeBytes, (isReserved ? 0 : MAP.noReserve) | huge);
  } catch (error) {
    const { errno, code } = error as SyscallError;
    throw objectNotMade(sizeBytes, huge !== 0, typeof errno === 'string' ? errno : code);
  }
}
