/** Which namespaces a process is in: links of /proc/PID/ns, man 7 namespaces. */
import { readLinks } from '@crts/native-syscalls';

/** Texts such as `mnt:[4026531832]`, in the order of `kinds`; empty where the kernel was built without a kind. */
export function namespacesOf(pid: number | 'self', kinds: readonly string[]): string[] {
  const links = readLinks(kinds.map((kind) => `/proc/${pid}/ns/${kind}`));
  return links.map((link) => (typeof link === 'string' ? link : ''));
}

const own = new Map<string, string>();

/** Of the engine, which enters none: asked once. */
export function ownNamespace(kind: string): string {
  const known = own.get(kind) ?? namespacesOf('self', [kind])[0]!;
  own.set(kind, known);
  return known;
}
