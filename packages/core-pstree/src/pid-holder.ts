import { readFileSync } from 'node:fs';

/** Who has a number, and what makes it free where that is not the end of who has it. */
export function holderOf(pid: number): [holder: string, remedy?: string] {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(status)?.[1];
    const comm = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
    if (field('State') === 'Z')
      return [`${comm}, which is dead and waits for its parent`, `Let its parent ${field('PPid')} wait for it, or end`];
    const process = field('Tgid');
    return process === String(pid) ? [comm] : [`a thread (${comm}) of process ${process}`, `Stop process ${process}`];
  } catch {
    return ['a process group or session whose leader is gone'];
  }
}
