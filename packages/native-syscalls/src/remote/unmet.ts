import { CrtsError } from '@crts/plugin-api';
import { errnoName } from '../errors';
import type { Instruction } from './instruction';
import { showInstruction } from './program-text';

/** The error of an instruction whose expectation was unmet in task or thread `pid`. */
export function unmet(instruction: Instruction, pid: number): Error {
  const value = instruction.result.value;
  const errno = value < 0n && value > -4096n ? errnoName(Number(-value)) : undefined;
  const own = instruction.options.fail?.(errno, value);
  const { plugin, stage } = instruction.origin;
  if (own !== undefined) return own instanceof CrtsError ? own.with({ plugin, stage, pid }) : own;
  return new CrtsError({
    code: 'CRTS_CALL_FAILED',
    what: instruction.options.what ?? instruction.origin.what ?? 'a system call inside the task failed',
    plugin,
    stage,
    pid,
    call: showInstruction(instruction),
    errno: errno ?? `result ${value}`,
  });
}
